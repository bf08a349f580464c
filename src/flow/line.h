/*
 * line.h: a place that so many may be in at once; the others wait in line, in the order in which
 * they came.
 *
 * Who would not be in and out again within its deadline is refused at once, instead of waiting in
 * vain: as far as can be told from how long the others stayed. A line belongs to one thread's
 * coroutines.
 */
#pragma once

#include "base/list.h"

#include <stdint.h>

struct line {
    struct list waiters;
    unsigned inside;
    unsigned waiting;
    int64_t stay_ns; /* how long one stays, about; 0: nobody knows */
};

void line_init(struct line *l);
/* Waits until fewer than `limit` are inside, and all who came before have had their turn: 0, and
 * line_leave must follow. -ENOBUFS: `waiting_max` wait already, or it would come too late; then
 * `*retry_after` says when it may be worth another try. -ETIMEDOUT, -ECANCELED. */
int line_enter(struct line *l, unsigned limit, unsigned waiting_max, int64_t now,
    int64_t *retry_after) __attribute__((warn_unused_result));
/* After so long inside; 0: that tells nothing of others. Lets in who waits, up to `limit`. */
void line_leave(struct line *l, unsigned limit, int64_t stayed_ns);
