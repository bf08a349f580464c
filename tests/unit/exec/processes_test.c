/*
 * Pools of worker processes, real ones: what comes back, what may happen to them, and that nothing
 * is left of them.
 */
#include "../pool/real_workers.h"

#define PROCESSES CONF_POOL_PROCESSES

/* ---- What comes back ---- */

POOL_TEST(a_step_is_called, PROCESSES, 2, use_workers)
{
    assert_int_equal(count_children(), 2);
    gives(s, "echo", "[1, 2, {\"a\": null}]", "[1,2,{\"a\":null}]");
    struct pool_call c = call_of(s, "burn", "{\"ms\": 20}");
    assert_int_equal(pool_call(s->client, s->pool, &c), 0);
    assert_true(c.processor_ns >= 20 * NS_PER_MS);
    assert_true(c.wall_ns >= 20 * NS_PER_MS);
    pool_call_release(&c);
    c = call_of(s, "burn", "[]");
    assert_true(pool_call(s->client, s->pool, &c) < 0);
    assert_int_equal(c.outcome, POOL_REJECTED);
    pool_call_release(&c);
}

struct many {
    struct scene *scene;
    int from;
    int calls;
};

static int call_many(void *arg)
{
    struct many *m = arg;
    for (int i = 0; i < m->calls; i++) {
        char text[32];
        snprintf(text, sizeof(text), "[%d]", m->from + i);
        gives(m->scene, "echo", text, text);
    }
    return 0;
}

static void call_from_many(struct scene *s, int callers, int calls)
{
    struct many many[64];
    GROUP(g, GROUP_INDEPENDENT);
    for (int i = 0; i < callers; i++) {
        many[i] = (struct many){.scene = s, .from = i * 1000, .calls = calls};
        assert_int_equal(group_spawn(&g, "caller", call_many, &many[i]), 0);
    }
    assert_int_equal(group_wait(&g), 0);
}

POOL_TEST(each_gets_its_own_answer, PROCESSES, 2, use_workers)
{
    call_from_many(s, 64, 50);
}

/* Through shared memory, one after another and several at once. */
static void call_large(struct scene *s, size_t size, int outcome)
{
    char *text = malloc(size + 1);
    assert_non_null(text);
    memset(text, 'x', size);
    text[0] = text[size - 1] = '"';
    text[size] = '\0';
    text[size / 2] = 'y';
    struct pool_call c = call_of(s, "echo", text);
    int rc = pool_call(s->client, s->pool, &c);
    assert_int_equal(c.outcome, outcome);
    if (rc == 0)
        assert_true(span_equal(c.output, span_of(text)));
    pool_call_release(&c);
    free(text);
}

static int call_larger_and_larger(void *arg)
{
    static const size_t sizes[] = {100, 5000, 16384, 16385, 40000, 100000, 300000, 1 << 20};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
        call_large(arg, sizes[i], POOL_DONE);
    return 0;
}

POOL_TEST(values_of_all_sizes_pass, PROCESSES, 1, use_workers)
{
    call_larger_and_larger(s);
    GROUP(g, GROUP_INDEPENDENT);
    for (int i = 0; i < 8; i++)
        assert_int_equal(group_spawn(&g, "caller", call_larger_and_larger, s), 0);
    assert_int_equal(group_wait(&g), 0);
    call_large(s, (1 << 20) + 1, POOL_TOO_LARGE);
    call_larger_and_larger(s);
    assert_int_equal(restarts(s, RESTART_MISBEHAVED), 0);
}

static void allow_16_mebibytes(struct scene *s)
{
    use_workers(s);
    s->conf.value = 16 << 20;
}

POOL_TEST(what_large_values_took_is_given_back, PROCESSES, 1, allow_16_mebibytes)
{
    for (int i = 0; i < 3; i++)
        call_large(s, 12 << 20, POOL_DONE);
    call_larger_and_larger(s);
}

/* ---- What may happen ---- */

POOL_TEST(a_death_is_told_to_its_caller_alone, PROCESSES, 2, use_workers)
{
    /* Sanitizers make an exit of it. */
    crashes(s, "{\"how\": \"segfault\"}", POOL_DIED, "that ran step 'crash'");
    crashes(s, "{\"how\": \"exit\", \"status\": 7}", POOL_DIED, "exited with status 7");
    crashes(s, "{\"how\": \"kill\"}", POOL_DIED, "was killed by signal 9");
    crashes(s, "{\"how\": \"fork\"}", POOL_DIED, "was killed by signal");
    assert_int_equal(restarts(s, RESTART_DIED), 4);
    assert_true(was_said("request-7"));
}

POOL_TEST(who_misbehaves_is_killed, PROCESSES, 1, use_workers)
{
    crashes(s, "{\"how\": \"garbage\"}", POOL_DIED, "wrote what is no frame");
    crashes(s, "{\"how\": \"close-and-hang\"}", POOL_DIED, "closed its channel");
    assert_int_equal(restarts(s, RESTART_MISBEHAVED), 2);
}

static void limit_time(struct scene *s)
{
    use_workers(s);
    s->conf.hard_timeout = 2 * NS_PER_S; /* time: the echoes between must be answered in it */
}

POOL_TEST(who_runs_too_long_is_killed, PROCESSES, 1, limit_time)
{
    crashes(s, "{\"how\": \"loop\"}", POOL_TIMEOUT, "hard_timeout");
    crashes(s, "{\"how\": \"hang\"}", POOL_TIMEOUT, "hard_timeout");
    crashes(s, "{\"how\": \"stop\"}", POOL_TIMEOUT, "hard_timeout");
    assert_int_equal(restarts(s, RESTART_TIMEOUT), 3);
}

static void limit_memory(struct scene *s)
{
    use_workers(s);
    s->conf.memory = 128 << 20;
}

/* Whatever holds it: the kernel's control group, its refusal of addresses, or our own look at what
 * is resident. */
POOL_TEST(who_wants_too_much_memory_does_not_get_it, PROCESSES, 1, limit_memory)
{
    struct real_call r = {
        .scene = s, .step = "allocate", .input = "{\"bytes\": \"400MiB\", \"keep_ms\": 10000}"};
    real_call(&r);
    assert_true(r.rc < 0);
    assert_int_equal(r.outcome, POOL_OUT_OF_MEMORY);
    gives(s, "echo", "[1]", "[1]");
    assert_int_equal(restarts(s, RESTART_OUT_OF_MEMORY), 1);
    r.input = "{\"bytes\": \"32MiB\"}";
    real_call(&r);
    assert_int_equal(r.outcome, POOL_DONE);
}

POOL_TEST(a_caller_may_leave_a_task_that_runs, PROCESSES, 1, use_workers)
{
    struct real_call r = {
        .scene = s, .step = "burn", .input = "{\"ms\": 60000}", .within_ns = 20 * NS_PER_MS};
    real_call(&r);
    assert_int_equal(r.rc, -ETIMEDOUT);
    assert_true(r.took_ns < HANG_NS); /* time: and not the minute that it computes */
    gives(s, "echo", "[1]", "[1]");
    assert_int_equal(restarts(s, RESTART_CANCELLED), 0);
}

static void kill_on_cancel(struct scene *s)
{
    use_workers(s);
    s->conf.on_cancel = CONF_KILL;
}

POOL_TEST(a_task_that_was_left_may_be_killed, PROCESSES, 1, kill_on_cancel)
{
    assert_true(one_of_tries(left_task_is_killed(s)));
}

/* ---- Once more, and poison ---- */

POOL_TEST(a_task_that_kills_two_is_not_tried_again, PROCESSES, 2, use_workers)
{
    struct real_call r = crash(s, "{\"how\": \"abort\"}");
    r.retry = true;
    real_call(&r);
    assert_int_equal(r.outcome, POOL_DIED);
    assert_int_equal(restarts(s, RESTART_DIED), 2);
    assert_true(was_said("poison: request-7, step 'crash'"));
    gives(s, "echo", "[1]", "[1]");
}

/* The victim's neighbours, given to the same worker at once, never notice. */
POOL_TEST(others_never_notice, PROCESSES, 1, use_workers)
{
    gives(s, "echo", "[0]", "[0]"); /* it is known to be cheap */
    struct real_call poison = crash(s, "{\"how\": \"segfault\"}");
    GROUP(g, GROUP_INDEPENDENT);
    struct many many[32];
    for (int i = 0; i < 32; i++) {
        many[i] = (struct many){.scene = s, .from = i * 100, .calls = 20};
        assert_int_equal(group_spawn(&g, "caller", call_many, &many[i]), 0);
        if (i == 16)
            assert_int_equal(group_spawn(&g, "poison", real_call, &poison), 0);
    }
    assert_int_equal(group_wait(&g), 0);
    assert_int_equal(poison.outcome, POOL_DIED);
}

/* Whoever was given to a worker behind a task that never ends runs elsewhere. */
POOL_TEST(nobody_waits_long_behind_another, PROCESSES, 2, use_workers)
{
    struct real_call longer = crash(s, "{\"how\": \"hang\"}");
    struct real_call quick[20];
    longer.within_ns = HANG_NS;
    longer.rc = 1;
    for (int i = 0; i < 100; i++) { /* both steps are known to be cheap */
        gives(s, "echo", "[1]", "[1]");
        gives(s, "crash", "{\"how\": \"none\"}", "{\"survived\":\"none\"}");
    }
    GROUP(endless, GROUP_INDEPENDENT);
    GROUP(g, GROUP_INDEPENDENT);
    for (int i = 0; i < 20; i++) {
        if (i == 5)
            assert_int_equal(group_spawn(&endless, "longer", real_call, &longer), 0);
        quick[i] = (struct real_call){.scene = s, .step = "echo", .input = "[1]"};
        assert_int_equal(group_spawn(&g, "quick", real_call, &quick[i]), 0);
    }
    assert_int_equal(group_wait(&g), 0);
    assert_int_equal(longer.rc, 1); /* all others have ended before it */
    for (int i = 0; i < 20; i++)
        assert_int_equal(quick[i].outcome, POOL_DONE);
    group_cancel(&endless);
    assert_int_equal(group_wait(&endless), 0);
    assert_int_equal(longer.rc, -ECANCELED);
}

/* ---- Starts and replacements ---- */

static void replace_often(struct scene *s)
{
    use_workers(s);
    s->conf.max_tasks = 20;
}

POOL_TEST(workers_are_replaced_after_their_tasks, PROCESSES, 2, replace_often)
{
    for (int i = 0; i < 20 || (restarts(s, RESTART_MAX_TASKS) < 4 && i < 60); i++) {
        call_from_many(s, 8, 10);
        assert_int_equal(
            world_sleep(w, 5 * NS_PER_MS), 0); /* time: the pace; what is to come is counted */
    }
    assert_true(restarts(s, RESTART_MAX_TASKS) >= 4);
    assert_int_equal(restarts(s, RESTART_DIED), 0);
    assert_true(eventually(w, atomic_load(&s->pool->workers) == 2));
}

static int kill_an_idle_worker(void)
{
    char path[64];
    int pid = 0;
    snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    FILE *f = fopen(path, "r");
    if (!f)
        return -1;
    int got = fscanf(f, "%d", &pid);
    fclose(f);
    return got == 1 ? kill(pid, SIGKILL) : -1;
}

POOL_TEST(an_idle_worker_that_dies_is_replaced, PROCESSES, 1, use_workers)
{
    gives(s, "echo", "[1]", "[1]");
    if (kill_an_idle_worker() != 0)
        return;
    assert_true(eventually(w, restarts(s, RESTART_DIED) > 0 && atomic_load(&s->pool->workers) > 0));
    gives(s, "echo", "[2]", "[2]");
    assert_true(was_said("was killed by signal 9 (SIGKILL), while it had nothing to do"));
}

/* Each start ends at once, with last words. */
static const char *dying_argv[] = {"sh", "-c", "echo no model here >&2; exit 3", NULL};

static void use_dying_workers(struct scene *s)
{
    use_workers(s);
    s->worker_argv = dying_argv;
}

POOL_TEST(a_pool_whose_workers_die_at_start_says_so, PROCESSES, 2, use_dying_workers)
{
    struct pool_call c = call_of(s, "echo", "1");
    assert_true(pool_call(s->client, s->pool, &c) < 0);
    assert_int_equal(c.outcome, POOL_UNAVAILABLE);
    pool_call_release(&c);
    /* They are started again and again; of one or the other the words come late. */
    assert_true(eventually(w, was_said("exited with status 3; it last said: no model here")));
    assert_int_equal(world_sleep(w, 200 * NS_PER_MS), 0); /* time: never is hard to wait for */
    assert_false(pools_ready(s->pools));
}

static const char *no_argv[] = {"/nowhere/at/all", NULL};

static void use_no_workers(struct scene *s)
{
    use_workers(s);
    s->worker_argv = no_argv;
}

POOL_TEST(a_program_that_is_not_there_is_told, PROCESSES, 1, use_no_workers)
{
    assert_true(was_said("cannot be started"));
}

/* A start that is refused, or hangs, is an error of the client's start. */
static void refused(const char *const *argv, int64_t start, char *sentence)
{
    struct scene s;
    struct error e = {0};
    scene_init(&s, PROCESSES, 2);
    scene_add(&s, "echo");
    s.worker_argv = argv;
    s.log = &test_log;
    s.conf.start = start;
    assert_int_equal(scene_make(&s, w, &e), 0);
    GROUP(g, GROUP_INDEPENDENT);
    assert_int_equal(scene_begin(&s, &g, &e), -EINVAL);
    snprintf(sentence, ERROR_SENTENCE_MAX, "%s", e.sentence);
    scene_end(&s, &g);
}

static const char *hanging_argv[] = {"sleep", "1000", NULL};
static const char *talking_argv[] = {
    "sh", "-c", "echo hello, I am no worker >&3; sleep 1000", NULL};

static int hang_at_start(void *arg)
{
    char sentence[ERROR_SENTENCE_MAX];
    refused(hanging_argv, 100 * NS_PER_MS, sentence);
    assert_non_null(strstr(sentence, "did not end within 0.1 s"));
    refused(talking_argv, HANG_NS, sentence);
    assert_non_null(strstr(sentence, "no frame"));
    return 0;
}

static void a_start_that_hangs_is_refused(void **state)
{
    run_logged(hang_at_start);
}

/* What it says beside its frames is in the log, but not without bound. */
static char program[4096];
static const char *chatty_argv[] = {"sh", "-c",
    "i=0; while [ $i -lt 500 ]; do echo line $i; i=$((i+1)); done; exec \"$0\" as_worker", program,
    NULL};

static int64_t chatting_since;

static void use_chatty_workers(struct scene *s)
{
    use_workers(s);
    chatting_since = world_now(w);
    assert_true(readlink("/proc/self/exe", program, sizeof(program) - 1) > 0);
    s->worker_argv = chatty_argv;
}

POOL_TEST(output_is_logged_within_bounds, PROCESSES, 1, use_chatty_workers)
{
    assert_true(eventually(w, was_said(": line 49\n")));
    assert_true(was_said(": line 0\n"));
    /* Fifty a second that it has talked: on a machine that stands still that may be several. */
    int64_t seconds = 1 + (world_now(w) - chatting_since) / NS_PER_S;
    assert_in_range(times_said(": line "), 50, 50 * seconds);
}

/* ---- Without memory ---- */

/* Whether it was done. Either way nothing may be left, and nothing may hang. */
static bool call_with_failing_memory(uint64_t nth)
{
    struct scene s;
    struct error e;
    scene_init(&s, PROCESSES, 1);
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

static void memory_may_run_out(void **state)
{
    run_logged(run_out_of_memory);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(memory_may_run_out),
    cmocka_unit_test(a_step_is_called),
    cmocka_unit_test(each_gets_its_own_answer),
    cmocka_unit_test(values_of_all_sizes_pass),
    cmocka_unit_test(what_large_values_took_is_given_back),
    cmocka_unit_test(a_death_is_told_to_its_caller_alone),
    cmocka_unit_test(who_misbehaves_is_killed),
    cmocka_unit_test(who_runs_too_long_is_killed),
    cmocka_unit_test(who_wants_too_much_memory_does_not_get_it),
    cmocka_unit_test(a_caller_may_leave_a_task_that_runs),
    cmocka_unit_test(a_task_that_was_left_may_be_killed),
    cmocka_unit_test(a_task_that_kills_two_is_not_tried_again),
    cmocka_unit_test(others_never_notice),
    cmocka_unit_test(nobody_waits_long_behind_another),
    cmocka_unit_test(workers_are_replaced_after_their_tasks),
    cmocka_unit_test(an_idle_worker_that_dies_is_replaced),
    cmocka_unit_test(a_pool_whose_workers_die_at_start_says_so),
    cmocka_unit_test(a_program_that_is_not_there_is_told),
    cmocka_unit_test(a_start_that_hangs_is_refused),
    cmocka_unit_test(output_is_logged_within_bounds),
};

TEST_FILE(processes)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
