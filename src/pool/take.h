/*
 * take.h: what a hand is given of a queue. For queue.c only.
 */
#pragma once

#include "pool/internal.h"

/* What a take is about. `out`, `max` and `now` are the caller's; the rest begins at 0. */
struct taking {
    struct task **out;
    unsigned max;
    unsigned count;
    int64_t cost; /* of those handed out */
    int64_t now;
    bool left_over;       /* more than it took came to light */
    struct task *expired; /* to be let go when the lock is left */
    struct task *shed;
};

/* Under the queue's lock: up to `max` tasks are taken out, into `out`. */
void taking_fill(struct queue *q, struct taking *k);
/* Likewise: whether an idle hand is to look, too; perhaps this one was to come again for what is
 * held back. */
bool taking_leaves_more(const struct queue *q, const struct taking *k);
/* After the lock was left: who cannot be met any more is told so. */
void taking_let_go(struct queue *q, struct taking *k, struct pool_desk *from);
