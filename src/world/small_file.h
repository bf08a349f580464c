/*
 * small_file.h: the kernel's files of a line or two, under /proc and /sys, which answer at once;
 * for the real world and plain processes.
 */
#pragma once

#include "base/bytes.h"

#include <stddef.h>

/* The whole of it, or its first `size` bytes; empty if it is not there. */
struct span small_file_read(const char *path, char *buffer, size_t size);
/* 0 or a negative errno. */
int small_file_write(const char *path, const char *text);
