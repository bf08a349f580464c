/*
 * pool.c: pools of threads on a simulated host of few cores, that are asked for too much at times,
 * by callers that leave, from several I/O threads: each call has one outcome, and that one is true;
 * what is late does not start, nothing starts twice, nobody who can wait waits for ever, and no
 * hand is idle while a task waits in the queue.
 */
#include "../one_call.h"
#include "queue_watch.h"
#include "runner.h"
#include "step_watch.h"

#include "base/mem.h"
#include "base/rand.h"
#include "coro/group.h"
#include "coro/sync.h"
#include "pool/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALLERS_MAX   (30 * DESKS_MAX)
#define DESKS_MAX     3
#define CALLS_MAX     12000
#define SPAN_NS       (1200 * NS_PER_MS)
#define COST_US_MAX   60000
#define HURRIED_CALLS 12
#define HURRY_NS      (200 * NS_PER_US)
#define BRIEF_US_MAX  40

/* Steps of the pool. Brief ones are handed over several at once. */
enum what { ECHO, BURN, BRIEF };

struct record {
    unsigned started;
    bool ended;
    enum pool_outcome outcome;
};

struct scene {
    struct sim *sim;
    int64_t clock; /* the host's, at universe time 0 */
    struct conf_pool conf;
    struct conf_step brief;
    struct conf_flow_node nodes[3];
    struct conf_route route;
    struct config config;
    struct pools *pools;
    struct pool *pool;
    unsigned clients;
    unsigned callers; /* a client */
    int64_t pause_ns; /* between two calls of one caller, on average */
    unsigned called;
    unsigned outcomes[POOL_OUTCOMES];
    int64_t longest_wait_ns;
    uint64_t full; /* calls refused since the queue was */
    bool loops_stall;
    struct record records[CALLS_MAX + CALLERS_MAX + HURRIED_CALLS * DESKS_MAX];
};

static struct scene *scene;

/* ---- What is started ---- */

static void see_start(struct weir_task *started, size_t together)
{
    const struct task *t = step_watch_task(started);
    struct scene *s = scene;
    sim_check(s->sim, t, "a step runs outside of the server");
    if (!t || !t->client || !t->name[0]) /* what the pool asks of itself has no name */
        return;
    unsigned id = (unsigned)strtoul(t->name, NULL, 10);
    struct record *r = &s->records[id];
    sim_check(s->sim, t->item.deadline > s->clock + sim_now(s->sim), "task %u starts late", id);
    sim_check(s->sim, !r->ended, "task %u starts after its outcome was told", id);
    sim_check(s->sim, r->started++ == 0, "task %u starts twice", id);
}

/* ---- Calls ---- */

struct one {
    struct scene *scene;
    struct pool_client *client;
    struct rand *rand;
    bool hurried; /* its calls are brief, and due at once */
};

static unsigned draw_cost_us(struct rand *r)
{
    if (rand_ppm(r, 500000))
        return (unsigned)rand_below(r, 20);
    if (rand_ppm(r, 900000))
        return (unsigned)rand_below(r, 3000);
    return (unsigned)rand_below(r, COST_US_MAX);
}

static bool is_known(enum pool_outcome outcome, int rc)
{
    switch (outcome) {
    case POOL_DONE:
        return rc == 0;
    case POOL_OVERLOADED:
        return rc == -ENOBUFS;
    case POOL_EXPIRED:
        return rc == -ETIMEDOUT;
    case POOL_CANCELLED:
        return rc == -ECANCELED;
    default:
        return false;
    }
}

static void judge(
    struct scene *s, unsigned id, const struct pool_call *c, int rc, int64_t deadline, bool echo)
{
    struct record *r = &s->records[id];
    sim_check(s->sim, is_known(c->outcome, rc), "call %u: '%s' with error %d: %s", id,
        pool_outcome_name(c->outcome), rc, c->error.sentence);
    sim_check(s->sim, !r->ended, "call %u has two outcomes", id);
    r->ended = true;
    r->outcome = c->outcome;
    s->outcomes[c->outcome]++;
    if (c->outcome == POOL_EXPIRED)
        sim_check(s->sim, deadline <= s->clock + sim_now(s->sim), "call %u expired early", id);
    if (c->outcome != POOL_DONE)
        return;
    char text[32];
    snprintf(text, sizeof text, "%u", id);
    sim_check(s->sim, r->started == 1, "call %u is done, and was started %u times", id, r->started);
    sim_check(s->sim, !echo || span_equal(c->output, span_of(text)), "call %u was answered '%.*s'",
        id, SPAN_ARG(c->output));
    if (c->queue_ns > s->longest_wait_ns)
        s->longest_wait_ns = c->queue_ns;
}

static int call_once(void *arg)
{
    struct one *one = arg;
    struct scene *s = one->scene;
    struct rand *r = one->rand;
    if (s->called == CALLS_MAX)
        return 0;
    unsigned id = s->called++;
    char input[32];
    char name[16];
    enum what what = one->hurried || rand_ppm(r, 400000) ? BRIEF
                     : rand_ppm(r, 500000)               ? ECHO
                                                         : BURN;
    bool echo = what == ECHO;
    unsigned us = what == BRIEF ? (unsigned)rand_below(r, BRIEF_US_MAX) : draw_cost_us(r);
    snprintf(name, sizeof name, "%u", id);
    snprintf(input, sizeof input, echo ? "%u" : "{\"us\": %u}", echo ? id : us);
    int64_t now = world_now(one->client->world);
    int64_t limit =
        one->hurried ? rand_between(r, 0, HURRY_NS) : rand_exponential(r, 20 * NS_PER_MS);
    CORO_DEADLINE(one->hurried || rand_ppm(r, 500000) ? now + limit : DEADLINE_NEVER);
    struct pool_call c = POOL_CALL(.step = what, .input = span_of(input), .name = span_of(name),
        .route = (unsigned)rand_below(r, 3), .priority = (int)rand_between(r, -2, 2));
    int rc = pool_call(one->client, s->pool, &c);
    judge(s, id, &c, rc, coro_deadline(), echo);
    pool_call_release(&c);
    return 0;
}

/* A call that is cancelled after a while, if it lasts so long. */
static int call_and_leave(struct one *one)
{
    GROUP(call, GROUP_INDEPENDENT);
    int rc = group_spawn(&call, "call", call_once, one);
    if (rc == 0)
        rc = world_sleep(one->client->world, rand_exponential(one->rand, 5 * NS_PER_MS));
    group_cancel(&call);
    return rc ? rc : group_wait(&call);
}

static int call_many(void *arg)
{
    struct one *one = arg;
    struct scene *s = one->scene;
    int rc = 0;
    while (rc == 0 && sim_now(s->sim) < SPAN_NS && s->called < CALLS_MAX) {
        rc = rand_ppm(one->rand, 150000) ? call_and_leave(one) : call_once(one);
        if (rc == 0)
            rc = world_sleep(one->client->world, rand_exponential(one->rand, s->pause_ns));
    }
    return rc;
}

/* ---- I/O threads ---- */

/* Calls that are late soon, of which each worker takes several; and while they wait, there or in
 * the queue, their callers cannot leave: who starts them must see that it is too late. */
static int stall_once(struct one *one)
{
    struct scene *s = one->scene;
    struct world *w = one->client->world;
    struct one hurried = {.scene = s, .client = one->client, .rand = one->rand, .hurried = true};
    GROUP(calls, GROUP_INDEPENDENT);
    int rc = 0;
    for (unsigned i = 0; i < HURRIED_CALLS && rc == 0 && s->called < CALLS_MAX; i++)
        rc = group_spawn(&calls, "hurried", call_once, &hurried);
    if (rc == 0)
        rc = world_sleep(w, rand_between(one->rand, 0, HURRY_NS / 4));
    if (rc == 0)
        rc = sim_block(w, rand_exponential(one->rand, 5 * NS_PER_MS));
    return rc ? rc : group_wait(&calls);
}

static int stall_loop(void *arg)
{
    struct one *one = arg;
    struct scene *s = one->scene;
    int rc = 0;
    while (rc == 0 && sim_now(s->sim) < SPAN_NS) {
        rc = world_sleep(one->client->world, rand_exponential(one->rand, 80 * NS_PER_MS));
        if (rc == 0)
            rc = stall_once(one);
    }
    return rc;
}

static int run_calls(struct scene *s, struct pool_client *d, struct rand *r, bool watches)
{
    struct one one = {.scene = s, .client = d, .rand = r};
    struct queue_watch eye = {
        .sim = s->sim, .queue = &s->pool->queue, .world = d->world, .rand = r};
    GROUP(callers, GROUP_FAIL_FAST);
    GROUP(beside, GROUP_FAIL_FAST);
    int rc = watches ? group_spawn(&beside, "watch", queue_watch_run, &eye) : 0;
    if (rc == 0 && s->loops_stall)
        rc = group_spawn(&beside, "stall", stall_loop, &one);
    for (unsigned i = 0; i < s->callers && rc == 0; i++)
        rc = group_spawn(&callers, "caller", call_many, &one);
    if (rc == 0)
        rc = group_wait(&callers);
    eye.over = true;
    return rc ? rc : group_wait(&beside);
}

static int run_client(struct scene *s, struct world *w, unsigned index)
{
    struct rand r;
    struct error e;
    struct pool_client *d;
    uint64_t seed;
    world_random(w, &seed, sizeof seed);
    rand_init(&r, seed);
    int rc = pool_client_new(&d, s->pools, index, w);
    if (rc)
        return rc;
    {
        GROUP(client, GROUP_FAIL_FAST);
        rc = group_spawn(&client, "desk", pool_client_run, d);
        if (rc == 0)
            rc = pool_client_ready(d, &e);
        if (rc == 0)
            rc = run_calls(s, d, &r, index == 0);
        pool_client_leave(d);
        if (rc == 0)
            rc = group_wait(&client);
    }
    pool_client_free(d);
    return rc;
}

struct io {
    struct scene *scene;
    unsigned index;
    struct thread *thread;
};

static int run_io(struct world *w, void *arg)
{
    struct io *io = arg;
    return run_client(io->scene, w, io->index);
}

static int serve(struct world *w, void *arg)
{
    struct scene *s = arg;
    struct io io[DESKS_MAX];
    struct error e;
    s->clock = world_now(w) - sim_now(s->sim);
    struct pools_options options = {.config = &s->config,
        .clients = s->clients,
        .cores = world_cores(w),
        .overrides = step_watch(see_start, NULL),
        .log = world_log(w)};
    int rc = pools_new(&s->pools, &options, &e);
    if (rc)
        return rc;
    s->pool = pools_find(s->pools, "p");
    unsigned started = 1;
    for (; started < s->clients && rc == 0; started++) {
        io[started] = (struct io){.scene = s, .index = started};
        rc = world_thread(w, "io", run_io, &io[started], &io[started].thread);
    }
    if (rc == 0)
        rc = run_client(s, w, 0);
    for (unsigned i = 1; i < started && rc == 0; i++) {
        int result = 0;
        rc = thread_wait(io[i].thread, &result);
        if (rc == 0) {
            thread_close(io[i].thread);
            rc = result;
        }
    }
    s->full = atomic_load(&s->pool->queue.refused[REFUSED_FULL]);
    pools_free(s->pools);
    return rc;
}

/* ---- The scenes ---- */

static int pause_host(struct sim *sim, void *arg)
{
    struct sim_host *host = arg;
    int rc = 0;
    while (rc == 0 && sim_now(sim) < SPAN_NS) {
        rc = sim_sleep(sim, rand_exponential(sim_rand(sim), 300 * NS_PER_MS));
        sim_pause(host, rand_exponential(sim_rand(sim), 30 * NS_PER_MS));
    }
    return rc;
}

static void finish(struct scene *s, struct sim_process *p)
{
    int rc = sim_run(s->sim, SPAN_NS + 600 * NS_PER_S);
    sim_check(s->sim, rc == 0, "the simulation ended with error %d", -rc);
    struct sim_end end = sim_process_end(p);
    sim_check(s->sim, end.state == SIM_EXITED && end.result == 0,
        "it did not end well: state %d, result %d", (int)end.state, end.result);
    sim_check(
        s->sim, sim_process_unclosed(p) == 0, "%u things were left open", sim_process_unclosed(p));
    unsigned ended = 0;
    for (unsigned i = 0; i < s->called; i++)
        ended += s->records[i].ended;
    sim_check(s->sim, ended == s->called, "%u calls of %u have an outcome", ended, s->called);
    sim_check(s->sim, s->outcomes[POOL_DONE] > 0, "nothing was ever done");
    sim_check(s->sim, s->longest_wait_ns < QUEUE_PATIENCE_NS + 60 * NS_PER_S,
        "a task waited %lld ms", (long long)(s->longest_wait_ns / NS_PER_MS));
}

static void run_scene(struct sim *sim, bool pauses, bool overload)
{
    struct rand *r = sim_rand(sim);
    struct scene *s = mem_zalloc(sizeof(*s));
    sim_check(sim, s != NULL, "no memory for the scene");
    if (!s)
        return;
    scene = s;
    s->sim = sim;
    s->clients = (unsigned)rand_between(r, 1, DESKS_MAX);
    s->callers = (unsigned)rand_between(r, 2, overload ? CALLERS_MAX / DESKS_MAX : 10);
    s->loops_stall = pauses || overload;
    s->pause_ns = overload ? NS_PER_MS : 20 * NS_PER_MS;
    s->conf = (struct conf_pool){.name = "p",
        .kind = CONF_POOL_THREADS,
        .size = (unsigned)rand_between(r, 1, 4),
        .queue = overload ? (unsigned)rand_between(r, 2, 60) : 1000,
        .start = NS_PER_S,
        .value = 1000};
    s->nodes[0] = (struct conf_flow_node){.name = "a", .work = {.step = "echo", .pool = "p"}};
    s->nodes[1] = (struct conf_flow_node){.name = "b", .work = {.step = "burn", .pool = "p"}};
    s->brief = (struct conf_step){.name = "brief", .step = "burn", .pool = "p"};
    s->nodes[2] = (struct conf_flow_node){.name = "c", .work = {.step = "brief", .pool = "p"}};
    s->route = (struct conf_route){.nodes = s->nodes, .node_count = 3};
    s->config = (struct config){.pools = &s->conf,
        .pool_count = 1,
        .steps = &s->brief,
        .step_count = 1,
        .routes = &s->route,
        .route_count = 1};
    struct sim_host *host = sim_host(sim,
        &(struct sim_host_options){.name = "server", .cores = (unsigned)rand_between(r, 1, 4)});
    struct sim_process *p = sim_start(host, "server", serve, s);
    if (pauses) {
        int rc = sim_direct(sim, "pauses", pause_host, host);
        sim_check(sim, rc == 0, "no director: error %d", -rc);
    }
    finish(s, p);
    if (!overload)
        sim_check(sim, s->full == 0, "a queue of 1000 was full");
    mem_free(s);
}

static void calm(struct sim *sim)
{
    run_scene(sim, false, false);
}

static void overload(struct sim *sim)
{
    run_scene(sim, false, true);
}

static void stalls(struct sim *sim)
{
    run_scene(sim, true, true);
}

int main(int argc, char **argv)
{
    const struct scenario scenarios[] = {
        {.name = "calm", .run = calm},
        {.name = "overload", .run = overload},
        {.name = "stalls", .run = stalls},
    };
    return run_scenarios(argc, argv, scenarios, sizeof scenarios / sizeof *scenarios);
}
