/*
 * workers.c: see workers.h.
 */
#include "workers.h"

#include "base/mem.h"
#include "coro/group.h"
#include "coro/sync.h"
#include "worker/io_stream.h"

#include <errno.h>
#include <signal.h>

#define CHILDREN_MAX 64
#define SETUP_MAX    (64 * 1024)

#define WORKER_PROGRAM "weir-worker"
#define CHILD_PROGRAM  "weir-worker-fork"

const char *const workers_argv[] = {WORKER_PROGRAM, NULL};

/* ---- Who runs ---- */

static struct sim_worker *find(struct workers *ws, const struct sched *sched)
{
    for (unsigned i = 0; i < ws->count; i++)
        if (world_sched(ws->running[i].world) == sched)
            return &ws->running[i];
    sim_fail(ws->sim, "somebody who is no worker asks for its own");
    return &ws->running[0];
}

struct sim_worker *workers_self(struct workers *ws)
{
    return find(ws, coro_sched(coro_self()));
}

static void come(struct workers *ws, struct world *w, struct stream *tasks)
{
    sim_check(ws->sim, ws->count < WORKERS_MAX, "too many workers run at once");
    ws->running[ws->count++] = (struct sim_worker){.world = w, .tasks = tasks};
    ws->started++;
}

static void go(struct workers *ws, struct world *w)
{
    struct sim_worker *place = find(ws, world_sched(w));
    if (!place->closed)
        stream_close(sim_channel(w));
    ws->count--;
    *place = ws->running[ws->count];
}

void workers_close_channel(struct workers *ws)
{
    struct sim_worker *self = workers_self(ws);
    self->closed = true;
    stream_close(sim_channel(self->world));
}

bool workers_kill(struct workers *ws, struct rand *r)
{
    if (ws->count == 0)
        return false;
    struct world *w = ws->running[rand_below(r, ws->count)].world;
    return sim_signal(sim_self(w), SIGKILL) == 0;
}

/* ---- A zygote ---- */

struct zygote;

struct zygote_child {
    struct zygote *zygote;
    struct child *child; /* NULL: this place is free */
    struct stream *channel;
    uint64_t id;
    int pid;
};

struct zygote {
    struct workers *workers;
    struct world *world;
    struct worker_process *k;
    struct group *group;
    struct channel writing; /* one frame at a time: holds something while one is written */
    struct bytes setup;     /* the frame for children */
    struct zygote_child children[CHILDREN_MAX];
};

/* A worker's conversation, with the streams that come in it. */
struct passing {
    struct worker_stream stream; /* the first */
    struct stream *passed;       /* of a FORK that has not been read to its end; or NULL */
    ssize_t (*read)(struct worker_io *io, void *buffer, size_t size);
};

static ssize_t read_passing(struct worker_io *io, void *buffer, size_t size)
{
    struct passing *p = (struct passing *)io;
    ssize_t got = p->read(io, buffer, size);
    struct stream *passed = got > 0 ? sim_take_passed(p->stream.stream) : NULL;
    if (!passed)
        return got;
    if (p->passed) { /* two for one FORK */
        stream_close(passed);
        return -EBADMSG;
    }
    p->passed = passed;
    return got;
}

static void passing_init(struct passing *p, struct world *w, struct shared *shared)
{
    worker_stream_init(&p->stream, w, sim_channel(w), shared, sim_process_pid(sim_self(w)));
    p->read = p->stream.io.read;
    p->passed = NULL;
    p->stream.io.read = read_passing;
}

static void passing_release(struct passing *p)
{
    if (p->passed)
        stream_close(p->passed);
}

/* The main coroutine and those of the children take turns. Who is gone hears nothing more. */
static void tell(struct zygote *z, const struct worker_frame *f)
{
    void *item;
    struct bytes out;
    bytes_init(&out, 256);
    if (worker_encode(&out, f) == 0 && channel_send(&z->writing, z) == 0) {
        if (!workers_self(z->workers)->closed)
            (void)!stream_write(sim_channel(z->world), &(struct iovec){out.ptr, out.len}, 1);
        (void)!channel_receive(&z->writing, &item);
    }
    bytes_release(&out);
}

static int attend(void *arg)
{
    struct zygote_child *c = arg;
    struct child_exit exit;
    int rc = child_wait(c->child, &exit);
    child_close(c->child);
    stream_close(c->channel);
    c->child = NULL;
    if (rc == 0)
        tell(c->zygote, &(struct worker_frame){.kind = WORKER_ENDED,
                            .ended = {.id = c->id, .status = exit.status, .signal = exit.signal}});
    return rc;
}

static int spawn(struct zygote *z, struct zygote_child *c, struct stream *passed)
{
    static const char *const argv[] = {CHILD_PROGRAM, NULL};
    struct spawn_options options = {.argv = argv, .channel = &c->channel};
    int rc = world_spawn(z->world, &options, &c->child);
    if (rc) {
        stream_close(passed);
        return rc;
    }
    c->pid = child_pid(c->child);
    rc = stream_write_passing(c->channel, z->setup.ptr, z->setup.len, passed);
    if (rc == 0)
        rc = group_spawn(z->group, "child", attend, c);
    if (rc) {
        child_close(c->child);
        stream_close(c->channel);
        c->child = NULL;
    }
    return rc;
}

static void fork_child(struct zygote *z, uint64_t id, struct stream *passed)
{
    struct zygote_child *c = z->children;
    while (c->child && c < z->children + CHILDREN_MAX - 1)
        c++;
    sim_check(z->workers->sim, !c->child, "a zygote has too many children");
    *c = (struct zygote_child){.zygote = z, .id = id};
    int rc = spawn(z, c, passed);
    if (rc)
        tell(z, &(struct worker_frame){.kind = WORKER_ENDED, .ended = {.id = id, .status = -rc}});
    else
        tell(z, &(struct worker_frame){.kind = WORKER_FORKED, .fork = {.id = id, .pid = c->pid}});
}

static void kill_child(struct zygote *z, uint64_t id)
{
    for (unsigned i = 0; i < CHILDREN_MAX; i++)
        if (z->children[i].child && z->children[i].id == id) {
            int rc = child_signal(z->children[i].child, SIGKILL);
            (void)rc; /* it has ended by itself */
        }
}

/* Whether it goes on; otherwise `exit`. */
static bool obey(struct zygote *z, const struct worker_frame *f, enum worker_exit *exit)
{
    struct passing *p = (struct passing *)z->k->io;
    struct stream *passed = p->passed;
    *exit = WORKER_EXIT_DONE;
    if (f->kind == WORKER_KILL) {
        kill_child(z, f->fork.id);
        return true;
    }
    if (f->kind != WORKER_FORK || !passed) {
        if (f->kind != WORKER_STOP)
            *exit = worker_process_garbage(z->k, "what came is not for a worker that forks");
        return false;
    }
    p->passed = NULL;
    uint64_t id = f->fork.id;
    if (z->workers->before_fork)
        z->workers->before_fork(z->workers->ctx, z->world);
    if (workers_self(z->workers)->closed) {
        stream_close(passed);
        return false;
    }
    fork_child(z, id, passed);
    return true;
}

static enum worker_exit serve_forks(struct zygote *z)
{
    struct worker_frame f;
    enum worker_exit exit;
    for (;;) {
        int rc = worker_process_next(z->k, &f, &exit);
        if (rc < 0 || (rc > 0 && !obey(z, &f, &exit)))
            return exit;
        if (rc > 0)
            continue;
        struct iovec room = worker_process_room(z->k);
        ssize_t got = room.iov_base ? z->k->io->read(z->k->io, room.iov_base, room.iov_len) : 0;
        if (got <= 0)
            return got == -EBADMSG ? worker_process_garbage(z->k, "a stream came without a FORK")
                                   : WORKER_EXIT_DONE;
        worker_process_got(z->k, (size_t)got);
    }
}

static int encode_setup(struct bytes *out, const struct worker_setup *setup)
{
    struct bytes text;
    bytes_init(&text, SETUP_MAX);
    bytes_init(out, SETUP_MAX + WORKER_HEAD_SIZE);
    int rc = worker_setup_write(&text, setup);
    struct worker_frame f = {.kind = WORKER_SETUP, .text = bytes_span(&text)};
    if (rc == 0)
        rc = worker_encode(out, &f);
    bytes_release(&text);
    return rc;
}

static enum worker_exit serve_with(struct zygote *z)
{
    enum worker_exit exit = WORKER_EXIT_FAILED;
    GROUP(children, GROUP_INDEPENDENT);
    z->group = &children;
    if (encode_setup(&z->setup, &z->k->setup) == 0)
        exit = serve_forks(z);
    group_cancel(&children); /* none is left */
    int rc = group_wait(&children);
    (void)rc;
    return exit;
}

static enum worker_exit be_zygote(struct workers *ws, struct world *w, struct worker_process *k)
{
    enum worker_exit exit;
    if (worker_process_ready(k, &exit) != 0)
        return exit;
    struct zygote *z = mem_zalloc(sizeof *z);
    if (!z || channel_init(&z->writing, 1) != 0) {
        mem_free(z);
        return WORKER_EXIT_FAILED;
    }
    z->workers = ws;
    z->world = w;
    z->k = k;
    ws->zygotes++;
    exit = serve_with(z);
    ws->zygotes--;
    bytes_release(&z->setup);
    channel_release(&z->writing);
    mem_free(z);
    return exit;
}

/* ---- Programs ---- */

static enum worker_exit serve(struct workers *ws, struct world *w, struct passing *p)
{
    struct worker_process k;
    enum worker_exit exit;
    int rc = worker_process_open(&k, &p->stream.io, false, &exit);
    k.overrides = ws->overrides;
    if (rc == 0 && k.setup.forks) {
        workers_self(ws)->forks = true;
        workers_self(ws)->tasks = NULL;
        exit = be_zygote(ws, w, &k);
    } else if (rc == 0 && worker_process_ready(&k, &exit) == 0) {
        exit = worker_process_run(&k);
    }
    worker_process_release(&k);
    return exit;
}

static int run_worker(struct world *w, void *arg)
{
    struct workers *ws = arg;
    struct passing p;
    come(ws, w, sim_channel(w));
    passing_init(&p, w, sim_shared(w));
    enum worker_exit exit = serve(ws, w, &p);
    passing_release(&p);
    go(ws, w);
    if (sim_shared(w))
        shared_close(sim_shared(w));
    return (int)exit;
}

static int write_nothing(struct worker_io *io, const struct iovec *parts, int count)
{
    return 0;
}

/* What a real fork has already is made here, and nobody is told that it is ready. */
static enum worker_exit serve_once(struct workers *ws, struct world *w, struct passing *p)
{
    struct worker_process k;
    struct worker_stream tasks;
    enum worker_exit exit;
    p->stream.io.write = write_nothing;
    int rc = worker_process_open(&k, &p->stream.io, false, &exit);
    k.overrides = ws->overrides;
    if (rc == 0)
        rc = worker_process_ready(&k, &exit);
    if (rc == 0 && p->passed) {
        worker_stream_init(&tasks, w, p->passed, NULL, p->stream.io.pid);
        workers_self(ws)->tasks = p->passed;
        exit = worker_process_once(&k, &tasks.io);
    }
    worker_process_release(&k);
    return exit;
}

static int run_child(struct world *w, void *arg)
{
    struct workers *ws = arg;
    struct passing p;
    come(ws, w, NULL);
    passing_init(&p, w, NULL);
    enum worker_exit exit = serve_once(ws, w, &p);
    passing_release(&p);
    go(ws, w);
    return (int)exit;
}

void workers_init(struct workers *ws, struct sim *sim)
{
    *ws = (struct workers){.sim = sim};
    int rc = sim_program(sim, WORKER_PROGRAM, run_worker, ws);
    if (rc == 0)
        rc = sim_program(sim, CHILD_PROGRAM, run_child, ws);
    sim_check(sim, rc == 0, "there are no programs for workers: error %d", -rc);
}
