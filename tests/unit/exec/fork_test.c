/*
 * Pools that fork a process for each task, real ones.
 */
#include "../pool/real_workers.h"

#include "worker/io_plain.h"
#include "world/plain.h"

#define FORK CONF_POOL_FORK

POOL_TEST(a_step_is_called, FORK, 2, use_workers)
{
    assert_int_equal(count_children(), 1);
    gives(s, "echo", "[1, 2]", "[1,2]");
    struct pool_call c = call_of(s, "burn", "{\"ms\": 20}");
    assert_int_equal(pool_call(s->client, s->pool, &c), 0);
    assert_true(c.processor_ns >= 20 * NS_PER_MS);
    pool_call_release(&c);
}

static int call_many(void *arg)
{
    char text[32];
    for (int i = 0; i < 20; i++) {
        snprintf(text, sizeof(text), "[%d]", i);
        gives(arg, "echo", text, text);
    }
    return 0;
}

POOL_TEST(several_run_at_once, FORK, 4, use_workers)
{
    GROUP(g, GROUP_INDEPENDENT);
    for (int i = 0; i < 16; i++)
        assert_int_equal(group_spawn(&g, "caller", call_many, s), 0);
    assert_int_equal(group_wait(&g), 0);
}

POOL_TEST(large_values_pass, FORK, 2, use_workers)
{
    size_t size = 1 << 20;
    char *text = malloc(size + 1);
    assert_non_null(text);
    memset(text, 'x', size);
    text[0] = text[size - 1] = '"';
    text[size] = '\0';
    for (int i = 0; i < 3; i++)
        gives(s, "echo", text, text);
    free(text);
}

POOL_TEST(a_death_is_told_to_its_caller_alone, FORK, 2, use_workers)
{
    /* Sanitizers make an exit of it. */
    crashes(s, "{\"how\": \"segfault\"}", POOL_DIED, "that ran step 'crash'");
    crashes(s, "{\"how\": \"exit\", \"status\": 7}", POOL_DIED, "exited with status 7");
    crashes(s, "{\"how\": \"close-and-hang\"}", POOL_DIED, "closed its channel");
    assert_int_equal(restarts(s, RESTART_DIED), 2);
    assert_int_equal(restarts(s, RESTART_MISBEHAVED), 1);
}

static void limit_time(struct scene *s)
{
    use_workers(s);
    s->conf.hard_timeout = 2 * NS_PER_S; /* time: the echoes between must be answered in it */
}

POOL_TEST(who_runs_too_long_is_killed, FORK, 1, limit_time)
{
    crashes(s, "{\"how\": \"loop\"}", POOL_TIMEOUT, "hard_timeout");
    crashes(s, "{\"how\": \"stop\"}", POOL_TIMEOUT, "hard_timeout");
}

static void kill_on_cancel(struct scene *s)
{
    use_workers(s);
    s->conf.on_cancel = CONF_KILL;
}

POOL_TEST(a_task_that_was_left_may_be_killed, FORK, 1, kill_on_cancel)
{
    assert_true(one_of_tries(left_task_is_killed(s)));
}

POOL_TEST(a_task_that_kills_two_is_not_tried_again, FORK, 2, use_workers)
{
    struct real_call r = crash(s, "{\"how\": \"abort\"}");
    r.retry = true;
    real_call(&r);
    assert_int_equal(r.outcome, POOL_DIED);
    assert_int_equal(restarts(s, RESTART_DIED), 2);
    assert_true(was_said("poison: request-7, step 'crash'"));
}

/* Its first; 0: it has none, or the kernel does not tell. */
static int child_of(int parent)
{
    char path[64];
    int pid = 0;
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", parent, parent);
    FILE *f = fopen(path, "r");
    if (!f)
        return 0;
    int got = fscanf(f, "%d", &pid);
    fclose(f);
    return got == 1 ? pid : 0;
}

/* With all that it forked; another takes its place. */
POOL_TEST(a_zygote_that_dies_is_replaced, FORK, 2, use_workers)
{
    int pid = child_of(getpid());
    if (!pid)
        return; /* the kernel does not tell */
    struct real_call r = {.scene = s, .step = "burn", .input = "{\"ms\": 60000}"};
    GROUP(g, GROUP_INDEPENDENT);
    assert_true(eventually(w, !child_of(pid))); /* the canary's has gone */
    assert_int_equal(group_spawn(&g, "caller", real_call, &r), 0);
    assert_true(eventually(w, child_of(pid)));
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(group_wait(&g), 0);
    assert_int_equal(r.outcome, POOL_DIED);
    gives(s, "echo", "[1]", "[1]");
}

/* ---- Without memory ---- */

/* Whether it was done. Either way nothing may be left, and nothing may hang. */
static bool call_with_failing_memory(uint64_t nth)
{
    struct scene s;
    struct error e;
    scene_init(&s, FORK, 1);
    use_workers(&s);
    scene_add(&s, "echo");
    bool met;
    bool done = false;
    assert_int_equal(scene_make(&s, w, &e), 0);
    CORO_DEADLINE(world_now(w) + HANG_NS);
    mem_fail_at(nth, false);
    {
        GROUP(g, GROUP_INDEPENDENT);
        if (scene_begin(&s, &g, &e) == 0) {
            struct pool_call c = call_of(&s, "echo", "[1]");
            done = pool_call(s.client, s.pool, &c) == 0;
            assert_true(done || c.outcome != POOL_EXPIRED);
            pool_call_release(&c);
        }
        pool_client_leave(s.client);
        assert_int_equal(group_wait(&g), 0);
        met = mem_count() >= nth;
        mem_fail_at(0, false);
    }
    pool_client_free(s.client);
    pools_free(s.pools);
    assert_true(done || met);
    return met;
}

static int run_out_of_memory(void *arg)
{
    uint64_t nth = 1;
    while (call_with_failing_memory(nth))
        nth++;
    assert_true(nth > 20);
    return 0;
}

/* What forks, but can not: each FORK is answered as if there were no process to be had. */
static int be_unable_to_fork(void)
{
    struct worker_plain plain;
    struct worker_process k;
    struct worker_frame f;
    enum worker_exit exit;
    worker_plain_init(&plain, PLAIN_CHANNEL, true);
    if (plain_begin() != 0 || worker_process_open(&k, &plain.io, true, &exit) != 0 ||
        worker_process_ready(&k, &exit) != 0)
        return 1;
    for (;;) {
        int passed;
        struct iovec room = worker_process_room(&k);
        ssize_t got = plain_read_passed(PLAIN_CHANNEL, room.iov_base, room.iov_len, &passed);
        if (got <= 0)
            return 0;
        worker_process_got(&k, (size_t)got);
        if (passed >= 0)
            plain_close(passed);
        while (worker_process_next(&k, &f, &exit) > 0) {
            if (f.kind == WORKER_STOP)
                return 0;
            struct worker_frame ended = {
                .kind = WORKER_ENDED, .ended = {.id = f.fork.id, .status = EAGAIN}};
            if (worker_process_say(&k, &ended) != 0)
                return 1;
        }
        worker_process_flush(&k);
    }
}

TEST_ROLE(unable_to_fork)
{
    return be_unable_to_fork();
}

static const char *unable_argv[] = {"/proc/self/exe", "unable_to_fork", NULL};

static void use_what_cannot_fork(struct scene *s)
{
    use_workers(s);
    s->worker_argv = unable_argv;
}

POOL_TEST(who_cannot_be_forked_has_not_died, FORK, 1, use_what_cannot_fork)
{
    struct real_call r = {.scene = s, .step = "echo", .input = "1", .retry = true};
    real_call(&r);
    assert_int_equal(r.outcome, POOL_UNAVAILABLE);
    if (!strstr(r.sentence, "can be forked: the system allows no more threads and processes"))
        fail_msg("%s", r.sentence);
    assert_int_equal(restarts(s, RESTART_DIED), 0);
    assert_false(was_said("poison"));
}

static void memory_may_run_out(void **state)
{
    run_logged(run_out_of_memory);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(memory_may_run_out),
    cmocka_unit_test(a_step_is_called),
    cmocka_unit_test(several_run_at_once),
    cmocka_unit_test(large_values_pass),
    cmocka_unit_test(a_death_is_told_to_its_caller_alone),
    cmocka_unit_test(who_runs_too_long_is_killed),
    cmocka_unit_test(a_task_that_was_left_may_be_killed),
    cmocka_unit_test(a_task_that_kills_two_is_not_tried_again),
    cmocka_unit_test(a_zygote_that_dies_is_replaced),
    cmocka_unit_test(who_cannot_be_forked_has_not_died),
};

TEST_FILE(fork)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
