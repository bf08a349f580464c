/*
 * dequeue.h: which items a worker gets. For queue.c only.
 */
#pragma once

#include "sched/queue.h"

struct dequeue {
    /* By the caller: */
    struct queue_item **out;
    unsigned max;
    int64_t now;
    /* Zero at the start: */
    unsigned count;
    int64_t cost;               /* of the items in `out` */
    bool left_over;             /* more came to light than was taken */
    struct queue_item *expired; /* to be dropped once the lock is left */
    struct queue_item *shed;
};

/* Under the queue's lock: takes up to `max` items into `out`. */
void dequeue_fill(struct queue *q, struct dequeue *dq);
/* Under the lock: returns true if an idle worker must look, too: items are left, or held back ones
 * have a moment that this worker was to watch. */
bool dequeue_leaves_more(const struct queue *q, const struct dequeue *dq);
/* Without the lock: drops what is late. */
void dequeue_drop(struct queue *q, struct dequeue *dq, struct pool_client *from);
