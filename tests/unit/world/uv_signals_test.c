/*
 * uv_signals_test.c: signals as something to wait for.
 */
#include "uv_fixture.h"

static struct signals *listen_to(const int *numbers, int count)
{
    struct signals *s;
    assert_int_equal(world_signals(w, numbers, count, &s), 0);
    return s;
}

TEST(signals_are_waited_for)
{
    struct signals *s = listen_to((int[]){SIGUSR1, SIGUSR2}, 2);
    for (int i = 0; i < 3; i++) {
        kill(getpid(), SIGUSR2);
        assert_int_equal(signals_next(s), SIGUSR2);
        kill(getpid(), SIGUSR1);
        assert_int_equal(signals_next(s), SIGUSR1);
    }
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGUSR2);
    assert_int_equal(signals_next(s) + signals_next(s), SIGUSR1 + SIGUSR2);
    signals_close(s);
    return 0;
}

TEST(two_may_listen_to_one_signal)
{
    struct signals *a = listen_to((int[]){SIGUSR1}, 1);
    struct signals *b = listen_to((int[]){SIGUSR1}, 1);
    kill(getpid(), SIGUSR1);
    assert_int_equal(signals_next(a), SIGUSR1);
    assert_int_equal(signals_next(b), SIGUSR1);
    signals_close(a);
    kill(getpid(), SIGUSR1);
    assert_int_equal(signals_next(b), SIGUSR1);
    signals_close(b);
    return 0;
}

TEST(a_signal_that_comes_too_late_does_no_harm)
{
    struct signals *s = listen_to((int[]){SIGUSR1, SIGTERM}, 2);
    signals_close(s);
    kill(getpid(), SIGTERM);
    kill(getpid(), SIGUSR1);
    s = listen_to((int[]){SIGUSR1}, 1);
    kill(getpid(), SIGUSR1);
    assert_int_equal(signals_next(s), SIGUSR1);
    signals_close(s);
    return 0;
}

static int next(void *arg)
{
    return signals_next(arg);
}

TEST(a_wait_for_a_signal_can_be_interrupted)
{
    struct signals *s = listen_to((int[]){SIGUSR1}, 1);
    assert_can_be_interrupted(next, s);
    struct wait waits;
    GROUP(g, GROUP_INDEPENDENT);
    begin_wait(&g, &waits, next, s);
    signals_close(s);
    assert_int_equal(group_wait(&g), 0);
    assert_int_equal(waits.result, -EBADF);
    return 0;
}

TEST(signals_nobody_can_catch_are_refused)
{
    struct signals *s;
    assert_int_equal(world_signals(w, (int[]){SIGUSR1, SIGKILL}, 2, &s), -EINVAL);
    assert_int_equal(world_signals(w, (int[]){0}, 1, &s), -EINVAL);
    assert_int_equal(world_signals(w, (int[]){65}, 1, &s), -EINVAL);
    return 0;
}

TEST_FILE(uv_signals)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signals_are_waited_for),
        cmocka_unit_test(two_may_listen_to_one_signal),
        cmocka_unit_test(a_signal_that_comes_too_late_does_no_harm),
        cmocka_unit_test(a_wait_for_a_signal_can_be_interrupted),
        cmocka_unit_test(signals_nobody_can_catch_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
