/*
 * mem.h: the heap, and the one place where memory can run out.
 *
 * Every allocation of Weir's own goes through here; each may return NULL and each caller turns that
 * into -ENOMEM. Three switches are read from the environment at the first call, for tests:
 *
 *   WEIR_MEM_FAIL=N    the Nth allocation of the process fails (counting from 1)
 *   WEIR_MEM_FAIL=N+   the Nth and every later one fails
 *   WEIR_MEM_GUARD=1   each block ends at a page that cannot be touched; freed blocks stay
 * unreadable
 *
 * Any thread may call; a block may be freed by another thread than the one that took it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

void *mem_alloc(size_t size) __attribute__((malloc, alloc_size(1), warn_unused_result));
/* The same, all zero. */
void *mem_zalloc(size_t size) __attribute__((malloc, alloc_size(1), warn_unused_result));
/* NULL leaves the old block as it was. */
void *mem_realloc(void *block, size_t size) __attribute__((warn_unused_result));
/* NULL is nothing to free. */
void mem_free(void *block);

char *mem_strdup(const char *s) __attribute__((malloc, warn_unused_result));

/* How many allocations this process has asked for: what WEIR_MEM_FAIL counts. */
uint64_t mem_count(void);

/* Frees a block that once was a handle a caller may wrongly use again. Debug builds keep the last
 * few hundred of them (poisoned only by their owner's 'closed' mark), so that a double close finds
 * the mark and says a sentence instead of crashing somewhere else; release builds free at once. */
void mem_retire(void *block);
