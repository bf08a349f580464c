/*
 * zygote.h: the process of a pool of kind `fork` that has everything loaded, as its server sees it,
 * and the workers that have it forked.
 *
 * One coroutine keeps the zygote and reads what it says; each worker writes orders to it, one at a
 * time, and speaks with the fork that comes of it over a stream of their own.
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
    bool forked;                 /* the zygote has said so: there is, or was, a child */
    bool ended;                  /* the zygote has said how: */
    int status, signal;          /* an errno in `status` if it was not forked */
    bool out_of_memory;
    bool heard_out; /* all that it wrote before has been asked for */
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
    const struct pool_process *broken; /* an order to it failed: respawn will see its end */
    struct coro *parked;
    struct mutex writing; /* one order at a time */
    struct list forks;
    uint64_t last_id;
    unsigned size;
    struct fork_worker workers[];
};

/* A coroutine's function: keeps it going until it is cancelled, then ends it. */
int zygote_run(void *zygote);
/* Has it fork, with `passed` as its child's channel, which is closed here. 0, or a negative errno:
 * then there is no child. */
int zygote_fork(struct zygote *z, const struct fork *f, struct stream *passed)
    __attribute__((warn_unused_result));
void zygote_kill(struct zygote *z, const struct fork *f);
static inline bool zygote_usable(const struct zygote *z)
{
    return z->respawn.now && z->respawn.now != z->broken;
}

/* ---- Hands: task.c ---- */

/* Has it done, to its outcome: 0 or -ECANCELED. */
int fork_run(struct fork_worker *h, struct task *t) __attribute__((warn_unused_result));
