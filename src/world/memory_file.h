/*
 * memory_file.h: a file without a name that processes share as memory; for the worlds and for plain
 * processes.
 *
 * Whoever has it may be hostile. A file that one side makes shorter kills the other with SIGBUS at
 * its next touch, so it is sealed against that, and against further seals, before anybody else has
 * it. What others can do is write into it, make it longer, and give its pages back, after which
 * they are zeros. So its size is asked of the kernel, not remembered.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* A descriptor, which is the caller's, or a negative errno. */
int memory_file_make(void) __attribute__((warn_unused_result));
/* Takes `max` bytes of addresses for it, of which those beyond its size cannot be touched. */
int memory_file_map(int fd, size_t max, char **base) __attribute__((warn_unused_result));
/* Or a negative errno. */
int64_t memory_file_size(int fd);
/* Makes it at least as long; others may do the same at the same moment. */
int memory_file_grow(int fd, size_t size) __attribute__((warn_unused_result));
/* What is in it from `from` on is given back, and zeros from then on. */
void memory_file_trim(int fd, size_t from);
