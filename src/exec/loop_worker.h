/*
 * loop_worker.h: what workers that are coroutines have in common: how they rest, and are woken by
 * the queue, from whatever thread, and by what happens at their client.
 *
 * A worker that is in the queue's idle list is woken by the queue exactly once, or takes itself
 * out. So it knows whether a wake is still on its way, and does not end before it has come.
 */
#pragma once

#include "exec/client.h"

/* How often a worker that is away, so that the queue does not wake it, asks whether it is to
 * end. */
#define ASK_EVERY_NS (100 * NS_PER_MS)

struct loop_worker {
    struct worker worker;
    struct world *world;
    struct coro *parked; /* while it rests */
    bool idle;           /* in the queue's list, or a wake is on its way */
    struct message woken;
};

void loop_worker_init(struct loop_worker *h, struct pool *p, struct pool_client *d, unsigned index);
/* Up to `max` tasks, as queue_take says. */
unsigned loop_worker_take(struct loop_worker *h, struct task **out, unsigned max);
/* Not for now: out of the queue's list, and if tasks wait, another worker is woken for them. */
void loop_worker_away(struct loop_worker *h);
/* Waits until it is woken, by the queue or loop_worker_notice, or the moment `until`: 0, or
 * -ECANCELED. */
int loop_worker_rest(struct loop_worker *h, int64_t until) __attribute__((warn_unused_result));
/* On the client's thread: it is to look what has changed. */
void loop_worker_notice(struct loop_worker *h);
