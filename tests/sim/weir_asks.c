/*
 * weir_asks.c: see weir_asks.h.
 */
#include "weir_asks.h"

#include "base/rand.h"

#include <stdio.h>

/* What the configurations say. */
#define NODE_NS (300 * MS)
/* Two steps in turn, of some at once. */
#define WORK_NS (100 * MS)
/* What a slow backend takes at most. */
#define SLOW_NS (400 * MS)

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

/* What the seed decides beside the routes. */
static void write_with(struct sim *sim, char config[CONFIG_MAX], const char *routes)
{
    struct rand *r = sim_rand(sim);
    int len = snprintf(config, CONFIG_MAX, "threads: %d\nlog: {access: %s}\n" LISTEN POOLS "%s",
        (int)rand_between(r, 1, 3), rand_ppm(r, 500000) ? "true" : "false",
        (int)rand_between(r, 1, 3), (int)rand_between(r, 1, 3),
        rand_ppm(r, 500000) ? (int)rand_between(r, 5, 50) : 0, routes);
    sim_check(sim, len < CONFIG_MAX, "the configuration is too long");
}

void write_config(struct sim *sim, char config[CONFIG_MAX])
{
    write_with(sim, config, ROUTES WORK_ROUTES);
}

void write_version(struct sim *sim, char config[CONFIG_MAX], unsigned version)
{
    char routes[CONFIG_MAX / 2];
    static const char *const pools[] = {"i", "t", "p", "f"};
    snprintf(routes, sizeof routes, VERSION_ROUTES, version, version, version, version,
        version % 2 ? "odd" : "even", version, pools[rand_below(sim_rand(sim), 4)], version);
    write_with(sim, config, routes);
}

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

#define SET(list)                        \
    {                                    \
        list, sizeof list / sizeof *list \
    }

static const struct ask usual_asks[] = {
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

/* An order that meets a stale connection cannot be sent again. */
static const struct ask troubled_asks[] = {
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

static const struct ask working_asks[] = {
    {ECHO},
    {SLEEP, .reply = "{\"slept\":\"@\"}"},
    {.path = "/inline/@", WORK},
    {.path = "/threads/@", WORK},
    {.path = "/processes/@", WORK},
    {.path = "/fork/@", WORK},
    {AGAIN},
};

static const struct ask versioned_asks[] = {
    {.path = "/v/@"},
    {.path = "/v/@"},
    {POST, .path = "/v"},
    {.path = "/even/@"},
    {.path = "/odd/@"},
    {.path = "/task/@", .works = true},
    {.path = "/task/@", .works = true},
    {.path = "/sleep/@", .within_ns = 50 * MS, .after_ns = 50 * MS},
};

const struct ask_set usual = SET(usual_asks);
const struct ask_set troubled = SET(troubled_asks);
const struct ask_set working = SET(working_asks);
const struct ask_set versioned = SET(versioned_asks);
