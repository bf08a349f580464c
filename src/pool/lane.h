/*
 * lane.h: what waits in one line: by deadline, and by when it came, with the costs of it all.
 *
 * A treap whose nodes are in the things it orders: nothing is allocated, nothing fails, and any
 * element can come, leave, or be asked what is before it in O(log n). Among equal keys the one with
 * the lower serial is first. The shape follows from the serials: it is the same whenever the same
 * happens, which is what makes the simulator repeatable.
 */
#pragma once

#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>

struct lane_item {
    /* What a search looks at, close together. Key, serial and cost: before it is added, and not
     * while it is in. */
    int64_t key;
    uint64_t serial;
    struct lane_item *left;
    struct lane_item *right;
    int64_t sum; /* of its cost and of those below it */
    int64_t cost;
    struct lane_item *above;
    struct lane *lane;   /* it is in; NULL: none */
    struct list arrived; /* among the lane's */
};

struct lane {
    struct lane_item *top;
    struct lane_item *first;
    struct list arrivals;
    unsigned count;
};

void lane_init(struct lane *l);
/* As the one that came last; or, if it comes `again`, first. */
void lane_add(struct lane *l, struct lane_item *item, bool again);
void lane_remove(struct lane *l, struct lane_item *item);
/* `heir` goes to where the item is: key and serial are the same. */
void lane_replace(struct lane *l, struct lane_item *item, struct lane_item *heir);
/* The costs of those that are before where an item of that key and serial would be. */
int64_t lane_cost_before(const struct lane *l, int64_t key, uint64_t serial);

static inline int64_t lane_cost(const struct lane *l)
{
    return l->top ? l->top->sum : 0;
}

/* The one that came last; there is one. */
static inline struct lane_item *lane_newest(const struct lane *l)
{
    return list_entry(l->arrivals.prev, struct lane_item, arrived);
}
