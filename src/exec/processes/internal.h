/*
 * internal.h: what reply.c and loss.c do for a batch.
 */
#pragma once

#include "exec/processes/batch.h"

/* How a process was lost while it ran tasks. */
struct loss {
    enum pool_restart why;
    enum pool_outcome outcome; /* of the task that ran */
    char how[160];             /* "was killed by signal 11" */
};

/* All three return -ECONNRESET. */
int loss_say(struct loss *l, enum pool_restart why, enum pool_outcome outcome, const char *format,
    ...) __attribute__((format(printf, 4, 5)));
int loss_misbehaved(struct loss *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Its channel has ended: waits a little for its exit, which says why. */
int loss_ended(struct batch *b, struct pool_process *p, struct loss *l);

/* The group of the task at that index: its first index, and the one after its last. */
struct batch_group {
    unsigned first, end;
};
struct batch_group batch_group_at(const struct batch *b, unsigned place);

/* Handles a frame: 0, or -ECONNRESET and the loss. */
int batch_answer(struct batch *b, struct pool_process *p, const struct worker_frame *f,
    struct loss *l) __attribute__((warn_unused_result));
/* Checks the running process: 0, or -ECONNRESET and the loss. */
int batch_look(struct batch *b, struct pool_process *p, int64_t now, struct loss *l)
    __attribute__((warn_unused_result));
/* Gives each task without a result its outcome, or puts it back. */
void batch_lost(struct batch *b, struct pool_process *p, const struct loss *l);
void batch_abandon(struct batch *b);
