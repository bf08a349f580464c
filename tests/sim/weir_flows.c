/*
 * weir_flows.c: random configurations of two weirs, and a crowd that asks the first: routes of
 * sleeps, calls and steps that need each other, with deadlines, defaults, priorities, bounds and
 * batches. What each route may answer follows from how it was drawn, and is checked: one answer a
 * request, in time; a node that failed and is optional has its default and nothing else has; no
 * step starts when nobody can use it any more, nor does one of the second weir that was told by
 * Weir-Deadline; no more requests are inside than max_in_flight says; no more calls wait than
 * client.waiting says; no hand is idle while a task waits.
 */
#include "queue_watch.h"
#include "runner.h"
#include "weir_backend.h"
#include "weir_crowd.h"
#include "weir_host.h"

#include "base/bytes.h"
#include "base/mem.h"
#include "base/rand.h"
#include "coro/group.h"
#include "flow/line.h"
#include "pool/desk.h"
#include "step/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS NS_PER_MS

#define ROUTES_MAX    6
#define NODES_MAX     5
#define POOLS_MAX     4 /* of them; one more is named `default` */
#define RUNNING_MAX   64
#define REQUESTS      (1 << 16)
#define WAITING_MAX   7 /* calls before an upstream; the lines of routes have another bound */
#define BATCH_MAX     16
#define CONFIG_MAX    (16 * 1024)
#define SPAN_NS       (1 * NS_PER_S)
/* Until the second weir has heard that nobody waits any more. */
#define LEFT_NS       (5 * MS)
/* A task that was handed to a worker process may be on its way. */
#define HAND_OVER_NS  (200 * NS_PER_US)
/* Of a step that runs on an I/O thread: many may be there at once. */
#define INLINE_US_MAX 50

enum pool_way { WAY_INLINE, WAY_THREADS, WAY_PROCESSES, WAY_SMALL, WAYS };

static const char *const way_names[WAYS] = {"i", "t", "p", "s"};

enum node_kind { NODE_SLEEP, NODE_CALL, NODE_NEXT, NODE_STEP, NODE_BATCH, NODE_KINDS };

struct node {
    enum node_kind kind;
    bool optional;
    bool needed;         /* by another; what the reply shows of it, it needs anyway */
    int64_t deadline_ns; /* 0: none of its own */
    int64_t least_ns;    /* that it takes if it is done */
    bool never;          /* it fails whatever happens */
    char good[32];       /* what the reply shows when it is done; '@' is the id */
};

struct route {
    unsigned count;
    struct node nodes[NODES_MAX];
    int64_t deadline_ns;
    unsigned max_in_flight;
    bool counted; /* its steps run where it can be seen whether anybody waits */
    char path[16];
    char hurried[40]; /* the field of one that is asked with a Weir-Deadline */
    int64_t told_ns;  /* what that says; 0: none */
};

struct running {
    const struct step_call *call;
    unsigned route;
    char id[ASK_ID_MAX];
};

struct scene {
    struct sim *sim;
    struct weir_host weir, next;
    struct backend backend;
    struct crowd crowd;
    struct ask asks[ROUTES_MAX];
    struct route routes[ROUTES_MAX];
    unsigned route_count;
    unsigned threads, workers; /* of the first */
    struct bytes config;
    uint8_t route_of[REQUESTS]; /* index + 1; by client and count */
    bool answered[REQUESTS];
    int64_t answered_at[REQUESTS];
    struct running running[RUNNING_MAX];
    struct rand watch_rand;
    unsigned good, defaulted, starts, held_in, refused;
};

static struct scene *scene;

/* ---- Drawing ---- */

static void add(struct scene *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct scene *s, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    int rc = bytes_append(&s->config, text, (size_t)len);
    sim_check(s->sim, rc == 0 && len < (int)sizeof text, "the configuration is too long");
}

/* A reference to an earlier node, or to nothing: what makes this one wait. */
static const char *draw_need(struct scene *s, struct route *t, unsigned i, char text[24])
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

static void draw_sleep(struct scene *s, struct node *n)
{
    n->least_ns = rand_between(sim_rand(s->sim), 1, 60) * MS;
    snprintf(n->good, sizeof n->good, "null");
    add(s, "sleep: %lldms", (long long)(n->least_ns / MS));
}

/* What fails is rare where the route cannot do without it. */
static void draw_call(struct scene *s, struct node *n, const char *need)
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

static void draw_next(struct scene *s, struct node *n, const char *need)
{
    static const char *const paths[] = {"work", "wait", "one"};
    snprintf(n->good, sizeof n->good, "\"@\"");
    add(s, "http: {url: 'http://next/%s/$path.id', send_deadline: true, headers: {x-need: '-%s'}}",
        paths[rand_below(sim_rand(s->sim), 3)], need);
}

static void draw_step(struct scene *s, struct route *t, struct node *n, const char *need)
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

static void draw_node(struct scene *s, struct route *t, unsigned i)
{
    struct rand *r = sim_rand(s->sim);
    struct node *n = &t->nodes[i];
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
static const char *shown_member(const struct node *n)
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

static void draw_route(struct scene *s, unsigned index)
{
    static const char *const dispatches[] = {"auto", "auto", "fused", "fanout"};
    struct rand *r = sim_rand(s->sim);
    struct route *t = &s->routes[index];
    *t = (struct route){.counted = true};
    t->count = (unsigned)rand_between(r, 1, NODES_MAX);
    t->deadline_ns = rand_between(r, 50, 1000) * MS;
    t->max_in_flight = rand_ppm(r, 300000) ? (unsigned)rand_between(r, 1, 4) : 0;
    snprintf(t->path, sizeof t->path, "/r%u/@", index);
    if (rand_ppm(r, 250000)) {
        t->told_ns = rand_between(r, 1, 400) * MS;
        snprintf(
            t->hurried, sizeof t->hurried, "Weir-Deadline: %lld\r\n", (long long)(t->told_ns / MS));
    }
    add(s,
        "  - route: 'GET /r%u/{id}'\n    deadline: %lldms\n    dispatch: %s\n    priority: %d\n"
        "    max_in_flight: %u\n    order: %s\n    nodes:\n",
        index, (long long)(t->deadline_ns / MS), dispatches[rand_below(r, 4)],
        (int)rand_between(r, -2, 2), t->max_in_flight,
        rand_ppm(r, 150000) ? "sequential" : "parallel");
    for (unsigned i = 0; i < t->count; i++)
        draw_node(s, t, i);
    add(s, "    reply: {");
    for (unsigned i = 0; i < t->count; i++) {
        const struct node *n = &t->nodes[i];
        add(s, "%sn%u: $node.n%u%s", i ? ", " : "", i, i, shown_member(n));
    }
    add(s, "}\n");
    if (t->told_ns > 0 && t->told_ns < t->deadline_ns)
        t->deadline_ns = t->told_ns;
    s->asks[index] =
        (struct ask){.path = t->path, .fields = t->hurried, .within_ns = t->deadline_ns};
}

/* It is a string from now on. */
static void end_config(struct scene *s)
{
    int rc = bytes_append(&s->config, "", 1);
    sim_check(s->sim, rc == 0, "the configuration is too long");
}

static void draw_first(struct scene *s)
{
    struct rand *r = sim_rand(s->sim);
    s->threads = (unsigned)rand_between(r, 1, 2);
    add(s,
        "listen: '*:80'\nadmin: '*:9900'\nthreads: %u\ntimeouts: {request: 1s, drain: 3s}\n"
        "client: {adaptive: %s, waiting: %u, in_use: %d}\n"
        "pools:\n  i: {kind: inline}\n"
        "  t: {kind: threads, size: %d, queue: %d}\n"
        "  p: {kind: processes, size: %d, queue: %d, start: 2s}\n"
        "  s: {kind: threads, size: 1, queue: %d}\n"
        "steps:\n"
        "  many: {step: burn, options: {base: 1ms, item: 50us}, batch: {max: %d, wait: %dms}}\n"
        "routes:\n",
        s->threads, rand_ppm(r, 700000) ? "true" : "false", WAITING_MAX,
        rand_ppm(r, 500000) ? (int)rand_between(r, 2, 30) : 1024, (int)rand_between(r, 1, 4),
        (int)rand_between(r, 2, 100), (int)rand_between(r, 1, 2), (int)rand_between(r, 2, 100),
        (int)rand_between(r, 2, 100), (int)rand_between(r, 2, BATCH_MAX),
        (int)rand_between(r, 0, 5));
    s->route_count = (unsigned)rand_between(r, 1, ROUTES_MAX);
    for (unsigned i = 0; i < s->route_count; i++)
        draw_route(s, i);
    end_config(s);
}

static void draw_second(struct scene *s)
{
    struct rand *r = sim_rand(s->sim);
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
        (int)rand_between(r, 100, 40000), (int)rand_between(r, 1, 200));
    end_config(s);
}

/* ---- What is seen of steps: the linker puts this between pools and steps ---- */

void __real_step_worker_call(struct step_worker *k, struct step_call *call);
void __wrap_step_worker_call(struct step_worker *k, struct step_call *call);
void __real_step_worker_call_batch(
    struct step_worker *k, struct step_call *const *calls, unsigned count);
void __wrap_step_worker_call_batch(
    struct step_worker *k, struct step_call *const *calls, unsigned count);

/* The place of an id `c7-12` in the scene's tables; what has none is nobody's: REQUESTS. */
static unsigned index_of(const char *id)
{
    unsigned client, count;
    if (!id || sscanf(id, "c%u-%u", &client, &count) != 2)
        return REQUESTS;
    return (client * 1024 + count) % REQUESTS;
}

static unsigned request_of(const struct step_call *call, char id[ASK_ID_MAX])
{
    char text[128];
    snprintf(text, sizeof text, "%.*s",
        (int)(call->input.len < sizeof text ? call->input.len : sizeof text - 1), call->input.ptr);
    const char *at = strstr(text, "\"id\":\"");
    if (!at)
        return REQUESTS;
    snprintf(id, ASK_ID_MAX, "%s", at + 6);
    id[strcspn(id, "\"")] = '\0';
    return index_of(id);
}

static bool is_left(const struct step_call *call)
{
    return call->cancelled && call->cancelled(call->cancelled_ctx);
}

/* Requests of a route that have steps running, for which somebody waits. */
static void check_in_flight(struct scene *s, unsigned route)
{
    const struct route *t = &s->routes[route];
    unsigned requests = 0;
    if (!t->max_in_flight || !t->counted)
        return;
    for (unsigned i = 0; i < RUNNING_MAX; i++) {
        const struct running *g = &s->running[i];
        bool counts = g->call && g->route == route && !is_left(g->call);
        for (unsigned j = 0; j < i && counts; j++)
            counts = !s->running[j].call || is_left(s->running[j].call) ||
                     strcmp(s->running[j].id, g->id) != 0;
        requests += counts;
    }
    sim_check(s->sim, requests <= t->max_in_flight * s->threads,
        "%u requests of route %u are inside, of at most %u on each of %u threads", requests, route,
        t->max_in_flight, s->threads);
}

static struct running *enter(struct scene *s, const struct step_call *call, unsigned route)
{
    struct running *g = s->running;
    while (g->call && g < s->running + RUNNING_MAX - 1)
        g++;
    sim_check(s->sim, !g->call, "too many steps run at once");
    *g = (struct running){.call = call, .route = route};
    return g;
}

/* The task, where the step runs in the server itself. */
static const struct task *task_of(const struct step_call *call)
{
    return call->cancelled == task_cancelled ? call->cancelled_ctx : NULL;
}

/* A step is about to start. NULL: it is nobody's whom the scene knows, or runs in a process of its
 * own. */
static struct running *starts(struct step_worker *k, const struct step_call *call)
{
    struct scene *s = scene;
    char id[ASK_ID_MAX];
    unsigned request = request_of(call, id);
    if (request == REQUESTS || s->route_of[request] == 0)
        return NULL;
    const struct task *t = task_of(call);
    const struct route *route = &s->routes[s->route_of[request] - 1];
    int64_t now = k->place->work->now(k->place->work);
    int64_t left = call->deadline - now;
    s->starts++;
    sim_check(s->sim, left > (t ? 0 : -HAND_OVER_NS), "a step of %s starts %lld us late", id,
        (long long)(-left / NS_PER_US));
    /* On any weir: what the first one has for it is all there is. */
    sim_check(s->sim, left <= route->deadline_ns, "a step of %s has %lld ms, the request %lld", id,
        (long long)(left / MS), (long long)(route->deadline_ns / MS));
    sim_check(s->sim,
        !s->answered[request] || left <= HAND_OVER_NS || !t || is_left(call) ||
            sim_now(s->sim) - s->answered_at[request] < LEFT_NS,
        "a step of %s starts although the request has been answered", id);
    if (!t || sim_process_host(sim_self(pool_desk_world(t->desk))) != s->weir.host)
        return NULL;
    struct running *g = enter(s, call, (unsigned)(route - s->routes));
    snprintf(g->id, sizeof g->id, "%s", id);
    check_in_flight(s, g->route);
    return g;
}

void __wrap_step_worker_call(struct step_worker *k, struct step_call *call)
{
    struct running *g = starts(k, call);
    __real_step_worker_call(k, call);
    if (g)
        g->call = NULL;
}

void __wrap_step_worker_call_batch(
    struct step_worker *k, struct step_call *const *calls, unsigned count)
{
    struct running *running[TAKE_MAX];
    sim_check(scene->sim, count <= BATCH_MAX, "%u tasks are called at once", count);
    for (unsigned i = 0; i < count && i < TAKE_MAX; i++)
        running[i] = starts(k, calls[i]);
    __real_step_worker_call_batch(k, calls, count);
    for (unsigned i = 0; i < count && i < TAKE_MAX; i++)
        if (running[i])
            running[i]->call = NULL;
}

/* ---- Of lines and queues ---- */

int __real_line_enter(
    struct line *l, unsigned limit, unsigned waiting_max, int64_t now, int64_t *retry_after);
int __wrap_line_enter(
    struct line *l, unsigned limit, unsigned waiting_max, int64_t now, int64_t *retry_after);
int __real_pool_desk_run(void *desk);
int __wrap_pool_desk_run(void *desk);

int __wrap_line_enter(
    struct line *l, unsigned limit, unsigned waiting_max, int64_t now, int64_t *retry_after)
{
    struct scene *s = scene;
    bool waits = l->inside >= limit;
    int rc = __real_line_enter(l, limit, waiting_max, now, retry_after);
    s->held_in += waits && rc == 0;
    s->refused += rc == -ENOBUFS;
    sim_check(
        s->sim, l->waiting <= waiting_max, "%u wait in a line of %u", l->waiting, waiting_max);
    sim_check(
        s->sim, rc != 0 || waits || l->inside <= limit, "%u are inside, of %u", l->inside, limit);
    return rc;
}

/* The first desk watches the queues of threads, whose hands are always free to come. */
int __wrap_pool_desk_run(void *desk)
{
    struct scene *s = scene;
    struct pool_desk *d = desk;
    struct queue_watch eyes[POOLS_MAX + 1];
    GROUP(watch, GROUP_INDEPENDENT);
    int rc = 0;
    unsigned count = 0;
    for (unsigned i = 0; i < d->pools->count && rc == 0 && d->index == 0; i++) {
        struct pool *p = &d->pools->all[i];
        if (p->conf->kind != CONF_POOL_THREADS || count > POOLS_MAX)
            continue;
        eyes[count] = (struct queue_watch){
            .sim = s->sim, .queue = &p->queue, .world = d->world, .rand = &s->watch_rand};
        rc = group_spawn(&watch, "watch", queue_watch_run, &eyes[count++]);
    }
    if (rc == 0)
        rc = __real_pool_desk_run(desk);
    group_cancel(&watch);
    int watched = group_wait(&watch);
    return rc ? rc : watched == -ECANCELED ? 0 : watched;
}

/* ---- Answers ---- */

static void note_asked(void *ctx, const struct request *r)
{
    struct scene *s = ctx;
    unsigned i = index_of(r->id);
    sim_check(s->sim, i < REQUESTS && s->route_of[i] == 0, "%s is asked twice", r->id);
    s->route_of[i] = (uint8_t)(r->ask - s->asks + 1);
}

/* Whether the reply's member for this node is `text`; goes on behind it. */
static bool shows(const char **at, const char *text, const char *id)
{
    const char *p = *at;
    for (; *text; text++) {
        const char *piece = *text == '@' ? id : text;
        size_t len = *text == '@' ? strlen(id) : 1;
        if (strncmp(p, piece, len) != 0)
            return false;
        p += len;
    }
    *at = p;
    return true;
}

/* A default where the node is optional and could not be done; else its own value. */
static void check_members(
    struct scene *s, const struct route *t, const struct request *r, const struct answer *a)
{
    const char *at = a->body;
    for (unsigned i = 0; i < t->count; i++) {
        const struct node *n = &t->nodes[i];
        const char *less =
            n->kind == NODE_SLEEP
                ? "{\"body\":{\"id\":\"less\"},\"burned_ms\":\"less\",\"none\":\"less\"}"
                : "\"less\"";
        char name[8];
        snprintf(name, sizeof name, "%s\"n%u\":", i ? "," : "{", i);
        bool named = shows(&at, name, r->id);
        bool is_less = named && n->optional && shows(&at, less, r->id);
        bool good = named && !is_less && shows(&at, n->good, r->id);
        s->defaulted += is_less;
        sim_check(s->sim, good || is_less, "node n%u of %s (%s) shows %s", i, r->id, r->ask->path,
            a->body);
        bool can = !n->never && (n->deadline_ns == 0 || n->least_ns <= n->deadline_ns);
        sim_check(s->sim, !good || can, "node n%u of %s (%s) cannot be done: %s", i, r->id,
            r->ask->path, a->body);
    }
    sim_check(
        s->sim, strcmp(at, "}") == 0, "%s (%s) was answered with %s", r->id, r->ask->path, a->body);
}

/* Whether the route can fail with that status, by what is in it. */
static bool can_fail(const struct route *t, int status, int64_t took)
{
    bool calls = false;
    bool works = false;
    int64_t least = t->deadline_ns;
    for (unsigned i = 0; i < t->count; i++) {
        const struct node *n = &t->nodes[i];
        if (n->optional)
            continue;
        calls |= n->kind == NODE_CALL || n->kind == NODE_NEXT;
        works |= n->kind == NODE_STEP || n->kind == NODE_BATCH;
        if (n->deadline_ns > 0 && n->deadline_ns < least)
            least = n->deadline_ns;
    }
    if (status == 504)
        return took >= least - MS; /* what a weir is told is rounded down */
    return (status == 502 && calls) || (status == 503 && (calls || works || t->max_in_flight > 0));
}

static void check(void *ctx, const struct request *r, const struct answer *a, int64_t connected_at)
{
    struct scene *s = ctx;
    const struct route *t = &s->routes[r->ask - s->asks];
    unsigned request = index_of(r->id);
    char named[64];
    sim_check(s->sim, !s->answered[request], "%s has two answers", r->id);
    s->answered[request] = true;
    s->answered_at[request] = sim_now(s->sim);
    if (a->status == 200) {
        s->good++;
        check_members(s, t, r, a);
        return;
    }
    int64_t took = sim_now(s->sim) - r->began_at;
    snprintf(named, sizeof named, "urn:weir:request:%s\"", r->id);
    sim_check(s->sim, can_fail(t, a->status, took) && strstr(a->body, named),
        "%s (%s) was answered with %d after %lld ms: %s", r->id, r->ask->path, a->status,
        (long long)(took / MS), a->body);
}

/* ---- Scenes ---- */

static int direct(struct sim *sim, void *arg)
{
    struct scene *s = arg;
    int rc = weir_host_start(&s->next);
    if (rc == 0)
        rc = weir_host_start(&s->weir);
    if (rc == 0) {
        crowd_start(&s->crowd);
        rc = crowd_wait(&s->crowd);
    }
    if (rc == 0)
        rc = weir_host_stop(&s->weir);
    return rc ? rc : weir_host_stop(&s->next);
}

static void run(struct sim *sim, unsigned clients, int64_t pause_ns)
{
    static struct scene only; /* coroutines look at it until the universe is closed */
    struct scene *s = scene = &only;
    *s = (struct scene){.sim = sim,
        .crowd = {.sim = sim,
            .clients = clients,
            .until = SPAN_NS,
            .pause_mean_ns = pause_ns,
            .check = check,
            .asked = note_asked,
            .ctx = s}};
    rand_init(&s->watch_rand, rand_u64(sim_rand(sim)));
    bytes_init(&s->config, CONFIG_MAX);
    draw_first(s);
    weir_host_init(&s->weir, sim, "weir", s->config.ptr);
    if (getenv("VERBOSE"))
        fprintf(stderr, "%s", s->config.ptr);
    draw_second(s);
    weir_host_init(&s->next, sim, "next", s->config.ptr);
    bytes_release(&s->config);
    backend_init(&s->backend, sim);
    s->crowd.at = &s->weir.at;
    s->crowd.asks = s->asks;
    s->crowd.ask_count = s->route_count;
    int rc = sim_direct(sim, "script", direct, s);
    if (rc == 0)
        rc = sim_run(sim, 3600 * NS_PER_S);
    sim_check(sim, rc == 0, "the simulation ended with error %d", -rc);
    sim_check(sim, s->weir.server_count == 0 && s->next.server_count == 0,
        "a server outlives its supervisor");
    sim_check(sim, s->crowd.lost == 0 && s->crowd.resent == 0,
        "%u requests were lost, %u sent again", s->crowd.lost, s->crowd.resent);
    if (getenv("VERBOSE"))
        fprintf(stderr,
            "%u answered, %u of them well, with %u defaults; %u steps; %u waited in lines, %u were "
            "refused there\n",
            s->crowd.answered, s->good, s->defaulted, s->starts, s->held_in, s->refused);
}

static void flows(struct sim *sim)
{
    run(sim, 8, 50 * MS);
}

/* More than all of it can be done in time. */
static void flows_crowded(struct sim *sim)
{
    run(sim, CROWD_MAX, 20 * MS);
}

int main(int argc, char **argv)
{
    const struct sim_options options = {.stack_size = 256 * 1024};
    const struct scenario scenarios[] = {
        {.name = "flows", .run = flows, .options = options},
        {.name = "flows_crowded", .run = flows_crowded, .options = options},
    };
    return run_scenarios(argc, argv, scenarios, sizeof scenarios / sizeof *scenarios);
}
