/*
 * internal.h: the parts of a batch that are in files of their own.
 */
#pragma once

#include "exec/processes/batch.h"

/* How a worker was lost, while it ran something. */
struct loss {
    enum pool_restart why;
    enum pool_outcome outcome; /* of the task that ran */
    char how[160];             /* "was killed by signal 11" */
};

/* All three return -ECONNRESET. */
int loss_say(struct loss *l, enum pool_restart why, enum pool_outcome outcome, const char *format,
    ...) __attribute__((format(printf, 4, 5)));
int loss_misbehaved(struct loss *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Its channel has ended: why is seen from its own end, for which this waits a little. */
int loss_ended(struct batch *b, struct pool_process *p, struct loss *l);

/* The group of the task at that place: where it begins, and where it has ended. */
struct batch_group {
    unsigned first, end;
};
struct batch_group batch_group_at(const struct batch *b, unsigned place);

/* A frame that came: 0, or the loss that it is. */
int batch_answer(struct batch *b, struct pool_process *p, const struct worker_frame *f,
    struct loss *l) __attribute__((warn_unused_result));
/* Looks at the worker that runs: 0, or the loss that it is. */
int batch_look(struct batch *b, struct pool_process *p, int64_t now, struct loss *l)
    __attribute__((warn_unused_result));
/* Gives what is not answered its outcome, or back to the queue. */
void batch_lost(struct batch *b, struct pool_process *p, const struct loss *l);
void batch_abandon(struct batch *b);
