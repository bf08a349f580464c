/*
 * pool_load.c: pools that are asked for more than they can do, by callers that come whether or not
 * the ones before have been answered: how much is done in time, who is refused and how soon, who
 * gets which share, who waits how long; and that all is as ever when the load has gone.
 */
#include "../one_call.h"
#include "runner.h"
#include "step_watch.h"

#include "base/mem.h"
#include "base/rand.h"
#include "coro/group.h"
#include "pool/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define KINDS_MAX 4
#define FUSED     3
#define WARM_NS   NS_PER_S /* until costs are known, and what is to stand stands */

/* Calls of one kind, and what came of them. */
struct kind {
    unsigned route;
    int priority;
    int64_t cost_ns;     /* up to half more or less */
    double load;         /* work that comes in a second, by what all workers can do in one */
    int64_t deadline_ns; /* 0: none */
    bool batched;
    bool fused; /* FUSED steps a call */
    bool jumps; /* after half of the load's time it costs five times as much */
    /* Told: of calls after the warm-up, while there is load. */
    unsigned calls;
    unsigned done;
    unsigned refused;
    unsigned late; /* otherwise not done */
    unsigned slow_refusals;
    int64_t work_ns;       /* that was done */
    int64_t longest_ns;    /* of those that were done, from call to answer */
    int64_t longest_after; /* likewise of those that came a second after the load's end */
    unsigned bad_after;
};

struct scene {
    struct sim *sim;
    int64_t clock;
    unsigned workers;
    int64_t span_ns; /* of the load; then as long again a third of it at most */
    struct kind kinds[KINDS_MAX];
    unsigned kind_count;
    struct conf_pool conf;
    struct conf_step steps[KINDS_MAX]; /* of each kind, since costs are known by step */
    struct conf_flow_node nodes[KINDS_MAX];
    struct conf_route route;
    struct config config;
    struct pools *pools;
    struct pool *pool;
    struct pool_client *client;
    struct rand rand;
    unsigned together; /* the most tasks that were called at once */
    unsigned starts, late_starts;
};

static struct scene *scene;

static void see_start(struct weir_task *started, size_t together)
{
    const struct task *t = step_watch_task(started);
    struct scene *s = scene;
    s->starts++;
    if (t && t->client && t->item.deadline <= s->clock + sim_now(s->sim))
        s->late_starts++;
}

static int64_t end_of_load(const struct scene *s)
{
    return WARM_NS + s->span_ns;
}

/* ---- A call ---- */

struct one {
    struct scene *scene;
    struct kind *kind;
};

static void count(
    struct scene *s, struct kind *k, const struct pool_call *c, int64_t began, int64_t work_ns)
{
    int64_t took = sim_now(s->sim) - began;
    if (c->outcome == POOL_OVERLOADED)
        sim_check(s->sim, c->retry_after > 0, "refused, and not told for how long");
    if (began >= end_of_load(s) + NS_PER_S) {
        k->bad_after += c->outcome != POOL_DONE;
        k->longest_after = took > k->longest_after ? took : k->longest_after;
    }
    if (began < WARM_NS || began >= end_of_load(s))
        return;
    k->calls++;
    if (c->outcome == POOL_OVERLOADED) {
        k->refused++;
        k->slow_refusals += took > 5 * NS_PER_MS;
    } else if (c->outcome != POOL_DONE) {
        k->late++;
    } else {
        k->done++;
        k->work_ns += work_ns;
        k->longest_ns = took > k->longest_ns ? took : k->longest_ns;
    }
}

static int call_once(void *arg)
{
    const struct one *one = arg;
    struct scene *s = one->scene;
    struct kind *k = one->kind;
    mem_free(arg);
    int64_t began = sim_now(s->sim);
    int64_t work_ns = k->cost_ns / 2 + (int64_t)rand_below(&s->rand, (uint64_t)k->cost_ns);
    if (k->jumps && began >= WARM_NS + s->span_ns / 2 && began < end_of_load(s))
        work_ns *= 5;
    char input[40];
    snprintf(input, sizeof input, "{\"us\": %lld}", (long long)(work_ns / NS_PER_US));
    struct pool_call calls[FUSED];
    struct pool_call *all[FUSED];
    for (unsigned i = 0; i < FUSED; i++) {
        calls[i] = POOL_CALL(.step = (unsigned)(k - s->kinds), .input = span_of(input),
            .route = k->route, .priority = k->priority);
        if (k->deadline_ns)
            calls[i].deadline = world_now(s->client->world) + k->deadline_ns;
        all[i] = &calls[i];
    }
    int rc = k->fused ? pool_call_all(s->client, s->pool, all, FUSED, POOL_FUSED, NULL)
                      : pool_call(s->client, s->pool, &calls[0]);
    (void)rc; /* the outcomes say it */
    for (unsigned i = 0; i < (k->fused ? FUSED : 1); i++) {
        count(s, k, &calls[i], began, work_ns);
        if (calls[i].held && calls[i].held->together > s->together)
            s->together = calls[i].held->together;
        pool_call_release(&calls[i]);
    }
    return 0;
}

/* Poisson's arrivals: at their load, and after its end at a third of what can be done. */
static int arrive(void *arg)
{
    struct kind *k = arg;
    struct scene *s = scene;
    GROUP(calls, GROUP_INDEPENDENT);
    int rc = 0;
    for (;;) {
        double load = sim_now(s->sim) < end_of_load(s) || k->load < 0.3 ? k->load : 0.3;
        int64_t work = k->cost_ns * (k->fused ? FUSED : 1);
        int64_t pause = (int64_t)((double)work / (double)s->workers / load);
        rc = world_sleep(s->client->world, rand_exponential(&s->rand, pause));
        if (rc || sim_now(s->sim) >= end_of_load(s) + 2 * NS_PER_S)
            break;
        struct one *one = mem_alloc(sizeof(*one));
        if (!one)
            return -ENOMEM;
        *one = (struct one){s, k};
        rc = group_spawn(&calls, "call", call_once, one);
        if (rc)
            return rc;
    }
    return rc ? rc : group_wait(&calls);
}

/* ---- The host ---- */

static int run_load(struct scene *s)
{
    GROUP(kinds, GROUP_FAIL_FAST);
    int rc = 0;
    for (unsigned i = 0; i < s->kind_count && rc == 0; i++)
        rc = group_spawn(&kinds, "kind", arrive, &s->kinds[i]);
    return rc ? rc : group_wait(&kinds);
}

static int serve(struct world *w, void *arg)
{
    struct scene *s = arg;
    struct error e;
    s->clock = world_now(w) - sim_now(s->sim);
    struct pools_options options = {.config = &s->config,
        .clients = 1,
        .cores = world_cores(w),
        .overrides = step_watch(see_start, NULL),
        .log = world_log(w)};
    int rc = pools_new(&s->pools, &options, &e);
    if (rc == 0)
        rc = pool_client_new(&s->client, s->pools, 0, w);
    if (rc)
        return rc;
    s->pool = pools_find(s->pools, "p");
    {
        GROUP(client, GROUP_FAIL_FAST);
        rc = group_spawn(&client, "desk", pool_client_run, s->client);
        if (rc == 0)
            rc = pool_client_ready(s->client, &e);
        if (rc == 0)
            rc = run_load(s);
        pool_client_leave(s->client);
        if (rc == 0)
            rc = group_wait(&client);
    }
    pool_client_free(s->client);
    pools_free(s->pools);
    return rc;
}

static void run_kinds(struct scene *s)
{
    scene = s;
    rand_init(&s->rand, rand_u64(sim_rand(s->sim)));
    s->conf = (struct conf_pool){.name = "p",
        .kind = CONF_POOL_THREADS,
        .size = s->workers,
        .queue = 10000,
        .start = NS_PER_S,
        .value = 1000};
    for (unsigned i = 0; i < s->kind_count; i++) {
        static const char *const names[KINDS_MAX] = {"a", "b", "c", "d"};
        s->steps[i] =
            (struct conf_step){.name = names[i], .step = "burn", .pool = "p", .batch = {.max = 1}};
        if (s->kinds[i].batched)
            s->steps[i].batch = (struct conf_batch){.max = 8, .wait = NS_PER_MS};
        s->nodes[i] =
            (struct conf_flow_node){.name = names[i], .work = {.step = names[i], .pool = "p"}};
    }
    s->route = (struct conf_route){.nodes = s->nodes, .node_count = s->kind_count};
    s->config = (struct config){.pools = &s->conf,
        .pool_count = 1,
        .steps = s->steps,
        .step_count = s->kind_count,
        .routes = &s->route,
        .route_count = 1};
    struct sim_host *host =
        sim_host(s->sim, &(struct sim_host_options){.name = "server", .cores = s->workers + 1});
    struct sim_process *p = sim_start(host, "server", serve, s);
    int rc = sim_run(s->sim, 600 * NS_PER_S);
    sim_check(s->sim, rc == 0, "the simulation ended with error %d", -rc);
    struct sim_end end = sim_process_end(p);
    sim_check(s->sim, end.state == SIM_EXITED && end.result == 0,
        "it did not end well: state %d, result %d", (int)end.state, end.result);
    sim_check(s->sim, s->starts > 0, "no start was seen");
    sim_check(s->sim, s->late_starts == 0, "%u tasks were started late", s->late_starts);
    if (getenv("VERBOSE"))
        for (unsigned i = 0; i < s->kind_count; i++) {
            const struct kind *k = &s->kinds[i];
            fprintf(stderr,
                "kind %u: %u calls, %u done (%.3f of the limit), %u refused (%u slowly), %u late, "
                "longest %lld ms, after %lld ms (%u not done); together %u\n",
                i, k->calls, k->done, (double)k->work_ns / (double)s->span_ns / (double)s->workers,
                k->refused, k->slow_refusals, k->late, (long long)(k->longest_ns / NS_PER_MS),
                (long long)(k->longest_after / NS_PER_MS), k->bad_after, s->together);
        }
}

static struct scene *new_scene(struct sim *sim, const struct kind *kinds, unsigned count)
{
    struct scene *s = mem_zalloc(sizeof(*s));
    sim_check(sim, s != NULL, "no memory for the scene");
    if (!s)
        abort();
    s->sim = sim;
    s->workers = (unsigned)rand_between(sim_rand(sim), 1, 3);
    s->span_ns = 4 * NS_PER_S;
    s->kind_count = count;
    for (unsigned i = 0; i < count; i++)
        s->kinds[i] = kinds[i];
    return s;
}

static double share_of(const struct scene *s, const struct kind *k)
{
    return (double)k->work_ns / (double)s->span_ns / (double)s->workers;
}

/* ---- The scenes ---- */

static void check_overload(struct scene *s, double least)
{
    const struct kind *k = &s->kinds[0];
    double share = share_of(s, k);
    unsigned bad = k->refused + k->late;
    sim_check(s->sim, share >= least, "%.3f of what could be done was done in time", share);
    sim_check(s->sim, k->late * 100 <= k->calls, "%u calls of %u were late", k->late, k->calls);
    sim_check(s->sim, (k->slow_refusals + k->late) * 100 <= bad + 100,
        "%u of %u refusals were not at once", k->slow_refusals + k->late, bad);
    sim_check(
        s->sim, k->bad_after == 0, "%u calls failed a second after the load's end", k->bad_after);
    sim_check(s->sim, k->longest_after < 10 * k->cost_ns,
        "a call took %lld ms a second after the load's end",
        (long long)(k->longest_after / NS_PER_MS));
}

static void overload(struct sim *sim)
{
    const int64_t costs[] = {3 * NS_PER_MS, 10 * NS_PER_MS, 30 * NS_PER_MS};
    struct kind kind = {
        .cost_ns = costs[rand_below(sim_rand(sim), 3)], .load = 3, .deadline_ns = 500 * NS_PER_MS};
    struct scene *s = new_scene(sim, &kind, 1);
    run_kinds(s);
    check_overload(s, 0.9);
    mem_free(s);
}

static void slight_overload(struct sim *sim)
{
    const int64_t costs[] = {3 * NS_PER_MS, 10 * NS_PER_MS, 30 * NS_PER_MS};
    struct kind kind = {.cost_ns = costs[rand_below(sim_rand(sim), 3)],
        .load = 1.05,
        .deadline_ns = 500 * NS_PER_MS};
    struct scene *s = new_scene(sim, &kind, 1);
    run_kinds(s);
    check_overload(s, 0.8); /* what comes varies by itself in so short a time */
    mem_free(s);
}

/* What is known of costs is wrong at once, and becomes right again. */
static void costs_jump(struct sim *sim)
{
    struct kind kind = {
        .cost_ns = 5 * NS_PER_MS, .load = 0.9, .jumps = true, .deadline_ns = 500 * NS_PER_MS};
    struct scene *s = new_scene(sim, &kind, 1);
    run_kinds(s);
    const struct kind *k = &s->kinds[0];
    double share = share_of(s, k);
    sim_check(sim, share > 0.8, "%.3f of what could be done was done in time", share);
    sim_check(sim, k->late * 20 <= k->calls, "%u calls of %u were late", k->late, k->calls);
    sim_check(sim, k->bad_after * 50 <= k->calls, "%u calls failed after the load", k->bad_after);
    mem_free(s);
}

/* Three routes ask for more than all of it, each in its own way. */
static void fairness(struct sim *sim)
{
    const struct kind kinds[] = {
        {.route = 0, .cost_ns = 5 * NS_PER_MS, .load = 4, .deadline_ns = 500 * NS_PER_MS},
        {.route = 1, .cost_ns = 10 * NS_PER_MS, .load = 1, .deadline_ns = 300 * NS_PER_MS},
        {.route = 2, .cost_ns = 8 * NS_PER_MS, .load = 0.1, .deadline_ns = 500 * NS_PER_MS},
    };
    struct scene *s = new_scene(sim, kinds, 3);
    run_kinds(s);
    double shares[3];
    for (unsigned i = 0; i < 3; i++)
        shares[i] = share_of(s, &s->kinds[i]);
    sim_check(sim, shares[0] + shares[1] + shares[2] > 0.9, "only %.3f was done",
        shares[0] + shares[1] + shares[2]);
    sim_check(sim,
        shares[0] > 0.34 && shares[1] > 0.34 && shares[0] < 1.35 * shares[1] &&
            shares[1] < 1.35 * shares[0],
        "two greedy routes got %.3f and %.3f", shares[0], shares[1]);
    /* Who asks for less than its share gets what it asks for. */
    const struct kind *modest = &s->kinds[2];
    sim_check(sim, modest->done * 100 >= modest->calls * 97,
        "of a modest route's %u calls %u were done", modest->calls, modest->done);
    mem_free(s);
}

static void short_beside_long(struct sim *sim)
{
    const struct kind kinds[] = {
        {.route = 0, .cost_ns = 100 * NS_PER_MS, .load = 1.5, .deadline_ns = 5 * NS_PER_S},
        {.route = 0, .cost_ns = NS_PER_MS, .load = 0.2, .deadline_ns = 500 * NS_PER_MS},
    };
    struct scene *s = new_scene(sim, kinds, 2);
    run_kinds(s);
    const struct kind *quick = &s->kinds[1];
    /* With one worker, which has begun a long one, it may look too late for some. */
    sim_check(sim, quick->done * 50 >= quick->calls * 49, "%u of %u short calls were done",
        quick->done, quick->calls);
    /* At worst a worker has just begun a long one. */
    sim_check(sim, quick->longest_ns < 350 * NS_PER_MS, "a short call took %lld ms",
        (long long)(quick->longest_ns / NS_PER_MS));
    sim_check(sim, share_of(s, &s->kinds[0]) > 0.6, "of the long %.3f were done",
        share_of(s, &s->kinds[0]));
    mem_free(s);
}

static void long_beside_short(struct sim *sim)
{
    const struct kind kinds[] = {
        {.route = 0, .cost_ns = 50 * NS_PER_MS, .load = 0.5, .deadline_ns = 4 * NS_PER_S},
        {.route = 1, .cost_ns = 3 * NS_PER_MS, .load = 2, .deadline_ns = 500 * NS_PER_MS},
    };
    struct scene *s = new_scene(sim, kinds, 2);
    run_kinds(s);
    double of_long = share_of(s, &s->kinds[0]);
    double of_short = share_of(s, &s->kinds[1]);
    sim_check(sim, of_long > 0.15, "the long got %.3f", of_long);
    sim_check(sim, of_long + of_short > 0.9, "only %.3f was done", of_long + of_short);
    mem_free(s);
}

static void priorities(struct sim *sim)
{
    const struct kind kinds[] = {
        {.route = 0, .cost_ns = 10 * NS_PER_MS, .load = 2, .deadline_ns = 500 * NS_PER_MS},
        {.route = 1,
            .priority = 1,
            .cost_ns = 10 * NS_PER_MS,
            .load = 0.2,
            .deadline_ns = 500 * NS_PER_MS},
        {.route = 2,
            .priority = -1,
            .cost_ns = 10 * NS_PER_MS,
            .load = 0.3,
            .deadline_ns = 500 * NS_PER_MS},
    };
    struct scene *s = new_scene(sim, kinds, 3);
    run_kinds(s);
    const struct kind *high = &s->kinds[1];
    sim_check(
        sim, high->done == high->calls, "%u of %u urgent calls were done", high->done, high->calls);
    sim_check(sim, high->longest_ns < 150 * NS_PER_MS, "an urgent call took %lld ms",
        (long long)(high->longest_ns / NS_PER_MS));
    sim_check(
        sim, share_of(s, &s->kinds[0]) > 0.65, "the usual got %.3f", share_of(s, &s->kinds[0]));
    mem_free(s);
}

static void batches_and_bundles(struct sim *sim)
{
    const struct kind kinds[] = {
        {.route = 0,
            .cost_ns = 2 * NS_PER_MS,
            .load = 0.3,
            .batched = true,
            .deadline_ns = NS_PER_S},
        {.route = 1, .cost_ns = 2 * NS_PER_MS, .load = 0.3, .fused = true, .deadline_ns = NS_PER_S},
        {.route = 1, .cost_ns = NS_PER_MS, .load = 0.1},
    };
    struct scene *s = new_scene(sim, kinds, 3);
    run_kinds(s);
    for (unsigned i = 0; i < 3; i++)
        sim_check(sim, s->kinds[i].done * 100 >= s->kinds[i].calls * 99,
            "%u of %u calls of kind %u were done", s->kinds[i].done, s->kinds[i].calls, i);
    sim_check(sim, s->together > 1 && s->together <= 8, "at most %u tasks were called at once",
        s->together);
    mem_free(s);
}

int main(int argc, char **argv)
{
    const struct scenario scenarios[] = {
        {.name = "overload", .run = overload},
        {.name = "slight_overload", .run = slight_overload},
        {.name = "costs_jump", .run = costs_jump},
        {.name = "fairness", .run = fairness},
        {.name = "short_beside_long", .run = short_beside_long},
        {.name = "long_beside_short", .run = long_beside_short},
        {.name = "priorities", .run = priorities},
        {.name = "batches_and_bundles", .run = batches_and_bundles},
    };
    return run_scenarios(argc, argv, scenarios, sizeof scenarios / sizeof *scenarios);
}
