/*
 * loop_worker.h: a worker that is a coroutine on an I/O thread: how it parks, and is woken by the
 * queue (from any thread) and by events on its own thread.
 *
 * A worker in the queue's idle list is woken by the queue exactly once, or takes itself out. So it
 * knows whether a wake is still on its way, and does not end before that has come.
 */
#pragma once

#include "exec/client.h"

/* How often a worker that is out of the idle list looks whether the queue has closed. */
#define ASK_EVERY_NS (100 * NS_PER_MS)

struct loop_worker {
    struct worker worker;
    struct world *world;
    struct coro *parked; /* in loop_worker_park */
    bool idle;           /* in the queue's list, or a wake is on its way */
    struct message woken;
};

void loop_worker_init(
    struct loop_worker *h, struct pool *p, struct pool_client *client, unsigned index);
/* As task_take. */
unsigned loop_worker_take(struct loop_worker *h, struct task **out, unsigned max);
/* Leaves the idle list; if tasks wait, another worker is woken for them. */
void loop_worker_away(struct loop_worker *h);
/* Waits until it is woken, by the queue or loop_worker_notice, or the moment `until`: 0, or
 * -ECANCELED. */
int loop_worker_park(struct loop_worker *h, int64_t until) __attribute__((warn_unused_result));
/* On the client's thread: wakes it, so that it looks what has changed. */
void loop_worker_notice(struct loop_worker *h);
