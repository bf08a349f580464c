/*
 * queue_item.c: see queue_item.h.
 */
#include "sched/queue.h"

#include "base/bug.h"

struct queue_item *item_of(struct order_item *order)
{
    return container_of(order, struct queue_item, order);
}

static int64_t expected(const struct queue *q, const struct queue_item *item)
{
    return cost_average(&q->costs[item->step], item->input_size);
}

int64_t item_cost(const struct queue_item *item)
{
    return item->cost > 0 ? item->cost : TAKE_BUDGET_NS;
}

int64_t item_cost_now(const struct queue *q, const struct queue_item *item)
{
    int64_t cost = expected(q, item);
    return cost > 0 ? cost : TAKE_BUDGET_NS;
}

static int64_t total_cost(const struct queue_item *item)
{
    int64_t cost = item_cost(item);
    while ((item = item->fused))
        cost += item_cost(item);
    return cost;
}

/* Returns true if a cost that was unknown is known now. */
static bool learn_costs(const struct queue *q, struct queue_item *item)
{
    bool news = false;
    for (struct queue_item *member = item; member; member = member->fused) {
        if (member->cost > 0)
            continue;
        member->cost = expected(q, member);
        news |= member->cost > 0;
    }
    return news;
}

static struct order_place place_of(const struct queue_item *item)
{
    return (struct order_place){.route = item->route,
        .priority = item->priority,
        .cost = total_cost(item),
        .deadline = item->sort_deadline == DEADLINE_NEVER ? item->deadline : item->sort_deadline,
        .came_at = item->put_at};
}

struct order_place item_place(const struct queue *q, struct queue_item *item)
{
    (void)learn_costs(q, item); /* it is not ordered yet */
    return place_of(item);
}

bool item_is_batch(const struct queue *q, const struct queue_item *item)
{
    return item->batch > 1 && !item->fused && batcher_max(&q->batcher, item->step) > 1;
}

/* Until when it may be held back: a full batch, which ends as a whole, must still be in time. */
static int64_t held_until(const struct queue_item *item)
{
    if (item->deadline == DEADLINE_NEVER)
        return DEADLINE_NEVER;
    return item->cost > 0 ? item->deadline - item->cost * item->batch : item->put_at;
}

void item_add(struct queue *q, struct queue_item *item, bool again)
{
    struct queue_item *member = item;
    check(!item->leader, "an item is put that is in the queue");
    do {
        member->leader = item;
        q->count++;
    } while ((member = member->fused));
    bool held =
        item_is_batch(q, item) && batcher_add(&q->batcher, &item->batch_link, item->step,
                                      item->put_at, again ? item->put_at : held_until(item));
    if (!held)
        order_add(&q->order, &item->order, again);
}

/* An empty class does not stand. */
static void settle_class(struct queue *q, const struct order_item *order)
{
    struct class_stats *stats = order_stats(order);
    if (order_oldest_of_class(order))
        return;
    q->standing_classes -= stats->state != ADMISSION_NORMAL;
    admission_drained(stats);
}

static void detach(struct queue *q, struct queue_item *item)
{
    if (item->batch_link.in)
        batcher_remove(&q->batcher, &item->batch_link, item->step);
    if (order_in(&item->order))
        order_remove(&q->order, &item->order);
    settle_class(q, &item->order);
}

bool item_split(struct queue *q, struct queue_item *first, unsigned most)
{
    struct queue_item *last = first;
    unsigned members = 1;
    for (; last->fused && members < most; members++)
        last = last->fused;
    struct queue_item *rest = last->fused;
    if (rest)
        order_replace(&q->order, &first->order, &rest->order, total_cost(rest));
    else
        detach(q, first);
    for (struct queue_item *member = rest; member; member = member->fused)
        member->leader = rest;
    last->fused = NULL;
    check(q->count >= members, "%u items leave a queue of %u", members, q->count);
    q->count -= members;
    return rest != NULL;
}

void item_pop_leader(struct queue *q, struct queue_item *item)
{
    check(item->leader == item, "an item leaves as a leader that is none");
    (void)item_split(q, item, 1); /* whether some are left does not matter */
    item->leader = NULL;
}

void item_pop_member(struct queue *q, struct queue_item *item)
{
    check(
        item->leader && item->leader != item, "an item leaves an entry that it does not follow in");
    struct queue_item **link = &item->leader->fused;
    while (*link != item)
        link = &(*link)->fused;
    *link = item->fused;
    item->fused = item->leader = NULL;
    q->count--;
}

void item_learn_unserved(struct queue *q, const struct queue_item *item)
{
    if (order_in(&item->order) && item->deadline != DEADLINE_NEVER)
        admission_learn(
            order_stats(&item->order), item->expected_wait, q->seen_at - item->put_at, false);
}

bool item_reprice(struct queue *q, struct queue_item *item)
{
    if (!learn_costs(q, item))
        return false;
    const struct order_place place = place_of(item);
    const struct order_item before = item->order;
    order_reprice(&q->order, &item->order, &place);
    settle_class(q, &before);
    return true;
}

bool item_release_held(struct queue *q, int64_t now)
{
    bool any = false;
    for (struct batch_link *due; (due = batcher_due(&q->batcher, now)); any = true)
        order_add(&q->order, &container_of(due, struct queue_item, batch_link)->order, false);
    return any;
}
