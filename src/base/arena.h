/*
 * arena.h: memory that goes all at once: one arena a request, released when it ends.
 *
 * Allocations come from chunks, one after another, aligned to 16; none is freed alone. An arena
 * states the most it may hold; what would pass that, or finds no memory, is NULL. Under ASan what
 * was not handed out is poisoned, with a red zone after each allocation; debug builds overwrite
 * what a reset takes back, so that a pointer kept too long reads nonsense.
 *
 * An arena belongs to one thread at a time.
 */
#pragma once

#include "base/bytes.h"

#include <stddef.h>

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* the one in use first */
    size_t used;                /* bytes of all chunks */
    size_t max;
};

/* Nothing is allocated before it is needed. */
void arena_init(struct arena *a, size_t max);
void arena_release(struct arena *a);
/* Takes everything back and keeps one chunk of usual size for the next request. */
void arena_reset(struct arena *a);

void *arena_alloc(struct arena *a, size_t size)
    __attribute__((malloc, alloc_size(2), warn_unused_result));
/* The same, all zero. */
void *arena_zalloc(struct arena *a, size_t size)
    __attribute__((malloc, alloc_size(2), warn_unused_result));
/* A copy that ends with a zero byte. */
char *arena_copy(struct arena *a, struct span s) __attribute__((warn_unused_result));
char *arena_printf(struct arena *a, const char *format, ...)
    __attribute__((format(printf, 2, 3), warn_unused_result));
