/*
 * run.h: calls the steps of tasks on a thread: one by one, or a batch together.
 */
#pragma once

#include "exec/start.h"

struct together;

struct thread_run {
    struct bytes inputs;       /* copies, since callers may leave while the step runs */
    struct together *together; /* NULL before the first batch */
};

void thread_run_init(struct thread_run *r, const struct pool *p);
void thread_run_release(struct thread_run *r);
/* Runs the first task, and those that join it. Returns how many. */
unsigned thread_run_first(struct thread_run *r, struct step_worker *worker, struct task **tasks,
    unsigned count, int64_t now);
