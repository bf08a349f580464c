/*
 * body_budget.h: one bound on the memory that all request bodies of a server take at once, over all
 * its I/O threads.
 *
 * A body is claimed before it is read: one with a Content-Length whole, a chunked one as it grows.
 * While the claim does not fit, the connection waits, reads nothing from its socket, and so makes
 * its client wait; claims are granted in the order in which they came. A body that holds a claim
 * never waits for more: it is refused at once if it cannot grow. So bodies that are half read
 * cannot wait for each other, and each that was begun can be read to its end.
 *
 * While there is room, a claim costs one atomic addition and its release another. Only when claims
 * wait is there a lock, and a message to the thread whose claim is granted.
 *
 * The budget and its shares are made before the threads that use them, and freed after those ended.
 */
#pragma once

#include "base/list.h"
#include "world/world.h"

#include <stdatomic.h>

struct body_budget;
struct body_share; /* a thread's way to the budget */

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

/* On the share's thread: claims can be made in this world from now on, until `leave`; all have been
 * released by then. A coroutine leaves, since a message may be on its way to it. */
void body_share_join(struct body_share *s, struct world *w);
void body_share_leave(struct body_share *s);

/* What one request holds, or waits for. All zero: nothing. */
struct body_claim {
    struct body_share *share; /* NULL: no bound */
    uint64_t bytes;
    /* While it waits, under the budget's lock: */
    struct list link; /* in the queue, then among the share's granted ones */
    struct coro *coro;
    uint64_t wanted;
    bool granted;
};

/* The most that one claim can ever get. */
uint64_t body_claim_max(const struct body_claim *c);
/* The first bytes of a body. Waits until `until` at most. 0; -ENOBUFS: there was no room in time,
 * or too many wait already; -ECANCELED. */
int body_claim_take(struct body_claim *c, uint64_t bytes, int64_t until)
    __attribute__((warn_unused_result));
/* More, for a claim that holds some; does not wait. 0 or -ENOBUFS. */
int body_claim_grow(struct body_claim *c, uint64_t bytes) __attribute__((warn_unused_result));
void body_claim_release(struct body_claim *c);
