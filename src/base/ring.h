/*
 * ring.h: a bounded queue of pointers, first in, first out. Its memory is taken once; pushing and
 * popping cannot fail for want of it. Not for several threads at once: who shares it brings the
 * lock.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct ring {
    void **slots;
    size_t size;
    size_t head; /* the slot of the oldest */
    size_t count;
};

/* Room for `size` pointers, at least one. 0 or -ENOMEM. */
int ring_init(struct ring *r, size_t size) __attribute__((warn_unused_result));
/* What is still in it is not freed. */
void ring_release(struct ring *r);

/* False if it is full. */
bool ring_push(struct ring *r, void *item) __attribute__((warn_unused_result));
/* The oldest, taken out; NULL if it is empty. */
void *ring_pop(struct ring *r);

static inline bool ring_full(const struct ring *r)
{
    return r->count == r->size;
}

static inline bool ring_empty(const struct ring *r)
{
    return r->count == 0;
}
