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
#include "weir_draw.h"
#include "weir_host.h"

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

#define POOLS_MAX    4 /* of them; one more is named `default` */
#define RUNNING_MAX  64
#define REQUESTS     (1 << 16)
#define SPAN_NS      (1 * NS_PER_S)
/* Until the second weir has heard that nobody waits any more. */
#define LEFT_NS      (5 * MS)
/* A task that was handed to a worker process may be on its way. */
#define HAND_OVER_NS (200 * NS_PER_US)

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
    struct rand watch_rand;
    unsigned good, defaulted, starts, held_in, refused;
};

static struct scene *scene;

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
    const struct drawn_route *route = &s->drawn.routes[s->route_of[request] - 1];
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
    struct running *g = enter(s, call, (unsigned)(route - s->drawn.routes));
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
    sim_check(scene->sim, count <= DRAWN_BATCH_MAX, "%u tasks are called at once", count);
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
    sim_check(
        s->sim, strcmp(at, "}") == 0, "%s (%s) was answered with %s", r->id, r->ask->path, a->body);
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
    drawn_init(&s->drawn, sim);
    draw_first(&s->drawn);
    weir_host_init(&s->weir, sim, "weir", s->drawn.config.ptr);
    if (getenv("VERBOSE"))
        fprintf(stderr, "%s", s->drawn.config.ptr);
    draw_second(&s->drawn);
    weir_host_init(&s->next, sim, "next", s->drawn.config.ptr);
    drawn_release(&s->drawn);
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
