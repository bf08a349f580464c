/*
 * sync.c: futures and channels.
 */
#include "coro/sync.h"

#include "base/bug.h"
#include "coro/waiters.h"

#include <errno.h>

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
    while (waiters_wake_first(&f->waiters, result))
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
    return waiters_wait(&f->waiters, &self, "future");
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
    struct waiter *receiver = waiters_wake_first(&ch->receivers, 0);
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
    return waiters_wait(&ch->senders, &self, "send");
}

int channel_receive(struct channel *ch, void **item)
{
    int rc = coro_poll();
    if (rc)
        return rc;
    if (!ring_empty(&ch->items)) {
        *item = ring_pop(&ch->items);
        struct waiter *sender = waiters_wake_first(&ch->senders, 0);
        bool moved_up = !sender || ring_push(&ch->items, sender->item);
        check(moved_up, "no room for a sender's item where another was just taken out");
        return 0;
    }
    if (ch->closed)
        return -EPIPE;
    struct waiter self = {0};
    rc = waiters_wait(&ch->receivers, &self, "receive");
    if (rc == 0)
        *item = self.item;
    return rc;
}

void channel_close(struct channel *ch)
{
    ch->closed = true;
    while (waiters_wake_first(&ch->senders, -EPIPE))
        ;
    while (waiters_wake_first(&ch->receivers, -EPIPE))
        ;
}
