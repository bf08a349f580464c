/*
 * placement_metrics.c: where calls were placed, and the costs that decided it.
 */
#include "pool/internal.h"

#include "base/mem.h"

#include <errno.h>
#include <stddef.h>

struct placement_metrics {
    unsigned pools;
    struct counter **counters; /* by client, pool, placement */
};

static double seconds(int64_t ns)
{
    return (double)ns / (double)NS_PER_S;
}

static double read_mean(const void *object, size_t at)
{
    const struct step_cost *c = object;
    return seconds(estimate_mean(&c->all));
}

static double read_tail(const void *object, size_t at)
{
    const struct step_cost *c = object;
    return seconds(atomic_load_explicit(&c->all.tail_ns, memory_order_relaxed));
}

static double read_dispatch(const void *object, size_t at)
{
    const struct dispatch_cost *d = object;
    return seconds(dispatch_expected(d));
}

struct placed_series {
    struct meter_series *placed;
};

static const struct meter_def placed_metric = {METER_COUNTER, "weir_placement_total",
    "Decisions where the steps of a request that were ready together are run.",
    .at = offsetof(struct placed_series, placed)}; /* a label is added for each */
static const struct meter_def step_metrics[] = {
    {METER_GAUGE, "weir_step_cost_seconds",
        "What a step is expected to take, over inputs of all sizes.", .read = read_mean},
    {METER_GAUGE, "weir_step_cost_tail_seconds",
        "What about nineteen of twenty calls of a step stay below.", .read = read_tail},
};
static const struct meter_def dispatch_metric = {METER_GAUGE, "weir_pool_dispatch_seconds",
    "What dispatching a step to an idle worker takes, besides the step's own time.",
    .read = read_dispatch};

#define STEP_METRICS (sizeof step_metrics / sizeof *step_metrics)

/* The families, which fixes their order. */
static int register_families(struct meter *m)
{
    int rc = meter_define(m, &placed_metric, 1, NULL, 0, NULL);
    if (rc == 0)
        rc = meter_define(m, step_metrics, STEP_METRICS, NULL, 0, NULL);
    return rc ? rc : meter_define(m, &dispatch_metric, 1, NULL, 0, NULL);
}

static struct counter **at(
    const struct placement_metrics *f, unsigned client, unsigned pool, enum placement placed)
{
    return &f->counters[(client * f->pools + pool) * PLACEMENTS + placed];
}

static int register_placements(
    struct placement_metrics *f, struct meter *m, const struct pool *p, struct meter_label pool)
{
    int rc = 0;
    for (unsigned i = 0; i < PLACEMENTS && rc == 0; i++) {
        struct placed_series series = {0};
        struct meter_def def = placed_metric;
        def.label = (struct meter_label){"placement", span_of(placement_name(i))};
        rc = meter_define(m, &def, 1, &pool, 1, &series);
        for (unsigned k = 0; k < p->pools->clients && rc == 0; k++)
            *at(f, k, p->index, i) = meter_counter(series.placed, k);
    }
    return rc;
}

static int register_pool(struct placement_metrics *f, struct meter *m, struct pool *p)
{
    struct meter_label labels[2] = {{"pool", span_of(p->conf->name)}, {"step", {NULL, 0}}};
    int rc = register_placements(f, m, p, labels[0]);
    if (rc == 0 && !p->ops->runs_on_caller)
        rc = meter_define(m, &dispatch_metric, 1, labels, 1, &p->dispatch);
    for (unsigned i = 0; i < p->step_count && rc == 0; i++) {
        labels[1].value = span_of(p->specs[i].name);
        rc = meter_define(m, step_metrics, STEP_METRICS, labels, 2, &p->costs[i]);
    }
    return rc;
}

int placement_metrics_new(struct placement_metrics **out, struct pools *pools, struct meter *meter)
{
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
    int rc = f->counters ? register_families(meter) : -ENOMEM;
    for (unsigned i = 0; i < f->pools && rc == 0; i++)
        rc = register_pool(f, meter, &pools->all[i]);
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
