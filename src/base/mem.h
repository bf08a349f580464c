/*
 * mem.h: the heap, and the one place where memory can run out.
 *
 * Every allocation of Weir's own goes through here; each may return NULL and each caller turns that
 * into -ENOMEM. Two switches are read from the environment before main, for tests:
 *
 *   - WEIR_MEM_FAIL=N: the Nth allocation of the process fails, counting from 1
 *   - WEIR_MEM_FAIL=N+: the Nth and every later one fails
 *   - WEIR_MEM_GUARD=1: each block ends at a page that cannot be touched, and freed blocks stay
 *     unreadable for their next few thousand successors
 *
 * Guarded blocks cost two of the kernel's memory mappings each, so some 30,000 of them can be
 * alive. With AddressSanitizer, which does the same better, the guard switch does nothing.
 *
 * Any thread may call; a block may be freed by another thread than the one that took it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *mem_alloc(size_t size) __attribute__((malloc, alloc_size(1), warn_unused_result));
/* The same, all zero. */
void *mem_zalloc(size_t size) __attribute__((malloc, alloc_size(1), warn_unused_result));
/* NULL leaves the old block as it was. */
void *mem_realloc(void *block, size_t size) __attribute__((warn_unused_result));
/* NULL is nothing to free. */
void mem_free(void *block);

/* Blocks whose owner keeps their size. From MEM_MAPPED bytes on, such a block is pages of its own:
 * each takes memory when it is first touched, growing copies nothing, and the kernel has them back
 * at once when the block is freed, whatever else the heap holds. Zero as a size is no block. */
#define MEM_MAPPED ((size_t)128 * 1024)
/* NULL leaves the old block as it was. */
void *mem_resize(void *block, size_t old_size, size_t size) __attribute__((warn_unused_result));
void mem_free_sized(void *block, size_t size);

/* Gives the kernel what the heap holds free, holes included. Takes about a millisecond for each
 * 10 MB that are given back. */
void mem_trim(void);

char *mem_strdup(const char *s) __attribute__((malloc, warn_unused_result));

/* The same as WEIR_MEM_FAIL, from inside: the nth allocation from now fails, and all after it if
 * `onwards`. 0: none fails any more. */
void mem_fail_at(uint64_t nth, bool onwards);
/* How many allocations have been asked for since counting began: at the start if WEIR_MEM_FAIL is
 * set, or with the last mem_fail_at. Otherwise none is counted, and this is 0: a counter that all
 * threads share would cost each of them more than the allocation. */
uint64_t mem_count(void);

/* Frees a block that once was a handle a caller may wrongly use again. Debug builds keep the last
 * few hundred of them (poisoned only by their owner's 'closed' mark), so that a double close finds
 * the mark and says a sentence instead of crashing somewhere else; release builds free at once. */
void mem_retire(void *block);
