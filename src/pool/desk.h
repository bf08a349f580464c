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
    struct error refused;
    /* Ending: */
    struct future left;
    unsigned early;      /* results that were taken before their messages came */
    struct coro *waiter; /* for these */
    bool stuck;
    struct inline_worker **inline_workers; /* by pool; NULL where it is of another kind */
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
/* Runs the task here and now, to its outcome. */
void inline_run(struct pool_desk *d, struct task *t);
void inline_free(struct inline_worker *k);

/* ---- Figures: figures.c ---- */

/* 0 or -ENOMEM. `meter` may be NULL. */
int pool_figures_new(struct pool_figures **out, struct pools *pools, struct meter *meter)
    __attribute__((warn_unused_result));
void pool_figures_free(struct pool_figures *f);
/* What came of a call, on the desk's thread. */
void pool_figures_count(struct pool_desk *d, const struct pool *p, const struct pool_call *c);
