/*
 * client.h: an I/O thread's part of all pools: the tasks that its calls reuse, the workers that
 * live on it, and its inline workers. Only on its thread.
 */
#pragma once

#include "coro/sync.h"
#include "exec/exec.h"

/* Tasks that are kept for the next calls. */
#define CLIENT_KEPT_MAX 1024

struct choices;
struct inline_worker;

struct pool_client {
    struct pools *pools;
    unsigned index;
    struct world *world;
    struct message *kept; /* tasks, through `done` */
    unsigned kept_count;
    /* Starting: */
    unsigned expected; /* workers that will report their start */
    unsigned started;
    bool counted; /* `expected` is complete */
    struct future ready;
    struct future begun; /* all have reported; calibration waits for it. Or the client leaves */
    struct error refused;
    /* Ending: */
    struct future left;
    unsigned early;      /* results that were taken before their messages came */
    struct coro *waiter; /* for these */
    bool stuck;
    struct inline_worker **inline_workers; /* by pool; NULL: none, or none yet */
    struct future *inline_wanted;          /* by pool: its inline worker is to be made */
    /* Placing: */
    struct choices *choices; /* by pool */
    uint64_t tick;           /* of the loop, which the next three are about */
    int64_t tick_ns;         /* computed inline */
    unsigned tick_groups;    /* call groups that were placed */
    unsigned last_groups;    /* the same of the tick before */
    struct coro *inline_for; /* the last caller that was computed for */
    int64_t inline_end;      /* when that was over */
    unsigned under_way;      /* call groups in pools */
    uint64_t asked;          /* how often something was placed */
    bool wakes;              /* what is placed now only wakes workers, and measures nothing */
};

/* A task for a call, or NULL; and one that is not used any more. */
struct task *pool_client_kept(struct pool_client *client);
void pool_client_keep(struct pool_client *client, struct task *t);
/* The message came whose result had been taken already. */
void pool_client_arrived(struct pool_client *client);

/* A worker's first start is over: it is ready (NULL), or it died at its start and is tried again
 * (NULL too), or its init failed or hung: the error, and the server does not start. */
void pool_client_worker_started(struct pool_client *client, const struct error *refused);
/* Completes the start if all workers have reported, or one was refused. */
void pool_client_settle_start(struct pool_client *client);
/* A thread of this process is held by a step that does not end: see pool_client_run. */
void pool_client_stuck(struct pool_client *client);

/* ---- Inline workers: inline.c ---- */

/* In a pool of threads: an inline worker is made once `inline_wanted` is set. Only if the
 * configuration forces it pool_client_worker_started is called. */
int inline_start_wanted(struct pool *p, struct pool_client *client, struct group *group)
    __attribute__((warn_unused_result));
/* Runs the task here and now, to its outcome. */
void inline_run(struct pool_client *client, struct task *t);
void inline_free(struct inline_worker *k);
