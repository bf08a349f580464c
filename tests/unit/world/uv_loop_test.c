/*
 * uv_loop_test.c: the loop itself: its clock, its sleeps, that it sleeps when there is nothing to
 * do, and that neither coroutines nor sockets starve each other.
 */
#include "uv_fixture.h"

#include <sys/resource.h>
#include <time.h>

static int64_t thread_cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* ---- Time ---- */

TEST(sleeps_are_never_short)
{
    for (int64_t span = 0; span <= 3 * NS_PER_MS; span += 333333) {
        int64_t before = world_now(w);
        assert_int_equal(world_sleep(w, span), 0);
        assert_true(world_now(w) >= before + span);
    }
    assert_int_equal(world_sleep_until(w, 1), 0);
    assert_int_equal(world_sleep(w, -5), 0);
    return 0;
}

static int sleep_long(void *arg)
{
    return world_sleep(w, 3600 * NS_PER_S);
}

static int sleep_for_ever(void *arg)
{
    return world_sleep_until(w, DEADLINE_NEVER);
}

TEST(a_sleep_can_be_interrupted)
{
    assert_can_be_interrupted(sleep_long, NULL);
    assert_can_be_interrupted(sleep_for_ever, NULL);
    return 0;
}

struct sleeper {
    int64_t until;
    int *order;
    int place;
};

static int sleep_in_order(void *arg)
{
    struct sleeper *s = arg;
    int rc = world_sleep_until(w, s->until);
    s->place = (*s->order)++;
    return rc;
}

/* False: the first moment had passed before all slept. */
static bool sleepers_woke_in_order(void)
{
    enum { COUNT = 8 };
    struct sleeper sleepers[COUNT];
    int order = 0;
    int64_t now = world_now(w);
    GROUP(g, GROUP_FAIL_FAST);
    for (int i = 0; i < COUNT; i++) {
        sleepers[i] = (struct sleeper){
            .until = now + NS_PER_S / 10 + (COUNT - i) * 2 * NS_PER_MS, .order = &order};
        assert_int_equal(group_spawn(&g, "sleeper", sleep_in_order, &sleepers[i]), 0);
    }
    assert_int_equal(coro_yield(), 0);
    bool all_sleep = world_now(w) < sleepers[COUNT - 1].until;
    assert_int_equal(group_wait(&g), 0);
    for (int i = 0; i < COUNT && all_sleep; i++)
        assert_int_equal(sleepers[i].place, COUNT - 1 - i);
    return all_sleep;
}

TEST(sleepers_wake_in_the_order_of_their_moments)
{
    assert_true(one_of_tries(sleepers_woke_in_order()));
    return 0;
}

/* The timer stands at an hour from now when someone wants less. */
TEST(a_long_sleep_does_not_delay_a_short_one)
{
    struct stream *ours;
    struct stream *theirs;
    struct wait sleeps;
    connect_pair("127.0.0.1:0", &ours, &theirs);
    {
        GROUP(g, GROUP_INDEPENDENT);
        begin_wait(&g, &sleeps, sleep_long, NULL);
        assert_int_equal(write_text(theirs, "a turn passes"), 0);
        assert_reads(ours, "a turn passes");
        int64_t before = world_now(w);
        assert_int_equal(world_sleep(w, 2 * NS_PER_MS), 0); /* time: that it ends */
        assert_true(world_now(w) - before < HANG_NS); /* time: and not the hour of the other */
    }
    stream_close(ours);
    stream_close(theirs);
    return 0;
}

TEST(the_wall_clock_is_the_systems)
{
    time_t before = time(NULL);
    int64_t wall = world_wall(w) / NS_PER_S;
    assert_true(before <= wall && wall <= time(NULL) + 1); /* time() lags by a tick */
    return 0;
}

TEST(random_bytes_differ)
{
    unsigned char a[300];
    unsigned char b[300];
    world_random(w, a, sizeof(a));
    world_random(w, b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
    return 0;
}

/* ---- Spinning and starving ---- */

static bool a_sleep_uses_no_processor(void)
{
    int64_t before = thread_cpu_ns();
    assert_int_equal(world_sleep(w, 100 * NS_PER_MS), 0); /* time: of which a spin is seen */
    return thread_cpu_ns() - before <
           30 * NS_PER_MS; /* time: of the processor, of 100 that a spin uses */
}

TEST(a_loop_with_nothing_to_do_uses_no_processor)
{
    struct stream *ours;
    struct stream *theirs;
    connect_pair("127.0.0.1:0", &ours, &theirs);
    /* A reader was here once, and bytes came after it left: level-triggered, the loop is told of
     * them until it stops listening. The other side's hang-up is reported for ever, too. */
    {
        char byte;
        CORO_DEADLINE(world_now(w) + NS_PER_MS);
        assert_int_equal(stream_read(ours, &byte, 1), -ETIMEDOUT);
    }
    assert_int_equal(write_text(theirs, "unread"), 0);
    stream_close(theirs);
    assert_true(one_of_tries(a_sleep_uses_no_processor()));
    assert_reads(ours, "unread");
    assert_at_end(ours);
    stream_close(ours);
    return 0;
}

static int yield_for_ever(void *arg)
{
    for (;;) {
        int rc = coro_yield();
        if (rc)
            return rc;
    }
}

TEST(coroutines_that_only_yield_do_not_keep_sockets_and_sleeps_waiting)
{
    struct stream *ours;
    struct stream *theirs;
    connect_pair("127.0.0.1:0", &ours, &theirs);
    {
        GROUP(g, GROUP_INDEPENDENT);
        for (int i = 0; i < 3; i++)
            assert_int_equal(group_spawn(&g, "busy", yield_for_ever, NULL), 0);
        for (int i = 0; i < 20; i++) {
            assert_int_equal(write_text(ours, "ping"), 0);
            assert_reads(theirs, "ping");
        }
        assert_int_equal(world_sleep(w, 2 * NS_PER_MS), 0); /* time: that it ends */
    }
    stream_close(ours);
    stream_close(theirs);
    return 0;
}

struct pump {
    struct stream *from;
    size_t bytes;
};

static int pump_in(void *arg)
{
    static char block[4096];
    for (;;) {
        int rc = stream_write(arg, &(struct iovec){.iov_base = block, .iov_len = sizeof(block)}, 1);
        if (rc)
            return rc;
    }
}

/* Reads always find something, as long as the writer gets its turns. */
static int pump_out(void *arg)
{
    struct pump *p = arg;
    char block[64];
    for (;;) {
        ssize_t n = stream_read(p->from, block, sizeof(block));
        if (n <= 0)
            return (int)n;
        p->bytes += (size_t)n;
    }
}

TEST(a_socket_that_is_always_readable_does_not_keep_others_waiting)
{
    struct stream *ours;
    struct stream *theirs;
    connect_pair("127.0.0.1:0", &ours, &theirs);
    {
        struct pump pump = {.from = theirs};
        GROUP(g, GROUP_INDEPENDENT);
        assert_int_equal(group_spawn(&g, "in", pump_in, ours), 0);
        assert_int_equal(group_spawn(&g, "out", pump_out, &pump), 0);
        size_t before = 0;
        for (int i = 0; i < 20; i++) {
            assert_int_equal(coro_yield(), 0);
            /* Between two turns of ours it has had a bounded share. */
            assert_true(pump.bytes - before <= 64 * 128);
            before = pump.bytes;
        }
        assert_true(before > 0);
    }
    stream_close(ours);
    stream_close(theirs);
    return 0;
}

/* ---- More events than libuv takes at once ---- */

#define MANY 1100

static int echo_once(void *arg)
{
    char byte;
    ssize_t n = stream_read(arg, &byte, 1);
    if (n != 1)
        return n < 0 ? (int)n : -EPIPE;
    return write_text(arg, "y");
}

/* libuv polls again at once when a poll gave 1024 events; those who were woken must have run by
 * then. */
TEST(more_than_1024_readable_sockets_are_served)
{
    static struct stream *ours[MANY];
    static struct stream *theirs[MANY];
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    struct rlimit more = {.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
    if (limit.rlim_max < 2 * MANY + 100)
        return 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &more), 0);
    struct listener *l = listen_at("127.0.0.1:0");
    for (int i = 0; i < MANY; i++) {
        ours[i] = connect_to(l);
        assert_int_equal(listener_accept(l, &theirs[i]), 0);
    }
    {
        GROUP(g, GROUP_FAIL_FAST);
        for (int i = 0; i < MANY; i++)
            assert_int_equal(group_spawn(&g, "echo", echo_once, theirs[i]), 0);
        assert_int_equal(
            world_sleep(w, NS_PER_MS), 0); /* time: so that they wait; nothing fails if not */
        for (int i = 0; i < MANY; i++)
            assert_int_equal(write_text(ours[i], "x"), 0);
        assert_int_equal(group_wait(&g), 0);
    }
    for (int i = 0; i < MANY; i++) {
        assert_reads(ours[i], "y");
        stream_close(ours[i]);
        stream_close(theirs[i]);
    }
    listener_close(l);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return 0;
}

/* ---- Running ---- */

static int say_seven(void *arg)
{
    return 7;
}

static int fail_with(void *arg)
{
    return *(int *)arg;
}

static void a_run_returns_what_its_coroutine_returns(void **state)
{
    struct world *world;
    int error = -EDOM;
    open_world(&world);
    assert_int_equal(uv_world_run(world, "first", say_seven, NULL), 7);
    assert_int_equal(uv_world_run(world, "again", fail_with, &error), -EDOM);
    uv_world_close(world);
}

static void a_world_that_never_ran_can_be_closed(void **state)
{
    struct world *world;
    open_world(&world);
    struct address at;
    struct listener *l;
    assert_int_equal(address_parse(&at, "127.0.0.1:0", NULL), 0);
    assert_int_equal(world_listen(world, &at, NULL, &l), 0);
    listener_close(l);
    uv_world_close(world);
}

TEST_FILE(uv_loop)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sleeps_are_never_short),
        cmocka_unit_test(a_sleep_can_be_interrupted),
        cmocka_unit_test(sleepers_wake_in_the_order_of_their_moments),
        cmocka_unit_test(a_long_sleep_does_not_delay_a_short_one),
        cmocka_unit_test(the_wall_clock_is_the_systems),
        cmocka_unit_test(random_bytes_differ),
        cmocka_unit_test(a_loop_with_nothing_to_do_uses_no_processor),
        cmocka_unit_test(coroutines_that_only_yield_do_not_keep_sockets_and_sleeps_waiting),
        cmocka_unit_test(a_socket_that_is_always_readable_does_not_keep_others_waiting),
        cmocka_unit_test(more_than_1024_readable_sockets_are_served),
        cmocka_unit_test(a_run_returns_what_its_coroutine_returns),
        cmocka_unit_test(a_world_that_never_ran_can_be_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
