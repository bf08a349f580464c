/*
 * weir.c: whole weirs (a supervisor, its servers, their flows) between clients and backends that
 * fail in every way. Every request has exactly one answer, its own, in time; no connection is
 * refused; reload, crash and stop lose no more than they must. Flows wait, and they work: in pools
 * of every kind, whose workers may die and cost nobody but who was with them.
 */
#include "runner.h"

#include "base/rand.h"
#include "weir_backend.h"
#include "weir_crowd.h"
#include "weir_host.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define MS NS_PER_MS
#define S  NS_PER_S

/* What the configurations say. */
#define ROUTE_NS (1 * S)
#define NODE_NS  (300 * MS)
#define DRAIN_NS (3 * S)
/* Two steps in turn, of some at once. */
#define WORK_NS  (100 * MS)
/* What a slow backend takes at most. */
#define SLOW_NS  (400 * MS)

/* An old server may take a connection until it has heard that it is old. */
#define TAKEOVER_NS  (20 * MS)
/* A connection is a server's before its client knows that it is open. */
#define HANDSHAKE_NS (2 * MS)
/* A server that served is replaced within this time; one that did not, several times in a row, is
 * waited with. */
#define RESTART_NS   (200 * MS)
#define BACKOFF_NS   (6 * S)
/* What was sent so long before a server is told to stop has reached it. */
#define UNDER_WAY_NS (20 * MS)

#define DEATHS_NS       (2 * S)
/* Who dies before it has worked is waited with, up to 5 s. */
#define WORKERS_BACK_NS (7 * S)

#define STORM_NS    (15 * S)
/* What a connection from the time of the storm may still suffer from: TCP's doubled
 * retransmissions. */
#define RECOVERY_NS (25 * S)
#define GIVE_UP_NS  (10 * S)

struct scene {
    struct sim *sim;
    struct weir_host weir;
    struct backend backend;
    struct crowd crowd;
    int64_t stopped_at; /* universe time; 0: not yet */
    int64_t killed_at;  /* the same, of the last */
    bool in_a_loop;     /* servers are killed before they are ready, too */
    unsigned version;   /* of the configuration in the file, where they have one */
    int (*direct)(struct scene *s);
};

/* One at a time. Coroutines come to their end, and look at it, when the universe is closed, after
 * the scenario's function has returned. */
static struct scene *new_scene(struct sim *sim, struct crowd crowd)
{
    static struct scene scene;
    scene = (struct scene){.sim = sim, .crowd = crowd};
    return &scene;
}

/* ---- Configurations ---- */

/* Calls of one node that hang, and others that do not, would wait for each other at its limit, and
 * when each is answered is what is looked at. */
#define LISTEN                                                              \
    "listen: '*:80'\nadmin: '*:9900'\ntimeouts: {request: 1s, drain: 3s}\n" \
    "client: {adaptive: false}\n"

#define ROUTES                                                                            \
    "routes:\n"                                                                           \
    "  - {route: GET /static/a, reply: {a: 1}}\n"                                         \
    "  - {route: GET /static/b, reply: {b: [2, 3]}}\n"                                    \
    "  - {route: 'GET /echo/{id}', reply: {id: $path.id}}\n"                              \
    "  - {route: POST /echo, reply: {body: $body.id}}\n"                                  \
    "  - route: GET /sleep/{id}\n"                                                        \
    "    nodes: {pause: {sleep: 20ms}}\n"                                                 \
    "    reply: {slept: $path.id}\n"                                                      \
    "  - route: GET /ask/{how}/{id}\n"                                                    \
    "    nodes: {b: {http: {url: 'http://backend:9000/$path.how/$path.id'}}}\n"           \
    "    reply: {asked: $path.id, got: $node.b.body.id}\n"                                \
    "  - route: GET /opt/{how}/{id}\n"                                                    \
    "    nodes:\n"                                                                        \
    "      b: {http: {url: 'http://backend:9000/$path.how/$path.id'}, deadline: 300ms,\n" \
    "          optional: true, default: {body: {id: none}}}\n"                            \
    "    reply: {asked: $path.id, got: $node.b.body.id}\n"                                \
    "  - route: GET /many/{how}/{id}\n"                                                   \
    "    nodes: {b: {http: {url: 'http://backend:9000/$path.how/$path.id', times: 3}}}\n" \
    "    reply: {asked: $path.id, got: ['$node.b[0].body.id', '$node.b[2].body.id']}\n"   \
    "  - route: GET /two/{how}/{id}\n"                                                    \
    "    nodes:\n"                                                                        \
    "      a: {http: {url: 'http://backend:9000/slow/$path.id'}}\n"                       \
    "      b: {http: {url: 'http://backend:9000/$path.how/$path.id'}}\n"                  \
    "    reply: {a: $node.a.body.id, b: $node.b.body.id}\n"                               \
    "  - route: POST /order/{how}/{id}\n"                                                 \
    "    nodes:\n"                                                                        \
    "      b: {http: {url: 'http://backend:9000/$path.how/$path.id', body: $body}}\n"     \
    "    reply: {ordered: $node.b.body.id}\n"                                             \
    "  - route: GET /refused/{id}\n"                                                      \
    "    nodes: {b: {http: {url: 'http://backend:9001/$path.id'}}}\n"                     \
    "  - route: GET /down/{id}\n"                                                         \
    "    nodes: {b: {http: {url: 'http://ruin:9000/$path.id'}}}\n"                        \
    "  - route: GET /nobody/{id}\n"                                                       \
    "    nodes: {b: {http: {url: 'http://nobody:9000/$path.id'}}}\n"

/* Where steps run; `p` and `f` are processes. */
#define POOLS                                                      \
    "pools:\n"                                                     \
    "  i: {kind: inline}\n"                                        \
    "  t: {kind: threads, size: %d, queue: 1000}\n"                \
    "  p: {kind: processes, size: %d, start: 2s, max_tasks: %d}\n" \
    "  f: {kind: fork, size: 3, start: 2s}\n"                      \
    "steps:\n"                                                     \
    "  again: {step: echo, retry: true, pool: p}\n"

#define WORK_ROUTE(name, pool)                                     \
    "  - route: GET /" name "/{id}\n"                              \
    "    nodes:\n"                                                 \
    "      a: {step: burn, input: {us: 2000}, pool: " pool "}\n"   \
    "      b: {step: echo, input: [$path.id], pool: " pool "}\n"   \
    "      c: {step: echo, input: '$node.b[0]', pool: " pool "}\n" \
    "    reply: {id: $node.c, took: $node.a.burned_ms}\n"
#define AGAIN_ROUTE                                                                       \
    "  - {route: POST /again, nodes: {a: {step: again, input: $body.id}}, reply: {body: " \
    "$node.a}}\n"
#define WORK_ROUTES              \
    WORK_ROUTE("inline", "i")    \
    WORK_ROUTE("threads", "t")   \
    WORK_ROUTE("processes", "p") \
    WORK_ROUTE("fork", "f")      \
    AGAIN_ROUTE

/* Each says which it is: `v`. */
#define VERSION_ROUTES                                                                          \
    "server: v%u\n"                                                                             \
    "routes:\n"                                                                                 \
    "  - {route: 'GET /v/{id}', reply: {v: %u, id: $path.id}}\n"                                \
    "  - {route: 'POST /v', reply: {v: %u, id: $body.id}}\n"                                    \
    "  - {route: 'GET /sleep/{id}', nodes: {a: {sleep: 50ms}}, reply: {v: %u, id: $path.id}}\n" \
    "  - {route: 'GET /%s/{id}', reply: {v: %u, id: $path.id}}\n"                               \
    "  - route: GET /task/{id}\n"                                                               \
    "    nodes: {w: {step: echo, input: $path.id, pool: %s}}\n"                                 \
    "    reply: {v: %u, id: $node.w}\n"
#define VERSION_BAD "listen: '*:80'\nroutes:\n  - {route: GET /v/x, reply: $path.nothing}\n"

/* ---- What is asked ---- */

#define ECHO      .path = "/echo/@", .reply = "{\"id\":\"@\"}"
#define STATIC_A  .path = "/static/a", .reply = "{\"a\":1}"
#define STATIC_B  .path = "/static/b", .reply = "{\"b\":[2,3]}"
#define POST      .method = "POST", .body = "{\"id\":\"@\"}"
#define ASKED     .reply = "{\"asked\":\"@\",\"got\":\"@\"}", .calls = 2
#define DEFAULTED .reply = "{\"asked\":\"@\",\"got\":\"none\"}", .calls = 2
#define MANY      .reply = "{\"asked\":\"@\",\"got\":[\"@\",\"@\"]}", .calls = 6
#define TWO       .reply = "{\"a\":\"@\",\"b\":\"@\"}", .calls = 4, .within_ns = SLOW_NS
#define ORDER     POST, .reply = "{\"ordered\":\"@\"}", .once = true, .calls = 1
#define SLEEP     .path = "/sleep/@", .within_ns = 20 * MS, .after_ns = 20 * MS
#define BAD       .status = 502, .calls = 2
#define LATE      .status = 504, .calls = 2, .within_ns = ROUTE_NS, .after_ns = ROUTE_NS
#define WORK \
    .reply = "{\"id\":\"@\",\"took\":2}", .works = true, .within_ns = WORK_NS, .after_ns = 2 * MS
#define AGAIN     POST, .path = "/again", .reply = "{\"body\":\"@\"}", .works = true
#define NODE_LATE DEFAULTED, .within_ns = NODE_NS, .after_ns = NODE_NS

static const struct ask usual[] = {
    {STATIC_A},
    {STATIC_B},
    {ECHO},
    {ECHO},
    {POST, .path = "/echo", .reply = "{\"body\":\"@\"}"},
    {SLEEP, .reply = "{\"slept\":\"@\"}"},
    {.path = "/ask/ok/@", ASKED},
    {.path = "/ask/slow/@", ASKED, .within_ns = SLOW_NS},
    {ORDER, .path = "/order/ok/@"},
    {.path = "/nowhere/@", .status = 404},
    {.path = "/inline/@", WORK},
    {.path = "/threads/@", WORK},
    {.path = "/processes/@", WORK},
    {.path = "/fork/@", WORK},
    {AGAIN},
};
#define USUAL sizeof usual / sizeof *usual

/* An order that meets a stale connection cannot be sent again. */
static const struct ask troubled[] = {
    {ECHO},
    {.path = "/ask/ok/@", ASKED},
    {.path = "/ask/chunked/@", ASKED},
    {.path = "/ask/close/@", ASKED},
    {.path = "/ask/idle/@", ASKED},
    {.path = "/ask/idle/@", ASKED},
    {.path = "/ask/slow/@", ASKED, .within_ns = SLOW_NS},
    {.path = "/ask/five/@", BAD},
    {.path = "/ask/json/@", BAD},
    {.path = "/ask/cut/@", BAD},
    {.path = "/ask/reset/@", BAD},
    {.path = "/ask/garbage/@", BAD},
    {.path = "/ask/hang/@", LATE},
    {.path = "/ask/late/@", LATE},
    {.path = "/ask/drip/@", LATE},
    {.path = "/opt/ok/@", ASKED},
    {.path = "/opt/idle/@", ASKED},
    {.path = "/opt/five/@", DEFAULTED},
    {.path = "/opt/cut/@", DEFAULTED},
    {.path = "/opt/json/@", DEFAULTED},
    {.path = "/opt/reset/@", DEFAULTED},
    {.path = "/opt/hang/@", NODE_LATE},
    {.path = "/opt/late/@", NODE_LATE},
    {.path = "/opt/drip/@", NODE_LATE},
    {.path = "/many/ok/@", MANY},
    {.path = "/many/idle/@", MANY},
    {.path = "/many/cut/@", .status = 502, .calls = 6},
    {.path = "/many/hang/@",
        .status = 504,
        .calls = 6,
        .within_ns = ROUTE_NS,
        .after_ns = ROUTE_NS},
    {.path = "/two/ok/@", TWO},
    {.path = "/two/five/@", .status = 502, .calls = 4},
    {.path = "/two/hang/@", .status = 504, .calls = 4, .within_ns = ROUTE_NS, .after_ns = ROUTE_NS},
    {ORDER, .path = "/order/ok/@", .or_status = 502},
    {ORDER, .path = "/order/idle/@", .or_status = 502},
    {POST, .path = "/order/reset/@", .status = 502, .once = true, .calls = 1},
    {POST, .path = "/order/cut/@", .status = 502, .once = true, .calls = 1},
    {POST, .path = "/order/hang/@", .status = 504, .or_status = 502, .once = true, .calls = 1,
        .within_ns = ROUTE_NS},
    {.path = "/refused/@", .status = 502},
    {.path = "/nobody/@", .status = 502},
    {.path = "/down/@", .status = 504, .within_ns = ROUTE_NS, .after_ns = ROUTE_NS},
    {.path = "/inline/@", WORK},
    {.path = "/threads/@", WORK},
    {.path = "/processes/@", WORK},
    {.path = "/fork/@", WORK},
    {AGAIN},
};

static const struct ask working[] = {
    {ECHO},
    {SLEEP, .reply = "{\"slept\":\"@\"}"},
    {.path = "/inline/@", WORK},
    {.path = "/threads/@", WORK},
    {.path = "/processes/@", WORK},
    {.path = "/fork/@", WORK},
    {AGAIN},
};

static const struct ask versioned[] = {
    {.path = "/v/@"},
    {.path = "/v/@"},
    {POST, .path = "/v"},
    {.path = "/even/@"},
    {.path = "/odd/@"},
    {.path = "/task/@", .works = true},
    {.path = "/task/@", .works = true},
    {.path = "/sleep/@", .within_ns = 50 * MS, .after_ns = 50 * MS},
};

/* ---- Scenes ---- */

#define CONFIG_MAX (8 * 1024)

/* What the seed decides beside the routes. */
static void write_config(struct sim *sim, char config[CONFIG_MAX], const char *routes)
{
    struct rand *r = sim_rand(sim);
    int len = snprintf(config, CONFIG_MAX, "threads: %d\nlog: {access: %s}\n" LISTEN POOLS "%s",
        (int)rand_between(r, 1, 3), rand_ppm(r, 500000) ? "true" : "false",
        (int)rand_between(r, 1, 3), (int)rand_between(r, 1, 3),
        rand_ppm(r, 500000) ? (int)rand_between(r, 5, 50) : 0, routes);
    sim_check(sim, len < CONFIG_MAX, "the configuration is too long");
}

static int direct(struct sim *sim, void *arg)
{
    struct scene *s = arg;
    int rc = weir_host_start(&s->weir);
    if (rc == 0) {
        crowd_start(&s->crowd);
        rc = s->direct(s);
    }
    return rc;
}

static void set_up(struct scene *s, const struct ask *asks, size_t count)
{
    struct sim *sim = s->sim;
    char config[CONFIG_MAX];
    write_config(sim, config, ROUTES WORK_ROUTES);
    weir_host_init(&s->weir, sim, "weir", config);
    backend_init(&s->backend, sim);
    s->crowd.sim = sim;
    s->crowd.at = &s->weir.at;
    s->crowd.asks = asks;
    s->crowd.ask_count = (unsigned)count;
    s->crowd.ctx = s;
}

static void play(struct scene *s, int (*script)(struct scene *s))
{
    s->direct = script;
    int rc = sim_direct(s->sim, "script", direct, s);
    if (rc == 0)
        rc = sim_run(s->sim, 3600 * S);
    sim_check(s->sim, rc == 0, "the simulation ended with error %d", -rc);
    sim_check(s->sim, s->weir.server_count == 0, "a server outlives its supervisor");
    sim_check(s->sim, s->weir.workers.count == 0, "%u workers outlive their server",
        s->weir.workers.count);
}

static int ask_then_stop(struct scene *s)
{
    int rc = crowd_wait(&s->crowd);
    return rc ? rc : weir_host_stop(&s->weir);
}

static void check_none_lost(const struct scene *s)
{
    sim_check(s->sim, s->crowd.lost == 0 && s->crowd.resent == 0,
        "%u requests were lost, %u sent again", s->crowd.lost, s->crowd.resent);
}

/* ---- Calm ---- */

static void calm(struct sim *sim)
{
    struct scene *s =
        new_scene(sim, (struct crowd){.clients = 36, .bursts = 8, .pause_mean_ns = 50 * MS});
    set_up(s, usual, USUAL);
    play(s, ask_then_stop);
    check_none_lost(s);
}

/* ---- Backends that fail ---- */

/* How often a backend is asked for one id: twice, where a kept connection may have been stale. */
static void check_calls(void *ctx, const struct request *r, const struct answer *a)
{
    const struct scene *s = ctx;
    unsigned calls = backend_times(&s->backend, r->id);
    sim_check(s->sim, calls <= r->ask->calls * r->tries, "%s (%s) became %u calls", r->id,
        r->ask->path, calls);
    bool needs_one = r->ask->calls > 0 && a->status == 200 && !strstr(a->body, "none");
    sim_check(s->sim, calls > 0 || !needs_one, "%s (%s) was answered although nobody was asked",
        r->id, r->ask->path);
}

static void backends(struct sim *sim)
{
    struct scene *s = new_scene(sim,
        (struct crowd){
            .clients = 40, .bursts = 5, .pause_mean_ns = 100 * MS, .answered_well = check_calls});
    set_up(s, troubled, sizeof troubled / sizeof *troubled);
    sim_crash(sim_host(sim, &(struct sim_host_options){.name = "ruin"}));
    play(s, ask_then_stop);
    check_none_lost(s);
}

/* ---- Reload ---- */

static void configure_version(struct scene *s, unsigned version)
{
    char config[CONFIG_MAX];
    char routes[CONFIG_MAX / 2];
    static const char *const pools[] = {"i", "t", "p", "f"};
    snprintf(routes, sizeof routes, VERSION_ROUTES, version, version, version, version,
        version % 2 ? "odd" : "even", version, pools[rand_below(sim_rand(s->sim), 4)], version);
    write_config(s->sim, config, routes);
    weir_host_configure(&s->weir, config);
    s->version = version;
}

/* The version that was in use at this moment. */
static unsigned version_at(const struct scene *s, int64_t when)
{
    unsigned version = s->weir.configured[0].version;
    for (unsigned i = 0; i < s->weir.configured_count && s->weir.configured[i].at <= when; i++)
        version = s->weir.configured[i].version;
    return version;
}

/* A connection is answered by the server that accepted it, to its end; and while an old server
 * hears that it is old, both accept. */
static void check_version(
    void *ctx, const struct request *r, const struct answer *a, int64_t connected_at)
{
    const struct scene *s = ctx;
    char expected[128];
    unsigned oldest = version_at(s, connected_at - TAKEOVER_NS);
    unsigned version = oldest;
    if (a->status == 404) {
        const char *missing = strstr(r->ask->path, "even") ? "even" : "odd";
        bool was = false;
        for (; version <= s->version; version++)
            was |= (version % 2 == 0) != (missing[0] == 'e');
        snprintf(expected, sizeof expected, "urn:weir:request:%s\"", r->id);
        sim_check(s->sim, was && strstr(a->body, expected),
            "%s (%s) was answered by neither configuration: %s", r->id, r->ask->path, a->body);
        return;
    }
    bool found = false;
    for (; version <= s->version && !found; version++) {
        snprintf(expected, sizeof expected, "{\"v\":%u,\"id\":\"%s\"}", version, r->id);
        found = strcmp(a->body, expected) == 0;
    }
    sim_check(s->sim, a->status == 200 && found,
        "%s (%s), by version %u to %u, was answered with %d and '%s'", r->id, r->ask->path, oldest,
        s->version, a->status, a->body);
}

static int reload_once(struct scene *s, unsigned *version)
{
    struct rand *r = sim_rand(s->sim);
    unsigned readies = s->weir.readies;
    unsigned configured = s->weir.configured_count;
    unsigned started = s->weir.started;
    bool bad = rand_ppm(r, 300000);
    if (bad)
        weir_host_configure(&s->weir, VERSION_BAD);
    else
        configure_version(s, ++*version);
    weir_host_reload(&s->weir);
    if (!bad && rand_ppm(r, 300000)) { /* two in a hurry: the latest counts */
        int rc = sim_sleep(s->sim, rand_between(r, 0, 3 * MS));
        if (rc)
            return rc;
        configure_version(s, ++*version);
        weir_host_reload(&s->weir);
    }
    int rc = weir_host_await(&s->weir, readies);
    sim_check(s->sim,
        !bad || (s->weir.configured_count == configured && s->weir.started == started),
        "a bad configuration changed something");
    return rc;
}

static int reload_often(struct scene *s)
{
    struct rand *r = sim_rand(s->sim);
    unsigned version = s->version;
    int rc = 0;
    for (int64_t left = rand_between(r, 2, 4); left > 0 && rc == 0; left--) {
        rc = sim_sleep(s->sim, rand_between(r, 0, 500 * MS));
        if (rc == 0)
            rc = reload_once(s, &version);
    }
    if (rc == 0)
        rc = crowd_wait(&s->crowd);
    if (rc == 0)
        rc = sim_sleep(s->sim, 6 * S);
    sim_check(s->sim, s->weir.server_count == 1, "%u servers are there long after the last reload",
        s->weir.server_count);
    sim_check(s->sim, version_at(s, sim_now(s->sim)) == s->version,
        "version %u is in use, not the latest", version_at(s, sim_now(s->sim)));
    return rc ? rc : weir_host_stop(&s->weir);
}

static void reload(struct sim *sim)
{
    struct scene *s = new_scene(sim, (struct crowd){.clients = 24,
                                         .until = 3 * S,
                                         .pause_mean_ns = 250 * MS,
                                         .pause_max_ns = 2 * S,
                                         .check = check_version});
    set_up(s, versioned, sizeof versioned / sizeof *versioned);
    configure_version(s, 1);
    play(s, reload_often);
    sim_check(sim, s->crowd.lost == 0, "%u requests were lost", s->crowd.lost);
}

/* ---- Crashes ---- */

/* What went to a server that was then killed. */
static bool went_to_the_dead(void *ctx, const struct request *r, int64_t connected_at)
{
    const struct scene *s = ctx;
    return s->killed_at && s->killed_at >= connected_at - HANDSHAKE_NS;
}

/* Kills the server that serves; or also the next one, before it is ready. */
static int kill_once(struct scene *s)
{
    struct rand *r = sim_rand(s->sim);
    unsigned readies = s->weir.readies;
    weir_host_kill(&s->weir);
    s->killed_at = sim_now(s->sim);
    bool again = s->in_a_loop && rand_ppm(r, 500000);
    if (again) {
        int rc = sim_sleep(s->sim, rand_between(r, 0, 2 * MS));
        if (rc)
            return rc;
        weir_host_kill(&s->weir);
        s->killed_at = sim_now(s->sim);
    }
    int rc = weir_host_await(&s->weir, readies);
    int64_t took = sim_now(s->sim) - s->killed_at;
    sim_check(s->sim, again || took <= RESTART_NS, "the next server was ready after %lld ms",
        (long long)(took / MS));
    return rc;
}

static int kill_often(struct scene *s)
{
    struct rand *r = sim_rand(s->sim);
    int rc = 0;
    for (int64_t left = rand_between(r, 1, 6); left > 0 && rc == 0; left--) {
        rc = sim_sleep(s->sim, rand_between(r, 0, 400 * MS));
        if (rc == 0)
            rc = kill_once(s);
    }
    return rc ? rc : ask_then_stop(s);
}

static void crash(struct sim *sim)
{
    struct scene *s = new_scene(sim, (struct crowd){.clients = 24,
                                         .until = 2 * S,
                                         .pause_mean_ns = 150 * MS,
                                         .may_lose = went_to_the_dead});
    s->in_a_loop = rand_ppm(sim_rand(sim), 300000);
    s->crowd.outage_ns = s->in_a_loop ? BACKOFF_NS : RESTART_NS;
    set_up(s, usual, USUAL);
    play(s, kill_often);
}

/* ---- Workers that die ---- */

static int kill_workers(struct scene *s)
{
    struct rand *r = sim_rand(s->sim);
    unsigned killed = 0;
    bool reloads = rand_ppm(r, 500000);
    int rc = 0;
    while (rc == 0 && sim_now(s->sim) < DEATHS_NS) {
        rc = sim_sleep(s->sim, rand_exponential(r, 20 * MS));
        killed += rc == 0 && workers_kill(&s->weir.workers, r);
        if (rc == 0 && reloads && rand_ppm(r, 50000))
            weir_host_reload(&s->weir);
    }
    sim_check(s->sim, killed > 0, "no worker was killed");
    return rc ? rc : ask_then_stop(s);
}

static void workers(struct sim *sim)
{
    struct scene *s = new_scene(sim, (struct crowd){.clients = 10,
                                         .until = DEATHS_NS + WORKERS_BACK_NS + 1 * S,
                                         .workers_well_from = DEATHS_NS + WORKERS_BACK_NS,
                                         .pause_mean_ns = 500 * MS,
                                         .pause_max_ns = 2 * S});
    set_up(s, working, sizeof working / sizeof *working);
    play(s, kill_workers);
    sim_check(sim, s->crowd.lost == 0, "%u requests were lost", s->crowd.lost);
    sim_check(sim, s->crowd.worked > s->crowd.failed, "%u requests failed, and only %u did not",
        s->crowd.failed, s->crowd.worked);
}

/* ---- Stop ---- */

static bool came_too_late(void *ctx, const struct request *r, int64_t connected_at)
{
    const struct scene *s = ctx;
    return s->stopped_at && r->sent_at > s->stopped_at - UNDER_WAY_NS;
}

static bool has_stopped(void *ctx, int error)
{
    const struct scene *s = ctx;
    return s->stopped_at > 0;
}

/* Somebody who begins a request and does not end it. */
static int dawdle(struct world *w, void *arg)
{
    struct scene *s = arg;
    struct stream *stream;
    char text[512];
    int rc = world_connect(w, &s->weir.at, &stream);
    if (rc)
        return rc;
    rc = stream_write(stream,
        &(struct iovec){.iov_base = (char[]){"GET /echo/1 HTTP/1.1\r\nHo"}, .iov_len = 24}, 1);
    while (rc == 0 && stream_read(stream, text, sizeof text) > 0)
        ;
    stream_close(stream);
    return rc;
}

static int stop_under_load(struct scene *s)
{
    struct rand *r = sim_rand(s->sim);
    bool dawdles = rand_ppm(r, 300000);
    if (dawdles)
        sim_check(s->sim, sim_start(s->backend.host, "dawdler", dawdle, s), "nobody dawdles");
    int rc = sim_sleep(s->sim, rand_between(r, 50 * MS, 1500 * MS));
    if (rc)
        return rc;
    s->stopped_at = s->crowd.until = sim_now(s->sim);
    rc = weir_host_stop(&s->weir);
    int64_t took = sim_now(s->sim) - s->stopped_at;
    sim_check(s->sim, took <= (dawdles ? DRAIN_NS : ROUTE_NS) + CROWD_SLACK,
        "it took %lld ms to stop", (long long)(took / MS));
    return rc ? rc : crowd_wait(&s->crowd);
}

static void stop(struct sim *sim)
{
    struct scene *s = new_scene(sim, (struct crowd){.clients = 30,
                                         .until = 3600 * S,
                                         .pause_mean_ns = 100 * MS,
                                         .may_lose = came_too_late,
                                         .may_not_connect = has_stopped});
    set_up(s, troubled, sizeof troubled / sizeof *troubled);
    sim_crash(sim_host(sim, &(struct sim_host_options){.name = "ruin"}));
    play(s, stop_under_load);
}

/* ---- Chaos ---- */

static bool is_stormy(void *ctx, const struct request *r, int64_t connected_at)
{
    const struct scene *s = ctx;
    return r->began_at < s->crowd.calm_from;
}

static bool cannot_get_there(void *ctx, int error)
{
    const struct scene *s = ctx;
    return error != -ECONNREFUSED && sim_now(s->sim) < s->crowd.calm_from;
}

static int reload_now_and_then(struct scene *s)
{
    struct rand *r = sim_rand(s->sim);
    int rc = 0;
    for (int i = 0; i < 3 && rc == 0; i++) {
        rc = sim_sleep(s->sim, rand_between(r, 0, STORM_NS / 3));
        weir_host_reload(&s->weir);
    }
    return rc ? rc : ask_then_stop(s);
}

static void chaos(struct sim *sim)
{
    struct scene *s = new_scene(sim, (struct crowd){.clients = 12,
                                         .calm_from = STORM_NS + RECOVERY_NS,
                                         .until = STORM_NS + RECOVERY_NS + 2 * S,
                                         .pause_mean_ns = S,
                                         .patience_ns = 8 * S,
                                         .may_lose = is_stormy,
                                         .may_not_connect = cannot_get_there,
                                         .answered_well = check_calls});
    set_up(s, troubled, sizeof troubled / sizeof *troubled);
    s->weir.killings = true;
    sim_crash(sim_host(sim, &(struct sim_host_options){.name = "ruin", .spared = true}));
    int rc = sim_chaos(sim, &(struct sim_chaos){
                                .until = STORM_NS,
                                .partition_ns = 4 * S,
                                .degrade_ns = 3 * S,
                                .slow_ns = 5 * S,
                                .pause_ns = 5 * S,
                                .wall_jump_ns = 5 * S,
                                .resolver_ns = 5 * S,
                                .kill_ns = 5 * S,
                            });
    sim_check(sim, rc == 0, "no chaos: error %d", -rc);
    play(s, reload_now_and_then);
}

int main(int argc, char **argv)
{
    const struct sim_options pieces = {
        .short_reads_ppm = 200000, .short_writes_ppm = 200000, .stack_size = 256 * 1024};
    struct sim_options impatient = pieces;
    impatient.give_up_ns = GIVE_UP_NS;
    const struct scenario scenarios[] = {
        {.name = "weir_calm", .run = calm, .options = pieces},
        {.name = "weir_backends", .run = backends, .options = pieces},
        {.name = "weir_reload", .run = reload, .options = pieces},
        {.name = "weir_crash", .run = crash, .options = pieces},
        {.name = "weir_workers", .run = workers, .options = pieces},
        {.name = "weir_stop", .run = stop, .options = pieces},
        {.name = "weir_chaos", .run = chaos, .options = impatient},
    };
    return run_scenarios(argc, argv, scenarios, sizeof scenarios / sizeof *scenarios);
}
