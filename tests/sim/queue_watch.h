/*
 * queue_watch.h: looks at a pool's queue from the side, for scenarios: no worker is idle while a
 * task waits in it, and it is no longer than it may be.
 */
#pragma once

#include "base/rand.h"
#include "pool/internal.h"
#include "world/sim/sim.h"

struct queue_watch {
    struct sim *sim;
    struct queue *queue;
    struct world *world; /* whose coroutine it is; NULL: a director's */
    int64_t clock;       /* then: the host's, at universe time 0 */
    /* Whether workers cannot come now, where idle ones may be held up. NULL: they always can. */
    bool (*excused)(void *ctx);
    void *ctx;
    struct rand *rand;
    bool over; /* to be set when it is to end */
};

/* A coroutine's function, `watch` is its argument. */
int queue_watch_run(void *watch);
