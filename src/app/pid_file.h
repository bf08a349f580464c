/*
 * pid_file.h: a file with the process's number, for those who manage without an init.
 */
#pragma once

#include "world/world.h"

/* A failure is logged, and no reason not to serve. `path` may be NULL: nothing is done. */
/* Whether it will be possible to write it: 0, or a negative errno, which was logged. NULL is none to
 * write, here and below. */
int pid_file_try(struct world *w, const char *path) __attribute__((warn_unused_result));
void pid_file_write(struct world *w, const char *path, int pid);
void pid_file_remove(struct world *w, const char *path);
