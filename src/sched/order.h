/*
 * order.h: which of the tasks that wait is next. Knows no lock, no clock, no task.
 *
 * In this order:
 *  1. Who has waited longer than ORDER_PATIENCE_NS, the longest first.
 *  2. The higher priority.
 *  3. Short before long; but of what is served while something long waits, a quarter is for the
 *     long. Short is what costs less than a tenth of what the dear ones do. That is learned: the
 *     mean cost that a moment of work is part of.
 *  4. The route that has been served least, by cost, since it has had something waiting.
 *  5. Within a route the earliest deadline; or, where its line has failed to meet these (see
 *     admission.h), the one that came last.
 *
 * Whatever is asked for costs O(log n) in what waits and in routes. Only order_prepare allocates.
 */
#pragma once

#include "base/heap.h"
#include "conf/config.h" /* CONF_PRIORITY_MAX */
#include "sched/admission.h"
#include "sched/ordered_tree.h"

#define ORDER_PRIORITIES (2 * CONF_PRIORITY_MAX + 1)

/* After so long a wait a task is next; and it is ordered as if its deadline were at most so far
 * away: so that one without a deadline, or with a far one, is not passed by others for ever. */
#define ORDER_PATIENCE_NS (60 * INT64_C(1000000000))

struct order_item {
    struct tree_node node;     /* its cost: see order_prepare */
    struct list waiting;       /* among all, by when they came */
    struct route_queue *queue; /* its own, also when it is not in */
    int64_t came_at;
};

enum order_size { ORDER_SHORT, ORDER_LONG, ORDER_SIZES };

struct order_class {
    struct heap queues; /* that have something in, by what they were served */
    int64_t served;     /* of the route that was served last, before that */
    int64_t cost;       /* of all that is in */
};

struct order_rank {
    struct order_class classes[ORDER_SIZES];
    int64_t owed; /* to the long */
    int64_t cost;
};

struct order {
    struct order_rank ranks[ORDER_PRIORITIES]; /* the highest first */
    struct route_queue **queues;               /* by route, rank and class; NULL: never needed */
    unsigned routes;
    struct list waiting;
    unsigned count;
    uint64_t next_serial;
    double work, square; /* of costs, and their squares, of late: for what is short */
};

/* What an item is, for whoever orders it. */
struct order_place {
    unsigned route;
    int priority;
    int64_t cost;     /* as far as it is known; at least 1 */
    int64_t deadline; /* or DEADLINE_NEVER */
    int64_t came_at;
};

void order_init(struct order *o);
/* Nothing is in. */
void order_release(struct order *o);
/* Finds the item's place: 0 or -ENOMEM. */
int order_prepare(struct order *o, struct order_item *item, const struct order_place *place)
    __attribute__((warn_unused_result));
/* An item that was prepared goes in; `again`: it was in before, goes to where it was, and its route
 * gets back what it was charged for it. */
void order_add(struct order *o, struct order_item *item, bool again);
/* What one that is in costs was not known when it came: it goes to where it belongs by now. */
void order_reprice(struct order *o, struct order_item *item, const struct order_place *place);
/* The next, or NULL. */
struct order_item *order_first(const struct order *o, int64_t now);
/* It, or any other that is in, leaves. */
void order_remove(struct order *o, struct order_item *item);
/* The route of an item that has a place, and is in no more, is served something that costs so
 * much. */
void order_charge(struct order *o, const struct order_item *item, int64_t cost);
/* The one that has waited longest; there is one. */
struct order_item *order_oldest(const struct order *o);
/* An item's place is that of another that was in, at a cost of its own. */
void order_inherit(struct order_item *heir, const struct order_item *item, int64_t cost);
/* The same, and `heir` stands in for one that is in. */
void order_replace(struct order *o, struct order_item *item, struct order_item *heir, int64_t cost);
/* What is served before a prepared item that is not in yet, if nothing else comes, and the earliest
 * deadline is first: a cost. */
int64_t order_ahead(const struct order *o, const struct order_item *item);
/* The line of an item that was prepared, and the one that has waited longest in
 * it; NULL: none waits. */
struct class_stats *order_stats(const struct order_item *item);
struct order_item *order_oldest_of_class(const struct order_item *item);
/* The cost of all that is in. */
int64_t order_cost(const struct order *o);

static inline bool order_in(const struct order_item *item)
{
    return item->node.tree != 0;
}
