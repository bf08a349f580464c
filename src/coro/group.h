/*
 * group.h: children that end before their parent goes on.
 *
 * A group lives on its parent's stack, in a scope: GROUP(g, GROUP_FAIL_FAST) declares it, and the
 * end of the block, however it is reached, cancels the children that are left and waits for them.
 * So no coroutine outlives what it was started with, and no orphan is possible.
 *
 *     GROUP(both, GROUP_FAIL_FAST);
 *     int rc = group_spawn(&both, "left", left, &args);
 *     if (rc == 0)
 *         rc = group_spawn(&both, "right", right, &args);
 *     if (rc == 0)
 *         rc = group_wait(&both);
 *     return rc;
 *
 * Only the parent calls, but for group_cancel, which any coroutine of the sched may.
 */
#pragma once

#include "coro/coro.h"

enum group_mode {
    GROUP_FAIL_FAST,  /* the first child that fails cancels the others */
    GROUP_INDEPENDENT /* each child's end is its own affair (connections of a server) */
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
/* Cancels the children that are left, and waits for them. */
void group_end(struct group *g);

/* Starts a child: it inherits the deadline and runs when the parent next waits. `name` must live as
 * long as the child. 0; or `fn` never runs: -ENOMEM, -ECANCELED if the parent or the group is
 * cancelled, and the first child's error if that is why the group is. */
int group_spawn(struct group *g, const char *name, coro_fn *fn, void *arg)
    __attribute__((warn_unused_result));

/* Waits until every child has ended. Only here does the parent hear of a child's error: a child
 * that fails cancels its siblings, not what the parent waits for meanwhile, so a parent that has
 * work of its own gives it to a child. If the parent is cancelled or its deadline passes meanwhile,
 * the children are cancelled, still waited for, and the answer is -ECANCELED or -ETIMEDOUT.
 * Otherwise, when GROUP_FAIL_FAST, the first child's error; when GROUP_INDEPENDENT, 0. The group
 * may be used again after. */
int group_wait(struct group *g) __attribute__((warn_unused_result));

void group_cancel(struct group *g);
