/*
 * calibrate.c: what it costs to hand a task over, measured once at the start, so that the first
 * requests are placed by it; later it is measured while running.
 */
#include "pool/internal.h"

#define CALLS_MAX 20
#define TIME_NS   (20 * NS_PER_MS)

/* A fork is dear, and a worker process may have a limited number of tasks. */
static bool is_to_be_tried(const struct pool *p, const struct pool_client *d)
{
    bool limited = p->ops->uses_processes && p->conf->max_tasks > 0;
    return p->index % p->pools->clients == d->index && p->ops->can_batch && !limited;
}

static int try_pool(struct pool_client *d, struct pool *p)
{
    int64_t until = world_now(d->world) + TIME_NS;
    CORO_DEADLINE(until);
    int rc = 0;
    for (unsigned i = 0; i < CALLS_MAX && rc == 0 && world_now(d->world) < until; i++)
        rc = pool_try_dispatch(d, p);
    return coro_cancelled(coro_self()) ? rc : 0;
}

int pool_calibrate(void *client)
{
    struct pool_client *d = client;
    int rc = future_wait(&d->begun);
    for (unsigned i = 0; i < d->pools->count && rc == 0 && !d->left.done; i++)
        if (is_to_be_tried(&d->pools->all[i], d))
            rc = try_pool(d, &d->pools->all[i]);
    if (rc == 0)
        future_set(&d->ready, 0);
    return 0;
}
