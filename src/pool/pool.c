/*
 * pool.c: which pools there are and what runs in them, as the configuration's flows say; and what
 * a pool knows of its workers.
 *
 * Only pools that some node uses are made, with the steps that are used there. Each has one step
 * more, an `echo`: the canary's. It is sent when the first worker is up, and when it is back the
 * pool is ready, until its last worker has gone.
 */
#include "pool/choose.h"

#include "base/bug.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>

#define OPTIONS_MAX (16 * 1024 * 1024)

static const char canary_name[] = "_canary";

/* ---- Which steps run where ---- */

static const struct conf_step *find_step(const struct config *c, const char *name)
{
    for (unsigned i = 0; i < c->step_count; i++)
        if (strcmp(c->steps[i].name, name) == 0)
            return &c->steps[i];
    return NULL;
}

static const struct conf_pool *find_conf(const struct config *c, const char *name)
{
    for (unsigned i = 0; i < c->pool_count; i++)
        if (strcmp(c->pools[i].name, name) == 0)
            return &c->pools[i];
    return NULL;
}

static const char *pool_of(const struct config *c, const struct conf_work *work)
{
    if (work->pool)
        return work->pool;
    const struct conf_step *step = find_step(c, work->step);
    return step && step->pool ? step->pool : "default";
}

/* Iterates over all nodes that have work for pools. */
struct each_node {
    const struct config *config;
    unsigned route;
    unsigned next;
    const struct conf_work *work;
};

static bool next_node(struct each_node *each)
{
    for (; each->route < each->config->route_count; each->route++, each->next = 0) {
        const struct conf_route *route = &each->config->routes[each->route];
        while (each->next < route->node_count) {
            const struct conf_flow_node *node = &route->nodes[each->next++];
            if (!node->work.step)
                continue;
            each->work = &node->work;
            return true;
        }
    }
    return false;
}

static bool is_forced_inline(const struct pool *p)
{
    struct each_node each = {.config = p->pools->config};
    while (next_node(&each))
        if (each.config->routes[each.route].dispatch == CONF_DISPATCH_INLINE &&
            strcmp(pool_of(each.config, each.work), p->conf->name) == 0)
            return true;
    return false;
}

static int options_text(struct pools *pools, const struct conf_step *step, struct span *out)
{
    *out = (struct span){NULL, 0};
    if (!step || !step->options)
        return 0;
    struct bytes text;
    bytes_init(&text, OPTIONS_MAX);
    int rc = conf_node_write_json(step->options, &text);
    if (rc == 0) {
        out->ptr = arena_copy(&pools->texts, bytes_span(&text));
        out->len = text.len;
        rc = out->ptr ? 0 : -ENOMEM;
    }
    bytes_release(&text);
    return rc;
}

/* Forks run one task each. */
static struct conf_batch batch_of(const struct pool *p, const struct conf_step *step)
{
    if (!p->ops->can_batch || !step || step->batch.max <= 1)
        return (struct conf_batch){.max = 1};
    _Static_assert(CONF_BATCH_MAX <= TAKE_MAX, "what may be configured is what is taken");
    return step->batch;
}

/* `room` is enough for all steps. */
static int add_step(struct pool *p, const char *name, unsigned room)
{
    if (pool_step(p, name) >= 0)
        return 0;
    check(p->step_count + 1 < room, "more steps in a pool than nodes in all flows");
    const struct conf_step *step = find_step(p->pools->config, name);
    struct step_spec *spec = &p->specs[p->step_count];
    *spec = (struct step_spec){.name = name,
        .plugin = step ? step->plugin : NULL,
        .step = step && step->step ? step->step : name};
    p->batches[p->step_count] = batch_of(p, step);
    int rc = options_text(p->pools, step, &spec->options);
    if (rc == 0)
        p->step_count++;
    return rc;
}

static int collect_steps(struct pool *p)
{
    unsigned room = 1;
    struct each_node each = {.config = p->pools->config};
    while (next_node(&each))
        room++;
    p->specs = mem_zalloc(room * sizeof(*p->specs));
    p->costs = mem_zalloc(room * sizeof(*p->costs));
    p->batches = mem_zalloc(room * sizeof(*p->batches));
    p->backoffs = mem_zalloc(room * sizeof(*p->backoffs));
    if (!p->specs || !p->costs || !p->batches || !p->backoffs)
        return -ENOMEM;
    each = (struct each_node){.config = p->pools->config};
    while (next_node(&each)) {
        if (strcmp(pool_of(p->pools->config, each.work), p->conf->name) != 0)
            continue;
        int rc = add_step(p, each.work->step, room);
        if (rc)
            return rc;
    }
    p->specs[p->step_count] =
        (struct step_spec){.name = canary_name, .step = "echo", .options = {NULL, 0}};
    p->batches[p->step_count] = (struct conf_batch){.max = 1};
    return 0;
}

/* ---- Making ---- */

/* The one place that knows which executor a pool of that kind has. */
static const struct executor_ops *ops_of(const struct conf_pool *conf)
{
    static const struct executor_ops *const executors[] = {[CONF_POOL_INLINE] = &executor_inline,
        [CONF_POOL_THREADS] = &executor_threads,
        [CONF_POOL_PROCESSES] = &executor_processes,
        [CONF_POOL_FORK] = &executor_fork};
    check((unsigned)conf->kind < sizeof executors / sizeof *executors, "pool '%s' of kind %u",
        conf->name, (unsigned)conf->kind);
    return executors[conf->kind];
}

static unsigned size_of(const struct conf_pool *conf, unsigned clients, unsigned cores)
{
    if (ops_of(conf)->runs_on_caller)
        return clients;
    return conf->size ? conf->size : cores ? cores : 1;
}

/* Of each worker: its share of the cores, unless it is configured. */
static unsigned step_threads_of(const struct conf_pool *conf, unsigned clients, unsigned cores)
{
    unsigned share = cores / size_of(conf, clients, cores);
    return conf->step_threads ? conf->step_threads : share ? share : 1;
}

unsigned pools_step_threads(const struct config *config, unsigned clients, unsigned cores)
{
    unsigned least = 0;
    struct each_node each = {.config = config};
    while (next_node(&each)) {
        const struct conf_pool *conf = find_conf(config, pool_of(config, each.work));
        unsigned threads =
            conf && ops_of(conf)->loads_steps ? step_threads_of(conf, clients, cores) : 0;
        if (threads && (least == 0 || threads < least))
            least = threads;
    }
    return least;
}

static void free_steps(struct pool *p)
{
    mem_free(p->batches);
    mem_free(p->backoffs);
    mem_free(p->costs);
    mem_free(p->specs);
}

static void end_pool(struct pool *p)
{
    queue_release(&p->queue);
    step_set_free(p->steps);
    if (p->canary)
        task_free(p->canary);
    mem_free(p->resident);
    free_steps(p);
}

static int make_queue(struct pool *p)
{
    int rc = queue_init(&p->queue, p->conf->queue, p->size, p->costs, task_drop);
    if (rc)
        return rc;
    rc = queue_batches(&p->queue, p->batches, p->step_count);
    if (rc)
        queue_release(&p->queue);
    return rc;
}

static int make_workers_part(struct pool *p, struct error *e)
{
    p->resident = mem_zalloc(p->size * sizeof(*p->resident));
    p->canary = mem_zalloc(sizeof(*p->canary));
    if (!p->resident || !p->canary)
        return error_set(e, -ENOMEM, "pool", "%s", error_text(-ENOMEM));
    if (!p->ops->loads_steps)
        return 0;
    return step_set_new(
        &p->steps, p->specs, p->step_count + 1, p->pools->overrides, p->pools->unsafe, e);
}

/* After a failure everything is freed. */
static int make_pool(struct pool *p, struct error *e)
{
    p->ops = ops_of(p->conf);
    p->inline_forced = is_forced_inline(p);
    p->size = size_of(p->conf, p->pools->clients, p->pools->cores);
    p->step_threads = step_threads_of(p->conf, p->pools->clients, p->pools->cores);
    int rc = collect_steps(p);
    if (rc == 0)
        rc = make_queue(p);
    if (rc) {
        free_steps(p);
        return error_set(e, rc, "pool", "pool '%s': %s", p->conf->name, error_text(rc));
    }
    rc = make_workers_part(p, e);
    if (rc) {
        error_prefix(e, "pool '%s'", p->conf->name);
        end_pool(p);
    }
    return rc;
}

static int add_pool(struct pools *pools, const char *name, struct error *e)
{
    if (pools_find(pools, name))
        return 0;
    const struct conf_pool *conf = find_conf(pools->config, name);
    if (!conf)
        return error_set(
            e, -EINVAL, "pool", "a step is to run in pool '%s', which is not among `pools`", name);
    struct pool *p = &pools->all[pools->count];
    p->pools = pools;
    p->conf = conf;
    p->index = pools->count;
    int rc = make_pool(p, e);
    if (rc == 0)
        pools->count++;
    return rc;
}

static int add_pools(struct pools *pools, struct error *e)
{
    pools->all = mem_zalloc((pools->config->pool_count + 1) * sizeof(*pools->all));
    if (!pools->all)
        return error_set(e, -ENOMEM, "pool", "pools: %s", error_text(-ENOMEM));
    struct each_node each = {.config = pools->config};
    int rc = 0;
    while (rc == 0 && next_node(&each))
        rc = add_pool(pools, pool_of(pools->config, each.work), e);
    return rc;
}

int pools_new(struct pools **out, const struct pools_options *options, struct error *e)
{
    struct pools *pools = mem_zalloc(sizeof(*pools));
    if (!pools)
        return error_set(e, -ENOMEM, "pool", "pools: %s", error_text(-ENOMEM));
    pools->config = options->config;
    pools->clients = options->clients;
    pools->cores = options->cores;
    pools->worker_argv = options->worker_argv;
    pools->overrides = options->overrides;
    pools->unsafe = options->unsafe;
    pools->log = options->log;
    arena_init(&pools->texts, (size_t)OPTIONS_MAX * 2);
    int rc = add_pools(pools, e);
    if (rc == 0) {
        rc = pool_metrics_new(&pools->metrics, pools, options->meter);
        if (rc == 0)
            rc = placement_metrics_new(&pools->placement_metrics, pools, options->meter);
        if (rc)
            error_set(e, rc, "pool", "pools: %s", error_text(rc));
    }
    if (rc) {
        pools_free(pools);
        return rc;
    }
    *out = pools;
    return 0;
}

void pools_free(struct pools *pools)
{
    if (!pools)
        return;
    for (unsigned i = 0; i < pools->count; i++)
        end_pool(&pools->all[i]);
    pool_metrics_free(pools->metrics);
    placement_metrics_free(pools->placement_metrics);
    mem_free(pools->all);
    arena_release(&pools->texts);
    mem_free(pools);
}

/* ---- Look-up ---- */

struct pool *pools_find(const struct pools *pools, const char *name)
{
    for (unsigned i = 0; i < pools->count; i++)
        if (strcmp(pools->all[i].conf->name, name) == 0)
            return &pools->all[i];
    return NULL;
}

const char *pool_name(const struct pool *p)
{
    return p->conf->name;
}

int pool_step(const struct pool *p, const char *step)
{
    for (unsigned i = 0; i < p->step_count; i++)
        if (strcmp(p->specs[i].name, step) == 0)
            return (int)i;
    return -ENOENT;
}

const char *pools_not_ready(const struct pools *pools)
{
    for (unsigned i = 0; i < pools->count; i++)
        if (!atomic_load_explicit(&pools->all[i].ready, memory_order_acquire))
            return pools->all[i].conf->name;
    return NULL;
}

bool pools_ready(const struct pools *pools)
{
    return !pools_not_ready(pools);
}
