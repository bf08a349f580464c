/*
 * pid_file.h: a file with the process's number, for those who manage without an init.
 */
#pragma once

#include "world/world.h"

/* A failure is logged, and no reason not to serve. `path` may be NULL: nothing is done. */
void pid_file_write(struct world *w, const char *path, int pid);
void pid_file_remove(struct world *w, const char *path);
