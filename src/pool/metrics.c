/*
 * metrics.c: the metrics of pools. What a pool is like now is read from it when the text is
 * written; what became of calls is counted in cells of the clients that made them.
 */
#include "pool/internal.h"

#include "base/mem.h"
#include "meter/histogram.h"

#include <errno.h>
#include <stddef.h>

/* Of one client and step. */
struct cells {
    struct histogram *wait;
    struct histogram *run;
    struct histogram *batch; /* NULL: the step has none */
    struct counter *outcomes[POOL_OUTCOMES];
    struct counter processor_ns;
};

/* For the sum over all clients. */
struct of_processor {
    struct pool_metrics *all;
    unsigned step;
};

struct pool_metrics {
    struct pools *pools;
    unsigned steps;      /* of all pools */
    unsigned *first;     /* of each pool */
    struct cells *cells; /* by client, then step */
    struct of_processor *processor;
};

/* ---- Pools ---- */

static double read_length(const void *object, size_t at)
{
    const struct pool *p = object;
    return atomic_load_explicit(&p->queue.length, memory_order_relaxed);
}

static double read_expected(const void *object, size_t at)
{
    const struct pool *p = object;
    return (double)queue_wait(&p->queue) / (double)NS_PER_S;
}

static double read_standing(const void *object, size_t at)
{
    const struct pool *p = object;
    return atomic_load_explicit(&p->queue.standing, memory_order_relaxed);
}

static double read_refused(const void *object, size_t why)
{
    const struct pool *p = object;
    return (double)atomic_load_explicit(&p->queue.refused[why], memory_order_relaxed);
}

static double read_workers(const void *object, size_t at)
{
    const struct pool *p = object;
    return atomic_load_explicit(&p->workers, memory_order_relaxed);
}

static double read_restarts(const void *object, size_t cause)
{
    const struct pool *p = object;
    return (double)atomic_load_explicit(&p->restarts[cause], memory_order_relaxed);
}

static double read_resident(const void *object, size_t at)
{
    const struct pool *p = object;
    double sum = 0;
    for (unsigned i = 0; i < p->size; i++)
        sum += (double)atomic_load_explicit(&p->resident[i], memory_order_relaxed);
    return sum;
}

#define REFUSED(word, why)                                                               \
    {                                                                                    \
        METER_COUNTER, "weir_pool_refused_total", "Tasks that were refused, by reason.", \
            {"reason", SPAN(word)}, (why), read_refused                                  \
    }
static const struct meter_def pool_metrics[] = {
    {METER_GAUGE, "weir_pool_queue_length", "Tasks that wait in the queue.", .read = read_length},
    {METER_GAUGE, "weir_pool_expected_wait_seconds",
        "The expected cost of all queued tasks, divided by the workers.", .read = read_expected},
    {METER_GAUGE, "weir_pool_overloaded",
        "Classes (a route's tasks of one priority and size) that have waited too long.",
        .read = read_standing},
    REFUSED("full", REFUSED_FULL),
    REFUSED("late", REFUSED_LATE),
    REFUSED("shed", REFUSED_SHED),
    {METER_GAUGE, "weir_pool_workers", "Workers that are ready to take tasks.",
        .read = read_workers},
};
#undef REFUSED

#define RESTARTED(word, cause)                                                              \
    {                                                                                       \
        METER_COUNTER, "weir_pool_restarts_total", "Workers that ended and were replaced.", \
            {"cause", SPAN(word)}, (cause), read_restarts                                   \
    }
static const struct meter_def process_metrics[] = {
    RESTARTED("died", RESTART_DIED),
    RESTARTED("out-of-memory", RESTART_OUT_OF_MEMORY),
    RESTARTED("timeout", RESTART_TIMEOUT),
    RESTARTED("max-tasks", RESTART_MAX_TASKS),
    RESTARTED("cancelled", RESTART_CANCELLED),
    RESTARTED("misbehaved", RESTART_MISBEHAVED),
    {METER_GAUGE, "weir_pool_resident_bytes",
        "Memory that worker processes have resident, as last seen.", .read = read_resident},
};
#undef RESTARTED

/* ---- Steps ---- */

static double read_processor(const void *object, size_t at)
{
    const struct of_processor *o = object;
    double sum = 0;
    for (unsigned i = 0; i < o->all->pools->clients; i++)
        sum += (double)counter_get(&o->all->cells[i * o->all->steps + o->step].processor_ns);
    return sum / (double)NS_PER_S;
}

struct step_series {
    struct meter_series *wait;
    struct meter_series *run;
    struct meter_series *batch;
    struct meter_series *outcome;
};

#define AT(member) .at = offsetof(struct step_series, member)
static const struct meter_def step_metrics[] = {
    {METER_HISTOGRAM, "weir_pool_wait_seconds", "From the call of a step to its start.", AT(wait)},
    {METER_HISTOGRAM, "weir_pool_run_seconds", "From a step's start to its end.", AT(run)},
};
static const struct meter_def batch_metric = {METER_HISTOGRAM, "weir_pool_batch_tasks",
    "Tasks of a step that were called at once, where it has `batch`.", AT(batch)};
static const struct meter_def processor_metric = {METER_COUNTER,
    "weir_pool_processor_seconds_total", "Processor time of steps whose caller waited for the end.",
    .read = read_processor};
static const struct meter_def outcome_metric = {METER_COUNTER, "weir_pool_tasks_total",
    "Calls of steps, by what came of them.", AT(outcome)}; /* a label is added for each */
#undef AT

/* ---- Registering ---- */

#define COUNT(table) (sizeof(table) / sizeof *(table))

static struct cells *cells_at(const struct pool_metrics *f, unsigned client, unsigned step)
{
    return &f->cells[client * f->steps + step];
}

/* The families, which fixes their order. */
static int register_families(struct meter *m)
{
    int rc = meter_define(m, pool_metrics, COUNT(pool_metrics), NULL, 0, NULL);
    if (rc == 0)
        rc = meter_define(m, process_metrics, COUNT(process_metrics), NULL, 0, NULL);
    if (rc == 0)
        rc = meter_define(m, step_metrics, COUNT(step_metrics), NULL, 0, NULL);
    if (rc == 0)
        rc = meter_define(m, &batch_metric, 1, NULL, 0, NULL);
    if (rc == 0)
        rc = meter_define(m, &processor_metric, 1, NULL, 0, NULL);
    return rc ? rc : meter_define(m, &outcome_metric, 1, NULL, 0, NULL);
}

static int register_outcomes(
    struct pool_metrics *f, struct meter *m, unsigned at, const struct meter_label *labels)
{
    int rc = 0;
    for (unsigned i = 0; i < POOL_OUTCOMES && rc == 0; i++) {
        struct step_series series = {0};
        struct meter_def def = outcome_metric;
        def.label = (struct meter_label){"outcome", span_of(pool_outcome_name(i))};
        rc = meter_define(m, &def, 1, labels, 2, &series);
        for (unsigned k = 0; k < f->pools->clients && rc == 0; k++)
            cells_at(f, k, at)->outcomes[i] = meter_counter(series.outcome, k);
    }
    return rc;
}

static int register_step(
    struct pool_metrics *f, struct meter *m, const struct pool *p, unsigned step)
{
    unsigned at = f->first[p->index] + step;
    bool batches = p->batches[step].max > 1;
    struct step_series series = {0};
    const struct meter_label labels[2] = {
        {"pool", span_of(p->conf->name)}, {"step", span_of(p->specs[step].name)}};
    int rc = meter_define(m, step_metrics, COUNT(step_metrics), labels, 2, &series);
    if (rc == 0 && batches)
        rc = meter_define(m, &batch_metric, 1, labels, 2, &series);
    for (unsigned i = 0; i < f->pools->clients && rc == 0; i++) {
        struct cells *cells = cells_at(f, i, at);
        cells->wait = meter_histogram(series.wait, i);
        cells->run = meter_histogram(series.run, i);
        cells->batch = batches ? meter_histogram(series.batch, i) : NULL;
    }
    f->processor[at] = (struct of_processor){.all = f, .step = at};
    if (rc == 0)
        rc = meter_define(m, &processor_metric, 1, labels, 2, &f->processor[at]);
    return rc ? rc : register_outcomes(f, m, at, labels);
}

static int register_pool(struct pool_metrics *f, struct meter *m, struct pool *p)
{
    const struct meter_label label = {"pool", span_of(p->conf->name)};
    int rc = meter_define(m, pool_metrics, COUNT(pool_metrics), &label, 1, p);
    if (rc == 0 && p->ops->uses_processes)
        rc = meter_define(m, process_metrics, COUNT(process_metrics), &label, 1, p);
    for (unsigned i = 0; i < p->step_count && rc == 0; i++)
        rc = register_step(f, m, p, i);
    return rc;
}

static int register_all(struct pool_metrics *f, struct meter *m)
{
    int rc = register_families(m);
    for (unsigned i = 0; i < f->pools->count && rc == 0; i++)
        rc = register_pool(f, m, &f->pools->all[i]);
    return rc;
}

int pool_metrics_new(struct pool_metrics **out, struct pools *pools, struct meter *meter)
{
    *out = NULL;
    if (!meter || pools->count == 0)
        return 0;
    struct pool_metrics *f = mem_zalloc(sizeof(*f));
    if (!f)
        return -ENOMEM;
    *out = f;
    f->pools = pools;
    f->first = mem_zalloc(pools->count * sizeof(*f->first));
    if (!f->first)
        return -ENOMEM;
    for (unsigned i = 0; i < pools->count; i++) {
        f->first[i] = f->steps;
        f->steps += pools->all[i].step_count;
    }
    f->processor = mem_zalloc(f->steps * sizeof(*f->processor));
    f->cells = mem_zalloc((size_t)pools->clients * f->steps * sizeof(*f->cells));
    if (!f->processor || !f->cells)
        return -ENOMEM;
    return register_all(f, meter);
}

void pool_metrics_free(struct pool_metrics *f)
{
    if (!f)
        return;
    mem_free(f->cells);
    mem_free(f->processor);
    mem_free(f->first);
    mem_free(f);
}

/* ---- Counting ---- */

/* Returns true if the step ran, and its caller got the result. */
static bool ran(enum pool_outcome outcome)
{
    return outcome == POOL_DONE || outcome == POOL_FAILED || outcome == POOL_REJECTED ||
           outcome == POOL_OUTPUT_TOO_LARGE;
}

void pool_metrics_count(struct pool_client *client, const struct pool *p, const struct pool_call *c)
{
    const struct pool_metrics *f = client->pools->metrics;
    if (!f)
        return;
    struct cells *cells = cells_at(f, client->index, f->first[p->index] + c->step);
    counter_add(cells->outcomes[c->outcome], 1);
    if (!ran(c->outcome))
        return;
    histogram_record(cells->wait, c->queue_ns);
    histogram_record(cells->run, c->wall_ns);
    /* The histogram counts tasks: a second stands for one. */
    if (cells->batch && c->held && c->held->together > 0)
        histogram_record(cells->batch, c->held->together * NS_PER_S);
    counter_add(&cells->processor_ns, (uint64_t)c->processor_ns);
}
