/*
 * rand_test.c: the same numbers for ever, and distributed as promised.
 */
#include "../check.h"

#include "base/rand.h"
#include "base/time.h"

#include <string.h>

static void the_same_seed_gives_the_same_numbers_for_ever(void **state)
{
    /* If these change, every seed that anyone noted down is worthless. */
    struct rand r;
    rand_init(&r, 1);
    uint64_t first = rand_u64(&r);
    uint64_t mixed = 0;
    for (int i = 0; i < 1000; i++)
        mixed = mixed * 31 + rand_u64(&r);
    uint64_t exponential = 0;
    for (int i = 0; i < 1000; i++)
        exponential = exponential * 31 + (uint64_t)rand_exponential(&r, 1000000);
    assert_true(first == UINT64_C(0xb3f2af6d0fc710c5));
    assert_true(mixed == UINT64_C(0x546bf322f91da43a));
    assert_true(exponential == UINT64_C(0x5ce5e1a8d10c3d1f));
}

static void numbers_stay_below_their_bound_and_reach_it(void **state)
{
    struct rand r;
    rand_init(&r, 2);
    for (uint64_t bound = 1; bound < 20; bound++) {
        uint32_t seen = 0;
        for (int i = 0; i < 2000; i++) {
            uint64_t n = rand_below(&r, bound);
            assert_true(n < bound);
            seen |= 1u << n;
        }
        assert_int_equal(seen, (1u << bound) - 1);
    }
    int64_t low = 0;
    int64_t high = 0;
    for (int i = 0; i < 2000; i++) {
        int64_t n = rand_between(&r, -3, 4);
        assert_in_range(n + 3, 0, 7);
        low += n == -3;
        high += n == 4;
    }
    assert_in_range(low, 150, 350);
    assert_in_range(high, 150, 350);
    (void)rand_between(&r, INT64_MIN, INT64_MAX);
    /* A bound at which a quarter of the draws is unfair: taken as they come, every number divisible
     * by three would come twice as often as another. */
    uint64_t bound = UINT64_C(3) << 62;
    int divisible = 0;
    for (int i = 0; i < 30000; i++)
        divisible += rand_below(&r, bound) % 3 == 0;
    assert_in_range(divisible, 9500, 10500);
}

static void the_exponential_has_its_mean_and_its_tail(void **state)
{
    struct rand r;
    rand_init(&r, 3);
    enum { N = 400000 };
    const int64_t mean = NS_PER_MS;
    int64_t sum = 0;
    int64_t above_mean = 0;
    for (int i = 0; i < N; i++) {
        int64_t x = rand_exponential(&r, mean);
        assert_true(x >= 0 && x <= 32 * mean);
        sum += x;
        above_mean += x > mean;
    }
    assert_in_range(sum / N, mean * 99 / 100, mean * 101 / 100);
    assert_in_range(above_mean * 1000 / N, 363, 373); /* 1/e */
    assert_int_equal(rand_exponential(&r, 0), 0);
}

static void parts_in_a_million(void **state)
{
    struct rand r;
    rand_init(&r, 4);
    int hits = 0;
    for (int i = 0; i < 100000; i++) {
        hits += rand_ppm(&r, 250000);
        assert_false(rand_ppm(&r, 0));
        assert_true(rand_ppm(&r, 1000000));
    }
    assert_in_range(hits, 24500, 25500);
}

static void filling_is_exact(void **state)
{
    struct rand r;
    for (size_t size = 0; size < 40; size++) {
        unsigned char buffer[48];
        memset(buffer, 0xaa, sizeof buffer);
        rand_init(&r, 5);
        rand_fill(&r, buffer, size);
        for (size_t i = size; i < sizeof buffer; i++)
            assert_int_equal(buffer[i], 0xaa);
    }
}

static void deadlines_do_not_overflow(void **state)
{
    assert_true(deadline_after(5, 10) == 15);
    assert_true(deadline_after(5, -10) == 5);
    assert_true(deadline_after(5, INT64_MAX) == DEADLINE_NEVER);
    assert_true(deadline_after(DEADLINE_NEVER, 1) == DEADLINE_NEVER);
    assert_true(deadline_after(DEADLINE_NEVER - 1, 1) == DEADLINE_NEVER);
    assert_true(deadline_after(-5, INT64_MAX) == INT64_MAX - 5);
    assert_true(deadline_sooner(1, 2) == 1);
}

TEST_FILE(rand)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_gives_the_same_numbers_for_ever),
        cmocka_unit_test(numbers_stay_below_their_bound_and_reach_it),
        cmocka_unit_test(the_exponential_has_its_mean_and_its_tail),
        cmocka_unit_test(parts_in_a_million),
        cmocka_unit_test(filling_is_exact),
        cmocka_unit_test(deadlines_do_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
