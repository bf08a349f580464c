/*
 * fixture.h: a worker process of the real world, and the server's end of the conversation
 * with it, for tests of what a worker does.
 */
#pragma once

#include "../check.h"

#include "wire/worker.h"
#include "worker/main.h"
#include "world/memory_file.h"
#include "world/plain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIXTURE_SHARED  ((size_t)8 * 1024 * 1024)
#define FIXTURE_OUTPUTS ((size_t)4 * 1024 * 1024)

struct process {
    pid_t pid;
    int fd;     /* the server's end */
    int errors; /* what it writes to standard error */
    int memory; /* -1: it shares none */
    char *shared;
    struct bytes in;
    size_t heard;
    bool ended;
};

static inline void be_worker(int channel, int memory, int errors)
{
    /* Beyond what is put in place, so that nothing is lost by that. */
    int high[3] = {fcntl(channel, F_DUPFD, 100), fcntl(errors, F_DUPFD, 100),
        memory >= 0 ? fcntl(memory, F_DUPFD, 100) : -1};
    dup2(high[0], PLAIN_CHANNEL);
    dup2(high[1], STDERR_FILENO);
    if (high[2] >= 0)
        dup2(high[2], PLAIN_SHARED);
    close_range(high[2] >= 0 ? PLAIN_SHARED + 1 : PLAIN_CHANNEL + 1, ~0U, 0);
    _exit(worker_main(false));
}

/* Nobody waits for ever in a test. */
static inline void impatient(int fd)
{
    struct timeval limit = {.tv_sec = 60};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
}

static inline void process_start(struct process *p, bool share)
{
    int pair[2];
    int errors[2];
    *p = (struct process){.memory = -1};
    bytes_init(&p->in, 64 * 1024 * 1024);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, errors), 0);
    if (share) {
        p->memory = memory_file_make();
        assert_true(p->memory >= 0);
        assert_int_equal(memory_file_map(p->memory, FIXTURE_SHARED, &p->shared), 0);
        assert_int_equal(memory_file_grow(p->memory, WORKER_CONTROL_SIZE), 0);
    }
    fflush(NULL);
    p->pid = fork();
    assert_true(p->pid >= 0);
    if (p->pid == 0) {
        die_for_real();
        be_worker(pair[1], p->memory, errors[1]);
    }
    close(pair[1]);
    close(errors[1]);
    p->fd = pair[0];
    p->errors = errors[0];
    impatient(p->fd);
    impatient(p->errors);
}

/* How it ended. */
static inline int process_wait(struct process *p)
{
    int status;
    assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
    p->ended = true;
    return status;
}

static inline void process_close(struct process *p)
{
    if (!p->ended) {
        kill(p->pid, SIGKILL);
        process_wait(p);
    }
    close(p->fd);
    close(p->errors);
    if (p->memory >= 0) {
        munmap(p->shared, FIXTURE_SHARED);
        close(p->memory);
    }
    bytes_release(&p->in);
}

/* ---- Frames ---- */

static inline void send_bytes(int fd, struct span s)
{
    while (s.len > 0) {
        ssize_t n = send(fd, s.ptr, s.len, MSG_NOSIGNAL);
        assert_true(n > 0);
        s = (struct span){s.ptr + n, s.len - (size_t)n};
    }
}

static inline void send_frames(int fd, const struct worker_frame *frames, unsigned count)
{
    struct bytes out;
    bytes_init(&out, 64 * 1024 * 1024);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(worker_encode(&out, &frames[i]), 0);
    send_bytes(fd, bytes_span(&out));
    bytes_release(&out);
}

/* The next frame of a stream, whose bytes are in `in` from `*heard` on; false at its end. */
static inline bool next_frame(int fd, struct bytes *in, size_t *heard, struct worker_frame *f)
{
    for (;;) {
        struct span rest = {in->len > *heard ? in->ptr + *heard : NULL, in->len - *heard};
        ssize_t n = worker_decode(f, rest, NULL);
        assert_true(n >= 0);
        *heard += (size_t)n;
        if (n > 0)
            return true;
        assert_int_equal(bytes_reserve(in, 65536), 0);
        n = recv(fd, in->ptr + in->len, 65536, 0);
        if (n == 0 || (n < 0 && errno == ECONNRESET))
            return false;
        if (n < 0)
            fail_msg("nothing comes: %s", strerror(errno));
        in->len += (size_t)n;
    }
}

static inline struct worker_frame hear(struct process *p, enum worker_kind kind)
{
    struct worker_frame f;
    bool came;
    do
        came = next_frame(p->fd, &p->in, &p->heard, &f);
    while (came && f.kind == WORKER_LOG && kind != WORKER_LOG); /* also of kernels that cannot */
    if (!came)
        fail_msg("the end, not a frame of kind %d", kind);
    if (f.kind != kind)
        fail_msg("a frame of kind %d, not %d: %.*s", f.kind, kind,
            f.kind == WORKER_REFUSED ? (int)f.text.len : 0, f.text.ptr);
    return f;
}

static inline void send_setup(struct process *p, const struct worker_setup *s)
{
    struct bytes text;
    bytes_init(&text, 65536);
    assert_int_equal(worker_setup_write(&text, s), 0);
    send_frames(p->fd, &(struct worker_frame){.kind = WORKER_SETUP, .text = bytes_span(&text)}, 1);
    bytes_release(&text);
}

static inline void hear_ready(struct process *p)
{
    int64_t pid;
    assert_int_equal(worker_ready_read(&pid, hear(p, WORKER_READY).text, NULL), 0);
    assert_int_equal(pid, p->pid);
}

static inline struct worker_frame a_task(uint64_t id, uint32_t step, const char *input)
{
    return (struct worker_frame){.kind = WORKER_TASK,
        .task = {.id = id, .step = step, .deadline = INT64_MAX, .input.inside = span_of(input)}};
}

static inline void is_done(const struct worker_frame *f, uint64_t id, const char *output)
{
    assert_int_equal(f->kind, WORKER_RESULT);
    assert_int_equal(f->result.id, id);
    if (f->result.outcome != WORKER_DONE)
        fail_msg("%.*s", SPAN_ARG(f->result.output.inside));
    assert_true(span_equal(f->result.output.inside, span_of(output)));
}

/* What it wrote to standard error. */
static inline void complained(struct process *p, const char *what)
{
    char text[4096];
    ssize_t n = recv(p->errors, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    if (!strstr(text, what))
        fail_msg("it said '%s', not '%s'", text, what);
}
