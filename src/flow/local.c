/*
 * local.c: makes each thread's state of flows, and registers their metrics.
 */
#include "flow/internal.h"

#include "base/mem.h"

#include <errno.h>
#include <stddef.h>

/* ---- Metrics ---- */

struct route_series {
    struct meter_series *inside;
    struct meter_series *waiting;
    struct meter_series *refused;
};

struct flow_metrics {
    struct route_series *routes;
};

#define AT(member) .at = offsetof(struct route_series, member)
static const struct meter_def route_metrics[] = {
    {METER_GAUGE, "weir_route_in_flight", "Requests of a route with max_in_flight whose nodes run.",
        AT(inside)},
    {METER_GAUGE, "weir_route_waiting",
        "Requests of a route with max_in_flight that wait for their turn.", AT(waiting)},
    {METER_COUNTER, "weir_route_refused_total",
        "Requests refused since they would have waited for too long, or too many did.",
        AT(refused)},
};
#undef AT
#define ROUTE_METRICS (sizeof route_metrics / sizeof *route_metrics)

int flow_metrics_new(
    struct flow_metrics **out, struct meter *meter, const struct flow *const *flows, unsigned count)
{
    struct flow_metrics *metrics = mem_zalloc(sizeof *metrics);
    if (!metrics)
        return -ENOMEM;
    metrics->routes = mem_zalloc((count + 1) * sizeof *metrics->routes);
    /* The families, also without series. */
    int rc = metrics->routes ? meter_define(meter, route_metrics, ROUTE_METRICS, NULL, 0, NULL)
                             : -ENOMEM;
    for (unsigned i = 0; rc == 0 && i < count; i++) {
        struct meter_label route = {"route", span_of(flows[i]->route->name)};
        if (flows[i]->route->max_in_flight)
            rc = meter_define(meter, route_metrics, ROUTE_METRICS, &route, 1, &metrics->routes[i]);
    }
    if (rc)
        flow_metrics_free(metrics);
    else
        *out = metrics;
    return rc;
}

void flow_metrics_free(struct flow_metrics *metrics)
{
    if (!metrics)
        return;
    mem_free(metrics->routes);
    mem_free(metrics);
}

void route_local_show(const struct route_local *l)
{
    if (!l->inside)
        return;
    gauge_set(l->inside, l->slots.inside);
    gauge_set(l->waiting, l->slots.waiting);
}

/* ---- A thread's ---- */

static void take_cells(struct route_local *l, const struct route_series *s, unsigned thread)
{
    l->inside = meter_gauge(s->inside, thread);
    l->waiting = meter_gauge(s->waiting, thread);
    l->refused = meter_counter(s->refused, thread);
}

int flow_locals_new(struct flow_locals **out, const struct flow *const *flows, unsigned count,
    const struct flow_metrics *metrics, unsigned thread)
{
    struct flow_locals *l = mem_zalloc(sizeof *l);
    if (!l)
        return -ENOMEM;
    l->routes = mem_zalloc((count + 1) * sizeof *l->routes);
    l->by_route = mem_zalloc((count + 1) * sizeof(struct route_local *));
    if (!l->routes || !l->by_route) {
        flow_locals_free(l);
        return -ENOMEM;
    }
    for (unsigned i = 0; i < count; i++) {
        if (!flows[i]->route->max_in_flight)
            continue;
        l->by_route[i] = &l->routes[i];
        concurrency_limit_init(&l->routes[i].slots);
        if (metrics)
            take_cells(&l->routes[i], &metrics->routes[i], thread);
    }
    *out = l;
    return 0;
}

void flow_locals_free(struct flow_locals *l)
{
    if (!l)
        return;
    mem_free(l->routes);
    mem_free(l->by_route);
    mem_free(l);
}
