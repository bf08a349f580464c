/*
 * uv_watchdog_test.c: a tick that takes too long is reported, with the coroutine and the place, and
 * nothing else is.
 */
#include "uv_fixture.h"

#include <pthread.h>
#include <sys/resource.h>

#define LIMIT_NS (20 * NS_PER_MS)

/* A log whose lines are kept; they come from two threads. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

struct lines {
    struct log log;
    char text[8192];
    size_t len;
};

static void keep_line(void *ctx, const char *line, size_t len)
{
    struct lines *l = ctx;
    pthread_mutex_lock(&lock);
    size_t room = sizeof(l->text) - 1 - l->len;
    size_t n = len < room ? len : room;
    memcpy(l->text + l->len, line, n);
    l->len += n;
    pthread_mutex_unlock(&lock);
}

static int64_t no_time(void *ctx)
{
    return 0;
}

static struct lines lines;

static __attribute__((noinline)) int count_of(const char *text)
{
    int count = 0;
    pthread_mutex_lock(&lock);
    for (const char *at = lines.text; (at = strstr(at, text)); at++)
        count++;
    pthread_mutex_unlock(&lock);
    return count;
}

static void run_watched(coro_fn *fn, int64_t limit_ns)
{
    memset(&lines, 0, sizeof(lines));
    lines.log =
        (struct log){.level = LOG_DEBUG, .sink = keep_line, .wall_ns = no_time, .ctx = &lines};
    struct uv_world_options options = {.name = "io", .log = &lines.log, .watchdog_ns = limit_ns};
    assert_int_equal(uv_world_open(&w, &options), 0);
    assert_int_equal(uv_world_run(w, "root", fn, NULL), 0);
    uv_world_close(w);
}

/* The yield is for valgrind, which runs one thread at a time. */
static __attribute__((noinline)) void burn_a_little(void)
{
    sched_yield();
    for (volatile int i = 0; i < 100000; i++)
        continue;
}

/* A machine that lets threads stand makes ticks slow that are not, cuts a report short, or has it
 * told before a test looks: so what is to be seen has TRIES ticks to be seen in. */

/* Until the watchdog has spoken, or for much longer than it should take. The report is searched for
 * this name, so it is not static; and the time is spent in calls, for if one is in libc, whose
 * functions do without frame pointers, it hides who called it. */
int burn_until_noticed(void *arg);
int burn_until_noticed(void *arg)
{
    int before = count_of("so far");
    int64_t end = world_now(w) + NS_PER_S; /* time: fifty limits; it may be tried again */
    while (count_of("so far") == before && world_now(w) < end)
        burn_a_little();
    return 0;
}

/* The answer of another thread comes by a poll, which ends the tick; a sleep might not. */
static void end_turn(void)
{
    assert_int_equal(world_unlink(w, "/nowhere/at/all"), -ENOENT);
}

static bool place_was_told(void)
{
    return count_of("io: a tick of over 20 ms (") >= 1 &&
           count_of("in coroutine 'burner' at: ") >= 1 && count_of("burn_until_noticed+0x") >= 1;
}

static int burn_in_children(void *arg)
{
    for (int tries = 0; tries < TRIES && !place_was_told(); tries++) {
        GROUP(g, GROUP_FAIL_FAST);
        assert_int_equal(group_spawn(&g, "burner", burn_until_noticed, NULL), 0);
        assert_int_equal(group_wait(&g), 0);
        end_turn();
    }
    return 0;
}

static void a_slow_turn_is_reported_with_its_place(void **state)
{
    run_watched(burn_in_children, LIMIT_NS);
    assert_true(place_was_told());
}

static void burn_for(int64_t span)
{
    for (int64_t end = world_now(w) + span; world_now(w) < end;)
        burn_a_little();
}

static bool turn_is_reported_once(void)
{
    int ended = count_of("io: the slow tick has ended, after ");
    int before = count_of("so far");
    burn_until_noticed(NULL);
    int reports = count_of("so far");
    burn_for(3 * LIMIT_NS);
    assert_int_equal(count_of("so far"), reports);
    assert_int_equal(count_of("has ended"), ended);
    end_turn();
    assert_true(reports == before || count_of("has ended") > ended);
    return reports == before + 1;
}

static int burn_on_when_noticed(void *arg)
{
    int noticed = 0;
    for (int tries = 0; tries < 3 + TRIES && noticed < 3; tries++)
        noticed += turn_is_reported_once();
    assert_int_equal(noticed, 3);
    return 0;
}

static void each_slow_turn_is_reported_once(void **state)
{
    run_watched(burn_on_when_noticed, LIMIT_NS);
    assert_true(count_of("has ended") <= count_of("so far"));
}

struct slow_message {
    struct message message;
    struct future delivered;
};

static void burn_in_delivery(struct message *m)
{
    burn_until_noticed(NULL);
    future_set(&container_of(m, struct slow_message, message)->delivered, 0);
}

static int burn_outside_coroutines(void *arg)
{
    int rc = 0;
    for (int tries = 0; tries < TRIES && count_of("outside coroutines at: ") == 0; tries++) {
        struct slow_message slow = {.message.deliver = burn_in_delivery};
        future_init(&slow.delivered);
        world_post(w, &slow.message);
        rc = rc ? rc : future_wait(&slow.delivered);
        end_turn();
    }
    return rc;
}

static void a_slow_message_is_reported_too(void **state)
{
    run_watched(burn_outside_coroutines, LIMIT_NS);
    assert_true(count_of("outside coroutines at: ") >= 1);
}

static bool sleep_is_reported(void)
{
    int before = count_of("so far");
    assert_int_equal(
        world_sleep(w, 200 * NS_PER_MS), 0); /* time: of which a report would be seen */
    return count_of("so far") != before;
}

static bool burning_is_reported(void)
{
    int before = count_of("so far");
    burn_until_noticed(NULL);
    bool reported = count_of("so far") != before;
    end_turn();
    return reported;
}

/* Sleeping is no tick, however long it takes; and after the watchdog itself has gone to sleep, it
 * wakes. */
static int sleep_long_then_burn(void *arg)
{
    int tries = 0;
    while (tries < TRIES && sleep_is_reported())
        tries++;
    assert_true(tries < TRIES);
    tries = 0;
    while (tries < TRIES && !burning_is_reported())
        tries++;
    assert_true(tries < TRIES);
    return 0;
}

static void waiting_is_not_slow(void **state)
{
    run_watched(sleep_long_then_burn, 4 * NS_PER_MS);
}

static int burn_a_while(void *arg)
{
    int64_t end = world_now(w) + 30 * NS_PER_MS;
    while (world_now(w) < end)
        continue;
    return 0;
}

static void a_watchdog_can_be_switched_off(void **state)
{
    run_watched(burn_a_while, -1);
    assert_int_equal(lines.len, 0);
}

/* How often threads of this process have gone to sleep. */
static long sleeps_so_far(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_nvcsw;
}

static int sleep_measured(void *arg)
{
    long before = sleeps_so_far();
    assert_int_equal(world_sleep(w, 300 * NS_PER_MS), 0);
    assert_true(sleeps_so_far() - before < 150); /* time: a late wake-up only makes it less */
    return 0;
}

/* One that went on looking every millisecond would do so 300 times. */
static void an_idle_loop_lets_its_watchdog_sleep(void **state)
{
    run_watched(sleep_measured, NS_PER_MS);
}

TEST_FILE(uv_watchdog)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slow_turn_is_reported_with_its_place),
        cmocka_unit_test(each_slow_turn_is_reported_once),
        cmocka_unit_test(a_slow_message_is_reported_too),
        cmocka_unit_test(waiting_is_not_slow),
        cmocka_unit_test(a_watchdog_can_be_switched_off),
        cmocka_unit_test(an_idle_loop_lets_its_watchdog_sleep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
