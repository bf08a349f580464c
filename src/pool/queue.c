/*
 * queue.c: tasks by deadline, and the hands that wait for one.
 *
 * A put wakes one hand, if one is idle: the one that became so last, whose caches are warm and
 * whose worker is still awake. It leaves the idle list with that, so that the next put wakes
 * another, and no task waits while a hand has nothing to do. Hands are woken after the lock is
 * left: waking may be a system call.
 *
 * Each put leaves room for what has been taken to come back: queue_put_back needs no memory.
 */
#include "pool/internal.h"

#include "base/bug.h"

#include <errno.h>

/* For what has been taken and may come back, and the canary. */
static unsigned room_past_max(const struct queue *q)
{
    return q->hands * TAKE_MAX + 1;
}

int queue_init(struct queue *q, unsigned max, unsigned hands, const struct step_cost *costs)
{
    *q = (struct queue){.max = max, .hands = hands ? hands : 1, .costs = costs};
    list_init(&q->idle);
    heap_init(&q->tasks, max + room_past_max(q));
    return -pthread_mutex_init(&q->lock, NULL);
}

void queue_release(struct queue *q)
{
    struct heap_link *link;
    while ((link = heap_pop(&q->tasks)))
        task_release(container_of(link, struct task, queued), false);
    heap_release(&q->tasks);
    pthread_mutex_destroy(&q->lock);
}

static void lock(struct queue *q)
{
    int rc = pthread_mutex_lock(&q->lock);
    check(rc == 0, "a queue's lock cannot be taken: %s", error_text(-rc));
}

static void unlock(struct queue *q)
{
    atomic_store_explicit(&q->length, q->tasks.count, memory_order_relaxed);
    pthread_mutex_unlock(&q->lock);
}

/* ---- Idle hands; all under the lock ---- */

static void leave_idle(struct queue *q, struct hand *h)
{
    if (!list_linked(&h->idle))
        return;
    list_del(&h->idle);
    q->idle_count--;
}

static void become_idle(struct queue *q, struct hand *h)
{
    if (list_linked(&h->idle))
        return;
    list_push_front(&q->idle, &h->idle);
    q->idle_count++;
}

/* Takes out the hand that is to be woken, or NULL. */
static struct hand *pick_idle(struct queue *q, const struct pool_desk *from)
{
    if (list_empty(&q->idle))
        return NULL;
    struct hand *picked = list_first(&q->idle, struct hand, idle);
    if (from && picked->desk && picked->desk != from)
        list_each (link, &q->idle) {
            struct hand *h = list_entry(link, struct hand, idle);
            if (h->desk != from)
                continue;
            picked = h;
            break;
        }
    leave_idle(q, picked);
    picked->picked++;
    return picked;
}

/* ---- Putting ---- */

static int put(struct queue *q, struct task *t, struct pool_desk *from, bool past_max)
{
    struct hand *woken = NULL;
    int rc = 0;
    lock(q);
    if (atomic_load_explicit(&q->closed, memory_order_relaxed))
        rc = -EPIPE;
    else if (!past_max && q->tasks.count >= q->max)
        rc = -ENOBUFS;
    else if (!past_max)
        rc = heap_reserve(&q->tasks, 1 + room_past_max(q));
    if (rc == 0)
        rc = heap_push(&q->tasks, &t->queued, t->key);
    if (rc == 0)
        woken = pick_idle(q, from);
    unlock(q);
    if (woken)
        woken->wake(woken, from);
    return rc;
}

int queue_put(struct queue *q, struct task *t, struct pool_desk *from)
{
    t->key = deadline_sooner(t->deadline, deadline_after(t->put_at, QUEUE_PATIENCE_NS));
    return put(q, t, from, false);
}

int queue_put_canary(struct queue *q, struct task *t, struct pool_desk *from)
{
    t->key = 0;
    return put(q, t, from, true);
}

int queue_put_back(struct queue *q, struct task *t, struct pool_desk *from)
{
    /* Before those of the same moment, which were behind it. */
    t->key--;
    return put(q, t, from, true);
}

bool queue_remove(struct queue *q, struct task *t)
{
    lock(q);
    bool was_in = heap_linked(&t->queued);
    if (was_in)
        heap_remove(&q->tasks, &t->queued);
    unlock(q);
    return was_in;
}

/* ---- Taking ---- */

/* What is to be let go when the lock is left. */
struct late {
    struct message *tasks;
};

static void add_late(struct late *late, struct task *t)
{
    t->done.next = late->tasks;
    late->tasks = &t->done;
}

static void let_late_go(struct late *late, struct pool_desk *from)
{
    while (late->tasks) {
        struct task *t = container_of(late->tasks, struct task, done);
        late->tasks = t->done.next;
        task_fail(t, POOL_EXPIRED, from, "the deadline passed before the task could be started");
    }
}

/* A step that was not measured yet goes alone. */
static int64_t cost_of(const struct queue *q, const struct task *t)
{
    int64_t cost = atomic_load_explicit(&q->costs[t->step].wall_ns, memory_order_relaxed);
    return cost > 0 ? cost : TAKE_BUDGET_NS;
}

/* Under the lock: those that go to one hand now. */
static unsigned take(
    struct queue *q, struct task **out, unsigned max, int64_t now, struct late *late)
{
    unsigned share = (q->tasks.count + q->hands - 1) / q->hands;
    if (max > share)
        max = share ? share : 1;
    if (max > TAKE_MAX)
        max = TAKE_MAX;
    unsigned count = 0;
    int64_t cost = 0;
    struct heap_link *first;
    while (count < max && (first = heap_first(&q->tasks))) {
        struct task *t = container_of(first, struct task, queued);
        if (t->deadline <= now) {
            heap_pop(&q->tasks);
            add_late(late, t);
            continue;
        }
        cost += cost_of(q, t);
        if (count > 0 && cost > TAKE_BUDGET_NS)
            break;
        heap_pop(&q->tasks);
        out[count++] = t;
    }
    return count;
}

unsigned queue_take(struct queue *q, struct hand *h, struct task **out, unsigned max, int64_t now)
{
    struct late late = {NULL};
    unsigned count = 0;
    lock(q);
    leave_idle(q, h);
    h->waits = false;
    if (!atomic_load_explicit(&q->closed, memory_order_relaxed)) {
        count = take(q, out, max, now, &late);
        h->waits = count == 0;
        if (h->waits)
            become_idle(q, h);
    }
    unlock(q);
    let_late_go(&late, h->desk);
    return count;
}

bool queue_away(struct queue *q, struct hand *h, struct pool_desk *from)
{
    struct hand *instead = NULL;
    lock(q);
    bool was_idle = list_linked(&h->idle);
    leave_idle(q, h);
    if (!heap_empty(&q->tasks))
        instead = pick_idle(q, from);
    unlock(q);
    if (instead)
        instead->wake(instead, from);
    return was_idle;
}

/* ---- The end ---- */

void queue_close(struct queue *q, struct pool_desk *from)
{
    lock(q);
    atomic_store_explicit(&q->closed, true, memory_order_release);
    struct hand *h;
    /* One by one: a hand that was woken may end, and its memory go, at once. */
    while ((h = pick_idle(q, from))) {
        unlock(q);
        h->wake(h, from);
        lock(q);
    }
    unlock(q);
}

bool queue_closed(struct queue *q)
{
    return atomic_load_explicit(&q->closed, memory_order_acquire);
}
