/*
 * queue.c: the tasks that wait, and the hands that wait for one. What waits as one is entry.c's,
 * which is next order.c's, which are held back for others of their kind gather.c's, who may come in
 * admission.c's, what a hand is given take.c's; here is the lock around these, and the hands.
 *
 * A put wakes one hand, if one is idle: the one that became so last, whose caches are warm and
 * whose worker is still awake. It leaves the idle list with that, so that the next put wakes
 * another, and no task waits while a hand has nothing to do. Hands are woken after the lock is
 * left: waking may be a system call.
 *
 * A task that was taken has its place still: queue_put_back needs no memory.
 */
#include "pool/internal.h"

#include "base/bug.h"
#include "pool/entry.h"
#include "pool/take.h"

#include <errno.h>

int queue_init(struct queue *q, unsigned max, unsigned hands, const struct step_cost *costs)
{
    *q = (struct queue){.max = max, .hands = hands ? hands : 1, .costs = costs};
    list_init(&q->idle);
    order_init(&q->order);
    gather_init(&q->gather);
    int rc = -pthread_mutex_init(&q->lock, NULL);
    if (rc)
        return rc;
    rc = admission_init(&q->admission, q->hands);
    if (rc)
        pthread_mutex_destroy(&q->lock);
    return rc;
}

int queue_batches(struct queue *q, const struct conf_batch *batches, unsigned count)
{
    int rc = 0;
    for (unsigned i = 0; i < count && rc == 0; i++)
        if (batches[i].max > 1)
            rc = gather_batches(&q->gather, i, batches[i].max, batches[i].wait);
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
    atomic_store_explicit(&q->idle_hands, q->idle_count, memory_order_relaxed);
    atomic_store_explicit(&q->standing, q->standing_lines, memory_order_relaxed);
    atomic_store_explicit(&q->work, order_cost(&q->order), memory_order_relaxed);
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

static int refuse(struct queue *q, struct task *t, enum queue_refusal why, int64_t retry_after)
{
    atomic_fetch_add_explicit(&q->refused[why], 1, memory_order_relaxed);
    t->retry_after = retry_after > 0 ? retry_after : 1;
    return why == REFUSED_FULL ? -ENOBUFS : -ETIME;
}

/* Whether so many more would be too many. */
static bool is_full(const struct queue *q, const struct task *t)
{
    unsigned tasks = 0;
    for (; t; t = t->fused)
        tasks++;
    return q->count + tasks > q->max;
}

static bool has_deadline(const struct task *t)
{
    while (t && t->deadline == DEADLINE_NEVER)
        t = t->fused;
    return t != NULL;
}

/* When another try may be worth it; 0: they come in. Fused, each is done behind those before it,
 * and has a deadline of its own: all that are needed must be in time, or, where none is, any. */
static int64_t refused_for(const struct task *t, const struct admission_line *line, int64_t wait)
{
    int64_t cost = 0;
    int64_t needed = -1;
    int64_t least = INT64_MAX;
    for (; t; t = t->fused) {
        cost += t->cost;
        int64_t again = 0;
        if (t->deadline != DEADLINE_NEVER)
            again = admission_refuses(line, wait, cost, t->deadline - t->put_at);
        if (t->needed && again > needed)
            needed = again;
        if (again < least)
            least = again;
    }
    return needed >= 0 ? needed : least;
}

/* Its place has been found. Where a hand is idle the queue is not full: what is on its way to one
 * does not wait. Where nothing is before it, either, everybody comes in: also one that is not
 * expected to be done in time, since expectations must be able to change. */
static int admit(struct queue *q, struct task *t)
{
    const struct admission *a = &q->admission;
    if (q->idle_count == 0 && is_full(q, t))
        return refuse(q, t, REFUSED_FULL, admission_wait(a, order_cost(&q->order), t->put_at) / 2);
    t->expected_wait = 0;
    if (!has_deadline(t) || (q->idle_count > 0 && q->order.count == 0))
        return 0;
    const struct admission_line *line = order_line(&t->place);
    t->expected_wait = admission_wait(a, order_ahead(&q->order, &t->place), t->put_at);
    int64_t wait = admission_expects(line, t->expected_wait, order_line_oldest(&t->place) == NULL);
    int64_t again = refused_for(t, line, wait);
    return again ? refuse(q, t, REFUSED_LATE, again) : 0;
}

static int put_new(struct queue *q, struct task *t)
{
    q->seen_at = t->put_at > q->seen_at ? t->put_at : q->seen_at;
    struct order_place place = entry_place(q, t);
    int rc = order_prepare(&q->order, &t->place, &place);
    if (rc == 0)
        rc = admit(q, t);
    /* Each may lead what is left of them. */
    for (struct task *member = t->fused; member; member = member->fused)
        member->expected_wait = t->expected_wait;
    if (rc == 0)
        entry_add(q, t, false);
    return rc;
}

static int put_canary(struct queue *q, struct task *t)
{
    t->put_at = q->seen_at;
    struct order_place place = {.priority = CONF_PRIORITY_MAX,
        .cost = entry_task_cost(t),
        .deadline = DEADLINE_NEVER,
        .came_at = t->put_at - ORDER_PATIENCE_NS};
    int rc = order_prepare(&q->order, &t->place, &place);
    if (rc == 0)
        entry_add(q, t, true);
    return rc;
}

static int put_again(struct queue *q, struct task *t)
{
    entry_add(q, t, true);
    return 0;
}

typedef int queue_entrance(struct queue *q, struct task *t);

static int put(struct queue *q, struct task *t, struct pool_desk *from, queue_entrance *enter)
{
    struct hand *woken = NULL;
    int rc = 0;
    lock(q);
    int64_t moment = gather_moment(&q->gather);
    if (atomic_load_explicit(&q->closed, memory_order_relaxed))
        rc = -EPIPE;
    else
        rc = enter(q, t);
    /* One that is held back is nobody's yet; but some hand must know until when. */
    if (rc == 0 && (!t->mates.held || gather_moment(&q->gather) < moment))
        woken = pick_idle(q, from);
    unlock(q);
    if (woken)
        woken->wake(woken, from);
    return rc;
}

int queue_put(struct queue *q, struct task *t, struct pool_desk *from)
{
    return put(q, t, from, put_new);
}

int queue_put_canary(struct queue *q, struct task *t, struct pool_desk *from)
{
    return put(q, t, from, put_canary);
}

int queue_put_back(struct queue *q, struct task *t, struct pool_desk *from)
{
    return put(q, t, from, put_again);
}

bool queue_remove(struct queue *q, struct task *t)
{
    lock(q);
    bool was_in = t->leader != NULL;
    if (t->leader == t) {
        entry_learn_unserved(q, t);
        entry_pop_leader(q, t);
    } else if (was_in) {
        entry_pop_member(q, t);
    }
    unlock(q);
    return was_in;
}

/* ---- Taking ---- */

unsigned queue_take(struct queue *q, struct hand *h, struct task **out, unsigned max, int64_t now)
{
    struct taking k = {.out = out, .max = max < TAKE_MAX ? max : TAKE_MAX, .now = now};
    struct hand *other = NULL;
    lock(q);
    leave_idle(q, h);
    admission_free(&q->admission, h->index);
    q->seen_at = now > q->seen_at ? now : q->seen_at;
    h->waits = false;
    if (!atomic_load_explicit(&q->closed, memory_order_relaxed)) {
        taking_fill(q, &k);
        h->waits = k.count == 0;
    }
    if (h->waits)
        become_idle(q, h);
    else
        admission_busy(&q->admission, h->index, now + k.cost);
    h->until = h->waits ? gather_moment(&q->gather) : DEADLINE_NEVER;
    if (!h->waits && taking_leaves_more(q, &k))
        other = pick_idle(q, h->desk);
    unlock(q);
    if (other)
        other->wake(other, h->desk);
    taking_let_go(q, &k, h->desk);
    return k.count;
}

bool queue_away(struct queue *q, struct hand *h, struct pool_desk *from)
{
    struct hand *instead = NULL;
    lock(q);
    bool was_idle = list_linked(&h->idle);
    leave_idle(q, h);
    admission_free(&q->admission, h->index);
    if (q->count > 0)
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

void queue_release(struct queue *q)
{
    check(q->hands > 0, "a queue is released that was not made");
    (void)entry_release_held(q, DEADLINE_NEVER);
    while (q->order.count > 0) {
        struct task *t = entry_task(order_oldest(&q->order));
        entry_pop_leader(q, t);
        task_release(t, false);
    }
    order_release(&q->order);
    gather_release(&q->gather);
    admission_release(&q->admission);
    pthread_mutex_destroy(&q->lock);
}

int64_t queue_wait(const struct queue *q)
{
    return atomic_load_explicit(&q->work, memory_order_relaxed) / q->hands;
}
