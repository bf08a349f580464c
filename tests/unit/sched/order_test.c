/*
 * order_test.c: who is next, by each rule alone and by all at once against a plain list.
 */
#include "../check.h"

#include "base/mem.h"
#include "base/rand.h"
#include "base/time.h"
#include "sched/order.h"

#include <stdio.h>
#include <time.h>

#define ITEMS 10000

struct thing {
    struct order_item item;
    unsigned id;
    unsigned route;
    int64_t cost;
};

static struct order o;
static struct thing things[ITEMS];

static int setup(void **state)
{
    order_init(&o);
    return 0;
}

static int teardown(void **state)
{
    while (o.count > 0)
        order_remove(&o, order_oldest(&o));
    order_release(&o);
    return 0;
}

static void put(unsigned id, const struct order_place *place)
{
    struct thing *t = &things[id];
    t->id = id;
    t->route = place->route;
    t->cost = place->cost;
    assert_int_equal(order_prepare(&o, &t->item, place), 0);
    order_add(&o, &t->item, false);
}

static struct thing *thing_of(struct order_item *item)
{
    return item ? container_of(item, struct thing, item) : NULL;
}

static void serve(struct order_item *item)
{
    order_remove(&o, item);
    order_charge(&o, item, item->node.cost);
}

/* The id of what is served next, at that moment; ITEMS: nothing waits. */
static unsigned next_at(int64_t now)
{
    struct thing *t = thing_of(order_first(&o, now));
    if (!t)
        return ITEMS;
    serve(&t->item);
    return t->id;
}

static unsigned next(void)
{
    return next_at(0);
}

static void the_earliest_deadline_is_first(void **state)
{
    const int64_t deadlines[] = {30, 10, 20, 10};
    for (unsigned i = 0; i < 4; i++)
        put(i, &(struct order_place){.cost = 1, .deadline = deadlines[i]});
    assert_int_equal(next(), 1);
    assert_int_equal(next(), 3);
    assert_int_equal(next(), 2);
    assert_int_equal(next(), 0);
    assert_int_equal(next(), ITEMS);
}

static void the_newest_is_first_where_deadlines_are_not_met(void **state)
{
    for (unsigned i = 0; i < 4; i++)
        put(i, &(struct order_place){.cost = 1, .deadline = 10 + i});
    order_stats(&things[0].item)->state = ADMISSION_NEWEST;
    assert_int_equal(next(), 3);
    assert_int_equal(next(), 2);
    order_stats(&things[0].item)->state = ADMISSION_NORMAL;
    assert_int_equal(thing_of(order_oldest_of_class(&things[0].item))->id, 0);
    assert_int_equal(next(), 0);
}

static void a_higher_priority_is_before_all_else(void **state)
{
    put(0, &(struct order_place){.cost = 1, .deadline = 1, .priority = -2});
    put(1, &(struct order_place){.cost = 1, .deadline = 2, .priority = 0});
    put(2, &(struct order_place){.cost = 1, .deadline = 3, .priority = 1});
    put(3, &(struct order_place){.cost = 1, .deadline = 4, .priority = 100});
    assert_int_equal(next(), 3);
    assert_int_equal(next(), 2);
    assert_int_equal(next(), 1);
    assert_int_equal(next(), 0);
}

static void who_has_waited_a_minute_is_next_whatever_it_is(void **state)
{
    put(0, &(struct order_place){.cost = 1, .deadline = DEADLINE_NEVER, .priority = -2});
    put(1, &(struct order_place){
               .cost = 1, .deadline = 1, .priority = 2, .came_at = ORDER_PATIENCE_NS / 2});
    put(2, &(struct order_place){
               .cost = 1, .deadline = 1, .priority = 2, .came_at = ORDER_PATIENCE_NS / 2});
    assert_int_equal(next_at(ORDER_PATIENCE_NS - 1), 1);
    assert_int_equal(next_at(ORDER_PATIENCE_NS), 0);
    assert_int_equal(next_at(ORDER_PATIENCE_NS), 2);
}

#define DEAR  (100 * NS_PER_MS)
#define CHEAP NS_PER_MS

static void short_ones_do_not_wait_behind_long_ones(void **state)
{
    for (unsigned i = 0; i < 10; i++)
        put(i, &(struct order_place){.cost = DEAR, .deadline = 1});
    for (unsigned i = 10; i < 20; i++)
        put(i, &(struct order_place){.cost = CHEAP, .deadline = 2});
    for (unsigned i = 10; i < 20; i++)
        assert_int_equal(next(), i);
    assert_int_equal(next(), 0);
}

static void what_turns_out_to_be_long_goes_behind_the_short_ones(void **state)
{
    const int64_t ms = 1000000;
    put(0, &(struct order_place){.cost = 100 * ms, .deadline = 9 * ms});
    put(1, &(struct order_place){.cost = ms, .deadline = 10 * ms, .came_at = 1});
    put(2, &(struct order_place){.cost = ms, .deadline = 11 * ms, .came_at = 2});
    put(3, &(struct order_place){.cost = ms, .deadline = 12 * ms, .came_at = 3});
    struct order_place known = {.cost = 200 * ms, .deadline = 10 * ms, .came_at = 1};
    order_reprice(&o, &things[1].item, &known);
    assert_int_equal(order_cost(&o), 302 * ms);
    assert_int_equal(next(), 2);
    assert_int_equal(next(), 3);
    /* It has waited for as long as before. */
    order_remove(&o, &things[0].item);
    put(4, &(struct order_place){.cost = ms, .deadline = 13 * ms, .came_at = 4});
    assert_ptr_equal(order_oldest(&o), &things[1].item);
    assert_int_equal(next(), 4);
    assert_int_equal(next(), 1);
}

static void what_costs_about_the_same_is_of_one_class(void **state)
{
    for (unsigned i = 0; i < 10; i++)
        put(i, &(struct order_place){.cost = i % 2 ? 5 : 1, .deadline = i});
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(next(), i);
}

/* Short ones come without end: a quarter of the work is the long ones'. */
static void long_ones_are_not_starved_by_short_ones(void **state)
{
    for (unsigned i = 0; i < 50; i++)
        put(i, &(struct order_place){.cost = DEAR, .deadline = 1});
    for (unsigned i = 50; i < 100; i++)
        put(i, &(struct order_place){.cost = CHEAP, .deadline = 1});
    int64_t served[2] = {0, 0};
    for (unsigned i = 0; i < 5000; i++) {
        unsigned id = next();
        served[id >= 50] += things[id].cost;
        put(id, &(struct order_place){.cost = things[id].cost, .deadline = 1});
    }
    double share = (double)served[0] / (double)(served[0] + served[1]);
    assert_true(share > 0.22 && share < 0.28);
}

/* Routes that always have something waiting are served equally much, by cost, whatever each of
 * their tasks costs, and however many they have waiting. */
static void routes_are_served_fairly_by_cost(void **state)
{
    static const int64_t costs[] = {1000, 1500, 3000, 4000};
    int64_t served[4] = {0};
    for (unsigned i = 0; i < 400; i++) {
        unsigned route = i < 370 ? 0 : 1 + i % 3;
        put(i, &(struct order_place){.route = route, .cost = costs[route], .deadline = 1});
    }
    for (unsigned i = 0; i < 10000; i++) {
        unsigned id = next();
        unsigned route = things[id].route;
        served[route] += costs[route];
        put(id, &(struct order_place){.route = route, .cost = costs[route], .deadline = 1});
        for (unsigned j = 0; j < 4; j++)
            assert_true(served[route] - served[j] <= costs[route] + costs[j]);
    }
}

static void a_route_that_was_away_has_saved_nothing(void **state)
{
    for (unsigned i = 0; i < 100; i++)
        put(i, &(struct order_place){.route = 0, .cost = 1, .deadline = 1});
    for (unsigned i = 0; i < 50; i++)
        next();
    for (unsigned i = 100; i < 150; i++)
        put(i, &(struct order_place){.route = 1, .cost = 1, .deadline = 1});
    unsigned mine = 0;
    for (unsigned i = 0; i < 20; i++)
        mine += next() >= 100;
    assert_in_range(mine, 9, 11);
}

static void what_comes_back_is_where_it_was_and_is_not_charged_twice(void **state)
{
    for (unsigned i = 0; i < 4; i++)
        put(i, &(struct order_place){.route = i / 2, .cost = 1, .deadline = 5});
    struct order_item *first = order_first(&o, 0);
    assert_int_equal(thing_of(first)->id, 0);
    mem_fail_at(1, true);
    for (unsigned i = 0; i < 10; i++) {
        serve(first);
        order_add(&o, first, true);
    }
    mem_fail_at(0, false);
    unsigned order[4];
    for (unsigned i = 0; i < 4; i++)
        order[i] = next();
    assert_true((order[0] == 0 && order[1] == 2) || (order[0] == 2 && order[1] == 0));
    assert_true((order[2] == 1 && order[3] == 3) || (order[2] == 3 && order[3] == 1));
}

/* Mates of a batch are served with the first, whoever's turn it is. */
static void who_is_served_out_of_turn_does_not_put_off_who_comes_new(void **state)
{
    for (unsigned i = 0; i < 10; i++)
        put(i, &(struct order_place){.route = i % 2, .cost = 1, .deadline = 1});
    for (unsigned i = 1; i < 8; i += 2)
        serve(&things[i].item);
    put(10, &(struct order_place){.route = 2, .cost = 1, .deadline = 1});
    unsigned first = next();
    unsigned second = next();
    assert_true(first == 10 || second == 10);
    while (next() != ITEMS)
        continue;
}

/* ---- What is ahead ---- */

static int64_t ahead(const struct order_place *place)
{
    struct order_item item;
    assert_int_equal(order_prepare(&o, &item, place), 0);
    return order_ahead(&o, &item);
}

static void what_is_due_sooner_is_ahead(void **state)
{
    for (unsigned i = 0; i < 100; i++)
        put(i, &(struct order_place){.cost = 10, .deadline = 100 + i});
    assert_int_equal(ahead(&(struct order_place){.cost = 10, .deadline = 50}), 0);
    assert_int_equal(ahead(&(struct order_place){.cost = 10, .deadline = 120}), 210);
    assert_int_equal(ahead(&(struct order_place){.cost = 10, .deadline = 500}), 1000);
    assert_int_equal(
        ahead(&(struct order_place){.cost = 10, .deadline = 50, .priority = -1}), 1000);
    assert_int_equal(ahead(&(struct order_place){.cost = 10, .deadline = 500, .priority = 1}), 0);
    /* Another route waits for one of the first's before its own. */
    assert_int_equal(ahead(&(struct order_place){.cost = 10, .deadline = 500, .route = 1}), 10);
    assert_int_equal(order_cost(&o), 1000);
}

static void of_long_ones_a_third_is_ahead_of_short_ones(void **state)
{
    for (unsigned i = 0; i < 10; i++)
        put(i, &(struct order_place){.cost = DEAR, .deadline = 1});
    for (unsigned i = 10; i < 40; i++)
        put(i, &(struct order_place){.cost = CHEAP, .deadline = 2});
    assert_int_equal(
        ahead(&(struct order_place){.cost = CHEAP, .deadline = 5}), 30 * CHEAP + 10 * CHEAP);
    assert_int_equal(
        ahead(&(struct order_place){.cost = DEAR, .deadline = 5}), 10 * DEAR + 30 * CHEAP);
}

/* ---- All of it ---- */

/* Of one route and class, the order is that of a list that is looked through. */
static void it_is_as_a_list_that_is_looked_through(void **state)
{
    static bool in[500];
    struct rand r;
    rand_init(&r, 7);
    unsigned count = 0;
    for (unsigned round = 0; round < 20000; round++) {
        unsigned id = (unsigned)rand_below(&r, 500);
        struct order_item *item = &things[id].item;
        if (!in[id]) {
            put(id, &(struct order_place){.cost = 1 + (int64_t)rand_below(&r, 3),
                        .deadline = rand_between(&r, 0, 50)});
            count++;
        } else if (rand_ppm(&r, 500000)) {
            order_remove(&o, item);
            count--;
        } else {
            struct order_item *heir = order_first(&o, 0);
            int64_t before = 0;
            for (unsigned i = 0; i < 500; i++) {
                const struct tree_node *other = &things[i].item.node;
                if (!in[i])
                    continue;
                assert_true(heir->node.key <= other->key);
                if (other->key < item->node.key ||
                    (other->key == item->node.key && other->serial < item->node.serial))
                    before += other->cost;
            }
            assert_int_equal(order_ahead(&o, item), before);
            in[id] = !in[id];
        }
        in[id] = !in[id];
        assert_int_equal(o.count, count);
    }
}

static int64_t used_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* What a put and a take cost, with so many waiting: told, and compared. */
static int64_t measure(unsigned waiting)
{
    struct rand r;
    rand_init(&r, 1);
    for (unsigned i = 0; i < waiting; i++)
        put(i, &(struct order_place){
                   .route = i % 7, .cost = 1000, .deadline = rand_between(&r, 1, 1000000)});
    int64_t best = INT64_MAX;
    for (unsigned round = 0; round < 20; round++) {
        int64_t began = used_ns();
        for (unsigned i = 0; i < 2000; i++) {
            struct thing *t = thing_of(order_first(&o, 0));
            serve(&t->item);
            t->route = i % 7;
            struct order_place place = {
                .route = i % 7, .cost = 1000, .deadline = rand_between(&r, 1, 1000000)};
            if (order_prepare(&o, &t->item, &place) == 0 && order_ahead(&o, &t->item) >= 0)
                order_add(&o, &t->item, false);
        }
        int64_t took = (used_ns() - began) / 2000;
        best = took < best ? took : best;
    }
    while (next() != ITEMS)
        ;
    return best;
}

static void it_costs_little_more_with_ten_thousand(void **state)
{
    int64_t few = measure(100);
    int64_t many = measure(ITEMS);
    print_message("put, ahead and take: %lld ns with 100 waiting, %lld ns with %d\n",
        (long long)few, (long long)many, ITEMS);
    /* What looks at all of them is fifty times slower. time: of the processor, the best of 20 */
    assert_true(many < 10 * few + 1000);
}

static bool comes_and_goes(void)
{
    struct order small;
    struct order_item item[2];
    order_init(&small);
    unsigned in = 0;
    for (unsigned i = 0; i < 2; i++) {
        struct order_place place = {.route = i * 40, .cost = 1, .deadline = 1};
        if (order_prepare(&small, &item[i], &place) != 0)
            break;
        order_add(&small, &item[i], false);
        in++;
    }
    while (small.count > 0)
        order_remove(&small, order_oldest(&small));
    order_release(&small);
    return in == 2;
}

static void no_memory_is_told(void **state)
{
    torture(comes_and_goes);
}

TEST_FILE(order)
{
#define ORDER_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        ORDER_TEST(the_earliest_deadline_is_first),
        ORDER_TEST(the_newest_is_first_where_deadlines_are_not_met),
        ORDER_TEST(a_higher_priority_is_before_all_else),
        ORDER_TEST(who_has_waited_a_minute_is_next_whatever_it_is),
        ORDER_TEST(short_ones_do_not_wait_behind_long_ones),
        ORDER_TEST(what_turns_out_to_be_long_goes_behind_the_short_ones),
        ORDER_TEST(what_costs_about_the_same_is_of_one_class),
        ORDER_TEST(long_ones_are_not_starved_by_short_ones),
        ORDER_TEST(routes_are_served_fairly_by_cost),
        ORDER_TEST(a_route_that_was_away_has_saved_nothing),
        ORDER_TEST(what_comes_back_is_where_it_was_and_is_not_charged_twice),
        ORDER_TEST(who_is_served_out_of_turn_does_not_put_off_who_comes_new),
        ORDER_TEST(what_is_due_sooner_is_ahead),
        ORDER_TEST(of_long_ones_a_third_is_ahead_of_short_ones),
        ORDER_TEST(it_is_as_a_list_that_is_looked_through),
        ORDER_TEST(it_costs_little_more_with_ten_thousand),
        cmocka_unit_test(no_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
