/*
 * fork.c: pools of kind `fork`: each task has a process of its own, forked from a zygote that has
 * the steps loaded. All workers live at one client and share the zygote.
 */
#include "exec/fork/zygote.h"

#include "base/mem.h"

#include <errno.h>

static int run_once(struct fork_worker *h)
{
    struct task *t;
    if (!zygote_usable(h->zygote)) {
        loop_worker_away(&h->base);
        return loop_worker_park(&h->base, deadline_after(world_now(h->base.world), ASK_EVERY_NS));
    }
    if (loop_worker_take(&h->base, &t, 1) > 0)
        return fork_run(h, t);
    if (queue_closed(&h->base.worker.pool->queue))
        return 0;
    return loop_worker_park(&h->base, h->base.worker.until);
}

static int run_worker(void *arg)
{
    struct fork_worker *h = arg;
    int rc = 0;
    while (rc == 0 && !queue_closed(&h->base.worker.pool->queue))
        rc = run_once(h);
    loop_worker_away(&h->base);
    bytes_release(&h->out);
    return rc;
}

static void init_worker(struct zygote *z, unsigned index)
{
    struct fork_worker *h = &z->workers[index];
    uint64_t value = z->pool->conf->value;
    loop_worker_init(&h->base, z->pool, z->client, index);
    h->zygote = z;
    bytes_init(&h->out,
        WORKER_HEAD_SIZE + 256 + (value < WORKER_FRAME_MAX ? (size_t)value : WORKER_FRAME_MAX));
}

/* The zygote ends after the last worker. */
static int run_workers(struct zygote *z)
{
    GROUP(keeping, GROUP_INDEPENDENT);
    GROUP(workers, GROUP_FAIL_FAST);
    int rc = group_spawn(&keeping, "zygote", zygote_run, z);
    struct error why;
    error_set(
        &why, rc, "pool", "pool '%s' cannot be started: %s", z->pool->conf->name, error_text(rc));
    for (unsigned i = 0; i < z->size && rc; i++)
        pool_client_worker_started(z->client, &why);
    for (unsigned i = 0; i < z->size && rc == 0; i++)
        rc = group_spawn(&workers, "fork worker", run_worker, &z->workers[i]);
    int ended = group_wait(&workers);
    group_cancel(&keeping);
    return rc ? rc : ended;
}

static int run_pool(void *arg)
{
    struct zygote *z = arg;
    int rc = run_workers(z);
    mutex_release(&z->writing);
    mem_free(z);
    return rc;
}

static int start(struct pool *p, struct pool_client *client, struct group *group)
{
    struct zygote *z = mem_zalloc(sizeof(*z) + (size_t)p->size * sizeof(struct fork_worker));
    if (!z)
        return -ENOMEM;
    z->pool = p;
    z->client = client;
    z->world = client->world;
    z->size = p->size;
    list_init(&z->forks);
    for (unsigned i = 0; i < z->size; i++)
        init_worker(z, i);
    mutex_init(&z->writing);
    int rc = group_spawn(group, "pool of forks", run_pool, z);
    if (rc)
        mem_free(z);
    return rc;
}

static unsigned workers_at(const struct pool *p, unsigned client)
{
    return client == p->index % p->pools->clients ? p->size : 0;
}

const struct executor_ops executor_fork = {
    .start = start, .workers_at = workers_at, .uses_processes = true, .forks = true};
