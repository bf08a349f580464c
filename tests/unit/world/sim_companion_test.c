/*
 * sim_companion_test.c: companions in the simulated world: as in the real one; on virtual cores, in
 * virtual time, and gone with their process.
 */
#include "sim_fixture.h"

#include "companion_suite.h"

#include <signal.h>

#define SUITE(name)                                    \
    static int name##_main(struct world *w, void *arg) \
    {                                                  \
        return suite_##name(w);                        \
    }                                                  \
    static void name(void **state)                     \
    {                                                  \
        run_alone(name##_main);                        \
    }

SUITE(companions_run_and_end)
SUITE(what_it_posted_comes_before_its_end)
SUITE(the_wait_for_an_end_has_a_deadline)
SUITE(a_wake_that_comes_first_is_kept)
SUITE(parks_have_a_deadline)
SUITE(work_goes_there_and_comes_back)
SUITE(no_wake_of_several_is_lost)
SUITE(the_clock_is_the_worlds)
SUITE(nothing_is_soon_burnt)

/* ---- Cores ---- */

static void burn_a_while(struct companion *self, void *arg)
{
    must(burn_and_ask(companion_work(self), 100 * NS_PER_MS) == 100 * NS_PER_MS);
}

/* Three on two cores, while the loop goes on. */
static int keep_cores_busy(struct world *w, void *arg)
{
    struct companion *companions[3];
    int64_t began = world_now(w);
    for (int i = 0; i < 3; i++)
        companions[i] = begin_companion(w, burn_a_while, NULL);
    must_sleep(w, NS_PER_MS);
    must(world_now(w) == began + NS_PER_MS);
    for (int i = 0; i < 3; i++)
        end_companion(companions[i]);
    must(world_now(w) == began + 200 * NS_PER_MS);
    must(world_work(w)->processor(world_work(w)) == 0);
    return 0;
}

static void burns_occupy_cores(void **state)
{
    run_alone(keep_cores_busy);
}

/* ---- The kernel's part ---- */

#define KERNEL_NS (3 * NS_PER_US)
#define WAKE_NS   (40 * NS_PER_US)

static int64_t woken_at;

static void note_wake(struct companion *self, void *arg)
{
    must(companion_park(self, DEADLINE_NEVER) == 0);
    woken_at = companion_now(self);
}

/* What is not told of takes no time: reading, messages. */
static int wake_and_write(struct world *w, void *arg)
{
    struct companion *c = begin_companion(w, note_wake, NULL);
    must_sleep(w, NS_PER_MS);
    int64_t began = world_now(w);
    companion_wake(c);
    must(world_now(w) == began + KERNEL_NS);
    must(world_work(w)->processor(world_work(w)) == KERNEL_NS);
    end_companion(c);
    must(woken_at == began + KERNEL_NS + WAKE_NS);
    struct stream *a, *b;
    char byte = 'x';
    must(world_stream_pair(w, &a, &b) == 0);
    began = world_now(w);
    must(stream_write(a, &(struct iovec){&byte, 1}, 1) == 0);
    must(world_now(w) == began + KERNEL_NS);
    stream_close(a);
    stream_close(b);
    return 0;
}

static void kernels_take_their_time(void **state)
{
    struct universe u = {0};
    assert_int_equal(sim_open(&u.sim, 1, NULL), 0);
    u.here = sim_host(u.sim,
        &(struct sim_host_options){.name = "here", .kernel_ns = KERNEL_NS, .wake_ns = WAKE_NS});
    struct sim_process *p = start(u.here, wake_and_write, NULL);
    assert_int_equal(sim_run(u.sim, 10 * NS_PER_S), 0);
    assert_int_equal(sim_process_end(p).result, 0);
    sim_close(u.sim);
}

static int sleep_a_little(void *arg)
{
    struct world *w = arg;
    int64_t began = world_now(w);
    must_sleep(w, NS_PER_MS);
    must(world_now(w) >= began + 50 * NS_PER_MS);
    return 0;
}

static int block_the_loop(struct world *w, void *arg)
{
    GROUP(g, GROUP_INDEPENDENT);
    must(group_spawn(&g, "sleeper", sleep_a_little, w) == 0);
    must(coro_yield() == 0);
    must(coro_yield() == 0);
    int64_t began = world_now(w);
    must(burn_and_ask(world_work(w), 50 * NS_PER_MS) == 50 * NS_PER_MS);
    must(world_now(w) == began + 50 * NS_PER_MS);
    return group_wait(&g);
}

static void work_on_the_loops_thread_holds_it_up(void **state)
{
    run_alone(block_the_loop);
}

static int burn_late(struct world *w, void *arg)
{
    struct universe *u = arg;
    {
        CORO_DEADLINE(world_now(w) - 1);
        must(burn_and_ask(world_work(w), NS_PER_MS) == NS_PER_MS);
    }
    sim_slow(u->here, 300);
    must(burn_and_ask(world_work(w), NS_PER_MS) == 3 * NS_PER_MS);
    return 0;
}

static void who_is_late_computes_all_the_same(void **state)
{
    run_alone(burn_late);
}

/* ---- Death ---- */

struct household {
    struct companion *companions[3];
    int ends[3];
};

static void live_until_the_end(struct companion *self, void *arg)
{
    int *rc = arg;
    while ((*rc = companion_park(self, DEADLINE_NEVER)) == 0)
        companion_work(self)->burn(companion_work(self), 10 * NS_PER_S);
    must(companion_park(self, DEADLINE_NEVER) == -ECANCELED);
    must(companion_park(self, 1) == -ECANCELED);
}

/* Closed and freed by who started them, as if there were no death. */
static int keep_house(struct world *w, void *arg)
{
    struct household *h = arg;
    int *rcs = calloc(3, sizeof *rcs);
    must(rcs);
    for (int i = 0; i < 3; i++)
        h->companions[i] = begin_companion(w, live_until_the_end, &rcs[i]);
    companion_wake(h->companions[0]); /* and is killed while it burns */
    must(companion_wait(h->companions[1]) == -ECANCELED);
    CORO_SHIELD(DEADLINE_NEVER);
    for (int i = 0; i < 3; i++) {
        must(companion_wait(h->companions[i]) == -ECANCELED);
        companion_close(h->companions[i]);
        h->ends[i] = rcs[i];
    }
    free(rcs);
    return 0;
}

static int kill_after_a_second(struct sim *sim, void *arg)
{
    must(sim_sleep(sim, NS_PER_S) == 0);
    must(sim_signal(arg, SIGKILL) == 0);
    return 0;
}

static void a_killed_process_takes_its_companions_along(void **state)
{
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct household h = {.ends = {0}};
        struct universe u = open_universe(seed, (struct sim_options){0});
        struct sim_process *p = start(u.here, keep_house, &h);
        assert_int_equal(sim_direct(u.sim, "killer", kill_after_a_second, p), 0);
        run(&u);
        assert_int_equal(sim_process_end(p).state, SIM_KILLED);
        for (int i = 0; i < 3; i++)
            assert_int_equal(h.ends[i], -ECANCELED);
        assert_int_equal(sim_process_unclosed(p), 0);
        sim_close(u.sim);
    }
}

static void park_for_ever(struct companion *self, void *arg)
{
    must(companion_park(self, DEADLINE_NEVER) == -ECANCELED);
    *(bool *)arg = true;
}

static int leave_a_companion(struct world *w, void *arg)
{
    begin_companion(w, park_for_ever, arg);
    must_sleep(w, NS_PER_MS);
    return 0;
}

static void a_companion_that_is_left_ends_with_the_process(void **state)
{
    struct universe u = open_default();
    bool ended = false;
    struct sim_process *p = start(u.here, leave_a_companion, &ended);
    run(&u);
    assert_true(ended);
    assert_int_equal(sim_process_end(p).state, SIM_EXITED);
    assert_int_equal(sim_process_unclosed(p), 1);
    sim_close(u.sim);
}

static int leave_one_in_a_thread(struct world *w, void *arg)
{
    struct thread *t;
    int result;
    bool ended = false;
    must(world_thread(w, "careless", leave_a_companion, &ended, &t) == 0);
    must(thread_wait(t, &result) == 0);
    thread_close(t);
    must(ended);
    return 0;
}

static void a_companion_that_is_left_ends_with_its_thread(void **state)
{
    struct universe u = open_default();
    struct sim_process *p = start(u.here, leave_one_in_a_thread, NULL);
    run(&u);
    assert_int_equal(sim_process_end(p).state, SIM_EXITED);
    assert_int_equal(sim_process_unclosed(p), 1);
    sim_close(u.sim);
}

/* ---- Want of memory ---- */

static void say_nothing(void *ctx, const char *line)
{
}

static int have_companions(struct world *w, void *arg)
{
    struct companion *companions[2];
    int numbers[2] = {0, 0};
    int count = 0;
    int rc = 0;
    for (; count < 2 && rc == 0; count += rc == 0) {
        struct companion_options options = {
            .name = "helper", .run = add_one, .arg = &numbers[count]};
        rc = world_companion(w, &options, &companions[count]);
    }
    for (int i = 0; i < count; i++)
        if (companion_wait(companions[i]) == 0)
            companion_close(companions[i]);
    return rc ? rc : numbers[0] + numbers[1] - 2;
}

static bool open_and_have_companions(void)
{
    struct universe u = {0};
    struct sim_options options = {.survive = true, .report = say_nothing};
    if (sim_open(&u.sim, 1, &options) != 0)
        return false;
    u.here = sim_host(u.sim, &(struct sim_host_options){.name = "here"});
    struct sim_process *p = u.here ? sim_start(u.here, "test", have_companions, NULL) : NULL;
    bool through = p && sim_run(u.sim, 1000 * NS_PER_S) == 0 && sim_process_end(p).result == 0;
    sim_close(u.sim);
    return through;
}

static void memory_may_run_out(void **state)
{
    torture(open_and_have_companions);
}

TEST_FILE(sim_companion)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(companions_run_and_end),
        cmocka_unit_test(what_it_posted_comes_before_its_end),
        cmocka_unit_test(the_wait_for_an_end_has_a_deadline),
        cmocka_unit_test(a_wake_that_comes_first_is_kept),
        cmocka_unit_test(parks_have_a_deadline),
        cmocka_unit_test(work_goes_there_and_comes_back),
        cmocka_unit_test(no_wake_of_several_is_lost),
        cmocka_unit_test(the_clock_is_the_worlds),
        cmocka_unit_test(nothing_is_soon_burnt),
        cmocka_unit_test(burns_occupy_cores),
        cmocka_unit_test(kernels_take_their_time),
        cmocka_unit_test(work_on_the_loops_thread_holds_it_up),
        cmocka_unit_test(who_is_late_computes_all_the_same),
        cmocka_unit_test(a_killed_process_takes_its_companions_along),
        cmocka_unit_test(a_companion_that_is_left_ends_with_the_process),
        cmocka_unit_test(a_companion_that_is_left_ends_with_its_thread),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
