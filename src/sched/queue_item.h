/*
 * queue_item.h: what waits in a queue: a task's scheduling part, which a task embeds.
 *
 * Several items that are *fused* wait as one entry: the first leads, and is the one in the order.
 * An entry is in the order or held back by the batcher. Every function here is called under the
 * queue's lock, or when nobody else has the queue any more.
 */
#pragma once

#include "base/time.h"
#include "sched/batcher.h"
#include "sched/order.h"

struct queue;

struct queue_item {
    struct order_item order;
    struct batch_link batch_link;
    struct queue_item *fused;  /* the next of the entry; the caller links them before it puts */
    struct queue_item *leader; /* of its entry: itself if it is alone; NULL: not in the queue */
    int64_t cost;              /* as expected when it was put; 0: not known */
    int64_t expected_wait;
    int64_t retry_after; /* of a refused one: when it may be worth another try */
    /* Filled in by the caller: */
    int64_t put_at;
    int64_t deadline;      /* or DEADLINE_NEVER */
    int64_t sort_deadline; /* what it is ordered by; DEADLINE_NEVER: by `deadline` */
    size_t input_size;     /* what its step's cost depends on */
    unsigned route;
    unsigned step;
    int priority;
    unsigned batch; /* how many of its step may run together; 1: it runs alone; 0: and goes to a
                       worker process alone, since its batch killed one */
    bool needed;    /* if fused: whether it must be in time */
};

static inline void queue_item_init(struct queue_item *item)
{
    *item = (struct queue_item){.deadline = DEADLINE_NEVER, .sort_deadline = DEADLINE_NEVER};
}

/* Returns true if `item`, dequeued right behind `first`, runs together with it in the step's
 * run_batch. Queue and workers agree by this: such items are dequeued one behind the other, at most
 * first->batch of them. */
static inline bool item_joins(const struct queue_item *first, const struct queue_item *item)
{
    return first->batch > 1 && item->batch > 1 && item->step == first->step;
}

struct queue_item *item_of(struct order_item *order);

/* The cost that is assumed for one item: as expected when it was put, or as expected now. A step
 * that was never measured counts as TAKE_BUDGET_NS, so that its item goes to a worker alone. */
int64_t item_cost(const struct queue_item *item);
int64_t item_cost_now(const struct queue *q, const struct queue_item *item);

/* Returns true if it may run together with others of its step. */
bool item_is_batch(const struct queue *q, const struct queue_item *item);
/* Before it is put: learns its items' costs, and returns where it is ordered by them. */
struct order_place item_place(const struct queue *q, struct queue_item *item);
/* Adds a prepared entry (order_prepare) at its end, or `again`; the batcher may hold it back. */
void item_add(struct queue *q, struct queue_item *item, bool again);
/* If a cost that was unknown is known by now, orders the entry anew and returns true: another may
 * be first. */
bool item_reprice(struct queue *q, struct queue_item *item);
/* Orders what was held back until `now`. Returns true if there was any. */
bool item_release_held(struct queue *q, int64_t now);

/* Takes the entry's first items out, from one to `most`. They stay fused and keep `leader`: the
 * caller clears both. Returns true if some are left, of which the next leads. */
bool item_split(struct queue *q, struct queue_item *first, unsigned most);
/* Takes out the leader alone (the next leads), or one that follows. */
void item_pop_leader(struct queue *q, struct queue_item *item);
void item_pop_member(struct queue *q, struct queue_item *item);
/* An item that leaves without being run would have waited for longer still: the class learns it. */
void item_learn_unserved(struct queue *q, const struct queue_item *item);
