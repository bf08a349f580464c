/*
 * What goes through the queue together: tasks that are fused, and batches.
 */
#include "queue_fixture.h"

/* ---- Several as one ---- */

static void expect(unsigned count, const uint64_t *ids)
{
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(got[i]->id, ids[i]);
        assert_null(got[i]->item.fused);
        assert_null(got[i]->item.leader);
    }
}

static void fused_tasks_go_to_one_hand_in_their_order(void **state)
{
    set_cost(0, 10 * TAKE_BUDGET_NS);
    become_idle(1);
    become_idle(2);
    put(task(1, 50));
    put(fuse(10, 3, 20));
    assert_int_equal(woken[1] + woken[2], 2);
    assert_int_equal(atomic_load(&q.length), 4);
    assert_int_equal(take_tasks(&workers[0], got, TAKE_MAX, 0), 3);
    expect(3, (const uint64_t[]){10, 11, 12});
    /* Each comes back for itself, to where they were. */
    assert_int_equal(queue_put_back(&q, &got[2]->item, NULL), 0);
    assert_int_equal(queue_put_back(&q, &got[1]->item, NULL), 0);
    task_free(got[0]);
    assert_int_equal(take(TAKE_MAX), 1);
    assert_int_equal(take(TAKE_MAX), 1);
    assert_int_equal(next(), 1);
}

static void of_fused_tasks_each_may_leave(void **state)
{
    struct task *all = fuse(10, 4, 20);
    struct task *second = fused_to(all);
    struct task *third = fused_to(second);
    put(all);
    assert_true(queue_remove(&q, &third->item));
    assert_true(queue_remove(&q, &all->item));
    assert_false(queue_remove(&q, &all->item));
    assert_int_equal(atomic_load(&q.length), 2);
    assert_int_equal(take_tasks(&workers[0], got, TAKE_MAX, 0), 2);
    expect(2, (const uint64_t[]){11, 13});
    free_got(2);
    task_free(all);
    task_free(third);
    assert_int_equal(next(), 0);
}

static void a_hand_that_takes_one_takes_the_first_of_them(void **state)
{
    become_idle(1);
    become_idle(2);
    put(fuse(10, 3, 20));
    assert_int_equal(woken[2], 1);
    assert_int_equal(next(), 10);
    /* The rest is for others. */
    assert_int_equal(woken[1], 1);
    assert_int_equal(next(), 11);
    assert_int_equal(next(), 12);
    assert_int_equal(next(), 0);
}

static void fused_tasks_that_do_not_fit_are_all_refused(void **state)
{
    put_many(126, 0);
    struct task *all = fuse(500, 3, 1000);
    assert_int_equal(queue_put(&q, &all->item, NULL), -ENOBUFS);
    assert_int_equal(atomic_load(&q.length), 126);
    while (all) {
        struct task *t = all;
        all = fused_to(t);
        task_free(t);
    }
}

/* ---- Batches ---- */

static void tasks_of_a_step_go_together_whatever_they_cost(void **state)
{
    use_batches(0);
    set_cost(2, 10 * TAKE_BUDGET_NS);
    put(batched(1, 0));
    put(task(20, 30));
    for (uint64_t i = 2; i <= 6; i++)
        put(batched(i, 0));
    assert_int_equal(next(), 20);
    assert_int_equal(take_tasks(&workers[0], got, TAKE_MAX, 0), 4);
    expect(4, (const uint64_t[]){1, 2, 3, 4});
    free_got(4);
    assert_int_equal(take(TAKE_MAX), 2);
    assert_int_equal(take(TAKE_MAX), 0);
}

static void a_hand_comes_again_for_what_is_held_back(void **state)
{
    use_batches(WAIT);
    become_idle(0);
    assert_int_equal(workers[0].until, DEADLINE_NEVER);
    become_idle(1);
    put(batched(1, 100));
    /* One looks, and knows when. */
    assert_int_equal(woken[1], 1);
    assert_int_equal(take_tasks(&workers[1], got, TAKE_MAX, 100), 0);
    assert_true(workers[1].waits);
    assert_int_equal(workers[1].until, 100 + WAIT);
    put(batched(2, 200));
    assert_int_equal(woken[0] + woken[1], 1);
    /* It is needed for something else: another knows. */
    put(task(30, 1000));
    assert_int_equal(woken[1], 2);
    assert_int_equal(take_tasks(&workers[1], got, TAKE_MAX, 300), 1);
    expect(1, (const uint64_t[]){30});
    free_got(1);
    assert_int_equal(woken[0], 1);
    assert_int_equal(take_tasks(&workers[0], got, TAKE_MAX, 400), 0);
    assert_int_equal(workers[0].until, 100 + WAIT);
    assert_int_equal(take_tasks(&workers[0], got, TAKE_MAX, 100 + WAIT), 2);
    expect(2, (const uint64_t[]){1, 2});
    free_got(2);
}

/* When the worker would come again for one that has so long; DEADLINE_NEVER: it has taken it. */
static int64_t held_for(int64_t has_ns)
{
    struct task *t = batched(1, 0);
    t->item.deadline = has_ns == DEADLINE_NEVER ? DEADLINE_NEVER : 100 + has_ns;
    t->item.put_at = 100;
    put(t);
    if (take_tasks(&workers[0], got, TAKE_MAX, 100) == 1) {
        task_free(t);
        return DEADLINE_NEVER;
    }
    int64_t until = workers[0].until;
    assert_true(queue_remove(&q, &t->item));
    task_free(t);
    return until - 100;
}

/* Of four that cost a quarter of a millisecond each. */
static void a_full_batch_must_be_in_time(void **state)
{
    use_batches(WAIT);
    assert_int_equal(held_for(10 * WAIT), DEADLINE_NEVER); /* who knows what it takes */
    assert_int_equal(held_for(DEADLINE_NEVER), WAIT);
    set_cost(2, NS_PER_MS / 4);
    assert_int_equal(held_for(10 * WAIT), WAIT);
    assert_int_equal(held_for(WAIT), WAIT - NS_PER_MS);
    assert_int_equal(held_for(NS_PER_MS), DEADLINE_NEVER);
}

static void a_full_batch_goes_at_once(void **state)
{
    use_batches(WAIT);
    for (uint64_t i = 1; i <= 3; i++)
        put(batched(i, 0));
    become_idle(1);
    assert_int_equal(workers[1].until, WAIT);
    put(batched(4, 0));
    assert_int_equal(woken[1], 1);
    assert_int_equal(take(TAKE_MAX), 4);
}

static void what_is_held_back_may_leave(void **state)
{
    use_batches(WAIT);
    struct task *t = batched(1, 0);
    put(t);
    put(batched(2, 0));
    assert_true(queue_remove(&q, &t->item));
    task_free(t);
    become_idle(0);
    assert_int_equal(workers[0].until, WAIT);
    /* The other is let go with the queue. */
}

/* ---- Who pays ---- */

static void put_singles(uint64_t first, unsigned route, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct task *t = task(first + i, 1000);
        t->item.route = route;
        put(t);
    }
}

#define ENOUGH 40

/* Of so many tasks that go out, two at a time, those of route 0. */
static unsigned share_of_first_route(unsigned count)
{
    unsigned share = 0;
    for (unsigned i = 0; i < count;) {
        unsigned taken = take_tasks(&workers[0], got, 2, 0);
        assert_true(taken > 0);
        for (unsigned j = 0; j < taken; j++)
            share += got[j]->item.route == 0;
        free_got(taken);
        i += taken;
    }
    return share;
}

static void a_route_pays_for_fused_tasks_that_are_taken_in_parts(void **state)
{
    set_cost(0, TAKE_BUDGET_NS);
    for (unsigned i = 0; i < ENOUGH / 4; i++)
        put(fuse(i * 4, 4, 1000));
    put_singles(1000, 1, ENOUGH);
    assert_in_range(share_of_first_route(ENOUGH), ENOUGH / 2 - 4, ENOUGH / 2 + 4);
    while (take(TAKE_MAX) > 0)
        continue;
}

static void mates_are_paid_for_by_their_own_route(void **state)
{
    use_batches(0);
    set_cost(0, TAKE_BUDGET_NS);
    set_cost(2, TAKE_BUDGET_NS);
    for (uint64_t i = 1; i <= 4; i++) {
        struct task *t = batched(i, 0);
        t->item.route = i > 1;
        put(t);
    }
    assert_int_equal(take_tasks(&workers[0], got, TAKE_MAX, 0), 4);
    free_got(4);
    put_singles(100, 1, 3);
    put_singles(200, 0, 3);
    assert_int_equal(next(), 200);
    while (take(1) > 0)
        continue;
}

static void a_route_does_not_pay_for_what_is_late(void **state)
{
    set_cost(0, TAKE_BUDGET_NS);
    struct task *set = fuse(10, 4, 1000);
    for (struct task *t = fused_to(set); t; t = fused_to(t)) {
        t->item.deadline = NS_PER_MS;
        atomic_store(&t->state, TASK_DROPPED);
    }
    put(set);
    assert_int_equal(take_tasks(&workers[0], got, TAKE_MAX, NS_PER_S), 1);
    free_got(1);
    put_singles(100, 0, 3);
    put_singles(200, 1, 3);
    assert_int_equal(next(), 200);
    assert_int_equal(next(), 100);
    while (take(1) > 0)
        continue;
}

TEST_FILE(queue_sets)
{
#define QUEUE_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        QUEUE_TEST(fused_tasks_go_to_one_hand_in_their_order),
        QUEUE_TEST(of_fused_tasks_each_may_leave),
        QUEUE_TEST(a_hand_that_takes_one_takes_the_first_of_them),
        QUEUE_TEST(fused_tasks_that_do_not_fit_are_all_refused),
        QUEUE_TEST(tasks_of_a_step_go_together_whatever_they_cost),
        QUEUE_TEST(a_hand_comes_again_for_what_is_held_back),
        QUEUE_TEST(a_full_batch_goes_at_once),
        QUEUE_TEST(a_full_batch_must_be_in_time),
        QUEUE_TEST(what_is_held_back_may_leave),
        QUEUE_TEST(a_route_pays_for_fused_tasks_that_are_taken_in_parts),
        QUEUE_TEST(mates_are_paid_for_by_their_own_route),
        QUEUE_TEST(a_route_does_not_pay_for_what_is_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
