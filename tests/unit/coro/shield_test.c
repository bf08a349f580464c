/*
 * shield_test.c: waits for the sake of cleaning up, after a cancellation or a time-out.
 */
#include "fixture.h"

#define must(condition) assert_true(condition)

/* ---- Against cancellation ---- */

struct cleaner {
    struct fixture *f;
    int64_t until;
    int rc;
    int64_t at;
    int after;
};

static int clean_up_and_wait_on(void *arg)
{
    struct cleaner *c = arg;
    {
        CORO_SHIELD(c->until);
        c->rc = coro_park("farewell");
        c->at = c->f->now;
    }
    c->after = coro_sleep("more", c->f->now + 10);
    return 0;
}

static int cancel_a_cleaner(void *arg)
{
    struct fixture *f = arg;
    struct cleaner c = {.f = f, .until = 3000};
    GROUP(g, GROUP_INDEPENDENT);
    must(group_spawn(&g, "cleaner", clean_up_and_wait_on, &c) == 0);
    must(coro_sleep("a while", 2000) == 0);
    group_cancel(&g);
    must(group_wait(&g) == 0);
    must(f->now == 3000);
    must(c.rc == -ETIMEDOUT && c.at == 3000 && c.after == -ECANCELED);
    return 0;
}

static void a_shield_holds_cancellation_off_to_its_end(void **state)
{
    struct fixture f;
    run_coroutine(&f, cancel_a_cleaner);
}

static int clean_up_when_told(void *arg)
{
    struct cleaner *c = arg;
    c->rc = coro_park("work");
    CORO_SHIELD(c->f->now + 50);
    must(coro_poll() == 0);
    must(coro_cancelled(coro_self()));
    c->after = coro_sleep("farewell", c->f->now + 20);
    must(coro_yield() == 0);
    must(coro_sleep("too long", c->f->now + 1000) == -ETIMEDOUT);
    c->at = c->f->now;
    return 0;
}

static int cancel_a_worker(void *arg)
{
    struct fixture *f = arg;
    struct cleaner c = {.f = f};
    GROUP(g, GROUP_INDEPENDENT);
    must(group_spawn(&g, "worker", clean_up_when_told, &c) == 0);
    must(coro_sleep("a while", 2000) == 0);
    group_cancel(&g);
    must(group_wait(&g) == 0);
    must(c.rc == -ECANCELED && c.after == 0 && c.at == 2050);
    return 0;
}

static void who_was_cancelled_can_still_clean_up(void **state)
{
    struct fixture f;
    run_coroutine(&f, cancel_a_worker);
}

/* ---- Against deadlines ---- */

static int clean_up_after_time_out(void *arg)
{
    struct fixture *f = arg;
    CORO_DEADLINE(1500);
    must(coro_park("work") == -ETIMEDOUT);
    {
        CORO_SHIELD(1700);
        must(coro_deadline() == 1700);
        must(coro_sleep("farewell", 1600) == 0);
        {
            CORO_SHIELD(9000); /* the outer one bounds it */
            must(coro_deadline() == 1700);
        }
        {
            CORO_SHIELD(1650);
            must(coro_park("less") == -ETIMEDOUT);
            must(f->now == 1650);
        }
        CORO_DEADLINE(1660);
        must(coro_park("less") == -ETIMEDOUT);
        must(f->now == 1660);
    }
    must(coro_deadline() == 1500);
    must(coro_poll() == -ETIMEDOUT);
    return 0;
}

static void a_shield_replaces_the_deadline_and_nests(void **state)
{
    struct fixture f;
    run_coroutine(&f, clean_up_after_time_out);
}

/* ---- Groups ---- */

static int nap(void *arg)
{
    int64_t *woke_at = arg;
    int rc = coro_sleep("nap", 2500);
    *woke_at = rc == 0 ? 2500 : rc;
    return rc;
}

static int sleep_for_ever(void *arg)
{
    return coro_park("for ever");
}

static int clean_up_with_children(void *arg)
{
    int64_t *woke_at = arg;
    must(coro_park("work") == -ECANCELED);
    CORO_SHIELD(5000);
    {
        GROUP(g, GROUP_FAIL_FAST);
        must(group_spawn(&g, "helper", nap, woke_at) == 0);
        must(group_wait(&g) == 0);
    }
    {
        GROUP(g, GROUP_FAIL_FAST); /* group_end cancels the child, which has no shield itself */
        must(group_spawn(&g, "left over", sleep_for_ever, NULL) == 0);
        must(coro_yield() == 0);
    }
    GROUP(g, GROUP_FAIL_FAST);
    must(group_spawn(&g, "stuck", sleep_for_ever, NULL) == 0);
    must(group_wait(&g) == -ETIMEDOUT); /* the child inherited the shield's end */
    return 0;
}

static int cancel_a_parent(void *arg)
{
    struct fixture *f = arg;
    int64_t woke_at = 0;
    {
        GROUP(g, GROUP_INDEPENDENT);
        must(group_spawn(&g, "parent", clean_up_with_children, &woke_at) == 0);
        must(coro_sleep("a while", 2000) == 0);
    } /* group_end waits for the clean-up */
    must(f->now == 5000);
    must(woke_at == 2500);
    return 0;
}

static void children_help_to_clean_up(void **state)
{
    struct fixture f;
    run_coroutine(&f, cancel_a_parent);
}

/* ---- The end of a world ---- */

static void no_shield_holds_when_all_are_cancelled(void **state)
{
    struct fixture f;
    fixture_open(&f);
    struct cleaner c = {.f = &f, .until = DEADLINE_NEVER};
    assert_int_equal(sched_spawn(f.sched, "cleaner", clean_up_and_wait_on, &c), 0);
    sched_run(f.sched);
    sched_cancel_all(f.sched);
    fixture_drain(&f);
    assert_int_equal(c.rc, -ECANCELED);
    assert_int_equal(c.after, -ECANCELED);
    fixture_close(&f);
}

TEST_FILE(shield)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shield_holds_cancellation_off_to_its_end),
        cmocka_unit_test(who_was_cancelled_can_still_clean_up),
        cmocka_unit_test(a_shield_replaces_the_deadline_and_nests),
        cmocka_unit_test(children_help_to_clean_up),
        cmocka_unit_test(no_shield_holds_when_all_are_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
