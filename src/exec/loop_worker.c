/*
 * loop_worker.c: see loop_worker.h. A wake from another thread comes as a message to the client's
 * world; one from the same thread goes straight to the coroutine.
 */
#include "exec/loop_worker.h"

#include "coro/coro.h"

#include <errno.h>

void loop_worker_notice(struct loop_worker *h)
{
    struct coro *c = h->parked;
    h->parked = NULL;
    if (c)
        coro_wake(c, 0);
}

static void on_woken(struct message *m)
{
    struct loop_worker *h = container_of(m, struct loop_worker, woken);
    h->idle = false;
    loop_worker_notice(h);
}

static void wake(struct worker *worker, struct pool_client *from)
{
    struct loop_worker *h = container_of(worker, struct loop_worker, worker);
    if (from == worker->client)
        on_woken(&h->woken);
    else
        world_post(h->world, &h->woken);
}

void loop_worker_init(
    struct loop_worker *h, struct pool *p, struct pool_client *client, unsigned index)
{
    *h = (struct loop_worker){
        .worker = {.pool = p, .index = index, .wake = wake, .client = client},
        .world = client->world,
        .woken = {.deliver = on_woken},
    };
    list_init(&h->worker.idle);
}

int loop_worker_park(struct loop_worker *h, int64_t until)
{
    CORO_DEADLINE(until);
    h->parked = coro_self();
    int rc = coro_park("task");
    h->parked = NULL;
    return rc == -ETIMEDOUT ? 0 : rc;
}

/* Waits for the wake that is on its way. */
static void await_wake(struct loop_worker *h)
{
    CORO_SHIELD(DEADLINE_NEVER);
    int rc = 0;
    while (h->idle && rc == 0)
        rc = loop_worker_park(h, DEADLINE_NEVER);
}

void loop_worker_away(struct loop_worker *h)
{
    /* If it was picked already, queue_away wakes another in its place. */
    if (queue_away(&h->worker.pool->queue, &h->worker, h->worker.client))
        h->idle = false;
    else if (h->idle)
        await_wake(h);
}

unsigned loop_worker_take(struct loop_worker *h, struct task **out, unsigned max)
{
    if (h->idle)
        loop_worker_away(h);
    unsigned count = task_take(&h->worker, out, max, world_now(h->world));
    h->idle = h->worker.waits;
    return count;
}
