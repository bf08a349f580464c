/*
 * metrics.c: the table of metrics that are kept in statistics of servers, clients and bodies.
 */
#include "app/metrics.h"

#include <stddef.h>

static double sum_up(
    const struct app_metrics *m, const void *(*stats)(const struct io_thread *io), size_t at)
{
    double sum = 0;
    for (unsigned i = 0; i < m->count; i++) {
        const void *cell = (const char *)stats(m->io_threads[i]) + at;
        const _Atomic uint64_t *n = cell;
        sum += (double)atomic_load_explicit(n, memory_order_relaxed);
    }
    return sum;
}

static const void *server_stats(const struct io_thread *io)
{
    return io_thread_server_stats(io);
}

static const void *client_stats(const struct io_thread *io)
{
    return io_thread_client_stats(io);
}

static double read_servers(const void *object, size_t at)
{
    return sum_up(object, server_stats, at);
}

static double read_clients(const void *object, size_t at)
{
    return sum_up(object, client_stats, at);
}

static double read_bodies(const void *object, size_t at)
{
    const struct app_metrics *m = object;
    struct body_budget_stats stats = body_budget_stats(m->bodies);
    const void *member = (const char *)&stats + at;
    const uint64_t *n = member;
    return (double)*n;
}

static double read_one(const void *object, size_t at)
{
    return 1;
}

#define OF_SERVER(member) .at = offsetof(struct http_server_stats, member), .read = read_servers
#define OF_CLIENT(member) .at = offsetof(struct http_client_stats, member), .read = read_clients
#define OF_BODIES(member) .at = offsetof(struct body_budget_stats, member), .read = read_bodies

static const struct meter_def metrics[] = {
    {METER_GAUGE, "weir_build_info", "Always 1.",
        {"version", {WEIR_VERSION, sizeof(WEIR_VERSION) - 1}}, .read = read_one},
    {METER_COUNTER, "weir_connections_total", "Connections accepted.", OF_SERVER(connections)},
    {METER_GAUGE, "weir_connections_open", "Connections open now.", OF_SERVER(open)},
    {METER_GAUGE, "weir_connections_idle", "Of those, waiting for a request.", OF_SERVER(idle)},
    {METER_COUNTER, "weir_requests_total", "Requests whose head was understood.",
        OF_SERVER(requests)},
    {METER_COUNTER, "weir_requests_client_gone_total",
        "Requests whose client disconnected before the reply.", OF_SERVER(client_gone)},
#define REFUSED(reason, which)                                                                     \
    {                                                                                              \
        METER_COUNTER, "weir_requests_refused_total", "Requests refused before a route saw them.", \
            {"reason", {reason, sizeof(reason) - 1}}, OF_SERVER(refused[which])                    \
    }
    REFUSED("malformed", HTTP_REFUSED_400),
    REFUSED("head-timeout", HTTP_REFUSED_408),
    REFUSED("content-too-large", HTTP_REFUSED_413),
    REFUSED("uri-too-long", HTTP_REFUSED_414),
    REFUSED("head-too-large", HTTP_REFUSED_431),
    REFUSED("other", HTTP_REFUSED_OTHER),
#undef REFUSED
    {METER_COUNTER, "weir_client_calls_total", "Calls of http nodes.", OF_CLIENT(calls)},
    {METER_COUNTER, "weir_client_connects_total", "Connections opened for them.",
        OF_CLIENT(connects)},
    {METER_COUNTER, "weir_client_connect_failures_total", "Connections that could not be opened.",
        OF_CLIENT(connect_failures)},
    {METER_COUNTER, "weir_client_reuses_total", "Calls on a kept connection.", OF_CLIENT(reuses)},
    {METER_COUNTER, "weir_client_stale_retries_total",
        "Kept connections that had ended, and were replaced.", OF_CLIENT(stale_retries)},
    {METER_COUNTER, "weir_client_timeouts_total", "Calls that took too long.", OF_CLIENT(timeouts)},
    {METER_GAUGE, "weir_client_connections_idle", "Connections kept for later calls.",
        OF_CLIENT(idle)},
    {METER_GAUGE, "weir_client_connections_in_use", "Connections with a call on them.",
        OF_CLIENT(in_use)},
    {METER_GAUGE, "weir_bodies_bytes", "Memory claimed for request bodies; see limits.bodies.",
        OF_BODIES(bytes)},
    {METER_GAUGE, "weir_bodies_waiting", "Requests whose body waits for such memory.",
        OF_BODIES(waiting)},
    {METER_COUNTER, "weir_bodies_refused_total",
        "Requests whose body found no memory in time, and got a 503.", OF_BODIES(refused)},
};

int app_metrics_register(struct app_metrics *m, struct meter *meter)
{
    return meter_define(meter, metrics, sizeof(metrics) / sizeof(*metrics), NULL, 0, m);
}
