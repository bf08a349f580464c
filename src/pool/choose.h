/*
 * choose.h: where the tasks of a call are placed: what a client knows of a pool's steps, its
 * budget, and which steps have been sent off the loop. For pool/ itself.
 */
#pragma once

#include "pool/internal.h"

/* Of a step, for all clients: */
struct step_backoff {
    _Atomic int64_t blocked_until; /* not inline before then; 0: no matter */
    _Atomic int64_t said_at;       /* when the log said so last */
};

/* A client's, of a pool. */
struct choices {
    struct choice *kinds; /* of sets: what was decided last */
};

/* 0 or -ENOMEM. */
int choices_new(struct pool_client *d) __attribute__((warn_unused_result));
void choices_free(struct pool_client *d);

/* By what is measured, or as is forced. `waits`: what runs inline is to wait for another turn. */
enum placement choose(struct pool_client *d, struct pool *p, struct pool_call *const *calls,
    unsigned count, enum pool_dispatch dispatch, int64_t now, bool *waits);
/* It ran inline: what that took of the turn; and if it was too long its step is sent off the loop,
 * unless it was forced: true. */
bool choose_ran_inline(
    struct pool_client *d, struct pool *p, const struct pool_call *c, bool forced, int64_t now);
/* What an inline run may take at most before its step is sent off the loop: of the processor's
 * time; in all (what is less may be another process's doing); and how many times as long it stays
 * away: a loop stands a hundredth of its time at most for such a step. */
#define CHOOSE_BLOCKS_NS (1 * NS_PER_MS)
#define CHOOSE_STANDS_NS (50 * NS_PER_MS)
#define CHOOSE_OFF_TIMES 100
