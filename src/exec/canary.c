/*
 * canary.c: a pool's readiness: counts its workers, and sends a canary task that shows that work
 * gets through. The count, `ready` and the canary change together, under the queue's lock.
 */
#include "exec/client.h"

#include "base/bug.h"
#include "base/log.h"

#include <errno.h>

/* A canary may fail although its worker lives, for want of memory, of processes, of descriptors:
 * it is sent again after this time. */
#define RETRY_NS (1 * NS_PER_S)

static const struct span canary_input = {"true", 4};

static void lock(struct pool *p)
{
    pthread_mutex_lock(&p->queue.lock);
}

static void unlock(struct pool *p)
{
    pthread_mutex_unlock(&p->queue.lock);
}

/* ---- The canary ---- */

/* Under the lock. Returns true if the caller must send it. */
static bool take_canary(struct pool *p)
{
    if (p->canary_out || atomic_load_explicit(&p->ready, memory_order_relaxed) ||
        atomic_load_explicit(&p->workers, memory_order_relaxed) == 0)
        return false;
    p->canary_out = true;
    return true;
}

static void send_canary(struct pool *p, struct pool_client *from)
{
    struct task *t = p->canary;
    task_init(t, NULL, p, p->step_count);
    task_set_input(t, canary_input);
    t->retry = true;
    t->item.deadline = DEADLINE_NEVER;
    if (queue_put_canary(&p->queue, &t->item, from) == 0)
        return;
    /* There was no memory; or it is closed, and nobody asks. */
    lock(p);
    p->canary_out = false;
    unlock(p);
}

void pool_canary_back(struct pool *p, enum pool_outcome outcome)
{
    if (outcome != POOL_DONE)
        log_with(pool_log(p), LOG_WARN, LOG_FIELDS(LOG_TEXT("pool", p->conf->name)),
            "pool '%s': its canary did not come back: %s", p->conf->name,
            p->canary->error.sentence);
    lock(p);
    check(p->canary_out, "a canary comes back that was not sent");
    p->canary_out = false;
    if (outcome == POOL_DONE && atomic_load_explicit(&p->workers, memory_order_relaxed) > 0)
        atomic_store_explicit(&p->ready, true, memory_order_release);
    unlock(p);
}

static void retry_canary(struct pool *p, struct pool_client *client)
{
    if (p->ops->runs_on_caller || atomic_load_explicit(&p->ready, memory_order_relaxed))
        return;
    lock(p);
    bool send = take_canary(p);
    unlock(p);
    if (send)
        send_canary(p, client);
}

int pool_canaries_run(void *arg)
{
    struct pool_client *client = arg;
    const struct pools *pools = client->pools;
    while (client->index < pools->count) {
        CORO_DEADLINE(deadline_after(world_now(client->world), RETRY_NS));
        int rc = future_wait(&client->left);
        if (rc != -ETIMEDOUT)
            return 0;
        for (unsigned i = client->index; i < pools->count; i += pools->clients)
            retry_canary(&pools->all[i], client);
    }
    return 0;
}

/* ---- Workers ---- */

void pool_worker_up(struct pool *p, struct pool_client *client)
{
    lock(p);
    unsigned workers = 1 + atomic_fetch_add_explicit(&p->workers, 1, memory_order_relaxed);
    atomic_store_explicit(&p->failing, false, memory_order_relaxed);
    bool send = false;
    /* Inline workers have run a canary before. */
    if (!p->ops->runs_on_caller)
        send = take_canary(p);
    else if (workers == p->size)
        atomic_store_explicit(&p->ready, true, memory_order_release);
    unlock(p);
    if (send)
        send_canary(p, client);
}

static void count_restart(struct pool *p, enum pool_restart why)
{
    if ((unsigned)why < RESTARTS)
        atomic_fetch_add_explicit(&p->restarts[why], 1, memory_order_relaxed);
}

void pool_worker_down(struct pool *p, enum pool_restart why)
{
    count_restart(p, why);
    lock(p);
    if (atomic_fetch_sub_explicit(&p->workers, 1, memory_order_relaxed) == 1)
        atomic_store_explicit(&p->ready, false, memory_order_release);
    unlock(p);
}

void pool_worker_failed(struct pool *p, enum pool_restart why)
{
    count_restart(p, why);
    atomic_store_explicit(&p->failing, true, memory_order_relaxed);
}
