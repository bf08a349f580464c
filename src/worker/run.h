/*
 * run.h: what a worker process does for each task, whether it runs alone or in a batch.
 */
#pragma once

#include "worker/worker.h"

/* What is told to the server as running; 0: nothing. */
void worker_run_tell(struct worker_process *k, uint64_t id);
/* The call of a task, but for its output and whom `cancelled` asks; false: there can be no such
 * task. An input that is not shared borrows from the frame. */
bool worker_run_call(struct worker_process *k, const struct worker_task *task,
    struct step_call *call) __attribute__((warn_unused_result));
/* Whether nobody waits for the task any more. */
bool worker_run_left(const struct worker_process *k, uint64_t id);
/* Whether it is to be started, now that it was told; if not, its call is given the reason. */
bool worker_run_starts(
    const struct worker_process *k, uint64_t id, struct step_call *call, int64_t now);
/* Puts the result of task k->running to what is to be written. Its output is that of
 * worker_output_begin, and ends. */
void worker_run_put(struct worker_process *k, const struct step_call *call);

/* ---- Batches ---- */

/* Whether some are kept until the last is there. */
bool worker_batch_open(const struct worker_process *k);
/* Keeps the task; and if that was the last, runs them all. False: it cannot belong to it. */
bool worker_batch_task(struct worker_process *k, const struct worker_task *task)
    __attribute__((warn_unused_result));
void worker_batch_free(struct worker_batch *b);
