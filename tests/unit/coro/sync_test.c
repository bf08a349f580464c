/*
 * sync_test.c: futures and channels: order, bounds, closing, and nothing lost when a wait is
 * interrupted.
 */
#include "fixture.h"

/* ---- Futures ---- */

static int waits_for_future(void *arg)
{
    return future_wait(arg);
}

static int futures(void *arg)
{
    struct future f;
    future_init(&f);
    GROUP(g, GROUP_FAIL_FAST);
    assert_int_equal(group_spawn(&g, "a", waits_for_future, &f), 0);
    assert_int_equal(group_spawn(&g, "b", waits_for_future, &f), 0);
    assert_int_equal(coro_yield(), 0);
    assert_true(future_set(&f, -7));
    assert_false(future_set(&f, -8));
    assert_int_equal(future_wait(&f), -7);
    assert_int_equal(group_wait(&g), -7);
    return 0;
}

static void a_future_is_set_once_for_all(void **state)
{
    struct fixture f;
    run_coroutine(&f, futures);
}

static int sets_and_frees(void *arg)
{
    future_set(arg, 5);
    mem_free(arg);
    return 0;
}

static int future_is_freed(void *arg)
{
    struct future *f = mem_alloc(sizeof *f);
    assert_non_null(f);
    future_init(f);
    GROUP(g, GROUP_FAIL_FAST);
    assert_int_equal(group_spawn(&g, "setter", sets_and_frees, f), 0);
    assert_int_equal(future_wait(f), 5);
    return group_wait(&g);
}

static void a_future_may_go_once_it_is_set(void **state)
{
    struct fixture f;
    run_coroutine(&f, future_is_freed);
}

static int future_times_out(void *arg)
{
    struct fixture *fx = arg;
    struct future f;
    future_init(&f);
    {
        CORO_DEADLINE(fx->now + 10);
        assert_int_equal(future_wait(&f), -ETIMEDOUT);
    }
    assert_true(future_set(&f, 3)); /* nobody waits any more */
    assert_int_equal(future_wait(&f), 3);
    return 0;
}

static void a_wait_for_a_future_may_time_out(void **state)
{
    struct fixture f;
    run_coroutine(&f, future_times_out);
}

/* ---- Channels ---- */

static int send_numbers(void *arg)
{
    struct channel *ch = arg;
    for (intptr_t i = 1; i <= 10; i++) {
        int rc = channel_send(ch, (void *)i);
        if (rc)
            return rc;
        assert_true(ch->items.count <= ch->items.size);
    }
    channel_close(ch);
    return 0;
}

static int receive_in_order(void *arg)
{
    for (size_t size = 1; size < 13; size++) {
        struct channel ch;
        assert_int_equal(channel_init(&ch, size), 0);
        GROUP(g, GROUP_FAIL_FAST);
        assert_int_equal(group_spawn(&g, "sender", send_numbers, &ch), 0);
        void *item;
        for (intptr_t i = 1; i <= 10; i++) {
            assert_int_equal(channel_receive(&ch, &item), 0);
            assert_int_equal((intptr_t)item, i);
        }
        assert_int_equal(channel_receive(&ch, &item), -EPIPE);
        assert_int_equal(channel_send(&ch, NULL), -EPIPE);
        assert_int_equal(group_wait(&g), 0);
        channel_release(&ch);
    }
    return 0;
}

static void items_arrive_in_order_and_the_end_after_them(void **state)
{
    struct fixture f;
    run_coroutine(&f, receive_in_order);
}

static intptr_t received;

static int receive_one(void *arg)
{
    void *item;
    int rc = channel_receive(arg, &item);
    if (rc == 0)
        received = received * 10 + (intptr_t)item;
    return rc;
}

static int receivers_are_served_in_order(void *arg)
{
    struct channel ch;
    assert_int_equal(channel_init(&ch, 2), 0);
    GROUP(g, GROUP_INDEPENDENT);
    received = 0;
    for (int i = 0; i < 3; i++)
        assert_int_equal(group_spawn(&g, "receiver", receive_one, &ch), 0);
    assert_int_equal(coro_yield(), 0);
    assert_int_equal(channel_try_send(&ch, (void *)1), 0);
    assert_int_equal(channel_try_send(&ch, (void *)2), 0);
    channel_close(&ch); /* the third hears of the end */
    assert_int_equal(group_wait(&g), 0);
    assert_int_equal(received, 12);
    channel_release(&ch);
    return 0;
}

static void waiting_receivers_are_served_in_order(void **state)
{
    struct fixture f;
    run_coroutine(&f, receivers_are_served_in_order);
}

static int full_and_interrupted(void *arg)
{
    struct fixture *f = arg;
    struct channel ch;
    assert_int_equal(channel_init(&ch, 1), 0);
    assert_int_equal(channel_try_send(&ch, (void *)1), 0);
    assert_int_equal(channel_try_send(&ch, (void *)2), -EAGAIN);
    {
        CORO_DEADLINE(f->now + 10);
        assert_int_equal(channel_send(&ch, (void *)3), -ETIMEDOUT); /* 3 is still ours */
    }
    void *item;
    assert_int_equal(channel_receive(&ch, &item), 0);
    assert_int_equal((intptr_t)item, 1);
    {
        CORO_DEADLINE(f->now + 10);
        assert_int_equal(channel_receive(&ch, &item), -ETIMEDOUT);
    }
    channel_release(&ch);
    return 0;
}

static void a_timed_out_send_sent_nothing(void **state)
{
    struct fixture f;
    run_coroutine(&f, full_and_interrupted);
}

/* What was handed to a receiver is not lost if the receiver is cancelled before it runs. */
static int handed_over_then_cancelled(void *arg)
{
    struct channel ch;
    assert_int_equal(channel_init(&ch, 1), 0);
    received = 0;
    {
        GROUP(g, GROUP_INDEPENDENT);
        assert_int_equal(group_spawn(&g, "receiver", receive_one, &ch), 0);
        assert_int_equal(coro_yield(), 0);
        assert_int_equal(channel_try_send(&ch, (void *)9), 0);
        group_cancel(&g);
    }
    assert_int_equal(received, 9);
    channel_release(&ch);
    return 0;
}

static void cancellation_takes_nothing_back(void **state)
{
    struct fixture f;
    run_coroutine(&f, handed_over_then_cancelled);
}

TEST_FILE(sync)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_future_is_set_once_for_all),
        cmocka_unit_test(a_future_may_go_once_it_is_set),
        cmocka_unit_test(a_wait_for_a_future_may_time_out),
        cmocka_unit_test(items_arrive_in_order_and_the_end_after_them),
        cmocka_unit_test(waiting_receivers_are_served_in_order),
        cmocka_unit_test(a_timed_out_send_sent_nothing),
        cmocka_unit_test(cancellation_takes_nothing_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
