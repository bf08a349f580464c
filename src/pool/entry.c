/*
 * entry.c: see entry.h.
 */
#include "pool/entry.h"

struct task *entry_task(struct order_item *place)
{
    return container_of(place, struct task, place);
}

static int64_t expected(const struct queue *q, const struct task *t)
{
    return cost_average(&q->costs[t->step], t->input.len);
}

int64_t entry_task_cost(const struct task *t)
{
    return t->cost > 0 ? t->cost : TAKE_BUDGET_NS;
}

int64_t entry_task_cost_now(const struct queue *q, const struct task *t)
{
    int64_t cost = expected(q, t);
    return cost > 0 ? cost : TAKE_BUDGET_NS;
}

static int64_t cost_of(const struct task *t)
{
    int64_t cost = entry_task_cost(t);
    while ((t = t->fused))
        cost += entry_task_cost(t);
    return cost;
}

/* True: of one or more nothing was known, and is now. */
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
        .cost = cost_of(t),
        .deadline = t->due ? t->due : t->deadline,
        .came_at = t->put_at};
}

struct order_place entry_place(const struct queue *q, struct task *t)
{
    (void)learn_costs(q, t);
    return place_of(t);
}

bool entry_is_batch(const struct queue *q, const struct task *t)
{
    return t->batch > 1 && !t->fused && gather_max(&q->gather, t->step) > 1;
}

/* Until when it may be held back. If others come, it is done when they are, too: a full batch must
 * still be in time. */
static int64_t held_until(const struct task *t)
{
    if (t->deadline == DEADLINE_NEVER)
        return DEADLINE_NEVER;
    return t->cost > 0 ? t->deadline - t->cost * t->batch : t->put_at;
}

void entry_add(struct queue *q, struct task *t, bool again)
{
    struct task *member = t;
    do {
        member->leader = t;
        q->count++;
    } while ((member = member->fused));
    bool held = entry_is_batch(q, t) && gather_add(&q->gather, &t->mates, t->step, t->put_at,
                                            again ? t->put_at : held_until(t));
    if (!held)
        order_add(&q->order, &t->place, again);
}

/* Where nobody waits any more, nothing stands. */
static void settle_line(struct queue *q, const struct order_item *item)
{
    struct admission_line *line = order_line(item);
    if (order_line_oldest(item))
        return;
    q->standing_lines -= line->state != ADMISSION_NORMAL;
    admission_drained(line);
}

static void detach(struct queue *q, struct task *t)
{
    if (t->mates.in)
        gather_remove(&q->gather, &t->mates, t->step);
    if (order_in(&t->place))
        order_remove(&q->order, &t->place);
    settle_line(q, &t->place);
}

bool entry_split(struct queue *q, struct task *first, unsigned most)
{
    struct task *last = first;
    unsigned members = 1;
    for (; last->fused && members < most; members++)
        last = last->fused;
    struct task *rest = last->fused;
    if (rest)
        order_replace(&q->order, &first->place, &rest->place, cost_of(rest));
    else
        detach(q, first);
    for (struct task *member = rest; member; member = member->fused)
        member->leader = rest;
    last->fused = NULL;
    q->count -= members;
    return rest != NULL;
}

void entry_pop_leader(struct queue *q, struct task *t)
{
    (void)entry_split(q, t, 1);
    t->leader = NULL;
}

void entry_pop_member(struct queue *q, struct task *t)
{
    struct task **link = &t->leader->fused;
    while (*link != t)
        link = &(*link)->fused;
    *link = t->fused;
    t->fused = t->leader = NULL;
    q->count--;
}

void entry_learn_unserved(struct queue *q, const struct task *t)
{
    if (order_in(&t->place) && t->deadline != DEADLINE_NEVER)
        admission_learn(order_line(&t->place), t->expected_wait, q->seen_at - t->put_at, false);
}

bool entry_reprice(struct queue *q, struct task *t)
{
    if (!learn_costs(q, t))
        return false;
    const struct order_place place = place_of(t);
    const struct order_item before = t->place;
    order_reprice(&q->order, &t->place, &place);
    settle_line(q, &before);
    return true;
}

bool entry_release_held(struct queue *q, int64_t now)
{
    bool any = false;
    for (struct gather_item *due; (due = gather_due(&q->gather, now)); any = true)
        order_add(&q->order, &container_of(due, struct task, mates)->place, false);
    return any;
}
