/*
 * task_test.c: what a step says becomes the call's outcome; what it asks is answered; what it costs
 * is told.
 */
#include "fixture.h"

#include "base/utf8.h"

static struct step_spec good(const char *name)
{
    return (struct step_spec){.name = name, .plugin = plugin_path("good")};
}

static void a_step_says_why_it_does_not(void **state)
{
    struct step_spec specs[] = {good("odd"), good("greet")};
    struct fixture f;
    fixture_open(&f, specs, 2, false);
    fixture_call(&f, 1, SPAN("{}"));
    check_error(&f, STEP_REJECTED, "no-name", "the input has no text 'name'");
    assert_int_equal(f.call.error.code, -EINVAL);
    fixture_call(&f, 0, SPAN("1"));
    check_error(&f, STEP_FAILED, "step-failed",
        "step 'odd' failed and did not say why: its 'run' returned 7 without weir_fail");
    fixture_call(&f, 0, SPAN("\"code\""));
    check_error(&f, STEP_FAILED, "step-failed", "a sentence of two lines, \xc3\xa9 and ?");
    fixture_call(&f, 0, SPAN("\"long-code\""));
    check_error(&f, STEP_FAILED, "step-failed", "too long");
    fixture_call(&f, 0, SPAN("\"longest-code\""));
    check_error(&f, STEP_FAILED, "a-code-of-exactly-thirty-one-ch", "just right");
    fixture_call(&f, 0, SPAN("\"long\""));
    check_error(&f, STEP_FAILED, "long", "a\xc3\xa9");
    assert_int_equal(strlen(f.call.error.sentence), ERROR_SENTENCE_MAX - 1);
    assert_true(utf8_valid(f.call.error.sentence, strlen(f.call.error.sentence)));
    /* It returned 0, and so it has to have written something. */
    fixture_call(&f, 0, SPAN("\"fails-and-returns-0\""));
    check_error(&f, STEP_FAILED, "invalid-output", "wrote no output");
    fixture_close(&f);
}

static void a_want_of_memory_is_told_apart(void **state)
{
    struct step_spec spec = good("odd");
    struct fixture f;
    fixture_open(&f, &spec, 1, false);
    fixture_call(&f, 0, SPAN("\"no-memory\""));
    check_error(&f, STEP_OUT_OF_MEMORY, "out-of-memory", "step 'odd': no memory for its work");
    fixture_call(&f, 0, SPAN("\"says-out-of-memory\""));
    check_error(&f, STEP_OUT_OF_MEMORY, "out-of-memory", "the library has none");
    fixture_call(&f, 0, SPAN("\"copes\""));
    check_output(&f, "true");
    fixture_close(&f);
}

static bool is_true(void *flag)
{
    return *(bool *)flag;
}

static void a_deadline_and_a_cancellation_are_seen(void **state)
{
    struct step_spec spec = good("odd");
    struct fixture f;
    bool cancelled = false;
    fixture_open(&f, &spec, 1, false);
    fixture_call(&f, 0, SPAN("\"cancelled\""));
    check_output(&f, "false");
    fixture_call(&f, 0, SPAN("\"time-left\""));
    check_output(&f, "9223372036854775807");
    f.call.deadline = f.work.now + 500;
    f.call.cancelled = is_true;
    f.call.cancelled_ctx = &cancelled;
    fixture_call(&f, 0, SPAN("\"time-left\""));
    check_output(&f, "500");
    fixture_call(&f, 0, SPAN("\"cancelled\""));
    check_output(&f, "false");
    cancelled = true;
    fixture_call(&f, 0, SPAN("\"cancelled\""));
    check_output(&f, "true");
    cancelled = false;
    f.work.now += 500;
    fixture_call(&f, 0, SPAN("\"cancelled\""));
    check_output(&f, "true");
    f.work.now += 500;
    fixture_call(&f, 0, SPAN("\"time-left\""));
    check_output(&f, "0");
    fixture_close(&f);
}

static void an_input_is_read_in_place_or_not_at_all(void **state)
{
    struct step_spec specs[] = {good("sum"), good("count")};
    struct fixture f;
    fixture_open(&f, specs, 2, false);
    char text[] = "[1,2,[\"abc\"],\"d\\n\",4]....";
    f.call.input_in_place = text;
    fixture_call(&f, 0, (struct span){text, sizeof text - 5});
    check_output(&f, "7");
    f.call.input_in_place = NULL;
    /* What nobody asks for is not read. */
    fixture_call(&f, 1, SPAN("[1,"));
    check_output(&f, "0");
    fixture_call(&f, 0, SPAN("[1,"));
    check_error(&f, STEP_REJECTED, "invalid-input", "its input is no JSON: line 1, column ");
    fixture_call(&f, 0, SPAN(""));
    check_error(&f, STEP_REJECTED, "invalid-input", "the text is empty");
    fixture_close(&f);
}

static void time_is_told_with_few_readings(void **state)
{
    struct step_spec specs[] = {{.name = "burn"}, {.name = "echo"}};
    struct fixture f;
    fixture_open(&f, specs, 2, false);
    unsigned readings = f.work.readings;

    /* Short ones, one after another, cost none. */
    for (int i = 0; i < 4; i++) {
        fixture_call(&f, 0, SPAN("{\"us\": 4}"));
        assert_int_equal(f.call.wall_ns, 4000);
        assert_int_equal(f.call.processor_ns, 4000);
    }
    assert_int_equal(f.work.readings, readings);

    /* After a pause, two; and what others computed meanwhile is not the step's. (Burns of more than
     * a millisecond read that clock, too.) */
    f.work.now += 3 * NS_PER_MS;
    f.work.processor += NS_PER_MS;
    fixture_call(&f, 0, SPAN("{\"ms\": 1}"));
    assert_int_equal(f.call.wall_ns, NS_PER_MS);
    assert_int_equal(f.call.processor_ns, NS_PER_MS);
    assert_int_equal(f.work.readings, readings + 2);

    /* The next at once: one. */
    fixture_call(&f, 0, SPAN("0.5"));
    assert_int_equal(f.call.processor_ns, NS_PER_MS / 2);
    assert_int_equal(f.work.readings, readings + 3);

    /* Time that passes without computing is wall time only. */
    f.work.now_passes = NS_PER_MS;
    fixture_call(&f, 1, SPAN("7"));
    assert_int_equal(f.call.wall_ns, NS_PER_MS);
    assert_int_equal(f.call.processor_ns, 0);
    fixture_close(&f);
}

/* How often a call asks the heap. */
static uint64_t allocations(struct fixture *f, struct span input)
{
    mem_fail_at(UINT64_MAX, false);
    assert_int_equal(fixture_call(f, 0, input), STEP_DONE);
    uint64_t count = mem_count();
    mem_fail_at(0, false);
    return count;
}

static void a_task_s_memory_ends_with_it(void **state)
{
    struct step_spec spec = good("reverse");
    struct fixture f;
    char text[400];
    memset(text, 'x', sizeof text);
    text[0] = text[sizeof text - 1] = '"';
    struct span input = {text, sizeof text};
    fixture_open(&f, &spec, 1, false);
    allocations(&f, input);
    /* The next finds the room that the first one left. */
    for (int i = 0; i < 50; i++)
        assert_int_equal(allocations(&f, input), 3); /* all for its input */
    fixture_close(&f);
}

TEST_FILE(task)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_says_why_it_does_not),
        cmocka_unit_test(a_want_of_memory_is_told_apart),
        cmocka_unit_test(a_deadline_and_a_cancellation_are_seen),
        cmocka_unit_test(an_input_is_read_in_place_or_not_at_all),
        cmocka_unit_test(time_is_told_with_few_readings),
        cmocka_unit_test(a_task_s_memory_ends_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
