/*
 * sync.c: futures and channels.
 *
 * A waiter stands on the waiting coroutine's stack and in a list for exactly as long as the call
 * lasts. Who serves it takes it out of the list, so that it is served once; if it times out
 * instead, it takes itself out.
 */
#include "coro/sync.h"

#include "base/bug.h"

#include <errno.h>

struct waiter {
    struct list link; /* in the future's or channel's list of waiters */
    struct coro *coro;
    void *item; /* channels: what is sent, or where what is received is put */
};

static int wait_in(struct list *queue, struct waiter *self, const char *why)
{
    self->coro = coro_self();
    list_push_back(queue, &self->link);
    int rc = coro_park(why);
    list_del(&self->link);
    return rc;
}

/* Takes out and wakes the first that still waits: it, or NULL. One that timed out a moment ago is
 * passed over. */
static struct waiter *wake_first(struct list *queue, int result)
{
    struct list *link;
    while ((link = list_pop_front(queue))) {
        struct waiter *w = list_entry(link, struct waiter, link);
        if (coro_wake(w->coro, result))
            return w;
    }
    return NULL;
}

/* ---- Futures ---- */

void future_init(struct future *f)
{
    *f = (struct future){0};
    list_init(&f->waiters);
}

bool future_set(struct future *f, int result)
{
    if (f->done)
        return false;
    f->done = true;
    f->result = result;
    /* The result travels with the wake: the future may be gone when the waiters run. */
    while (wake_first(&f->waiters, result))
        ;
    return true;
}

int future_wait(struct future *f)
{
    int rc = coro_poll();
    if (rc)
        return rc;
    if (f->done)
        return f->result;
    struct waiter self = {0};
    return wait_in(&f->waiters, &self, "future");
}

/* ---- Channels ---- */

int channel_init(struct channel *ch, size_t size)
{
    *ch = (struct channel){0};
    list_init(&ch->senders);
    list_init(&ch->receivers);
    return ring_init(&ch->items, size);
}

void channel_release(struct channel *ch)
{
    check(list_empty(&ch->senders) && list_empty(&ch->receivers),
        "a channel was released while coroutines wait on it");
    ring_release(&ch->items);
}

int channel_try_send(struct channel *ch, void *item)
{
    if (ch->closed)
        return -EPIPE;
    struct waiter *receiver = wake_first(&ch->receivers, 0);
    if (receiver) {
        receiver->item = item;
        return 0;
    }
    return ring_push(&ch->items, item) ? 0 : -EAGAIN;
}

int channel_send(struct channel *ch, void *item)
{
    int rc = coro_poll();
    if (rc)
        return rc;
    rc = channel_try_send(ch, item);
    if (rc != -EAGAIN)
        return rc;
    struct waiter self = {.item = item};
    return wait_in(&ch->senders, &self, "send");
}

int channel_receive(struct channel *ch, void **item)
{
    int rc = coro_poll();
    if (rc)
        return rc;
    if (!ring_empty(&ch->items)) {
        *item = ring_pop(&ch->items);
        struct waiter *sender = wake_first(&ch->senders, 0);
        bool moved_up = !sender || ring_push(&ch->items, sender->item);
        check(moved_up, "no room for a sender's item where another was just taken out");
        return 0;
    }
    if (ch->closed)
        return -EPIPE;
    struct waiter self = {0};
    rc = wait_in(&ch->receivers, &self, "receive");
    if (rc == 0)
        *item = self.item;
    return rc;
}

void channel_close(struct channel *ch)
{
    ch->closed = true;
    while (wake_first(&ch->senders, -EPIPE))
        ;
    while (wake_first(&ch->receivers, -EPIPE))
        ;
}
