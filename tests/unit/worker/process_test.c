/*
 * worker_process_test.c: worker processes of the real world: large values, crashes, garbage, and
 * servers that go.
 */
#include "fixture.h"

#include "base/log.h"

#include <sched.h>
#include <stdatomic.h>

enum { ECHO, CRASH, COUNT };

static struct worker_setup_step steps[] = {
    {.name = "echo", .step = "echo"},
    {.name = "crash", .step = "crash"},
    {.name = "count", .step = "count", .options = {"{\"from\":7}", 10}},
};

static struct worker_setup setup(bool share)
{
    return (struct worker_setup){.pool = "cpu",
        .steps = steps,
        .step_count = 3,
        .threads = 2,
        .value = 2 * 1024 * 1024,
        .unsafe = true,
        .shared = share ? FIXTURE_SHARED : 0,
        .outputs = share ? FIXTURE_OUTPUTS : 0};
}

static void start(struct process *p, bool share)
{
    struct worker_setup s = setup(share);
    process_start(p, share);
    send_setup(p, &s);
    hear_ready(p);
}

static struct worker_control *control(const struct process *p)
{
    return (struct worker_control *)(void *)p->shared;
}

static void it_does_what_it_is_told(void **state)
{
    struct process p;
    struct worker_frame frames[] = {a_task(1, ECHO, "[1]"), a_task(2, COUNT, "null"),
        a_task(3, COUNT, "null"), a_task(4, CRASH, "{\"how\":\"none\"}"), {.kind = WORKER_STOP}};
    start(&p, true);
    send_frames(p.fd, frames, 5);
    struct worker_frame f = hear(&p, WORKER_RESULT);
    is_done(&f, 1, "[1]");
    f = hear(&p, WORKER_RESULT);
    is_done(&f, 2, "7");
    assert_true(f.result.wall_ns > 0);
    f = hear(&p, WORKER_RESULT);
    is_done(&f, 3, "8");
    f = hear(&p, WORKER_RESULT);
    is_done(&f, 4, "{\"survived\":\"none\"}");
    int status = process_wait(&p);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    process_close(&p);
}

static void lines_come_before_it_is_ready(void **state)
{
    struct process p;
    struct worker_setup s = setup(false);
    process_start(&p, false);
    send_setup(&p, &s);
    struct worker_frame f = hear(&p, WORKER_LOG);
    assert_int_equal(f.log.level, LOG_INFO);
    assert_true(span_equal(f.log.line, SPAN("step 'count': counts from 7 with 2 threads")));
    hear_ready(&p);
    process_close(&p);
}

static void a_refusal_says_why(void **state)
{
    struct process p;
    struct worker_setup s = setup(false);
    struct worker_setup_step bad = {.name = "c",
        .plugin = steps[COUNT].plugin,
        .step = "count",
        .options = {"{\"refuse\":\"/m\"}", 15}};
    s.steps = &bad;
    s.step_count = 1;
    process_start(&p, false);
    send_setup(&p, &s);
    struct span why = hear(&p, WORKER_REFUSED).text;
    assert_non_null(memmem(why.ptr, why.len, "there is no model at /m", 23));
    assert_int_equal(WEXITSTATUS(process_wait(&p)), 1);
    process_close(&p);
}

static void large_values_are_not_in_the_frames(void **state)
{
    static const size_t size = 1024 * 1024;
    struct process p;
    start(&p, true);
    assert_int_equal(memory_file_grow(p.memory, WORKER_CONTROL_SIZE + size + 64), 0);
    for (uint64_t id = 1; id < 5; id++) {
        char *in = p.shared + WORKER_CONTROL_SIZE;
        memset(in, 'a' + (int)id, size);
        in[0] = in[size - 1] = '"';
        struct worker_frame f = {.kind = WORKER_TASK,
            .task = {.id = id,
                .deadline = INT64_MAX,
                .input = {.shared = true, .offset = WORKER_CONTROL_SIZE, .length = size}}};
        send_frames(p.fd, &f, 1);
        f = hear(&p, WORKER_RESULT);
        assert_int_equal(f.result.outcome, WORKER_DONE);
        assert_true(f.result.output.shared);
        assert_int_equal(f.result.output.length, size);
        /* The third is where the second was not: only that has been taken in between. */
        assert_int_equal(f.result.output.offset, FIXTURE_OUTPUTS + (id == 2 || id == 4 ? size : 0));
        assert_in_range(memory_file_size(p.memory), f.result.output.offset + size, FIXTURE_SHARED);
        const char *out = p.shared + f.result.output.offset;
        assert_int_equal(out[0], '"');
        for (size_t i = 1; i < size - 1; i++)
            if (out[i] != 'a' + (int)id)
                fail_msg("byte %zu is %d", i, out[i]);
        if (id == 2)
            atomic_store(&control(&p)->taken, 2);
    }
    process_close(&p);
}

static void a_crash_leaves_word_of_whose_it_was(void **state)
{
    struct process p;
    start(&p, true);
    struct worker_frame frames[] = {
        a_task(1, ECHO, "1"), a_task(2, CRASH, "{\"how\":\"kill\"}"), a_task(3, ECHO, "3")};
    send_frames(p.fd, frames, 3);
    struct worker_frame f = hear(&p, WORKER_RESULT);
    is_done(&f, 1, "1");
    assert_false(next_frame(p.fd, &p.in, &p.heard, &f));
    int status = process_wait(&p);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
    assert_int_equal(atomic_load(&control(&p)->running), 2);
    process_close(&p);
}

static void a_step_that_forks_is_killed(void **state)
{
    struct process p;
    start(&p, true);
    struct worker_frame f = a_task(1, CRASH, "{\"how\":\"fork\"}");
    send_frames(p.fd, &f, 1);
    if (next_frame(p.fd, &p.in, &p.heard, &f) && f.kind == WORKER_LOG) {
        process_close(&p); /* it said that its kernel cannot */
        skip();
    }
    int status = process_wait(&p);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSYS);
    process_close(&p);
}

static void a_cancelled_task_is_left(void **state)
{
    struct process p;
    struct worker_setup s = setup(true);
    struct worker_setup_step burn = {.name = "burn", .step = "burn"};
    s.steps = &burn;
    s.step_count = 1;
    process_start(&p, true);
    send_setup(&p, &s);
    hear_ready(&p);
    struct worker_frame f = a_task(9, 0, "{\"ms\":60000}");
    send_frames(p.fd, &f, 1);
    while (atomic_load(&control(&p)->running) != 9)
        sched_yield();
    atomic_store(&control(&p)->cancelled, 9);
    f = hear(&p, WORKER_RESULT);
    assert_int_equal(f.result.outcome, WORKER_FAILED);
    assert_true(span_equal(f.result.code, SPAN("cancelled")));
    process_close(&p);
}

static void garbage_ends_it(void **state)
{
    struct process p;
    struct worker_frame f;
    start(&p, false);
    send_bytes(p.fd, SPAN("GET / HTTP/1.1\r\n\r\n"));
    assert_false(next_frame(p.fd, &p.in, &p.heard, &f));
    assert_int_equal(WEXITSTATUS(process_wait(&p)), 2);
    complained(&p, "no frame");
    process_close(&p);
}

static void it_goes_when_its_server_has_gone(void **state)
{
    struct process p;
    start(&p, true);
    shutdown(p.fd, SHUT_RDWR);
    int status = process_wait(&p);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    process_close(&p);
}

/* More than a socket holds, both ways. */
static void long_frames_go_both_ways(void **state)
{
    static char text[1500001];
    struct process p;
    start(&p, false);
    memset(text, 'x', sizeof text - 1);
    text[0] = text[sizeof text - 2] = '"';
    struct worker_frame f = a_task(1, ECHO, text);
    send_frames(p.fd, &f, 1);
    f = hear(&p, WORKER_RESULT);
    is_done(&f, 1, text);
    process_close(&p);
}

TEST_FILE(process)
{
    static char plugin[4096];
    const char *folder = getenv("PLUGINS");
    snprintf(plugin, sizeof plugin, "%s/good.so", folder ? folder : "build/tests/plugins");
    steps[COUNT].plugin = plugin;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_does_what_it_is_told),
        cmocka_unit_test(lines_come_before_it_is_ready),
        cmocka_unit_test(a_refusal_says_why),
        cmocka_unit_test(large_values_are_not_in_the_frames),
        cmocka_unit_test(a_crash_leaves_word_of_whose_it_was),
        cmocka_unit_test(a_step_that_forks_is_killed),
        cmocka_unit_test(a_cancelled_task_is_left),
        cmocka_unit_test(garbage_ends_it),
        cmocka_unit_test(it_goes_when_its_server_has_gone),
        cmocka_unit_test(long_frames_go_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
