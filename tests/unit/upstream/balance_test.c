/*
 * Which server gets an attempt, and when a server gets none: pure, with a clock by hand.
 */
#include "upstream/internal.h"

#include "../check.h"
#include "base/time.h"
#include "conf/schema.h"

#include <errno.h>
#include <stdio.h>

static const struct conf_flow_kinds no_kinds;

struct group {
    struct conf *conf;
    struct upstreams *all;
    struct upstream *u;
    struct rand rand;
    int64_t now;
};

static struct group make(const char *upstream)
{
    char text[16384];
    struct group g = {.now = 1000 * NS_PER_S};
    struct conf_errors *errors = conf_errors_new();
    snprintf(text, sizeof text, "upstreams: {x: {%s}}", upstream);
    assert_int_equal(conf_parse(&g.conf, span_of(text), &no_kinds, errors), 0);
    conf_errors_free(errors);
    assert_int_equal(upstreams_new(&g.all, conf_config(g.conf)), 0);
    g.u = upstreams_find(g.all, "x");
    assert_non_null(g.u);
    rand_init(&g.rand, 7);
    return g;
}

static void drop(struct group *g)
{
    upstreams_free(g->all);
    conf_free(g->conf);
}

static unsigned choose(struct group *g, struct tried *tried, uint64_t hash)
{
    struct upstream_server *s = balance_choose(g->u, tried, hash, &g->rand, g->now);
    if (tried->count < TRIED_MAX)
        tried->servers[tried->count++] = s->index;
    return s->index;
}

static unsigned choose_first(struct group *g, uint64_t hash)
{
    struct tried tried = {0};
    return choose(g, &tried, hash);
}

static void end(struct group *g, unsigned server, enum outcome outcome, int64_t took)
{
    server_begin(&g->u->servers[server]);
    server_end(&g->u->servers[server], outcome, took, 0, g->now);
}

static const char *const balances[] = {"least", "round_robin", "hash"};

static void no_server_is_tried_twice_as_long_as_there_are_others(void **state)
{
    for (unsigned b = 0; b < 3; b++) {
        char text[128];
        snprintf(text, sizeof text, "servers: [a:1, b:2, c:3, d:4], balance: %s", balances[b]);
        struct group g = make(text);
        for (unsigned round = 0; round < 100; round++) {
            struct tried tried = {0};
            unsigned seen = 0;
            for (unsigned i = 0; i < 4; i++)
                seen |= 1u << choose(&g, &tried, round);
            assert_int_equal(seen, 15);
            assert_in_range(choose(&g, &tried, round), 0, 3);
        }
        drop(&g);
    }
}

static void round_robin_goes_by_weights_and_spreads_them(void **state)
{
    struct group g = make("servers: [{server: 'a:1', weight: 5}, b:2, c:3], balance: round_robin");
    unsigned counts[3] = {0};
    unsigned longest = 0;
    unsigned row = 0;
    for (unsigned i = 0; i < 700; i++) {
        unsigned at = choose_first(&g, 0);
        counts[at]++;
        row = at == 0 ? row + 1 : 0;
        longest = row > longest ? row : longest;
    }
    assert_int_equal(counts[0], 500);
    assert_int_equal(counts[1], 100);
    assert_int_equal(counts[2], 100);
    assert_in_range(longest, 1, 4);
    drop(&g);
}

static void least_takes_the_faster_and_the_less_busy(void **state)
{
    struct group g = make("servers: [a:1, b:2]");
    for (unsigned i = 0; i < 20; i++, g.now += NS_PER_MS) {
        end(&g, 0, OUTCOME_GOOD, 40 * NS_PER_MS);
        end(&g, 1, OUTCOME_GOOD, 10 * NS_PER_MS);
    }
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(choose_first(&g, 0), 1);
    for (unsigned i = 0; i < 5; i++)
        server_begin(&g.u->servers[1]); /* 6 x 10 ms are more than 1 x 40 */
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(choose_first(&g, 0), 0);
    /* What was slow long ago is tried again. */
    struct group old = make("servers: [a:1, b:2]");
    end(&old, 0, OUTCOME_GOOD, 1000 * NS_PER_MS);
    end(&old, 1, OUTCOME_GOOD, 10 * NS_PER_MS);
    old.now += 60 * NS_PER_S;
    end(&old, 1, OUTCOME_GOOD, 10 * NS_PER_MS);
    assert_int_equal(choose_first(&old, 0), 0);
    drop(&old);
    drop(&g);
}

/* By decay alone it would take 30 s until 2 s look like 5 ms. */
static void least_finds_out_soon_that_a_slow_server_is_fast_again(void **state)
{
    struct group g = make("servers: [a:1, b:2]");
    end(&g, 0, OUTCOME_GOOD, 2 * NS_PER_S);
    unsigned soon = 0;
    unsigned later = 0;
    for (unsigned i = 0; i < 2000; i++) {
        end(&g, 1, OUTCOME_GOOD, 5 * NS_PER_MS);
        soon += choose_first(&g, 0) == 0;
    }
    g.now += 2 * NS_PER_S;
    for (unsigned i = 0; i < 2000; i++) {
        end(&g, 1, OUTCOME_GOOD, 5 * NS_PER_MS);
        later += choose_first(&g, 0) == 0;
    }
    assert_int_equal(soon, 0);
    assert_in_range(later, 50, 300);
    server_begin(&g.u->servers[0]); /* the call that finds out is under way */
    for (unsigned i = 0; i < 2000; i++)
        assert_int_equal(choose_first(&g, 0), 1);
    drop(&g);
}

static void least_goes_by_weights(void **state)
{
    struct group g = make("servers: [{server: 'a:1', weight: 5}, b:2, c:3]");
    unsigned counts[3] = {0};
    for (unsigned i = 0; i < 7000; i++)
        counts[choose_first(&g, 0)]++; /* nothing is in flight */
    assert_in_range(counts[0], 4500, 5500);
    for (unsigned i = 0; i < 700; i++)
        server_begin(&g.u->servers[choose_first(&g, 0)]);
    assert_in_range(g.u->servers[0].in_flight, 450, 550);
    drop(&g);
}

static void who_fails_in_a_row_is_ejected_but_never_the_last(void **state)
{
    struct group g = make("servers: [a:1, b:2, c:3], eject: {failures: 3, time: 10s}");
    for (unsigned s = 0; s < 3; s++)
        for (unsigned i = 0; i < 5; i++)
            end(&g, s, OUTCOME_FAILED, NS_PER_MS);
    assert_string_equal(server_state(&g.u->servers[0], g.now), "ejected");
    assert_string_equal(server_state(&g.u->servers[1], g.now), "ejected");
    assert_string_equal(server_state(&g.u->servers[2], g.now), "up");
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(choose_first(&g, 0), 2);
    drop(&g);
}

static void a_success_between_failures_is_enough(void **state)
{
    struct group g = make("servers: [a:1, b:2], eject: {failures: 3}");
    for (unsigned i = 0; i < 30; i++)
        end(&g, 0, i % 3 == 2 ? OUTCOME_GOOD : OUTCOME_FAILED, NS_PER_MS);
    assert_string_equal(server_state(&g.u->servers[0], g.now), "up");
    for (unsigned i = 0; i < 30; i++)
        end(&g, 0, OUTCOME_UNKNOWN, NS_PER_MS);
    assert_string_equal(server_state(&g.u->servers[0], g.now), "up");
    drop(&g);
}

static void an_ejected_server_returns_gently_and_is_ejected_for_longer(void **state)
{
    struct group g =
        make("servers: [a:1, b:2], balance: round_robin, eject: {failures: 3, time: 10s, "
             "slow_start: 10s}");
    for (unsigned i = 0; i < 3; i++)
        end(&g, 0, OUTCOME_FAILED, NS_PER_MS);
    g.now += 10 * NS_PER_S - 1;
    assert_string_equal(server_state(&g.u->servers[0], g.now), "ejected");
    g.now += 5 * NS_PER_S;
    assert_string_equal(server_state(&g.u->servers[0], g.now), "slow start");
    unsigned first = 0;
    for (unsigned i = 0; i < 10000; i++)
        first += choose_first(&g, 0) == 0;
    assert_in_range(first, 3000, 3700); /* half of its turns: a third of all */
    /* It fails once more: at once, and for twice as long. */
    end(&g, 0, OUTCOME_FAILED, NS_PER_MS);
    g.now += 19 * NS_PER_S;
    assert_string_equal(server_state(&g.u->servers[0], g.now), "ejected");
    g.now += 12 * NS_PER_S;
    end(&g, 0, OUTCOME_GOOD, NS_PER_MS);
    g.now += 10 * NS_PER_S;
    end(&g, 0, OUTCOME_GOOD, NS_PER_MS);
    assert_string_equal(server_state(&g.u->servers[0], g.now), "up");
    assert_int_equal(g.u->servers[0].ejections, 0);
    drop(&g);
}

static void checks_take_a_server_out_and_back(void **state)
{
    struct group g = make("servers: [a:1, b:2], health: {path: /, rise: 2, fall: 3}");
    for (unsigned i = 0; i < 2; i++)
        server_checked(&g.u->servers[0], false);
    assert_string_equal(server_state(&g.u->servers[0], g.now), "up");
    server_checked(&g.u->servers[0], false);
    assert_string_equal(server_state(&g.u->servers[0], g.now), "down");
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(choose_first(&g, 0), 1);
    server_checked(&g.u->servers[0], true);
    assert_string_equal(server_state(&g.u->servers[0], g.now), "down");
    server_checked(&g.u->servers[0], true);
    assert_string_equal(server_state(&g.u->servers[0], g.now), "up");
    /* All down: any. */
    for (unsigned i = 0; i < 6; i++)
        server_checked(&g.u->servers[i % 2], false);
    unsigned seen = 0;
    for (unsigned i = 0; i < 100; i++)
        seen |= 1u << choose_first(&g, 0);
    assert_int_equal(seen, 3);
    drop(&g);
}

static void a_busy_server_gets_less(void **state)
{
    struct group g = make("servers: [a:1, b:2]");
    server_begin(&g.u->servers[0]);
    server_end(&g.u->servers[0], OUTCOME_BUSY, NS_PER_MS, 2 * NS_PER_S, g.now);
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(choose_first(&g, 0), 1);
    assert_string_equal(server_state(&g.u->servers[0], g.now), "up");
    g.now += 2 * NS_PER_S;
    unsigned seen = 0;
    for (unsigned i = 0; i < 100; i++)
        seen |= 1u << choose_first(&g, 0);
    assert_int_equal(seen, 3);
    drop(&g);
}

#define KEYS 10000

static void a_key_stays_with_its_server(void **state)
{
    struct group three = make("servers: [a:1, b:2, c:3], balance: hash");
    struct group four = make("servers: [a:1, b:2, c:3, d:4], balance: hash");
    unsigned counts[4] = {0};
    unsigned moved = 0;
    struct rand keys;
    rand_init(&keys, 3);
    for (unsigned i = 0; i < KEYS; i++) {
        uint64_t key = rand_u64(&keys);
        unsigned before = choose_first(&three, key);
        unsigned after = choose_first(&four, key);
        assert_int_equal(choose_first(&three, key), before);
        assert_true(after == before || after == 3);
        moved += after != before;
        counts[after]++;
    }
    assert_in_range(moved, KEYS / 6, KEYS / 3);
    for (unsigned i = 0; i < 4; i++)
        assert_in_range(counts[i], KEYS / 7, KEYS / 2);
    drop(&three);
    drop(&four);
}

static void a_popular_key_is_not_all_of_one_servers_load(void **state)
{
    struct group g = make("servers: [a:1, b:2, c:3, d:4], balance: hash");
    unsigned counts[4] = {0};
    for (unsigned i = 0; i < 400; i++) {
        unsigned at = choose_first(&g, 42);
        server_begin(&g.u->servers[at]);
        counts[at]++;
    }
    for (unsigned i = 0; i < 4; i++)
        assert_in_range(counts[i], 0, 130); /* 1.25 x 100, and rounding */
    drop(&g);
}

static void retries_have_a_budget(void **state)
{
    struct group g = make("servers: [a:1], retry: {budget: 20, budget_min: 3}");
    for (unsigned i = 0; i < 3; i++)
        assert_true(retry_budget_take(g.u, g.now));
    assert_false(retry_budget_take(g.u, g.now));
    /* A hundred calls allow 20 retries within ten seconds, three of which there were. */
    for (unsigned i = 0; i < 100; i++, g.now += NS_PER_S / 25)
        retry_budget_earn(g.u, g.now);
    for (unsigned i = 3; i < 20; i++)
        assert_true(retry_budget_take(g.u, g.now));
    assert_false(retry_budget_take(g.u, g.now));
    for (unsigned i = 0; i < 18; i++)
        retry_budget_end(g.u);
    assert_true(retry_budget_take(g.u, g.now)); /* two are in flight: always */
    assert_false(retry_budget_take(g.u, g.now));
    /* What was long ago does not count. */
    g.now += 20 * NS_PER_S;
    assert_false(retry_budget_take(g.u, g.now));
    for (unsigned i = 0; i < 5; i++)
        retry_budget_earn(g.u, g.now);
    assert_true(retry_budget_take(g.u, g.now));
    assert_false(retry_budget_take(g.u, g.now));
    drop(&g);
}

static void pauses_are_random_and_bounded(void **state)
{
    struct group g = make("servers: [a:1], retry: {backoff: 10ms, backoff_max: 35ms}");
    static const int64_t most[] = {10, 20, 35, 35, 35};
    for (unsigned nth = 1; nth <= 5; nth++) {
        int64_t longest = 0;
        for (unsigned i = 0; i < 1000; i++) {
            int64_t pause = retry_pause(&g.u->conf->retry, nth, &g.rand);
            assert_in_range(pause, 0, most[nth - 1] * NS_PER_MS);
            longest = pause > longest ? pause : longest;
        }
        assert_in_range(longest, most[nth - 1] * NS_PER_MS * 9 / 10, most[nth - 1] * NS_PER_MS);
    }
    drop(&g);
}

/* Of a thousand servers, half of them ejected. */
static void many_servers_share_evenly(void **state)
{
    static char text[12000];
    size_t len = (size_t)snprintf(text, sizeof text, "servers: [");
    for (unsigned i = 0; i < 1000; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s'%u'", i ? "," : "", 1000 + i);
    snprintf(text + len, sizeof text - len, "]");
    struct group g = make(text);
    for (unsigned i = 0; i < 500; i++)
        for (unsigned k = 0; k < 5; k++)
            end(&g, i * 2, OUTCOME_FAILED, NS_PER_MS);
    unsigned least = UINT32_MAX;
    unsigned counts[1000] = {0};
    for (unsigned i = 0; i < 50000; i++) {
        unsigned at = choose_first(&g, 0);
        assert_int_equal(at % 2, 1);
        server_begin(&g.u->servers[at]);
        counts[at]++;
    }
    for (unsigned i = 1; i < 1000; i += 2)
        least = counts[i] < least ? counts[i] : least;
    assert_in_range(least, 90, 100);
    drop(&g);
}

TEST_FILE(balance)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_server_is_tried_twice_as_long_as_there_are_others),
        cmocka_unit_test(round_robin_goes_by_weights_and_spreads_them),
        cmocka_unit_test(least_takes_the_faster_and_the_less_busy),
        cmocka_unit_test(least_finds_out_soon_that_a_slow_server_is_fast_again),
        cmocka_unit_test(least_goes_by_weights),
        cmocka_unit_test(who_fails_in_a_row_is_ejected_but_never_the_last),
        cmocka_unit_test(a_success_between_failures_is_enough),
        cmocka_unit_test(an_ejected_server_returns_gently_and_is_ejected_for_longer),
        cmocka_unit_test(checks_take_a_server_out_and_back),
        cmocka_unit_test(a_busy_server_gets_less),
        cmocka_unit_test(a_key_stays_with_its_server),
        cmocka_unit_test(a_popular_key_is_not_all_of_one_servers_load),
        cmocka_unit_test(retries_have_a_budget),
        cmocka_unit_test(pauses_are_random_and_bounded),
        cmocka_unit_test(many_servers_share_evenly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
