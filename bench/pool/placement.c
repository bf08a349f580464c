/*
 * placement.c: three steps a request, placed as forced or as `auto` finds best; one measurement of
 * one choice, for bench/pool/placement.py.
 *
 *     bench_pool_placement threads|processes auto|fused|fanout|inline COSTS CALLERS MS [PERIOD_MS]
 *
 * COSTS are microseconds, separated by commas, of the steps of a request; two such lists, separated
 * by a slash, take turns every PERIOD_MS. So many callers ask one after another, for MS
 * milliseconds or until each has been answered three times, after a warm-up. Prints one line of
 * JSON:
 *
 *     {"per_s": ..., "p50_us": ..., "p99_us": ..., "inline": ..., "fanout": ..., "fused": ...}
 *
 * `bench_pool_placement decide` prints what a decision takes: {"decision_ns": ...}.
 */
#include "../bench.h"

#include "coro/group.h"
#include "pool/choose.h"
#include "world/uv/uv_world.h"

#include <string.h>

#define STEPS_MAX   8
#define CALLERS_MAX 1024
#define SPANS_MAX   (1 << 22)

static void die(const char *what)
{
    fprintf(stderr, "bench_pool_placement: %s\n", what);
    exit(1);
}

struct work_load {
    unsigned count;
    char inputs[STEPS_MAX][32];
};

struct bench {
    struct world *w;
    enum conf_pool_kind kind;
    enum pool_dispatch dispatch;
    bool decide;
    unsigned callers;
    int64_t span_ns, period_ns;
    struct work_load loads[2];
    struct config config;
    struct conf_pool conf;
    struct conf_flow_node node;
    struct conf_route route;
    struct pools *pools;
    struct pool *pool;
    struct pool_desk *desk;
    int64_t began, warm, until;
    unsigned finished; /* callers that were answered often enough */
    unsigned placed[PLACEMENTS];
    double *spans;
    unsigned count;
};

static const char *const kinds[] = {"inline", "threads", "processes"};
static const char *const dispatches[] = {[POOL_AUTO] = "auto",
    [POOL_FUSED] = "fused",
    [POOL_FANOUT] = "fanout",
    [POOL_INLINE] = "inline"};

static const struct work_load *load_now(const struct bench *b, int64_t now)
{
    if (!b->period_ns)
        return &b->loads[0];
    return &b->loads[(now - b->began) / b->period_ns % 2];
}

static enum placement ask(struct bench *b, const struct work_load *load)
{
    struct pool_call calls[STEPS_MAX];
    struct pool_call *refs[STEPS_MAX];
    enum placement placed = PLACE_UNDECIDED;
    for (unsigned i = 0; i < load->count; i++) {
        calls[i] = (struct pool_call){.input = span_of(load->inputs[i])};
        refs[i] = &calls[i];
    }
    if (pool_call_all(b->desk, b->pool, refs, load->count, b->dispatch, &placed) != 0)
        die("a call");
    for (unsigned i = 0; i < load->count; i++) {
        if (calls[i].outcome != POOL_DONE)
            die(calls[i].error.sentence);
        pool_call_release(&calls[i]);
    }
    return placed;
}

/* A server would read and write meanwhile: so after each answer the others have their turn. The
 * next request is there at once, and may have to wait for the loop. */
static int call_on(void *arg)
{
    struct bench *b = arg;
    int64_t came = bench_now_ns();
    for (unsigned answers = 0; came < b->until || answers < 3; answers++) {
        if (coro_yield() != 0)
            die("a turn");
        enum placement placed = ask(b, load_now(b, came));
        int64_t end = bench_now_ns();
        if (came >= b->warm && b->count < SPANS_MAX) {
            b->spans[b->count++] = (double)(end - came) / 1e3;
            b->placed[placed]++;
        }
        came = end;
    }
    return 0;
}

static void load_pool(struct bench *b)
{
    GROUP(callers, GROUP_FAIL_FAST);
    b->began = bench_now_ns();
    b->warm = b->began + b->span_ns / 10;
    b->until = b->began + b->span_ns;
    for (unsigned i = 0; i < b->callers; i++)
        if (group_spawn(&callers, "caller", call_on, b) != 0)
            die("a coroutine");
    if (group_wait(&callers) != 0)
        die("callers");
    double seconds = (double)(bench_now_ns() - b->warm) / 1e9;
    qsort(b->spans, b->count, sizeof *b->spans, bench_compare);
    if (b->count == 0)
        die("nothing was answered");
    printf("{\"per_s\": %.1f, \"p50_us\": %.2f, \"p99_us\": %.2f", b->count / seconds,
        b->spans[b->count / 2], b->spans[(size_t)b->count * 99 / 100]);
    for (unsigned i = 0; i < PLACEMENTS; i++)
        printf(", \"%s\": %u", placement_name(i), b->placed[i]);
    printf(", \"handover_us\": %.1f}\n", (double)handover_expected(&b->pool->handover) / 1e3);
}

static void time_decisions(struct bench *b)
{
    enum { TIMES = 1000000 };
    struct pool_call calls[3];
    struct pool_call *refs[3];
    unsigned chosen = 0;
    bool waits;
    for (unsigned i = 0; i < 3; i++) {
        calls[i] = (struct pool_call){.input = span_of(b->loads[0].inputs[i])};
        refs[i] = &calls[i];
    }
    for (int i = 0; i < 100; i++)
        (void)ask(b, &b->loads[0]);
    int64_t began = bench_now_ns();
    for (int i = 0; i < TIMES; i++)
        chosen += choose(b->desk, b->pool, refs, 3, POOL_AUTO, began, &waits);
    int64_t ended = bench_now_ns();
    printf("{\"decision_ns\": %.1f, \"sum\": %u}\n", (double)(ended - began) / TIMES, chosen);
}

/* ---- The pool ---- */

static void open_pool(struct bench *b)
{
    static const char *const worker_argv[] = {"/proc/self/exe", "worker", NULL};
    struct error e;
    const char *kind = kinds[b->kind];
    b->conf = (struct conf_pool){
        .name = kind, .kind = b->kind, .queue = 4096, .start = 30 * NS_PER_S, .value = 1 << 20};
    b->node = (struct conf_flow_node){
        .name = "n", .kind = CONF_NODE_STEP, .step = {.step = "burn", .pool = kind}};
    b->route = (struct conf_route){.name = "bench",
        .nodes = &b->node,
        .node_count = 1,
        .dispatch = b->dispatch == POOL_INLINE ? CONF_DISPATCH_INLINE : CONF_DISPATCH_AUTO};
    b->config =
        (struct config){.pools = &b->conf, .pool_count = 1, .routes = &b->route, .route_count = 1};
    struct pools_options options = {.config = &b->config,
        .desks = 1,
        .cores = world_cores(b->w),
        .worker_argv = worker_argv,
        .log = world_log(b->w)};
    if (pools_new(&b->pools, &options, &e) != 0)
        die(e.sentence);
    if (pool_desk_new(&b->desk, b->pools, 0, b->w) != 0)
        die("a desk");
    b->pool = pools_find(b->pools, kind);
}

static int measure(void *arg)
{
    struct bench *b = arg;
    struct error e;
    open_pool(b);
    GROUP(desk, GROUP_FAIL_FAST);
    if (group_spawn(&desk, "desk", pool_desk_run, b->desk) != 0)
        die("a coroutine");
    if (pool_desk_ready(b->desk, &e) != 0)
        die(e.sentence);
    if (b->decide)
        time_decisions(b);
    else
        load_pool(b);
    pool_desk_leave(b->desk);
    if (group_wait(&desk) != 0)
        die("the desk's end");
    pool_desk_free(b->desk);
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

static unsigned find(const char *const *names, unsigned count, const char *name)
{
    for (unsigned i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    die(name);
    return 0;
}

static void read_arguments(struct bench *b, int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "decide") == 0) {
        char costs[] = "100,100,100";
        b->decide = true;
        b->kind = CONF_POOL_THREADS;
        read_load(&b->loads[0], costs);
        return;
    }
    if (argc < 6)
        die("threads|processes auto|fused|fanout|inline COSTS CALLERS MS [PERIOD_MS]");
    b->kind = (enum conf_pool_kind)find(kinds, 3, argv[1]);
    b->dispatch = (enum pool_dispatch)find(dispatches, 4, argv[2]);
    char *rest = read_load(&b->loads[0], argv[3]);
    if (*rest == '/')
        read_load(&b->loads[1], rest + 1);
    b->callers = (unsigned)strtoul(argv[4], NULL, 10);
    b->span_ns = (int64_t)strtoul(argv[5], NULL, 10) * NS_PER_MS;
    if (argc > 6)
        b->period_ns = (int64_t)strtoul(argv[6], NULL, 10) * NS_PER_MS;
    if (b->callers == 0 || b->callers > CALLERS_MAX || (b->period_ns && b->loads[1].count == 0))
        die("arguments");
}

int main(int argc, char **argv)
{
    static struct bench b;
    if (argc == 2 && strcmp(argv[1], "worker") == 0)
        return pool_worker_main(false);
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
