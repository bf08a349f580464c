/*
 * process.c: see process.h.
 *
 * Three coroutines a process: one that runs its life, and two that read its output. A process that
 * is not needed is killed and dropped by its user; they see it to its end.
 */
#include "exec/process.h"

#include "base/log.h"
#include "base/mem.h"
#include "wire/worker.h"
#include "world/process_title.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

/* How long a process that was asked to end may take for its teardowns. */
#define STOP_PATIENCE_NS  (2 * NS_PER_S)
/* How long its output is read after its end: others may still have it open. */
#define WORDS_PATIENCE_NS (200 * NS_PER_MS)
#define SETUP_MAX         WORKER_FRAME_MAX
#define PAGE              ((size_t)4096)

void pool_process_hold(struct pool_process *p)
{
    p->holders++;
}

void pool_process_release(struct pool_process *p)
{
    if (--p->holders > 0)
        return;
    frames_release(&p->frames);
    if (p->channel)
        stream_close(p->channel);
    if (p->shared)
        shared_close(p->shared);
    mem_free(p);
}

static void tell(struct pool_process *p)
{
    if (p->changed)
        p->changed(p->ctx);
}

struct pool_process_end_text pool_process_end_text(int status, int signal)
{
    struct pool_process_end_text e;
    const char *name = signal > 0 ? sigabbrev_np(signal) : NULL;
    if (signal && name)
        snprintf(e.text, sizeof(e.text), "was killed by signal %d (SIG%s)", signal, name);
    else if (signal)
        snprintf(e.text, sizeof(e.text), "was killed by signal %d", signal);
    else
        snprintf(e.text, sizeof(e.text), "exited with status %d", status);
    return e;
}

/* ---- Starting ---- */

static const char *const thread_variables[] = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "BLIS_NUM_THREADS"};
#define THREAD_VARIABLES (sizeof(thread_variables) / sizeof(*thread_variables))

struct variables {
    const char *list[THREAD_VARIABLES + 1];
    char texts[THREAD_VARIABLES][40];
};

static void say_threads(struct variables *v, unsigned threads)
{
    for (size_t i = 0; i < THREAD_VARIABLES; i++) {
        snprintf(v->texts[i], sizeof(v->texts[i]), "%s=%u", thread_variables[i], threads);
        v->list[i] = v->texts[i];
    }
    v->list[THREAD_VARIABLES] = NULL;
}

static size_t pages(uint64_t bytes)
{
    return ((size_t)bytes + PAGE - 1) & ~(PAGE - 1);
}

/* Control words, room for an input, room for outputs. Forks have a channel of their own, and no
 * shared memory. */
static size_t shared_most(const struct pool_process *p)
{
    return p->outputs + pages(p->pool->conf->value + PAGE);
}

static int share(struct pool_process *p)
{
    if (p->pool->ops->forks)
        return 0;
    p->outputs = WORKER_CONTROL_SIZE + pages(p->pool->conf->value + PAGE);
    int rc = world_shared(p->world, shared_most(p), &p->shared);
    if (rc == 0)
        rc = shared_grow(p->shared, WORKER_CONTROL_SIZE);
    if (rc == 0)
        p->control = (struct worker_control *)(void *)shared_base(p->shared);
    return rc;
}

/* The limit of a zygote's pool is each fork's: the zygote sets it. */
static int limit(struct pool_process *p)
{
    const struct conf_pool *conf = p->pool->conf;
    uint64_t memory = p->pool->ops->forks ? 0 : conf->memory;
    struct child_limits limits = {.nice = (int)conf->nice, .memory = memory};
    /* An address space limit must not count the shared memory. It can only be lowered later. */
    if (memory)
        limits.memory += shared_most(p);
    int rc = child_limit(p->child, &limits, &p->held);
    limits.memory = memory;
    return rc == 0 && p->held == CHILD_MEMORY_CGROUP ? child_limit(p->child, &limits, &p->held)
                                                     : rc;
}

/* Its title in ps. */
static void entitle(const struct pool_process *p, char title[PROCESS_TITLE_MAX + 1])
{
    const char *pool = p->pool->conf->name;
    if (p->number)
        snprintf(title, PROCESS_TITLE_MAX + 1, "weir: pool %s %u", pool, p->number);
    else
        snprintf(title, PROCESS_TITLE_MAX + 1, "weir: pool %s zygote", pool);
}

static int spawn(struct pool_process *p, struct stream *outputs[2])
{
    struct variables variables;
    char title[PROCESS_TITLE_MAX + 1];
    entitle(p, title);
    say_threads(&variables, p->pool->step_threads ? p->pool->step_threads : 1);
    struct spawn_options o = {
        .argv = p->pool->pools->worker_argv,
        .title = title,
        .env_add = variables.list,
        .standard = {NULL, &outputs[0], &outputs[1]},
        .channel = &p->channel,
        .shared = p->shared,
        .leads_group = true,
    };
    int rc = world_spawn(p->world, &o, &p->child);
    if (rc)
        return rc;
    p->pid = p->log.pid = child_pid(p->child);
    frames_init(&p->frames, p->world, p->channel, &p->log, p->pool->conf->value);
    return limit(p);
}

static int send_setup(struct pool_process *p)
{
    const struct pool *pool = p->pool;
    unsigned count = pool->step_count + 1; /* and the canary's */
    struct worker_setup_step *steps = mem_alloc(count * sizeof(*steps));
    if (!steps)
        return -ENOMEM;
    for (unsigned i = 0; i < count; i++)
        steps[i] = (struct worker_setup_step){pool->specs[i].name, pool->specs[i].plugin,
            pool->specs[i].step, pool->specs[i].options};
    struct worker_setup setup = {
        .pool = pool->conf->name,
        .forks = pool->ops->forks,
        .steps = steps,
        .step_count = count,
        .threads = pool->step_threads ? pool->step_threads : 1,
        .value = pool->conf->value,
        .memory = pool->conf->memory,
        .unsafe = pool->pools->unsafe,
        .shared = p->shared ? shared_most(p) : 0,
        .outputs = p->outputs,
    };
    struct bytes text;
    struct bytes frame;
    bytes_init(&text, SETUP_MAX);
    bytes_init(&frame, SETUP_MAX + WORKER_HEAD_SIZE);
    int rc = worker_setup_write(&text, &setup);
    struct worker_frame f = {.kind = WORKER_SETUP, .text = bytes_span(&text)};
    if (rc == 0)
        rc = worker_encode(&frame, &f);
    if (rc == 0)
        rc = frames_write(&p->frames, &frame);
    bytes_release(&frame);
    bytes_release(&text);
    mem_free(steps);
    return rc;
}

static enum pool_process_stage refuse(struct pool_process *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static enum pool_process_stage refuse(struct pool_process *p, const char *format, ...)
{
    char sentence[ERROR_SENTENCE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof(sentence), format, args);
    va_end(args);
    error_set(&p->why, -EINVAL, "pool", "pool '%s': %s", p->pool->conf->name, sentence);
    return PROCESS_REFUSED;
}

/* The reply to the set-up. */
static enum pool_process_stage wait_for_ready(struct pool_process *p)
{
    const struct conf_pool *conf = p->pool->conf;
    struct worker_frame f;
    struct error e = {0};
    int64_t pid;
    int64_t until = deadline_after(world_now(p->world), conf->start);
    int rc = send_setup(p);
    if (rc == 0)
        rc = frames_next(&p->frames, until, &f, &e);
    if (rc == -ETIMEDOUT)
        return refuse(p,
            "the init of a step (the first is '%s') did not end within %g s; what it waits for is "
            "to be mended, or the pool's `start` to be longer",
            p->pool->specs[0].name, (double)conf->start / (double)NS_PER_S);
    if (rc == -EBADMSG)
        return refuse(p, "what was started as its worker wrote what is no frame: %s", e.sentence);
    if (rc)
        return PROCESS_FAILED;
    if (f.kind == WORKER_REFUSED)
        return refuse(p, "%.*s", SPAN_ARG(f.text));
    if (f.kind != WORKER_READY)
        return refuse(p, "what was started as its worker did not say that it is ready first");
    if (worker_ready_read(&pid, f.text, &e))
        return refuse(p, "%s", e.sentence);
    return PROCESS_READY;
}

/* ---- Output ---- */

struct output_reader {
    struct pool_process *process;
    struct stream *stream;
    struct worker_log_part part;
};

static int read_output(void *arg)
{
    struct output_reader *reader = arg;
    char piece[512];
    ssize_t n;
    while ((n = stream_read(reader->stream, piece, sizeof(piece))) > 0)
        worker_log_read(&reader->process->log, &reader->part, (struct span){piece, (size_t)n});
    worker_log_end(&reader->process->log, &reader->part);
    return 0;
}

/* ---- Its life ---- */

static int await_end(struct pool_process *p, int64_t until)
{
    CORO_DEADLINE(until);
    return child_wait(p->child, &p->exit);
}

/* Afterwards no process of its group is left. */
static void see_out(struct pool_process *p, int64_t until)
{
    int rc = await_end(p, until);
    if (rc == -ETIMEDOUT) {
        pool_process_kill(p);
        rc = await_end(p, DEADLINE_NEVER);
    }
    if (rc == 0)
        p->out_of_memory = child_ran_out_of_memory(p->child);
    child_close(p->child);
    p->child = NULL;
}

static void read_rest_of_output(struct pool_process *p, struct group *readers)
{
    CORO_SHIELD(deadline_after(world_now(p->world), WORDS_PATIENCE_NS));
    int rc = group_wait(readers);
    (void)rc; /* somebody else holds its output open */
}

static void live(struct pool_process *p, struct group *readers)
{
    enum pool_process_stage stage = wait_for_ready(p);
    int64_t until = DEADLINE_NEVER;
    if (stage == PROCESS_READY) {
        p->stage = stage;
        tell(p);
    } else if (stage == PROCESS_REFUSED) {
        pool_process_kill(p);
    } else { /* its channel ended: kill it */
        until = deadline_after(world_now(p->world), PROCESS_END_NS);
    }
    see_out(p, until);
    read_rest_of_output(p, readers);
    if (stage == PROCESS_FAILED)
        error_set(&p->why, -ECHILD, "pool", "pool '%s': worker %d died at its start: it %s%s",
            p->pool->conf->name, p->pid,
            p->out_of_memory ? "used more than its `memory`"
                             : pool_process_end_text(p->exit.status, p->exit.signal).text,
            worker_log_last(&p->log));
    if (stage != PROCESS_READY)
        p->stage = stage;
}

static int keep(void *arg)
{
    struct pool_process *p = arg;
    struct output_reader readers[2] = {{.process = p}, {.process = p}};
    struct stream *outputs[2] = {NULL, NULL};
    int rc = share(p);
    if (rc == 0)
        rc = spawn(p, outputs);
    {
        GROUP(readers_group, GROUP_INDEPENDENT);
        for (int i = 0; i < 2 && rc == 0; i++) {
            readers[i].stream = outputs[i];
            rc = group_spawn(&readers_group, "worker's output", read_output, &readers[i]);
        }
        if (rc == 0)
            live(p, &readers_group);
    }
    if (rc) {
        p->stage = PROCESS_FAILED;
        error_set(&p->why, rc, "pool", "pool '%s': its worker '%s' cannot be started: %s",
            p->pool->conf->name, p->pool->pools->worker_argv[0], error_text(rc));
    }
    if (p->child)
        child_close(p->child);
    p->child = NULL;
    for (int i = 0; i < 2; i++)
        if (outputs[i])
            stream_close(outputs[i]);
    p->ended = true;
    future_set(&p->end, 0);
    tell(p);
    pool_process_release(p);
    return 0;
}

int pool_process_open(struct pool_process **out, struct pool *pool, struct pool_client *client,
    unsigned number, struct group *g, void (*changed)(void *ctx), void *ctx)
{
    struct pool_process *p = mem_zalloc(sizeof(*p));
    if (!p)
        return -ENOMEM;
    p->holders = 2;
    p->pool = pool;
    p->client = client;
    p->number = number;
    p->world = client->world;
    p->changed = changed;
    p->ctx = ctx;
    worker_log_init(&p->log, p->world, pool->conf->name);
    future_init(&p->end);
    int rc = group_spawn(g, "worker process", keep, p);
    if (rc) {
        mem_free(p);
        return rc;
    }
    *out = p;
    return 0;
}

/* ---- Its end ---- */

void pool_process_drop(struct pool_process *p)
{
    p->changed = NULL;
    pool_process_release(p);
}

void pool_process_kill(struct pool_process *p)
{
    int rc = p->child ? child_signal(p->child, SIGKILL) : 0;
    (void)rc; /* -ESRCH: it has ended by itself */
}

bool pool_process_wait(struct pool_process *p, int64_t until)
{
    CORO_DEADLINE(until);
    int rc = p->ended ? 0 : future_wait(&p->end);
    return rc == 0;
}

void pool_process_stop(struct pool_process *p)
{
    CORO_SHIELD(deadline_after(world_now(p->world), STOP_PATIENCE_NS));
    p->changed = NULL;
    int rc = -EPIPE;
    if (!p->ended && p->stage == PROCESS_READY)
        rc = frames_send(&p->frames, &(struct worker_frame){.kind = WORKER_STOP});
    if (rc || !pool_process_wait(p, DEADLINE_NEVER))
        pool_process_kill(p);
    pool_process_release(p);
}

static int stop(void *arg)
{
    pool_process_stop(arg);
    return 0;
}

void pool_process_retire(struct pool_process *p, struct group *g)
{
    p->changed = NULL;
    int rc = group_spawn(g, "worker's farewell", stop, p);
    if (rc == 0)
        return;
    pool_process_kill(p);
    pool_process_release(p);
}
