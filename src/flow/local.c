/*
 * local.c: makes each thread's state of flows, and registers their metrics.
 */
#include "flow/internal.h"

#include "base/mem.h"

#include <errno.h>
#include <stddef.h>

#define CALLS_MOST 1000000 /* where client.in_use is no limit */

/* ---- Metrics ---- */

struct limit_series {
    struct meter_series *inside;
    struct meter_series *waiting;
    struct meter_series *refused;
    struct meter_series *limit;
};

struct flow_metrics {
    struct limit_series *routes; /* by route */
    struct limit_series *calls;  /* by http node, in order */
};

static bool is_limited(const struct flow *f, unsigned node)
{
    return f->nodes[node].kind->limited;
}

static void count_all(
    const struct flow *const *flows, unsigned count, unsigned *nodes, unsigned *calls)
{
    *nodes = *calls = 0;
    for (unsigned i = 0; i < count; i++) {
        *nodes += flows[i]->node_count;
        for (unsigned k = 0; k < flows[i]->node_count; k++)
            *calls += is_limited(flows[i], k);
    }
}

#define AT(member) .at = offsetof(struct limit_series, member)
static const struct meter_def route_metrics[] = {
    {METER_GAUGE, "weir_route_in_flight", "Requests of a route with max_in_flight whose nodes run.",
        AT(inside)},
    {METER_GAUGE, "weir_route_waiting",
        "Requests of a route with max_in_flight that wait for their turn.", AT(waiting)},
    {METER_COUNTER, "weir_route_refused_total",
        "Requests refused since they would have waited for too long, or too many did.",
        AT(refused)},
};
static const struct meter_def call_metrics[] = {
    {METER_GAUGE, "weir_upstream_calls", "Calls of an http node that are under way.", AT(inside)},
    {METER_GAUGE, "weir_upstream_waiting", "Calls of an http node that wait for the limit.",
        AT(waiting)},
    {METER_COUNTER, "weir_upstream_refused_total", "Calls of an http node refused at the limit.",
        AT(refused)},
    {METER_GAUGE, "weir_upstream_limit",
        "How many calls of an http node may be under way: the sum over I/O threads.", AT(limit)},
};
#undef AT

static int register_route(struct meter *m, const struct flow *flow, struct limit_series *s)
{
    struct meter_label route = {"route", span_of(flow->route->name)};
    return meter_define(
        m, route_metrics, sizeof route_metrics / sizeof *route_metrics, &route, 1, s);
}

static int register_calls(
    struct meter *m, const struct flow *flow, const struct flow_node *n, struct limit_series *s)
{
    struct meter_label labels[2] = {
        {"route", span_of(flow->route->name)}, {"node", span_of(n->conf->name)}};
    return meter_define(m, call_metrics, sizeof call_metrics / sizeof *call_metrics, labels, 2, s);
}

static int register_all(struct flow_metrics *metrics, struct meter *m,
    const struct flow *const *flows, unsigned count, bool adaptive)
{
    unsigned call = 0;
    /* The families, also without series. */
    int rc =
        meter_define(m, route_metrics, sizeof route_metrics / sizeof *route_metrics, NULL, 0, NULL);
    if (rc == 0)
        rc = meter_define(
            m, call_metrics, sizeof call_metrics / sizeof *call_metrics, NULL, 0, NULL);
    for (unsigned i = 0; rc == 0 && i < count; i++) {
        if (flows[i]->route->max_in_flight)
            rc = register_route(m, flows[i], &metrics->routes[i]);
        for (unsigned k = 0; rc == 0 && adaptive && k < flows[i]->node_count; k++)
            if (is_limited(flows[i], k))
                rc = register_calls(m, flows[i], &flows[i]->nodes[k], &metrics->calls[call++]);
    }
    return rc;
}

int flow_metrics_new(struct flow_metrics **out, struct meter *meter,
    const struct flow *const *flows, unsigned count, const struct conf_client *client)
{
    unsigned nodes, calls;
    struct flow_metrics *metrics = mem_zalloc(sizeof *metrics);
    if (!metrics)
        return -ENOMEM;
    count_all(flows, count, &nodes, &calls);
    metrics->routes = mem_zalloc((count + 1) * sizeof *metrics->routes);
    metrics->calls = mem_zalloc((calls + 1) * sizeof *metrics->calls);
    int rc = metrics->routes && metrics->calls
                 ? register_all(metrics, meter, flows, count, client->adaptive)
                 : -ENOMEM;
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
    mem_free(metrics->calls);
    mem_free(metrics);
}

void limit_show(const struct concurrency_limit *slots, const struct limit_cells *cells)
{
    if (!cells->inside)
        return;
    gauge_set(cells->inside, slots->inside);
    gauge_set(cells->waiting, slots->waiting);
}

/* ---- A thread's ---- */

static void take_cells(struct limit_cells *cells, const struct limit_series *s, unsigned thread)
{
    cells->inside = meter_gauge(s->inside, thread);
    cells->waiting = meter_gauge(s->waiting, thread);
    cells->refused = meter_counter(s->refused, thread);
    if (s->limit)
        cells->limit = meter_gauge(s->limit, thread);
}

struct making {
    const struct conf_client *client;
    const struct flow_metrics *metrics;
    unsigned thread;
    unsigned calls; /* so far */
};

static void make_calls(struct calls_local *c, struct making *m)
{
    concurrency_limit_init(&c->slots);
    adaptive_limit_init(&c->limit, m->client->in_use ? m->client->in_use : CALLS_MOST);
    c->waiting_max = m->client->waiting;
    if (m->metrics) {
        take_cells(&c->cells, &m->metrics->calls[m->calls], m->thread);
        gauge_set(c->cells.limit, adaptive_limit_now(&c->limit));
    }
    m->calls++;
}

static void make_local(
    struct flow_locals *l, unsigned i, const struct flow *f, unsigned first, struct making *m)
{
    struct flow_local *local = &l->flows[i];
    if (f->route->max_in_flight) {
        local->route = &l->routes[i];
        concurrency_limit_init(&local->route->slots);
        if (m->metrics)
            take_cells(&local->route->cells, &m->metrics->routes[i], m->thread);
    }
    local->calls = &l->by_node[first];
    for (unsigned k = 0; m->client->adaptive && k < f->node_count; k++) {
        if (!is_limited(f, k))
            continue;
        local->calls[k] = &l->calls[m->calls];
        make_calls(local->calls[k], m);
    }
}

int flow_locals_new(struct flow_locals **out, const struct flow *const *flows, unsigned count,
    const struct conf_client *client, const struct flow_metrics *metrics, unsigned thread)
{
    unsigned nodes, calls;
    unsigned first = 0;
    struct making m = {.client = client, .metrics = metrics, .thread = thread};
    struct flow_locals *l = mem_zalloc(sizeof *l);
    if (!l)
        return -ENOMEM;
    count_all(flows, count, &nodes, &calls);
    l->count = count;
    l->flows = mem_zalloc((count + 1) * sizeof *l->flows);
    l->routes = mem_zalloc((count + 1) * sizeof *l->routes);
    l->calls = mem_zalloc((calls + 1) * sizeof *l->calls);
    l->by_node = mem_zalloc((nodes + 1) * sizeof(struct calls_local *));
    if (!l->flows || !l->routes || !l->calls || !l->by_node) {
        flow_locals_free(l);
        return -ENOMEM;
    }
    for (unsigned i = 0; i < count; i++) {
        make_local(l, i, flows[i], first, &m);
        first += flows[i]->node_count;
    }
    *out = l;
    return 0;
}

void flow_locals_free(struct flow_locals *l)
{
    if (!l)
        return;
    mem_free(l->flows);
    mem_free(l->routes);
    mem_free(l->calls);
    mem_free(l->by_node);
    mem_free(l);
}
