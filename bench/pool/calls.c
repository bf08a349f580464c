/*
 * calls.c: calls of steps that do nothing, through one kind of pool, from the coroutine that calls
 * and back; one measurement of one kind, for bench/pool/run.py.
 *
 *     bench_pool_calls inline|threads|processes|fork one|many|in|out|echo COUNT
 *
 * Prints one line of JSON:
 *
 *     one   {"p50_us": ...}: the time of a call, one at a time, of `echo` of `true`
 *     many  {"per_s": ...}: calls a second, of 64 coroutines that call one after another
 *     in    {"p50_us": ..., "pid": ...}: a call whose input is 1 MB, and its output a number
 *     out   the same, whose output is 1 MB
 *     echo  the same, of `echo` of 1 MB
 *
 * Worker processes are this program again. The workers of `fork` have 100 MB of memory, touched, as
 * if they had a model: each is a copy of that.
 */
#include "../../tests/one_call.h"
#include "../bench.h"

#include "coro/group.h"
#include "pool/pool.h"
#include "worker/main.h"
#include "world/uv/uv_world.h"

#include <string.h>
#include <unistd.h>

#define OUTSTANDING 64
#define WARM_UP     (2 * OUTSTANDING)
#define COUNT_MAX   10000000
#define VALUE_BYTES 1000000

static void die(const char *what)
{
    fprintf(stderr, "bench_pool_calls: %s\n", what);
    exit(1);
}

static const char *const kinds[] = {"inline", "threads", "processes", "fork"};

static const struct shape {
    const char *name, *step;
    bool large, many;
} shapes[] = {
    {.name = "one", .step = "echo"},
    {.name = "many", .step = "echo", .many = true},
    {.name = "in", .step = "take", .large = true},
    {.name = "out", .step = "give"},
    {.name = "echo", .step = "echo", .large = true},
};

struct bench {
    struct world *w;
    enum conf_pool_kind kind;
    const struct shape *shape;
    unsigned count;
    struct config config;
    struct conf_pool pool;
    struct conf_step steps[3];
    struct conf_flow_node node;
    struct conf_route route;
    struct pools *pools;
    struct pool_client *client;
    struct pool *the_pool;
    struct span input;
    unsigned left; /* calls, of what all do */
};

static void call(struct bench *b)
{
    struct pool_call c = POOL_CALL(.step = 0, .input = b->input);
    if (pool_call(b->client, b->the_pool, &c) != 0)
        die(c.error.sentence);
    pool_call_release(&c);
}

/* ---- What is measured ---- */

static void time_calls(struct bench *b)
{
    double *spans = calloc(b->count, sizeof *spans);
    if (!spans)
        die("memory");
    for (unsigned i = 0; i < WARM_UP && i < b->count; i++)
        call(b);
    for (unsigned i = 0; i < b->count; i++) {
        int64_t began = bench_now_ns();
        call(b);
        spans[i] = (double)(bench_now_ns() - began) / 1e3;
    }
    qsort(spans, b->count, sizeof *spans, bench_compare);
    printf("{\"p50_us\": %.3f, \"pid\": %d}\n", spans[b->count / 2], (int)getpid());
    free(spans);
}

static int call_some(void *arg)
{
    struct bench *b = arg;
    while (b->left > 0) {
        b->left--;
        call(b);
    }
    return 0;
}

static void call_together(struct bench *b, unsigned count)
{
    GROUP(callers, GROUP_FAIL_FAST);
    b->left = count;
    for (int i = 0; i < OUTSTANDING; i++)
        if (group_spawn(&callers, "caller", call_some, b) != 0)
            die("a coroutine");
    if (group_wait(&callers) != 0)
        die("callers");
}

static void count_calls(struct bench *b)
{
    call_together(b, 16 * WARM_UP);
    int64_t began = bench_now_ns();
    call_together(b, b->count);
    printf("{\"per_s\": %.1f}\n", (double)b->count * 1e9 / (double)(bench_now_ns() - began));
}

/* ---- The pool ---- */

static void configure(struct bench *b)
{
    const char *kind = kinds[b->kind];
    const char *step = b->kind == CONF_POOL_FORK ? "model" : b->shape->step;
    b->pool = (struct conf_pool){.name = kind,
        .kind = b->kind,
        .queue = 1024,
        .start = 30 * NS_PER_S,
        .nice = 5,
        .value = 16 << 20};
    static const char *const of_plugin[] = {"take", "give", "model"};
    for (int i = 0; i < 3; i++)
        b->steps[i] =
            (struct conf_step){.name = of_plugin[i], .plugin = BENCH_STEPS, .step = of_plugin[i]};
    b->node = (struct conf_flow_node){.name = "n", .work = {.step = step, .pool = kind}};
    b->route = (struct conf_route){.nodes = &b->node, .node_count = 1};
    b->config = (struct config){.pools = &b->pool,
        .pool_count = 1,
        .steps = b->steps,
        .step_count = 3,
        .routes = &b->route,
        .route_count = 1};
    static char large[VALUE_BYTES];
    memset(large, 'x', sizeof large);
    large[0] = large[sizeof large - 1] = '"';
    b->input = b->shape->large ? (struct span){large, sizeof large} : SPAN("true");
}

static void open_pool(struct bench *b)
{
    static const char *const worker_argv[] = {"/proc/self/exe", "worker", NULL};
    struct error e;
    struct pools_options options = {.config = &b->config,
        .clients = 1,
        .cores = world_cores(b->w),
        .worker_argv = worker_argv,
        .log = world_log(b->w)};
    if (pools_new(&b->pools, &options, &e) != 0)
        die(e.sentence);
    if (pool_client_new(&b->client, b->pools, 0, b->w) != 0)
        die("a desk");
    b->the_pool = pools_find(b->pools, kinds[b->kind]);
}

static int measure(void *arg)
{
    struct bench *b = arg;
    struct error e;
    configure(b);
    open_pool(b);
    GROUP(client, GROUP_FAIL_FAST);
    if (group_spawn(&client, "desk", pool_client_run, b->client) != 0)
        die("a coroutine");
    if (pool_client_ready(b->client, &e) != 0)
        die(e.sentence);
    if (b->shape->many)
        count_calls(b);
    else
        time_calls(b);
    pool_client_leave(b->client);
    if (group_wait(&client) != 0)
        die("the desk's end");
    pool_client_free(b->client);
    pools_free(b->pools);
    return 0;
}

static bool read_arguments(struct bench *b, char **argv)
{
    int kind = 0;
    while (kind < 4 && strcmp(kinds[kind], argv[1]) != 0)
        kind++;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (strcmp(shapes[i].name, argv[2]) == 0)
            b->shape = &shapes[i];
    b->kind = (enum conf_pool_kind)kind;
    b->count = (unsigned)strtoul(argv[3], NULL, 10);
    return kind < 4 && b->shape && b->count > 0 && b->count <= COUNT_MAX;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "worker") == 0)
        return worker_main(false);
    static struct bench b;
    if (argc != 4 || !read_arguments(&b, argv))
        die("inline|threads|processes|fork one|many|in|out|echo COUNT");
    struct uv_world_options options = {.name = "bench"};
    if (uv_world_open(&b.w, &options) != 0)
        die("world");
    int rc = uv_world_run(b.w, "main", measure, &b);
    uv_world_close(b.w);
    return rc == 0 ? 0 : 1;
}
