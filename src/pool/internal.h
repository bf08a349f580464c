/*
 * internal.h: what the files of pool/ share.
 */
#pragma once

#include "exec/client.h"
#include "pool/pool.h"

/* ---- calibrate.c ---- */

/* A coroutine's function: once all workers of the client have started, measures what a dispatch
 * costs in the pools that have their home here. Then the client is ready. */
int pool_calibrate(void *client) __attribute__((warn_unused_result));
/* Calls the canary's step through the queue, and learns the dispatch cost. 0 or a negative
 * errno. */
int pool_try_dispatch(struct pool_client *client, struct pool *p)
    __attribute__((warn_unused_result));

/* ---- metrics.c, placement_metrics.c ---- */

/* 0 or -ENOMEM. `meter` may be NULL. */
int pool_metrics_new(struct pool_metrics **out, struct pools *pools, struct meter *meter)
    __attribute__((warn_unused_result));
void pool_metrics_free(struct pool_metrics *m);
/* The outcome of a call, on the client's thread. */
void pool_metrics_count(
    struct pool_client *client, const struct pool *p, const struct pool_call *c);
/* The same of where calls are placed, and of what steps and dispatches cost. */
int placement_metrics_new(struct placement_metrics **out, struct pools *pools, struct meter *meter)
    __attribute__((warn_unused_result));
void placement_metrics_free(struct placement_metrics *m);
void placement_metrics_count(
    const struct pool_client *client, const struct pool *p, enum placement placed);
