/*
 * output_test.c: whatever a step calls in whatever order, its output is one JSON value, or a
 * mistake that is named; it goes where it is to be read, and no further.
 */
#include "fixture.h"

#include "base/limits.h"
#include "data/json.h"

static struct step_spec writer(void)
{
    return (struct step_spec){.name = "write", .plugin = plugin_path("bad_output")};
}

static void all_kinds_of_values_are_written(void **state)
{
    static const char *const cases[][2] = {
        {"[\"null\"]", "null"},
        {"[\"true\"]", "true"},
        {"[-7]", "-7"},
        {"[\"[\",\"end\"]", "[]"},
        {"[\"{\",\"end\"]", "{}"},
        {"[\"[\",1,2,\"[\",\"end\",\"{\",\"end\",3,\"end\"]", "[1,2,[],{},3]"},
        {"[\"{\",{\"key\":\"a\"},1,{\"key\":\"b\"},\"[\",\"null\",\"end\",{\"key\":\"c\"},\"x\","
         "\"end\"]",
            "{\"a\":1,\"b\":[null],\"c\":\"x\"}"},
        {"[\"{\",{\"key\":\"q\\\"\\n\\u0000\"},{\"value\":{\"a\":[1,2.50]}},\"end\"]",
            "{\"q\\\"\\n\\u0000\":{\"a\":[1,2.50]}}"},
        {"[\"caf\\u00e9 \\u0001\\t\\r\\\\\"]", "\"caf\xc3\xa9 \\u0001\\t\\r\\\\\""},
        {"[\"\"]", "\"\""},
    };
    struct step_spec spec = writer();
    struct fixture f;
    fixture_open(&f, &spec, 1, false);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fixture_call(&f, 0, span_of(cases[i][0]));
        check_output(&f, cases[i][1]);
    }
    fixture_close(&f);
}

/* Text is looked at by the eight bytes where that goes. */
static void what_is_special_in_a_text_is_seen_wherever_it_stands(void **state)
{
    static const char *const cases[] = {"\\\"", "\\\\", "\\n", "\\u001f", " ", "!", "#", "[", "]",
        "\x7f", "\xc3\xa9", "\xf0\x9f\x98\x80"};
    struct step_spec spec = {.name = "reverse", .plugin = plugin_path("good")};
    struct fixture f;
    char once[64];
    char twice[64];
    fixture_open(&f, &spec, 1, false);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int before = 0; before < 20; before++) {
            /* Twice reversed it is what it was. A reversed character of several bytes is none. */
            bool ascii = (unsigned char)cases[i][0] < 0x80;
            snprintf(once, sizeof once, "\"%.*s%s%.*s\"", before, "abcdefghijklmnopqrst", cases[i],
                ascii ? 20 - before : 0, "abcdefghijklmnopqrst");
            fixture_call(&f, 0, span_of(once));
            if (!ascii) {
                check_error(&f, STEP_FAILED, "invalid-output", "not UTF-8");
                continue;
            }
            snprintf(twice, sizeof twice, "%.*s", (int)f.out.output.len, f.out.output.base);
            fixture_call(&f, 0, span_of(twice));
            check_output(&f, once);
        }
    fixture_close(&f);
}

static void mistakes_are_named(void **state)
{
    static const char *const cases[][2] = {
        {"[]", "after 0 bytes of output it wrote no output"},
        {"[1,2]", "after 1 bytes of output it wrote a second value"},
        {"[\"[\",\"end\",\"[\"]", "wrote a second value"},
        {"[\"[\"]", "left an array or an object open"},
        {"[\"end\"]", "called weir_out_end where nothing was open"},
        {"[1,\"end\"]", "called weir_out_end where nothing was open"},
        {"[{\"key\":\"a\"}]", "called weir_out_key outside an object"},
        {"[\"[\",{\"key\":\"a\"}]", "called weir_out_key outside an object"},
        {"[\"{\",1]", "without weir_out_key before it"},
        {"[\"{\",\"{\"]", "without weir_out_key before it"},
        {"[\"{\",{\"value\":[]}]", "without weir_out_key before it"},
        {"[\"{\",{\"key\":\"a\"},{\"key\":\"b\"}]", "wrote a key without a value"},
        {"[\"{\",{\"key\":\"a\"},\"end\"]", "wrote a key without a value"},
        {"[\"nan\"]", "wrote a number that JSON has not"},
        {"[\"NULL\"]", "gave NULL for a text"},
        {"[\"[\",\"latin1\",\"end\"]", "after 2 bytes of output it wrote a text that is not UTF-8"},
        /* The first one counts, and nothing comes after. */
        {"[\"nan\",1,\"end\",\"latin1\"]", "wrote a number that JSON has not"},
    };
    struct step_spec spec = writer();
    struct fixture f;
    fixture_open(&f, &spec, 1, false);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fixture_call(&f, 0, span_of(cases[i][0]));
        check_error(&f, STEP_FAILED, "invalid-output", cases[i][1]);
    }
    fixture_close(&f);
}

static size_t put(char *text, size_t at, const char *what)
{
    memcpy(text + at, what, strlen(what));
    return at + strlen(what);
}

/* `opens` arrays, and in them a value of `levels` more. */
static struct span nested(char *text, size_t opens, size_t levels)
{
    size_t n = put(text, 0, "[");
    for (size_t i = 0; i < opens; i++)
        n = put(text, n, "\"[\",");
    n = put(text, n, "{\"value\":");
    memset(text + n, '[', levels);
    memset(text + n + levels, ']', levels);
    n = put(text, n + 2 * levels, "}");
    for (size_t i = 0; i < opens; i++)
        n = put(text, n, ",\"end\"");
    return (struct span){text, put(text, n, "]")};
}

static void what_is_too_deep_to_be_read_is_not_written(void **state)
{
    char text[4096];
    struct json *j;
    struct step_spec spec = writer();
    struct fixture f;
    fixture_open(&f, &spec, 1, false);
    for (size_t levels = 0; levels < 100; levels += 33) {
        fixture_call(&f, 0, nested(text, JSON_DEPTH_MAX - levels, levels ? levels : 1));
        if (levels == 0) {
            check_error(&f, STEP_FAILED, "invalid-output", "deeper in each other than 128");
            continue;
        }
        assert_int_equal(f.call.outcome, STEP_DONE);
        struct span out = {f.out.output.base, f.out.output.len};
        assert_int_equal(json_parse(&j, out, JSON_TEXT_MAX, NULL), 0);
        json_free(j);
        fixture_call(&f, 0, nested(text, JSON_DEPTH_MAX - levels, levels + 1));
        check_error(&f, STEP_FAILED, "invalid-output", "deeper in each other than 128");
        fixture_call(&f, 0, nested(text, JSON_DEPTH_MAX + 1 - levels, levels));
        check_error(&f, STEP_FAILED, "invalid-output", "deeper in each other than 128");
    }
    fixture_close(&f);
}

static void the_output_stays_in_its_bounds(void **state)
{
    struct step_spec spec = {.name = "echo"};
    struct fixture f;
    fixture_open(&f, &spec, 1, false);
    /* Exactly as much as there is, and one byte more; with and without a way to grow. */
    char small[8];
    struct step_output fixed = {.base = small, .room = sizeof small};
    f.call =
        (struct step_call){.deadline = DEADLINE_NEVER, .output = &fixed, .input = SPAN("12345678")};
    step_worker_call(f.worker, &f.call);
    assert_int_equal(f.call.outcome, STEP_DONE);
    assert_memory_equal(small, "12345678", 8);
    f.call.input = SPAN("123456789");
    step_worker_call(f.worker, &f.call);
    assert_int_equal(f.call.outcome, STEP_FAILED);
    assert_string_equal(f.call.error.type, "output-too-large");
    assert_int_equal(fixed.len, 0);

    f.out.max = 10;
    fixture_call(&f, 0, SPAN("\"abcdefgh\""));
    check_output(&f, "\"abcdefgh\"");
    fixture_call(&f, 0, SPAN("\"abcdefghi\""));
    check_error(&f, STEP_FAILED, "output-too-large", "is longer than may be passed on");
    fixture_close(&f);
}

static bool write_much(void)
{
    struct step_spec spec = writer();
    struct fixture f;
    if (fixture_try(&f, &spec, 1, false))
        return false;
    enum step_outcome outcome = fixture_call(
        &f, 0, SPAN("[\"[\",\"abcdefghijklmnopqrstuvwxyz\",{\"value\":[1,2,[3]]},1,2,3,\"end\"]"));
    if (outcome == STEP_DONE)
        check_output(&f, "[\"abcdefghijklmnopqrstuvwxyz\",[1,2,[3]],1,2,3]");
    else
        check_error(&f, STEP_OUT_OF_MEMORY, "out-of-memory", "step 'write': no memory for its ");
    fixture_close(&f);
    return outcome == STEP_DONE;
}

static void the_loss_of_memory_is_survived(void **state)
{
    torture(write_much);
}

TEST_FILE(output)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_kinds_of_values_are_written),
        cmocka_unit_test(what_is_special_in_a_text_is_seen_wherever_it_stands),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(what_is_too_deep_to_be_read_is_not_written),
        cmocka_unit_test(the_output_stays_in_its_bounds),
        cmocka_unit_test(the_loss_of_memory_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
