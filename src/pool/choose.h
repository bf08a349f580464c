/*
 * choose.h: where the tasks of a call are placed: what a client knows of a pool's steps, its
 * budget, and which steps have been sent off the loop. For pool/ itself.
 */
#pragma once

#include "pool/internal.h"

/* Of a step, for all I/O threads: */
struct step_backoff {
    _Atomic int64_t blocked_until; /* it must not run inline before then; 0: it may */
    _Atomic int64_t logged_at;     /* of the last warning */
};

/* An I/O thread's, of a pool. */
struct choices {
    struct choice *kinds; /* of call groups: the last decisions */
};

/* 0 or -ENOMEM. */
int choices_new(struct pool_client *client) __attribute__((warn_unused_result));
void choices_free(struct pool_client *client);

/* Decides by measurement, or as forced. `waits`: an inline run should wait for the next tick. */
enum placement choose(struct pool_client *client, struct pool *p, struct pool_call *const *calls,
    unsigned count, enum pool_dispatch dispatch, int64_t now, bool *waits);
/* After an inline run: counts it against the tick's budget. If it was too slow, and not forced, its
 * step is blocked from inline runs for a while: returns true. */
bool choose_ran_inline(struct pool_client *client, struct pool *p, const struct pool_call *c,
    bool forced, int64_t now);
/* An inline run is too slow beyond this CPU time, or this wall time (less may be another process's
 * doing). Its step is then blocked for this many times as long: so a loop spends at most a
 * hundredth of its time on such steps. */
#define CHOOSE_BLOCKS_NS (1 * NS_PER_MS)
#define CHOOSE_STANDS_NS (50 * NS_PER_MS)
#define CHOOSE_OFF_TIMES 100
