/*
 * limit_test.c: how many calls an upstream bears, found out with upstreams that are a formula.
 */
#include "../check.h"

#include "base/rand.h"
#include "base/time.h"
#include "upstream/adaptive_limit.h"

/* An upstream that does `servers` things at once, each in `service_ns`; beyond, they wait there. */
struct upstream {
    double servers;
    double service_ns;
    double noise; /* 0: none; 1: exponentially distributed */
};

static double latency(const struct upstream *u, unsigned under_way, struct rand *r)
{
    double load = under_way / u->servers;
    double by_chance = 1 - u->noise + u->noise * (double)rand_exponential(r, 1000000) / 1e6;
    return u->service_ns * (load > 1 ? load : 1) * by_chance;
}

/* So many want to call all the time, for so many seconds: the limit at the end. */
static unsigned drive(struct adaptive_limit *l, const struct upstream *u, unsigned callers,
    double seconds, int64_t *now)
{
    struct rand r;
    int64_t end = *now + (int64_t)(seconds * 1e9);
    rand_init(&r, 7);
    while (*now < end) {
        unsigned under_way = callers < adaptive_limit_now(l) ? callers : adaptive_limit_now(l);
        double ns = latency(u, under_way, &r);
        adaptive_limit_note(l, *now, (int64_t)ns, under_way);
        *now += (int64_t)(ns / under_way); /* so many end in that time */
        assert_true(adaptive_limit_now(l) >= 1);
    }
    return adaptive_limit_now(l);
}

static void nobody_is_held_back_while_all_is_well(void **state)
{
    static const struct upstream well[] = {{1e9, 70e6, 0}, {1e9, 70e6, 0.3}, {1e9, 1e6, 0.3}};
    for (size_t i = 0; i < sizeof well / sizeof *well; i++) {
        static const unsigned callers[] = {1, 70, 700};
        for (size_t k = 0; k < 3; k++) {
            struct adaptive_limit l;
            int64_t now = 0;
            adaptive_limit_init(&l, 1024);
            assert_int_equal(adaptive_limit_now(&l), 1024);
            assert_in_range(drive(&l, &well[i], callers[k], 3, &now), callers[k], 1024);
        }
    }
}
/* Random latency costs few callers nothing: ADAPTIVE_LIMIT_LEAST calls are always allowed. */
static void chance_does_no_harm(void **state)
{
    struct adaptive_limit l;
    int64_t now = 0;
    adaptive_limit_init(&l, 1024);
    assert_in_range(drive(&l, &(struct upstream){1e9, 70e6, 1}, 15, 60, &now), 1024, 1024);
}

static void a_queue_there_is_kept_short(void **state)
{
    struct adaptive_limit l;
    int64_t now = 0;
    struct upstream u = {32, 10e6, 0.2};
    adaptive_limit_init(&l, 1024);
    drive(&l, &u, 8, 5, &now); /* what is usual */
    unsigned limit = drive(&l, &u, 1000, 5, &now);
    /* Enough for it to be busy, and little more. */
    assert_in_range(limit, 32, 100);
    /* Once they are fewer, nobody is held back. */
    drive(&l, &u, 30, 1, &now);
    assert_true(adaptive_limit_now(&l) >= 32);
}

static void it_comes_back_within_seconds(void **state)
{
    struct adaptive_limit l;
    int64_t now = 0;
    adaptive_limit_init(&l, 1024);
    drive(&l, &(struct upstream){1e9, 10e6, 0}, 500, 5, &now);
    assert_in_range(
        drive(&l, &(struct upstream){1e9, 200e6, 0}, 500, 3, &now), ADAPTIVE_LIMIT_LEAST, 100);
    assert_in_range(drive(&l, &(struct upstream){1e9, 10e6, 0}, 500, 4, &now), 500, 1024);
}

/* An upstream that is slower from now on, whatever is asked of it, is not throttled for ever. */
static void what_lasts_becomes_usual(void **state)
{
    struct adaptive_limit l;
    int64_t now = 0;
    adaptive_limit_init(&l, 1024);
    drive(&l, &(struct upstream){1e9, 50e6, 0}, 200, 5, &now);
    assert_in_range(drive(&l, &(struct upstream){1e9, 150e6, 0}, 200, 5, &now), 20, 60);
    assert_in_range(drive(&l, &(struct upstream){1e9, 150e6, 0}, 200, 90, &now), 200, 1024);
}

static void it_stays_within_its_bounds(void **state)
{
    static const unsigned most[] = {1, 2, 20, 1000000};
    for (size_t i = 0; i < 4; i++) {
        struct adaptive_limit l;
        int64_t now = 0;
        adaptive_limit_init(&l, most[i]);
        adaptive_limit_note(&l, 0, 0, 1);
        drive(&l, &(struct upstream){1, 1e6, 1}, 2000, 2, &now);
        assert_in_range(adaptive_limit_now(&l),
            most[i] < ADAPTIVE_LIMIT_LEAST ? most[i] : ADAPTIVE_LIMIT_LEAST, most[i]);
        adaptive_limit_note(&l, now, INT64_MAX, 2000000000);
        for (int k = 0; k < 100; k++)
            adaptive_limit_note(&l, now += NS_PER_S, INT64_MAX, 2000000000);
        assert_in_range(adaptive_limit_now(&l), 1, most[i]);
    }
}

TEST_FILE(adaptive_limit)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_is_held_back_while_all_is_well),
        cmocka_unit_test(chance_does_no_harm),
        cmocka_unit_test(a_queue_there_is_kept_short),
        cmocka_unit_test(it_comes_back_within_seconds),
        cmocka_unit_test(what_lasts_becomes_usual),
        cmocka_unit_test(it_stays_within_its_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
