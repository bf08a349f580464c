/*
 * worker_test.c: a worker's loop, over a conversation and a clock that are made up: what is written
 * when, and what is refused. worker_process_test.c has real ones.
 */
#include "talk.h"

/* ---- Life ---- */

static void it_is_ready_and_does_what_comes(void **state)
{
    ask_setup(&a_setup);
    then();
    ask_task(1, ECHO, "{\"a\":[1,2.5,\"b\"]}");
    ask_task(2, BURN, "\"x\"");
    ask_task(3, ECHO, "{");
    ask_stop();
    ask_task(4, ECHO, "1"); /* after the end */
    assert_int_equal(serve(), WORKER_EXIT_DONE);
    hear_ready();
    hear_done(1, "{\"a\":[1,2.5,\"b\"]}");
    hear_failed(2, WORKER_REJECTED, "invalid-input");
    hear_failed(3, WORKER_REJECTED, "invalid-input");
    hear_nothing();
    assert_int_equal(talk->forbidden, 1);
    assert_string_equal(talk->complaint, "");
}

static void bytes_may_come_one_by_one(void **state)
{
    talk->read_most = 1;
    it_is_ready_and_does_what_comes(state);
}

static void it_ends_with_its_server(void **state)
{
    ask_setup(&a_setup);
    assert_int_equal(serve(), WORKER_EXIT_DONE);
    hear_ready();
    hear_nothing();
}

static void it_ends_when_nobody_reads(void **state)
{
    ask_setup(&a_setup);
    then();
    ask_task(1, ECHO, "1");
    then();
    ask_task(2, ECHO, "1");
    talk->write_fails_at = 2; /* READY went through */
    assert_int_equal(serve(), WORKER_EXIT_DONE);
    hear_ready();
    hear_nothing();
    assert_int_equal(talk->chunk, 2); /* it did not read on */
}

static void processes_that_cannot_be_forbidden_are_told(void **state)
{
    ask_setup(&a_setup);
    talk->forbid_rc = -ENOSYS;
    assert_int_equal(serve(), WORKER_EXIT_DONE);
    hear_ready();
    assert_int_equal(hear(WORKER_LOG).log.level, LOG_WARN);
}

static void processor_and_clock_are_told(void **state)
{
    ask_setup(&a_setup);
    then();
    ask_task(1, BURN, "{\"ms\":3}");
    assert_int_equal(serve(), WORKER_EXIT_DONE);
    hear_ready();
    struct worker_result r = hear(WORKER_RESULT).result;
    assert_int_equal(r.wall_ns, 3 * NS_PER_MS);
    assert_int_equal(r.processor_ns, 3 * NS_PER_MS);
}

/* ---- What is refused ---- */

static void refused(const struct worker_setup *s, const char *why)
{
    tear_down(NULL);
    set_up(NULL);
    ask_setup(s);
    if (talk->io.share && s->shared == 0)
        talk->io.share = NULL;
    assert_int_equal(serve(), WORKER_EXIT_REFUSED);
    struct span text = hear(WORKER_REFUSED).text;
    if (!memmem(text.ptr, text.len, why, strlen(why)))
        fail_msg("'%.*s', not '%s'", SPAN_ARG(text), why);
    hear_nothing();
    assert_int_equal(talk->forbidden, 0);
}

static void what_cannot_be_is_refused(void **state)
{
    static const struct worker_setup_step unknown = {.name = "a", .step = "there-is-none"};
    static const struct worker_setup_step harmful = {.name = "crash", .step = "crash"};
    static const struct worker_setup_step missing = {
        .name = "a", .plugin = "/there/is/none.so", .step = "a"};
    struct worker_setup s = a_setup;
    s.forks = true;
    refused(&s, "cannot fork");
    s = a_setup;
    s.step_count = 1;
    s.steps = &unknown;
    refused(&s, "there-is-none");
    s.steps = &harmful;
    refused(&s, "unsafe");
    s.steps = &missing;
    refused(&s, "/there/is/none.so");
}

static void refused_text(const char *text, const char *why)
{
    tear_down(NULL);
    set_up(NULL);
    then();
    ask(&(struct worker_frame){.kind = WORKER_SETUP, .text = span_of(text)});
    assert_int_equal(serve(), WORKER_EXIT_REFUSED);
    struct span said = hear(WORKER_REFUSED).text;
    if (!memmem(said.ptr, said.len, why, strlen(why)))
        fail_msg("'%.*s', not '%s'", SPAN_ARG(said), why);
}

static void no_setup_is_refused(void **state)
{
    refused_text("{\"protocol\":2}", "version 2");
    refused_text("{", "line 1");
}

static void memory_that_is_not_there_is_refused(void **state)
{
    ask_setup(&a_setup);
    talk->io.share = NULL;
    assert_int_equal(serve(), WORKER_EXIT_REFUSED);
    hear(WORKER_REFUSED);
    tear_down(NULL);
    set_up(NULL);
    ask_setup(&a_setup);
    talk->shared_size = WORKER_CONTROL_SIZE - 1;
    assert_int_equal(serve(), WORKER_EXIT_REFUSED);
    hear(WORKER_REFUSED);
}

/* ---- Garbage ---- */

static void garbage(const struct worker_frame *f, bool set)
{
    tear_down(NULL);
    set_up(NULL);
    talk->shared_size = SHARED;
    if (set)
        ask_setup(&a_setup);
    else
        then();
    ask(f);
    assert_int_equal(serve(), WORKER_EXIT_GARBAGE);
    assert_true(strlen(talk->complaint) > 0);
    if (set)
        hear_ready();
    hear_nothing();
}

static void what_is_not_for_it_ends_it(void **state)
{
    struct worker_frame f = {.kind = WORKER_TASK, .task = {.id = 1, .input.inside = SPAN("1")}};
    garbage(&f, false);
    f.task.step = 2;
    garbage(&f, true);
    f = (struct worker_frame){.kind = WORKER_FORK, .fork.id = 1};
    garbage(&f, true);
    f = (struct worker_frame){.kind = WORKER_READY, .text = SPAN("{}")};
    garbage(&f, true);
    f = (struct worker_frame){.kind = WORKER_SETUP, .text = SPAN("{}")};
    garbage(&f, true);
    f = shared_task(OUTPUTS, 1); /* where outputs are */
    garbage(&f, true);
    f = shared_task(OUTPUTS - 8, 9);
    garbage(&f, true);
    f = shared_task(OUTPUTS + 1000, 5);
    garbage(&f, true);
    f = shared_task(WORKER_CONTROL_SIZE, INT64_MAX - WORKER_CONTROL_SIZE);
    garbage(&f, true);
}

static void what_is_no_frame_ends_it(void **state)
{
    ask_setup(&a_setup);
    then();
    ask_task(1, ECHO, "1");
    assert_int_equal(bytes_append(&talk->chunks[1], "garbage!", 8), 0);
    assert_int_equal(serve(), WORKER_EXIT_GARBAGE);
    hear_ready();
    assert_non_null(strstr(talk->complaint, "no frame"));
}

/* An input beyond the memory's end. */
static void an_input_that_is_not_there_ends_it(void **state)
{
    ask_setup(&a_setup);
    struct worker_frame f = shared_task(40000, 1000);
    ask(&f);
    talk->shared_size = 40999;
    assert_int_equal(serve(), WORKER_EXIT_GARBAGE);
}

/* ---- Who waits for whom ---- */

/* Which may take longer than it ever did. */
static void a_result_does_not_wait_for_the_next_task(void **state)
{
    ask_setup(&a_setup);
    then();
    for (uint64_t id = 1; id < 10; id++)
        ask_task(id, BURN, "{\"us\":1}");
    ask_task(10, BURN, "{\"ms\":50}");
    assert_int_equal(serve(), WORKER_EXIT_DONE);
    hear_ready();
    for (uint64_t i = 1; i < 10; i++) {
        hear_done(i, "{\"burned_ms\":0.001}");
        assert_int_equal(talk->writes[write_of_last()].at, NS_PER_S + (int64_t)i * NS_PER_US);
    }
    hear_done(10, "{\"burned_ms\":50}");
}

/* ---- Control words, deadlines ---- */

static void look_at_running(struct talk *t)
{
    t->seen = t->seen * 10 + atomic_load(&control()->running);
}

static void it_says_what_it_runs(void **state)
{
    ask_setup(&a_setup);
    then();
    for (uint64_t id = 1; id < 4; id++)
        ask_task(id, BURN, "{\"us\":1}");
    talk->on_burn = look_at_running;
    assert_int_equal(serve(), WORKER_EXIT_DONE);
    assert_int_equal(talk->seen, 123);
    assert_int_equal(atomic_load(&control()->running), 0);
}

static void cancel_two(struct talk *t)
{
    t->seen++;
    if (t->seen == 2) /* slices of a burn */
        atomic_store(&control()->cancelled, 2);
}

static void a_cancelled_task_ends(void **state)
{
    ask_setup(&a_setup);
    then();
    ask_task(2, BURN, "{\"ms\":100000}");
    ask_task(3, BURN, "{\"ms\":20}");
    ask_task(2, ECHO, "1"); /* does not even begin */
    talk->on_burn = cancel_two;
    assert_int_equal(serve(), WORKER_EXIT_DONE);
    hear_ready();
    hear_failed(2, WORKER_FAILED, "cancelled");
    hear_done(3, "{\"burned_ms\":20}");
    hear_failed(2, WORKER_FAILED, "cancelled");
    assert_in_range(talk->clock, NS_PER_S, 2 * NS_PER_S);
}

static void late_tasks_do_not_begin(void **state)
{
    ask_setup(&a_setup);
    then();
    struct worker_frame f = {.kind = WORKER_TASK,
        .task = {.id = 1, .step = BURN, .deadline = NS_PER_S, .input.inside = SPAN("10")}};
    ask(&f);
    f.task.id = 2;
    f.task.deadline = NS_PER_S + 15 * NS_PER_MS;
    ask(&f);
    f.task.id = 3; /* it passes while the one before it runs */
    f.task.deadline = NS_PER_S + 10 * NS_PER_MS;
    ask(&f);
    assert_int_equal(serve(), WORKER_EXIT_DONE);
    hear_ready();
    hear_failed(1, WORKER_FAILED, "expired");
    hear_done(2, "{\"burned_ms\":10}");
    hear_failed(3, WORKER_FAILED, "expired");
    assert_int_equal(talk->clock, NS_PER_S + 10 * NS_PER_MS);
}

TEST_FILE(worker)
{
    const struct CMUnitTest tests[] = {
        TEST(it_is_ready_and_does_what_comes),
        TEST(bytes_may_come_one_by_one),
        TEST(it_ends_with_its_server),
        TEST(it_ends_when_nobody_reads),
        TEST(processes_that_cannot_be_forbidden_are_told),
        TEST(processor_and_clock_are_told),
        TEST(what_cannot_be_is_refused),
        TEST(no_setup_is_refused),
        TEST(memory_that_is_not_there_is_refused),
        TEST(what_is_not_for_it_ends_it),
        TEST(what_is_no_frame_ends_it),
        TEST(an_input_that_is_not_there_ends_it),
        TEST(a_result_does_not_wait_for_the_next_task),
        TEST(it_says_what_it_runs),
        TEST(a_cancelled_task_ends),
        TEST(late_tasks_do_not_begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
