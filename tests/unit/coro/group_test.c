/*
 * group_test.c: children end before their parent goes on, whatever happens.
 */
#include "fixture.h"

#include "coro/internal.h"

/* A literal as the argument of a coroutine that will not write to it. */
#define PLAN(text) ((void *)(uintptr_t)(text))

static int sleep_then(void *arg)
{
    /* "10:-5" sleeps 10 and then returns -5. */
    const char *plan = arg;
    char *end;
    int64_t ns = strtol(plan, &end, 10);
    int rc = coro_sleep("nap", 1000 + ns);
    return rc ? rc : (int)strtol(end + 1, NULL, 10);
}

/* ---- Waiting ---- */

static int wait_for_three(void *arg)
{
    struct fixture *f = arg;
    GROUP(g, GROUP_FAIL_FAST);
    assert_int_equal(group_wait(&g), 0); /* nobody to wait for */
    assert_int_equal(group_spawn(&g, "a", sleep_then, PLAN("30:0")), 0);
    assert_int_equal(group_spawn(&g, "b", sleep_then, PLAN("10:0")), 0);
    assert_int_equal(group_spawn(&g, "c", sleep_then, PLAN("20:7")), 0);
    assert_int_equal(group_wait(&g), 0);
    assert_int_equal(f->now, 1030);
    /* and again with the same group */
    assert_int_equal(group_spawn(&g, "d", sleep_then, PLAN("40:0")), 0);
    assert_int_equal(group_wait(&g), 0);
    assert_int_equal(f->now, 1040);
    return 0;
}

static void the_parent_waits_for_all(void **state)
{
    struct fixture f;
    run_coroutine(&f, wait_for_three);
}

static int first_error_ends_all(void *arg)
{
    struct fixture *f = arg;
    GROUP(g, GROUP_FAIL_FAST);
    assert_int_equal(group_spawn(&g, "a", sleep_then, PLAN("1000:0")), 0);
    assert_int_equal(group_spawn(&g, "b", sleep_then, PLAN("10:-5")), 0);
    assert_int_equal(group_spawn(&g, "c", sleep_then, PLAN("2000:-6")), 0);
    assert_int_equal(group_wait(&g), -5);
    assert_int_equal(f->now, 1010);
    assert_int_equal(coro_poll(), 0); /* the parent itself is not cancelled */
    return 0;
}

static void the_first_error_cancels_the_rest(void **state)
{
    struct fixture f;
    run_coroutine(&f, first_error_ends_all);
}

static int independent_children(void *arg)
{
    struct fixture *f = arg;
    GROUP(g, GROUP_INDEPENDENT);
    assert_int_equal(group_spawn(&g, "a", sleep_then, PLAN("100:0")), 0);
    assert_int_equal(group_spawn(&g, "b", sleep_then, PLAN("10:-5")), 0);
    assert_int_equal(group_wait(&g), 0);
    assert_int_equal(f->now, 1100);
    return 0;
}

static void independent_children_end_alone(void **state)
{
    struct fixture f;
    run_coroutine(&f, independent_children);
}

/* ---- Being interrupted ---- */

static int children_running;

static void one_less(void *arg)
{
    children_running--;
}

static int stubborn(void *arg)
{
    assert_int_equal(coro_defer(one_less, NULL), 0);
    children_running++;
    while (coro_park("work") == 0)
        ;
    /* Cancelled; it still takes its time, with waits that a cancelled coroutine cannot do. */
    return -ECANCELED;
}

static int nest(void *arg)
{
    intptr_t depth = (intptr_t)arg;
    assert_int_equal(coro_defer(one_less, NULL), 0);
    children_running++;
    GROUP(g, GROUP_FAIL_FAST);
    for (int i = 0; i < 2; i++) {
        int rc = depth ? group_spawn(&g, "nest", nest, (void *)(depth - 1))
                       : group_spawn(&g, "leaf", stubborn, NULL);
        if (rc)
            return rc;
    }
    return group_wait(&g);
}

static int waits_with_a_deadline(void *arg)
{
    struct fixture *f = arg;
    children_running = 0;
    CORO_DEADLINE(f->now + 50);
    GROUP(g, GROUP_FAIL_FAST);
    assert_int_equal(group_spawn(&g, "tree", nest, (void *)3), 0);
    assert_int_equal(group_wait(&g), -ETIMEDOUT);
    assert_int_equal(children_running, 0);
    assert_int_equal(f->now, 1050);
    return 0;
}

static void a_deadline_ends_the_whole_tree(void **state)
{
    struct fixture f;
    run_coroutine(&f, waits_with_a_deadline);
}

static void cancelling_the_root_ends_the_whole_tree(void **state)
{
    struct fixture f;
    fixture_open(&f);
    children_running = 0;
    assert_int_equal(sched_spawn(f.sched, "root", nest, (void *)3), 0);
    fixture_drain(&f);
    assert_int_equal(children_running, 31);
    assert_int_equal(sched_count(f.sched), 31);
    sched_cancel_all(f.sched);
    fixture_drain(&f);
    assert_int_equal(children_running, 0);
    fixture_close(&f);
}

static int leaves_without_waiting(void *arg)
{
    children_running = 0;
    {
        GROUP(g, GROUP_FAIL_FAST);
        assert_int_equal(group_spawn(&g, "leaf", stubborn, NULL), 0);
        assert_int_equal(group_spawn(&g, "leaf", stubborn, NULL), 0);
        assert_int_equal(coro_yield(), 0);
        assert_int_equal(children_running, 2);
    }
    assert_int_equal(children_running, 0);
    return 0;
}

static void the_end_of_the_block_leaves_no_orphan(void **state)
{
    struct fixture f;
    run_coroutine(&f, leaves_without_waiting);
}

static int cancelled_groups_take_nobody(void *arg)
{
    GROUP(g, GROUP_FAIL_FAST);
    group_cancel(&g);
    assert_int_equal(group_spawn(&g, "never", stubborn, NULL), -ECANCELED);
    assert_int_equal(group_wait(&g), 0);
    coro_cancel(coro_self());
    assert_int_equal(group_spawn(&g, "never", stubborn, NULL), -ECANCELED);
    return 0;
}

static struct coro *racing_parent;
static int racing_result;

/* Who spawns after a child has failed is told why, so that the usual chain of calls loses
 * nothing. */
static int spawns_after_a_failure(void *arg)
{
    GROUP(g, GROUP_FAIL_FAST);
    assert_int_equal(group_spawn(&g, "fails", sleep_then, PLAN("0:-5")), 0);
    assert_int_equal(coro_yield(), 0);
    assert_int_equal(group_spawn(&g, "never", stubborn, NULL), -5);
    assert_int_equal(group_wait(&g), -5);
    return 0;
}

/* The parent's own cancelling is no child's doing, whatever a child said before or after. */
static int cancels_after_a_failure(void *arg)
{
    GROUP(g, GROUP_INDEPENDENT);
    assert_int_equal(group_spawn(&g, "fails", sleep_then, PLAN("0:-5")), 0);
    assert_int_equal(coro_yield(), 0);
    group_cancel(&g);
    assert_int_equal(group_spawn(&g, "never", stubborn, NULL), -ECANCELED);
    return 0;
}

static void a_late_child_of_a_cancelled_group_hears_that(void **state)
{
    struct fixture f;
    run_coroutine(&f, cancels_after_a_failure);
}

/* A child that takes its time to end: the parent joins it deaf, and is cancelled meanwhile. */
static struct coro *slow_child;

static int ends_slowly(void *arg)
{
    slow_child = coro_self();
    int rc = coro_park("work");
    coro_park_deaf("the end");
    return rc;
}

static int joins_past_its_deadline(void *arg)
{
    racing_parent = coro_self();
    CORO_DEADLINE(1010);
    GROUP(g, GROUP_FAIL_FAST);
    assert_int_equal(group_spawn(&g, "slow", ends_slowly, NULL), 0);
    racing_result = group_wait(&g);
    return 0;
}

static void cancellation_wins_over_timeout_in_a_join_too(void **state)
{
    struct fixture f;
    fixture_open(&f);
    assert_int_equal(sched_spawn(f.sched, "parent", joins_past_its_deadline, NULL), 0);
    fixture_drain(&f); /* timed out, and joining */
    coro_cancel(racing_parent);
    assert_true(coro_wake(slow_child, 0));
    fixture_drain(&f);
    assert_int_equal(racing_result, -ECANCELED);
    fixture_close(&f);
}

static void a_late_child_hears_of_the_first_error(void **state)
{
    struct fixture f;
    run_coroutine(&f, spawns_after_a_failure);
}

static void a_cancelled_group_takes_no_children(void **state)
{
    struct fixture f;
    run_coroutine(&f, cancelled_groups_take_nobody);
}

/* The last child's end and the parent's time-out or cancellation fall on the same moment. */
static int parent_at_the_line(void *arg)
{
    racing_parent = coro_self();
    CORO_DEADLINE(1010);
    GROUP(g, GROUP_FAIL_FAST);
    assert_int_equal(group_spawn(&g, "quick", sleep_then, PLAN("10:0")), 0);
    racing_result = group_wait(&g);
    return 0;
}

static void the_last_child_and_the_interruption_may_meet(void **state)
{
    for (int cancel = 0; cancel < 3; cancel++) {
        struct fixture f;
        fixture_open(&f);
        racing_result = 1;
        assert_int_equal(sched_spawn(f.sched, "parent", parent_at_the_line, NULL), 0);
        sched_run(f.sched);
        sched_run(f.sched);
        f.now = 1010;
        if (cancel == 1)
            coro_cancel(racing_parent); /* before the child is woken */
        sched_expire(f.sched, f.now);
        if (cancel == 2)
            coro_cancel(racing_parent); /* when both are ready */
        fixture_drain(&f);
        assert_int_equal(racing_result, cancel ? -ECANCELED : -ETIMEDOUT);
        fixture_close(&f);
    }
}

static int child_deadline(void *arg)
{
    assert_int_equal(coro_deadline(), *(int64_t *)arg);
    return 0;
}

static int deadlines_are_inherited(void *arg)
{
    GROUP(g, GROUP_FAIL_FAST);
    int64_t expected = 5000;
    CORO_DEADLINE(expected);
    assert_int_equal(group_spawn(&g, "child", child_deadline, &expected), 0);
    return group_wait(&g);
}

static void children_inherit_the_deadline(void **state)
{
    struct fixture f;
    run_coroutine(&f, deadlines_are_inherited);
}

static int a_thousand(void *arg)
{
    for (int round = 0; round < 3; round++) {
        GROUP(g, GROUP_FAIL_FAST);
        for (int i = 0; i < 1000; i++)
            assert_int_equal(group_spawn(&g, "child", sleep_then, PLAN(i % 2 ? "3:0" : "5:0")), 0);
        assert_int_equal(group_wait(&g), 0);
    }
    return 0;
}

static void a_thousand_children(void **state)
{
    struct fixture f;
    run_coroutine(&f, a_thousand);
}

TEST_FILE(group)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_parent_waits_for_all),
        cmocka_unit_test(the_first_error_cancels_the_rest),
        cmocka_unit_test(independent_children_end_alone),
        cmocka_unit_test(a_deadline_ends_the_whole_tree),
        cmocka_unit_test(cancelling_the_root_ends_the_whole_tree),
        cmocka_unit_test(the_end_of_the_block_leaves_no_orphan),
        cmocka_unit_test(a_cancelled_group_takes_no_children),
        cmocka_unit_test(a_late_child_hears_of_the_first_error),
        cmocka_unit_test(a_late_child_of_a_cancelled_group_hears_that),
        cmocka_unit_test(cancellation_wins_over_timeout_in_a_join_too),
        cmocka_unit_test(the_last_child_and_the_interruption_may_meet),
        cmocka_unit_test(children_inherit_the_deadline),
        cmocka_unit_test(a_thousand_children),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
