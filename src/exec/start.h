/*
 * start.h: makes a step worker on a companion thread, since inits may take long or hang; a
 * coroutine waits for it within the pool's `start`. For workers in this process.
 */
#pragma once

#include "coro/sync.h"
#include "exec/client.h"

struct worker_start {
    struct pool *pool;
    struct world *world; /* of the waiting coroutine */
    struct step_place place;
    struct step_worker *worker;
    int rc;
    struct error error;
    struct message message;
    struct future told;
};

void worker_start_init(struct worker_start *s, struct pool *p, struct pool_client *client);
/* On the companion: makes the worker: 0 or a negative errno; then reports to the coroutine. */
int worker_start_make(struct worker_start *s, struct companion *self)
    __attribute__((warn_unused_result));
void worker_start_tell(struct worker_start *s);
/* In the coroutine: 0; -ECANCELED; or -EINVAL and why the server does not start. */
int worker_start_wait(struct worker_start *s, int64_t until, struct error *refused)
    __attribute__((warn_unused_result));

/* How long ending threads are waited for before the server gives them up. */
#define COMPANION_END_NS (10 * NS_PER_S)
