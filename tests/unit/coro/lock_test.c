/*
 * lock_test.c: semaphores and mutexes: order, deadlines, and no place that is lost.
 */
#include "fixture.h"

#include "coro/lock.h"

/* ---- Places ---- */

struct shared {
    struct fixture *fixture;
    struct semaphore places;
    struct mutex mutex;
    char order[16]; /* who had a place, by the first letter of their names */
    unsigned inside;
};

static void note(struct shared *s)
{
    s->order[strlen(s->order)] = coro_name(coro_self())[0];
}

static int take_note_and_give(void *arg)
{
    struct shared *s = arg;
    int rc = semaphore_take(&s->places);
    if (rc)
        return rc;
    note(s);
    s->inside++;
    assert_in_range(s->inside, 1, 2);
    rc = coro_sleep("inside", s->fixture->now + 10);
    s->inside--;
    semaphore_give(&s->places);
    return rc;
}

static int two_of_five(void *arg)
{
    struct shared s = {.fixture = arg};
    semaphore_init(&s.places, 2);
    {
        GROUP(g, GROUP_FAIL_FAST);
        static const char *const names[] = {"a", "b", "c", "d", "e"};
        for (int i = 0; i < 5; i++)
            assert_int_equal(group_spawn(&g, names[i], take_note_and_give, &s), 0);
        assert_int_equal(group_wait(&g), 0);
    }
    assert_string_equal(s.order, "abcde");
    assert_true(semaphore_try_take(&s.places));
    assert_true(semaphore_try_take(&s.places));
    assert_false(semaphore_try_take(&s.places));
    semaphore_release(&s.places);
    return 0;
}

static void as_many_as_there_are_places_in_the_order_of_coming(void **state)
{
    struct fixture f;
    run_coroutine(&f, two_of_five);
}

static int try_once(void *arg)
{
    struct shared *s = arg;
    assert_false(semaphore_try_take(&s->places));
    note(s);
    return 0;
}

/* The place that is given back is the waiter's at once, before it runs. */
static int nobody_is_faster(void *arg)
{
    struct shared s = {.fixture = arg};
    semaphore_init(&s.places, 1);
    assert_int_equal(semaphore_take(&s.places), 0);
    GROUP(g, GROUP_FAIL_FAST);
    assert_int_equal(group_spawn(&g, "waits", take_note_and_give, &s), 0);
    assert_int_equal(coro_yield(), 0);
    semaphore_give(&s.places);
    try_once(&s);
    assert_int_equal(group_wait(&g), 0);
    assert_string_equal(s.order, "tw");
    return 0;
}

static void who_waits_is_not_overtaken(void **state)
{
    struct fixture f;
    run_coroutine(&f, nobody_is_faster);
}

/* ---- Deadlines ---- */

static int hold_past_the_deadline(void *arg)
{
    struct shared *s = arg;
    CORO_DEADLINE(s->fixture->now + 10);
    int rc = mutex_lock(&s->mutex);
    if (rc)
        return rc;
    note(s);
    rc = coro_park("something that never comes");
    assert_int_equal(coro_poll(), -ETIMEDOUT);
    mutex_unlock(&s->mutex); /* all the same */
    return rc;
}

static int hold_when_cancelled(void *arg)
{
    struct shared *s = arg;
    int rc = mutex_lock(&s->mutex);
    if (rc)
        return rc;
    note(s);
    rc = coro_park("something that never comes");
    mutex_unlock(&s->mutex);
    return rc;
}

/* Two give up in line, two while they hold it. */
static int lock_through_troubles(void *arg)
{
    struct shared s = {.fixture = arg};
    mutex_init(&s.mutex);
    {
        GROUP(g, GROUP_INDEPENDENT);
        assert_int_equal(group_spawn(&g, "late", hold_past_the_deadline, &s), 0);
        assert_int_equal(group_spawn(&g, "x", hold_past_the_deadline, &s), 0);
        assert_int_equal(group_wait(&g), 0);
        assert_int_equal(group_spawn(&g, "cancelled", hold_when_cancelled, &s), 0);
        assert_int_equal(group_spawn(&g, "y", hold_when_cancelled, &s), 0);
        assert_int_equal(coro_yield(), 0);
        group_cancel(&g);
        assert_int_equal(group_wait(&g), 0);
    }
    assert_string_equal(s.order, "lc");
    assert_int_equal(mutex_lock(&s.mutex), 0);
    mutex_unlock(&s.mutex);
    mutex_release(&s.mutex);
    return 0;
}

static void a_lock_outlives_who_was_late_or_cancelled(void **state)
{
    struct fixture f;
    run_coroutine(&f, lock_through_troubles);
}

static int is_late_before_it_waits(void *arg)
{
    struct shared s = {.fixture = arg};
    mutex_init(&s.mutex);
    CORO_DEADLINE(s.fixture->now - 1);
    assert_int_equal(mutex_lock(&s.mutex), -ETIMEDOUT);
    mutex_release(&s.mutex);
    return 0;
}

static void who_is_late_does_not_get_a_free_one(void **state)
{
    struct fixture f;
    run_coroutine(&f, is_late_before_it_waits);
}

TEST_FILE(lock)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_many_as_there_are_places_in_the_order_of_coming),
        cmocka_unit_test(who_waits_is_not_overtaken),
        cmocka_unit_test(a_lock_outlives_who_was_late_or_cancelled),
        cmocka_unit_test(who_is_late_does_not_get_a_free_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
