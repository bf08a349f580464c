/*
 * call_group.c: several calls of one caller: placed, and done here one after the other, or as a set
 * of tasks, of which the last that is done brings all head.
 */
#include "pool/call.h"
#include "pool/choose.h"

#include "base/bug.h"

#include <errno.h>

/* The calls of one caller. Each call that is under way has its task in `held`. */
struct call_group {
    struct pool_client *client;
    struct pool *pool;
    struct pool_call *const *calls;
    unsigned count;
    struct task *head; /* NULL: none is under way */
    unsigned tasks;
    int why;     /* the errno of calls that were left without a result */
    bool gone;   /* the caller has left */
    bool silent; /* no message will come */
};

/* ---- Inline ---- */

/* Returns false if its step turned out to be too slow for this thread. */
static bool run_here(
    struct pool_client *client, struct pool *p, struct pool_call *c, bool forced, int *why)
{
    int rc = call_admit(c, p);
    if (rc == -ECANCELED || rc == -ETIMEDOUT)
        *why = *why ? *why : rc;
    struct task *t = rc ? NULL : call_task(client, p, c, world_now(client->world));
    if (!t)
        return true;
    inline_run(client, t);
    call_take(client, c, t);
    return !choose_ran_inline(client, p, c, forced, world_now(client->world));
}

/* Lets other coroutines and sockets run. Returns false if the caller was cancelled or is late,
 * which call_admit will report. */
static bool await_next_tick(struct pool_client *client)
{
    uint64_t tick = world_tick(client->world);
    int rc = 0;
    while (rc == 0 && world_tick(client->world) == tick)
        rc = coro_yield();
    return rc == 0;
}

/* Returns how many were run: it stops after a step that is too slow for this thread. */
static unsigned run_all_here(struct pool_client *client, struct pool *p,
    struct pool_call *const *calls, unsigned count, bool forced, int *why)
{
    unsigned ran = 0;
    bool goes_on = true;
    while (ran < count && goes_on)
        goes_on = run_here(client, p, calls[ran++], forced, why);
    return ran;
}

/* ---- Putting ---- */

static struct task *make_task(struct call_group *g, struct pool_call *c, int64_t now)
{
    int rc = call_admit(c, g->pool);
    if (rc) {
        if (rc == -ECANCELED || rc == -ETIMEDOUT)
            g->why = rc;
        return NULL;
    }
    struct task *t = call_task(g->client, g->pool, c, now);
    if (!t)
        return NULL;
    if (!g->head) {
        g->head = t;
        t->caller = coro_self();
    }
    task_join_group(t, g->head);
    c->held = t;
    g->tasks++;
    return t;
}

static void make_tasks(struct call_group *g, bool fused, int64_t now)
{
    struct task *last = NULL;
    for (unsigned i = 0; i < g->count; i++) {
        struct task *t = make_task(g, g->calls[i], now);
        if (t && last && fused) {
            last->item.fused = &t->item;
            last->item.batch = t->item.batch = 1;
        }
        last = t ? t : last;
    }
}

static void count_off(struct call_group *g)
{
    if (task_group_count_down(g->head))
        g->silent = true;
}

/* The queue refused it: both references are ours. */
static void take_back(struct call_group *g, struct pool_call *c, int rc, int64_t retry_after)
{
    struct task *t = c->held;
    call_refused(c, rc, retry_after);
    c->held = NULL;
    t->item.fused = NULL;
    task_release(t, true);
    task_release(t, true);
    count_off(g);
}

static void put_fused(struct call_group *g)
{
    int rc = queue_put(&g->pool->queue, &g->head->item, g->client);
    /* An admitted task is the queue's: not read any more. */
    int64_t retry_after = rc ? g->head->item.retry_after : 0;
    for (unsigned i = 0; i < g->count && rc; i++)
        if (g->calls[i]->held)
            take_back(g, g->calls[i], rc, retry_after);
}

/* ---- Waiting ---- */

static bool has_result(const struct task *t)
{
    return atomic_load_explicit(&t->state, memory_order_relaxed) == TASK_DONE;
}

/* The earliest deadline of a call that is under way. */
static int64_t next_deadline(const struct call_group *g)
{
    int64_t next = DEADLINE_NEVER;
    for (unsigned i = 0; i < g->count; i++) {
        const struct task *t = g->calls[i]->held;
        if (t && !has_result(t))
            next = deadline_sooner(next, t->item.deadline);
    }
    return next;
}

/* Returns false if it has a result, which is taken with the others'. */
static bool leave(struct call_group *g, struct pool_call *c, int why)
{
    struct task *t = c->held;
    if (!task_leave(t))
        return false;
    c->held = NULL;
    call_left(c, t, why);
    task_release(t, true);
    count_off(g);
    return true;
}

/* A needed call was refused, and so are all calls of the group: their results would be useless. A
 * task that a worker has already is cancelled. */
static void withdraw(struct call_group *g, unsigned refused, int rc, int64_t retry_after)
{
    for (unsigned i = 0; i < g->count; i++) {
        struct pool_call *c = g->calls[i];
        if (!c->held)
            continue;
        if (i > refused || queue_remove(&g->pool->queue, &c->held->item))
            take_back(g, c, rc, retry_after);
        else if (leave(g, c, -ECANCELED))
            call_refused(c, rc, retry_after);
    }
}

static void put_each(struct call_group *g)
{
    for (unsigned i = 0; i < g->count; i++) {
        struct pool_call *c = g->calls[i];
        int rc = c->held ? queue_put(&g->pool->queue, &c->held->item, g->client) : 0;
        if (rc == 0)
            continue;
        int64_t retry_after = c->held->item.retry_after;
        take_back(g, c, rc, retry_after);
        if (!c->needed)
            continue;
        withdraw(g, i, rc, retry_after);
        return;
    }
}

/* Leaves the calls whose deadline has passed; all of them if the caller's has. */
static void leave_late(struct call_group *g, int why)
{
    int64_t now = world_now(g->client->world);
    int own = coro_poll();
    g->gone = own != 0;
    for (unsigned i = 0; i < g->count; i++) {
        struct pool_call *c = g->calls[i];
        if (!c->held || (!own && c->held->item.deadline > now))
            continue;
        if (leave(g, c, own ? own : why) && own)
            g->why = own;
    }
}

static int park_until(int64_t deadline)
{
    CORO_DEADLINE(deadline);
    return coro_park("tasks");
}

/* Returns when each call has a result or was left, or the caller has left. */
static void wait_for_all(struct call_group *g)
{
    struct task *head = g->head;
    while (head->caller && !g->silent && !g->gone) {
        int rc = park_until(next_deadline(g));
        if (rc)
            leave_late(g, rc);
    }
    if (head->caller && !g->silent)
        g->client->early++; /* the message is under way */
    head->caller = NULL;
    if (g->silent)
        task_release(head, true);
}

/* ---- The end ---- */

/* Learns the time beyond the steps' own; or, fanned out, the whole time. */
static void note_dispatch(const struct call_group *g, bool fanout, int64_t began)
{
    int64_t took = world_now(g->client->world) - began;
    int64_t sum = 0;
    for (unsigned i = 0; i < g->count; i++) {
        if (g->calls[i]->outcome != POOL_DONE)
            return;
        sum += g->calls[i]->wall_ns;
    }
    if (fanout)
        fanout_note(&g->pool->dispatch, sum, took);
    else
        dispatch_note(&g->pool->dispatch, took - sum);
}

static void take_all(struct call_group *g)
{
    for (unsigned i = 0; i < g->count; i++) {
        struct pool_call *c = g->calls[i];
        struct task *t = c->held;
        c->held = NULL;
        if (t)
            call_take(g->client, c, t);
    }
}

/* Returns true if it is alone and workers are idle: then its time measures a dispatch. */
static bool is_undisturbed(const struct call_group *g, bool fanout)
{
    const struct queue *q = &g->pool->queue;
    return g->tasks == g->count && g->client->under_way == 0 && !g->client->wakes &&
           atomic_load_explicit(&q->length, memory_order_relaxed) == 0 &&
           atomic_load_explicit(&q->idle_workers, memory_order_relaxed) > fanout;
}

/* Then a put wakes nobody, and its time measures the effort. */
static bool is_busy(const struct pool *p)
{
    return atomic_load_explicit(&p->queue.idle_workers, memory_order_relaxed) == 0;
}

static int dispatch_group(struct call_group *g, bool fused, int64_t now)
{
    make_tasks(g, fused, now);
    struct task *head = g->head;
    if (!head)
        return g->why;
    /* The head is read until the end, whatever becomes of its call. */
    atomic_fetch_add_explicit(&head->holders, 1, memory_order_relaxed);
    bool fanout = !fused && g->count > 1;
    bool tells = is_undisturbed(g, fanout);
    bool busy = is_busy(g->pool);
    uint64_t asked = g->client->asked;
    g->client->under_way++;
    atomic_fetch_add_explicit(&g->pool->groups, 1, memory_order_relaxed);
    if (fused)
        put_fused(g);
    else
        put_each(g);
    if (busy)
        estimate_note(&g->pool->dispatch.effort,
            (world_now(g->client->world) - now) / (fused ? 1 : g->tasks));
    wait_for_all(g);
    g->client->under_way--;
    atomic_fetch_sub_explicit(&g->pool->groups, 1, memory_order_relaxed);
    take_all(g);
    task_release(head, true);
    if (tells && !g->why && asked == g->client->asked)
        note_dispatch(g, fanout, now);
    return g->why;
}

int pool_call_all(struct pool_client *client, struct pool *p, struct pool_call *const *calls,
    unsigned count, enum pool_dispatch dispatch, enum placement *placed)
{
    int rc = 0;
    for (unsigned i = 0; i < count; i++)
        call_begin(p, calls[i]);
    if (count == 0)
        return 0;
    client->asked++;
    bool waits;
    enum placement where =
        choose(client, p, calls, count, dispatch, world_now(client->world), &waits);
    if (where == PLACE_INLINE && waits &&
        await_next_tick(client)) /* others may have measured it meanwhile */
        where = choose(client, p, calls, count, dispatch, world_now(client->world), &waits);
    placement_metrics_count(client, p, where);
    if (placed)
        *placed = where;
    unsigned ran = 0;
    if (where == PLACE_INLINE)
        ran = run_all_here(client, p, calls, count, dispatch == POOL_INLINE, &rc);
    if (ran < count) {
        struct call_group g = {
            .client = client, .pool = p, .calls = calls + ran, .count = count - ran};
        int gone = dispatch_group(&g, where == PLACE_FUSED, world_now(client->world));
        rc = rc ? rc : gone;
    }
    for (unsigned i = 0; i < count; i++)
        pool_metrics_count(client, p, calls[i]);
    return rc;
}

int pool_try_dispatch(struct pool_client *client, struct pool *p)
{
    struct pool_call c = POOL_CALL(.step = p->step_count, .input = SPAN("true"));
    struct pool_call *calls[] = {&c};
    struct call_group g = {.client = client, .pool = p, .calls = calls, .count = 1};
    int rc = dispatch_group(&g, false, world_now(client->world));
    if (rc == 0 && c.outcome != POOL_DONE)
        rc = c.error.code ? c.error.code : -EIO;
    pool_call_release(&c);
    return rc;
}
