/*
 * metrics.c: what pools tell of themselves: what is so now is read from the pool when the text is
 * written; what happened to calls stands in cells of the clients that made them.
 */
#include "pool/internal.h"

#include "base/mem.h"
#include "meter/histogram.h"

#include <errno.h>

/* Of one client and step. */
struct cells {
    struct histogram *wait;
    struct histogram *run;
    struct histogram *batch; /* NULL: the step has none */
    struct counter *outcomes[POOL_OUTCOMES];
    struct counter processor_ns;
};

struct of_restart {
    struct pool *pool;
    unsigned cause;
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
    struct of_restart *restarts;
    struct of_processor *processor;
};

static const char *const causes[RESTARTS] = {
    [RESTART_DIED] = "died",
    [RESTART_OUT_OF_MEMORY] = "out-of-memory",
    [RESTART_TIMEOUT] = "timeout",
    [RESTART_MAX_TASKS] = "max-tasks",
    [RESTART_CANCELLED] = "cancelled",
    [RESTART_MISBEHAVED] = "misbehaved",
};

struct families {
    struct meter_family *length;
    struct meter_family *expected;
    struct meter_family *standing;
    struct meter_family *refused;
    struct meter_family *workers;
    struct meter_family *restarts;
    struct meter_family *resident;
    struct meter_family *wait;
    struct meter_family *run;
    struct meter_family *batch;
    struct meter_family *processor;
    struct meter_family *tasks;
};

/* ---- Read values ---- */

static double read_length(void *arg)
{
    const struct pool *p = arg;
    return atomic_load_explicit(&p->queue.length, memory_order_relaxed);
}

static double read_workers(void *arg)
{
    const struct pool *p = arg;
    return atomic_load_explicit(&p->workers, memory_order_relaxed);
}

static double read_expected(void *arg)
{
    const struct pool *p = arg;
    return (double)queue_wait(&p->queue) / (double)NS_PER_S;
}

static double read_standing(void *arg)
{
    const struct pool *p = arg;
    return atomic_load_explicit(&p->queue.standing, memory_order_relaxed);
}

static double read_refused(const struct pool *p, enum queue_refusal why)
{
    return (double)atomic_load_explicit(&p->queue.refused[why], memory_order_relaxed);
}

static double read_refused_full(void *arg)
{
    return read_refused(arg, REFUSED_FULL);
}

static double read_refused_late(void *arg)
{
    return read_refused(arg, REFUSED_LATE);
}

static double read_refused_shed(void *arg)
{
    return read_refused(arg, REFUSED_SHED);
}

static double read_restarts(void *arg)
{
    const struct of_restart *r = arg;
    return (double)atomic_load_explicit(&r->pool->restarts[r->cause], memory_order_relaxed);
}

static double read_resident(void *arg)
{
    const struct pool *p = arg;
    double sum = 0;
    for (unsigned i = 0; i < p->size; i++)
        sum += (double)atomic_load_explicit(&p->resident[i], memory_order_relaxed);
    return sum;
}

static double read_processor(void *arg)
{
    const struct of_processor *o = arg;
    double sum = 0;
    for (unsigned i = 0; i < o->all->pools->clients; i++)
        sum += (double)counter_get(&o->all->cells[i * o->all->steps + o->step].processor_ns);
    return sum / (double)NS_PER_S;
}

/* ---- Registering ---- */

static int register_families(struct families *f, struct meter *m)
{
    const struct {
        struct meter_family **out;
        enum meter_kind kind;
        const char *name;
        const char *help;
    } all[] = {
        {&f->length, METER_GAUGE, "weir_pool_queue_length", "Tasks that wait in the queue."},
        {&f->expected, METER_GAUGE, "weir_pool_expected_wait_seconds",
            "The expected cost of all queued tasks, divided by the workers."},
        {&f->standing, METER_GAUGE, "weir_pool_overloaded",
            "Lines (a route's tasks of one priority and size) that stand."},
        {&f->refused, METER_COUNTER, "weir_pool_refused_total",
            "Tasks that were refused, by reason."},
        {&f->workers, METER_GAUGE, "weir_pool_workers", "Workers that are ready to take tasks."},
        {&f->restarts, METER_COUNTER, "weir_pool_restarts_total",
            "Workers that ended and were to be replaced."},
        {&f->resident, METER_GAUGE, "weir_pool_resident_bytes",
            "Memory that worker processes have resident, as last seen."},
        {&f->wait, METER_HISTOGRAM, "weir_pool_wait_seconds",
            "From the call of a step to its start."},
        {&f->run, METER_HISTOGRAM, "weir_pool_run_seconds", "From a step's start to its end."},
        {&f->batch, METER_HISTOGRAM, "weir_pool_batch_tasks",
            "Tasks of a step that were called at once, where it has `batch`."},
        {&f->processor, METER_COUNTER, "weir_pool_processor_seconds_total",
            "Processor time of steps whose caller waited for the end."},
        {&f->tasks, METER_COUNTER, "weir_pool_tasks_total",
            "Calls of steps, by what came of them."},
    };
    int rc = 0;
    for (unsigned i = 0; i < sizeof(all) / sizeof(*all) && rc == 0; i++)
        rc = meter_family(m, all[i].kind, all[i].name, all[i].help, all[i].out);
    return rc;
}

static int register_queue(const struct families *families, struct pool *p)
{
    static const struct {
        const char *reason;
        double (*read)(void *arg);
    } refusals[] = {
        {"full", read_refused_full}, {"late", read_refused_late}, {"shed", read_refused_shed}};
    struct meter_label labels[2] = {{"pool", span_of(p->conf->name)}, {"reason", {NULL, 0}}};
    int rc = meter_series_read(families->length, labels, 1, read_length, p);
    if (rc == 0)
        rc = meter_series_read(families->expected, labels, 1, read_expected, p);
    if (rc == 0)
        rc = meter_series_read(families->standing, labels, 1, read_standing, p);
    for (unsigned i = 0; i < QUEUE_REFUSALS && rc == 0; i++) {
        labels[1].value = span_of(refusals[i].reason);
        rc = meter_series_read(families->refused, labels, 2, refusals[i].read, p);
    }
    return rc;
}

static int register_pool(struct pool_metrics *f, const struct families *families, struct pool *p)
{
    struct meter_label labels[2] = {{"pool", span_of(p->conf->name)}, {"cause", {NULL, 0}}};
    int rc = register_queue(families, p);
    if (rc == 0)
        rc = meter_series_read(families->workers, labels, 1, read_workers, p);
    if (rc || !p->ops->uses_processes)
        return rc;
    rc = meter_series_read(families->resident, labels, 1, read_resident, p);
    for (unsigned i = 0; i < RESTARTS && rc == 0; i++) {
        struct of_restart *r = &f->restarts[p->index * RESTARTS + i];
        *r = (struct of_restart){.pool = p, .cause = i};
        labels[1].value = span_of(causes[i]);
        rc = meter_series_read(families->restarts, labels, 2, read_restarts, r);
    }
    return rc;
}

static struct cells *cells_at(const struct pool_metrics *f, unsigned client, unsigned step)
{
    return &f->cells[client * f->steps + step];
}

static int register_batches(struct pool_metrics *f, const struct families *families,
    const struct pool *p, unsigned step, const struct meter_label *labels)
{
    struct meter_series *batch;
    if (p->batches[step].max < 2)
        return 0;
    int rc = meter_series(families->batch, labels, 2, &batch);
    for (unsigned i = 0; i < f->pools->clients && rc == 0; i++)
        cells_at(f, i, f->first[p->index] + step)->batch = meter_histogram(batch, i);
    return rc;
}

static int register_step(
    struct pool_metrics *f, const struct families *families, const struct pool *p, unsigned step)
{
    unsigned at = f->first[p->index] + step;
    struct meter_label labels[3] = {{"pool", span_of(p->conf->name)},
        {"step", span_of(p->specs[step].name)}, {"outcome", {NULL, 0}}};
    struct meter_series *wait, *run;
    int rc = meter_series(families->wait, labels, 2, &wait);
    if (rc == 0)
        rc = meter_series(families->run, labels, 2, &run);
    for (unsigned i = 0; i < f->pools->clients && rc == 0; i++) {
        cells_at(f, i, at)->wait = meter_histogram(wait, i);
        cells_at(f, i, at)->run = meter_histogram(run, i);
    }
    if (rc == 0)
        rc = register_batches(f, families, p, step, labels);
    if (rc == 0) {
        f->processor[at] = (struct of_processor){.all = f, .step = at};
        rc = meter_series_read(families->processor, labels, 2, read_processor, &f->processor[at]);
    }
    for (unsigned i = 0; i < POOL_OUTCOMES && rc == 0; i++) {
        struct meter_series *outcome;
        labels[2].value = span_of(pool_outcome_name(i));
        rc = meter_series(families->tasks, labels, 3, &outcome);
        for (unsigned j = 0; j < f->pools->clients && rc == 0; j++)
            cells_at(f, j, at)->outcomes[i] = meter_counter(outcome, j);
    }
    return rc;
}

static int register_all(struct pool_metrics *f, struct meter *meter)
{
    struct families families;
    int rc = register_families(&families, meter);
    for (unsigned i = 0; i < f->pools->count && rc == 0; i++) {
        struct pool *p = &f->pools->all[i];
        rc = register_pool(f, &families, p);
        for (unsigned j = 0; j < p->step_count && rc == 0; j++)
            rc = register_step(f, &families, p, j);
    }
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
    f->restarts = mem_zalloc((size_t)pools->count * RESTARTS * sizeof(*f->restarts));
    f->processor = mem_zalloc(f->steps * sizeof(*f->processor));
    f->cells = mem_zalloc((size_t)pools->clients * f->steps * sizeof(*f->cells));
    if (!f->restarts || !f->processor || !f->cells)
        return -ENOMEM;
    return register_all(f, meter);
}

void pool_metrics_free(struct pool_metrics *f)
{
    if (!f)
        return;
    mem_free(f->cells);
    mem_free(f->processor);
    mem_free(f->restarts);
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
