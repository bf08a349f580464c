/*
 * waiters.h: coroutines that stand in a line for something, in the order they came. For coro/
 * itself.
 *
 * A waiter stands on the waiting coroutine's stack and in the line for exactly as long as the call
 * lasts. Who serves it takes it out of the line, so that it is served once; if it times out
 * instead, it takes itself out.
 */
#pragma once

#include "coro/coro.h"

struct waiter {
    struct list link; /* in the line */
    struct coro *coro;
    void *item; /* channels: what is sent, or where what is received is put */
};

/* What it was woken with, -ETIMEDOUT or -ECANCELED. */
static inline int waiters_wait(struct list *line, struct waiter *self, const char *why)
{
    self->coro = coro_self();
    list_push_back(line, &self->link);
    int rc = coro_park(why);
    list_del(&self->link);
    return rc;
}

/* Takes out and wakes the first that still waits: it, or NULL. One that timed out a moment ago is
 * passed over. */
static inline struct waiter *waiters_wake_first(struct list *line, int result)
{
    struct list *link;
    while ((link = list_pop_front(line))) {
        struct waiter *w = list_entry(link, struct waiter, link);
        if (coro_wake(w->coro, result))
            return w;
    }
    return NULL;
}
