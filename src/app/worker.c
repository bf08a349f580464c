/*
 * worker.c: see worker.h.
 */
#include "app/worker.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/rand.h"
#include "coro/group.h"
#include "meter/histogram.h"
#include "world/plain.h"

#include <errno.h>
#include <limits.h>

/* How often a client without calls is looked after at least. */
#define SWEEP_EACH        (10 * NS_PER_S)
/* How often the heap's holes may go back to the kernel, and after how much of large bodies. */
#define TRIM_EACH         (2 * NS_PER_S)
#define TRIM_AFTER        ((uint64_t)16 * 1024 * 1024)
/* After the drain: the supervisor has killed who has not ended by then, if it lives. */
#define SUPERVISOR_NS     (2 * NS_PER_S)
/* What a request may need of its arena beside copies of its body: replies of other servers, above
 * all. */
#define ARENA_BESIDE_BODY ((size_t)64 * 1024 * 1024)

enum outcome {
    OUTCOME_GONE,
    OUTCOME_1XX,
    OUTCOME_2XX,
    OUTCOME_3XX,
    OUTCOME_4XX,
    OUTCOME_5XX,
    OUTCOMES
};

/* The series of every route, and of requests that found none. */
struct worker_metrics {
    unsigned route_count;
    struct route_series {
        struct meter_series *outcomes[OUTCOMES];
        struct meter_series *seconds;
    } * routes; /* one more than route_count: the last is for no route */
    struct flow_figures *flows;
};

/* A thread's cells of them. */
struct route_cells {
    struct counter *outcomes[OUTCOMES];
    struct histogram *seconds;
};

struct order {
    struct message message;
    struct worker *worker;
    struct worker_drain how;
};

struct worker {
    struct worker_options options;
    struct listener **listeners; /* the server's; then its own on the same sockets */
    struct world *world;         /* while it runs */
    struct http_server *server;
    struct http_client *client;
    struct pool_client *pool_client;
    int pools_rc;        /* of pool_client_run */
    bool serves;         /* and `started` was told so */
    int64_t drain_until; /* once it is told to drain */
    struct http_server_stats server_stats;
    struct http_client_stats client_stats;
    struct flow_context flows;
    struct flow_locals *locals;
    struct rand rand;
    struct access_log *access;
    struct route_cells *cells; /* of each route, and of none */
    unsigned route_count;
    struct order orders[2]; /* to drain, and to hurry */
    unsigned ordered;
};

/* ---- Metrics ---- */

static const char *const outcome_names[OUTCOMES] = {"gone", "1xx", "2xx", "3xx", "4xx", "5xx"};

static int register_route(struct meter_family *requests, struct meter_family *seconds,
    struct span name, struct route_series *out)
{
    struct meter_label labels[2] = {{"route", name}, {"status", {NULL, 0}}};
    for (int i = 0; i < OUTCOMES; i++) {
        if (i == OUTCOME_1XX)
            continue; /* no final status */
        labels[1].value = span_of(outcome_names[i]);
        int rc = meter_series(requests, labels, 2, &out->outcomes[i]);
        if (rc)
            return rc;
    }
    return meter_series(seconds, labels, 1, &out->seconds);
}

int worker_metrics_register(struct meter *meter, const struct service *service,
    const struct conf_client *client, struct worker_metrics **out)
{
    struct worker_metrics *m = mem_zalloc(sizeof(*m));
    if (!m)
        return -ENOMEM;
    struct meter_family *requests, *seconds;
    int rc = meter_family(meter, METER_COUNTER, "weir_http_requests_total",
        "Requests answered, by route and status class; 'gone': unanswered, since the client did "
        "not "
        "wait, or the server at the end of a drain.",
        &requests);
    if (rc == 0)
        rc = meter_family(meter, METER_HISTOGRAM, "weir_http_request_seconds",
            "From a request's first byte to its reply's last, handed to the kernel.", &seconds);
    m->route_count = service->route_count;
    m->routes = mem_zalloc((m->route_count + 1) * sizeof(*m->routes));
    if (!m->routes)
        rc = -ENOMEM;
    for (unsigned i = 0; i < m->route_count && rc == 0; i++)
        rc = register_route(
            requests, seconds, span_of(service->routes[i].conf->name), &m->routes[i]);
    if (rc == 0)
        rc = register_route(requests, seconds, SPAN("(none)"), &m->routes[m->route_count]);
    if (rc == 0)
        rc = flow_figures_new(&m->flows, meter, service->flows, service->route_count, client);
    if (rc) {
        worker_metrics_free(m);
        return rc;
    }
    *out = m;
    return 0;
}

void worker_metrics_free(struct worker_metrics *m)
{
    if (!m)
        return;
    flow_figures_free(m->flows);
    mem_free(m->routes);
    mem_free(m);
}

static void take_cells(struct worker *k, const struct worker_metrics *m)
{
    for (unsigned i = 0; i <= m->route_count; i++) {
        for (int j = 0; j < OUTCOMES; j++)
            if (m->routes[i].outcomes[j])
                k->cells[i].outcomes[j] = meter_counter(m->routes[i].outcomes[j], k->options.index);
        k->cells[i].seconds = meter_histogram(m->routes[i].seconds, k->options.index);
    }
}

/* ---- Requests ---- */

static void handle(void *ctx, struct http_request *r)
{
    struct worker *k = ctx;
    service_answer(k->options.service, &k->flows, r);
}

static void done(void *ctx, const struct http_request *r, int64_t now)
{
    struct worker *k = ctx;
    const struct service_route *route = r->mark;
    struct route_cells *cells = &k->cells[route ? route->index : k->route_count];
    int outcome = r->status / 100;
    counter_add(
        cells->outcomes[outcome >= OUTCOME_2XX && outcome < OUTCOMES ? outcome : OUTCOME_GONE], 1);
    histogram_record(cells->seconds, now - r->began);
    if (k->options.config->log.access || r->failure_hidden)
        access_log_request(k->access, r, now);
}

/* ---- Running ---- */

/* The body is not in the arena, but what nodes are given of it is. */
static size_t arena_for(const struct config *c)
{
    uint64_t body = 0;
    for (unsigned i = 0; i < c->route_count; i++)
        body = c->routes[i].body > body ? c->routes[i].body : body;
    body = body < JSON_TEXT_MAX ? body : JSON_TEXT_MAX;
    return ARENA_BESIDE_BODY + 4 * (size_t)body;
}

static int make_server(struct worker *k)
{
    const struct config *c = k->options.config;
    const struct conf_timeouts *t = &c->timeouts;
    const struct conf_limits *l = &c->limits;
    struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    limits.line_max = l->line;
    limits.head_max = l->head;
    limits.fields_max = l->fields;
    return http_server_new(&k->server, k->world,
        &(struct http_server_options){
            .limits = limits,
            .body_max = l->body,
            .requests_per_connection = l->requests_per_connection,
            /* A share each: they do not know how many the others have. */
            .connections_max = (l->connections + k->options.count - 1) / k->options.count,
            .arena_max = arena_for(c),
            .bodies = body_budget_share(k->options.bodies, k->options.index),
            .headers_timeout = t->headers,
            .body_timeout = t->body,
            .idle_timeout = t->idle,
            .write_timeout = t->write,
            .linger_timeout = t->linger,
            .body_rate = t->body_rate,
            .date = c->date,
            .server = c->server,
            .timing = c->server_timing,
            .handle = handle,
            .done = done,
            .ctx = k,
            .stats = &k->server_stats,
        });
}

static int make_client(struct worker *k)
{
    const struct conf_client *c = &k->options.config->client;
    struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    limits.head_max = c->reply_head;
    return http_client_new(&k->client, k->world,
        &(struct http_client_options){
            .idle_max = c->connections,
            .in_use_max = c->in_use ? c->in_use : UINT_MAX,
            .idle_timeout = c->idle,
            .connect_timeout = c->connect,
            .first_byte_timeout = c->first_byte,
            .limits = limits,
            .body_max = c->reply_body,
            .stats = &k->client_stats,
        });
}

static int share_listeners(struct worker *k)
{
    for (unsigned i = 0; i < k->options.listener_count; i++) {
        int rc = world_share_listener(k->world, k->listeners[i], &k->listeners[i]);
        if (rc) {
            while (i > 0)
                listener_close(k->listeners[--i]);
            return rc;
        }
    }
    return 0;
}

/* Closes kept connections to other servers in time, even if no call comes any more. */
static int sweep_client(void *arg)
{
    struct worker *k = arg;
    int rc = 0;
    while (rc == 0) {
        int64_t rarely = deadline_after(world_now(k->world), SWEEP_EACH);
        rc = world_sleep_until(k->world, deadline_sooner(http_client_sweep(k->client), rarely));
    }
    return rc;
}

/* Large bodies leave holes in the heap, of what was made of them: once most of them have gone, the
 * holes go back to the kernel. One thread does so for all. */
static int trim_heap(void *arg)
{
    struct worker *k = arg;
    uint64_t trimmed = 0;
    int rc = 0;
    while (rc == 0) {
        struct body_budget_stats now = body_budget_stats(k->options.bodies);
        uint64_t since = now.large - trimmed;
        if (since >= TRIM_AFTER && now.bytes < since / 8) {
            mem_trim();
            trimmed = now.large;
        }
        rc = world_sleep(k->world, TRIM_EACH);
    }
    return rc;
}

static int accept_until_drained(struct worker *k)
{
    GROUP(beside, GROUP_INDEPENDENT);
    int rc = group_spawn(&beside, "client sweep", sweep_client, k);
    if (rc == 0 && k->options.index == 0)
        rc = group_spawn(&beside, "heap trim", trim_heap, k);
    if (rc) {
        for (unsigned i = 0; i < k->options.listener_count; i++)
            listener_close(k->listeners[i]);
        return rc;
    }
    k->serves = true;
    k->options.started(k->options.ctx, 0, NULL);
    return http_server_run(k->server, k->listeners, k->options.listener_count);
}

static int run_pools(void *arg)
{
    struct worker *k = arg;
    k->pools_rc = pool_client_run(k->pool_client);
    return 0;
}

/* One waits for the others to leave, too, since another thread's calls may have gone to a hand of
 * this one's; but no longer than a drain may last. */
static int leave_pools(struct worker *k, struct group *pool_client)
{
    pool_client_leave(k->pool_client);
    {
        CORO_DEADLINE(k->drain_until);
        int rc = group_wait(pool_client);
        if (rc && k->pools_rc != -ETIMEDOUT) /* the drain's end, or its own */
            return rc == -ETIMEDOUT ? 0 : rc;
    }
    return k->pools_rc;
}

/* A step on a companion of this thread does not end, and uses what would be freed. The supervisor
 * will kill the process; if it has died itself, the process does so. */
static void wait_for_the_end(struct worker *k)
{
    log_error(world_log(k->world), "a step does not end, and the server cannot without it");
    int64_t from = world_now(k->world);
    CORO_SHIELD(deadline_after(from > k->drain_until ? from : k->drain_until, SUPERVISOR_NS));
    int rc = 0;
    while (rc != -ETIMEDOUT) /* whoever wakes us does so in vain */
        rc = coro_park("a step that does not end");
    plain_exit(1);
}

static int serve(struct worker *k, struct error *e)
{
    GROUP(pool_client, GROUP_INDEPENDENT);
    int rc = group_spawn(&pool_client, "pools", run_pools, k);
    if (rc) {
        pool_client_leave(k->pool_client);
        return rc;
    }
    rc = pool_client_ready(k->pool_client, e);
    if (rc == 0)
        rc = share_listeners(k);
    if (rc == 0)
        rc = accept_until_drained(k);
    if (k->drain_until == DEADLINE_NEVER) /* it failed, and the others do not know it yet */
        k->drain_until = 0;
    int left = leave_pools(k, &pool_client);
    return rc ? rc : left;
}

static int prepare(struct worker *k)
{
    struct world *w = k->world;
    uint64_t seed;
    world_random(w, &seed, sizeof(seed));
    rand_init(&k->rand, seed);
    int rc = make_server(k);
    if (rc == 0)
        rc = make_client(k);
    if (rc == 0)
        rc = pool_client_new(&k->pool_client, k->options.pools, k->options.index, w);
    k->flows = (struct flow_context){.world = w,
        .client = k->client,
        .pool_client = k->pool_client,
        .locals = k->locals,
        .full_errors = k->options.config->errors == CONF_ERRORS_FULL,
        .rand = &k->rand};
    return rc;
}

int worker_run(struct world *w, void *arg)
{
    struct worker *k = arg;
    struct error e;
    error_clear(&e);
    k->world = w;
    k->drain_until = DEADLINE_NEVER;
    access_log_open(k->access, w);
    int rc = prepare(k);
    if (rc == 0)
        rc = serve(k, &e);
    if (!k->serves)
        k->options.started(k->options.ctx, rc, &e);
    if (k->pools_rc == -ETIMEDOUT)
        wait_for_the_end(k);
    pool_client_free(k->pool_client);
    http_client_free(k->client);
    http_server_free(k->server);
    k->server = NULL;
    return rc;
}

/* ---- Orders ---- */

static void drain(struct worker *k, const struct worker_drain *how)
{
    if (!k->server) /* it has ended already */
        return;
    k->drain_until = deadline_after(world_now(k->world), how->all_ns);
    http_server_drain(k->server, how->idle_ns, k->drain_until, how->last);
}

static void on_order(struct message *m)
{
    struct order *o = container_of(m, struct order, message);
    drain(o->worker, &o->how);
}

void worker_drain(struct worker *k, struct world *from, const struct worker_drain *how)
{
    if (k->world == from) {
        drain(k, how);
        return;
    }
    if (k->ordered == 2)
        return;
    struct order *o = &k->orders[k->ordered++];
    *o = (struct order){.message.deliver = on_order, .worker = k, .how = *how};
    world_post(k->world, &o->message);
}

/* ---- Life ---- */

int worker_new(
    struct worker **out, const struct worker_options *options, const struct worker_metrics *metrics)
{
    struct worker *k = mem_zalloc(sizeof(*k));
    if (!k)
        return -ENOMEM;
    k->options = *options;
    k->route_count = metrics->route_count;
    k->cells = mem_zalloc((metrics->route_count + 1) * sizeof(*k->cells));
    k->listeners = mem_zalloc((options->listener_count + 1) * sizeof(struct listener *));
    int rc = k->cells && k->listeners ? 0 : -ENOMEM;
    if (rc == 0)
        rc = access_log_new(&k->access, options->access);
    if (rc == 0)
        rc = flow_locals_new(&k->locals, options->service->flows, options->service->route_count,
            &options->config->client, metrics->flows, options->index);
    if (rc) {
        worker_free(k);
        return rc;
    }
    take_cells(k, metrics);
    for (unsigned i = 0; i < options->listener_count; i++)
        k->listeners[i] = options->listeners[i];
    *out = k;
    return 0;
}

void worker_free(struct worker *k)
{
    if (!k)
        return;
    access_log_free(k->access);
    flow_locals_free(k->locals);
    mem_free(k->cells);
    mem_free(k->listeners);
    mem_free(k);
}

const struct http_server_stats *worker_server_stats(const struct worker *k)
{
    return &k->server_stats;
}

const struct http_client_stats *worker_client_stats(const struct worker *k)
{
    return &k->client_stats;
}
