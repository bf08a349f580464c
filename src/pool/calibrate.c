/*
 * calibrate.c: what it costs to hand a task over, measured once at the start, so that the first
 * requests are placed by it; later it is measured while running.
 */
#include "pool/desk.h"

#define CALLS_MAX 20
#define TIME_NS   (20 * NS_PER_MS)

/* A fork is dear, and a worker process may have a limited number of tasks. */
static bool is_to_be_tried(const struct pool *p, const struct pool_desk *d)
{
    enum conf_pool_kind kind = p->conf->kind;
    return p->index % p->pools->desks == d->index &&
           (kind == CONF_POOL_THREADS || (kind == CONF_POOL_PROCESSES && p->conf->max_tasks == 0));
}

static int try_pool(struct pool_desk *d, struct pool *p)
{
    int64_t until = world_now(d->world) + TIME_NS;
    CORO_DEADLINE(until);
    int rc = 0;
    for (unsigned i = 0; i < CALLS_MAX && rc == 0 && world_now(d->world) < until; i++)
        rc = pool_try_handover(d, p);
    return coro_cancelled(coro_self()) ? rc : 0;
}

int pool_calibrate(void *desk)
{
    struct pool_desk *d = desk;
    int rc = future_wait(&d->begun);
    for (unsigned i = 0; i < d->pools->count && rc == 0 && !d->left.done; i++)
        if (is_to_be_tried(&d->pools->all[i], d))
            rc = try_pool(d, &d->pools->all[i]);
    if (rc == 0)
        future_set(&d->ready, 0);
    return 0;
}
