/*
 * sync.h: futures and channels for the coroutines of one sched.
 *
 * A *future* is a result that comes once; any number may wait for it. A *channel* is a bounded
 * queue of pointers: senders wait while it is full, receivers while it is empty, both in the order
 * they came. Neither is for other threads: use world_post. All waits take the
 * coroutine's deadline.
 */
#pragma once

#include "base/ring.h"
#include "coro/coro.h"

struct future {
    struct list waiters;
    bool done;
    int result;
};

void future_init(struct future *f);
/* Sets the result, unless there is one: then returns false. The future may be freed after this
 * returns. On the sched's thread, inside a coroutine or not. */
bool future_set(struct future *f, int result);
/* The result, or -ETIMEDOUT or -ECANCELED. */
int future_wait(struct future *f) __attribute__((warn_unused_result));

struct channel {
    struct ring items;
    bool closed;
    struct list senders;
    struct list receivers;
};

/* 0 or -ENOMEM; size is at least 1. */
int channel_init(struct channel *ch, size_t size) __attribute__((warn_unused_result));
/* No coroutine may be waiting. Items still in it are the caller's to free. */
void channel_release(struct channel *ch);

/* 0, -EPIPE if it is closed, -ETIMEDOUT, -ECANCELED; the item is the receiver's only if 0. */
int channel_send(struct channel *ch, void *item) __attribute__((warn_unused_result));
/* The same without waiting, callable outside a coroutine: -EAGAIN if it is full. */
int channel_try_send(struct channel *ch, void *item) __attribute__((warn_unused_result));
/* 0 and an item; -EPIPE once it is closed and empty; -ETIMEDOUT, -ECANCELED. */
int channel_receive(struct channel *ch, void **item) __attribute__((warn_unused_result));
/* Ends sending; items in it can still be received. Waiting senders fail with -EPIPE. */
void channel_close(struct channel *ch);
