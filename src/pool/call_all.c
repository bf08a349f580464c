/*
 * call_all.c: several calls of one caller: placed, and done here one after the other, or as a set
 * of tasks, of which the last that is done brings all home.
 */
#include "pool/call.h"
#include "pool/choose.h"

#include "base/bug.h"

#include <errno.h>

/* What a caller has handed over. Each call that is under way has its task in `held`. */
struct set {
    struct pool_desk *desk;
    struct pool *pool;
    struct pool_call *const *calls;
    unsigned count;
    struct task *home; /* NULL: none is under way */
    unsigned tasks;
    int why;     /* some were left without a result */
    bool gone;   /* nobody waits any more */
    bool silent; /* no message will come any more */
};

/* ---- Here and now ---- */

/* False: its step turned out to be nothing for this thread. */
static bool run_here(
    struct pool_desk *d, struct pool *p, struct pool_call *c, bool forced, int *why)
{
    int rc = call_admit(c, p);
    if (rc == -ECANCELED || rc == -ETIMEDOUT)
        *why = *why ? *why : rc;
    struct task *t = rc ? NULL : call_task(d, p, c, NULL, world_now(d->world));
    if (!t)
        return true;
    inline_run(d, t);
    (void)call_take(d, c, t);
    return !choose_ran_inline(d, p, c, forced, world_now(d->world));
}

/* The others have their turn, and the sockets. False: meanwhile the caller was cancelled, or is
 * late, as call_admit will say. */
static bool await_next_turn(struct pool_desk *d)
{
    uint64_t turn = world_turn(d->world);
    int rc = 0;
    while (rc == 0 && world_turn(d->world) == turn)
        rc = coro_yield();
    return rc == 0;
}

/* How many of them were run: if one turns out to be nothing for this thread, neither are those
 * behind it. */
static unsigned run_all_here(struct pool_desk *d, struct pool *p, struct pool_call *const *calls,
    unsigned count, bool forced, int *why)
{
    unsigned ran = 0;
    bool goes_on = true;
    while (ran < count && goes_on)
        goes_on = run_here(d, p, calls[ran++], forced, why);
    return ran;
}

/* ---- Handing over ---- */

static struct task *make_task(struct set *s, struct pool_call *c, int64_t now)
{
    int rc = call_admit(c, s->pool);
    if (rc) {
        if (rc == -ECANCELED || rc == -ETIMEDOUT)
            s->why = rc;
        return NULL;
    }
    struct task *t = call_task(s->desk, s->pool, c, NULL, now);
    if (!t)
        return NULL;
    if (!s->home) {
        s->home = t;
        t->caller = coro_self();
    }
    task_joins_set(t, s->home);
    c->held = t;
    s->tasks++;
    return t;
}

static void make_tasks(struct set *s, bool fused, int64_t now)
{
    struct task *last = NULL;
    for (unsigned i = 0; i < s->count; i++) {
        struct task *t = make_task(s, s->calls[i], now);
        if (t && last && fused) {
            last->fused = t;
            last->batch = t->batch = 1;
        }
        last = t ? t : last;
    }
}

static void count_off(struct set *s)
{
    if (task_counts_off(s->home))
        s->silent = true;
}

/* The queue did not take it: both holds are ours. */
static void take_back(struct set *s, struct pool_call *c, int rc, int64_t retry_after)
{
    struct task *t = c->held;
    (void)call_refused(c, rc, retry_after);
    c->held = NULL;
    t->fused = NULL;
    task_release(t, true);
    task_release(t, true);
    count_off(s);
}

static void put_fused(struct set *s)
{
    int rc = queue_put(&s->pool->queue, s->home, s->desk);
    /* One that is in is the queue's. */
    int64_t retry_after = rc ? s->home->retry_after : 0;
    for (unsigned i = 0; i < s->count && rc; i++)
        if (s->calls[i]->held)
            take_back(s, s->calls[i], rc, retry_after);
}

/* ---- Waiting ---- */

static bool has_result(const struct task *t)
{
    return atomic_load_explicit(&t->state, memory_order_relaxed) == TASK_DONE;
}

/* The earliest deadline of a call that is under way. */
static int64_t next_deadline(const struct set *s)
{
    int64_t next = DEADLINE_NEVER;
    for (unsigned i = 0; i < s->count; i++) {
        const struct task *t = s->calls[i]->held;
        if (t && !has_result(t))
            next = deadline_sooner(next, t->deadline);
    }
    return next;
}

/* False: it has a result, which is taken with the others'. */
static bool leave(struct set *s, struct pool_call *c, int why)
{
    struct task *t = c->held;
    if (!task_leave(t))
        return false;
    c->held = NULL;
    (void)call_left(c, t, why);
    task_release(t, true);
    count_off(s);
    return true;
}

/* A call that is needed was refused, and so are all that are called with it: nobody wants what they
 * would give. One that a hand has already is told to end. */
static void withdraw(struct set *s, unsigned refused, int rc, int64_t retry_after)
{
    for (unsigned i = 0; i < s->count; i++) {
        struct pool_call *c = s->calls[i];
        if (!c->held)
            continue;
        if (i > refused || queue_remove(&s->pool->queue, c->held))
            take_back(s, c, rc, retry_after);
        else if (leave(s, c, -ECANCELED))
            (void)call_refused(c, rc, retry_after);
    }
}

static void put_each(struct set *s)
{
    for (unsigned i = 0; i < s->count; i++) {
        struct pool_call *c = s->calls[i];
        int rc = c->held ? queue_put(&s->pool->queue, c->held, s->desk) : 0;
        if (rc == 0)
            continue;
        int64_t retry_after = c->held->retry_after;
        take_back(s, c, rc, retry_after);
        if (!c->needed)
            continue;
        withdraw(s, i, rc, retry_after);
        return;
    }
}

/* Those whose time is over, or all. */
static void leave_late(struct set *s, int why)
{
    int64_t now = world_now(s->desk->world);
    int own = coro_poll();
    s->gone = own != 0;
    for (unsigned i = 0; i < s->count; i++) {
        struct pool_call *c = s->calls[i];
        if (!c->held || (!own && c->held->deadline > now))
            continue;
        if (leave(s, c, own ? own : why) && own)
            s->why = own;
    }
}

static int park_until(int64_t deadline)
{
    CORO_DEADLINE(deadline);
    return coro_park("tasks");
}

/* Until all have a result, or were left; or nobody waits any more for those that have none. */
static void wait_for_all(struct set *s)
{
    struct task *home = s->home;
    while (home->caller && !s->silent && !s->gone) {
        int rc = park_until(next_deadline(s));
        if (rc)
            leave_late(s, rc);
    }
    if (home->caller && !s->silent)
        s->desk->early++; /* the message is under way */
    home->caller = NULL;
    if (s->silent)
        task_release(home, true);
}

/* ---- The end ---- */

/* What it took beside the steps' own time; or, fanned out, in all. */
static void note_handover(const struct set *s, bool fanout, int64_t began)
{
    int64_t took = world_now(s->desk->world) - began;
    int64_t sum = 0;
    for (unsigned i = 0; i < s->count; i++) {
        if (s->calls[i]->outcome != POOL_DONE)
            return;
        sum += s->calls[i]->wall_ns;
    }
    if (fanout)
        fanout_note(&s->pool->handover, sum, took);
    else
        handover_note(&s->pool->handover, took - sum);
}

static void take_all(struct set *s)
{
    for (unsigned i = 0; i < s->count; i++) {
        struct pool_call *c = s->calls[i];
        struct task *t = c->held;
        c->held = NULL;
        if (t)
            (void)call_take(s->desk, c, t);
    }
}

/* Whether it is alone, and hands wait for it: then it tells what handing over takes. */
static bool is_undisturbed(const struct set *s, bool fanout)
{
    const struct queue *q = &s->pool->queue;
    return s->tasks == s->count && s->desk->under_way == 0 && !s->desk->wakes &&
           atomic_load_explicit(&q->length, memory_order_relaxed) == 0 &&
           atomic_load_explicit(&q->idle_hands, memory_order_relaxed) > fanout;
}

/* Putting then is what it costs anyhow: nobody is to be woken for it. */
static bool is_busy(const struct pool *p)
{
    return atomic_load_explicit(&p->queue.idle_hands, memory_order_relaxed) == 0;
}

static int hand_over(struct set *s, bool fused, int64_t now)
{
    make_tasks(s, fused, now);
    struct task *home = s->home;
    if (!home)
        return s->why;
    /* Whatever becomes of its call, it is looked at until the end. */
    atomic_fetch_add_explicit(&home->holders, 1, memory_order_relaxed);
    bool fanout = !fused && s->count > 1;
    bool tells = is_undisturbed(s, fanout);
    bool busy = is_busy(s->pool);
    uint64_t asked = s->desk->asked;
    s->desk->under_way++;
    atomic_fetch_add_explicit(&s->pool->sets, 1, memory_order_relaxed);
    if (fused)
        put_fused(s);
    else
        put_each(s);
    if (busy)
        estimate_note(
            &s->pool->handover.effort, (world_now(s->desk->world) - now) / (fused ? 1 : s->tasks));
    wait_for_all(s);
    s->desk->under_way--;
    atomic_fetch_sub_explicit(&s->pool->sets, 1, memory_order_relaxed);
    take_all(s);
    task_release(home, true);
    if (tells && !s->why && asked == s->desk->asked)
        note_handover(s, fanout, now);
    return s->why;
}

int pool_call_all(struct pool_desk *d, struct pool *p, struct pool_call *const *calls,
    unsigned count, enum pool_dispatch dispatch, enum placement *placed)
{
    int rc = 0;
    for (unsigned i = 0; i < count; i++)
        call_begin(p, calls[i]);
    if (count == 0)
        return 0;
    d->asked++;
    bool waits;
    enum placement where = choose(d, p, calls, count, dispatch, world_now(d->world), &waits);
    if (where == PLACE_INLINE && waits && await_next_turn(d)) /* others may have shown what it is */
        where = choose(d, p, calls, count, dispatch, world_now(d->world), &waits);
    placed_figures_count(d, p, where);
    if (placed)
        *placed = where;
    unsigned ran = 0;
    if (where == PLACE_INLINE)
        ran = run_all_here(d, p, calls, count, dispatch == POOL_INLINE, &rc);
    if (ran < count) {
        struct set s = {.desk = d, .pool = p, .calls = calls + ran, .count = count - ran};
        int gone = hand_over(&s, where == PLACE_FUSED, world_now(d->world));
        rc = rc ? rc : gone;
    }
    for (unsigned i = 0; i < count; i++)
        pool_figures_count(d, p, calls[i]);
    return rc;
}

int pool_try_handover(struct pool_desk *d, struct pool *p)
{
    struct pool_call c = {.step = p->step_count, .input = SPAN("true")};
    struct pool_call *calls[] = {&c};
    struct set s = {.desk = d, .pool = p, .calls = calls, .count = 1};
    int rc = hand_over(&s, false, world_now(d->world));
    if (rc == 0 && c.outcome != POOL_DONE)
        rc = c.error.code ? c.error.code : -EIO;
    pool_call_release(&c);
    return rc;
}
