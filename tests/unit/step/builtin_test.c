/*
 * builtin_test.c: the steps that every Weir has do what they say, and no more harm than they are
 * told to.
 */
#include "fixture.h"

#include "conf/config.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* The configuration knows their names, the set their code. */
static void the_names_that_are_taken_are_theirs(void **state)
{
    for (size_t i = 0; conf_builtin_steps[i]; i++)
        assert_true(step_is_builtin(conf_builtin_steps[i], NULL));
}

static void burn_burns(void **state)
{
    struct step_spec spec = {.name = "burn"};
    struct fixture f;
    fixture_open(&f, &spec, 1, false);
    static const struct {
        struct span input;
        int64_t ns;
        const char *output;
    } cases[] = {
        {SPAN("30"), 30 * NS_PER_MS, "{\"burned_ms\":30}"},
        {SPAN("{\"ms\":2.5}"), 2500 * NS_PER_US, "{\"burned_ms\":2.5}"},
        {SPAN("{\"us\":50}"), 50 * NS_PER_US, "{\"burned_ms\":0.05}"},
        {SPAN("0"), 0, "{\"burned_ms\":0}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t before = f.work.processor;
        fixture_call(&f, 0, cases[i].input);
        check_output(&f, cases[i].output);
        assert_int_equal(f.work.processor - before, cases[i].ns);
    }
    static const char *const wrong[] = {"-1", "{}", "\"5\"", "{\"ms\":-5}", "1e300", "null"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        fixture_call(&f, 0, span_of(wrong[i]));
        check_error(&f, STEP_REJECTED, "invalid-input", "burn wants");
    }
    fixture_close(&f);
}

/* It burns in slices, and none is exact. */
static void burn_does_not_add_up_what_its_slices_take_too_much(void **state)
{
    struct step_spec spec = {.name = "burn"};
    struct fixture f;
    fixture_open(&f, &spec, 1, false);
    static const struct {
        struct span input;
        int64_t too_much, takes;
    } cases[] = {
        {SPAN("30"), 3 * NS_PER_US, 30 * NS_PER_MS + 3 * NS_PER_US},
        {SPAN("{\"us\":1001}"), 3 * NS_PER_US, 1003 * NS_PER_US}, /* nothing is left to burn */
        {SPAN("30"), 19 * NS_PER_MS, 600 * NS_PER_MS},            /* it computes slowly */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t before = f.work.processor;
        f.work.too_much = cases[i].too_much;
        fixture_call(&f, 0, cases[i].input);
        assert_int_equal(f.work.processor - before, cases[i].takes);
    }
    fixture_close(&f);
}

static void burn_sees_that_nobody_waits(void **state)
{
    struct step_spec spec = {.name = "burn"};
    struct fixture f;
    fixture_open(&f, &spec, 1, false);
    int64_t before = f.work.now;
    f.call.deadline = before + 3 * NS_PER_MS;
    fixture_call(&f, 0, SPAN("{\"ms\":1000}"));
    check_error(&f, STEP_FAILED, "cancelled", "nobody waits for the rest of the 1000 ms");
    assert_int_equal(f.work.now - before, 3 * NS_PER_MS);
    fixture_close(&f);
}

static void allocate_allocates(void **state)
{
    struct step_spec spec = {.name = "allocate"};
    struct fixture f;
    fixture_open(&f, &spec, 1, false);
    static const char *const cases[][2] = {
        {"{\"bytes\":100000}", "{\"bytes\":100000}"},
        {"{\"bytes\":\"1MiB\"}", "{\"bytes\":1048576}"},
        {"\"4kB\"", "{\"bytes\":4000}"},
        {"0", "{\"bytes\":0}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fixture_call(&f, 0, span_of(cases[i][0]));
        check_output(&f, cases[i][1]);
    }
    int64_t before = f.work.now;
    fixture_call(&f, 0, SPAN("{\"bytes\":1,\"keep_ms\":2.5}"));
    check_output(&f, "{\"bytes\":1}");
    assert_int_equal(f.work.now - before, 2500 * NS_PER_US);
    static const char *const wrong[] = {"-1", "{}", "\"many\"", "{\"bytes\":1.5}",
        "{\"bytes\":1,\"keep_ms\":-1}", "{\"bytes\":1,\"keep_ms\":1e9}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        fixture_call(&f, 0, span_of(wrong[i]));
        check_error(&f, STEP_REJECTED, "invalid-input", "allocate wants");
    }
    fixture_close(&f);
}

static bool allocate_some(void)
{
    struct step_spec spec = {.name = "allocate"};
    struct fixture f;
    if (fixture_try(&f, &spec, 1, false))
        return false;
    enum step_outcome outcome = fixture_call(&f, 0, SPAN("5000"));
    if (outcome != STEP_DONE)
        check_error(&f, STEP_OUT_OF_MEMORY, "out-of-memory", "no memory for ");
    fixture_close(&f);
    return outcome == STEP_DONE;
}

static void allocate_says_that_there_is_none(void **state)
{
    torture(allocate_some);
}

/* How a process ends that crashes so; 1000: it was still there after so many seconds. */
static int end_within(unsigned seconds, const char *input, const char *options)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        die_for_real();
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        alarm(seconds); /* time: what each says below */
        struct step_spec spec = {.name = "crash"};
        if (options)
            spec.options = span_of(options);
        struct fixture f;
        if (fixture_try(&f, &spec, 1, true))
            _exit(99);
        _exit(fixture_call(&f, 0, span_of(input)) == STEP_DONE ? 0 : 98);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        return 1000;
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int end_of(const char *input, const char *options)
{
    return end_within(30, input, options); /* time: only what hangs takes as long */
}

static bool never_ends(const char *input, const char *options)
{
    return end_within(1, input, options) == 1000; /* time: never is hard to wait for */
}

static void crash_crashes(void **state)
{
    assert_int_equal(end_of("{\"how\":\"none\"}", NULL), 0);
    assert_int_equal(end_of("{\"how\":\"abort\"}", NULL), -SIGABRT);
    assert_int_equal(end_of("\"segfault\"", NULL), -SIGSEGV);
    assert_int_equal(end_of("\"kill\"", NULL), -SIGKILL);
    assert_int_equal(end_of("\"exit\"", NULL), 3);
    assert_int_equal(end_of("{\"how\":\"exit\",\"status\":5}", NULL), 5);
    assert_true(never_ends("\"loop\"", NULL));
    assert_int_equal(end_of("{\"how\":\"eat\",\"bytes\":\"40MiB\"}", NULL), 0);
    assert_int_equal(end_of("\"dance\"", NULL), 98);
    assert_int_equal(end_of("\"none\"", "{\"init\":\"fail\"}"), 99);
    assert_int_equal(end_of("\"none\"", "{\"init\":\"dance\"}"), 99);
    assert_int_equal(end_of("\"none\"", "{\"init\":\"exit\"}"), 3);
    assert_true(never_ends("\"none\"", "{\"init\":\"hang\"}"));
}

/* What comes out of descriptor 3 of a process that crashes so: -1: it does not end. */
static ssize_t channel_of(const char *input, char *buffer, size_t size)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        die_for_real();
        alarm(30); /* time: only what hangs takes as long */
        dup2(ends[1], 9);
        dup2(9, 3);
        close_range(4, ~0U, 0);
        struct step_spec spec = {.name = "crash"};
        struct fixture f;
        _exit(fixture_try(&f, &spec, 1, true) || fixture_call(&f, 0, span_of(input)) != STEP_DONE);
    }
    close(ends[1]);
    ssize_t sum = 0;
    ssize_t n;
    while ((n = read(ends[0], buffer + sum, size - (size_t)sum)) > 0)
        sum += n;
    close(ends[0]);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return n < 0 ? -1 : sum;
}

static void crash_misuses_its_channel(void **state)
{
    char buffer[8192];
    assert_int_equal(channel_of("\"garbage\"", buffer, sizeof buffer), 4096);
    assert_int_equal((unsigned char)buffer[17], 0xa5);
    assert_int_equal(channel_of("\"close\"", buffer, sizeof buffer), 0);
    /* The end of the stream comes while the process is still there. */
    assert_int_equal(channel_of("\"close-and-hang\"", buffer, sizeof buffer), 0);
}

TEST_FILE(builtin)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_names_that_are_taken_are_theirs),
        cmocka_unit_test(burn_burns),
        cmocka_unit_test(burn_does_not_add_up_what_its_slices_take_too_much),
        cmocka_unit_test(burn_sees_that_nobody_waits),
        cmocka_unit_test(allocate_allocates),
        cmocka_unit_test(allocate_says_that_there_is_none),
        cmocka_unit_test(crash_crashes),
        cmocka_unit_test(crash_misuses_its_channel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
