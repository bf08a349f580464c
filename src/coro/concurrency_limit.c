/*
 * concurrency_limit.c: see concurrency_limit.h.
 */
#include "coro/concurrency_limit.h"

#include "base/bug.h"
#include "coro/coro.h"

#include <errno.h>

#define STAY_WEIGHT 8 /* the newest counts for 1/8 */

struct waiter {
    struct list link;
    struct coro *coro;
};

void concurrency_limit_init(struct concurrency_limit *l)
{
    *l = (struct concurrency_limit){0};
    list_init(&l->waiters);
}

/* Until one more would be let in, behind those who wait now. Those inside have, on average, half of
 * their stay before them. */
static int64_t expected(const struct concurrency_limit *l, unsigned limit)
{
    int64_t turns = (int64_t)(l->waiting / limit) + 1;
    return l->stay_ns > INT64_MAX / turns ? INT64_MAX : l->stay_ns * turns - l->stay_ns / 2;
}

int concurrency_limit_enter(struct concurrency_limit *l, unsigned limit, unsigned waiting_max,
    int64_t now, int64_t *retry_after)
{
    check(limit > 0, "a limit of 0 lets nobody in");
    if (l->inside < limit && list_empty(&l->waiters)) {
        l->inside++;
        return 0;
    }
    int64_t wait = expected(l, limit);
    int64_t out = deadline_after(deadline_after(now, wait), l->stay_ns);
    if (l->waiting >= waiting_max || out > coro_deadline()) {
        *retry_after = wait;
        return -ENOBUFS;
    }
    struct waiter self = {.coro = coro_self()};
    list_push_back(&l->waiters, &self.link);
    l->waiting++;
    int rc = coro_park("concurrency limit");
    l->waiting--;
    list_del(&self.link);
    return rc; /* 0: counted as inside by who let it in */
}

void concurrency_limit_leave(struct concurrency_limit *l, unsigned limit, int64_t stayed_ns)
{
    struct list *link;
    check(l->inside > 0, "more leave than entered");
    l->inside--;
    if (stayed_ns > 0)
        l->stay_ns = l->stay_ns ? l->stay_ns + (stayed_ns - l->stay_ns) / STAY_WEIGHT : stayed_ns;
    while (l->inside < limit && (link = list_pop_front(&l->waiters)))
        if (coro_wake(container_of(link, struct waiter, link)->coro, 0))
            l->inside++;
}
