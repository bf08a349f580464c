/*
 * take.c: see take.h.
 *
 * Entries are taken in order.c's order: a hand's fair share of them, as long as they are cheap
 * together; one of a batch brings its mates. Who cannot be met any more is let go instead, so that
 * no hand is spent on it: who is late, and while others wait who is expected to be.
 */
#include "pool/take.h"

#include "pool/entry.h"

/* By what links those that are fused, which is the queue's alone: a message that brings a set home
 * may be posted meanwhile, if the caller has left that task and the set's last has its result. */
static void set_aside(struct task **list, struct task *t)
{
    t->fused = *list;
    *list = t;
}

static void hand_out(const struct queue *q, struct taking *k, struct task *t)
{
    k->cost += entry_task_cost_now(q, t);
    k->out[k->count++] = t;
}

/* As many of those that are fused as there is room for. */
static void take_entry(struct queue *q, struct taking *k, struct task *first)
{
    int64_t cost = 0;
    k->left_over |= entry_split(q, first, k->max - k->count);
    for (struct task *t = first, *next; t; t = next) {
        next = t->fused;
        /* Each may have to come back, and alone. */
        order_inherit(&t->place, &first->place, entry_task_cost(t));
        t->fused = t->leader = NULL;
        if (t->deadline <= k->now) {
            set_aside(&k->expired, t);
        } else {
            cost += entry_task_cost(t);
            hand_out(q, k, t);
        }
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

/* Whether it can be met no more by what is expected, while others can. */
static bool is_hopeless(const struct queue *q, const struct task *t, int64_t wait, int64_t now)
{
    return q->order.count > 1 && t->deadline != DEADLINE_NEVER &&
           now + wait + t->cost > t->deadline;
}

static void let_expire(struct queue *q, struct taking *k, struct task *t)
{
    entry_learn_unserved(q, t);
    entry_pop_leader(q, t);
    set_aside(t->deadline <= k->now ? &k->expired : &k->shed, t);
}

/* Where the newest is first, the oldest waits for all others. */
static void shed_oldest(struct queue *q, struct taking *k, struct task *t)
{
    struct task *oldest = entry_task(order_line_oldest(&t->place));
    while (oldest != t && order_line(&t->place)->state == ADMISSION_NEWEST) {
        int64_t wait = admission_wait(&q->admission, order_cost(&q->order), k->now);
        if (!is_hopeless(q, oldest, wait - oldest->cost, k->now))
            return;
        let_expire(q, k, oldest);
        oldest = entry_task(order_line_oldest(&t->place));
    }
}

/* Before it goes out, to be served. */
static void observe(struct queue *q, const struct task *t, int64_t now)
{
    struct admission_line *line = order_line(&t->place);
    bool stood = line->state != ADMISSION_NORMAL;
    const struct task *seen = t;
    if (line->state == ADMISSION_NEWEST)
        seen = entry_task(order_line_oldest(&t->place));
    else if (t->deadline != DEADLINE_NEVER)
        admission_learn(line, t->expected_wait, now - t->put_at, true);
    int64_t left = seen->deadline == DEADLINE_NEVER ? DEADLINE_NEVER : seen->deadline - now;
    admission_taken(line, now - seen->put_at, left, entry_task_cost(t), now);
    q->standing_lines += (line->state != ADMISSION_NORMAL) - stood;
}

/* Whether a further entry may be taken, too. */
static bool fits(const struct queue *q, const struct taking *k, const struct task *t)
{
    int64_t cost = k->cost + entry_task_cost_now(q, t);
    for (const struct task *member = t->fused; member; member = member->fused)
        cost += entry_task_cost_now(q, member);
    return !entry_is_batch(q, t) && cost <= TAKE_BUDGET_NS;
}

static unsigned share_of(const struct queue *q)
{
    unsigned share = (q->order.count + q->hands - 1) / q->hands;
    return share ? share : 1;
}

void taking_fill(struct queue *q, struct taking *k)
{
    k->left_over = entry_release_held(q, k->now);
    unsigned share = share_of(q);
    struct order_item *first;
    unsigned entries = 0;
    while (k->count < k->max && entries < share && (first = order_first(&q->order, k->now))) {
        struct task *t = entry_task(first);
        if (entry_reprice(q, t))
            continue;
        if (t->deadline <= k->now || is_hopeless(q, t, 0, k->now)) {
            let_expire(q, k, t);
            continue;
        }
        if (k->count > 0 && !fits(q, k, t))
            return;
        shed_oldest(q, k, t);
        observe(q, t, k->now);
        bool alone = entry_is_batch(q, t);
        entries++;
        if (alone)
            take_batch(q, k, t);
        else
            take_entry(q, k, t);
        if (alone && k->count > 0)
            return;
    }
}

bool taking_leaves_more(const struct queue *q, const struct taking *k)
{
    return (k->left_over && q->order.count > 0) || gather_moment(&q->gather) != DEADLINE_NEVER;
}

static struct task *pop_aside(struct task **list)
{
    struct task *t = *list;
    *list = t->fused;
    t->fused = NULL;
    return t;
}

void taking_let_go(struct queue *q, struct taking *k, struct pool_desk *from)
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
