/*
 * io_thread.c: see io_thread.h.
 */
#include "app/io_thread.h"

#include "base/bug.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/rand.h"
#include "coro/group.h"
#include "meter/histogram.h"
#include "world/plain.h"

#include <errno.h>
#include <limits.h>

/* How often the client closes idle connections, at least. */
#define SWEEP_EACH        (10 * NS_PER_S)
/* Free heap memory is returned to the kernel this often, at most, and after this many bytes of
 * large bodies. */
#define TRIM_EACH         (2 * NS_PER_S)
#define TRIM_AFTER        ((uint64_t)16 * 1024 * 1024)
/* After the drain: the supervisor, if alive, has killed this process by then. */
#define SUPERVISOR_NS     (2 * NS_PER_S)
/* A request's arena holds this much besides copies of its body: mainly replies of upstreams. */
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

/* The series of every route, and of requests without a route. */
struct io_thread_metrics {
    unsigned route_count;
    struct route_series {
        struct meter_series *outcomes[OUTCOMES];
        struct meter_series *seconds;
    } * routes; /* one more than route_count: the last is for no route */
    struct flow_metrics *flows;
};

/* One I/O thread's cells of these. */
struct route_cells {
    struct counter *outcomes[OUTCOMES];
    struct histogram *seconds;
};

struct drain_command {
    struct message message;
    struct io_thread *io_thread;
    struct io_thread_drain how;
};

struct io_thread {
    struct io_thread_options options;
    struct listener **listeners; /* the server's; then its own on the same sockets */
    struct world *world;         /* while it runs */
    struct http_server *server;
    struct http_client *client;
    struct upstream_client *upstreams;
    struct pool_client *pool_client;
    int pools_rc;        /* of pool_client_run */
    bool serves;         /* it accepts connections, and has called `started` */
    int64_t drain_until; /* DEADLINE_NEVER before the drain */
    struct http_server_stats server_stats;
    struct http_client_stats client_stats;
    struct flow_context flows;
    struct flow_locals *locals;
    struct rand rand;
    struct access_log *access;
    struct route_cells *cells; /* of each route, then of requests without one */
    unsigned route_count;
    struct drain_command commands[2]; /* to drain, then to stop */
    unsigned command_count;
};

/* ---- Metrics ---- */

#define OUTCOME(text, which)                                                                     \
    {                                                                                            \
        METER_COUNTER, "weir_http_requests_total",                                               \
            "Requests by route and status class; 'gone': without a reply, since the client "     \
            "disconnected or the drain ended.",                                                  \
            {"status", {text, sizeof(text) - 1}}, offsetof(struct route_series, outcomes[which]) \
    }

static const struct meter_def route_metrics[] = {
    OUTCOME("gone", OUTCOME_GONE),
    OUTCOME("2xx", OUTCOME_2XX),
    OUTCOME("3xx", OUTCOME_3XX),
    OUTCOME("4xx", OUTCOME_4XX),
    OUTCOME("5xx", OUTCOME_5XX), /* 1xx is no final status */
    {METER_HISTOGRAM, "weir_http_request_seconds",
        "From a request's first byte to its reply's last, handed to the kernel.",
        .at = offsetof(struct route_series, seconds)},
};

static int register_route(struct meter *meter, struct span name, struct route_series *out)
{
    struct meter_label route = {"route", name};
    return meter_define(
        meter, route_metrics, sizeof(route_metrics) / sizeof(*route_metrics), &route, 1, out);
}

int io_thread_metrics_register(
    struct meter *meter, const struct service *service, struct io_thread_metrics **out)
{
    struct io_thread_metrics *m = mem_zalloc(sizeof(*m));
    if (!m)
        return -ENOMEM;
    m->route_count = service->route_count;
    m->routes = mem_zalloc((m->route_count + 1) * sizeof(*m->routes));
    int rc = m->routes ? 0 : -ENOMEM;
    for (unsigned i = 0; i < m->route_count && rc == 0; i++)
        rc = register_route(meter, span_of(service->routes[i].conf->name), &m->routes[i]);
    if (rc == 0)
        rc = register_route(meter, SPAN("(none)"), &m->routes[m->route_count]);
    if (rc == 0)
        rc = flow_metrics_new(&m->flows, meter, service->flows, service->route_count);
    if (rc) {
        io_thread_metrics_free(m);
        return rc;
    }
    *out = m;
    return 0;
}

void io_thread_metrics_free(struct io_thread_metrics *m)
{
    if (!m)
        return;
    flow_metrics_free(m->flows);
    mem_free(m->routes);
    mem_free(m);
}

static void take_cells(struct io_thread *io, const struct io_thread_metrics *m)
{
    for (unsigned i = 0; i <= m->route_count; i++) {
        for (int j = 0; j < OUTCOMES; j++)
            if (m->routes[i].outcomes[j])
                io->cells[i].outcomes[j] =
                    meter_counter(m->routes[i].outcomes[j], io->options.index);
        io->cells[i].seconds = meter_histogram(m->routes[i].seconds, io->options.index);
    }
}

/* ---- Requests ---- */

static void handle(void *ctx, struct http_request *r)
{
    struct io_thread *io = ctx;
    service_handle(io->options.service, &io->flows, r);
}

static void done(void *ctx, const struct http_request *r, int64_t now)
{
    struct io_thread *io = ctx;
    const struct service_route *route = r->handler_data;
    struct route_cells *cells = &io->cells[route ? route->index : io->route_count];
    check(!route || route->index < io->route_count, "a request has a route that is not counted");
    int outcome = r->status / 100;
    counter_add(
        cells->outcomes[outcome >= OUTCOME_2XX && outcome < OUTCOMES ? outcome : OUTCOME_GONE], 1);
    histogram_record(cells->seconds, now - r->began);
    if (io->options.config->log.access || r->failure_hidden)
        access_log_request(io->access, r, now);
}

/* ---- Running ---- */

/* The body is not in the arena, but the values that nodes get of it are. */
static size_t arena_for(const struct config *c)
{
    uint64_t body = 0;
    for (unsigned i = 0; i < c->route_count; i++)
        body = c->routes[i].body > body ? c->routes[i].body : body;
    body = body < JSON_TEXT_MAX ? body : JSON_TEXT_MAX;
    return ARENA_BESIDE_BODY + 4 * (size_t)body;
}

static int make_server(struct io_thread *io)
{
    const struct config *c = io->options.config;
    const struct conf_timeouts *timeouts = &c->timeouts;
    const struct conf_limits *l = &c->limits;
    struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    limits.line_max = l->line;
    limits.head_max = l->head;
    limits.fields_max = l->fields;
    return http_server_new(&io->server, io->world,
        &(struct http_server_options){
            .limits = limits,
            .body_max = l->body,
            .requests_per_connection = l->requests_per_connection,
            /* A share each: a thread does not know the others' counts. */
            .connections_max = (l->connections + io->options.count - 1) / io->options.count,
            .arena_max = arena_for(c),
            .bodies = body_budget_share(io->options.bodies, io->options.index),
            .headers_timeout = timeouts->headers,
            .body_timeout = timeouts->body,
            .idle_timeout = timeouts->idle,
            .write_timeout = timeouts->write,
            .linger_timeout = timeouts->linger,
            .body_rate = timeouts->body_rate,
            .date = c->date,
            .server = c->server,
            .timing = c->server_timing,
            .handle = handle,
            .done = done,
            .ctx = io,
            .stats = &io->server_stats,
        });
}

static int make_client(struct io_thread *io)
{
    const struct conf_client *c = &io->options.config->client;
    struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    limits.head_max = c->reply_head;
    return http_client_new(&io->client, io->world,
        &(struct http_client_options){
            .idle_max = c->connections,
            .in_use_max = c->in_use ? c->in_use : UINT_MAX,
            .idle_timeout = c->idle,
            .connect_timeout = c->connect,
            .first_byte_timeout = c->first_byte,
            .limits = limits,
            .body_max = c->reply_body,
            .stats = &io->client_stats,
        });
}

static int share_listeners(struct io_thread *io)
{
    for (unsigned i = 0; i < io->options.listener_count; i++) {
        int rc = world_share_listener(io->world, io->listeners[i], &io->listeners[i]);
        if (rc) {
            while (i > 0)
                listener_close(io->listeners[--i]);
            return rc;
        }
    }
    return 0;
}

/* Closes idle connections to upstreams in time, even without further calls. */
static int sweep_client(void *arg)
{
    struct io_thread *io = arg;
    int rc = 0;
    while (rc == 0) {
        int64_t rarely = deadline_after(world_now(io->world), SWEEP_EACH);
        rc = world_sleep_until(io->world, deadline_sooner(http_client_sweep(io->client), rarely));
    }
    return rc;
}

/* Large bodies leave the heap fragmented: once most are gone, free memory is returned to the
 * kernel. I/O thread 0 does so for all. */
static int trim_heap(void *arg)
{
    struct io_thread *io = arg;
    uint64_t trimmed = 0;
    int rc = 0;
    while (rc == 0) {
        struct body_budget_stats now = body_budget_stats(io->options.bodies);
        uint64_t since = now.large - trimmed;
        if (since >= TRIM_AFTER && now.bytes < since / 8) {
            mem_trim();
            trimmed = now.large;
        }
        rc = world_sleep(io->world, TRIM_EACH);
    }
    return rc;
}

static int check_health(void *arg)
{
    struct io_thread *io = arg;
    return upstream_client_check_health(io->upstreams);
}

static int accept_until_drained(struct io_thread *io)
{
    GROUP(helpers, GROUP_INDEPENDENT);
    int rc = group_spawn(&helpers, "client sweep", sweep_client, io);
    if (rc == 0 && io->options.index == 0)
        rc = group_spawn(&helpers, "heap trim", trim_heap, io);
    if (rc == 0 && io->options.index == 0)
        rc = group_spawn(&helpers, "health checks", check_health, io);
    if (rc) {
        for (unsigned i = 0; i < io->options.listener_count; i++)
            listener_close(io->listeners[i]);
        return rc;
    }
    io->serves = true;
    io->options.started(io->options.ctx, 0, NULL);
    return http_server_run(io->server, io->listeners, io->options.listener_count);
}

static int run_pools(void *arg)
{
    struct io_thread *io = arg;
    io->pools_rc = pool_client_run(io->pool_client);
    return 0;
}

/* Also waits for the other threads to leave, whose calls this thread's executors may be running;
 * but no longer than a drain may last. */
static int leave_pools(struct io_thread *io, struct group *pool_client)
{
    pool_client_leave(io->pool_client);
    {
        CORO_DEADLINE(io->drain_until);
        int rc = group_wait(pool_client);
        if (rc && io->pools_rc != -ETIMEDOUT) /* the drain's end, or the pools' own */
            return rc == -ETIMEDOUT ? 0 : rc;
    }
    return io->pools_rc;
}

/* A step on a companion of this thread does not end, and still uses what would be freed. The
 * supervisor will kill the process; if the supervisor is gone, the process ends itself. */
static void wait_for_the_end(struct io_thread *io)
{
    log_error(world_log(io->world), "a step does not return, so the server cannot end");
    int64_t from = world_now(io->world);
    CORO_SHIELD(deadline_after(from > io->drain_until ? from : io->drain_until, SUPERVISOR_NS));
    int rc = 0;
    while (rc != -ETIMEDOUT) /* an early wake-up changes nothing */
        rc = coro_park("a step that does not end");
    plain_exit(1);
}

static int serve(struct io_thread *io, struct error *e)
{
    GROUP(pool_client, GROUP_INDEPENDENT);
    int rc = group_spawn(&pool_client, "pools", run_pools, io);
    if (rc) {
        pool_client_leave(io->pool_client);
        return rc;
    }
    rc = pool_client_ready(io->pool_client, e);
    if (rc == 0)
        rc = share_listeners(io);
    if (rc == 0)
        rc = accept_until_drained(io);
    if (io->drain_until == DEADLINE_NEVER) /* this thread failed: the others do not drain yet */
        io->drain_until = 0;
    int left = leave_pools(io, &pool_client);
    return rc ? rc : left;
}

static int prepare(struct io_thread *io)
{
    struct world *w = io->world;
    uint64_t seed;
    world_random(w, &seed, sizeof(seed));
    rand_init(&io->rand, seed);
    int rc = make_server(io);
    if (rc == 0)
        rc = make_client(io);
    if (rc == 0)
        rc = upstream_client_new(
            &io->upstreams, io->options.upstreams, io->client, w, io->options.index);
    if (rc == 0)
        rc = pool_client_new(&io->pool_client, io->options.pools, io->options.index, w);
    io->flows = (struct flow_context){.world = w,
        .upstreams = io->upstreams,
        .pool_client = io->pool_client,
        .locals = io->locals,
        .full_errors = io->options.config->errors == CONF_ERRORS_FULL,
        .rand = &io->rand};
    return rc;
}

int io_thread_run(struct world *w, void *arg)
{
    struct io_thread *io = arg;
    struct error e;
    error_clear(&e);
    io->world = w;
    io->drain_until = DEADLINE_NEVER;
    access_log_open(io->access, w);
    int rc = prepare(io);
    if (rc == 0)
        rc = serve(io, &e);
    if (!io->serves)
        io->options.started(io->options.ctx, rc, &e);
    if (io->pools_rc == -ETIMEDOUT)
        wait_for_the_end(io);
    pool_client_free(io->pool_client);
    upstream_client_free(io->upstreams);
    http_client_free(io->client);
    http_server_free(io->server);
    io->server = NULL;
    return rc;
}

/* ---- Draining ---- */

static void drain(struct io_thread *io, const struct io_thread_drain *how)
{
    if (!io->server) /* it has ended already */
        return;
    io->drain_until = deadline_after(world_now(io->world), how->all_ns);
    http_server_drain(io->server, how->idle_ns, io->drain_until, how->last);
}

static void on_drain_command(struct message *m)
{
    struct drain_command *o = container_of(m, struct drain_command, message);
    drain(o->io_thread, &o->how);
}

void io_thread_drain(struct io_thread *io, struct world *from, const struct io_thread_drain *how)
{
    if (io->world == from) {
        drain(io, how);
        return;
    }
    if (io->command_count == 2)
        return;
    struct drain_command *o = &io->commands[io->command_count++];
    *o = (struct drain_command){.message.deliver = on_drain_command, .io_thread = io, .how = *how};
    world_post(io->world, &o->message);
}

/* ---- Life ---- */

int io_thread_new(struct io_thread **out, const struct io_thread_options *options,
    const struct io_thread_metrics *metrics)
{
    struct io_thread *io = mem_zalloc(sizeof(*io));
    if (!io)
        return -ENOMEM;
    io->options = *options;
    io->route_count = metrics->route_count;
    io->cells = mem_zalloc((metrics->route_count + 1) * sizeof(*io->cells));
    io->listeners = mem_zalloc((options->listener_count + 1) * sizeof(struct listener *));
    int rc = io->cells && io->listeners ? 0 : -ENOMEM;
    if (rc == 0)
        rc = access_log_new(&io->access, options->access);
    if (rc == 0)
        rc = flow_locals_new(&io->locals, options->service->flows, options->service->route_count,
            metrics->flows, options->index);
    if (rc) {
        io_thread_free(io);
        return rc;
    }
    take_cells(io, metrics);
    for (unsigned i = 0; i < options->listener_count; i++)
        io->listeners[i] = options->listeners[i];
    *out = io;
    return 0;
}

void io_thread_free(struct io_thread *io)
{
    if (!io)
        return;
    access_log_free(io->access);
    flow_locals_free(io->locals);
    mem_free(io->cells);
    mem_free(io->listeners);
    mem_free(io);
}

const struct http_server_stats *io_thread_server_stats(const struct io_thread *io)
{
    return &io->server_stats;
}

const struct http_client_stats *io_thread_client_stats(const struct io_thread *io)
{
    return &io->client_stats;
}
