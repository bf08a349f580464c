/*
 * text_test.c: errors, the log, UTF-8, bugs: what people read.
 */
#include "../check.h"

#include "base/bug.h"
#include "base/error.h"
#include "base/log.h"
#include "base/time.h"
#include "base/utf8.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- error ---- */

static void an_error_carries_a_sentence(void **state)
{
    struct error e;
    assert_int_equal(error_set(&e, -EINVAL, "invalid", "line %d: %s", 7, "no"), -EINVAL);
    assert_int_equal(e.code, -EINVAL);
    assert_string_equal(e.type, "invalid");
    assert_string_equal(e.sentence, "line 7: no");
    error_prefix(&e, "%s", "weir.yaml");
    assert_string_equal(e.sentence, "weir.yaml: line 7: no");
    assert_int_equal(error_set(NULL, -EIO, "x", "nobody reads this"), -EIO);
    error_clear(&e);
    assert_int_equal(e.code, 0);
    assert_string_equal(e.sentence, "");
}

static void a_long_sentence_is_cut_at_a_character(void **state)
{
    struct error e;
    char text[1000];
    for (int shift = 0; shift < 4; shift++) {
        memset(text, 'x', sizeof text);
        for (size_t i = (size_t)shift; i + 3 < sizeof text; i += 3)
            memcpy(text + i, "\xe2\x82\xac", 3);
        text[sizeof text - 1] = '\0';
        error_set(&e, -EINVAL, "t", "%s", text);
        size_t len = strlen(e.sentence);
        assert_in_range(len, ERROR_SENTENCE_MAX - 8, ERROR_SENTENCE_MAX - 1);
        assert_true(utf8_valid(e.sentence, len));
        error_prefix(&e, "prefix");
        assert_true(utf8_valid(e.sentence, strlen(e.sentence)));
        assert_int_equal(strncmp(e.sentence, "prefix: ", 8), 0);
    }
}

static void every_code_has_a_text(void **state)
{
    assert_string_equal(error_text(-ECONNREFUSED), "connection refused");
    assert_string_equal(error_text(-EADDRINUSE), "address already in use");
    assert_non_null(strstr(error_text_task(-EAGAIN), "ulimit -u"));
    assert_string_equal(error_text_task(-ENOMEM), error_text(-ENOMEM));
    for (int code = 1; code < 200; code++) {
        assert_non_null(error_text(-code));
        assert_true(strlen(error_text(-code)) > 2);
    }
}

/* ---- log ---- */

static char logged[LOG_LINE_MAX + 1];

static void keep(void *ctx, const char *line, size_t len)
{
    assert_true(len <= LOG_LINE_MAX);
    memcpy(logged, line, len);
    logged[len] = '\0';
}

static int64_t wall_ns;

static int64_t fixed_time(void *ctx)
{
    return wall_ns;
}

static struct log open_log(enum log_level level)
{
    wall_ns = INT64_C(1795232462) * NS_PER_S + 123456789;
    return (struct log){.level = level, .sink = keep, .wall_ns = fixed_time};
}

static void a_line_has_time_level_and_text(void **state)
{
    struct log log = open_log(LOG_INFO);
    log_warn(&log, "loop %d is slow", 3);
    assert_string_equal(logged, "2026-11-21T03:41:02.123456Z warn  loop 3 is slow\n");
    log_debug(&log, "not wanted");
    assert_non_null(strstr(logged, "loop 3"));
    log_info(NULL, "nobody listens");
    assert_false(log_wants(NULL, LOG_ERROR));
}

static void dates_are_those_of_the_calendar(void **state)
{
    static const struct {
        int64_t second;
        const char *text;
    } moments[] = {
        {0, "1970-01-01T00:00:00"},
        {-1, "1969-12-31T23:59:59"},
        {951782400, "2000-02-29T00:00:00"},
        {951868799, "2000-02-29T23:59:59"},
        {951868800, "2000-03-01T00:00:00"},
        {4107542400, "2100-03-01T00:00:00"},
        {1735689599, "2024-12-31T23:59:59"},
        {-2203977600, "1900-02-28T00:00:00"},
    };
    struct log log = open_log(LOG_INFO);
    for (size_t i = 0; i < sizeof moments / sizeof *moments; i++) {
        wall_ns = moments[i].second * NS_PER_S;
        log_info(&log, "x");
        assert_memory_equal(logged, moments[i].text, strlen(moments[i].text));
    }
}

static void an_event_is_one_line_whatever_is_in_it(void **state)
{
    struct log log = open_log(LOG_INFO);
    log_info(&log, "%s",
        "a\nb\x1b[2Jc\rd\x7f"
        "e\xc2\x9b"
        "2J\xff");
    const char *text = strstr(logged, "a");
    assert_int_equal(strcspn(text, "\n"), strlen(text) - 1); /* the only newline ends it */
    for (const char *c = text; *c != '\n'; c++)
        assert_in_range((unsigned char)*c, 0x20, 0x7e);
}

static void a_long_line_is_cut_and_says_so(void **state)
{
    struct log log = open_log(LOG_INFO);
    static char text[2 * LOG_LINE_MAX];
    memset(text, 'x', sizeof text - 1);
    log_info(&log, "%s", text);
    size_t len = strlen(logged);
    assert_in_range(len, LOG_LINE_MAX - 10, LOG_LINE_MAX);
    assert_string_equal(logged + len - 4, "...\n");
}

/* ---- utf8 ---- */

static void only_well_formed_characters_count(void **state)
{
    static const struct {
        const char *text;
        size_t len;
        size_t expected;
    } cases[] = {
        {"a", 1, 1},
        {"\0", 1, 1},
        {"", 0, 0},
        {"\xc3\xa9", 2, 2},
        {"\xe2\x82\xac", 3, 3},
        {"\xf0\x9f\x98\x80", 4, 4},
        {"\xf4\x8f\xbf\xbf", 4, 4},
        {"\xe2\x82", 2, 0},         /* cut short */
        {"\x80", 1, 0},             /* a middle without a beginning */
        {"\xc0\xaf", 2, 0},         /* '/', longer than needed */
        {"\xe0\x80\xaf", 3, 0},     /* longer still */
        {"\xed\xa0\x80", 3, 0},     /* a surrogate */
        {"\xf4\x90\x80\x80", 4, 0}, /* above U+10FFFF */
        {"\xff", 1, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(utf8_length(cases[i].text, cases[i].len), cases[i].expected);
    assert_int_equal(utf8_cut("a\xe2\x82\xac", 4, 3), 1);
    assert_int_equal(utf8_cut("a\xe2\x82\xac", 4, 4), 4);
    assert_int_equal(utf8_cut("abc", 3, 100), 3);
}

/* ---- bug ---- */

static void say_more(void *arg)
{
    (void)!write(STDERR_FILENO, arg, strlen(arg));
}

static void a_bug_is_a_sentence_and_the_end(void **state)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        die_for_real();
        static char more[] = "and more";
        dup2(ends[1], STDERR_FILENO);
        bug_hook(say_more, more);
        check(1 + 1 == 2, "arithmetic is broken");
        check(1 + 1 == 3, "one and one is not %d", 3);
        _exit(0);
    }
    close(ends[1]);
    char said[512] = "";
    size_t len = 0;
    for (ssize_t n; (n = read(ends[0], said + len, sizeof said - 1 - len)) > 0;)
        len += (size_t)n;
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_non_null(strstr(said, "bug: "));
    assert_non_null(strstr(said, "text_test.c:"));
    assert_non_null(strstr(said, "one and one is not 3"));
    assert_non_null(strstr(said, "and more"));
    assert_null(strstr(said, "arithmetic"));
}

static void fields_are_members(void **state)
{
    struct log log = open_log(LOG_INFO);
    char longest[3000];
    const struct log_field *fields = LOG_FIELDS(LOG_TEXT("pool", "a \"b\"\n"),
        LOG_NUMBER("pid", -5), LOG_TEXT("id", ""), LOG_NUMBER("n", 0));
    log_with(&log, LOG_WARN, fields, "worker %d ended", 7);
    assert_string_equal(logged, "2026-11-21T03:41:02.123456Z warn  worker 7 ended\n");
    log.json = true;
    log_with(&log, LOG_WARN, fields, "worker %d ended", 7);
    assert_string_equal(logged,
        "{\"time\":\"2026-11-21T03:41:02.123456Z\",\"level\":\"warn\",\"pool\":\"a "
        "\\\"b\\\"\\n\",\"pid\":-5,\"n\":0,\"message\":\"worker 7 ended\"}\n");
    /* One that is too long is left out; a message that is too long is cut. */
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    log_with(&log, LOG_WARN, LOG_FIELDS(LOG_TEXT("step", longest), LOG_NUMBER("pid", 1)), "%s%s",
        longest, longest);
    assert_non_null(strstr(logged, "\"level\":\"warn\",\"pid\":1,\"message\":\"xxx"));
    assert_string_equal(logged + strlen(logged) - 6, "...\"}\n");
}

TEST_FILE(text)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_carries_a_sentence),
        cmocka_unit_test(a_long_sentence_is_cut_at_a_character),
        cmocka_unit_test(every_code_has_a_text),
        cmocka_unit_test(a_line_has_time_level_and_text),
        cmocka_unit_test(dates_are_those_of_the_calendar),
        cmocka_unit_test(an_event_is_one_line_whatever_is_in_it),
        cmocka_unit_test(a_long_line_is_cut_and_says_so),
        cmocka_unit_test(fields_are_members),
        cmocka_unit_test(only_well_formed_characters_count),
        cmocka_unit_test(a_bug_is_a_sentence_and_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
