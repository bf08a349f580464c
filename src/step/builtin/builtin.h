/*
 * builtin.h: the steps that every Weir has, and what they may that plugins may not: compute on the
 * clock of the place where they run, which may be a made-up one.
 */
#pragma once

#include "weir/step.h"
#include "world/work.h"

struct work *step_work(const struct weir_task *t);
/* For those who allocate by other means: `return step_out_of_memory(t, "...")`. */
int step_out_of_memory(struct weir_task *t, const char *what);

extern const struct weir_step step_allocate;
extern const struct weir_step step_burn;
extern const struct weir_step step_crash;
extern const struct weir_step step_echo;
