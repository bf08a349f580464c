/*
 * batch.h: the tasks that a worker has sent to its process at once, until the last has its result.
 *
 * The process runs them in the order they were written, and replies in that order. Ids count up
 * over the life of the worker. Tasks that join each other (item_joins) are a *group*: the process
 * runs them together, and they share its fate.
 */
#pragma once

#include "exec/process.h"

/* Bytes of frames at once: what fits into a socket's buffer. So the process is never blocked by
 * replies that nobody reads while we write. One task alone may be longer. */
#define BATCH_BYTES_MAX ((size_t)64 * 1024)

struct batch {
    struct pool *pool;
    struct pool_client *client;
    struct world *world;
    unsigned worker;              /* its index */
    struct task *tasks[TAKE_MAX]; /* NULL: recalled, and back in the queue */
    unsigned group[TAKE_MAX];     /* by task: index of the first of its group */
    unsigned count;
    unsigned answered;
    uint64_t first_id;
    struct bytes out;
    size_t last_at;   /* where in it the last frame is */
    size_t shared_at; /* where the next large input goes */
    bool alone;       /* its first task must not be followed, but by its group */
    bool written;
    unsigned recalled;    /* tasks from this one on were recalled, since one takes long; 0: none */
    struct task **behind; /* tasks that the worker took besides, until they are put back */
    unsigned behind_count;
    bool starved;     /* a step ran out of memory: replace the process */
    size_t longest;   /* value in shared memory */
    int64_t progress; /* when it was written, or got its last reply */
    int64_t looked;   /* when the process was last checked */
};

/* How a batch ended. */
enum batch_end {
    BATCH_DONE,
    BATCH_CANCELLED, /* the coroutine was cancelled */
    BATCH_LOST       /* the process was lost: `why` */
};

void batch_init(struct batch *b, struct pool *p, struct pool_client *client, unsigned worker);
void batch_release(struct batch *b);
/* Fills an empty batch from the front of `tasks`. Returns how many were used up; those whose
 * callers have left are released. */
unsigned batch_fill(struct batch *b, struct pool_process *p, struct task **tasks, unsigned count);
/* Puts the tasks of `behind` back into the queue. */
void batch_put_back(struct batch *b);
/* Runs them. Afterwards each has its outcome, or is back in the queue; so are those of `behind`, if
 * it took long. */
enum batch_end batch_run(struct batch *b, struct pool_process *p, enum pool_restart *why);
