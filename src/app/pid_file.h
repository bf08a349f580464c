/*
 * pid_file.h: a file with the process id, for operation without an init.
 */
#pragma once

#include "world/world.h"

/* Checks that the file can be written: 0, or a negative errno, which is logged. Here and below,
 * NULL is no file. */
int pid_file_try(struct world *w, const char *path) __attribute__((warn_unused_result));
/* A failure is only logged: the server continues. */
void pid_file_write(struct world *w, const char *path, int pid);
void pid_file_remove(struct world *w, const char *path);
