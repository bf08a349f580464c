/*
 * queue.c: the lock, and the workers that wait. The rest is elsewhere: entries in queue_item.c,
 * their order in order.c, batches in batcher.c, admission in admission.c, what a worker gets in
 * dequeue.c.
 *
 * A put wakes one idle worker: the one that became idle last, whose caches are warm. It leaves the
 * idle list at once, so that the next put wakes another, and no task waits while a worker is idle.
 * Workers are woken after the lock is released: a wake may be a system call.
 *
 * An item that was taken keeps its place: queue_put_back allocates nothing.
 */
#include "sched/queue.h"

#include "base/bug.h"
#include "conf/config.h"
#include "sched/dequeue.h"

#include <errno.h>

int queue_init(struct queue *q, unsigned max, unsigned workers, const struct step_cost *costs,
    queue_drop_fn *drop)
{
    *q = (struct queue){.max = max, .workers = workers ? workers : 1, .costs = costs, .drop = drop};
    list_init(&q->idle);
    order_init(&q->order);
    batcher_init(&q->batcher);
    int rc = -pthread_mutex_init(&q->lock, NULL);
    if (rc)
        return rc;
    rc = admission_init(&q->admission, q->workers);
    if (rc)
        pthread_mutex_destroy(&q->lock);
    return rc;
}

int queue_batches(struct queue *q, const struct conf_batch *batches, unsigned count)
{
    int rc = 0;
    for (unsigned i = 0; i < count && rc == 0; i++)
        if (batches[i].max > 1)
            rc = batcher_add_step(&q->batcher, i, batches[i].max, batches[i].wait);
    return rc;
}

static void lock(struct queue *q)
{
    int rc = pthread_mutex_lock(&q->lock);
    check(rc == 0, "a queue's lock cannot be taken: %s", error_text(-rc));
}

static void unlock(struct queue *q)
{
    atomic_store_explicit(&q->length, q->count, memory_order_relaxed);
    atomic_store_explicit(&q->idle_workers, q->idle_count, memory_order_relaxed);
    atomic_store_explicit(&q->standing, q->standing_classes, memory_order_relaxed);
    atomic_store_explicit(&q->work, order_cost(&q->order), memory_order_relaxed);
    pthread_mutex_unlock(&q->lock);
}

/* ---- Idle workers, under the lock ---- */

static void leave_idle(struct queue *q, struct worker *worker)
{
    if (!list_linked(&worker->idle))
        return;
    list_del(&worker->idle);
    q->idle_count--;
}

static void become_idle(struct queue *q, struct worker *worker)
{
    if (list_linked(&worker->idle))
        return;
    list_push_front(&q->idle, &worker->idle);
    q->idle_count++;
}

/* Takes out the worker to wake: preferably one that lives at `from`; or NULL. */
static struct worker *pick_idle(struct queue *q, const struct pool_client *from)
{
    if (list_empty(&q->idle))
        return NULL;
    struct worker *picked = list_first(&q->idle, struct worker, idle);
    if (from && picked->client && picked->client != from)
        list_each (link, &q->idle) {
            struct worker *worker = list_entry(link, struct worker, idle);
            if (worker->client != from)
                continue;
            picked = worker;
            break;
        }
    leave_idle(q, picked);
    picked->picked++;
    return picked;
}

/* ---- Putting ---- */

static int refuse(
    struct queue *q, struct queue_item *item, enum queue_refusal why, int64_t retry_after)
{
    atomic_fetch_add_explicit(&q->refused[why], 1, memory_order_relaxed);
    item->retry_after = retry_after > 0 ? retry_after : 1;
    return why == REFUSED_FULL ? -ENOBUFS : -ETIME;
}

/* Returns true if the entry does not fit. */
static bool is_full(const struct queue *q, const struct queue_item *item)
{
    unsigned tasks = 0;
    for (; item; item = item->fused)
        tasks++;
    return q->count + tasks > q->max;
}

static bool has_deadline(const struct queue_item *item)
{
    while (item && item->deadline == DEADLINE_NEVER)
        item = item->fused;
    return item != NULL;
}

/* Returns the Retry-After of an entry, or 0 if it is admitted. Fused items run one after the other,
 * each with a deadline of its own: all needed ones must be in time; or, if none is needed, one. */
static int64_t refused_for(
    const struct queue_item *item, const struct class_stats *stats, int64_t wait)
{
    int64_t cost = 0;
    int64_t needed = -1;
    int64_t least = INT64_MAX;
    for (; item; item = item->fused) {
        cost += item->cost;
        int64_t again = 0;
        if (item->deadline != DEADLINE_NEVER)
            again = admission_refuses(stats, wait, cost, item->deadline - item->put_at);
        if (item->needed && again > needed)
            needed = again;
        if (again < least)
            least = again;
    }
    return needed >= 0 ? needed : least;
}

/* The entry is prepared. With an idle worker the queue does not count as full: what is on its way
 * to one does not wait. If nothing else waits, either, every task is admitted, even one that should
 * miss its deadline: so that a wrong estimate can be corrected. */
static int admit(struct queue *q, struct queue_item *item)
{
    const struct admission *a = &q->admission;
    if (q->idle_count == 0 && is_full(q, item))
        return refuse(
            q, item, REFUSED_FULL, admission_wait(a, order_cost(&q->order), item->put_at) / 2);
    item->expected_wait = 0;
    if (!has_deadline(item) || (q->idle_count > 0 && q->order.count == 0))
        return 0;
    const struct class_stats *stats = order_stats(&item->order);
    item->expected_wait = admission_wait(a, order_ahead(&q->order, &item->order), item->put_at);
    int64_t wait =
        admission_expects(stats, item->expected_wait, order_oldest_of_class(&item->order) == NULL);
    int64_t again = refused_for(item, stats, wait);
    return again ? refuse(q, item, REFUSED_LATE, again) : 0;
}

static int put_new(struct queue *q, struct queue_item *item)
{
    q->seen_at = item->put_at > q->seen_at ? item->put_at : q->seen_at;
    struct order_place place = item_place(q, item);
    int rc = order_prepare(&q->order, &item->order, &place);
    if (rc == 0)
        rc = admit(q, item);
    /* Each may become the leader. */
    for (struct queue_item *member = item->fused; member; member = member->fused)
        member->expected_wait = item->expected_wait;
    if (rc == 0)
        item_add(q, item, false);
    return rc;
}

static int put_canary(struct queue *q, struct queue_item *item)
{
    item->put_at = q->seen_at;
    struct order_place place = {.priority = CONF_PRIORITY_MAX,
        .cost = item_cost(item),
        .deadline = DEADLINE_NEVER,
        .came_at = item->put_at - ORDER_PATIENCE_NS};
    int rc = order_prepare(&q->order, &item->order, &place);
    if (rc == 0)
        item_add(q, item, true);
    return rc;
}

static int put_again(struct queue *q, struct queue_item *item)
{
    item_add(q, item, true);
    return 0;
}

typedef int queue_entrance(struct queue *q, struct queue_item *item);

static int put(
    struct queue *q, struct queue_item *item, struct pool_client *from, queue_entrance *enter)
{
    struct worker *woken = NULL;
    int rc = 0;
    lock(q);
    int64_t moment = batcher_moment(&q->batcher);
    if (atomic_load_explicit(&q->closed, memory_order_relaxed))
        rc = -EPIPE;
    else
        rc = enter(q, item);
    /* A held item needs no worker yet; but one must know when its hold ends. */
    if (rc == 0 && (!item->batch_link.held || batcher_moment(&q->batcher) < moment))
        woken = pick_idle(q, from);
    unlock(q);
    if (woken)
        woken->wake(woken, from);
    return rc;
}

int queue_put(struct queue *q, struct queue_item *item, struct pool_client *from)
{
    return put(q, item, from, put_new);
}

int queue_put_canary(struct queue *q, struct queue_item *item, struct pool_client *from)
{
    return put(q, item, from, put_canary);
}

int queue_put_back(struct queue *q, struct queue_item *item, struct pool_client *from)
{
    return put(q, item, from, put_again);
}

bool queue_remove(struct queue *q, struct queue_item *item)
{
    lock(q);
    bool was_in = item->leader != NULL;
    if (item->leader == item) {
        item_learn_unserved(q, item);
        item_pop_leader(q, item);
    } else if (was_in) {
        item_pop_member(q, item);
    }
    unlock(q);
    return was_in;
}

/* ---- Taking ---- */

unsigned queue_take(
    struct queue *q, struct worker *worker, struct queue_item **out, unsigned max, int64_t now)
{
    struct dequeue dq = {.out = out, .max = max < TAKE_MAX ? max : TAKE_MAX, .now = now};
    struct worker *other = NULL;
    lock(q);
    leave_idle(q, worker);
    admission_free(&q->admission, worker->index);
    q->seen_at = now > q->seen_at ? now : q->seen_at;
    worker->waits = false;
    if (!atomic_load_explicit(&q->closed, memory_order_relaxed)) {
        dequeue_fill(q, &dq);
        worker->waits = dq.count == 0;
    }
    if (worker->waits)
        become_idle(q, worker);
    else
        admission_busy(&q->admission, worker->index, now + dq.cost);
    worker->until = worker->waits ? batcher_moment(&q->batcher) : DEADLINE_NEVER;
    if (!worker->waits && dequeue_leaves_more(q, &dq))
        other = pick_idle(q, worker->client);
    unlock(q);
    if (other)
        other->wake(other, worker->client);
    dequeue_drop(q, &dq, worker->client);
    return dq.count;
}

bool queue_away(struct queue *q, struct worker *worker, struct pool_client *from)
{
    struct worker *instead = NULL;
    lock(q);
    bool was_idle = list_linked(&worker->idle);
    leave_idle(q, worker);
    admission_free(&q->admission, worker->index);
    if (q->count > 0)
        instead = pick_idle(q, from);
    unlock(q);
    if (instead)
        instead->wake(instead, from);
    return was_idle;
}

/* ---- The end ---- */

void queue_close(struct queue *q, struct pool_client *from)
{
    lock(q);
    atomic_store_explicit(&q->closed, true, memory_order_release);
    struct worker *worker;
    /* One by one: a woken worker may end at once, and free its memory. */
    while ((worker = pick_idle(q, from))) {
        unlock(q);
        worker->wake(worker, from);
        lock(q);
    }
    unlock(q);
}

bool queue_closed(struct queue *q)
{
    return atomic_load_explicit(&q->closed, memory_order_acquire);
}

void queue_release(struct queue *q)
{
    check(q->workers > 0, "a queue is released that was not initialised");
    (void)item_release_held(q, DEADLINE_NEVER); /* whether there were some does not matter */
    while (q->order.count > 0) {
        struct queue_item *item = item_of(order_oldest(&q->order));
        item_pop_leader(q, item);
        q->drop(item, DROP_CLOSED, NULL);
    }
    order_release(&q->order);
    batcher_release(&q->batcher);
    admission_release(&q->admission);
    pthread_mutex_destroy(&q->lock);
}

int64_t queue_wait(const struct queue *q)
{
    return atomic_load_explicit(&q->work, memory_order_relaxed) / q->workers;
}
