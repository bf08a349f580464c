/*
 * processes.c: pools of kind `processes`: each worker is a coroutine on an I/O thread that takes
 * tasks and sends them to a worker process of its own.
 *
 * No other thread is between: a result is a readable socket on an I/O thread's loop. A lost process
 * is loss.c's, its replacement respawn.c's.
 */
#include "exec/loop_worker.h"
#include "exec/processes/batch.h"
#include "exec/respawn.h"

#include "base/mem.h"

#include <errno.h>

struct process_worker {
    struct loop_worker base;
    struct respawn respawn;
    struct batch batch;
    unsigned served; /* tasks, by this worker */
    unsigned limit;  /* after which it is replaced; 0: none */
    struct task *taken[TAKE_MAX];
};

static void changed(void *ctx)
{
    struct process_worker *h = ctx;
    loop_worker_notice(&h->base);
}

/* From 3/4 of `max_tasks` for the first worker to 5/4 for the last, so that processes that started
 * together are not replaced together. */
static unsigned limit_of(const struct pool *p, unsigned index)
{
    uint64_t max = p->conf->max_tasks;
    uint64_t others = p->size > 1 ? p->size - 1 : 1;
    uint64_t limit = p->size > 1 ? max * 3 / 4 + max / 2 * index / others : max;
    return limit ? (unsigned)limit : p->conf->max_tasks;
}

/* One batch after another. If they take longer than expected, the rest goes back to the queue. */
static int serve(struct process_worker *h, unsigned count)
{
    struct respawn *k = &h->respawn;
    struct batch *b = &h->batch;
    enum pool_restart why = RESTART_DIED;
    b->behind = h->taken;
    b->behind_count = count;
    int64_t began = world_now(k->world);
    while (b->behind_count > 0) {
        unsigned used = batch_fill(b, k->now, b->behind, b->behind_count);
        b->behind += used;
        b->behind_count -= used;
        if (b->count == 0)
            continue;
        enum batch_end end = batch_run(b, k->now, &why);
        k->worked = true;
        h->served += b->count;
        if (end != BATCH_DONE || world_now(k->world) - began > 2 * TAKE_BUDGET_NS)
            batch_put_back(b);
        if (end == BATCH_DONE)
            continue;
        if (end == BATCH_CANCELLED)
            return -ECANCELED;
        respawn_dismiss(k, why);
        return 0;
    }
    if (h->limit && h->served >= h->limit)
        k->replace = true;
    return 0;
}

static int run_once(struct process_worker *h)
{
    struct respawn *k = &h->respawn;
    const struct pool_process *before = k->now;
    int64_t until = respawn_step(k);
    if (k->now != before)
        h->served = 0;
    if (!k->now) {
        int64_t ask = deadline_after(world_now(k->world), ASK_EVERY_NS);
        loop_worker_away(&h->base);
        return loop_worker_park(&h->base, deadline_sooner(until, ask));
    }
    unsigned count = loop_worker_take(&h->base, h->taken, TAKE_MAX);
    if (count > 0)
        return serve(h, count);
    if (queue_closed(&h->base.worker.pool->queue))
        return 0;
    return loop_worker_park(&h->base, deadline_sooner(until, h->base.worker.until));
}

static int work(struct process_worker *h)
{
    struct pool *p = h->base.worker.pool;
    GROUP(processes, GROUP_INDEPENDENT);
    respawn_init(
        &h->respawn, p, h->base.worker.client, &processes, h->base.worker.index + 1, 1, changed, h);
    int rc = 0;
    while (rc == 0 && !queue_closed(&p->queue))
        rc = run_once(h);
    loop_worker_away(&h->base);
    respawn_end(&h->respawn);
    int ended = group_wait(&processes);
    return rc ? rc : ended;
}

static int run_worker(void *arg)
{
    struct process_worker *h = arg;
    int rc = work(h);
    batch_release(&h->batch);
    mem_free(h);
    return rc;
}

static int start_worker(
    struct pool *p, struct pool_client *client, struct group *group, unsigned index)
{
    struct process_worker *h = mem_zalloc(sizeof(*h));
    if (!h)
        return -ENOMEM;
    loop_worker_init(&h->base, p, client, index);
    batch_init(&h->batch, p, client, index);
    h->limit = limit_of(p, index);
    int rc = group_spawn(group, "process worker", run_worker, h);
    if (rc)
        mem_free(h);
    return rc;
}

static int start(struct pool *p, struct pool_client *client, struct group *group)
{
    int rc = 0;
    for (unsigned i = client->index; i < p->size && rc == 0; i += p->pools->clients)
        rc = start_worker(p, client, group, i);
    return rc;
}

static unsigned workers_at(const struct pool *p, unsigned client)
{
    return p->size / p->pools->clients + (client < p->size % p->pools->clients);
}

const struct executor_ops executor_processes = {
    .start = start, .workers_at = workers_at, .uses_processes = true, .can_batch = true};
