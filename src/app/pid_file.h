/*
 * pid_file.h: a file with the process's number, for those who manage without an init.
 */
#pragma once

#include "world/world.h"

/* Whether it can be written: 0, or a negative errno, which was logged. Here and below, NULL is no
 * file. */
int pid_file_try(struct world *w, const char *path) __attribute__((warn_unused_result));
/* A failure is logged, and no reason not to serve on. */
void pid_file_write(struct world *w, const char *path, int pid);
void pid_file_remove(struct world *w, const char *path);
