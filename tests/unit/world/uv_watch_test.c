/*
 * uv_watch_test.c: descriptors that belong to someone else.
 */
#include "uv_fixture.h"

static void open_pair(int fds[2], struct watch **watch)
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(world_watch(w, fds[0], watch), 0);
}

static void close_pair(int fds[2], struct watch *watch)
{
    watch_close(watch);
    close(fds[0]);
    close(fds[1]);
}

TEST(readiness_is_told_by_direction)
{
    int fds[2];
    struct watch *watch;
    char byte;
    open_pair(fds, &watch);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(watch_wait(watch, WATCH_READ | WATCH_WRITE), WATCH_WRITE);
        assert_int_equal(write(fds[1], "x", 1), 1);
        assert_int_equal(watch_wait(watch, WATCH_READ), WATCH_READ);
        assert_int_equal(watch_wait(watch, WATCH_READ | WATCH_WRITE), WATCH_READ | WATCH_WRITE);
        assert_int_equal(read(fds[0], &byte, 1), 1);
    }
    close_pair(fds, watch);
    return 0;
}

static int wait_to_read(void *arg)
{
    return watch_wait(arg, WATCH_READ);
}

static int wait_for_both(void *arg)
{
    return watch_wait(arg, WATCH_READ | WATCH_WRITE);
}

TEST(a_watch_can_be_interrupted)
{
    int fds[2];
    struct watch *watch;
    open_pair(fds, &watch);
    assert_can_be_interrupted(wait_to_read, watch);
    static char block[65536];
    while (send(fds[0], block, sizeof(block), MSG_DONTWAIT) > 0)
        continue;
    assert_can_be_interrupted(wait_for_both, watch);
    struct wait waits;
    GROUP(g, GROUP_INDEPENDENT);
    begin_wait(&g, &waits, wait_for_both, watch);
    close_pair(fds, watch);
    assert_int_equal(group_wait(&g), 0);
    assert_int_equal(waits.result, -EBADF);
    return 0;
}

struct close_other {
    struct watch *waits_on;
    struct watch *closes;
};

static int wait_then_close(void *arg)
{
    struct close_other *c = arg;
    int rc = watch_wait(c->waits_on, WATCH_READ);
    watch_close(c->closes);
    return rc;
}

/* One poll makes both ready; the first closes the second's watch before that one runs. */
TEST(closing_wins_over_what_has_come)
{
    int a[2];
    int b[2];
    struct watch *first;
    struct watch *second;
    open_pair(a, &first);
    open_pair(b, &second);
    struct close_other both = {.waits_on = first, .closes = second};
    struct wait closes;
    struct wait waits;
    {
        GROUP(g, GROUP_INDEPENDENT);
        begin_wait(&g, &closes, wait_then_close, &both);
        begin_wait(&g, &waits, wait_to_read, second);
        assert_int_equal(write(a[1], "x", 1), 1);
        assert_int_equal(write(b[1], "x", 1), 1);
        assert_int_equal(group_wait(&g), 0);
    }
    assert_int_equal(closes.result, WATCH_READ);
    assert_int_equal(waits.result, -EBADF);
    close_pair(a, first);
    close(b[0]);
    close(b[1]);
    return 0;
}

TEST(an_error_counts_as_both)
{
    int fds[2];
    struct watch *watch;
    /* The writing end of a pipe without a reader is in error. */
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(world_watch(w, fds[1], &watch), 0);
    close(fds[0]);
    assert_int_equal(watch_wait(watch, WATCH_READ | WATCH_WRITE), WATCH_READ | WATCH_WRITE);
    assert_int_equal(watch_wait(watch, WATCH_WRITE), WATCH_WRITE);
    watch_close(watch);
    close(fds[1]);
    return 0;
}

TEST(the_descriptor_stays_as_it_was)
{
    int fds[2];
    struct watch *watch;
    open_pair(fds, &watch);
    assert_int_equal(fcntl(fds[0], F_GETFL) & O_NONBLOCK, 0);
    assert_int_equal(watch_wait(watch, WATCH_WRITE), WATCH_WRITE);
    watch_close(watch);
    assert_int_equal(fcntl(fds[0], F_GETFL) & O_NONBLOCK, 0);
    assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(world_watch(w, fds[0], &watch), 0);
    assert_int_equal(fcntl(fds[0], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    close_pair(fds, watch);
    return 0;
}

TEST(what_cannot_be_watched_is_refused)
{
    struct watch *watch;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(world_watch(w, null, &watch), -EPERM);
    close(null);
    assert_int_equal(world_watch(w, null, &watch), -EBADF);
    return 0;
}

TEST_FILE(uv_watch)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readiness_is_told_by_direction),
        cmocka_unit_test(a_watch_can_be_interrupted),
        cmocka_unit_test(closing_wins_over_what_has_come),
        cmocka_unit_test(an_error_counts_as_both),
        cmocka_unit_test(the_descriptor_stays_as_it_was),
        cmocka_unit_test(what_cannot_be_watched_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
