/*
 * heap.h: a priority queue of 64-bit keys, smallest first, with links inside the things it orders.
 *
 * A 4-ary heap in one growing array of (key, order, link) entries; each link knows its place, so
 * that any element can leave in O(log n). Among equal keys the one pushed first comes first: the
 * order is total, which is what makes the simulator repeatable. The array holds at most `max`
 * entries.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct heap_link {
    uint32_t place; /* index + 1 in the array; 0: in no heap */
};

struct heap_entry {
    int64_t key;
    uint64_t order;
    struct heap_link *link;
};

struct heap {
    struct heap_entry *entries;
    uint32_t count;
    uint32_t size;
    uint32_t max;
    uint64_t next_order;
};

void heap_init(struct heap *h, uint32_t max);
void heap_release(struct heap *h);

/* Makes sure that the next `more` pushes cannot fail: 0, -ENOMEM, or -ENOBUFS past `max`. */
int heap_reserve(struct heap *h, uint32_t more) __attribute__((warn_unused_result));
/* 0, -ENOMEM, or -ENOBUFS at `max`. The link must be in no heap. */
int heap_push(struct heap *h, struct heap_link *link, int64_t key)
    __attribute__((warn_unused_result));
/* Takes the link out; it must be in this heap. */
void heap_remove(struct heap *h, struct heap_link *link);
/* Takes the first out, or NULL. */
struct heap_link *heap_pop(struct heap *h);

static inline bool heap_linked(const struct heap_link *link)
{
    return link->place != 0;
}

static inline bool heap_empty(const struct heap *h)
{
    return h->count == 0;
}

/* The first, or NULL. */
static inline struct heap_link *heap_first(const struct heap *h)
{
    return h->count ? h->entries[0].link : 0;
}

/* The smallest key, or INT64_MAX. */
static inline int64_t heap_first_key(const struct heap *h)
{
    return h->count ? h->entries[0].key : INT64_MAX;
}
