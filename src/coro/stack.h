/*
 * stack.h: the stacks of one sched's coroutines, pooled and guarded.
 *
 * Stacks come in slabs of 64 from one mapping each. Below every stack lies a guard page: where the
 * kernel can guard pages within a mapping (MADV_GUARD_INSTALL, Linux 6.13) it costs no mapping of
 * its own, so 100,000 stacks are a handful of mappings; elsewhere a guard is an mprotect that
 * splits the mapping in two, so only as many stacks as the budget allows have one, well under the
 * kernel's default of 65,530 mappings, and the rest have a canary at their low end that is checked
 * whenever their coroutine leaves.
 *
 * An ended coroutine's stack is taken again first, while its pages are warm. Slabs without a user
 * give their pages back to the kernel once more than `idle_max` bytes of them are kept.
 */
#pragma once

#include "base/list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STACKS_PER_SLAB 64

struct stack_slab;

struct stack {
    struct stack_slab *slab;
    unsigned index;
    bool guarded;
    char *low; /* the lowest usable byte; the guard page is right below */
    size_t size;
};

struct stack_pool {
    struct list partial; /* slabs with users and free stacks */
    struct list full;
    struct list idle;    /* no user, pages kept */
    struct list trimmed; /* no user, pages given back */
    size_t idle_count;
    size_t idle_max; /* in slabs */
    size_t stack_size;
    size_t page_size;
    size_t guards_left; /* of the budget for guards that are mappings */
    bool kernel_guards; /* MADV_GUARD_INSTALL works */
    size_t high_water;  /* of what has been trimmed */
};

void stack_pool_init(struct stack_pool *p, size_t stack_size, size_t idle_max, size_t guards_max);
/* No stack may be in use. */
void stack_pool_release(struct stack_pool *p);

/* 0 or -ENOMEM. */
int stack_take(struct stack_pool *p, struct stack *out);
void stack_give(struct stack_pool *p, const struct stack *stack);

/* Gives back what the caller, who stands on this stack, does not use of it any more: the whole
 * pages below its frame. */
void stack_trim(struct stack_pool *p, const struct stack *stack);

/* Bytes to leave free at the top. Stacks lie a multiple of the page size apart, so what stands at
 * their tops would share a few cache lines' places in every cache and push each other out; this
 * moves neighbours apart within the page. */
size_t stack_colour(const struct stack *stack);

/* Whether an unguarded stack's canary is unharmed; true for guarded ones. */
bool stack_intact(const struct stack *stack);
/* The most bytes that any stack has had in use since the pool was made, in whole pages. */
size_t stack_high_water(struct stack_pool *p);
