/*
 * dequeue.c: see dequeue.h.
 *
 * A worker takes entries in order.c's order: its fair share of them, within TAKE_BUDGET_NS; an
 * entry of a batch brings the rest of the batch. Items that cannot meet their deadline are dropped
 * instead, so that no worker is spent on them: those that are late; and, while others wait, those
 * that will be.
 */
#include "sched/dequeue.h"

#include "base/bug.h"

/* Linked by `fused`, which is the queue's alone: the task's message may be posted meanwhile, if its
 * caller has left and the last task of its group has its result. */
static void set_aside(struct queue_item **list, struct queue_item *item)
{
    item->fused = *list;
    *list = item;
}

static void hand_out(const struct queue *q, struct dequeue *dq, struct queue_item *item)
{
    check(dq->count < dq->max, "a worker gets more than it asked for");
    dq->cost += item_cost_now(q, item);
    dq->out[dq->count++] = item;
}

/* As many items of the entry as there is room for. */
static void take_entry(struct queue *q, struct dequeue *dq, struct queue_item *first)
{
    int64_t cost = 0;
    dq->left_over |= item_split(q, first, dq->max - dq->count);
    for (struct queue_item *item = first, *next; item; item = next) {
        next = item->fused;
        /* Each may be put back, alone. */
        order_inherit(&item->order, &first->order, item_cost(item));
        item->fused = item->leader = NULL;
        if (item->deadline <= dq->now) {
            set_aside(&dq->expired, item);
        } else {
            cost += item_cost(item);
            hand_out(q, dq, item);
        }
    }
    order_charge(&q->order, &first->order, cost);
}

static void take_batch(struct queue *q, struct dequeue *dq, struct queue_item *first)
{
    unsigned most = first->batch < dq->max ? first->batch : dq->max;
    unsigned step = first->step;
    take_entry(q, dq, first);
    struct batch_link *peer;
    while (dq->count < most && (peer = batcher_peer(&q->batcher, step)))
        take_entry(q, dq, container_of(peer, struct queue_item, batch_link));
}

/* Returns true if it should miss its deadline, and others wait that may not. */
static bool is_hopeless(
    const struct queue *q, const struct queue_item *item, int64_t wait, int64_t now)
{
    return q->order.count > 1 && item->deadline != DEADLINE_NEVER &&
           now + wait + item->cost > item->deadline;
}

static void drop_unservable(struct queue *q, struct dequeue *dq, struct queue_item *item)
{
    item_learn_unserved(q, item);
    item_pop_leader(q, item);
    set_aside(item->deadline <= dq->now ? &dq->expired : &dq->shed, item);
}

/* In ADMISSION_NEWEST the oldest waits for all others: shed it if it should miss its deadline. */
static void shed_oldest(struct queue *q, struct dequeue *dq, struct queue_item *item)
{
    struct queue_item *oldest = item_of(order_oldest_of_class(&item->order));
    while (oldest != item && order_stats(&item->order)->state == ADMISSION_NEWEST) {
        int64_t wait = admission_wait(&q->admission, order_cost(&q->order), dq->now);
        if (!is_hopeless(q, oldest, wait - oldest->cost, dq->now))
            return;
        drop_unservable(q, dq, oldest);
        oldest = item_of(order_oldest_of_class(&item->order));
    }
}

/* Before an item is taken: its class learns from its wait. */
static void observe(struct queue *q, const struct queue_item *item, int64_t now)
{
    struct class_stats *stats = order_stats(&item->order);
    bool stood = stats->state != ADMISSION_NORMAL;
    const struct queue_item *seen = item;
    if (stats->state == ADMISSION_NEWEST)
        seen = item_of(order_oldest_of_class(&item->order));
    else if (item->deadline != DEADLINE_NEVER)
        admission_learn(stats, item->expected_wait, now - item->put_at, true);
    int64_t left = seen->deadline == DEADLINE_NEVER ? DEADLINE_NEVER : seen->deadline - now;
    admission_taken(stats, now - seen->put_at, left, item_cost(item), now);
    q->standing_classes += (stats->state != ADMISSION_NORMAL) - stood;
}

/* Returns true if the budget has room for another entry. */
static bool fits(const struct queue *q, const struct dequeue *dq, const struct queue_item *item)
{
    int64_t cost = dq->cost + item_cost_now(q, item);
    for (const struct queue_item *member = item->fused; member; member = member->fused)
        cost += item_cost_now(q, member);
    return !item_is_batch(q, item) && cost <= TAKE_BUDGET_NS;
}

static unsigned share_of(const struct queue *q)
{
    unsigned share = (q->order.count + q->workers - 1) / q->workers;
    return share ? share : 1;
}

void dequeue_fill(struct queue *q, struct dequeue *dq)
{
    dq->left_over = item_release_held(q, dq->now);
    unsigned share = share_of(q);
    struct order_item *first;
    unsigned entries = 0;
    while (dq->count < dq->max && entries < share && (first = order_first(&q->order, dq->now))) {
        struct queue_item *item = item_of(first);
        if (item_reprice(q, item))
            continue;
        if (item->deadline <= dq->now || is_hopeless(q, item, 0, dq->now)) {
            drop_unservable(q, dq, item);
            continue;
        }
        if (dq->count > 0 && !fits(q, dq, item))
            return;
        shed_oldest(q, dq, item);
        observe(q, item, dq->now);
        bool alone = item_is_batch(q, item);
        entries++;
        if (alone)
            take_batch(q, dq, item);
        else
            take_entry(q, dq, item);
        if (alone && dq->count > 0)
            return;
    }
}

bool dequeue_leaves_more(const struct queue *q, const struct dequeue *dq)
{
    return (dq->left_over && q->order.count > 0) || batcher_moment(&q->batcher) != DEADLINE_NEVER;
}

static struct queue_item *pop_aside(struct queue_item **list)
{
    struct queue_item *item = *list;
    *list = item->fused;
    item->fused = NULL;
    return item;
}

void dequeue_drop(struct queue *q, struct dequeue *dq, struct pool_client *from)
{
    while (dq->expired)
        q->drop(pop_aside(&dq->expired), DROP_EXPIRED, from);
    while (dq->shed) {
        struct queue_item *item = pop_aside(&dq->shed);
        atomic_fetch_add_explicit(&q->refused[REFUSED_SHED], 1, memory_order_relaxed);
        item->retry_after = item->deadline - item->put_at;
        q->drop(item, DROP_SHED, from);
    }
}
