/*
 * queue_model_test.c: the queue, by chance: tasks alone, fused and in batches, callers that leave,
 * workers that take, put back, go away; a canary, a clock that stands, jumps, and differs between
 * threads; no memory at times; and a close. Whatever happens, each task that was let in comes out
 * once, what is counted is true, and none waits while workers are idle and nobody is to look.
 */
#include "../check.h"

#include "base/rand.h"
#include "exec/client.h"

#include <errno.h>

#define WORKERS 4
#define STEPS   3 /* of the second and third there are batches */
#define TASKS   400
#define MAX     64

enum where { OUTSIDE, IN_QUEUE, AT_A_HAND };

struct thing {
    struct task task;
    enum where where;
    unsigned worker;
};

struct model_worker {
    struct worker worker;
    bool waits; /* in the idle list, as far as it knows */
    bool woken;
};

static struct step_cost costs[STEPS];
static struct queue q;
static struct model_worker workers[WORKERS];
static struct thing things[TASKS];
static struct rand r;
static int64_t now;
static bool closed;

static void wake(struct worker *worker, struct pool_client *from)
{
    struct model_worker *h = container_of(worker, struct model_worker, worker);
    assert_true(h->waits);
    assert_false(h->woken);
    h->woken = true;
}

/* ---- Tasks: their callers have left, so their ends are told to nobody ---- */

static struct thing *thing_of(struct task *t)
{
    return container_of(t, struct thing, task);
}

static struct thing *outside(void)
{
    for (unsigned tries = 0; tries < 20; tries++) {
        struct thing *x = &things[rand_below(&r, TASKS)];
        if (x->where == OUTSIDE)
            return x;
    }
    return NULL;
}

static void become_new(struct thing *x, unsigned step)
{
    struct task *t = &x->task;
    *t = (struct task){.output.base = t->small};
    queue_item_init(&t->item);
    t->item.step = step;
    t->item.batch = step ? 2 + step * 3 : 1;
    atomic_store(&t->holders, 2);
    atomic_store(&t->state, TASK_DROPPED);
    t->item.route = (unsigned)rand_below(&r, rand_ppm(&r, 1000) ? 10000 : 3);
    t->item.priority = (int)rand_between(&r, -3, 3);
    t->item.put_at = now;
    static const int64_t left[] = {
        -NS_PER_S, 0, 1, NS_PER_MS, 2 * NS_PER_MS, NS_PER_S, 100 * NS_PER_S};
    t->item.deadline = rand_ppm(&r, 300000) ? DEADLINE_NEVER : now + left[rand_below(&r, 7)];
}

/* Those that the queue has let go. */
static void collect(void)
{
    for (unsigned i = 0; i < TASKS; i++) {
        struct thing *x = &things[i];
        if (x->where != IN_QUEUE || atomic_load(&x->task.holders) == 2)
            continue;
        assert_int_equal(atomic_load(&x->task.holders), 1);
        assert_null(x->task.item.leader);
        assert_true(closed || x->task.item.deadline != DEADLINE_NEVER);
        x->where = OUTSIDE;
    }
}

/* ---- Moves ---- */

static void put(void)
{
    struct thing *all[6];
    unsigned count = rand_ppm(&r, 300000) ? 1 + (unsigned)rand_below(&r, 6) : 1;
    unsigned found = 0;
    unsigned step = (unsigned)rand_below(&r, STEPS);
    while (found < count && (all[found] = outside())) {
        become_new(all[found], step);
        all[found]->where = IN_QUEUE;
        if (count > 1)
            all[found]->task.item.batch = 1;
        if (found > 0)
            all[found - 1]->task.item.fused = &all[found]->task.item;
        found++;
    }
    if (found == 0)
        return;
    bool no_memory = rand_ppm(&r, 50000);
    if (no_memory)
        mem_fail_at(1, true);
    bool idle = q.idle_count > 0;
    int rc = queue_put(&q, &all[0]->task.item, NULL);
    mem_fail_at(0, false);
    if (closed)
        assert_int_equal(rc, -EPIPE);
    else if (rc == 0)
        assert_true(q.count <= MAX + (idle ? found : 0));
    else
        assert_true((rc == -ENOBUFS && !idle) || rc == -ETIME || (rc == -ENOMEM && no_memory));
    if (rc == -ENOBUFS || rc == -ETIME)
        assert_true(all[0]->task.item.retry_after > 0);
    for (unsigned i = 0; i < found && rc; i++)
        all[i]->where = OUTSIDE;
}

static void put_canary(void)
{
    struct thing *x = outside();
    if (!x)
        return;
    become_new(x, 0);
    x->task.item.deadline = DEADLINE_NEVER;
    int rc = queue_put_canary(&q, &x->task.item, NULL);
    assert_int_equal(rc, closed ? -EPIPE : 0);
    if (rc == 0)
        x->where = IN_QUEUE;
}

static void leave(struct thing *x)
{
    if (x->where != IN_QUEUE)
        return;
    assert_true(queue_remove(&q, &x->task.item));
    assert_false(queue_remove(&q, &x->task.item));
    assert_null(x->task.item.fused);
    x->where = OUTSIDE;
}

static unsigned held_by(unsigned worker)
{
    unsigned count = 0;
    for (unsigned i = 0; i < TASKS; i++)
        count += things[i].where == AT_A_HAND && things[i].worker == worker;
    return count;
}

static void check_batch(struct task **got, unsigned count)
{
    for (unsigned i = 0, first = 0; i < count; i++) {
        if (!item_joins(&got[first]->item, &got[i]->item))
            first = i;
        assert_true(i - first < got[first]->item.batch || got[first]->item.batch < 2);
    }
}

static void take(unsigned i)
{
    struct model_worker *h = &workers[i];
    struct task *got[TAKE_MAX];
    unsigned max = rand_ppm(&r, 500000) ? TAKE_MAX : 1 + (unsigned)rand_below(&r, 8);
    /* Threads do not agree on what time it is. */
    int64_t mine = now - (rand_ppm(&r, 100000) ? rand_between(&r, 0, NS_PER_MS) : 0);
    if (held_by(i) > 0)
        return;
    h->woken = h->waits = false;
    struct queue_item *items[TAKE_MAX];
    unsigned count = queue_take(&q, &h->worker, items, max, mine);
    for (unsigned k = 0; k < count; k++)
        got[k] = task_of(items[k]);
    assert_true(count <= max);
    h->waits = h->worker.waits;
    assert_int_equal(h->waits, count == 0 && !closed);
    for (unsigned k = 0; k < count; k++) {
        struct thing *x = thing_of(got[k]);
        assert_int_equal(x->where, IN_QUEUE);
        assert_int_equal(atomic_load(&x->task.holders), 2);
        assert_true(x->task.item.deadline > mine);
        assert_true(!x->task.item.leader && !x->task.item.fused);
        x->where = AT_A_HAND;
        x->worker = i;
        cost_note(
            &costs[x->task.item.step], 0, rand_exponential(&r, NS_PER_MS << x->task.item.step * 3));
    }
    check_batch(got, count);
}

/* What it has is done, or comes back. */
static void give(unsigned i)
{
    bool back = rand_ppm(&r, 300000);
    for (unsigned k = 0; k < TASKS; k++) {
        struct thing *x = &things[k];
        if (x->where != AT_A_HAND || x->worker != i)
            continue;
        x->where = OUTSIDE;
        if (!back || rand_ppm(&r, 100000))
            continue;
        mem_fail_at(1, true);
        int rc = queue_put_back(&q, &x->task.item, NULL);
        mem_fail_at(0, false);
        assert_int_equal(rc, closed ? -EPIPE : 0);
        if (rc == 0)
            x->where = IN_QUEUE;
    }
}

static void go_away(unsigned i)
{
    struct model_worker *h = &workers[i];
    bool was_idle = queue_away(&q, &h->worker, NULL);
    assert_int_equal(was_idle, h->waits && !h->woken);
    h->waits = h->woken = false;
}

static void time_passes(void)
{
    static const int64_t steps[] = {0, 1, NS_PER_US, NS_PER_MS, 50 * NS_PER_MS, NS_PER_S};
    now += rand_ppm(&r, 1000) ? ORDER_PATIENCE_NS : steps[rand_below(&r, 6)];
}

/* ---- What is always so ---- */

static void check_counts(void)
{
    unsigned in = 0;
    unsigned idle = 0;
    for (unsigned i = 0; i < TASKS; i++)
        in += things[i].where == IN_QUEUE;
    for (unsigned i = 0; i < WORKERS; i++)
        idle += workers[i].waits && !workers[i].woken;
    assert_int_equal(q.count, in);
    assert_int_equal(atomic_load(&q.length), in);
    assert_int_equal(q.idle_count, idle);
    assert_int_equal(atomic_load(&q.idle_workers), idle);
    if (in == 0) {
        assert_int_equal(atomic_load(&q.standing), 0);
        assert_int_equal(atomic_load(&q.work), 0);
        assert_int_equal(batcher_moment(&q.batcher), DEADLINE_NEVER);
    }
}

/* Whoever is idle may be so: others are about to look, or nothing is to be done before it does. */
static void check_nobody_is_forgotten(void)
{
    bool looks = false;
    int64_t first = DEADLINE_NEVER;
    for (unsigned i = 0; i < WORKERS; i++) {
        looks |= workers[i].woken;
        if (workers[i].waits && !workers[i].woken && workers[i].worker.until < first)
            first = workers[i].worker.until;
    }
    if (looks || q.idle_count == 0 || closed)
        return;
    assert_int_equal(q.order.count, 0);
    assert_true(first <= batcher_moment(&q.batcher));
}

static void move(uint64_t puts)
{
    uint64_t what = rand_below(&r, puts + 100);
    unsigned worker = (unsigned)rand_below(&r, WORKERS);
    if (what < 2)
        put_canary();
    else if (what < 15)
        leave(&things[rand_below(&r, TASKS)]);
    else if (what < 50)
        take(worker);
    else if (what < 75)
        give(worker);
    else if (what < 80)
        go_away(worker);
    else if (what < 100)
        time_passes();
    else
        put();
    collect();
    check_counts();
    check_nobody_is_forgotten();
}

static void close_it(void)
{
    closed = true;
    queue_close(&q, NULL);
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(workers[i].waits, workers[i].woken);
}

static void plays(uint64_t seed)
{
    const struct conf_batch batches[STEPS] = {
        {.max = 1}, {.max = 5, .wait = 2 * NS_PER_MS}, {.max = 8, .wait = seed % 2 * NS_PER_S}};
    static const uint64_t load[] = {5, 20, 50};
    rand_init(&r, seed);
    now = (int64_t)rand_below(&r, 3) * NS_PER_S;
    closed = false;
    memset(costs, 0, sizeof costs);
    memset(things, 0, sizeof things);
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i] = (struct model_worker){.worker = {.index = i, .wake = wake}};
        list_init(&workers[i].worker.idle);
    }
    assert_int_equal(queue_init(&q, MAX, WORKERS, costs, task_drop), 0);
    assert_int_equal(queue_batches(&q, batches, STEPS), 0);
    for (unsigned i = 0; i < 1500; i++)
        move(load[seed % 3]);
    close_it();
    for (unsigned i = 0; i < 50; i++)
        move(35);
    queue_release(&q);
    collect();
    for (unsigned i = 0; i < TASKS; i++)
        assert_true(things[i].where != IN_QUEUE);
}

static void none_is_lost_and_none_is_forgotten(void **state)
{
    for (uint64_t seed = 1; seed <= 40; seed++)
        plays(seed);
}

TEST_FILE(queue_model)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(none_is_lost_and_none_is_forgotten)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
