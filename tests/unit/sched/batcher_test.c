/*
 * batcher_test.c: which tasks are held back for others of their step, and for how long.
 */
#include "../check.h"

#include "base/mem.h"
#include "base/time.h"
#include "sched/batcher.h"

#define STEP 2
#define WAIT (2 * NS_PER_MS)

static struct batcher g;
static struct batch_link items[16];

static int setup(void **state)
{
    batcher_init(&g);
    return batcher_add_step(&g, STEP, 4, WAIT) || batcher_add_step(&g, STEP + 1, 4, 0);
}

static int teardown(void **state)
{
    batcher_release(&g);
    return 0;
}

static bool add(unsigned id, int64_t now, int64_t until)
{
    return batcher_add(&g, &items[id], STEP, now, until);
}

static void leave(unsigned id)
{
    batcher_remove(&g, &items[id], STEP);
}

static void only_steps_that_say_so_have_batches(void **state)
{
    assert_int_equal(batcher_max(&g, 0), 1);
    assert_int_equal(batcher_max(&g, 7), 1);
    assert_int_equal(batcher_max(&g, STEP), 4);
    assert_null(batcher_peer(&g, 0));
    assert_int_equal(batcher_moment(&g), DEADLINE_NEVER);
    assert_null(batcher_due(&g, DEADLINE_NEVER));
}

static void without_a_wait_nobody_is_held_back(void **state)
{
    assert_false(batcher_add(&g, &items[0], STEP + 1, 0, DEADLINE_NEVER));
    assert_ptr_equal(batcher_peer(&g, STEP + 1), &items[0]);
    batcher_remove(&g, &items[0], STEP + 1);
}

static void the_first_is_held_back_for_the_wait_and_no_longer(void **state)
{
    assert_true(add(0, 100, DEADLINE_NEVER));
    assert_int_equal(batcher_moment(&g), 100 + WAIT);
    assert_true(add(1, 100 + WAIT / 2, DEADLINE_NEVER));
    assert_int_equal(batcher_moment(&g), 100 + WAIT);
    assert_null(batcher_due(&g, 99 + WAIT));
    assert_ptr_equal(batcher_due(&g, 100 + WAIT), &items[0]);
    assert_ptr_equal(batcher_due(&g, 100 + WAIT), &items[1]);
    assert_null(batcher_due(&g, DEADLINE_NEVER));
    leave(0);
    leave(1);
}

static void nobody_is_held_back_past_its_own_moment(void **state)
{
    assert_true(add(0, 0, DEADLINE_NEVER));
    assert_true(add(1, 0, 50));
    assert_int_equal(batcher_moment(&g), 50);
    assert_ptr_equal(batcher_due(&g, 50), &items[0]);
    assert_ptr_equal(batcher_due(&g, 50), &items[1]);
    assert_false(add(2, 50, 50));
    leave(0);
    leave(1);
    leave(2);
}

static void enough_for_a_batch_are_due_at_once(void **state)
{
    for (unsigned i = 0; i < 3; i++)
        assert_true(add(i, 10, DEADLINE_NEVER));
    assert_null(batcher_due(&g, 10));
    assert_true(add(3, 10, DEADLINE_NEVER));
    for (unsigned i = 0; i < 4; i++)
        assert_ptr_equal(batcher_due(&g, 10), &items[i]);
    for (unsigned i = 0; i < 4; i++)
        leave(i);
}

static void mates_are_those_that_are_ready_and_then_those_that_are_held(void **state)
{
    assert_true(add(0, 0, DEADLINE_NEVER));
    assert_ptr_equal(batcher_due(&g, WAIT), &items[0]);
    /* It waits for a worker: the next waits with it. */
    assert_false(add(1, WAIT, DEADLINE_NEVER));
    assert_ptr_equal(batcher_peer(&g, STEP), &items[0]);
    leave(0);
    assert_ptr_equal(batcher_peer(&g, STEP), &items[1]);
    leave(1);
    assert_true(add(2, 2 * WAIT, DEADLINE_NEVER));
    assert_ptr_equal(batcher_peer(&g, STEP), &items[2]);
    leave(2);
    assert_null(batcher_peer(&g, STEP));
    assert_int_equal(batcher_moment(&g), DEADLINE_NEVER);
}

static void a_single_caller_does_not_wait_for_himself(void **state)
{
    assert_true(add(0, 0, DEADLINE_NEVER));
    assert_ptr_equal(batcher_due(&g, WAIT), &items[0]);
    leave(0);
    for (unsigned i = 0; i < 10; i++) {
        assert_false(add(0, 2 * WAIT, DEADLINE_NEVER));
        leave(0);
    }
    /* Two at once: there are others again. */
    assert_false(add(0, 2 * WAIT, DEADLINE_NEVER));
    assert_false(add(1, 2 * WAIT, DEADLINE_NEVER));
    leave(0);
    leave(1);
    assert_true(add(0, 3 * WAIT, DEADLINE_NEVER));
    leave(0);
}

static bool is_made(void)
{
    struct batcher one;
    batcher_init(&one);
    int rc = batcher_add_step(&one, 3, 4, 1);
    batcher_release(&one);
    return rc == 0;
}

static void no_memory_is_told(void **state)
{
    torture(is_made);
}

TEST_FILE(batcher)
{
#define GATHER_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        GATHER_TEST(only_steps_that_say_so_have_batches),
        GATHER_TEST(without_a_wait_nobody_is_held_back),
        GATHER_TEST(the_first_is_held_back_for_the_wait_and_no_longer),
        GATHER_TEST(nobody_is_held_back_past_its_own_moment),
        GATHER_TEST(enough_for_a_batch_are_due_at_once),
        GATHER_TEST(mates_are_those_that_are_ready_and_then_those_that_are_held),
        GATHER_TEST(a_single_caller_does_not_wait_for_himself),
        cmocka_unit_test(no_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
