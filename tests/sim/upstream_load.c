/*
 * upstream_load.c: ten servers of which two are four times slower, at 70 % of what all can do
 * together, in an open loop: the p99 of `least` is at most half of round_robin's, for each seed.
 * `VERBOSE=1` shows the figures; the medians over all seeds are printed at the end.
 */
#include "faulty_server.h"
#include "runner.h"

#include "base/rand.h"
#include "conf/schema.h"
#include "coro/group.h"
#include "upstream/upstream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define SERVERS    10
#define SLOW       2
#define CORES      2
#define SERVICE_NS (10 * NS_PER_MS)
#define WARM       1000 /* calls that are not measured */
#define CALLS      6000
/* Of what the servers can do together, in percent. */
#define LOAD       70
#define CAPACITY   ((SERVERS - SLOW) * 4 + SLOW) /* in slow servers */
#define BETWEEN_NS (SERVICE_NS * 4 * 100 / (CAPACITY * CORES * LOAD))
#define SEEDS_MAX  100000

enum balance { LEAST, ROUND_ROBIN, EQUAL, BALANCES };

/* `equal`: least, before servers that are as fast together, and each like the others. */
static const char *const names[] = {"least", "round_robin", "equal"};

struct load {
    struct sim *sim;
    struct upstreams *all;
    struct world *w;
    struct upstream_client *client;
    unsigned ended;
    int64_t took[CALLS];
};

struct figures {
    unsigned count;
    int64_t p99[BALANCES][SEEDS_MAX];
};

static struct figures figures;

/* ---- Calls ---- */

static int call_fn(void *arg)
{
    struct load *l = arg;
    struct http_response got;
    struct error e;
    struct arena arena;
    arena_init(&arena, (size_t)64 * 1024);
    struct upstream_call call = {.upstream = upstreams_find(l->all, "x"),
        .request = {.method = SPAN("GET"), .target = SPAN("/1")}};
    int64_t began = sim_now(l->sim);
    int rc = upstream_call(l->client, &call, &arena, &got, &e);
    sim_check(l->sim, rc == 0, "a call failed: %s", e.sentence);
    l->took[l->ended++] = sim_now(l->sim) - began;
    arena_release(&arena);
    return rc;
}

static int call_all(struct load *l)
{
    struct rand r;
    uint64_t seed;
    world_random(l->w, &seed, sizeof seed);
    rand_init(&r, seed);
    int rc = 0;
    GROUP(calls, GROUP_FAIL_FAST);
    for (unsigned i = 0; rc == 0 && i < CALLS; i++) {
        rc = world_sleep(l->w, rand_exponential(&r, BETWEEN_NS));
        if (rc == 0)
            rc = group_spawn(&calls, "call", call_fn, l);
    }
    return rc ? rc : group_wait(&calls);
}

static int gate(struct world *w, void *arg)
{
    struct load *l = arg;
    struct http_client *http;
    struct http_client_options options = HTTP_CLIENT_DEFAULTS;
    options.first_byte_timeout = 600 * NS_PER_S;
    l->w = w;
    int rc = http_client_new(&http, w, &options);
    if (rc)
        return rc;
    rc = upstream_client_new(&l->client, l->all, http, w, 0);
    if (rc == 0)
        rc = call_all(l);
    upstream_client_free(l->client);
    http_client_free(http);
    return rc;
}

/* ---- A measurement ---- */

static int by_size(const void *a, const void *b)
{
    const int64_t *x = a;
    const int64_t *y = b;
    return *x < *y ? -1 : *x > *y;
}

static struct conf *configure(struct load *l, enum balance balance, unsigned first)
{
    static const struct conf_flow_kinds none;
    char text[1024];
    int len = snprintf(text, sizeof text, "client: {adaptive: false}\nupstreams: {x: {servers: [");
    for (unsigned i = 0; i < SERVERS; i++)
        len += snprintf(text + len, sizeof text - (size_t)len, "%s's%u:%d'", i ? ", " : "",
            first + i, FAULTY_PORT);
    snprintf(text + len, sizeof text - (size_t)len, "], balance: %s, eject: {failures: 0}}}\n",
        balance == ROUND_ROBIN ? "round_robin" : "least");
    struct conf *conf = NULL;
    struct conf_errors *errors = conf_errors_new();
    int rc = errors ? conf_parse(&conf, span_of(text), &none, errors) : -ENOMEM;
    conf_errors_free(errors);
    if (rc == 0)
        rc = upstreams_new(&l->all, conf_config(conf));
    sim_check(l->sim, rc == 0, "the configuration is wrong: %s", text);
    return conf;
}

static int64_t service_of(enum balance balance, unsigned server)
{
    if (balance == EQUAL)
        return SERVICE_NS * 4 * SERVERS / CAPACITY;
    return server < SLOW ? 4 * SERVICE_NS : SERVICE_NS;
}

static int64_t measure(struct sim *sim, enum balance balance)
{
    /* Coroutines look at them until the universe is closed. */
    static struct load loads[BALANCES];
    static struct faulty_server servers[BALANCES][SERVERS];
    struct load *l = &loads[balance];
    unsigned first = SERVERS * (unsigned)balance;
    *l = (struct load){.sim = sim};
    struct conf *conf = configure(l, balance, first);
    for (unsigned i = 0; i < SERVERS; i++) {
        servers[balance][i] = (struct faulty_server){.sim = sim,
            .index = first + i,
            .service_ns = service_of(balance, i),
            .computes = true,
            .cores = CORES};
        faulty_server_start(&servers[balance][i]);
    }
    struct sim_host *host = sim_host(sim, &(struct sim_host_options){.name = names[balance]});
    struct sim_process *p = sim_start(host, "gate", gate, l);
    int rc = sim_run(sim, sim_now(sim) + 600 * NS_PER_S);
    sim_check(
        sim, rc == 0 && p && sim_process_end(p).result == 0, "the load ended with error %d", -rc);
    if (sim_failed(sim))
        return 0;
    upstreams_free(l->all);
    conf_free(conf);
    qsort(l->took + WARM, CALLS - WARM, sizeof *l->took, by_size);
    return l->took[WARM + (CALLS - WARM) * 99 / 100];
}

static void two_are_slow(struct sim *sim)
{
    int64_t p99[BALANCES];
    for (int b = 0; b < BALANCES; b++)
        p99[b] = measure(sim, (enum balance)b);
    if (getenv("VERBOSE"))
        fprintf(stderr, "p99 in ms: least %.1f, round_robin %.1f; equal servers %.1f\n",
            (double)p99[LEAST] / 1e6, (double)p99[ROUND_ROBIN] / 1e6, (double)p99[EQUAL] / 1e6);
    sim_check(sim, 2 * p99[LEAST] <= p99[ROUND_ROBIN],
        "p99 of least is %.1f ms, of round_robin %.1f", (double)p99[LEAST] / 1e6,
        (double)p99[ROUND_ROBIN] / 1e6);
    if (figures.count == SEEDS_MAX)
        return;
    for (int b = 0; b < BALANCES; b++)
        figures.p99[b][figures.count] = p99[b];
    figures.count++;
}

int main(int argc, char **argv)
{
    const struct scenario scenarios[] = {{.name = "two_are_slow", .run = two_are_slow}};
    int status = run_scenarios(argc, argv, scenarios, sizeof scenarios / sizeof *scenarios);
    for (int b = 0; b < BALANCES && figures.count > 0; b++) {
        qsort(figures.p99[b], figures.count, sizeof **figures.p99, by_size);
        printf("%s: median of p99 %.1f ms\n", names[b],
            (double)figures.p99[b][figures.count / 2] / 1e6);
    }
    return status;
}
