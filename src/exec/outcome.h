/*
 * outcome.h: what becomes of a task.
 */
#pragma once

enum pool_outcome {
    POOL_DONE,
    POOL_FAILED,           /* the step reports it: 500 */
    POOL_REJECTED,         /* the step blames its input: 422 */
    POOL_OVERLOADED,       /* the queue is full, or the task would miss its deadline: 503 */
    POOL_EXPIRED,          /* its deadline passed, before it started or since: 504 */
    POOL_CANCELLED,        /* its caller was */
    POOL_DIED,             /* 503 worker-died */
    POOL_OUT_OF_MEMORY,    /* 503 worker-out-of-memory */
    POOL_TIMEOUT,          /* 503 worker-timeout: it ran longer than hard_timeout */
    POOL_UNAVAILABLE,      /* 503: the pool has no worker at all, and is trying to start some */
    POOL_TOO_LARGE,        /* the input is longer than the pool's `value`: 413 */
    POOL_OUTPUT_TOO_LARGE, /* the output is: 500 */
    POOL_OUTCOMES
};

/* The status for an HTTP client; 200 for POOL_DONE. */
int pool_outcome_status(enum pool_outcome outcome);
/* "worker-died" */
const char *pool_outcome_name(enum pool_outcome outcome);
/* The negative errno that stands for it; 0 for POOL_DONE. */
int pool_outcome_errno(enum pool_outcome outcome);
