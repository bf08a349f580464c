/*
 * client.c: an I/O thread's part of all pools, from start to end.
 */
#include "pool/choose.h"

#include "base/bug.h"
#include "base/log.h"
#include "base/mem.h"
#include "coro/group.h"

#include <errno.h>

int pool_client_new(struct pool_client **out, struct pools *pools, unsigned index, struct world *w)
{
    struct pool_client *d = mem_zalloc(sizeof(*d));
    if (!d)
        return -ENOMEM;
    d->inline_workers = mem_zalloc((pools->count + 1) * sizeof(struct inline_worker *));
    d->pools = pools;
    d->index = index;
    d->world = w;
    d->inline_wanted = mem_zalloc((pools->count + 1) * sizeof(struct future));
    if (!d->inline_workers || !d->inline_wanted || choices_new(d) != 0) {
        pool_client_free(d);
        return -ENOMEM;
    }
    for (unsigned i = 0; i < pools->count; i++)
        future_init(&d->inline_wanted[i]);
    future_init(&d->ready);
    future_init(&d->begun);
    future_init(&d->left);
    *out = d;
    return 0;
}

void pool_client_free(struct pool_client *d)
{
    if (!d)
        return;
    for (unsigned i = 0; i < d->pools->count && d->inline_workers; i++)
        inline_free(d->inline_workers[i]);
    mem_free(d->inline_wanted);
    mem_free(d->inline_workers);
    choices_free(d);
    struct task *t;
    while ((t = pool_client_kept(d)))
        mem_free(t);
    mem_free(d);
}

/* They are under way, from threads that have nothing else to do. */
static void wait_for_messages(struct pool_client *d)
{
    CORO_SHIELD(DEADLINE_NEVER);
    int rc = 0;
    d->waiter = coro_self();
    while (d->early > 0 && rc == 0)
        rc = coro_park("results that were taken already");
    d->waiter = NULL;
}

/* ---- Starting ---- */

int pool_client_ready(struct pool_client *d, struct error *e)
{
    int rc = future_wait(&d->ready);
    if (rc && d->refused.code && e)
        *e = d->refused;
    else if (rc)
        error_set(e, rc, "pool", "the pools did not get ready: %s", error_text(rc));
    return rc;
}

static int start_pool(struct pool *p, struct pool_client *d, struct group *workers)
{
    unsigned here = p->ops->workers_at(p, d->index);
    int rc = 0;
    d->expected += here;
    if (here > 0)
        rc = p->ops->start(p, d, workers);
    if (rc == 0 && p->ops->loads_steps && !p->ops->runs_on_caller) {
        d->expected += p->inline_forced;
        rc = inline_start_wanted(p, d, workers);
    }
    return rc;
}

static int start_workers(struct pool_client *d, struct group *workers)
{
    int rc = group_spawn(workers, "calibration", pool_calibrate, d);
    if (rc == 0)
        rc = group_spawn(workers, "canaries", pool_canaries_run, d);
    if (rc)
        error_set(&d->refused, rc, "pool", "the pools cannot be started: %s", error_text(rc));
    for (unsigned i = 0; i < d->pools->count && rc == 0; i++) {
        struct pool *p = &d->pools->all[i];
        rc = start_pool(p, d, workers);
        if (rc)
            error_set(&d->refused, rc, "pool", "pool '%s' cannot be started: %s", p->conf->name,
                error_text(rc));
    }
    return rc;
}

int pool_client_run(void *arg)
{
    struct pool_client *d = arg;
    GROUP(workers, GROUP_INDEPENDENT);
    int rc = start_workers(d, &workers);
    d->counted = true;
    pool_client_settle_start(d);
    if (rc == 0)
        rc = future_wait(&d->left);
    if (rc)
        group_cancel(&workers);
    int ended = group_wait(&workers);
    wait_for_messages(d);
    future_set(&d->ready, -ECANCELED);
    if (d->stuck)
        return -ETIMEDOUT;
    return rc ? rc : ended;
}

/* ---- Ending ---- */

void pool_client_leave(struct pool_client *d)
{
    struct pools *pools = d->pools;
    if (!future_set(&d->left, 0))
        return;
    future_set(&d->begun, -ECANCELED);
    for (unsigned i = 0; i < pools->count; i++)
        future_set(&d->inline_wanted[i], -ECANCELED);
    unsigned left = 1 + atomic_fetch_add_explicit(&pools->left, 1, memory_order_acq_rel);
    check(left <= pools->clients, "more clients left than there are");
    if (left < pools->clients)
        return;
    for (unsigned i = 0; i < pools->count; i++)
        queue_close(&pools->all[i].queue, d);
}
