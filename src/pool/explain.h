/*
 * explain.h: what the log says of where steps run, and why. For pool/ itself.
 *
 * At level debug it says each change of a decision, for each kind of set: a route's first step and
 * how many are with it. Where load makes decisions swing that would be a line a request; so there
 * are at most EXPLAIN_LINES a second for each, and what was left out is counted.
 */
#pragma once

#include "pool/internal.h"
#include "sched/placement.h"

#include "base/time.h"

/* Of a kind of set: what was decided last, what the log knows of it, and when it was last placed
 * against what was decided. */
struct choice {
    int64_t second;  /* when the one began that `lines` counts */
    uint32_t hidden; /* changes since the last line */
    uint8_t lines;   /* logged in it */
    uint8_t placed;  /* enum placement */
    uint8_t logged;  /* the decision in the last line */
    uint8_t probes;  /* bursts of probes so far */
    uint8_t probing; /* calls left of a burst */
    uint32_t asked;  /* since then */
    int64_t probed_at;
};

#define EXPLAIN_LINES     2
#define EXPLAIN_SECOND_NS NS_PER_S

/* Keeps a decision, and logs it with its reason `why` if it has changed. */
void explain_choice(struct choice *c, const struct pool *p, struct pool_call *const *calls,
    const struct placement_view *v, enum placement placed, const char *why, int64_t now);

/* A step ran for too long on an I/O thread: a warning, once a minute for each step. */
void explain_blocked(struct pool *p, const struct pool_call *c, int64_t off_ns, int64_t now);
