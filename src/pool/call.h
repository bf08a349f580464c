/*
 * call.h: what one call and several at once have in common. For pool/ itself.
 */
#pragma once

#include "pool/internal.h"

/* It is told nothing yet. */
void call_begin(const struct pool *p, struct pool_call *c);
/* What can be said without a task: 0; or it has its outcome, and the negative errno. */
int call_admit(struct pool_call *c, const struct pool *p);
/* A task for it, filled in; NULL: there was no memory, as it is told. */
struct task *call_task(
    struct pool_client *d, struct pool *p, struct pool_call *c, struct coro *caller, int64_t now);
/* The queue did not take its task, for that reason, and says when to try again. Returns the errno
 * of its outcome, as do the others. */
int call_refused(struct pool_call *c, int rc, int64_t retry_after);
/* Its caller went before there was a result. */
int call_left(struct pool_call *c, const struct task *t, int why);
/* Takes the result; the caller's hold of the task is the call's if there is an output. */
int call_take(const struct pool_client *d, struct pool_call *c, struct task *t);
