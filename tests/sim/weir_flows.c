/*
 * weir_flows.c: random configurations of two weirs, and a crowd that asks the first: routes of
 * sleeps, calls and steps that need each other, with deadlines, defaults, priorities, bounds and
 * batches. What each route may answer follows from how it was drawn, and is checked: one answer a
 * request, in time; a node that failed and is optional has its default and nothing else has; no
 * step starts when nobody can use it any more, nor does one of the second weir that was told by
 * Weir-Deadline; no more requests are inside than max_in_flight says; no more calls wait than
 * client.waiting says; no worker is idle while a task waits.
 */
#include "queue_watch.h"
#include "runner.h"
#include "step_watch.h"
#include "weir_backend.h"
#include "weir_crowd.h"
#include "weir_draw.h"
#include "weir_host.h"
#include "weir_metrics.h"

#include "base/rand.h"
#include "coro/group.h"
#include "pool/internal.h"
#include "step/builtin/builtin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS NS_PER_MS

#define QUEUES_MAX       4 /* of pools of threads, of both weirs */
#define RUNNING_MAX      64
#define REQUESTS         (1 << 16)
#define SPAN_NS          (1 * NS_PER_S)
/* Until the second weir has heard that nobody waits any more. */
#define LEFT_NS          (5 * MS)
/* A task that was handed to a worker process may be on its way. */
#define HAND_OVER_NS     (200 * NS_PER_US)
#define METRICS_EVERY_NS (20 * MS)

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
    struct drawn drawn;
    uint8_t route_of[REQUESTS]; /* index + 1; by client and count */
    bool answered[REQUESTS];
    int64_t answered_at[REQUESTS];
    struct running running[RUNNING_MAX];
    struct weir_metrics metrics;
    unsigned queue_count;
    struct queue_watch queues[QUEUES_MAX];
    struct rand watch_rand;
    unsigned good, defaulted, starts, bounds, full;
};

static struct scene *scene;

/* ---- What is seen of steps ---- */

/* The place of an id `c7-12` in the scene's tables; what has none is nobody's: REQUESTS. */
static unsigned index_of(const char *id)
{
    unsigned client, count;
    if (!id || sscanf(id, "c%u-%u", &client, &count) != 2)
        return REQUESTS;
    return (client * 1024 + count) % REQUESTS;
}

static unsigned request_of(struct weir_task *t, char id[ASK_ID_MAX])
{
    const char *text = weir_text(weir_member(weir_input(t), "id"), NULL);
    snprintf(id, ASK_ID_MAX, "%s", text ? text : "");
    return index_of(id);
}

static bool is_left(const struct step_call *call)
{
    return call->cancelled && call->cancelled(call->cancelled_ctx);
}

/* Requests of a route that have steps running, for which somebody waits. */
static void check_in_flight(struct scene *s, unsigned route)
{
    const struct drawn_route *t = &s->drawn.routes[route];
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
    sim_check(s->sim, requests <= t->max_in_flight * s->drawn.threads,
        "%u requests of route %u are inside, of at most %u on each of %u threads", requests, route,
        t->max_in_flight, s->drawn.threads);
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

/* The pool of every canary, which is the first task of its pool, is known from then on. */
static void note_pool(struct scene *s, struct pool *p, int64_t clock)
{
    if (p->conf->kind != CONF_POOL_THREADS)
        return;
    for (unsigned i = 0; i < s->queue_count; i++)
        if (s->queues[i].queue == &p->queue)
            return;
    sim_check(s->sim, s->queue_count < QUEUES_MAX, "there are more pools than were drawn");
    if (s->queue_count < QUEUES_MAX)
        s->queues[s->queue_count++] = (struct queue_watch){
            .sim = s->sim, .queue = &p->queue, .clock = clock, .rand = &s->watch_rand};
}

/* A step starts: the canary's, which has no request; or one of a request, which counts as inside
 * unless it runs in a worker process. */
static void see_start(struct weir_task *started, size_t together)
{
    struct scene *s = scene;
    const struct step_call *call = step_watch_call(started);
    const struct task *t = step_watch_task(started);
    struct work *work = step_work(started);
    int64_t now = work->now(work);
    char id[ASK_ID_MAX];
    if (t)
        note_pool(s, t->pool, now - sim_now(s->sim));
    unsigned request = request_of(started, id);
    if (request == REQUESTS || s->route_of[request] == 0)
        return;
    const struct drawn_route *route = &s->drawn.routes[s->route_of[request] - 1];
    int64_t left = call->deadline - now;
    s->starts++;
    sim_check(s->sim, together <= s->drawn.batch, "%zu tasks are called at once, and not %u",
        together, s->drawn.batch);
    sim_check(s->sim, left > (t ? 0 : -HAND_OVER_NS), "a step of %s starts %lld us late", id,
        (long long)(-left / NS_PER_US));
    /* On any weir: what the first one has for it is all there is. */
    sim_check(s->sim, left <= route->deadline_ns, "a step of %s has %lld ms, the request %lld", id,
        (long long)(left / MS), (long long)(route->deadline_ns / MS));
    sim_check(s->sim,
        !s->answered[request] || left <= HAND_OVER_NS || !t || is_left(call) ||
            sim_now(s->sim) - s->answered_at[request] < LEFT_NS,
        "a step of %s starts although the request has been answered", id);
    if (!t || sim_process_host(sim_self(t->client->world)) != s->weir.host)
        return;
    struct running *g = enter(s, call, (unsigned)(route - s->drawn.routes));
    snprintf(g->id, sizeof g->id, "%s", id);
    check_in_flight(s, g->route);
}

static void see_end(struct weir_task *ended, size_t together)
{
    for (unsigned i = 0; i < RUNNING_MAX; i++)
        if (scene->running[i].call == step_watch_call(ended))
            scene->running[i].call = NULL;
}

/* ---- What is seen of bounds, in /metrics ---- */

static void see_metric(void *ctx, struct span name, struct span labels, double value)
{
    struct scene *s = ctx;
    const struct drawn *d = &s->drawn;
    unsigned index = 0;
    double most = -1;
    char text[64];
    snprintf(text, sizeof text, "%.*s", SPAN_ARG(labels));
    const char *route = strstr(text, "route=\"GET /r");
    if (route && sscanf(route, "route=\"GET /r%u/", &index) == 1 && index < d->route_count) {
        if (span_equal(name, SPAN("weir_route_in_flight")))
            most = d->routes[index].max_in_flight;
        else if (span_equal(name, SPAN("weir_upstream_calls")))
            most = d->in_use;
        else if (span_equal(name, SPAN("weir_upstream_waiting")))
            most = DRAWN_WAITING;
    }
    if (most < 0)
        return;
    s->bounds++;
    s->full += value >= most * d->threads;
    sim_check(s->sim, value <= most * d->threads, "%.*s{%.*s} is %g, with at most %g a thread",
        SPAN_ARG(name), SPAN_ARG(labels), value, most);
}

/* ---- Answers ---- */

static void note_asked(void *ctx, const struct request *r)
{
    struct scene *s = ctx;
    unsigned i = index_of(r->id);
    sim_check(s->sim, i < REQUESTS && s->route_of[i] == 0, "%s is asked twice", r->id);
    s->route_of[i] = (uint8_t)(r->ask - s->drawn.asks + 1);
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
    struct scene *s, const struct drawn_route *t, const struct request *r, const struct answer *a)
{
    const char *at = a->body;
    for (unsigned i = 0; i < t->count; i++) {
        const struct drawn_node *n = &t->nodes[i];
        const char *less =
            n->kind == NODE_SLEEP
                ? "{\"body\":{\"id\":\"less\"},\"burned_ms\":\"less\",\"none\":\"less\"}"
                : "\"less\"";
        char name[16];
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
    sim_check(s->sim, strcmp(at, "}\n") == 0, "%s (%s) was answered with %s", r->id, r->ask->path,
        a->body);
}

/* Whether the route can fail with that status, by what is in it. */
static bool can_fail(const struct drawn_route *t, int status, int64_t took)
{
    bool calls = false;
    bool works = false;
    int64_t least = t->deadline_ns;
    for (unsigned i = 0; i < t->count; i++) {
        const struct drawn_node *n = &t->nodes[i];
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
    const struct drawn_route *t = &s->drawn.routes[r->ask - s->drawn.asks];
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

/* The crowd comes and goes, and all is watched meanwhile. */
static int serve_crowd(struct scene *s)
{
    GROUP(watches, GROUP_FAIL_FAST);
    int rc = 0;
    sim_check(s->sim, s->queue_count > 0, "no queue is watched");
    for (unsigned i = 0; i < s->queue_count && rc == 0; i++)
        rc = group_spawn(&watches, "watch", queue_watch_run, &s->queues[i]);
    weir_metrics_start(&s->metrics);
    crowd_start(&s->crowd);
    if (rc == 0)
        rc = crowd_wait(&s->crowd);
    if (rc == 0)
        rc = weir_metrics_stop(&s->metrics);
    for (unsigned i = 0; i < s->queue_count; i++)
        s->queues[i].over = true;
    return rc ? rc : group_wait(&watches);
}

static int direct(struct sim *sim, void *arg)
{
    struct scene *s = arg;
    int rc = weir_host_start(&s->next);
    if (rc == 0)
        rc = weir_host_start(&s->weir);
    if (rc == 0)
        rc = serve_crowd(s);
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
            .ctx = s},
        .metrics = {
            .sim = sim, .host = "weir", .every_ns = METRICS_EVERY_NS, .see = see_metric, .ctx = s}};
    rand_init(&s->watch_rand, rand_u64(sim_rand(sim)));
    drawn_init(&s->drawn, sim);
    draw_first(&s->drawn);
    weir_host_init(&s->weir, sim, "weir", s->drawn.config.ptr);
    if (getenv("VERBOSE"))
        fprintf(stderr, "%s", s->drawn.config.ptr);
    draw_second(&s->drawn);
    weir_host_init(&s->next, sim, "next", s->drawn.config.ptr);
    drawn_release(&s->drawn);
    s->weir.overrides = s->weir.workers.overrides = s->next.overrides =
        step_watch(see_start, see_end);
    backend_init(&s->backend, sim);
    s->crowd.at = &s->weir.at;
    s->crowd.asks = s->drawn.asks;
    s->crowd.ask_count = s->drawn.route_count;
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
            "%u answered, %u of them well, with %u defaults; %u steps; %u bounds "
            "were looked at, %u of them were reached\n",
            s->crowd.answered, s->good, s->defaulted, s->starts, s->bounds, s->full);
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
    const struct sim_options options = {
        .short_reads_ppm = 100000, .short_writes_ppm = 100000, .stack_size = 256 * 1024};
    const struct scenario scenarios[] = {
        {.name = "flows", .run = flows, .options = options},
        {.name = "flows_crowded", .run = flows_crowded, .options = options},
    };
    return run_scenarios(argc, argv, scenarios, sizeof scenarios / sizeof *scenarios);
}
