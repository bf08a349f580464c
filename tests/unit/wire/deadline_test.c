/*
 * deadline_test.c: what a Weir-Deadline field may say, and what it means.
 */
#include "../check.h"

#include "wire/deadline.h"

#include <errno.h>

static void numbers_are_milliseconds(void **state)
{
    static const struct {
        const char *text;
        int64_t ns;
    } cases[] = {
        {"0", 0},
        {"1", 1000000},
        {"480", 480000000},
        {"000480", 480000000},
        {"9223372036854", INT64_C(9223372036854000000)},
        {"9223372036855", INT64_MAX},
        {"18446744073709551616", INT64_MAX},
        {"99999999999999999999999999999999999999999999", INT64_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t ns = -1;
        assert_int_equal(deadline_read(span_of(cases[i].text), &ns), 0);
        assert_int_equal(ns, cases[i].ns);
    }
}

static void anything_else_is_none(void **state)
{
    static const char *const bad[] = {"", "-1", "+1", "1.5", "1 ", " 1", "1ms", "0x10", "1e3",
        "ten", "1,2", "-", "\t", "1\xc2\xb2"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t ns = 7;
        assert_int_equal(deadline_read(span_of(bad[i]), &ns), -EINVAL);
        assert_int_equal(ns, 7);
    }
}

static void it_is_written_rounded_down(void **state)
{
    static const struct {
        int64_t ns;
        const char *text;
    } cases[] = {{0, "0"}, {-5000000, "0"}, {INT64_MIN, "0"}, {999999, "0"}, {1000000, "1"},
        {1999999, "1"}, {480000000, "480"}, {INT64_MAX, "9223372036854"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[DEADLINE_TEXT_MAX];
        int64_t back;
        struct span text = deadline_write(out, cases[i].ns);
        assert_true(span_equal(text, span_of(cases[i].text)));
        assert_int_equal(deadline_read(text, &back), 0);
        assert_true(back <= (cases[i].ns > 0 ? cases[i].ns : 0));
    }
}

TEST_FILE(deadline)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_milliseconds),
        cmocka_unit_test(anything_else_is_none),
        cmocka_unit_test(it_is_written_rounded_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
