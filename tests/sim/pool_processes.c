/*
 * executor_processes.c: pools of worker processes, kept ones and forked ones, that die, hang, write
 * garbage and hang up, by the seed, and so do the zygotes that fork them; in worlds with two I/O
 * threads that stall, with the same loop in the workers as in real ones.
 *
 * Every call has exactly one outcome, a right one; a task that nobody may try again runs once; one
 * that kills its workers runs twice at most; none starts when it is late; no worker is idle while
 * a task waits; when the faults are over everybody is served again, soon; and nothing is left.
 */
#include "../one_call.h"
#include "queue_watch.h"
#include "runner.h"
#include "step_watch.h"
#include "workers.h"

#include "base/mem.h"
#include "base/rand.h"
#include "coro/group.h"
#include "pool/internal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALLERS      10
#define CALLS_MAX    4096
#define WORKERS      3
#define LARGE        (60 * 1024)
#define FAULTS_NS    (1500 * NS_PER_MS)
/* Backing off, and the longest task. */
#define CALM_NS      (FAULTS_NS + 8 * NS_PER_S)
#define OVER_NS      (CALM_NS + 1 * NS_PER_S)
/* From a task's dispatch to a worker until it starts: through a socket, or with a new process. */
#define HAND_OVER_NS (200 * NS_PER_US)
#define FORK_NS      (20 * NS_PER_MS)
/* What a call takes at most when nothing is wrong. */
#define SOON_NS      (150 * NS_PER_MS)
/* The longest run of what does no harm. */
#define LONG_RUN_NS  (20 * NS_PER_MS)

enum deed { WORK, DIE, HANG, GARBAGE, HANG_UP, CLOSE };

struct
try {
    enum deed deed;
    bool retry;
    int64_t deadline; /* universe time */
    unsigned runs;
};

struct scene {
    struct sim *sim;
    struct pools *pools;
    struct conf_pool conf;
    struct conf_flow_node node;
    struct conf_route route;
    struct config config;
    struct pool_client *clients[2];
    bool kills;
    int64_t start_ns; /* from a task's dispatch to its start, at most, when nothing is wrong */
    struct pool *pool;
    unsigned stalled; /* loops, now */
    unsigned ill;     /* zygotes that hang, now */
    unsigned clients_ready;
    unsigned calls;
    unsigned done, failed;
    struct try tries[CALLS_MAX];
};

static struct scene *scene; /* the one that runs; for steps, which know nothing of it */
static struct workers workers;

/* ---- Workers ---- */

static void hang(struct world *w)
{
    int rc = world_sleep(w, 3600 * NS_PER_S);
    (void)rc; /* it is killed before that */
}

static void do_harm(struct world *w, enum deed deed, struct stream *channel)
{
    char garbage[100];
    int rc = 0;
    memset(garbage, 0xa5, sizeof garbage);
    switch (deed) {
    case WORK:
        break;
    case DIE:
        rc = sim_signal(sim_self(w), SIGSEGV);
        break;
    case HANG:
        hang(w);
        break;
    case GARBAGE:
        rc = stream_write(channel, &(struct iovec){garbage, sizeof garbage}, 1);
        hang(w);
        break;
    case HANG_UP:
        rc = stream_shutdown(channel);
        hang(w);
        break;
    case CLOSE: /* a zygote's */
        workers_close_channel(&workers);
        hang(w);
        break;
    }
    (void)rc;
}

static int64_t run_span(uint64_t draw)
{
    static const int64_t most[] = {
        NS_PER_US, NS_PER_US, NS_PER_US, NS_PER_US, NS_PER_MS, NS_PER_MS, NS_PER_MS, LONG_RUN_NS};
    return (int64_t)(draw / 8 % (uint64_t)most[draw % 8]);
}

/* What works may lose its result to the deed of who was given to the worker with it: more than
 * once, but it is then no suspect. */
static unsigned most_runs(const struct try *t)
{
    if (!t->retry)
        return 1;
    return t->deed == WORK ? 6 : 2;
}

/* The call whose input this is, ["CALL", "filling"]; CALLS_MAX: it is the canary's. */
static unsigned call_of(struct weir_task *t)
{
    const char *text = weir_text(weir_element(weir_input(t), 0), NULL);
    return text ? (unsigned)strtoul(text, NULL, 10) : CALLS_MAX;
}

/* What every step does here first. */
static void run_here(struct weir_task *task, size_t together)
{
    struct scene *s = scene;
    const struct sim_worker *self = workers_self(&workers);
    sim_check(s->sim, self && !self->forks, "a step runs outside of all workers");
    struct world *w = self->world;
    struct stream *tasks = self->tasks; /* others come and go, and it moves */
    unsigned which = call_of(task);
    if (which >= CALLS_MAX ||
        coro_cancelled(coro_self())) /* it was killed, and its loop runs out */
        return;
    struct try *t = &s->tries[which];
    t->runs++;
    sim_check(s->sim, sim_now(s->sim) < t->deadline + s->start_ns, "call %u starts %lld us late",
        which, (long long)((sim_now(s->sim) - t->deadline) / NS_PER_US));
    sim_check(s->sim, t->runs <= most_runs(t) || (t->retry && s->kills),
        "call %u, of deed %d, ran %u times", which, (int)t->deed, t->runs);
    struct work *work = world_work(w);
    uint64_t draw;
    world_random(w, &draw, sizeof draw);
    work->burn(work, run_span(draw));
    do_harm(w, t->deed, tasks);
}

/* ---- Callers ---- */

static enum deed choose_deed(struct scene *s, struct rand *r)
{
    if (sim_now(s->sim) >= FAULTS_NS || !rand_ppm(r, 60000))
        return WORK;
    return DIE + (enum deed)rand_below(r, 4);
}

static size_t make_input(char *text, unsigned which, struct rand *r)
{
    size_t fill = rand_ppm(r, 100000) ? rand_below(r, LARGE) : rand_below(r, 60);
    int len = snprintf(text, 32, "[\"%u\",\"", which);
    memset(text + len, 'a' + (int)(which % 26), fill);
    memcpy(text + (size_t)len + fill, "\"]", 2);
    return (size_t)len + fill + 2;
}

static void judge(struct scene *s, unsigned which, const struct pool_call *c, int rc, int64_t began)
{
    const struct try *t = &s->tries[which];
    int64_t took = sim_now(s->sim) - began;
    sim_check(s->sim, began < CALM_NS || (took <= SOON_NS && t->runs == 1),
        "call %u took %lld us and ran %u times although nothing was wrong any more", which,
        (long long)(took / NS_PER_US), t->runs);
    if (rc == 0) {
        sim_check(s->sim, span_equal(c->input, c->output),
            "call %u was answered with something else", which);
        sim_check(s->sim, t->deed == WORK, "call %u was answered by who did harm", which);
        sim_check(s->sim, t->runs >= 1, "call %u was answered by nobody", which);
        s->done++;
        return;
    }
    s->failed++;
    bool clear = rc == -ETIMEDOUT || c->outcome == POOL_DIED || c->outcome == POOL_TIMEOUT ||
                 c->outcome == POOL_UNAVAILABLE || c->outcome == POOL_OVERLOADED;
    sim_check(s->sim, clear, "call %u failed in a way that says nothing: outcome %d, error %d: %s",
        which, (int)c->outcome, -rc, c->error.sentence);
    sim_check(s->sim, began < CALM_NS || t->deed != WORK,
        "call %u failed (%d: %s) although nothing was wrong any more", which, (int)c->outcome,
        c->error.sentence);
}

static void call_once(struct scene *s, struct pool_client *d, struct rand *r, char *text)
{
    struct world *w = d->world;
    unsigned which = s->calls++;
    sim_check(s->sim, which < CALLS_MAX, "more calls than there is room for");
    s->tries[which] = (struct try){.deed = choose_deed(s, r), .retry = rand_ppm(r, 500000)};
    struct pool_call c = POOL_CALL(.input = {text, make_input(text, which, r)},
        .retry = s->tries[which].retry, .name = SPAN("r"));
    bool hurried = sim_now(s->sim) < FAULTS_NS && rand_ppm(r, 200000);
    int64_t began = sim_now(s->sim);
    int64_t limit = hurried ? (int64_t)rand_below(r, 3 * (uint64_t)NS_PER_MS) : 60 * NS_PER_S;
    s->tries[which].deadline = began + limit;
    CORO_DEADLINE(world_now(w) + limit);
    int rc = pool_call(d, s->pool, &c);
    judge(s, which, &c, rc, began);
    pool_call_release(&c);
}

struct caller {
    struct scene *scene;
    struct pool_client *client;
};

static void seed_from(struct rand *r, struct world *w)
{
    uint64_t seed;
    world_random(w, &seed, sizeof seed);
    rand_init(r, seed);
}

static int block(struct scene *s, struct world *w, int64_t ns)
{
    s->stalled++;
    int rc = sim_block(w, ns);
    s->stalled--;
    return rc;
}

/* Now and then nobody on this thread can leave when it is late, nor hear of a worker's end. */
static int stall_loop(void *arg)
{
    const struct caller *c = arg;
    struct world *w = c->client->world;
    struct rand r;
    seed_from(&r, w);
    int rc = 0;
    while (rc == 0 && sim_now(c->scene->sim) < FAULTS_NS) {
        rc = world_sleep(w, rand_exponential(&r, 100 * NS_PER_MS));
        if (rc == 0)
            rc = block(c->scene, w, rand_exponential(&r, 2 * NS_PER_MS));
    }
    return rc;
}

static int call_until_over(void *arg)
{
    struct caller *c = arg;
    struct world *w = c->client->world;
    struct rand r;
    seed_from(&r, w);
    char *text = mem_alloc(LARGE + 64);
    if (!text)
        return -ENOMEM;
    int rc = 0;
    while (rc == 0 && sim_now(c->scene->sim) < OVER_NS) {
        bool calm = sim_now(c->scene->sim) > FAULTS_NS && sim_now(c->scene->sim) < CALM_NS;
        call_once(c->scene, c->client, &r, text);
        rc = world_sleep(w, rand_exponential(&r, calm ? NS_PER_S : 30 * NS_PER_MS));
    }
    mem_free(text);
    return rc;
}

/* ---- A server ---- */

/* Hands live on loops; and those of forks share a zygote, whose death they hear of when they are
 * woken. */
static bool hands_are_held_up(void *ctx)
{
    const struct scene *s = ctx;
    if (s->stalled > 0 || s->conf.kind == CONF_POOL_PROCESSES)
        return s->stalled > 0;
    return s->ill > 0 || workers.zygotes == 0 || atomic_load(&s->pool->workers) == 0;
}

static int run_client(struct world *w, void *arg)
{
    struct scene *s = scene;
    unsigned index = *(const unsigned *)arg;
    struct pool_client *d;
    struct rand r;
    struct error e;
    seed_from(&r, w);
    int rc = pool_client_new(&d, s->pools, index, w);
    if (rc)
        return rc;
    s->clients[index] = d;
    {
        GROUP(client, GROUP_INDEPENDENT);
        rc = group_spawn(&client, "desk", pool_client_run, d);
        if (rc == 0)
            rc = pool_client_ready(d, &e);
        struct queue_watch eye = {.sim = s->sim,
            .queue = &s->pool->queue,
            .world = w,
            .excused = hands_are_held_up,
            .ctx = s,
            .rand = &r};
        GROUP(beside, GROUP_INDEPENDENT);
        GROUP(callers, GROUP_INDEPENDENT);
        struct caller caller = {s, d};
        if (rc == 0 && index == 0)
            rc = group_spawn(&beside, "watch", queue_watch_run, &eye);
        if (rc == 0)
            rc = group_spawn(&beside, "stall", stall_loop, &caller);
        for (int i = 0; i < CALLERS / 2 && rc == 0; i++)
            rc = group_spawn(&callers, "caller", call_until_over, &caller);
        if (rc == 0)
            rc = group_wait(&callers);
        eye.over = true;
        if (rc == 0)
            rc = group_wait(&beside);
        if (index == 0 && rc == 0)
            sim_check(s->sim, pools_ready(s->pools), "the pool is not ready in the end");
        pool_client_leave(d);
        if (rc == 0)
            rc = group_wait(&client);
    }
    pool_client_free(d);
    return rc;
}

static void configure(struct scene *s, enum conf_pool_kind kind)
{
    s->start_ns = kind == CONF_POOL_FORK ? FORK_NS : HAND_OVER_NS;
    s->conf = (struct conf_pool){.name = "p",
        .kind = kind,
        .size = WORKERS,
        .queue = 64,
        .start = NS_PER_S,
        .value = LARGE + 64,
        .max_tasks = s->kills && kind == CONF_POOL_PROCESSES ? 50 : 0,
        .hard_timeout = 100 * NS_PER_MS};
    s->node = (struct conf_flow_node){.name = "n", .work = {.step = "echo", .pool = "p"}};
    s->route = (struct conf_route){.nodes = &s->node, .node_count = 1};
    s->config =
        (struct config){.pools = &s->conf, .pool_count = 1, .routes = &s->route, .route_count = 1};
}

static int serve(struct world *w, void *arg)
{
    struct scene *s = arg;
    static const unsigned indices[] = {0, 1};
    struct pools_options options = {.config = &s->config,
        .clients = 2,
        .cores = 2,
        .worker_argv = workers_argv,
        .log = world_log(w)};
    struct thread *second;
    struct error e;
    int result = 0;
    int rc = pools_new(&s->pools, &options, &e);
    if (rc)
        return rc;
    s->pool = pools_find(s->pools, "p");
    unsigned first_index = indices[0];
    unsigned second_index = indices[1];
    rc = world_thread(w, "io 1", run_client, &second_index, &second);
    if (rc == 0) {
        rc = run_client(w, &first_index);
        int waited = thread_wait(second, &result);
        thread_close(second);
        rc = rc ? rc : waited ? waited : result;
    }
    pools_free(s->pools);
    return rc;
}

/* ---- The scenes ---- */

/* A zygote that is told to fork does harm instead. */
static void harm_zygote(void *ctx, struct world *w)
{
    struct scene *s = ctx;
    uint64_t draw;
    world_random(w, &draw, sizeof draw);
    if (sim_now(s->sim) >= FAULTS_NS || draw % 100 >= 4)
        return;
    static const enum deed deeds[] = {DIE, GARBAGE, HANG_UP, CLOSE};
    s->ill++;
    do_harm(w, deeds[draw / 100 % 4], sim_channel(w));
    s->ill--;
}

/* From its first task on, the canary, a zygote can fork no more. */
static void refuse_forks(void *ctx, struct world *w)
{
    struct scene *s = ctx;
    uint32_t fail_ppm = sim_now(s->sim) < FAULTS_NS ? 1000000 : 0;
    sim_tasks(sim_process_host(sim_self(w)), &(struct sim_tasks){.fail_ppm = fail_ppm});
}

static void finish(struct scene *s, struct sim_process *server)
{
    struct sim *sim = s->sim;
    int rc = sim_run(sim, OVER_NS + 600 * NS_PER_S);
    sim_check(sim, rc == 0, "the simulation ended with error %d", -rc);
    struct sim_end end = sim_process_end(server);
    sim_check(sim, end.state == SIM_EXITED && end.result == 0,
        "the server did not end well: state %d, result %d", (int)end.state, end.result);
    sim_check(sim, sim_process_unclosed(server) == 0, "the server left %u things open",
        sim_process_unclosed(server));
    sim_check(sim, workers.count == 0, "%u workers are left", workers.count);
    sim_check(sim, s->done + s->failed == s->calls, "%u calls, %u outcomes", s->calls,
        s->done + s->failed);
    sim_check(sim, s->done > 50, "only %u calls were answered", s->done);
}

static void run(struct sim *sim, enum conf_pool_kind kind, bool kills,
    void (*before_fork)(void *ctx, struct world *w))
{
    static struct scene only; /* workers may run after a failure, until the universe is closed */
    struct scene *s = scene = &only;
    *s = (struct scene){.sim = sim, .kills = kills};
    configure(s, kind);
    workers_init(&workers, sim);
    workers.ctx = s;
    workers.overrides = step_watch(run_here, NULL);
    workers.before_fork = before_fork;
    struct sim_host *host = sim_host(sim, &(struct sim_host_options){.name = "server", .cores = 8});
    struct sim_process *server = sim_start(host, "server", serve, s);
    int rc = 0;
    if (kills)
        rc = sim_chaos(sim, &(struct sim_chaos){.until = FAULTS_NS,
                                .lasts_ns = 100 * NS_PER_MS,
                                .kill_ns = 50 * NS_PER_MS,
                                .tasks_ns = 300 * NS_PER_MS});
    sim_check(sim, rc == 0, "the scene cannot be set: %d", rc);
    finish(s, server);
}

/* Workers do harm by themselves. */
static void harm(struct sim *sim)
{
    run(sim, CONF_POOL_PROCESSES, false, NULL);
}

/* And are killed at random, and replaced after some tasks. */
static void deaths(struct sim *sim)
{
    run(sim, CONF_POOL_PROCESSES, true, NULL);
}

/* Forks do, and zygotes. */
static void fork_harm(struct sim *sim)
{
    run(sim, CONF_POOL_FORK, false, harm_zygote);
}

static void fork_deaths(struct sim *sim)
{
    run(sim, CONF_POOL_FORK, true, NULL);
}

static void fork_limit(struct sim *sim)
{
    run(sim, CONF_POOL_FORK, false, refuse_forks);
}

int main(int argc, char **argv)
{
    const struct sim_options pieces = {.short_reads_ppm = 100000, .short_writes_ppm = 100000};
    const struct scenario scenarios[] = {
        {.name = "harm", .run = harm, .options = pieces},
        {.name = "deaths", .run = deaths, .options = pieces},
        {.name = "fork_harm", .run = fork_harm, .options = pieces},
        {.name = "fork_deaths", .run = fork_deaths, .options = pieces},
        {.name = "fork_limit", .run = fork_limit, .options = pieces},
    };
    return run_scenarios(argc, argv, scenarios, sizeof scenarios / sizeof *scenarios);
}
