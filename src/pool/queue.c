/*
 * queue.c: the tasks that wait, and the hands that wait for one. Which task is next is order.c's,
 * which are held back for others of their kind gather.c's, who may come in admission.c's; here is
 * the lock around these, and the hands.
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

#include <errno.h>

int queue_init(struct queue *q, unsigned max, unsigned hands, const struct step_cost *costs)
{
    *q = (struct queue){.max = max, .hands = hands ? hands : 1, .costs = costs};
    list_init(&q->idle);
    order_init(&q->order);
    gather_init(&q->gather);
    int rc = -pthread_mutex_init(&q->lock, NULL);
    return rc ? rc : admission_init(&q->admission, q->hands);
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

static struct task *task_at(struct order_item *place)
{
    return container_of(place, struct task, place);
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

/* ---- In and out; all under the lock ---- */

static int64_t expected(const struct queue *q, const struct task *t)
{
    return cost_average(&q->costs[t->step], t->input.len);
}

/* What a task whose step was never measured is taken to cost: it goes to its hand alone. */
static int64_t presumed(const struct task *t)
{
    return t->cost > 0 ? t->cost : TAKE_BUDGET_NS;
}

/* More may be known of it than when it was put. */
static int64_t presumed_now(const struct queue *q, const struct task *t)
{
    int64_t cost = expected(q, t);
    return cost > 0 ? cost : TAKE_BUDGET_NS;
}

static int64_t presumed_of_all(const struct task *t)
{
    int64_t cost = presumed(t);
    while ((t = t->fused))
        cost += presumed(t);
    return cost;
}

static bool is_batch(const struct queue *q, const struct task *t)
{
    return t->batch > 1 && !t->fused && gather_max(&q->gather, t->step) > 1;
}

/* An entry goes in, at the end or `again`; if it may be, it is held back. */
static void add(struct queue *q, struct task *t, bool again)
{
    struct task *member = t;
    do {
        member->leader = t;
        q->count++;
    } while ((member = member->fused));
    bool held = false;
    if (is_batch(q, t)) {
        int64_t latest = t->deadline == DEADLINE_NEVER ? DEADLINE_NEVER : t->deadline - t->cost;
        held = gather_add(&q->gather, &t->mates, t->step, t->put_at, again ? t->put_at : latest);
    }
    if (!held)
        order_add(&q->order, &t->place, again);
}

/* Where nobody waits, nothing stands. */
static void settle_line(struct queue *q, const struct order_item *item)
{
    struct admission_line *line = order_line(item);
    if (order_line_oldest(item))
        return;
    q->standing_lines -= line->state != ADMISSION_NORMAL;
    admission_drained(line);
}

/* The entry goes out. */
static void detach(struct queue *q, struct task *t)
{
    if (t->mates.in)
        gather_remove(&q->gather, &t->mates, t->step);
    if (order_in(&t->place))
        order_remove(&q->order, &t->place);
    settle_line(q, &t->place);
}

/* `t`, which leads, goes out alone: the next that is fused with it leads. */
static void pop_leader(struct queue *q, struct task *t)
{
    struct task *heir = t->fused;
    if (heir)
        order_replace(&q->order, &t->place, &heir->place, presumed_of_all(heir));
    else
        detach(q, t);
    for (struct task *member = heir; member; member = member->fused)
        member->leader = heir;
    t->fused = t->leader = NULL;
    q->count--;
}

static void pop_member(struct queue *q, struct task *t)
{
    struct task **link = &t->leader->fused;
    while (*link != t)
        link = &(*link)->fused;
    *link = t->fused;
    t->fused = t->leader = NULL;
    q->count--;
}

/* It goes out unserved: it would have waited for longer still. */
static void learn_unserved(struct queue *q, const struct task *t)
{
    if (order_in(&t->place) && t->deadline != DEADLINE_NEVER)
        admission_learn(order_line(&t->place), t->expected_wait, q->seen_at - t->put_at, false);
}

/* ---- Putting ---- */

static int refuse(struct queue *q, struct task *t, enum queue_refusal why, int64_t retry_after)
{
    atomic_fetch_add_explicit(&q->refused[why], 1, memory_order_relaxed);
    t->retry_after = retry_after > 0 ? retry_after : 1;
    return why == REFUSED_FULL ? -ENOBUFS : -ETIME;
}

/* Its place has been found. Where a hand is idle everybody comes in: also one that is not expected
 * to be done in time, since expectations must be able to change. */
static int admit(struct queue *q, struct task *t)
{
    unsigned tasks = 1;
    int64_t cost = t->cost;
    for (const struct task *member = t->fused; member; member = member->fused) {
        cost += member->cost;
        tasks++;
    }
    const struct admission *a = &q->admission;
    if (q->count + tasks > q->max)
        return refuse(q, t, REFUSED_FULL, admission_wait(a, order_cost(&q->order), t->put_at) / 2);
    t->expected_wait = 0;
    if (t->deadline == DEADLINE_NEVER || (q->idle_count > 0 && q->order.count == 0))
        return 0;
    const struct admission_line *line = order_line(&t->place);
    t->expected_wait = admission_wait(a, order_ahead(&q->order, &t->place), t->put_at);
    int64_t wait = admission_expects(line, t->expected_wait, order_line_oldest(&t->place) == NULL);
    int64_t again = admission_refuses(line, wait, cost, t->deadline - t->put_at);
    return again ? refuse(q, t, REFUSED_LATE, again) : 0;
}

/* Whether one that was not known is known now. */
static bool learn_costs(const struct queue *q, struct task *t)
{
    bool news = false;
    for (struct task *member = t; member; member = member->fused) {
        if (member->cost > 0)
            continue;
        member->cost = expected(q, member);
        news |= member->cost > 0;
    }
    return news;
}

static struct order_place place_of(const struct task *t)
{
    return (struct order_place){.route = t->route,
        .priority = t->priority,
        .cost = presumed_of_all(t),
        .deadline = t->deadline,
        .came_at = t->put_at};
}

static int put_new(struct queue *q, struct task *t)
{
    q->seen_at = t->put_at > q->seen_at ? t->put_at : q->seen_at;
    (void)learn_costs(q, t);
    struct order_place place = place_of(t);
    int rc = order_prepare(&q->order, &t->place, &place);
    if (rc == 0)
        rc = admit(q, t);
    /* Each may lead what is left of them. */
    for (struct task *member = t->fused; member; member = member->fused)
        member->expected_wait = t->expected_wait;
    if (rc == 0)
        add(q, t, false);
    return rc;
}

static int put_canary(struct queue *q, struct task *t)
{
    t->put_at = q->seen_at;
    struct order_place place = {.priority = ORDER_PRIORITY_MAX,
        .cost = presumed(t),
        .deadline = DEADLINE_NEVER,
        .came_at = t->put_at - ORDER_PATIENCE_NS};
    int rc = order_prepare(&q->order, &t->place, &place);
    if (rc == 0)
        add(q, t, true);
    return rc;
}

static int put_again(struct queue *q, struct task *t)
{
    add(q, t, true);
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
        learn_unserved(q, t);
        pop_leader(q, t);
    } else if (was_in) {
        pop_member(q, t);
    }
    unlock(q);
    return was_in;
}

/* ---- Taking; under the lock but for the last ---- */

/* What a take is about. */
struct taking {
    struct task **out;
    unsigned max;
    unsigned count;
    int64_t cost;
    int64_t now;
    bool left_over;       /* more than it took came to light */
    struct task *expired; /* to be let go when the lock is left */
    struct task *shed;
};

/* By what links those that are fused, which is the queue's alone: a message that brings a set home
 * may be posted meanwhile, if the caller has left that task and the set's last has its result. */
static void set_aside(struct task **list, struct task *t)
{
    t->fused = *list;
    *list = t;
}

static void hand_out(const struct queue *q, struct taking *k, struct task *t)
{
    k->cost += presumed_now(q, t);
    k->out[k->count++] = t;
}

/* As many of those that are fused as there is room for. */
static void take_entry(struct queue *q, struct taking *k, struct task *t)
{
    unsigned room = k->max - k->count;
    struct task *const first = t;
    struct task *last = t;
    unsigned members = 1;
    for (; last->fused && members < room; members++)
        last = last->fused;
    struct task *rest = last->fused;
    int64_t cost = 0;
    if (rest)
        order_replace(&q->order, &t->place, &rest->place, presumed_of_all(rest));
    else
        detach(q, t);
    k->left_over |= rest != NULL;
    for (struct task *member = rest; member; member = member->fused)
        member->leader = rest;
    q->count -= members;
    while (t != rest) {
        struct task *next = t->fused;
        /* Each may have to come back, and alone. */
        order_inherit(&t->place, &first->place, presumed(t));
        t->fused = t->leader = NULL;
        if (t->deadline <= k->now) {
            set_aside(&k->expired, t);
        } else {
            cost += presumed(t);
            hand_out(q, k, t);
        }
        t = next;
    }
    order_charge(&q->order, &first->place, cost);
}

static void take_batch(struct queue *q, struct taking *k, struct task *first)
{
    unsigned most = first->batch < k->max ? first->batch : k->max;
    unsigned step = first->step;
    take_entry(q, k, first);
    struct gather_item *mate;
    while (k->count < most && (mate = gather_mate(&q->gather, step)))
        take_entry(q, k, container_of(mate, struct task, mates));
}

/* Those that were held back long enough. */
static bool release_held(struct queue *q, int64_t now)
{
    bool any = false;
    for (struct gather_item *due; (due = gather_due(&q->gather, now)); any = true)
        order_add(&q->order, &container_of(due, struct task, mates)->place, false);
    return any;
}

/* Whether it can be met no more by what is expected, while others can. */
static bool is_hopeless(const struct queue *q, const struct task *t, int64_t wait, int64_t now)
{
    return q->order.count > 1 && t->deadline != DEADLINE_NEVER &&
           now + wait + t->cost > t->deadline;
}

static void let_expire(struct queue *q, struct taking *k, struct task *t)
{
    learn_unserved(q, t);
    pop_leader(q, t);
    set_aside(t->deadline <= k->now ? &k->expired : &k->shed, t);
}

/* Where the newest is first, the oldest waits for all others. */
static void shed_oldest(struct queue *q, struct taking *k, struct task *t)
{
    struct task *oldest = task_at(order_line_oldest(&t->place));
    while (oldest != t && order_line(&t->place)->state == ADMISSION_NEWEST) {
        int64_t wait = admission_wait(&q->admission, order_cost(&q->order), k->now);
        if (!is_hopeless(q, oldest, wait - oldest->cost, k->now))
            return;
        let_expire(q, k, oldest);
        oldest = task_at(order_line_oldest(&t->place));
    }
}

/* Before it goes out, to be served. */
static void observe(struct queue *q, const struct task *t, int64_t now)
{
    struct admission_line *line = order_line(&t->place);
    bool stood = line->state != ADMISSION_NORMAL;
    const struct task *seen = t;
    if (line->state == ADMISSION_NEWEST)
        seen = task_at(order_line_oldest(&t->place));
    else if (t->deadline != DEADLINE_NEVER)
        admission_learn(line, t->expected_wait, now - t->put_at, true);
    int64_t left = seen->deadline == DEADLINE_NEVER ? DEADLINE_NEVER : seen->deadline - now;
    admission_taken(line, now - seen->put_at, left, presumed(t), now);
    q->standing_lines += (line->state != ADMISSION_NORMAL) - stood;
}

/* Whether a further entry may be taken, too. */
static bool fits(const struct queue *q, const struct taking *k, const struct task *t)
{
    int64_t cost = k->cost + presumed_now(q, t);
    for (const struct task *member = t->fused; member; member = member->fused)
        cost += presumed_now(q, member);
    return !is_batch(q, t) && cost <= TAKE_BUDGET_NS;
}

static unsigned share_of(const struct queue *q)
{
    unsigned share = (q->order.count + q->hands - 1) / q->hands;
    return share ? share : 1;
}

static void take(struct queue *q, struct taking *k)
{
    k->left_over = release_held(q, k->now);
    unsigned share = share_of(q);
    struct order_item *first;
    unsigned entries = 0;
    while (k->count < k->max && entries < share && (first = order_first(&q->order, k->now))) {
        struct task *t = task_at(first);
        if (learn_costs(q, t)) {
            const struct order_place place = place_of(t);
            const struct order_item before = *first;
            order_reprice(&q->order, first, &place);
            settle_line(q, &before);
            continue;
        }
        if (t->deadline <= k->now || is_hopeless(q, t, 0, k->now)) {
            let_expire(q, k, t);
            continue;
        }
        if (k->count > 0 && !fits(q, k, t))
            return;
        shed_oldest(q, k, t);
        observe(q, t, k->now);
        bool alone = is_batch(q, t);
        entries++;
        if (alone)
            take_batch(q, k, t);
        else
            take_entry(q, k, t);
        if (alone && k->count > 0)
            return;
    }
}

static struct task *pop_aside(struct task **list)
{
    struct task *t = *list;
    *list = t->fused;
    t->fused = NULL;
    return t;
}

static void let_go(struct queue *q, struct taking *k, struct pool_desk *from)
{
    while (k->expired)
        task_fail(pop_aside(&k->expired), POOL_EXPIRED, from,
            "the deadline passed before the task could be started");
    while (k->shed) {
        atomic_fetch_add_explicit(&q->refused[REFUSED_SHED], 1, memory_order_relaxed);
        struct task *t = pop_aside(&k->shed);
        t->retry_after = t->deadline - t->put_at;
        task_fail(t, POOL_OVERLOADED, from, "the task cannot be done before its deadline any more");
    }
}

/* Whether an idle hand is to look too: perhaps this one was to come again for what is held back. */
static bool needs_another(const struct queue *q, const struct taking *k)
{
    return (k->left_over && q->order.count > 0) || gather_moment(&q->gather) != DEADLINE_NEVER;
}

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
        take(q, &k);
        h->waits = k.count == 0;
    }
    if (h->waits)
        become_idle(q, h);
    else
        admission_busy(&q->admission, h->index, now + k.cost);
    h->until = h->waits ? gather_moment(&q->gather) : DEADLINE_NEVER;
    if (!h->waits && needs_another(q, &k))
        other = pick_idle(q, h->desk);
    unlock(q);
    if (other)
        other->wake(other, h->desk);
    let_go(q, &k, h->desk);
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
    release_held(q, DEADLINE_NEVER);
    while (q->order.count > 0) {
        struct task *t = task_at(order_oldest(&q->order));
        pop_leader(q, t);
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
