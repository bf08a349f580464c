/*
 * placement.c: three steps a request, placed as each choice forces it and as `auto` finds best, in
 * slices that take turns: for bench/pool/placement.py.
 *
 *     bench_pool_placement threads|processes COSTS CALLERS SLICE_MS ROUNDS
 *
 * COSTS are microseconds, separated by commas, of the steps of a request; of two such lists,
 * separated by a slash, each round has the other one than the round before. Each choice has a pool
 * of its own, of which none is used while another is measured: so all meet the same machine, and
 * `auto` knows what it has seen itself. In a slice so many callers ask one after another. Prints a
 * line of JSON a slice:
 *
 *     {"round": ..., "load": ..., "choice": ..., "per_s": ..., "p50_us": ..., "inline": ..., ...}
 *
 * `bench_pool_placement decide ROUNDS` prints what a decision takes: {"decision_ns": ...} a round.
 */
#include "../bench.h"

#include "coro/group.h"
#include "pool/choose.h"
#include "worker/main.h"
#include "world/uv/uv_world.h"

#include <errno.h>
#include <string.h>

#define STEPS_MAX   8
#define CALLERS_MAX 1024
#define SPANS_MAX   (1 << 22)
#define WARM_NS     (300 * NS_PER_MS)
#define WARM_MAX    4 /* callers */

static void die(const char *what)
{
    fprintf(stderr, "bench_pool_placement: %s\n", what);
    exit(1);
}

struct work_load {
    unsigned count;
    char inputs[STEPS_MAX][32];
};

#define CHOICES (POOL_INLINE + 1)
static const char *const choices[CHOICES] = {[POOL_AUTO] = "auto",
    [POOL_FUSED] = "fused",
    [POOL_FANOUT] = "fanout",
    [POOL_INLINE] = "inline"};

struct bench {
    struct world *w;
    enum conf_pool_kind kind;
    unsigned choices; /* of processes none is inline */
    unsigned callers, rounds;
    int64_t slice_ns;
    bool decide;
    struct work_load loads[2];
    struct config config;
    struct conf_pool confs[CHOICES];
    struct conf_flow_node nodes[CHOICES];
    struct conf_route routes[CHOICES];
    struct pools *pools;
    struct pool_client *client;
    double *spans; /* microseconds */
};

/* ---- A slice ---- */

struct slice {
    struct bench *bench;
    struct pool *pool;
    enum pool_dispatch dispatch;
    const struct work_load *load;
    int64_t until;
    int64_t last; /* answer in time */
    unsigned callers, count;
    unsigned placed[PLACEMENTS + 1];
    struct group *group;
};

/* Or -ECANCELED, when the time is over. */
static int ask(const struct slice *s, enum placement *placed)
{
    struct pool_call calls[STEPS_MAX];
    struct pool_call *refs[STEPS_MAX];
    const struct work_load *load = s->load;
    for (unsigned i = 0; i < load->count; i++) {
        calls[i] = POOL_CALL(.input = span_of(load->inputs[i]));
        refs[i] = &calls[i];
    }
    int rc = pool_call_all(s->bench->client, s->pool, refs, load->count, s->dispatch, placed);
    for (unsigned i = 0; i < load->count; i++) {
        if (rc == 0 && calls[i].outcome != POOL_DONE)
            die(calls[i].error.sentence);
        pool_call_release(&calls[i]);
    }
    return rc;
}

/* A server would read and write meanwhile: the next request is there at once, but is heard of in
 * the loop's next turn. */
static int wait_for_turn(const struct world *w)
{
    uint64_t tick = world_tick(w);
    int rc = 0;
    while (rc == 0 && world_tick(w) == tick)
        rc = coro_yield();
    return rc;
}

/* Who has the first answer after the slice's end sends all others home. */
static int call_on(void *arg)
{
    struct slice *s = arg;
    int64_t came = bench_now_ns();
    for (;;) {
        enum placement placed = PLACE_UNDECIDED;
        int rc = wait_for_turn(s->bench->w);
        if (rc == 0)
            rc = ask(s, &placed);
        if (rc == -ECANCELED)
            return 0;
        if (rc)
            die("a call");
        int64_t end = bench_now_ns();
        if (end >= s->until && s->count >= s->callers) {
            group_cancel(s->group);
            return 0;
        }
        if (s->count < SPANS_MAX)
            s->bench->spans[s->count++] = (double)(end - came) / 1e3;
        s->placed[placed]++;
        came = s->last = end;
    }
}

/* What was begun and left at the slice's end is done before the next. */
static void settle(struct slice *s)
{
    while (atomic_load(&s->pool->queue.idle_workers) < s->pool->size) {
        CORO_DEADLINE(world_now(s->bench->w) + NS_PER_MS);
        (void)!coro_park("the slice's end");
    }
}

/* Returns how long it took until the last answer that counts, in seconds. */
static double run(struct slice *s, int64_t ns)
{
    GROUP(callers, GROUP_FAIL_FAST);
    int64_t began = bench_now_ns();
    s->until = began + ns;
    s->group = &callers;
    for (unsigned i = 0; i < s->callers; i++)
        if (group_spawn(&callers, "caller", call_on, s) != 0)
            die("a coroutine");
    if (group_wait(&callers) != 0)
        die("callers");
    s->group = NULL;
    settle(s);
    return (double)(s->last - began) / 1e9;
}

static struct slice slice_of(struct bench *b, unsigned choice, unsigned round, unsigned callers)
{
    return (struct slice){.bench = b,
        .pool = &b->pools->all[choice],
        .dispatch = choice,
        .load = &b->loads[b->loads[1].count ? round % 2 : 0],
        .callers = callers};
}

static void measure_slice(struct bench *b, unsigned choice, unsigned round)
{
    struct slice s = slice_of(b, choice, round, b->callers);
    double seconds = run(&s, b->slice_ns);
    qsort(b->spans, s.count, sizeof *b->spans, bench_compare);
    printf("{\"round\": %u, \"load\": %d, \"choice\": \"%s\", \"per_s\": %.2f, \"p50_us\": %.2f",
        round, (int)(s.load - b->loads), choices[choice], s.count / seconds, b->spans[s.count / 2]);
    for (unsigned i = 0; i < PLACEMENTS; i++)
        printf(", \"%s\": %u", placement_name(i), s.placed[i]);
    printf(", \"handover_us\": %.1f}\n", (double)dispatch_expected(&s.pool->dispatch) / 1e3);
    fflush(stdout);
}

/* Each round begins with another choice. */
static void load_pools(struct bench *b)
{
    for (unsigned i = 0; i < b->choices; i++) {
        struct slice s = slice_of(b, i, 0, b->callers < WARM_MAX ? b->callers : WARM_MAX);
        (void)run(&s, WARM_NS);
    }
    for (unsigned round = 0; round < b->rounds; round++)
        for (unsigned i = 0; i < b->choices; i++)
            measure_slice(b, (round + i) % b->choices, round);
}

static void time_decisions(struct bench *b)
{
    enum { TIMES = 1000000 };
    struct slice s = slice_of(b, POOL_AUTO, 0, 1);
    struct pool_call calls[3];
    struct pool_call *refs[3];
    unsigned chosen = 0;
    bool waits;
    for (unsigned i = 0; i < 3; i++) {
        calls[i] = POOL_CALL(.input = span_of(b->loads[0].inputs[i]));
        refs[i] = &calls[i];
    }
    (void)run(&s, WARM_NS);
    for (unsigned round = 0; round < b->rounds; round++) {
        int64_t began = bench_now_ns();
        for (int i = 0; i < TIMES; i++)
            chosen += choose(b->client, s.pool, refs, 3, POOL_AUTO, began, &waits);
        int64_t ended = bench_now_ns();
        printf("{\"decision_ns\": %.1f, \"sum\": %u}\n", (double)(ended - began) / TIMES, chosen);
    }
}

/* ---- The pools ---- */

static void configure(struct bench *b, unsigned choice)
{
    b->confs[choice] = (struct conf_pool){.name = choices[choice],
        .kind = b->kind,
        .queue = 4096,
        .nice = 5,
        .start = 30 * NS_PER_S,
        .value = 1 << 20};
    b->nodes[choice] =
        (struct conf_flow_node){.name = "n", .work = {.step = "burn", .pool = choices[choice]}};
    b->routes[choice] = (struct conf_route){.name = "bench",
        .nodes = &b->nodes[choice],
        .node_count = 1,
        .dispatch = choice == POOL_INLINE ? CONF_DISPATCH_INLINE : CONF_DISPATCH_AUTO};
}

static void open_pools(struct bench *b)
{
    static const char *const worker_argv[] = {"/proc/self/exe", "worker", NULL};
    struct error e;
    b->choices = b->kind == CONF_POOL_THREADS ? CHOICES : CHOICES - 1;
    for (unsigned i = 0; i < b->choices; i++)
        configure(b, i);
    b->config = (struct config){.pools = b->confs,
        .pool_count = b->choices,
        .routes = b->routes,
        .route_count = b->choices};
    struct pools_options options = {.config = &b->config,
        .clients = 1,
        .cores = world_cores(b->w),
        .worker_argv = worker_argv,
        .log = world_log(b->w)};
    if (pools_new(&b->pools, &options, &e) != 0)
        die(e.sentence);
    if (pool_client_new(&b->client, b->pools, 0, b->w) != 0)
        die("a desk");
}

static int measure(void *arg)
{
    struct bench *b = arg;
    struct error e;
    open_pools(b);
    GROUP(client, GROUP_FAIL_FAST);
    if (group_spawn(&client, "desk", pool_client_run, b->client) != 0)
        die("a coroutine");
    if (pool_client_ready(b->client, &e) != 0)
        die(e.sentence);
    if (b->decide)
        time_decisions(b);
    else
        load_pools(b);
    pool_client_leave(b->client);
    if (group_wait(&client) != 0)
        die("the desk's end");
    pool_client_free(b->client);
    pools_free(b->pools);
    return 0;
}

/* ---- Arguments ---- */

static char *read_load(struct work_load *load, char *text)
{
    do {
        if (load->count == STEPS_MAX)
            die("too many steps");
        unsigned long us = strtoul(text, &text, 10);
        snprintf(load->inputs[load->count++], sizeof load->inputs[0], "{\"us\": %lu}", us);
    } while (*text == ',' && *++text);
    return text;
}

static void read_arguments(struct bench *b, int argc, char **argv)
{
    char costs[] = "100,100,100";
    b->decide = argc == 3 && strcmp(argv[1], "decide") == 0;
    if (!b->decide &&
        (argc != 6 || (strcmp(argv[1], "threads") != 0 && strcmp(argv[1], "processes") != 0)))
        die("threads|processes COSTS[/COSTS] CALLERS SLICE_MS ROUNDS");
    b->kind = strcmp(argv[1], "processes") == 0 ? CONF_POOL_PROCESSES : CONF_POOL_THREADS;
    char *rest = read_load(&b->loads[0], b->decide ? costs : argv[2]);
    if (*rest == '/')
        read_load(&b->loads[1], rest + 1);
    b->callers = b->decide ? 1 : (unsigned)strtoul(argv[3], NULL, 10);
    b->slice_ns = b->decide ? 0 : (int64_t)strtoul(argv[4], NULL, 10) * NS_PER_MS;
    b->rounds = (unsigned)strtoul(argv[argc - 1], NULL, 10);
    if (b->callers == 0 || b->callers > CALLERS_MAX || b->rounds == 0)
        die("arguments");
}

int main(int argc, char **argv)
{
    static struct bench b;
    if (argc == 2 && strcmp(argv[1], "worker") == 0)
        return worker_main(false);
    read_arguments(&b, argc, argv);
    b.spans = calloc(SPANS_MAX, sizeof *b.spans);
    struct uv_world_options options = {.name = "bench", .watchdog_ns = -1};
    if (!b.spans || uv_world_open(&b.w, &options) != 0)
        die("world");
    int rc = uv_world_run(b.w, "main", measure, &b);
    uv_world_close(b.w);
    free(b.spans);
    return rc == 0 ? 0 : 1;
}
