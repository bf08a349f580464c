/*
 * guard.h: misuse, caught once for all worlds: what each call of world.h begins and ends with. For
 * the files of those calls only: world.c, streams.c, processes.c, files.c.
 */
#pragma once

#include "base/bug.h"
#include "world/ops.h"
#include "world/world.h"

/* Who may wait: a coroutine of the world's own sched. Asking costs a load and a compare, so it
 * stays in debug builds. */
static inline void check_waiter(const struct world *w, const char *call)
{
    struct coro *self = coro_self();
    (void)self; /* unused where dcheck is empty */
    dcheck(self, "%s waits, so it must be called by a coroutine; this is not inside one", call);
    dcheck(coro_sched(self) == w->sched,
        "%s was called by coroutine '%s', which belongs to another world than the object", call,
        coro_name(self));
}

static inline void check_here(const struct world *w, const char *call)
{
    (void)w;
    (void)call;
    dcheck(sched_here(w->sched), "%s was called from another thread than the world's own", call);
}

static inline void check_open(const struct handle *h, const char *call)
{
    (void)h;
    (void)call;
    dcheck(!h->closed, "%s was called on what has been closed already", call);
    check_here(h->world, call);
}

/* Before a wait on a handle. A deadline or cancellation that has come already is told without
 * asking the world. */
static inline int begin_wait(struct handle *h, enum handle_wait as, const char *call)
{
    check_open(h, call);
    check_waiter(h->world, call);
    dcheck(
        !(h->busy & as), "%s was called while another coroutine is in the same call on it", call);
    int rc = coro_poll();
    if (rc == 0) {
        h->busy |= as;
        handle_hold(h);
    }
    return rc;
}

static inline void end_wait(struct handle *h, enum handle_wait as)
{
    h->busy &= (uint8_t)~as;
    handle_release(h);
}

/* The world's close call follows, and then handle_release. */
static inline const struct world_ops *begin_close(struct handle *h, const char *call)
{
    dcheck(!h->closed, "%s: closed twice", call);
    check_here(h->world, call);
    h->closed = true;
    return h->world->ops;
}
