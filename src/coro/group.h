/*
 * group.h: structured concurrency: children end before their parent continues.
 *
 * A group lives on its parent's stack, in a scope: GROUP(g, GROUP_FAIL_FAST) declares it, and the
 * end of the block, however it is reached, cancels the children that are left and waits for them.
 * So no coroutine outlives the scope it was started in.
 *
 *     GROUP(both, GROUP_FAIL_FAST);
 *     int rc = group_spawn(&both, "left", left, &args);
 *     if (rc == 0)
 *         rc = group_spawn(&both, "right", right, &args);
 *     if (rc == 0)
 *         rc = group_wait(&both);
 *     return rc;
 *
 * Only the parent calls these; any coroutine of the sched may call group_cancel.
 */
#pragma once

#include "coro/coro.h"

enum group_mode {
    GROUP_FAIL_FAST,  /* the first child that fails cancels the others */
    GROUP_INDEPENDENT /* children do not affect each other (connections of a server) */
};

struct group {
    struct list children; /* through coro.sibling */
    struct list link;     /* in the parent's list of open groups */
    struct coro *parent;
    struct coro *waiter; /* the parent, while it is parked in group_wait */
    enum group_mode mode;
    int first_error;
    int cancelled_by; /* the child's error that did, or 0 */
    bool cancelled;
    size_t running;
};

#define GROUP(name, mode)                                  \
    struct group name __attribute__((cleanup(group_end))); \
    group_begin(&name, mode)

void group_begin(struct group *g, enum group_mode mode);
/* Cancels the remaining children, and waits for them. */
void group_end(struct group *g);

/* Starts a child: it inherits the deadline and runs when the parent next waits. `name` must live as
 * long as the child. 0; or `fn` never runs: -ENOMEM, -ECANCELED if the parent or the group is
 * cancelled, and the first child's error if that is why the group is. */
int group_spawn(struct group *g, const char *name, coro_fn *fn, void *arg)
    __attribute__((warn_unused_result));

/* Waits until every child has ended. Only this call reports a child's error: a child that fails
 * cancels its siblings, not the parent's other waits, so a parent moves work of its own into a
 * child. If the parent is cancelled or times out, the children are cancelled, still waited for, and
 * the result is -ECANCELED or -ETIMEDOUT. Otherwise, with GROUP_FAIL_FAST, the first child's error;
 * with GROUP_INDEPENDENT, 0. The group can be used again. */
int group_wait(struct group *g) __attribute__((warn_unused_result));

void group_cancel(struct group *g);
