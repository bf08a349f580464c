/*
 * The queue alone: what comes in which order, how many at once, who is woken, and who is refused.
 * What order.c, gather.c and admission.c decide has tests of its own.
 */
#include "queue_fixture.h"

static void tasks_come_in_the_order_of_their_deadlines(void **state)
{
    put(task(1, 30));
    put(task(2, 10));
    put(task(3, 20));
    put(task(4, 10));
    assert_int_equal(next(), 2);
    assert_int_equal(next(), 4);
    assert_int_equal(next(), 3);
    assert_int_equal(next(), 1);
    assert_int_equal(next(), 0);
}

static void a_task_without_a_deadline_is_not_passed_for_ever(void **state)
{
    put(task(1, DEADLINE_NEVER));
    for (uint64_t i = 0; i < 50; i++) {
        struct task *t = task(100 + i, 0);
        t->item.put_at = (int64_t)i * 2 * NS_PER_S;
        t->item.deadline = t->item.put_at + NS_PER_S;
        put(t);
    }
    unsigned before = 0;
    while (next() != 1)
        before++;
    assert_int_equal(before, 30);
}

static void a_full_queue_refuses_and_takes_back_what_it_gave(void **state)
{
    for (uint64_t i = 1; i <= 128; i++)
        put(task(i, 1000));
    struct task *more = task(200, 1);
    assert_int_equal(queue_put(&q, &more->item, NULL), -ENOBUFS);
    assert_int_equal(atomic_load(&q.length), 128);
    assert_int_equal(take_tasks(&workers[0], got, 1, 0), 1);
    struct task *taken = got[0];
    assert_int_equal(taken->id, 1);
    put(more);
    assert_int_equal(next(), 200);
    put(task(201, 2000));
    assert_int_equal(queue_put_back(&q, &taken->item, NULL), 0);
    assert_int_equal(atomic_load(&q.length), 129);
    /* Before those of the same deadline, as it was. */
    assert_int_equal(next(), 1);
    assert_int_equal(next(), 2);
}

/* They are woken, one each, and have only not come yet. */
static void what_idle_hands_will_do_does_not_wait(void **state)
{
    q.max = 1;
    become_idle(1);
    become_idle(2);
    put(task(200, 1000));
    put(task(201, 1000));
    assert_int_equal(atomic_load(&q.length), 2);
    struct task *more = task(202, 1);
    assert_int_equal(queue_put(&q, &more->item, NULL), -ENOBUFS);
    task_free(more);
}

static void putting_back_needs_no_memory(void **state)
{
    static struct task *held[WORKERS][TAKE_MAX];
    unsigned counts[WORKERS];
    set_cost(0, 1);
    for (uint64_t i = 1; i <= 128; i++)
        put(task(i, 1000));
    for (unsigned i = 0; i < WORKERS; i++) {
        counts[i] = take_tasks(&workers[i], held[i], TAKE_MAX, 0);
        assert_true(counts[i] > 0);
    }
    while (atomic_load(&q.length) < 128)
        put(task(500, 1000));
    mem_fail_at(1, true);
    for (unsigned i = 0; i < WORKERS; i++)
        for (unsigned j = 0; j < counts[i]; j++)
            assert_int_equal(queue_put_back(&q, &held[i][j]->item, NULL), 0);
    mem_fail_at(0, false);
    assert_int_equal(next(), 1);
}

/* ---- Workers ---- */

static void a_put_wakes_the_hand_that_became_idle_last(void **state)
{
    become_idle(0);
    become_idle(1);
    become_idle(2);
    put(task(1, 1));
    assert_int_equal(woken[2], 1);
    put(task(2, 2));
    assert_int_equal(woken[1], 1);
    put(task(3, 3));
    assert_int_equal(woken[0], 1);
    put(task(4, 4));
    assert_int_equal(woken[0] + woken[1] + woken[2] + woken[3], 3);
}

static void a_put_rather_wakes_a_hand_of_the_same_desk(void **state)
{
    int clients[2];
    struct pool_client *here = (void *)&clients[0];
    struct pool_client *there = (void *)&clients[1];
    workers[0].client = here;
    workers[1].client = there;
    workers[2].client = there;
    become_idle(0);
    become_idle(1);
    become_idle(2);
    assert_int_equal(queue_put(&q, &task(1, 1)->item, here), 0);
    assert_int_equal(woken[0], 1);
    assert_ptr_equal(woken_from, here);
    assert_int_equal(queue_put(&q, &task(2, 2)->item, here), 0);
    assert_int_equal(woken[2], 1);
    for (unsigned i = 0; i < WORKERS; i++)
        workers[i].client = NULL;
    assert_int_equal(take(1), 1);
    assert_int_equal(take(1), 1);
}

static void a_hand_that_goes_away_passes_its_wake_on(void **state)
{
    become_idle(0);
    become_idle(1);
    queue_away(&q, &workers[0], NULL);
    assert_int_equal(woken[0] + woken[1], 0);
    put(task(1, 1));
    assert_int_equal(woken[1], 1);
    assert_int_equal(woken[0], 0);
}

static void a_wake_is_not_lost_with_the_hand_it_was_for(void **state)
{
    become_idle(0);
    become_idle(1);
    put(task(1, 1));
    assert_int_equal(woken[1], 1);
    queue_away(&q, &workers[1], NULL);
    assert_int_equal(woken[0], 1);
}

static void closing_wakes_everybody_and_gives_nothing_more(void **state)
{
    become_idle(0);
    become_idle(1);
    queue_close(&q, NULL);
    assert_int_equal(woken[0], 1);
    assert_int_equal(woken[1], 1);
    assert_true(queue_closed(&q));
    struct task *t = task(1, 1);
    assert_int_equal(queue_put(&q, &t->item, NULL), -EPIPE);
    task_free(t);
    assert_int_equal(take_tasks(&workers[0], got, 1, 0), 0);
    assert_false(list_linked(&workers[0].idle));
}

/* ---- How many at once ---- */

static void what_was_never_measured_goes_alone(void **state)
{
    put_many(100, 0);
    assert_int_equal(take(TAKE_MAX), 1);
}

static void cheap_tasks_go_together_up_to_a_fair_share(void **state)
{
    set_cost(0, 100);
    put_many(100, 0);
    assert_int_equal(take(TAKE_MAX), 25);
    assert_int_equal(take(TAKE_MAX), 19);
    assert_int_equal(take(3), 3);
    put_many(2, 0);
    unsigned count;
    while ((count = take(TAKE_MAX)) > 0)
        assert_in_range(count, 1, 14);
}

static void no_more_than_a_budget_goes_together(void **state)
{
    set_cost(1, TAKE_BUDGET_NS / 10);
    put_many(100, 1);
    assert_int_equal(take(TAKE_MAX), 10);
    set_cost(1, TAKE_BUDGET_NS * 3);
    assert_int_equal(take(TAKE_MAX), 1);
}

static void a_dear_task_does_not_go_behind_a_cheap_one(void **state)
{
    set_cost(0, TAKE_BUDGET_NS / 5);
    set_cost(1, TAKE_BUDGET_NS);
    for (unsigned i = 0; i < 8; i++) {
        put_many(2, 0);
        put_many(1, 1);
    }
    /* Two cheap ones, then a dear one alone. */
    assert_int_equal(take(TAKE_MAX), 2);
    assert_int_equal(take(TAKE_MAX), 1);
    assert_int_equal(take(TAKE_MAX), 2);
}

/* ---- Who is refused ---- */

static struct task *urgent(uint64_t id, int64_t left, int64_t now)
{
    struct task *t = task(id, DEADLINE_NEVER);
    t->item.put_at = now;
    t->item.deadline = now + left;
    return t;
}

/* Four workers have a second's work each in the queue. */
static void fill(void)
{
    set_cost(0, 100 * NS_PER_MS);
    put_many(40, 0);
}

static void who_would_be_late_is_refused_at_once(void **state)
{
    fill();
    struct task *t = urgent(100, 500 * NS_PER_MS, 0);
    /* It would be first. */
    put(t);
    t = urgent(101, 2000 * NS_PER_S, 0);
    t->item.deadline = 1100 * NS_PER_MS + 999 * NS_PER_S;
    put(t);
    t = urgent(102, 500 * NS_PER_MS, 0);
    t->item.priority = -1;
    assert_int_equal(queue_put(&q, &t->item, NULL), -ETIME);
    /* 42 x 100 ms / 4 workers: 1050 ms; 400 are possible. */
    assert_int_equal(t->item.retry_after, 650 * NS_PER_MS);
    assert_int_equal(atomic_load(&q.refused[REFUSED_LATE]), 1);
    assert_int_equal(queue_wait(&q), 1050 * NS_PER_MS);
    t->item.priority = 1;
    put(t);
}

static void where_a_hand_is_idle_nobody_is_refused(void **state)
{
    set_cost(0, NS_PER_S);
    become_idle(0);
    put(urgent(1, NS_PER_MS, 0));
    struct task *t = urgent(2, NS_PER_MS, 0);
    assert_int_equal(queue_put(&q, &t->item, NULL), -ETIME);
    assert_true(t->item.retry_after > 0);
    task_free(t);
}

/* Fused, the second behind the first. */
static int put_two(struct task *first, unsigned first_step, struct task *second, bool needed)
{
    first->item.step = first_step;
    second->item.step = 3 - first_step;
    first->item.fused = &second->item;
    first->item.needed = true;
    second->item.needed = needed;
    int rc = queue_put(&q, &first->item, NULL);
    if (rc) {
        task_free(first);
        task_free(second);
    }
    return rc;
}

static void of_fused_ones_each_has_its_own_deadline(void **state)
{
    set_cost(1, NS_PER_MS);
    set_cost(2, 200 * NS_PER_MS);
    struct task *dear = task(1, DEADLINE_NEVER);
    assert_int_equal(put_two(urgent(2, 100 * NS_PER_MS, 0), 1, dear, true), 0);
    dear = task(3, DEADLINE_NEVER);
    assert_int_equal(put_two(dear, 2, urgent(4, 100 * NS_PER_MS, 0), true), -ETIME);
    dear = task(5, DEADLINE_NEVER);
    assert_int_equal(put_two(dear, 2, urgent(6, 100 * NS_PER_MS, 0), false), 0);
}

static void who_hurries_is_not_first_for_that(void **state)
{
    struct task *t = urgent(1, 500 * NS_PER_MS, 0);
    struct task *hurried = urgent(2, 250 * NS_PER_MS, 0);
    hurried->item.sort_deadline = 600 * NS_PER_MS;
    put(hurried);
    put(t);
    assert_int_equal(next(), 1);
    assert_int_equal(next(), 2);
}

static void what_runs_is_waited_for_too(void **state)
{
    set_cost(0, 100 * NS_PER_MS);
    put_many(4, 0);
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_int_equal(take_tasks(&workers[i], got, 1, 0), 1);
        free_got(1);
    }
    struct task *t = urgent(1, 150 * NS_PER_MS, 0);
    assert_int_equal(queue_put(&q, &t->item, NULL), -ETIME);
    task_free(t);
    put(urgent(2, 150 * NS_PER_MS, 60 * NS_PER_MS));
    /* Behind that one. */
    t = urgent(3, 150 * NS_PER_MS, 61 * NS_PER_MS);
    assert_int_equal(queue_put(&q, &t->item, NULL), -ETIME);
    task_free(t);
}

/* Of three tasks two were taken late for so long that the line stands. */
static struct task *last_where_it_stands(void)
{
    struct task *last = task(3, 9);
    set_cost(0, NS_PER_MS);
    put(task(1, 7));
    put(task(2, 8));
    put(last);
    for (int64_t now = 1; now <= 2; now++) {
        assert_int_equal(take_tasks(&workers[0], got, 1, now * NS_PER_S), 1);
        free_got(1);
    }
    assert_int_equal(atomic_load(&q.standing), 1);
    return last;
}

static void a_line_whose_last_leaves_does_not_stand(void **state)
{
    struct task *last = last_where_it_stands();
    assert_true(queue_remove(&q, &last->item));
    task_free(last);
    assert_int_equal(atomic_load(&q.standing), 0);
}

static void a_line_whose_last_is_late_does_not_stand(void **state)
{
    struct task *last = last_where_it_stands();
    atomic_store(&last->state, TASK_DROPPED);
    assert_int_equal(take_tasks(&workers[0], got, 1, 10 * NS_PER_S), 0);
    assert_int_equal(atomic_load(&q.standing), 0);
}

/* Between their leaving the queue and their end, what brings home the set of one of them may be
 * posted: all the same the others are let go. */
static void who_is_late_may_be_posted_meanwhile(void **state)
{
    use_batches(WAIT);
    for (unsigned i = WORKERS; i-- > 0;)
        become_idle(i);
    struct task *late[2] = {fuse(1, 2, 1)};
    late[1] = fused_to(late[0]);
    for (unsigned i = 0; i < 2; i++) {
        atomic_store(&late[i]->holders, 2);
        atomic_store(&late[i]->state, TASK_DROPPED);
    }
    put(late[0]);
    put(task(3, 1000));
    /* It is held back, so that whoever takes wakes another. */
    put(batched(4, 2 * NS_PER_S));
    assert_int_equal(woken[3], 0);
    posted = late[1];
    assert_int_equal(take_tasks(&workers[0], got, 1, 2 * NS_PER_S), 1);
    posted = NULL;
    assert_int_equal(woken[3], 1);
    free_got(1);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(atomic_load(&late[i]->holders), 1);
        task_free(late[i]);
    }
}

static bool puts_a_task(void)
{
    struct queue small;
    int rc = queue_init(&small, 4, 1, costs, task_drop);
    if (rc)
        return false;
    struct task *t = mem_zalloc(sizeof(*t));
    if (t) {
        atomic_store(&t->holders, 1);
        t->output.base = t->small;
        t->item.batch = 1;
        t->item.deadline = DEADLINE_NEVER;
        rc = queue_put(&small, &t->item, NULL);
        if (rc)
            task_free(t);
    }
    queue_release(&small);
    return t && rc == 0;
}

static void no_memory_is_told(void **state)
{
    torture(puts_a_task);
}

TEST_FILE(queue)
{
#define QUEUE_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        QUEUE_TEST(tasks_come_in_the_order_of_their_deadlines),
        QUEUE_TEST(a_task_without_a_deadline_is_not_passed_for_ever),
        QUEUE_TEST(a_full_queue_refuses_and_takes_back_what_it_gave),
        QUEUE_TEST(what_idle_hands_will_do_does_not_wait),
        QUEUE_TEST(putting_back_needs_no_memory),
        QUEUE_TEST(a_put_wakes_the_hand_that_became_idle_last),
        QUEUE_TEST(a_put_rather_wakes_a_hand_of_the_same_desk),
        QUEUE_TEST(a_hand_that_goes_away_passes_its_wake_on),
        QUEUE_TEST(a_wake_is_not_lost_with_the_hand_it_was_for),
        QUEUE_TEST(closing_wakes_everybody_and_gives_nothing_more),
        QUEUE_TEST(what_was_never_measured_goes_alone),
        QUEUE_TEST(cheap_tasks_go_together_up_to_a_fair_share),
        QUEUE_TEST(no_more_than_a_budget_goes_together),
        QUEUE_TEST(a_dear_task_does_not_go_behind_a_cheap_one),
        QUEUE_TEST(who_would_be_late_is_refused_at_once),
        QUEUE_TEST(where_a_hand_is_idle_nobody_is_refused),
        QUEUE_TEST(of_fused_ones_each_has_its_own_deadline),
        QUEUE_TEST(who_hurries_is_not_first_for_that),
        QUEUE_TEST(what_runs_is_waited_for_too),
        QUEUE_TEST(a_line_whose_last_leaves_does_not_stand),
        QUEUE_TEST(a_line_whose_last_is_late_does_not_stand),
        QUEUE_TEST(who_is_late_may_be_posted_meanwhile),
        cmocka_unit_test(no_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
