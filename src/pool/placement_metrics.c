/*
 * placement_metrics.c: where calls were placed, and by what costs: for who wants to know why.
 */
#include "pool/internal.h"

#include "base/mem.h"

#include <errno.h>

struct placement_metrics {
    unsigned pools;
    struct counter **counters; /* by client, pool, placement */
};

static double seconds(int64_t ns)
{
    return (double)ns / (double)NS_PER_S;
}

static double read_mean(void *arg)
{
    const struct step_cost *c = arg;
    return seconds(estimate_mean(&c->all));
}

static double read_tail(void *arg)
{
    const struct step_cost *c = arg;
    return seconds(atomic_load_explicit(&c->all.tail_ns, memory_order_relaxed));
}

static double read_dispatch(void *arg)
{
    const struct dispatch_cost *h = arg;
    return seconds(dispatch_expected(h));
}

struct families {
    struct meter_family *placed, *mean, *tail, *dispatch;
};

static int register_families(struct families *f, struct meter *m)
{
    int rc = meter_family(m, METER_COUNTER, "weir_placement_total",
        "Decisions where the steps of a request that were ready together are run.", &f->placed);
    if (rc == 0)
        rc = meter_family(m, METER_GAUGE, "weir_step_cost_seconds",
            "What a step is expected to take, over inputs of all sizes.", &f->mean);
    if (rc == 0)
        rc = meter_family(m, METER_GAUGE, "weir_step_cost_tail_seconds",
            "What about nineteen of twenty calls of a step stay below.", &f->tail);
    return rc ? rc
              : meter_family(m, METER_GAUGE, "weir_pool_dispatch_seconds",
                    "What dispatching a step to an idle worker takes, besides the step's own time.",
                    &f->dispatch);
}

static struct counter **at(
    const struct placement_metrics *f, unsigned client, unsigned pool, enum placement placed)
{
    return &f->counters[(client * f->pools + pool) * PLACEMENTS + placed];
}

static int register_pool(
    struct placement_metrics *f, const struct families *families, struct pool *p)
{
    struct meter_label labels[2] = {{"pool", span_of(p->conf->name)}, {"placement", {NULL, 0}}};
    int rc = 0;
    for (unsigned i = 0; i < PLACEMENTS && rc == 0; i++) {
        struct meter_series *series;
        labels[1].value = span_of(placement_name(i));
        rc = meter_series(families->placed, labels, 2, &series);
        for (unsigned j = 0; j < p->pools->clients && rc == 0; j++)
            *at(f, j, p->index, i) = meter_counter(series, j);
    }
    if (rc == 0 && !p->ops->runs_on_caller)
        rc = meter_series_read(families->dispatch, labels, 1, read_dispatch, &p->dispatch);
    labels[1].name = "step";
    for (unsigned i = 0; i < p->step_count && rc == 0; i++) {
        labels[1].value = span_of(p->specs[i].name);
        rc = meter_series_read(families->mean, labels, 2, read_mean, &p->costs[i]);
        if (rc == 0)
            rc = meter_series_read(families->tail, labels, 2, read_tail, &p->costs[i]);
    }
    return rc;
}

int placement_metrics_new(struct placement_metrics **out, struct pools *pools, struct meter *meter)
{
    struct families families;
    *out = NULL;
    if (!meter || pools->count == 0)
        return 0;
    struct placement_metrics *f = mem_zalloc(sizeof(*f));
    if (!f)
        return -ENOMEM;
    *out = f;
    f->pools = pools->count;
    f->counters =
        mem_zalloc((size_t)pools->clients * f->pools * PLACEMENTS * sizeof(struct counter *));
    int rc = f->counters ? register_families(&families, meter) : -ENOMEM;
    for (unsigned i = 0; i < f->pools && rc == 0; i++)
        rc = register_pool(f, &families, &pools->all[i]);
    return rc;
}

void placement_metrics_free(struct placement_metrics *f)
{
    if (!f)
        return;
    mem_free(f->counters);
    mem_free(f);
}

void placement_metrics_count(
    const struct pool_client *client, const struct pool *p, enum placement placed)
{
    const struct placement_metrics *f = client->pools->placement_metrics;
    if (f)
        counter_add(*at(f, client->index, p->index, placed), 1);
}
