/*
 * batch.c: what batches bring, and what they cost who is alone: a step that takes 1 ms for each
 * call and 0.05 ms for each task in it, with `batch` and without, in pools of threads and of worker
 * processes.
 *
 *     per_s  tasks a second, of 64 coroutines that call one after another: 8 times as many
 *     p50    the time of a call, one at a time: at most 0.1 ms more
 *
 * The two take turns, so that both meet the same machine. Exit status 1 if a bar is missed. Worker
 * processes are this program again.
 */
#include "../../tests/one_call.h"
#include "../bench.h"

#include "coro/group.h"
#include "flow/flow.h"
#include "pool/pool.h"
#include "worker/main.h"
#include "world/uv/uv_world.h"

#include <string.h>

#define OUTSTANDING 64
#define ROUNDS      5
#define SPAN_NS     (300 * NS_PER_MS) /* of a measurement */
#define ALONE       200
#define GAIN        8.0
#define MORE_US     100.0

static void die(const char *what)
{
    fprintf(stderr, "bench_pool_batch: %s\n", what);
    exit(1);
}

struct figures {
    struct bench_series per_s;
    struct bench_series p50_us;
};

struct bench {
    struct world *w;
    struct pool_client *client;
    struct pool *pool;
    int64_t until;
    unsigned long calls;
    struct figures *figures;
    const char *config;
};

static void call(struct bench *b)
{
    struct pool_call c = POOL_CALL(.step = 0, .input = SPAN("{}"));
    c.deadline = DEADLINE_NEVER;
    if (pool_call(b->client, b->pool, &c) != 0)
        die(c.error.sentence);
    pool_call_release(&c);
    b->calls++;
}

static int call_on(void *arg)
{
    struct bench *b = arg;
    while (bench_now_ns() < b->until)
        call(b);
    return 0;
}

static double per_second(struct bench *b)
{
    GROUP(callers, GROUP_FAIL_FAST);
    int64_t began = bench_now_ns();
    b->calls = 0;
    b->until = began + SPAN_NS;
    for (int i = 0; i < OUTSTANDING; i++)
        if (group_spawn(&callers, "caller", call_on, b) != 0)
            die("a coroutine");
    if (group_wait(&callers) != 0)
        die("callers");
    return (double)b->calls * 1e9 / (double)(bench_now_ns() - began);
}

static double median_us(struct bench *b)
{
    static double spans[ALONE];
    for (int i = 0; i < ALONE; i++) {
        int64_t began = bench_now_ns();
        call(b);
        spans[i] = (double)(bench_now_ns() - began) / 1e3;
    }
    qsort(spans, ALONE, sizeof *spans, bench_compare);
    return spans[ALONE / 2];
}

static int measure(void *arg)
{
    struct bench *b = arg;
    static const char *const worker_argv[] = {"/proc/self/exe", "worker", NULL};
    struct conf *conf = NULL;
    struct error e;
    struct pools *pools;
    struct conf_errors *errors = conf_errors_new();
    if (!errors || conf_parse(&conf, span_of(b->config), &flow_kinds, errors) != 0)
        die("its configuration");
    struct pools_options options = {.config = conf_config(conf),
        .clients = 1,
        .cores = world_cores(b->w),
        .worker_argv = worker_argv,
        .log = world_log(b->w)};
    if (pools_new(&pools, &options, &e) != 0)
        die(e.sentence);
    if (pool_client_new(&b->client, pools, 0, b->w) != 0)
        die("a desk");
    b->pool = pools_find(pools, "p");
    GROUP(client, GROUP_FAIL_FAST);
    if (group_spawn(&client, "desk", pool_client_run, b->client) != 0)
        die("a coroutine");
    if (pool_client_ready(b->client, &e) != 0)
        die(e.sentence);
    (void)per_second(b); /* costs are learned */
    bench_add(&b->figures->per_s, per_second(b));
    (void)median_us(b);
    bench_add(&b->figures->p50_us, median_us(b));
    pool_client_leave(b->client);
    if (group_wait(&client) != 0)
        die("the desk's end");
    pool_client_free(b->client);
    pools_free(pools);
    conf_free(conf);
    conf_errors_free(errors);
    return 0;
}

static void run(const char *kind, const char *batch, struct figures *figures)
{
    char config[512];
    snprintf(config, sizeof config,
        "pools: {p: {kind: %s, size: 1}}\n"
        "steps: {model: {step: burn, pool: p, options: {base: 1ms, item: 50us}, batch: %s}}\n"
        "routes: [{route: GET /, nodes: {n: {step: model}}}]\n",
        kind, batch);
    struct bench b = {.figures = figures, .config = config};
    struct uv_world_options options = {.name = "bench"};
    if (uv_world_open(&b.w, &options) != 0)
        die("world");
    int rc = uv_world_run(b.w, "main", measure, &b);
    uv_world_close(b.w);
    if (rc)
        die("the world's end");
}

static bool compare(const char *kind)
{
    struct figures without = {.per_s.count = 0};
    struct figures with = {.per_s.count = 0};
    for (int i = 0; i < ROUNDS; i++) {
        run(kind, "{max: 1}", &without);
        run(kind, "{max: 64, wait: 1ms}", &with);
    }
    double gain = bench_median(&with.per_s) / bench_median(&without.per_s);
    double more = bench_median(&with.p50_us) - bench_median(&without.p50_us);
    printf("%-10s %7.0f/s, and %7.0f/s with batches: %4.1f times (bar: %g)\n", kind,
        bench_median(&without.per_s), bench_median(&with.per_s), gain, GAIN);
    printf("%-10s %7.1f us, and %6.1f us alone with batches: %+.1f us (bar: %g)\n", kind,
        bench_median(&without.p50_us), bench_median(&with.p50_us), more, MORE_US);
    return gain >= GAIN && more <= MORE_US;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "worker") == 0)
        return worker_main(false);
    bool threads = compare("threads");
    bool processes = compare("processes");
    return threads && processes ? 0 : 1;
}
