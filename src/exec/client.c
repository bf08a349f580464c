/*
 * client.c: see client.h.
 */
#include "exec/client.h"

#include "base/bug.h"
#include "base/mem.h"

#include <errno.h>

/* ---- Kept tasks ---- */

struct task *pool_client_kept(struct pool_client *d)
{
    struct message *m = d->kept;
    if (!m)
        return NULL;
    d->kept = m->next;
    d->kept_count--;
    return container_of(m, struct task, done);
}

void pool_client_keep(struct pool_client *d, struct task *t)
{
    if (d->kept_count == CLIENT_KEPT_MAX) {
        task_free(t);
        return;
    }
    if (t->output.base != t->small)
        mem_free(t->output.base);
    t->output.base = t->small;
    t->done.next = d->kept;
    d->kept = &t->done;
    d->kept_count++;
}

void pool_client_arrived(struct pool_client *d)
{
    check(d->early > 0, "a result came that nobody had taken");
    if (--d->early == 0 && d->waiter)
        coro_wake(d->waiter, 0);
}

/* ---- Starting ---- */

void pool_client_settle_start(struct pool_client *d)
{
    if (d->refused.code)
        future_set(&d->ready, d->refused.code);
    if (d->refused.code || (d->counted && d->started == d->expected))
        future_set(&d->begun, d->refused.code);
}

void pool_client_worker_started(struct pool_client *d, const struct error *refused)
{
    d->started++;
    if (refused && !d->refused.code) {
        d->refused = *refused;
        d->refused.code = -EINVAL;
    }
    pool_client_settle_start(d);
}

void pool_client_stuck(struct pool_client *d)
{
    d->stuck = true;
}
