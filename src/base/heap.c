/*
 * heap.c: the 4-ary heap: flatter than a binary one, and the children of an entry lie side by side,
 * so a pop touches fewer cache lines.
 */
#include "base/heap.h"

#include "base/bug.h"
#include "base/mem.h"

#include <errno.h>
#include <stddef.h>

#define ARITY    4
#define SIZE_MIN 16

void heap_init(struct heap *h, uint32_t max)
{
    /* One less than could be counted: a place is an index plus one. */
    *h = (struct heap){.max = max < UINT32_MAX ? max : UINT32_MAX - 1};
}

void heap_release(struct heap *h)
{
    dcheck(heap_empty(h), "a heap was released with %u things still linked in it", h->count);
    mem_free(h->entries);
    heap_init(h, h->max);
}

int heap_reserve(struct heap *h, uint32_t more)
{
    if (more > h->max - h->count)
        return -ENOBUFS;
    uint64_t needed = (uint64_t)h->count + more;
    if (needed <= h->size)
        return 0;

    uint64_t size = h->size ? h->size : SIZE_MIN;
    while (size < needed)
        size *= 2;
    if (size > h->max)
        size = h->max;
    struct heap_entry *entries = mem_realloc(h->entries, size * sizeof(*entries));
    if (!entries)
        return -ENOMEM;
    h->entries = entries;
    h->size = (uint32_t)size;
    return 0;
}

static bool before(const struct heap_entry *a, const struct heap_entry *b)
{
    return a->key != b->key ? a->key < b->key : a->order < b->order;
}

static void put(struct heap *h, uint32_t index, struct heap_entry entry)
{
    h->entries[index] = entry;
    entry.link->place = index + 1;
}

/* Puts `entry` at the free place `index`, or as far above it as it belongs. */
static void sift_up(struct heap *h, uint32_t index, struct heap_entry entry)
{
    while (index > 0) {
        uint32_t parent = (index - 1) / ARITY;
        if (!before(&entry, &h->entries[parent]))
            break;
        put(h, index, h->entries[parent]);
        index = parent;
    }
    put(h, index, entry);
}

/* The index of the smallest child, or h->count if there is none. */
static uint32_t smallest_child(const struct heap *h, uint32_t index)
{
    uint64_t first = (uint64_t)index * ARITY + 1;
    if (first >= h->count)
        return h->count;
    uint32_t smallest = (uint32_t)first;
    uint64_t end = first + ARITY < h->count ? first + ARITY : h->count;
    for (uint32_t i = smallest + 1; i < end; i++)
        if (before(&h->entries[i], &h->entries[smallest]))
            smallest = i;
    return smallest;
}

/* Puts `entry` at the free place `index`, or as far below it as it belongs. */
static void sift_down(struct heap *h, uint32_t index, struct heap_entry entry)
{
    for (;;) {
        uint32_t child = smallest_child(h, index);
        if (child == h->count || !before(&h->entries[child], &entry))
            break;
        put(h, index, h->entries[child]);
        index = child;
    }
    put(h, index, entry);
}

int heap_push(struct heap *h, struct heap_link *link, int64_t key)
{
    dcheck(!heap_linked(link), "a thing was put into a heap while it is in one already");
    int rc = heap_reserve(h, 1);
    if (rc)
        return rc;
    sift_up(h, h->count++, (struct heap_entry){key, h->next_order++, link});
    return 0;
}

void heap_remove(struct heap *h, struct heap_link *link)
{
    check(link->place > 0 && link->place <= h->count && h->entries[link->place - 1].link == link,
        "a thing was taken out of a heap that it is not in");
    uint32_t index = link->place - 1;
    link->place = 0;
    struct heap_entry last = h->entries[--h->count];
    if (last.link == link)
        return;
    /* The last entry fills the gap; it may belong above it or below. */
    if (index > 0 && before(&last, &h->entries[(index - 1) / ARITY]))
        sift_up(h, index, last);
    else
        sift_down(h, index, last);
}

struct heap_link *heap_pop(struct heap *h)
{
    struct heap_link *link = heap_first(h);
    if (link)
        heap_remove(h, link);
    return link;
}
