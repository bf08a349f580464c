/*
 * admission_test.c: when who comes is refused, and when a queue is said to stand.
 */
#include "../check.h"

#include "base/mem.h"
#include "base/time.h"
#include "sched/admission.h"

#define MS   NS_PER_MS
#define COST MS

static struct admission a;
static struct class_stats line;

static int setup(void **state)
{
    class_stats_init(&line);
    return admission_init(&a, 2);
}

static int teardown(void **state)
{
    admission_release(&a);
    return 0;
}

static void the_wait_is_what_runs_and_what_is_ahead_by_hands(void **state)
{
    assert_int_equal(admission_wait(&a, 0, 0), 0);
    assert_int_equal(admission_wait(&a, 10 * MS, 0), 5 * MS);
    admission_busy(&a, 0, 20 * MS);
    assert_int_equal(admission_wait(&a, 10 * MS, 0), 15 * MS);
    assert_int_equal(admission_wait(&a, 10 * MS, 12 * MS), 9 * MS);
    /* One that is overdue says nothing about the other. */
    admission_busy(&a, 1, 40 * MS);
    assert_int_equal(admission_wait(&a, 0, 30 * MS), 5 * MS);
    admission_free(&a, 1);
    assert_int_equal(admission_wait(&a, 0, 30 * MS), 0);
}

static void who_would_be_late_is_refused_until_the_queue_is_shorter(void **state)
{
    assert_int_equal(admission_refuses(&line, 90 * MS, 10 * MS, 100 * MS), 0);
    assert_int_equal(admission_refuses(&line, 91 * MS, 10 * MS, 100 * MS), MS);
    assert_int_equal(admission_refuses(&line, 500 * MS, 10 * MS, 100 * MS), 410 * MS);
    assert_int_equal(admission_refuses(&line, 0, 200 * MS, 100 * MS) > 0, true);
    assert_int_equal(admission_refuses(&line, 91 * MS, 10 * MS, DEADLINE_NEVER), 0);
}

/* For so long tasks are taken, one a millisecond, that have waited so. */
static void take(int64_t *now, int64_t span, int64_t waited, int64_t left)
{
    for (int64_t end = *now + span; *now < end; *now += MS)
        admission_taken(&line, waited, left, COST, *now);
}

static void a_queue_that_comes_and_goes_does_not_stand(void **state)
{
    int64_t now = 0;
    for (unsigned i = 0; i < 20; i++) {
        take(&now, 90 * MS, 50 * MS, NS_PER_S);
        take(&now, MS, 4 * MS, NS_PER_S);
        assert_int_equal(line.state, ADMISSION_NORMAL);
    }
    take(&now, 90 * MS, 50 * MS, NS_PER_S);
    admission_drained(&line);
    take(&now, 90 * MS, 50 * MS, NS_PER_S);
    assert_int_equal(line.state, ADMISSION_NORMAL);
}

static void where_all_wait_for_an_interval_it_stands_until_one_does_not(void **state)
{
    int64_t now = 0;
    take(&now, 101 * MS, 6 * MS, NS_PER_S);
    assert_int_equal(line.state, ADMISSION_STANDING);
    /* Now half of the time may be waited. */
    assert_int_equal(admission_refuses(&line, 50 * MS, 10 * MS, 100 * MS), 0);
    assert_int_equal(admission_refuses(&line, 60 * MS, 10 * MS, 100 * MS), 10 * MS);
    take(&now, MS, 5 * MS, NS_PER_S);
    assert_int_equal(line.state, ADMISSION_NORMAL);
    assert_int_equal(admission_refuses(&line, 60 * MS, 10 * MS, 100 * MS), 0);
}

static void a_queue_of_dear_tasks_may_be_longer(void **state)
{
    int64_t now = 0;
    line.mean_cost = 30 * MS;
    for (; now < 450 * MS; now += 15 * MS)
        admission_taken(&line, 50 * MS, NS_PER_S, 30 * MS, now);
    assert_int_equal(line.state, ADMISSION_NORMAL);
    for (; now < 600 * MS; now += 15 * MS)
        admission_taken(&line, 50 * MS, NS_PER_S, 30 * MS, now);
    assert_int_equal(line.state, ADMISSION_STANDING);
    admission_taken(&line, 29 * MS, NS_PER_S, 30 * MS, now);
    assert_int_equal(line.state, ADMISSION_NORMAL);
}

static void where_what_was_admitted_is_late_all_the_same_the_newest_is_first(void **state)
{
    int64_t now = 0;
    take(&now, 120 * MS, 300 * MS, 200 * MS);
    assert_int_equal(line.state, ADMISSION_STANDING);
    take(&now, 200 * MS, 400 * MS, 100 * MS);
    assert_int_equal(line.state, ADMISSION_NEWEST);
    take(&now, MS, 300 * MS, 200 * MS);
    assert_int_equal(line.state, ADMISSION_STANDING);
    take(&now, 200 * MS, 400 * MS, 100 * MS);
    assert_int_equal(line.state, ADMISSION_NEWEST);
    admission_drained(&line);
    assert_int_equal(line.state, ADMISSION_NORMAL);
}

static void a_line_learns_that_its_tasks_wait_longer_than_expected(void **state)
{
    assert_int_equal(admission_expects(&line, 10 * MS, false), 10 * MS);
    for (unsigned i = 0; i < 200; i++)
        admission_learn(&line, 10 * MS, 30 * MS, true);
    int64_t learned = admission_expects(&line, 10 * MS, false);
    assert_in_range(learned, 29 * MS, 30 * MS);
    /* Where nobody waits, it is learned anew. */
    assert_int_equal(admission_expects(&line, 10 * MS, true), 10 * MS);
    for (unsigned i = 0; i < 200; i++)
        admission_learn(&line, 10 * MS, 5 * MS, true);
    assert_in_range(admission_expects(&line, 10 * MS, false), 10 * MS, 10 * MS + MS / 4);
}

static void what_is_not_served_says_so_at_once_and_never_that_all_is_well(void **state)
{
    for (unsigned i = 0; i < 3; i++)
        admission_learn(&line, 10 * MS, 500 * MS, false);
    int64_t learned = admission_expects(&line, 10 * MS, false);
    assert_true(learned > 100 * MS);
    for (unsigned i = 0; i < 100; i++)
        admission_learn(&line, 10 * MS, 0, false);
    assert_int_equal(admission_expects(&line, 10 * MS, false), learned);
    /* It is bounded. */
    for (unsigned i = 0; i < 100; i++)
        admission_learn(&line, 0, 3600 * NS_PER_S, false);
    assert_true(admission_expects(&line, 10 * MS, false) <= 200 * MS);
}

static bool is_made(void)
{
    struct admission one;
    if (admission_init(&one, 3) != 0)
        return false;
    admission_release(&one);
    return true;
}

static void no_memory_is_told(void **state)
{
    torture(is_made);
}

TEST_FILE(admission)
{
#define ADMISSION_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        ADMISSION_TEST(the_wait_is_what_runs_and_what_is_ahead_by_hands),
        ADMISSION_TEST(who_would_be_late_is_refused_until_the_queue_is_shorter),
        ADMISSION_TEST(a_queue_that_comes_and_goes_does_not_stand),
        ADMISSION_TEST(where_all_wait_for_an_interval_it_stands_until_one_does_not),
        ADMISSION_TEST(a_queue_of_dear_tasks_may_be_longer),
        ADMISSION_TEST(where_what_was_admitted_is_late_all_the_same_the_newest_is_first),
        ADMISSION_TEST(a_line_learns_that_its_tasks_wait_longer_than_expected),
        ADMISSION_TEST(what_is_not_served_says_so_at_once_and_never_that_all_is_well),
        cmocka_unit_test(no_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
