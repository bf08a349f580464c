/*
 * scalar_test.c: durations, sizes, and the nearest word.
 */
#include "../check.h"

#include "conf/internal.h"
#include "conf/type.h"

#include <errno.h>

static void durations(void **state)
{
    static const struct {
        const char *text;
        int64_t ns;
    } good[] = {
        {"0", 0},
        {"0s", 0},
        {"0.0", 0},
        {"1ns", 1},
        {"250ms", 250000000},
        {"1.5s", 1500000000},
        {"2m", 120000000000},
        {"1h", 3600000000000},
        {"1.5us", 1500},
        {"007ms", 7000000},
        {"0.000000001s", 1},
        {"9223372036854775807ns", INT64_MAX},
        {"123456789012345678ns", 123456789012345678},
        {"1.000000000000s", 1000000000},
    };
    static const char *const bad[] = {"", "5", "s", "-1s", "+1s", "1 s", " 1s", "1s ", "1S", "1.s",
        ".5s", "1.5.5s", "1e3s", "0.5ns", "1.0000000001s", "1d", "1sec", "9999999999h", "1s2m",
        "9223372036854775808ns", "10000000000000000000ns", "0x1s", "1,5s", "inf", "nan"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int64_t ns = -1;
        int rc = conf_duration(span_of(good[i].text), &ns, NULL);
        assert_int_equal(rc, 0);
        assert_int_equal(ns, good[i].ns);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t ns;
        struct error e;
        assert_int_equal(conf_duration(span_of(bad[i]), &ns, &e), -EINVAL);
        assert_non_null(strstr(e.sentence, "expected a duration such as 250ms, 1.5s or 2m"));
    }
}

static void sizes(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
        {"0", 0},
        {"512", 512},
        {"512B", 512},
        {"1kB", 1000},
        {"1KiB", 1024},
        {"1.5KiB", 1536},
        {"64MiB", 67108864},
        {"10MB", 10000000},
        {"2GB", 2000000000},
        {"3GiB", 3221225472},
        {"0.5kB", 500},
    };
    static const char *const bad[] = {"", "B", "KiB", "-1", "1KB", "1K", "1M", "1 MiB", "0.5",
        "0.5B", "0.3KiB", "1mib", "1e3", "99999999999GiB", "lots", "1TiB"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        uint64_t bytes = 1;
        assert_int_equal(conf_size(span_of(good[i].text), &bytes, NULL), 0);
        assert_int_equal(bytes, good[i].bytes);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint64_t bytes;
        struct error e;
        assert_int_equal(conf_size(span_of(bad[i]), &bytes, &e), -EINVAL);
        assert_non_null(strstr(e.sentence, "expected a size such as 64KiB or 1MiB"));
    }
}

static void amounts_are_printed_short(void **state)
{
    char out[CONF_AMOUNT_MAX];
    assert_string_equal(conf_duration_text(0, out), "0");
    assert_string_equal(conf_duration_text(75000000000, out), "75s");
    assert_string_equal(conf_duration_text(7200000000000, out), "2h");
    assert_string_equal(conf_duration_text(1500000000, out), "1500ms");
    assert_string_equal(conf_duration_text(1, out), "1ns");
    assert_string_equal(conf_size_text(0, out), "0");
    assert_string_equal(conf_size_text(1, out), "1");
    assert_string_equal(conf_size_text(1024, out), "1KiB");
    assert_string_equal(conf_size_text(5000, out), "5kB");
    assert_string_equal(conf_size_text(3221225472, out), "3GiB");
    assert_string_equal(conf_size_text(1000000000, out), "1GB");
}

static void the_nearest_word(void **state)
{
    static const char *const words[] = {"listen", "limits", "timeouts", "log", "client", "a"};
    static const struct {
        const char *found;
        const char *near;
    } cases[] = {
        {"lisen", "listen"},
        {"lsiten", "listen"},
        {"listener", "listen"},
        {"limit", "limits"},
        {"timeout", "timeouts"},
        {"logs", "log"},
        {"Log", "log"},
        {"clients", "client"},
        {"routes", NULL},
        {"x", NULL},
        {"", NULL},
        {"completely-else", NULL},
        {"lg", "log"},
        {"0123456789012345678901234567890123456789012345678901234567890", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *near = conf_nearest(span_of(cases[i].found), words, 6);
        if (cases[i].near) {
            assert_non_null(near);
            assert_string_equal(near, cases[i].near);
        } else {
            assert_null(near);
        }
    }
}

TEST_FILE(scalar)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations),
        cmocka_unit_test(sizes),
        cmocka_unit_test(amounts_are_printed_short),
        cmocka_unit_test(the_nearest_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
