/*
 * order_model_test.c: order.c against lists that are looked through: many routes, priorities,
 * sizes, costs, clocks that stand and jump; what comes, leaves, is served, comes back, is replaced.
 */
#include "../check.h"

#include "base/rand.h"
#include "base/time.h"
#include "sched/order.h"

#define THINGS  300
#define LANES   (ORDER_PRIORITIES * ORDER_SIZES)
#define CLASSES LANES

struct thing {
    struct order_item item;
    bool in;
    bool known; /* it has a place */
    unsigned queue;
    int64_t cost;
    int64_t key;
    uint64_t serial;
    int64_t came_at;
};

struct model {
    unsigned routes;
    struct thing things[THINGS];
    unsigned waiting[THINGS]; /* as order.waiting */
    unsigned count;
    int64_t *served; /* by lane */
    int64_t class_served[CLASSES];
    uint64_t serial;
    struct rand rand;
    int64_t now;
};

static struct order o;
static struct model m;

static unsigned class_of(unsigned queue)
{
    return queue % LANES;
}

static unsigned waiting_in(unsigned queue)
{
    unsigned count = 0;
    for (unsigned i = 0; i < m.count; i++)
        count += m.things[m.waiting[i]].queue == queue;
    return count;
}

static void take_out(unsigned id)
{
    unsigned at = 0;
    while (m.waiting[at] != id)
        at++;
    for (m.count--; at < m.count; at++)
        m.waiting[at] = m.waiting[at + 1];
    m.things[id].in = false;
}

static void put_in(unsigned id, unsigned at)
{
    for (unsigned i = m.count; i > at; i--)
        m.waiting[i] = m.waiting[i - 1];
    m.waiting[at] = id;
    m.count++;
    m.things[id].in = true;
}

static void joins_queue(struct thing *t)
{
    if (waiting_in(t->queue) == 0 && m.served[t->queue] < m.class_served[class_of(t->queue)])
        m.served[t->queue] = m.class_served[class_of(t->queue)];
}

/* ---- What is done to both ---- */

static const int64_t costs[] = {1, 2, 3, 1000, NS_PER_US, NS_PER_MS, NS_PER_S, 3600 * NS_PER_S};

static void come(unsigned id)
{
    struct thing *t = &m.things[id];
    int priority = (int)rand_between(&m.rand, -4, 4);
    struct order_place place = {.route = (unsigned)rand_below(&m.rand, m.routes),
        .priority = rand_ppm(&m.rand, 20000) ? INT32_MIN : priority,
        .cost = costs[rand_below(&m.rand, sizeof costs / sizeof *costs)],
        .deadline = rand_ppm(&m.rand, 100000) ? DEADLINE_NEVER
                                              : m.now + rand_between(&m.rand, -NS_PER_S, NS_PER_S),
        .came_at = m.now};
    int rank = place.priority < -2 ? 4 : place.priority > 2 ? 0 : 2 - place.priority;
    bool is_short = (double)place.cost * 10 * o.work < o.square;
    int64_t patience = m.now + ORDER_PATIENCE_NS;
    t->queue = place.route * LANES + (unsigned)rank * 2 + !is_short;
    t->cost = place.cost;
    t->key = place.deadline < patience ? place.deadline : patience;
    t->came_at = m.now;
    t->serial = m.serial++;
    t->known = true;
    assert_int_equal(order_prepare(&o, &t->item, &place), 0);
    joins_queue(t);
    put_in(id, m.count);
    order_add(&o, &t->item, false);
}

static void come_back(unsigned id)
{
    struct thing *t = &m.things[id];
    m.served[t->queue] -= t->cost;
    joins_queue(t);
    put_in(id, 0);
    order_add(&o, &t->item, true);
}

static void serve(unsigned id)
{
    struct thing *t = &m.things[id];
    unsigned class = class_of(t->queue);
    int64_t behind = m.served[t->queue];
    take_out(id);
    order_remove(&o, &t->item);
    for (unsigned i = 0; i < m.count; i++) {
        unsigned queue = m.things[m.waiting[i]].queue;
        if (class_of(queue) == class && m.served[queue] < behind)
            behind = m.served[queue];
    }
    if (m.class_served[class] < behind)
        m.class_served[class] = behind;
    if (waiting_in(t->queue) == 0 && m.served[t->queue] < m.class_served[class])
        m.served[t->queue] = m.class_served[class];
    m.served[t->queue] += t->cost;
    order_charge(&o, &t->item, t->cost);
}

static void leave(unsigned id)
{
    take_out(id);
    order_remove(&o, &m.things[id].item);
}

static void give_place(unsigned id, unsigned heir_id)
{
    struct thing *t = &m.things[id];
    struct thing *heir = &m.things[heir_id];
    unsigned at = 0;
    while (m.waiting[at] != id)
        at++;
    struct order_item item = heir->item;
    *heir = *t;
    heir->item = item;
    heir->cost = rand_between(&m.rand, 0, 1000);
    order_replace(&o, &t->item, &heir->item, heir->cost);
    heir->cost += heir->cost == 0;
    take_out(id);
    put_in(heir_id, at);
}

/* ---- What is asked of both ---- */

static bool is_before(const struct thing *a, int64_t key, uint64_t serial)
{
    return a->key != key ? a->key < key : a->serial < serial;
}

static int64_t cost_of_class(unsigned class)
{
    int64_t cost = 0;
    for (unsigned i = 0; i < m.count; i++)
        if (class_of(m.things[m.waiting[i]].queue) == class)
            cost += m.things[m.waiting[i]].cost;
    return cost;
}

/* Whether it is what may be first in its class. */
static void check_first_of_class(const struct thing *first)
{
    unsigned newest = first->queue;
    for (unsigned i = 0; i < m.count; i++) {
        const struct thing *t = &m.things[m.waiting[i]];
        if (class_of(t->queue) == class_of(first->queue))
            assert_true(m.served[first->queue] <= m.served[t->queue]);
        if (t->queue != first->queue)
            continue;
        newest = m.waiting[i];
        if (order_stats(&first->item)->state != ADMISSION_NEWEST)
            assert_false(is_before(t, first->key, first->serial));
    }
    if (order_stats(&first->item)->state == ADMISSION_NEWEST)
        assert_ptr_equal(&m.things[newest], first);
}

static void check_first(void)
{
    struct order_item *item = order_first(&o, m.now);
    if (m.count == 0) {
        assert_null(item);
        return;
    }
    const struct thing *first = container_of(item, struct thing, item);
    assert_true(first->in);
    if (m.now - m.things[m.waiting[0]].came_at >= ORDER_PATIENCE_NS) {
        assert_ptr_equal(first, &m.things[m.waiting[0]]);
        return;
    }
    unsigned rank = 0;
    while (cost_of_class(2 * rank) + cost_of_class(2 * rank + 1) == 0)
        rank++;
    assert_int_equal(class_of(first->queue) / 2, rank);
    if (class_of(first->queue) % 2 == ORDER_LONG && cost_of_class(2 * rank) > 0)
        assert_true(o.ranks[rank].owed >= first->cost);
    check_first_of_class(first);
}

static void check_line(const struct thing *t)
{
    const struct order_item *oldest = NULL;
    for (unsigned i = 0; i < m.count && !oldest; i++)
        if (m.things[m.waiting[i]].queue == t->queue)
            oldest = &m.things[m.waiting[i]].item;
    assert_ptr_equal(order_oldest_of_class(&t->item), oldest);
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void check_ahead(const struct thing *t)
{
    unsigned class = class_of(t->queue);
    int64_t before = 0;
    int64_t same = 0;
    int64_t higher = 0;
    unsigned queues = 0;
    for (unsigned i = 0; i < m.count; i++) {
        const struct thing *other = &m.things[m.waiting[i]];
        if (other->queue == t->queue)
            same += other->cost;
        if (other->queue == t->queue && is_before(other, t->key, t->serial))
            before += other->cost;
        bool seen = other->queue == t->queue || class_of(other->queue) != class;
        for (unsigned j = 0; j < i && !seen; j++)
            seen = m.things[m.waiting[j]].queue == other->queue;
        queues += !seen;
    }
    for (unsigned i = 0; i < class / 2 * 2; i++)
        higher += cost_of_class(i);
    int64_t own = before + least(cost_of_class(class) - same, (before + t->cost) * queues);
    int64_t share = class % 2 == ORDER_SHORT ? own / 3 : (own + t->cost) * 3;
    assert_int_equal(
        order_ahead(&o, &t->item), higher + own + least(cost_of_class(class ^ 1), share));
}

static void check_all(const struct thing *t)
{
    int64_t cost = 0;
    for (unsigned i = 0; i < CLASSES; i++)
        cost += cost_of_class(i);
    assert_int_equal(o.count, m.count);
    assert_int_equal(order_cost(&o), cost);
    if (m.count > 0)
        assert_ptr_equal(order_oldest(&o), &m.things[m.waiting[0]].item);
    check_first();
    if (!t->known)
        return;
    check_line(t);
    check_ahead(t);
}

/* ---- All of it ---- */

static void one_move(void)
{
    unsigned id = (unsigned)rand_below(&m.rand, THINGS);
    unsigned heir = (unsigned)rand_below(&m.rand, THINGS);
    struct thing *t = &m.things[id];
    uint64_t move = rand_below(&m.rand, 100);
    struct order_item *first = order_first(&o, m.now);
    if (!t->in && (!t->known || move < 80))
        come(id);
    else if (!t->in)
        come_back(id);
    else if (move < 20)
        leave(id);
    else if (move < 35 && !m.things[heir].in)
        give_place(id, heir);
    else if (move < 40)
        order_stats(&t->item)->state = (enum admission_state)(move % 3);
    else if (move < 60)
        serve(id);
    else if (first)
        serve((unsigned)(container_of(first, struct thing, item) - m.things));
    if (rand_ppm(&m.rand, 300000))
        m.now += rand_exponential(&m.rand, NS_PER_S);
    if (rand_ppm(&m.rand, 2000))
        m.now += ORDER_PATIENCE_NS;
    check_all(t);
}

static void plays(unsigned routes, uint64_t seed, unsigned moves)
{
    m = (struct model){.routes = routes};
    m.served = test_calloc((size_t)routes * LANES, sizeof *m.served);
    rand_init(&m.rand, seed);
    order_init(&o);
    for (unsigned i = 0; i < moves; i++)
        one_move();
    while (m.count > 0)
        leave(m.waiting[0]);
    order_release(&o);
    test_free(m.served);
}

static void it_is_as_lists_that_are_looked_through(void **state)
{
    static const unsigned routes[] = {1, 2, 7, 100, 10000};
    for (unsigned i = 0; i < sizeof routes / sizeof *routes; i++)
        for (uint64_t seed = 1; seed <= 8; seed++)
            plays(routes[i], seed, 1000);
}

TEST_FILE(order_model)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(it_is_as_lists_that_are_looked_through)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
