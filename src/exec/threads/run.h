/*
 * run.h: how a thread that has taken tasks calls their steps: one after another, or together those
 * that are a batch.
 */
#pragma once

#include "exec/start.h"

struct together;

struct thread_run {
    struct bytes inputs;       /* copies, since callers may go while the step runs */
    struct together *together; /* NULL before the first batch */
};

void thread_run_init(struct thread_run *r, const struct pool *p);
void thread_run_release(struct thread_run *r);
/* Has the first of the tasks done, and with it those that join it: how many these are. */
unsigned thread_run_first(struct thread_run *r, struct step_worker *worker, struct task **tasks,
    unsigned count, int64_t now);
