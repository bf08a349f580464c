/*
 * desk.c: the hands of an I/O thread from start to end, and the tasks it keeps for its calls.
 */
#include "pool/choose.h"

#include "base/bug.h"
#include "base/log.h"
#include "base/mem.h"
#include "coro/group.h"

#include <errno.h>

int pool_desk_new(struct pool_desk **out, struct pools *pools, unsigned index, struct world *w)
{
    struct pool_desk *d = mem_zalloc(sizeof(*d));
    if (!d)
        return -ENOMEM;
    d->inline_workers = mem_zalloc((pools->count + 1) * sizeof(struct inline_worker *));
    d->pools = pools;
    d->index = index;
    d->world = w;
    if (!d->inline_workers || choices_new(d) != 0) {
        pool_desk_free(d);
        return -ENOMEM;
    }
    future_init(&d->ready);
    future_init(&d->begun);
    future_init(&d->left);
    *out = d;
    return 0;
}

void pool_desk_free(struct pool_desk *d)
{
    if (!d)
        return;
    for (unsigned i = 0; i < d->pools->count && d->inline_workers; i++)
        inline_free(d->inline_workers[i]);
    mem_free(d->inline_workers);
    choices_free(d);
    struct task *t;
    while ((t = pool_desk_kept(d)))
        mem_free(t);
    mem_free(d);
}

struct world *pool_desk_world(const struct pool_desk *d)
{
    return d->world;
}

unsigned pool_desk_index(const struct pool_desk *d)
{
    return d->index;
}

/* ---- Kept tasks ---- */

struct task *pool_desk_kept(struct pool_desk *d)
{
    struct message *m = d->kept;
    if (!m)
        return NULL;
    d->kept = m->next;
    d->kept_count--;
    return container_of(m, struct task, done);
}

void pool_desk_keep(struct pool_desk *d, struct task *t)
{
    if (d->kept_count == DESK_KEPT_MAX) {
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

void pool_desk_arrived(struct pool_desk *d)
{
    check(d->early > 0, "a result came that nobody had taken");
    if (--d->early == 0 && d->waiter)
        coro_wake(d->waiter, 0);
}

/* They are under way, from threads that have nothing else to do. */
static void wait_for_messages(struct pool_desk *d)
{
    CORO_SHIELD(DEADLINE_NEVER);
    int rc = 0;
    d->waiter = coro_self();
    while (d->early > 0 && rc == 0)
        rc = coro_park("results that were taken already");
    d->waiter = NULL;
}

/* ---- Starting ---- */

static void tell_if_ready(struct pool_desk *d)
{
    if (d->refused.code)
        future_set(&d->ready, d->refused.code);
    if (d->refused.code || (d->counted && d->started == d->expected))
        future_set(&d->begun, d->refused.code);
}

void pool_desk_hand_started(struct pool_desk *d, const struct error *refused)
{
    d->started++;
    if (refused && !d->refused.code) {
        d->refused = *refused;
        d->refused.code = -EINVAL;
    }
    tell_if_ready(d);
}

int pool_desk_ready(struct pool_desk *d, struct error *e)
{
    int rc = future_wait(&d->ready);
    if (rc && d->refused.code && e)
        *e = d->refused;
    else if (rc)
        error_set(e, rc, "pool", "the pools did not get ready: %s", error_text(rc));
    return rc;
}

void pool_desk_stuck(struct pool_desk *d)
{
    d->stuck = true;
}

static int start_pool(struct pool *p, struct pool_desk *d, struct group *hands)
{
    unsigned here = p->kind ? p->kind->hands_at(p, d->index) : 1;
    bool threads = p->conf->kind == CONF_POOL_THREADS;
    int rc = 0;
    d->expected += here;
    if (here > 0)
        rc = p->kind ? p->kind->start(p, d, hands) : inline_start(p, d, hands);
    if (rc == 0 && threads) {
        d->expected += inline_is_forced(p);
        rc = inline_start_wanted(p, d, hands);
    }
    return rc;
}

static int start_hands(struct pool_desk *d, struct group *hands)
{
    int rc = group_spawn(hands, "calibration", pool_calibrate, d);
    if (rc)
        error_set(&d->refused, rc, "pool", "the pools cannot be started: %s", error_text(rc));
    for (unsigned i = 0; i < d->pools->count && rc == 0; i++) {
        struct pool *p = &d->pools->all[i];
        rc = start_pool(p, d, hands);
        if (rc)
            error_set(&d->refused, rc, "pool", "pool '%s' cannot be started: %s", p->conf->name,
                error_text(rc));
    }
    return rc;
}

int pool_desk_run(void *arg)
{
    struct pool_desk *d = arg;
    GROUP(hands, GROUP_INDEPENDENT);
    int rc = start_hands(d, &hands);
    d->counted = true;
    tell_if_ready(d);
    if (rc == 0)
        rc = future_wait(&d->left);
    if (rc)
        group_cancel(&hands);
    int ended = group_wait(&hands);
    wait_for_messages(d);
    future_set(&d->ready, -ECANCELED);
    if (d->stuck)
        return -ETIMEDOUT;
    return rc ? rc : ended;
}

/* ---- Ending ---- */

void pool_desk_leave(struct pool_desk *d)
{
    struct pools *pools = d->pools;
    if (!future_set(&d->left, 0))
        return;
    future_set(&d->begun, -ECANCELED);
    for (unsigned i = 0; i < pools->count; i++)
        future_set(&d->choices[i].wanted, -ECANCELED);
    unsigned left = 1 + atomic_fetch_add_explicit(&pools->left, 1, memory_order_acq_rel);
    check(left <= pools->desks, "more desks left than there are");
    if (left < pools->desks)
        return;
    for (unsigned i = 0; i < pools->count; i++)
        queue_close(&pools->all[i].queue, d);
}
