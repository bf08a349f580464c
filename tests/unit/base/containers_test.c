/*
 * containers_test.c: list, heap, ring, map: against simple models, with random operations.
 */
#include "../check.h"

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/rand.h"
#include "base/ring.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- list ---- */

struct item {
    int number;
    struct list link;
};

static void lists_keep_order_and_removal_is_safe_twice(void **state)
{
    struct list l;
    struct item items[5];
    list_init(&l);
    assert_true(list_empty(&l));
    assert_null(list_pop_front(&l));
    for (int i = 0; i < 5; i++) {
        items[i].number = i;
        list_init(&items[i].link);
        assert_false(list_linked(&items[i].link));
        if (i < 3)
            list_push_back(&l, &items[i].link);
        else
            list_push_front(&l, &items[i].link);
    }
    list_del(&items[1].link);
    list_del(&items[1].link);
    int expected[] = {4, 3, 0, 2};
    int n = 0;
    list_each (link, &l)
        assert_int_equal(list_entry(link, struct item, link)->number, expected[n++]);
    assert_int_equal(n, 4);
    list_each_safe (link, &l)
        list_del(link);
    assert_true(list_empty(&l));
}

/* ---- heap ---- */

#define HEAP_ITEMS 300

struct alarm {
    int64_t key;
    uint64_t order;
    bool in;
    struct heap_link link;
};

/* The one that must come first, by looking at all. */
static struct alarm *first_of(struct alarm *alarms)
{
    struct alarm *first = NULL;
    for (int i = 0; i < HEAP_ITEMS; i++) {
        struct alarm *a = &alarms[i];
        if (a->in &&
            (!first || a->key < first->key || (a->key == first->key && a->order < first->order)))
            first = a;
    }
    return first;
}

static void a_heap_agrees_with_looking_at_all(void **state)
{
    static struct alarm alarms[HEAP_ITEMS];
    struct heap h;
    struct rand r;
    uint64_t order = 0;
    heap_init(&h, HEAP_ITEMS);
    rand_init(&r, 7);
    for (int step = 0; step < 20000; step++) {
        struct alarm *a = &alarms[rand_below(&r, HEAP_ITEMS)];
        if (a->in) {
            heap_remove(&h, &a->link);
            a->in = false;
        } else {
            a->key = rand_between(&r, -20, 20); /* many equal */
            a->order = order++;
            a->in = true;
            assert_int_equal(heap_push(&h, &a->link, a->key), 0);
        }
        assert_int_equal(heap_linked(&a->link), a->in);
        struct alarm *first = first_of(alarms);
        assert_ptr_equal(heap_first(&h), first ? &first->link : NULL);
        assert_true(heap_first_key(&h) == (first ? first->key : INT64_MAX));
    }
    for (struct alarm *first; (first = first_of(alarms)); first->in = false)
        assert_ptr_equal(heap_pop(&h), &first->link);
    assert_null(heap_pop(&h));
    heap_release(&h);
}

static void a_heap_stops_at_its_maximum(void **state)
{
    struct heap h;
    struct heap_link links[4] = {0};
    heap_init(&h, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(heap_push(&h, &links[i], i), 0);
    assert_int_equal(heap_push(&h, &links[3], 0), -ENOBUFS);
    assert_false(heap_linked(&links[3]));
    while (heap_pop(&h))
        ;
    heap_release(&h);
}

static void a_reserved_heap_does_not_fail(void **state)
{
    struct heap h;
    static struct heap_link links[100];
    heap_init(&h, 1000);
    assert_int_equal(heap_reserve(&h, 100), 0);
    mem_fail_at(1, true);
    for (int i = 0; i < 100; i++)
        assert_int_equal(heap_push(&h, &links[i], -i), 0);
    mem_fail_at(0, false);
    assert_int_equal(heap_reserve(&h, 901), -ENOBUFS);
    while (heap_pop(&h))
        ;
    heap_release(&h);
}

/* ---- ring ---- */

static void a_ring_is_first_in_first_out_and_bounded(void **state)
{
    for (size_t size = 1; size < 6; size++) {
        struct ring r;
        assert_int_equal(ring_init(&r, size), 0);
        uintptr_t in = 1;
        uintptr_t out = 1;
        for (int round = 0; round < 50; round++) {
            while (ring_push(&r, (void *)in))
                in++;
            assert_int_equal(r.count, size);
            assert_true(ring_full(&r));
            for (size_t i = 0; i < (size_t)round % size + 1; i++)
                assert_int_equal(ring_pop(&r), out++);
        }
        while (out < in)
            assert_int_equal(ring_pop(&r), out++);
        assert_null(ring_pop(&r));
        assert_true(ring_empty(&r));
        ring_release(&r);
    }
}

/* ---- map ---- */

#define NAMES 500

static const uint64_t seeds[][2] = {{0, 0}, {1, 2}, {UINT64_MAX, 3}};

static struct span name_of(int i, char text[32])
{
    int len = snprintf(text, 32, "%.*s%d", i % 20, "a name that is long ", i);
    return (struct span){text, (size_t)len};
}

static void a_map_agrees_with_an_array(void **state)
{
    for (size_t s = 0; s < sizeof seeds / sizeof *seeds; s++) {
        struct map m;
        struct rand r;
        static uintptr_t values[NAMES];
        memset(values, 0, sizeof values);
        uint32_t count = 0;
        map_init(&m, seeds[s], NAMES);
        rand_init(&r, 11);
        for (uintptr_t step = 1; step < 20000; step++) {
            int i = (int)rand_below(&r, NAMES);
            char text[32];
            struct span name = name_of(i, text);
            assert_int_equal(map_get(&m, name), values[i]);
            if (rand_ppm(&r, 550000)) {
                count += !values[i];
                values[i] = step;
                assert_int_equal(map_put(&m, name, (void *)step), 0);
            } else {
                count -= !!values[i];
                assert_int_equal(map_remove(&m, name), values[i]);
                values[i] = 0;
            }
            assert_int_equal(m.count, count);
        }
        map_release(&m);
    }
}

static void a_map_is_gone_through_in_order_whatever_the_seed(void **state)
{
    for (size_t s = 0; s < sizeof seeds / sizeof *seeds; s++) {
        struct map m;
        char text[32];
        map_init(&m, seeds[s], 1000);
        for (uintptr_t i = 0; i < 1000; i++)
            assert_int_equal(map_put(&m, name_of((int)i, text), (void *)(i + 1)), 0);
        assert_int_equal(map_put(&m, SPAN("one more"), text), -ENOBUFS);
        for (int i = 0; i < 1000; i += 3)
            assert_non_null(map_remove(&m, name_of(i, text)));
        assert_int_equal(map_put(&m, SPAN("last"), (void *)5000), 0);
        uint32_t at = 0;
        const struct map_entry *e;
        uintptr_t before = 0;
        size_t seen = 0;
        while ((e = map_next(&m, &at))) {
            assert_true((uintptr_t)e->value > before);
            before = (uintptr_t)e->value;
            seen++;
        }
        assert_int_equal(seen, 667);
        assert_int_equal(before, 5000);
        map_release(&m);
    }
}

static void names_may_hold_any_bytes(void **state)
{
    struct map m;
    map_init(&m, seeds[1], 10);
    int a, b, c;
    assert_int_equal(map_put(&m, SPAN(""), &a), 0);
    assert_int_equal(map_put(&m, SPAN("\0"), &b), 0);
    assert_int_equal(map_put(&m, SPAN("\0\0"), &c), 0);
    assert_ptr_equal(map_get(&m, SPAN("")), &a);
    assert_ptr_equal(map_get(&m, SPAN("\0")), &b);
    assert_ptr_equal(map_get(&m, SPAN("\0\0")), &c);
    assert_ptr_equal(map_get(&m, (struct span){NULL, 0}), &a);
    map_release(&m);
}

static bool fill_map(void)
{
    struct map m;
    map_init(&m, seeds[0], 100);
    int rc = 0;
    char text[32];
    for (int i = 0; i < 60 && rc == 0; i++) {
        rc = map_put(&m, name_of(i, text), &m);
        assert_ptr_equal(map_get(&m, name_of(i, text)), rc ? NULL : &m);
    }
    map_release(&m);
    return rc == 0;
}

static void a_map_survives_the_loss_of_memory(void **state)
{
    torture(fill_map);
}

TEST_FILE(containers)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_keep_order_and_removal_is_safe_twice),
        cmocka_unit_test(a_heap_agrees_with_looking_at_all),
        cmocka_unit_test(a_heap_stops_at_its_maximum),
        cmocka_unit_test(a_reserved_heap_does_not_fail),
        cmocka_unit_test(a_ring_is_first_in_first_out_and_bounded),
        cmocka_unit_test(a_map_agrees_with_an_array),
        cmocka_unit_test(a_map_is_gone_through_in_order_whatever_the_seed),
        cmocka_unit_test(names_may_hold_any_bytes),
        cmocka_unit_test(a_map_survives_the_loss_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
