/*
 * Moving estimates: how fast they follow, what they do not follow, and what sizes explain.
 */
#include "../check.h"

#include "base/rand.h"
#include "base/time.h"
#include "sched/cost.h"

#include <string.h>

static struct step_cost cost;

static int clear(void **state)
{
    memset(&cost, 0, sizeof(cost));
    return 0;
}

static void note(unsigned times, int64_t ns)
{
    for (unsigned i = 0; i < times; i++)
        cost_note(&cost, 100, ns);
}

static bool is_near(int64_t ns, int64_t wanted)
{
    return ns >= wanted - wanted / 10 && ns <= wanted + wanted / 10;
}

#define assert_near(ns, wanted)                                                     \
    do {                                                                            \
        int64_t is_ = (ns);                                                         \
        if (!is_near(is_, wanted))                                                  \
            fail_msg("%lld is not near %lld", (long long)is_, (long long)(wanted)); \
    } while (0)

static void nothing_is_known_at_first(void **state)
{
    assert_int_equal(cost_expected(&cost, 100), 0);
    assert_int_equal(cost_tail(&cost, 100), 0);
    note(1, 0);
    assert_int_equal(cost_expected(&cost, 100), 1);
}

static void a_constant_cost_is_met(void **state)
{
    note(30, 12345);
    assert_int_equal(cost_expected(&cost, 100), 12345);
    assert_true(cost_tail(&cost, 100) >= 12345 && cost_tail(&cost, 100) <= 12345 * 4 / 3);
    assert_int_equal(cost_average(&cost, 100), 12345);
}

static void a_slow_first_call_is_soon_forgotten(void **state)
{
    note(1, 10000);
    note(50, 1000);
    assert_near(cost_expected(&cost, 100), 1000);
}

/* Whatever its factor, and whatever was before. */
static void a_jump_is_followed_within_50_calls(void **state)
{
    static const int64_t costs[] = {
        1000, 20000000, 5000, 7000, 2500, 100000000, 1000, 3900, 1000, 100000000, 30000000, 8000};
    note(300, 500);
    for (size_t i = 0; i < sizeof(costs) / sizeof(*costs); i++) {
        note(50, costs[i]);
        assert_near(cost_expected(&cost, 100), costs[i]);
    }
}

static void a_tail_follows_a_jump_too(void **state)
{
    note(300, 1000);
    note(50, 1000000);
    assert_true(cost_tail(&cost, 100) >= 1000000 && cost_tail(&cost, 100) < 1500000);
    note(50, 1000);
    assert_true(cost_tail(&cost, 100) >= 1000 && cost_tail(&cost, 100) < 1500);
}

static void an_outlier_moves_it_by_a_fraction(void **state)
{
    note(100, 1000);
    note(1, 1000000000);
    assert_true(cost_expected(&cost, 100) <= 1300);
    assert_true(cost_tail(&cost, 100) <= 2000);
    note(50, 1000);
    assert_near(cost_expected(&cost, 100), 1000);
    /* But what many of them add up to is known. */
    assert_true(cost_average(&cost, 100) > 1000000);
    note(1, 1);
    assert_true(cost_expected(&cost, 100) >= 900);
}

static void single_outliers_again_and_again_are_no_jump(void **state)
{
    for (unsigned i = 0; i < 100; i++) {
        note(40, 1000);
        note(1, 5000000);
        assert_true(cost_expected(&cost, 100) <= 1300);
    }
}

/* One in fifty takes a hundred times as long. */
static void an_average_has_what_is_rare(void **state)
{
    struct rand r;
    rand_init(&r, 1);
    double sum = 0;
    for (unsigned i = 0; i < 5000; i++) {
        note(1, rand_ppm(&r, 20000) ? 1000000 : 10000);
        if (i >= 1000)
            sum += (double)cost_average(&cost, 100);
    }
    assert_true(sum / 4000 > 25000 && sum / 4000 < 35000);
}

static void a_tail_is_what_nineteen_of_twenty_stay_below(void **state)
{
    struct rand r;
    rand_init(&r, 7);
    unsigned above = 0;
    for (unsigned i = 0; i < 20000; i++) {
        int64_t ns = 1000 + (int64_t)rand_below(&r, 1000);
        above += i >= 1000 && ns > cost_tail(&cost, 100);
        note(1, ns);
    }
    assert_true(above > 19000 / 40 && above < 19000 / 10);
}

static void sizes_count_where_they_explain(void **state)
{
    for (unsigned i = 0; i < 100; i++) {
        cost_note(&cost, 10, 1000);
        cost_note(&cost, 2000000, 9000000);
    }
    assert_near(cost_expected(&cost, 64), 1000);
    assert_near(cost_expected(&cost, 5000000), 9000000);
    assert_true(cost_tail(&cost, 10) < 1500);
    assert_int_equal(cost_expected(&cost, 65), 0);
}

static void sizes_do_not_count_where_they_explain_nothing(void **state)
{
    for (unsigned i = 0; i < 100; i++) {
        cost_note(&cost, 10, 1000);
        cost_note(&cost, 2000, 1100);
    }
    assert_int_equal(cost_expected(&cost, 10), cost_expected(&cost, 2000));
}

static void handing_over_is_known_alone_and_together(void **state)
{
    struct dispatch_cost h = {0};
    assert_int_equal(dispatch_expected(&h), 0);
    assert_int_equal(fanout_expected(&h, 300000), 0);
    for (unsigned i = 0; i < 50; i++) {
        dispatch_note(&h, 20000);
        fanout_note(&h, 300000, 180000);
        fanout_note(&h, 3000, 60000);
    }
    assert_int_equal(dispatch_expected(&h), 20000);
    assert_near(fanout_expected(&h, 300000), 180000);
    assert_near(fanout_expected(&h, 400000), 240000);
    assert_near(fanout_expected(&h, 3000), 60000);
    fanout_note(&h, 0, 1);
}

TEST_FILE(cost)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_is_known_at_first, clear),
        cmocka_unit_test_setup(a_constant_cost_is_met, clear),
        cmocka_unit_test_setup(a_slow_first_call_is_soon_forgotten, clear),
        cmocka_unit_test_setup(a_jump_is_followed_within_50_calls, clear),
        cmocka_unit_test_setup(a_tail_follows_a_jump_too, clear),
        cmocka_unit_test_setup(an_outlier_moves_it_by_a_fraction, clear),
        cmocka_unit_test_setup(single_outliers_again_and_again_are_no_jump, clear),
        cmocka_unit_test_setup(an_average_has_what_is_rare, clear),
        cmocka_unit_test_setup(a_tail_is_what_nineteen_of_twenty_stay_below, clear),
        cmocka_unit_test_setup(sizes_count_where_they_explain, clear),
        cmocka_unit_test_setup(sizes_do_not_count_where_they_explain_nothing, clear),
        cmocka_unit_test_setup(handing_over_is_known_alone_and_together, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
