/*
 * batch.h: tasks that a worker has given to its worker process at once, until the last is answered.
 *
 * The worker runs them one after another, in the order they were written, and answers in that
 * order. Their ids count up over the life of the worker. Those among them that join each other
 * (item_joins) are a *group*, which it runs together, and which shares its fate.
 */
#pragma once

#include "exec/process.h"

/* Of frames, at once: what a socket takes although nobody reads yet. So the worker is never kept
 * from reading by answers that nobody reads while we write. One task alone may be longer. */
#define BATCH_BYTES_MAX ((size_t)64 * 1024)

struct batch {
    struct pool *pool;
    struct pool_client *client;
    struct world *world;
    unsigned worker;              /* its index */
    struct task *tasks[TAKE_MAX]; /* NULL: it was recalled, and is back in the queue */
    unsigned group[TAKE_MAX];     /* of each task: where the first of its group is */
    unsigned count;
    unsigned answered;
    uint64_t first_id;
    struct bytes out;
    size_t last_at;   /* where in it the last frame is */
    size_t shared_at; /* where the next large input goes */
    bool alone;       /* it began with one that others must not follow, but for its group */
    bool written;
    unsigned recalled;    /* from this one on they were, because one takes long; 0: none */
    struct task **behind; /* what the worker took besides, until it is put back */
    unsigned behind_count;
    bool starved;     /* a step had no memory: the worker is better replaced */
    size_t longest;   /* value in shared memory */
    int64_t progress; /* when it was written, or answered last */
    int64_t looked;   /* when the worker was last looked at */
};

/* How a batch ended. */
enum batch_end {
    BATCH_DONE,
    BATCH_CANCELLED, /* the coroutine was */
    BATCH_LOST       /* the worker: `why` */
};

void batch_init(struct batch *b, struct pool *p, struct pool_client *d, unsigned worker);
void batch_release(struct batch *b);
/* Fills an empty batch with the first of these tasks that are to go together: how many of them were
 * used up. Those whose callers have gone are let go. */
unsigned batch_fill(struct batch *b, struct pool_process *p, struct task **tasks, unsigned count);
/* Those of `behind` go back into the queue. */
void batch_put_back(struct batch *b);
/* Has them run. In the end each has its outcome, or is back in the queue; so are those of `behind`
 * if that took long. */
enum batch_end batch_run(struct batch *b, struct pool_process *p, enum pool_restart *why);
