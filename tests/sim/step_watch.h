/*
 * step_watch.h: the built-in steps `echo` and `burn`, which call the scenario before and after each
 * run. Passed to pools as overrides (step_set_new) they replace the originals. So a scenario sees
 * what steps see, and the pools' code is the code that ships.
 *
 * Steps have no argument that is the scenario's, so the two functions are the program's.
 */
#pragma once

#include "step/step.h"
#include "weir/step.h"

struct task;

/* On the thread that runs the task; for each one of a batch, which has `together` of them. */
typedef void step_watch_fn(struct weir_task *t, size_t together);

/* Before and after each run; NULL: not. */
const struct weir_plugin *step_watch(step_watch_fn *begins, step_watch_fn *ends);
/* The call that it is. */
const struct step_call *step_watch_call(const struct weir_task *t);
/* The pool's task; NULL: it is run by a worker process, which knows only the call. */
const struct task *step_watch_task(const struct weir_task *t);
