/*
 * call.h: one call of a group. For call_group.c.
 */
#pragma once

#include "pool/internal.h"

/* Clears the results. */
void call_begin(const struct pool *p, struct pool_call *c);
/* What is decided without a task: 0; or the call has its outcome, and its negative errno. */
int call_admit(struct pool_call *c, const struct pool *p);
/* Makes its task; NULL: no memory, and the call has that outcome. */
struct task *call_task(
    struct pool_client *client, struct pool *p, struct pool_call *c, int64_t now);
/* The queue refused its task with `rc`. */
void call_refused(struct pool_call *c, int rc, int64_t retry_after);
/* Its caller left before there was a result. */
void call_left(struct pool_call *c, const struct task *t, int why);
/* Takes the result. If there is an output the call keeps the caller's reference to the task. */
void call_take(const struct pool_client *client, struct pool_call *c, struct task *t);
