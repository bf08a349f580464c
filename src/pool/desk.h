/*
 * desk.h: an I/O thread's side of all pools: what its calls reuse, where its own hands live, and
 * its inline workers. For pool/ itself.
 */
#pragma once

#include "coro/sync.h"
#include "pool/internal.h"

/* Tasks that are kept for the next calls. */
#define DESK_KEPT_MAX 1024

struct pool_desk {
    struct pools *pools;
    unsigned index;
    struct world *world;
    struct message *kept; /* tasks, through `done` */
    unsigned kept_count;
    /* Starting: */
    unsigned expected; /* hands that will tell that they have started */
    unsigned started;
    bool counted; /* `expected` is all of them */
    struct future ready;
    struct future begun; /* they have; only then is calibrated. Or it is over */
    struct error refused;
    /* Ending: */
    struct future left;
    unsigned early;      /* results that were taken before their messages came */
    struct coro *waiter; /* for these */
    bool stuck;
    struct inline_worker **inline_workers; /* by pool; NULL: none, or none yet */
    /* Placing: */
    struct choices *choices; /* by pool */
    uint64_t turn;           /* of the loop, for which is told: */
    int64_t turn_ns;         /* what was computed inline */
    unsigned turn_sets;      /* what was to be placed */
    unsigned last_sets;      /* the same of the turn before */
    struct coro *inline_for; /* who was computed for last */
    int64_t inline_end;      /* when that was over */
    unsigned under_way;      /* sets of tasks that were handed over */
    uint64_t asked;          /* how often something was to be placed */
    bool wakes;              /* what is placed now is to wake hands, and tells nothing */
};

/* A task for a call, or NULL; and one that is not used any more. */
struct task *pool_desk_kept(struct pool_desk *d);
void pool_desk_keep(struct pool_desk *d, struct task *t);
/* The message came whose result had been taken already. */
void pool_desk_arrived(struct pool_desk *d);

/* ---- Inline workers: inline.c ---- */

/* Has one made on a companion, within the pool's `start`, as a coroutine of the group, which tells
 * pool_desk_hand_started. */
int inline_start(struct pool *p, struct pool_desk *d, struct group *group)
    __attribute__((warn_unused_result));
/* In a pool of threads: the same, once its `choices.wanted` is set to 0. Only if the configuration
 * wants it at once pool_desk_hand_started is told. */
int inline_start_wanted(struct pool *p, struct pool_desk *d, struct group *group)
    __attribute__((warn_unused_result));
/* Whether a route's `dispatch` forces steps of this pool of threads to run inline. */
bool inline_is_forced(const struct pool *p);
/* Runs the task here and now, to its outcome. */
void inline_run(struct pool_desk *d, struct task *t);
void inline_free(struct inline_worker *k);

/* ---- Calibration: calibrate.c ---- */

/* Once the desk's hands are: measures what handing over to the pools costs that have their home
 * here. Then the desk is ready. A coroutine's function. */
int pool_calibrate(void *desk) __attribute__((warn_unused_result));
/* Hands the canary's step over as any call, and notes what that took. 0 or a negative errno. */
int pool_try_handover(struct pool_desk *d, struct pool *p) __attribute__((warn_unused_result));

/* ---- Figures: figures.c, placed.c ---- */

/* 0 or -ENOMEM. `meter` may be NULL. */
int pool_figures_new(struct pool_figures **out, struct pools *pools, struct meter *meter)
    __attribute__((warn_unused_result));
void pool_figures_free(struct pool_figures *f);
/* What came of a call, on the desk's thread. */
void pool_figures_count(struct pool_desk *d, const struct pool *p, const struct pool_call *c);
/* The same of where calls are placed, and of what steps and hand-overs cost. */
int placed_figures_new(struct placed_figures **out, struct pools *pools, struct meter *meter)
    __attribute__((warn_unused_result));
void placed_figures_free(struct placed_figures *f);
void placed_figures_count(const struct pool_desk *d, const struct pool *p, enum placement placed);
