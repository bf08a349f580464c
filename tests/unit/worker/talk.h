/*
 * talk.h: a conversation with a worker, and a clock, that are made up: what it will read is
 * written first, then it serves, then what it said is looked at.
 */
#pragma once

#include "../check.h"

#include "base/time.h"
#include "worker/worker.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHARED  ((size_t)256 * 1024)
#define OUTPUTS ((size_t)64 * 1024)
#define VALUE   ((size_t)128 * 1024)
#define CHUNKS  8
#define WRITES  64

/* ---- A conversation: chunks to be read; what is written, and when ---- */

struct talk {
    struct worker_io io;
    struct work work;
    int64_t clock;
    int64_t step_ns; /* that each look at the clock takes */
    struct bytes chunks[CHUNKS];
    unsigned chunk_count, chunk;
    size_t chunk_at;
    size_t read_most; /* at once; 0: whole chunks */
    struct bytes said;
    struct {
        size_t end; /* of what was written by then */
        int64_t at;
    } writes[WRITES];
    unsigned write_count;
    unsigned write_fails_at; /* 0: never */
    size_t heard;
    _Alignas(4096) char shared[SHARED];
    size_t shared_size;
    void (*on_read)(struct talk *t);
    void (*on_burn)(struct talk *t);
    uint64_t seen; /* by on_burn */
    int forbidden;
    int forbid_rc;
    bool no_shared;
    bool quiet;
    char complaint[200];
};

static inline struct talk *talk_of(struct worker_io *io)
{
    return (struct talk *)io;
}

static inline struct talk *work_talk(struct work *work)
{
    return (struct talk *)(void *)((char *)work - offsetof(struct talk, work));
}

static inline ssize_t talk_read(struct worker_io *io, void *buffer, size_t size)
{
    struct talk *t = talk_of(io);
    if (t->on_read)
        t->on_read(t);
    if (t->chunk == t->chunk_count)
        return 0;
    struct bytes *chunk = &t->chunks[t->chunk];
    size_t len = chunk->len - t->chunk_at;
    if (len > size)
        len = size;
    if (t->read_most && len > t->read_most)
        len = t->read_most;
    memcpy(buffer, chunk->ptr + t->chunk_at, len);
    t->chunk_at += len;
    if (t->chunk_at == chunk->len) {
        t->chunk++;
        t->chunk_at = 0;
    }
    return (ssize_t)len;
}

static inline int talk_write(struct worker_io *io, const struct iovec *parts, int count)
{
    struct talk *t = talk_of(io);
    assert_true(t->write_count < WRITES);
    if (t->write_fails_at && t->write_count + 1 >= t->write_fails_at)
        return -EPIPE;
    for (int i = 0; i < count; i++) {
        size_t before = t->said.len;
        if (bytes_append(&t->said, parts[i].iov_base, parts[i].iov_len) != 0) {
            t->said.len = before;
            return -ENOMEM;
        }
    }
    t->writes[t->write_count].end = t->said.len;
    t->writes[t->write_count++].at = t->clock;
    return 0;
}

static inline int talk_share(struct worker_io *io, size_t max, char **base)
{
    assert_int_equal(max, SHARED);
    *base = talk_of(io)->shared;
    return 0;
}

static inline int64_t talk_shared_size(struct worker_io *io)
{
    return (int64_t)talk_of(io)->shared_size;
}

static inline int talk_shared_grow(struct worker_io *io, size_t size)
{
    assert_in_range(size, 1, SHARED);
    if (size > talk_of(io)->shared_size)
        talk_of(io)->shared_size = size;
    return 0;
}

static inline int talk_forbid(struct worker_io *io)
{
    talk_of(io)->forbidden++;
    return talk_of(io)->forbid_rc;
}

static inline void talk_complain(struct worker_io *io, const char *sentence)
{
    snprintf(talk_of(io)->complaint, sizeof talk_of(io)->complaint, "%s", sentence);
}

static inline int64_t talk_now(struct work *work)
{
    struct talk *t = work_talk(work);
    return t->clock += t->step_ns;
}

static inline int64_t talk_processor(struct work *work)
{
    return work_talk(work)->clock;
}

static inline void talk_burn(struct work *work, int64_t ns)
{
    struct talk *t = work_talk(work);
    t->clock += ns;
    if (t->on_burn)
        t->on_burn(t);
}

static inline void talk_init(struct talk *t)
{
    memset(t, 0, offsetof(struct talk, shared));
    memset(&t->shared_size, 0, sizeof *t - offsetof(struct talk, shared_size));
    memset(t->shared, 0, WORKER_CONTROL_SIZE);
    t->shared_size = OUTPUTS;
    t->clock = NS_PER_S;
    t->work = (struct work){talk_now, talk_processor, talk_burn};
    t->io = (struct worker_io){talk_read, talk_write, talk_share, talk_shared_size,
        talk_shared_grow, talk_forbid, talk_complain, &t->work, 4242};
    for (unsigned i = 0; i < CHUNKS; i++)
        bytes_init(&t->chunks[i], 4 * 1024 * 1024);
    bytes_init(&t->said, 4 * 1024 * 1024);
}

static inline void talk_release(struct talk *t)
{
    for (unsigned i = 0; i < CHUNKS; i++)
        bytes_release(&t->chunks[i]);
    bytes_release(&t->said);
}

static struct talk *talk; /* the test's */

static inline int set_up(void **state)
{
    talk = aligned_alloc(4096, (sizeof *talk + 4095) / 4096 * 4096);
    talk_init(talk);
    return 0;
}

static inline int tear_down(void **state)
{
    talk_release(talk);
    free(talk);
    return 0;
}

static inline struct worker_control *control(void)
{
    return (struct worker_control *)(void *)talk->shared;
}

/* ---- The server's part ---- */

enum { ECHO, BURN };
static const struct worker_setup_step steps[] = {
    {.name = "echo", .step = "echo"},
    {.name = "burn", .step = "burn"},
};
static const struct worker_setup a_setup = {.pool = "cpu",
    .steps = steps,
    .step_count = 2,
    .threads = 1,
    .value = VALUE,
    .shared = SHARED,
    .outputs = OUTPUTS};

static inline void ask(const struct worker_frame *f)
{
    assert_int_equal(worker_encode(&talk->chunks[talk->chunk_count - 1], f), 0);
}

/* From here on in another read. */
static inline void then(void)
{
    assert_true(talk->chunk_count < CHUNKS);
    talk->chunk_count++;
}

static inline void ask_setup(const struct worker_setup *s)
{
    struct bytes text;
    bytes_init(&text, 65536);
    assert_int_equal(worker_setup_write(&text, s), 0);
    then();
    ask(&(struct worker_frame){.kind = WORKER_SETUP, .text = bytes_span(&text)});
    bytes_release(&text);
}

static inline void ask_task(uint64_t id, uint32_t step, const char *input)
{
    ask(&(struct worker_frame){.kind = WORKER_TASK,
        .task = {.id = id, .step = step, .deadline = INT64_MAX, .input.inside = span_of(input)}});
}

/* A text of that size. */
static inline char *large_text(size_t size)
{
    char *text = malloc(size + 1);
    assert_non_null(text);
    memset(text, '1', size);
    text[0] = text[size - 1] = '"';
    text[size] = '\0';
    return text;
}

static inline void ask_large(uint64_t id, size_t size)
{
    char *text = large_text(size);
    ask_task(id, ECHO, text);
    free(text);
}

static inline struct worker_frame shared_task(uint64_t offset, uint64_t length)
{
    return (struct worker_frame){.kind = WORKER_TASK,
        .task = {.id = 1,
            .deadline = INT64_MAX,
            .input = {.shared = true, .offset = offset, .length = length}}};
}

static inline void ask_stop(void)
{
    ask(&(struct worker_frame){.kind = WORKER_STOP});
}

static inline enum worker_exit serve(void)
{
    return worker_serve(&talk->io, false);
}

/* What it said next. */
static inline struct worker_frame hear(enum worker_kind kind)
{
    struct worker_frame f;
    struct error e = {0};
    size_t left = talk->said.len - talk->heard;
    struct span rest = {left ? talk->said.ptr + talk->heard : NULL, left};
    ssize_t n = worker_decode(&f, rest, &e);
    if (n <= 0)
        fail_msg("no frame of kind %d: %zd %s", kind, n, e.sentence);
    talk->heard += (size_t)n;
    if (f.kind != kind)
        fail_msg("a frame of kind %d, not %d: %.*s", f.kind, kind,
            f.kind == WORKER_REFUSED ? (int)f.text.len : 0, f.text.ptr);
    return f;
}

static inline void hear_ready(void)
{
    int64_t pid;
    assert_int_equal(worker_ready_read(&pid, hear(WORKER_READY).text, NULL), 0);
    assert_int_equal(pid, 4242);
}

static inline void hear_done(uint64_t id, const char *output)
{
    struct worker_result r = hear(WORKER_RESULT).result;
    assert_int_equal(r.id, id);
    assert_int_equal(r.outcome, WORKER_DONE);
    assert_false(r.output.shared);
    if (!span_equal(r.output.inside, span_of(output)))
        fail_msg("%.*s, not %s", SPAN_ARG(r.output.inside), output);
}

static inline void hear_failed(uint64_t id, enum worker_outcome outcome, const char *code)
{
    struct worker_result r = hear(WORKER_RESULT).result;
    assert_int_equal(r.id, id);
    assert_int_equal(r.outcome, outcome);
    if (!span_equal(r.code, span_of(code)))
        fail_msg("%.*s, not %s", SPAN_ARG(r.code), code);
    assert_true(r.output.inside.len > 0);
}

static inline void hear_nothing(void)
{
    assert_int_equal(talk->heard, talk->said.len);
}

/* Which of the writes had the last byte that was heard. */
static inline unsigned write_of_last(void)
{
    unsigned i = 0;
    while (talk->writes[i].end < talk->heard)
        i++;
    return i;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
