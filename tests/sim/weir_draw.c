/*
 * weir_draw.c: see weir_draw.h.
 */
#include "weir_draw.h"

#include "base/rand.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MS            NS_PER_MS
#define CONFIG_MAX    (16 * 1024)
/* Of a step that runs on an I/O thread: many may be there at once. */
#define INLINE_US_MAX 50

enum pool_way { WAY_INLINE, WAY_THREADS, WAY_PROCESSES, WAY_SMALL, WAYS };

static const char *const way_names[WAYS] = {"i", "t", "p", "s"};

void drawn_init(struct drawn *s, struct sim *sim)
{
    *s = (struct drawn){.sim = sim};
    bytes_init(&s->config, CONFIG_MAX);
}

void drawn_release(struct drawn *s)
{
    bytes_release(&s->config);
}

static void add(struct drawn *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct drawn *s, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    int rc = bytes_append(&s->config, text, (size_t)len);
    sim_check(s->sim, rc == 0 && len < (int)sizeof text, "the configuration is too long");
}

static int draw_int(struct drawn *s, int least, int most)
{
    return (int)rand_between(sim_rand(s->sim), least, most);
}

/* A reference to an earlier node, or to nothing: what makes this one wait. */
static const char *draw_need(struct drawn *s, struct drawn_route *t, unsigned i, char text[24])
{
    struct rand *r = sim_rand(s->sim);
    snprintf(text, 24, "none");
    if (i > 0 && rand_ppm(r, 500000)) {
        unsigned other = (unsigned)rand_below(r, i);
        t->nodes[other].needed = true;
        snprintf(text, 24, "$node.n%u", other);
    }
    return text;
}

static void draw_sleep(struct drawn *s, struct drawn_node *n)
{
    n->least_ns = rand_between(sim_rand(s->sim), 1, 60) * MS;
    snprintf(n->good, sizeof n->good, "null");
    add(s, "sleep: %lldms", (long long)(n->least_ns / MS));
}

/* What fails is rare where the route cannot do without it. */
static void draw_call(struct drawn *s, struct drawn_node *n, const char *need)
{
    enum { HARMLESS = 5 };
    static const char *const hows[] = {
        "ok", "ok", "ok", "slow", "chunked", "five", "hang", "late", "reset"};
    struct rand *r = sim_rand(s->sim);
    unsigned most = sizeof hows / sizeof *hows;
    if (!n->optional && rand_ppm(r, 800000))
        most = HARMLESS;
    unsigned how = (unsigned)rand_below(r, most);
    n->never = strcmp(hows[how], "five") == 0 || strcmp(hows[how], "hang") == 0 ||
               strcmp(hows[how], "reset") == 0;
    n->least_ns = strcmp(hows[how], "late") == 0 ? 1300 * MS : 0;
    snprintf(n->good, sizeof n->good, "\"@\"");
    add(s, "http: {url: 'http://backend:9000/%s/$path.id', headers: {x-need: '-%s'}}", hows[how],
        need);
}

static void draw_next(struct drawn *s, struct drawn_node *n, const char *need)
{
    static const char *const paths[] = {"work", "wait", "one"};
    snprintf(n->good, sizeof n->good, "\"@\"");
    add(s, "http: {url: 'http://next/%s/$path.id', send_deadline: true, headers: {x-need: '-%s'}}",
        paths[rand_below(sim_rand(s->sim), 3)], need);
}

static void draw_step(
    struct drawn *s, struct drawn_route *t, struct drawn_node *n, const char *need)
{
    static const struct {
        unsigned us;
        const char *shown;
    } costs[] = {
        {5, "0.005"}, {50, "0.05"}, {500, "0.5"}, {2000, "2"}, {20000, "20"}, {60000, "60"}};
    struct rand *r = sim_rand(s->sim);
    enum pool_way way = (enum pool_way)rand_below(r, WAYS);
    unsigned cost = (unsigned)rand_below(r, sizeof costs / sizeof *costs);
    while (way == WAY_INLINE && costs[cost].us > INLINE_US_MAX)
        cost--;
    n->least_ns = costs[cost].us * NS_PER_US;
    t->counted &= way != WAY_PROCESSES;
    if (n->kind == NODE_BATCH) {
        n->least_ns = MS;
        snprintf(n->good, sizeof n->good, "null"); /* what it took depends on who was with it */
        t->counted = false;
        add(s, "step: many, input: {id: $path.id, need: '-%s'}, pool: %s", need,
            way_names[way == WAY_INLINE ? WAY_THREADS : way]);
        return;
    }
    snprintf(n->good, sizeof n->good, "%s", costs[cost].shown);
    add(s, "step: burn, input: {id: $path.id, us: %u, need: '-%s'}, pool: %s", costs[cost].us, need,
        way_names[way]);
}

static void draw_node(struct drawn *s, struct drawn_route *t, unsigned i)
{
    struct rand *r = sim_rand(s->sim);
    struct drawn_node *n = &t->nodes[i];
    char text[24];
    n->kind = (enum node_kind)rand_below(r, NODE_KINDS);
    n->optional = rand_ppm(r, 400000);
    add(s, "      n%u: {", i);
    if (n->kind == NODE_SLEEP)
        draw_sleep(s, n);
    else if (n->kind == NODE_CALL)
        draw_call(s, n, draw_need(s, t, i, text));
    else if (n->kind == NODE_NEXT)
        draw_next(s, n, draw_need(s, t, i, text));
    else
        draw_step(s, t, n, draw_need(s, t, i, text));
    if (rand_ppm(r, 400000)) {
        n->deadline_ns = rand_between(r, 1, 300) * MS;
        add(s, ", deadline: %lldms", (long long)(n->deadline_ns / MS));
    }
    if (n->optional)
        add(s, ", optional: true, default: {body: {id: less}, burned_ms: less, none: less}");
    add(s, "}\n");
}

/* What the reply shows of a node: its member, which of a default is "less". */
static const char *shown_member(const struct drawn_node *n)
{
    switch (n->kind) {
    case NODE_CALL:
    case NODE_NEXT:
        return ".body.id";
    case NODE_STEP:
        return ".burned_ms";
    case NODE_BATCH:
        return ".none";
    default:
        return "";
    }
}

static void draw_route(struct drawn *s, unsigned index)
{
    static const char *const dispatches[] = {"auto", "auto", "fused", "fanout"};
    struct rand *r = sim_rand(s->sim);
    struct drawn_route *t = &s->routes[index];
    *t = (struct drawn_route){.counted = true};
    t->count = (unsigned)rand_between(r, 1, DRAWN_NODES_MAX);
    t->deadline_ns = rand_between(r, 50, 1000) * MS;
    t->max_in_flight = rand_ppm(r, 300000) ? (unsigned)rand_between(r, 1, 4) : 0;
    snprintf(t->path, sizeof t->path, "/r%u/@", index);
    if (rand_ppm(r, 250000)) {
        t->told_ns = rand_between(r, 1, 400) * MS;
        snprintf(
            t->hurried, sizeof t->hurried, "Weir-Deadline: %lld\r\n", (long long)(t->told_ns / MS));
    }
    const char *dispatch = dispatches[rand_below(r, 4)];
    int priority = draw_int(s, -2, 2);
    bool sequential = rand_ppm(r, 150000);
    add(s,
        "  - route: 'GET /r%u/{id}'\n    deadline: %lldms\n    dispatch: %s\n    priority: %d\n"
        "    max_in_flight: %u\n    order: %s\n    nodes:\n",
        index, (long long)(t->deadline_ns / MS), dispatch, priority, t->max_in_flight,
        sequential ? "sequential" : "parallel");
    for (unsigned i = 0; i < t->count; i++)
        draw_node(s, t, i);
    add(s, "    reply: {");
    for (unsigned i = 0; i < t->count; i++) {
        const struct drawn_node *n = &t->nodes[i];
        add(s, "%sn%u: $node.n%u%s", i ? ", " : "", i, i, shown_member(n));
    }
    add(s, "}\n");
    if (t->told_ns > 0 && t->told_ns < t->deadline_ns)
        t->deadline_ns = t->told_ns;
    s->asks[index] =
        (struct ask){.path = t->path, .fields = t->hurried, .within_ns = t->deadline_ns};
}

/* It is a string from now on. */
static void end_config(struct drawn *s)
{
    int rc = bytes_append(&s->config, "", 1);
    sim_check(s->sim, rc == 0, "the configuration is too long");
}

/* One draw a statement, here as elsewhere: the arguments of a call are evaluated in any order. */
static void draw_pool(
    struct drawn *s, const char *name, const char *kind, int size_max, const char *more)
{
    int size = draw_int(s, 1, size_max);
    int queue = draw_int(s, 2, 100);
    add(s, "  %s: {kind: %s, size: %d, queue: %d%s}\n", name, kind, size, queue, more);
}

void draw_first(struct drawn *s)
{
    struct rand *r = sim_rand(s->sim);
    s->threads = (unsigned)draw_int(s, 1, 2);
    add(s,
        "listen: '*:80'\nadmin: '*:9900'\nadmin_hosts: weir\nthreads: %u\ntimeouts: {request: 1s, "
        "drain: 3s}\n",
        s->threads);
    bool adaptive = rand_ppm(r, 700000);
    s->in_use = rand_ppm(r, 500000) ? (unsigned)draw_int(s, 2, 30) : 1024;
    add(s, "client: {adaptive: %s, waiting: %u, in_use: %u}\npools:\n  i: {kind: inline}\n",
        adaptive ? "true" : "false", DRAWN_WAITING, s->in_use);
    draw_pool(s, "t", "threads", 4, "");
    draw_pool(s, "p", "processes", 2, ", start: 2s");
    draw_pool(s, "s", "threads", 1, "");
    s->batch = (unsigned)draw_int(s, 2, DRAWN_BATCH_MAX);
    int wait_ms = draw_int(s, 0, 5);
    add(s,
        "steps:\n"
        "  many: {step: burn, options: {base: 1ms, item: 50us}, batch: {max: %u, wait: %dms}}\n"
        "routes:\n",
        s->batch, wait_ms);
    s->route_count = (unsigned)rand_between(r, 1, DRAWN_ROUTES_MAX);
    for (unsigned i = 0; i < s->route_count; i++)
        draw_route(s, i);
    end_config(s);
}

void draw_second(struct drawn *s)
{
    int work_us = draw_int(s, 100, 40000);
    int wait_ms = draw_int(s, 1, 200);
    bytes_reset(&s->config);
    add(s,
        "listen: '*:80'\ntimeouts: {request: 60s, drain: 3s}\n"
        "pools:\n  t: {kind: threads, size: 1, queue: 1000}\n"
        "routes:\n"
        "  - route: GET /work/{id}\n"
        "    nodes: {w: {step: burn, input: {id: $path.id, us: %d}, pool: t}}\n"
        "    reply: {id: $path.id, w: $node.w}\n"
        "  - {route: 'GET /wait/{id}', nodes: {w: {sleep: %dms}}, reply: {id: $path.id}}\n"
        "  - route: GET /one/{id}\n    max_in_flight: 1\n"
        "    nodes: {w: {sleep: 20ms}, v: {step: burn, input: {id: $path.id, us: 300, of: $node.w},"
        " pool: t}}\n"
        "    reply: {id: $path.id, v: $node.v}\n",
        work_us, wait_ms);
    end_config(s);
}
