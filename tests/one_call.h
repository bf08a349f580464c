/*
 * one_call.h: one call through the queue of a pool, as a group of one. Flows call pool_call_all.
 */
#pragma once

#include "pool/pool.h"

/* 0, or the negative errno of its outcome. */
static inline int pool_call(struct pool_client *client, struct pool *p, struct pool_call *c)
{
    struct pool_call *one[] = {c};
    int rc = pool_call_all(client, p, one, 1, POOL_FANOUT, NULL);
    return rc ? rc : c->error.code;
}
