/*
 * ring.c: see ring.h.
 */
#include "base/ring.h"

#include "base/bug.h"
#include "base/mem.h"

#include <errno.h>

int ring_init(struct ring *r, size_t size)
{
    check(size > 0, "a ring needs room for at least one pointer");
    *r = (struct ring){.size = size};
    r->slots = mem_alloc(size * sizeof *r->slots);
    return r->slots ? 0 : -ENOMEM;
}

void ring_release(struct ring *r)
{
    mem_free(r->slots);
    *r = (struct ring){0};
}

bool ring_push(struct ring *r, void *item)
{
    if (ring_full(r))
        return false;
    size_t at = r->head + r->count++;
    r->slots[at < r->size ? at : at - r->size] = item;
    return true;
}

void *ring_pop(struct ring *r)
{
    if (ring_empty(r))
        return NULL;
    void *item = r->slots[r->head];
    r->head = r->head + 1 < r->size ? r->head + 1 : 0;
    r->count--;
    return item;
}
