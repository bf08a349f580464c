/*
 * worker.c: see worker.h: a worker process's set-up, its conversation and its end.
 */
#include "worker/worker.h"

#include "base/mem.h"
#include "base/time.h"
#include "base/utf8.h"
#include "worker/run.h"

#include <errno.h>

#define SETUP_MAX  ((size_t)16 * 1024 * 1024)
/* Read at once: a few hundred small tasks. */
#define READ_SIZE  ((size_t)64 * 1024)
/* What a long frame made the buffers grow to is given back when it is done with. */
#define KEPT_SIZE  ((size_t)1024 * 1024)
/* Results that wait for others are written when they are so many bytes. */
#define WRITE_SIZE ((size_t)256 * 1024)

/* ---- Saying ---- */

void worker_process_flush(struct worker_process *k)
{
    if (k->out.len > 0 && !k->gone)
        k->gone = k->io->write(k->io, &(struct iovec){k->out.ptr, k->out.len}, 1) != 0;
    bytes_reset(&k->out);
    if (k->out.size > KEPT_SIZE)
        bytes_release(&k->out);
}

int worker_process_say(struct worker_process *k, const struct worker_frame *f)
{
    int rc = worker_encode(&k->out, f);
    if (rc && k->out.len > 0) { /* there may be room when the rest has gone */
        worker_process_flush(k);
        rc = worker_encode(&k->out, f);
    }
    if (k->out.len > WRITE_SIZE)
        worker_process_flush(k);
    return rc;
}

enum worker_exit worker_process_garbage(struct worker_process *k, const char *sentence)
{
    k->io->complain(k->io, sentence);
    return WORKER_EXIT_GARBAGE;
}

/* The server takes no text for UTF-8 that is none: that would be garbage. */
static struct span make_valid(char *text, size_t size, const char *from)
{
    size_t len = strnlen(from, size);
    for (size_t at = 0; at < len;) {
        size_t n = utf8_length(from + at, len - at);
        text[at] = '?';
        if (n > 0)
            memcpy(text + at, from + at, n);
        at += n ? n : 1;
    }
    return (struct span){text, len};
}

/* Written at once: it may be the last that is heard of this process. */
static void say_line(void *worker, enum log_level level, const char *line)
{
    struct worker_process *k = worker;
    char text[1200]; /* longer than a step's lines get */
    struct worker_frame f = {.kind = WORKER_LOG,
        .log = {.level = (uint8_t)level, .line = make_valid(text, sizeof text, line)}};
    if (worker_process_say(k, &f) == 0)
        worker_process_flush(k);
}

static enum worker_exit refuse(struct worker_process *k, const struct error *e)
{
    char text[ERROR_SENTENCE_MAX];
    struct worker_frame f = {
        .kind = WORKER_REFUSED, .text = make_valid(text, sizeof text, e->sentence)};
    if (worker_process_say(k, &f) != 0)
        k->io->complain(k->io, e->sentence);
    worker_process_flush(k);
    return WORKER_EXIT_REFUSED;
}

/* ---- Hearing ---- */

struct iovec worker_process_room(struct worker_process *k)
{
    bytes_consume(&k->in, k->in_used);
    k->in_used = 0;
    if (k->in.len == 0 && k->in.size > KEPT_SIZE)
        bytes_release(&k->in);
    if (bytes_reserve(&k->in, READ_SIZE) != 0)
        return (struct iovec){0};
    return (struct iovec){k->in.ptr + k->in.len, k->in.size - k->in.len};
}

void worker_process_got(struct worker_process *k, size_t size)
{
    k->in.len += size;
}

int worker_process_next(struct worker_process *k, struct worker_frame *f, enum worker_exit *exit)
{
    struct error e;
    if (k->in.len == k->in_used)
        return 0;
    struct span rest = {k->in.ptr + k->in_used, k->in.len - k->in_used};
    ssize_t size = worker_decode(f, rest, &e);
    if (size < 0) {
        *exit = worker_process_garbage(k, e.sentence);
        return (int)size;
    }
    k->in_used += (size_t)size;
    return size > 0;
}

/* Waits for the next frame: true; or there is none, and `exit`. */
static bool hear(struct worker_process *k, struct worker_frame *f, enum worker_exit *exit)
{
    for (;;) {
        int rc = worker_process_next(k, f, exit);
        if (rc)
            return rc > 0;
        worker_process_flush(k);
        struct iovec room = worker_process_room(k);
        if (!room.iov_base) {
            k->io->complain(k->io, "there is no memory to read a task");
            *exit = WORKER_EXIT_FAILED;
            return false;
        }
        ssize_t got = k->gone ? 0 : k->io->read(k->io, room.iov_base, room.iov_len);
        if (got <= 0) {
            *exit = WORKER_EXIT_DONE;
            return false;
        }
        worker_process_got(k, (size_t)got);
    }
}

/* ---- The set-up ---- */

static int share(struct worker_process *k, struct error *e)
{
    if (k->setup.shared == 0)
        return 0;
    if (!k->io->share)
        return error_set(e, -EINVAL, "no-shared-memory",
            "the set-up says that memory is shared, but this worker was given none");
    int rc = k->io->share(k->io, (size_t)k->setup.shared, &k->shared);
    int64_t size = rc == 0 ? k->io->shared_size(k->io) : 0;
    if (rc == 0 && size < WORKER_CONTROL_SIZE)
        rc = size < 0 ? (int)size : -EINVAL;
    if (rc) {
        k->shared = NULL;
        return error_set(
            e, rc, "no-shared-memory", "the shared memory cannot be used: %s", error_text(rc));
    }
    k->shared_size = (size_t)size;
    k->outputs_at = k->setup.outputs;
    return 0;
}

static int read_setup(struct worker_process *k, struct span text, struct error *e)
{
    int rc = worker_setup_read(&k->setup, &k->arena, text, e);
    if (rc == 0)
        rc = share(k, e);
    if (rc)
        return rc;
    k->scratch = mem_alloc(WORKER_INLINE_MAX);
    return k->scratch ? 0
                      : error_set(e, -ENOMEM, "out-of-memory", "there is no memory for a worker");
}

int worker_process_open(
    struct worker_process *k, struct worker_io *io, bool unsafe, enum worker_exit *exit)
{
    struct worker_frame f;
    struct error e;
    *k = (struct worker_process){.io = io};
    arena_init(&k->arena, SETUP_MAX);
    bytes_init(&k->in, WORKER_HEAD_SIZE + WORKER_FRAME_MAX + READ_SIZE);
    bytes_init(&k->out, 2 * (WORKER_HEAD_SIZE + WORKER_FRAME_MAX));
    if (!hear(k, &f, exit))
        return 1;
    if (f.kind == WORKER_STOP) {
        *exit = WORKER_EXIT_DONE;
        return 1;
    }
    if (f.kind != WORKER_SETUP) {
        *exit = worker_process_garbage(k, "the first that came was no set-up");
        return 1;
    }
    if (read_setup(k, f.text, &e) != 0) {
        *exit = refuse(k, &e);
        return 1;
    }
    k->setup.unsafe = k->setup.unsafe || unsafe;
    return 0;
}

static int load_steps(struct worker_process *k, struct error *e)
{
    unsigned count = k->setup.step_count;
    struct step_spec *specs = arena_zalloc(&k->arena, (count + 1) * sizeof *specs);
    if (!specs)
        return error_set(e, -ENOMEM, "out-of-memory", "there is no memory for a worker's steps");
    for (unsigned i = 0; i < count; i++) {
        const struct worker_setup_step *s = &k->setup.steps[i];
        specs[i] = (struct step_spec){
            .name = s->name, .plugin = s->plugin, .step = s->step, .options = s->options};
    }
    k->place = (struct step_place){
        .work = k->io->work, .threads = k->setup.threads, .log = say_line, .log_ctx = k};
    int rc = step_set_new(&k->set, specs, count, k->overrides, k->setup.unsafe, e);
    return rc ? rc : step_worker_new(&k->steps, k->set, &k->place, e);
}

static void forbid_processes(struct worker_process *k)
{
    int rc = k->io->forbid_processes ? k->io->forbid_processes(k->io) : 0;
    if (rc)
        say_line(k, LOG_WARN, "the kernel cannot keep steps from starting processes");
}

static int say_ready(struct worker_process *k)
{
    struct bytes text;
    bytes_init(&text, 256);
    int rc = worker_ready_write(&text, k->io->pid);
    if (rc == 0)
        rc = worker_process_say(
            k, &(struct worker_frame){.kind = WORKER_READY, .text = bytes_span(&text)});
    bytes_release(&text);
    worker_process_flush(k);
    return rc;
}

int worker_process_ready(struct worker_process *k, enum worker_exit *exit)
{
    struct error e;
    if (load_steps(k, &e) != 0) {
        *exit = refuse(k, &e);
        return 1;
    }
    if (say_ready(k) != 0) {
        *exit = WORKER_EXIT_FAILED;
        return 1;
    }
    return 0;
}

void worker_process_release(struct worker_process *k)
{
    step_worker_free(k->steps);
    step_set_free(k->set);
    worker_batch_free(k->batch);
    mem_free(k->scratch);
    bytes_release(&k->in);
    bytes_release(&k->out);
    arena_release(&k->arena);
}

/* ---- Serving ---- */

enum worker_exit worker_process_run(struct worker_process *k)
{
    struct worker_frame f;
    enum worker_exit exit;
    forbid_processes(k);
    while (hear(k, &f, &exit)) {
        if (f.kind == WORKER_STOP) {
            worker_process_flush(k);
            return WORKER_EXIT_DONE;
        }
        if (f.kind != WORKER_TASK || !worker_process_task(k, &f.task)) {
            worker_process_flush(k);
            return worker_process_garbage(k, "what came is not for this worker");
        }
        if (k->lost) {
            worker_process_flush(k);
            return WORKER_EXIT_FAILED;
        }
    }
    return exit;
}

enum worker_exit worker_process_once(struct worker_process *k, struct worker_io *io)
{
    struct worker_frame f;
    enum worker_exit exit;
    k->io = io;
    k->shared = NULL;
    k->in_used = k->in.len = 0;
    bytes_reset(&k->out);
    forbid_processes(k);
    if (!hear(k, &f, &exit))
        return exit;
    if (f.kind != WORKER_TASK || f.task.more || !worker_process_task(k, &f.task))
        return worker_process_garbage(k, "what came is not for a fork of this worker");
    worker_process_flush(k);
    return k->lost ? WORKER_EXIT_FAILED : WORKER_EXIT_DONE;
}

enum worker_exit worker_serve(struct worker_io *io, bool unsafe)
{
    struct worker_process k;
    enum worker_exit exit;
    int rc = worker_process_open(&k, io, unsafe, &exit);
    if (rc == 0 && k.setup.forks) {
        struct error e;
        error_set(&e, -EINVAL, "no-fork", "a worker of this kind cannot fork");
        exit = refuse(&k, &e);
        rc = 1;
    }
    if (rc == 0)
        rc = worker_process_ready(&k, &exit);
    if (rc == 0)
        exit = worker_process_run(&k);
    worker_process_release(&k);
    return exit;
}
