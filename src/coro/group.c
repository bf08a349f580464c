/*
 * group.c: parents and children. See group.h.
 */
#include "coro/group.h"

#include "base/bug.h"
#include "coro/internal.h"

#include <errno.h>

static struct coro *parent_of(const struct group *g, const char *call)
{
    struct coro *self = coro_self();
    check(self && self == g->parent, "%s is for the coroutine that opened the group only", call);
    return self;
}

void group_begin(struct group *g, enum group_mode mode)
{
    struct coro *self = coro_self();
    check(self, "a group was opened outside a coroutine; its children would have no parent");
    *g = (struct group){.parent = self, .mode = mode};
    list_init(&g->children);
    list_push_front(&self->groups, &g->link);
}

void group_end(struct group *g)
{
    parent_of(g, "group_end");
    if (g->running > 0) {
        group_cancel(g);
        int rc = group_wait(g);
        (void)rc; /* whoever wanted to know has waited */
    }
    list_del(&g->link);
}

int group_spawn(struct group *g, const char *name, coro_fn *fn, void *arg)
{
    struct coro *parent = parent_of(g, "group_spawn");
    if (coro_hears_cancel(parent))
        return -ECANCELED;
    if (g->cancelled)
        return g->cancelled_by ? g->cancelled_by : -ECANCELED;
    int rc = coro_start(parent->sched, g, name, fn, arg);
    if (rc == 0)
        g->running++;
    return rc;
}

void group_cancel(struct group *g)
{
    g->cancelled = true;
    list_each (link, &g->children)
        coro_cancel(list_entry(link, struct coro, sibling));
}

/* Runs as the child's last act, on the child's stack. */
void group_child_ended(struct group *g, struct coro *child, int result)
{
    check(child->group == g && g->running > 0,
        "a group hears of the end of a coroutine that is not its child");
    list_del(&child->sibling);
    g->running--;
    if (result < 0 && g->first_error == 0) {
        g->first_error = result;
        if (g->mode == GROUP_FAIL_FAST && !g->cancelled) {
            g->cancelled_by = result;
            group_cancel(g);
        }
    }
    if (g->running == 0 && g->waiter)
        coro_wake(g->waiter, 0);
}

int group_wait(struct group *g)
{
    struct coro *parent = parent_of(g, "group_wait");
    check(!g->waiter, "coroutine '%s' waits for a group twice at once", coro_name(parent));
    g->waiter = parent;
    int interrupted = 0;
    if (g->running > 0)
        interrupted = coro_park("group");
    if (g->running > 0) {
        group_cancel(g);
        coro_park_deaf("group");
        if (coro_hears_cancel(parent))
            interrupted = -ECANCELED; /* it wins over the time-out that came before */
    }
    g->waiter = NULL;
    int first_error = g->first_error;
    g->first_error = 0;
    g->cancelled_by = 0;
    g->cancelled = false;
    if (interrupted < 0)
        return interrupted;
    return g->mode == GROUP_FAIL_FAST ? first_error : 0;
}
