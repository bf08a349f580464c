/*
 * body_budget.h: one limit on the memory of all request bodies of a server, over all its I/O
 * threads.
 *
 * A body is claimed before it is read: with a Content-Length the whole, else as it grows. While a
 * claim does not fit, the connection waits and does not read from its socket, which is backpressure
 * on the client; claims are granted first come, first served. A body that holds a claim never waits
 * for more: it is refused immediately if it cannot grow. So bodies do not deadlock.
 *
 * While there is room, a claim costs one atomic addition and its release another. Only waiting
 * claims take a lock, and a message to the thread whose claim is granted.
 *
 * The budget and its shares are made before the threads that use them, and freed after they ended.
 */
#pragma once

#include "base/list.h"
#include "world/world.h"

#include <stdatomic.h>

struct body_budget;
struct body_share; /* a thread's part */

int body_budget_new(struct body_budget **out, uint64_t max, unsigned threads)
    __attribute__((warn_unused_result));
/* NULL is nothing to free. */
void body_budget_free(struct body_budget *b);
struct body_share *body_budget_share(struct body_budget *b, unsigned thread);

#define BODY_LARGE ((uint64_t)16 * 1024)
/* From any thread. */
struct body_budget_stats {
    uint64_t bytes;   /* claimed now */
    uint64_t large;   /* claimed so far by bodies of BODY_LARGE bytes and more */
    uint64_t waiting; /* claims, now */
    uint64_t refused; /* so far */
};
struct body_budget_stats body_budget_stats(const struct body_budget *b);

/* On the share's thread: allows claims in this world until `leave`, by when all must have been
 * released. Leaving may wait for a message that is on its way, so it needs a coroutine. */
void body_share_join(struct body_share *s, struct world *w);
void body_share_leave(struct body_share *s);

/* The memory that one request holds or waits for. All zero: none. */
struct body_claim {
    struct body_share *share; /* NULL: no limit */
    uint64_t bytes;
    /* While it waits, under the budget's lock: */
    struct list link; /* in the queue, then among the share's granted ones */
    struct coro *coro;
    uint64_t wanted;
    bool granted;
};

/* The largest possible claim. */
uint64_t body_claim_max(const struct body_claim *c);
/* Claims the first bytes of a body. Waits until `until` at most. 0; -ENOBUFS: no room in time, or
 * too many claims wait; -ECANCELED. */
int body_claim_take(struct body_claim *c, uint64_t bytes, int64_t until)
    __attribute__((warn_unused_result));
/* Claims more; does not wait. 0 or -ENOBUFS. */
int body_claim_grow(struct body_claim *c, uint64_t bytes) __attribute__((warn_unused_result));
void body_claim_release(struct body_claim *c);
