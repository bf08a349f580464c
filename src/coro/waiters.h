/*
 * waiters.h: a queue of waiting coroutines. For coro/ only.
 *
 * A waiter is on the waiting coroutine's stack, and in the queue while the call lasts. Waking it
 * removes it from the queue, so that it is woken once; a time-out removes it, too.
 */
#pragma once

#include "coro/coro.h"

struct waiter {
    struct list link; /* in the queue */
    struct coro *coro;
    void *item; /* channels: what is sent, or where what is received is put */
};

/* The result of the wake-up, -ETIMEDOUT or -ECANCELED. */
static inline int waiters_wait(struct list *line, struct waiter *self, const char *why)
{
    self->coro = coro_self();
    list_push_back(line, &self->link);
    int rc = coro_park(why);
    list_del(&self->link);
    return rc;
}

/* Removes and wakes the first that still waits, and returns it; or NULL. Skips one that has just
 * timed out. */
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
