/*
 * concurrency_limit.h: at most a number of coroutines at once; others wait in the order of arrival.
 *
 * A coroutine that would not be finished within its deadline, by how long others took, is refused
 * immediately instead of waiting in vain. Of one thread.
 */
#pragma once

#include "base/list.h"

#include <stdint.h>

struct concurrency_limit {
    struct list waiters;
    unsigned inside;
    unsigned waiting;
    int64_t stay_ns; /* moving average of how long one stays inside; 0: not known */
};

void concurrency_limit_init(struct concurrency_limit *l);
/* Waits until fewer than `limit` are inside and all who came before were let in: 0, and
 * concurrency_limit_leave must follow. -ENOBUFS: `waiting_max` wait already, or the deadline is too
 * close; `*retry_after` is then the time after which a try may succeed. -ETIMEDOUT, -ECANCELED. */
int concurrency_limit_enter(struct concurrency_limit *l, unsigned limit, unsigned waiting_max,
    int64_t now, int64_t *retry_after) __attribute__((warn_unused_result));
/* `stayed_ns` 0: it tells nothing of how long others stay. Lets waiters in, up to `limit`. */
void concurrency_limit_leave(struct concurrency_limit *l, unsigned limit, int64_t stayed_ns);
