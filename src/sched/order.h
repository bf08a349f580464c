/*
 * order.h: which waiting task is next. Knows no lock, no clock, no task.
 *
 * In this order:
 *  1. Tasks that have waited longer than ORDER_PATIENCE_NS, the oldest first (no starvation).
 *  2. The higher priority.
 *  3. Short tasks before long ones (no head-of-line blocking); but while a long one waits, a
 *     quarter of the work that is taken is long. Short: less than a tenth of the cost of expensive
 *     tasks, which is learned as the mean cost, weighted by work.
 *  4. The route that was served least, by cost: start-time fair queueing.
 *  5. Within a route the earliest deadline; in a class that fails to meet deadlines
 *     (ADMISSION_NEWEST) the newest.
 *
 * Every operation is O(log n) in tasks and routes. Only order_prepare allocates.
 */
#pragma once

#include "base/heap.h"
#include "conf/config.h" /* CONF_PRIORITY_MAX */
#include "sched/admission.h"
#include "sched/ordered_tree.h"

#define ORDER_PRIORITIES (2 * CONF_PRIORITY_MAX + 1)

/* After this wait a task is next; and its deadline counts as at most this far away, so that tasks
 * with a far deadline, or none, are not overtaken for ever. */
#define ORDER_PATIENCE_NS (60 * INT64_C(1000000000))

struct order_item {
    struct tree_node node;     /* key and cost: see order_prepare */
    struct list waiting;       /* among all, by age */
    struct route_queue *queue; /* also while it is not in */
    int64_t came_at;
};

enum order_size { ORDER_SHORT, ORDER_LONG, ORDER_SIZES };

struct order_class {
    struct heap queues; /* routes with items, by what they were served */
    int64_t served;     /* the clock of the route that was served last, before that */
    int64_t cost;       /* of all its items */
};

struct order_rank {
    struct order_class classes[ORDER_SIZES];
    int64_t owed; /* to long tasks */
    int64_t cost;
};

struct order {
    struct order_rank ranks[ORDER_PRIORITIES]; /* the highest first */
    struct route_queue **queues;               /* by route, rank and class; NULL: never needed */
    unsigned routes;
    struct list waiting;
    unsigned count;
    uint64_t next_serial;
    double work, square; /* decaying sums of costs and of their squares: what is short */
};

/* What decides where an item goes. */
struct order_place {
    unsigned route;
    int priority;
    int64_t cost;     /* expected; at least 1 */
    int64_t deadline; /* or DEADLINE_NEVER */
    int64_t came_at;
};

void order_init(struct order *o);
/* The order is empty. */
void order_release(struct order *o);
/* Finds where the item goes, so that order_add cannot fail. 0 or -ENOMEM. */
int order_prepare(struct order *o, struct order_item *item, const struct order_place *place)
    __attribute__((warn_unused_result));
/* Adds a prepared item. `again`: it was taken before; it goes to where it was, and its route is
 * refunded its cost. */
void order_add(struct order *o, struct order_item *item, bool again);
/* Moves an item whose cost was unknown when it was added. */
void order_reprice(struct order *o, struct order_item *item, const struct order_place *place);
/* The next, or NULL. */
struct order_item *order_first(const struct order *o, int64_t now);
/* Takes out any item that is in. */
void order_remove(struct order *o, struct order_item *item);
/* Charges the route of an item that was taken out for work of that cost. */
void order_charge(struct order *o, const struct order_item *item, int64_t cost);
/* The one that has waited longest. The order is not empty. */
struct order_item *order_oldest(const struct order *o);
/* `heir` gets the place of `item`, at a cost of its own. */
void order_inherit(struct order_item *heir, const struct order_item *item, int64_t cost);
/* The same for an item that is in: `heir` is in, in its place. */
void order_replace(struct order *o, struct order_item *item, struct order_item *heir, int64_t cost);
/* The cost of what is served before a prepared item that is not in yet, if nothing else comes. */
int64_t order_ahead(const struct order *o, const struct order_item *item);
/* The statistics of a prepared item's class; and the class's item that has waited longest, or
 * NULL. */
struct class_stats *order_stats(const struct order_item *item);
struct order_item *order_oldest_of_class(const struct order_item *item);
/* The cost of all items. */
int64_t order_cost(const struct order *o);

static inline bool order_in(const struct order_item *item)
{
    return item->node.tree != 0;
}
