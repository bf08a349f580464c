/*
 * zygote.h: the zygote of a pool of kind `fork`, from the server's side, and its workers.
 *
 * One coroutine respawns the zygote and reads its frames. Each worker orders forks from it, one
 * order at a time, and talks to its fork over a stream of their own.
 */
#pragma once

#include "coro/lock.h"
#include "exec/loop_worker.h"
#include "exec/respawn.h"

struct zygote;

/* A process that was forked for one task. */
struct fork {
    struct list link; /* in the zygote's */
    uint64_t id;
    struct pool_process *zygote; /* held */
    bool forked;                 /* the zygote reported it: there is, or was, a child */
    bool ended;                  /* the zygote reported its end: */
    int status, signal;          /* an errno in `status` if it was not forked */
    bool out_of_memory;
    bool drained; /* everything that it wrote has been read */
};

struct fork_worker {
    struct loop_worker base;
    struct zygote *zygote;
    struct fork fork; /* while a task runs */
    struct frames frames;
    struct bytes out;
    int64_t began;
};

struct zygote {
    struct pool *pool;
    struct pool_client *client;
    struct world *world;
    struct respawn respawn;
    const struct pool_process *broken; /* an order to it failed; respawn will notice its end */
    struct coro *parked;
    struct mutex writing; /* one order at a time */
    struct list forks;
    uint64_t last_id;
    unsigned size;
    struct fork_worker workers[];
};

/* A coroutine's function: keeps it going until it is cancelled, then ends it. */
int zygote_run(void *zygote);
/* Orders a fork, with `passed` as the child's channel, which is closed here. 0; or a negative
 * errno, and there is no child. */
int zygote_fork(struct zygote *z, const struct fork *f, struct stream *passed)
    __attribute__((warn_unused_result));
void zygote_kill(struct zygote *z, const struct fork *f);
static inline bool zygote_usable(const struct zygote *z)
{
    return z->respawn.now && z->respawn.now != z->broken;
}

/* ---- Workers: task.c ---- */

/* Runs the task to its outcome: 0 or -ECANCELED. */
int fork_run(struct fork_worker *h, struct task *t) __attribute__((warn_unused_result));
