/*
 * call_set.h: several calls of one caller, for tests of pool_call_all.
 */
#pragma once

#include "fixture.h"

#include "exec/client.h"

#define CALLS_MAX 8

struct call_set {
    struct scene *scene;
    struct pool_call calls[CALLS_MAX];
    unsigned count;
    enum pool_dispatch dispatch;
    enum placement placed;
    int rc;
    int64_t took_ns;
};

static inline void add_call(
    struct call_set *set, struct scene *s, const char *step, const char *input)
{
    require(set->count < CALLS_MAX);
    set->scene = s;
    set->calls[set->count++] = call_of(s, step, input);
}

/* As a coroutine's function, too. */
static inline int call_set(void *arg)
{
    struct call_set *set = arg;
    struct scene *s = set->scene;
    struct world *w = s->client->world;
    int64_t began = world_now(w);
    struct pool_call *refs[CALLS_MAX];
    for (unsigned i = 0; i < set->count; i++)
        refs[i] = &set->calls[i];
    set->placed = PLACE_UNDECIDED;
    set->rc = pool_call_all(s->client, s->pool, refs, set->count, set->dispatch, &set->placed);
    set->took_ns = world_now(w) - began;
    return 0;
}

static inline void release_set(struct call_set *set)
{
    for (unsigned i = 0; i < set->count; i++)
        pool_call_release(&set->calls[i]);
}

static inline unsigned count_outcomes(const struct call_set *set, enum pool_outcome outcome)
{
    unsigned count = 0;
    for (unsigned i = 0; i < set->count; i++)
        count += set->calls[i].outcome == outcome;
    return count;
}
