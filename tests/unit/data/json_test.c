/*
 * json_test.c: JSON read strictly, looked into, and written so that it can be read.
 */
#include "../check.h"

#include "base/limits.h"
#include "data/json.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct json *parse(const char *text)
{
    struct json *j;
    struct error e;
    int rc = json_parse(&j, span_of(text), JSON_TEXT_MAX, &e);
    if (rc)
        fail_msg("%s: %s", text, e.sentence);
    return j;
}

static void values_are_found(void **state)
{
    struct json *j =
        parse("{\"a\":[1,-2,2.5,1e3,true,null,\"x\\u0000y\"],\"b\":{\"c\":\"d\"},\"a\":7}");
    const struct json_value *root = json_root(j);
    assert_int_equal(json_type(root), JSON_OBJECT);
    assert_int_equal(json_count(root), 3);
    const struct json_value *a = json_member(root, "a"); /* the first of the two */
    assert_int_equal(json_count(a), 7);
    struct json_iter it = json_iter(a);
    int64_t n;
    assert_true(json_integer(json_next(&it, NULL), &n) && n == 1);
    assert_true(json_integer(json_next(&it, NULL), &n) && n == -2);
    const struct json_value *half = json_next(&it, NULL);
    assert_false(json_integer(half, &n));
    assert_true(json_number(half, 0) == 2.5);
    assert_true(json_integer(json_next(&it, NULL), &n) && n == 1000);
    assert_true(json_bool(json_next(&it, NULL), false));
    assert_int_equal(json_type(json_next(&it, NULL)), JSON_NULL);
    assert_true(span_equal(json_string(json_next(&it, NULL)), SPAN("x\0y")));
    assert_null(json_next(&it, NULL));
    assert_null(json_next(&it, NULL));
    assert_true(span_equal(json_string(json_member(json_member(root, "b"), "c")), SPAN("d")));
    json_free(j);
}

static void what_is_not_there_is_null(void **state)
{
    struct json *j = parse("[]");
    const struct json_value *none = json_member(json_root(j), "x");
    int64_t n;
    assert_null(none);
    assert_int_equal(json_type(none), JSON_NULL);
    assert_int_equal(json_count(none), 0);
    struct bytes out;
    bytes_init(&out, 4);
    assert_int_equal(json_write(&out, none), 0);
    assert_true(span_equal(bytes_span(&out), SPAN("null")));
    bytes_release(&out);
    assert_true(json_number(none, 4) == 4);
    assert_true(json_bool(none, true));
    assert_false(json_integer(none, &n));
    assert_int_equal(json_string(none).len, 0);
    struct json_iter it = json_iter(none);
    assert_null(json_next(&it, NULL));
    json_free(j);
    json_free(NULL);
}

static void integers_are_exact_or_none(void **state)
{
    static const struct {
        const char *text;
        bool is;
        int64_t value;
    } cases[] = {
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"1.0", true, 1},
        {"1e18", false, 0},
        {"9007199254740993.0", false, 0},
        {"9007199254740991.0", true, INT64_C(9007199254740991)},
        {"0.1", false, 0},
        {"-0", true, 0},
        {"\"1\"", false, 0},
        {"18446744073709551615", false, 0},
        {"18446744073709551616", false, 0},
        {"1e400", false, 0},
        {"-1E2", true, -100},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json *j = parse(cases[i].text);
        int64_t n = 0;
        assert_int_equal(json_integer(json_root(j), &n), cases[i].is);
        assert_int_equal(n, cases[i].value);
        json_free(j);
    }
}

static void numbers_keep_every_digit(void **state)
{
    static const char *const texts[] = {"18446744073709551616", "-18446744073709551617",
        "123456789012345678901234567890", "0.1000000000000000055511151231257827", "1.50", "1E5",
        "1e400", "-1e-400", "-0", "-0.0", "0"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char array[128];
        struct bytes out;
        bytes_init(&out, 4096);
        struct json *alone = parse(texts[i]);
        snprintf(array, sizeof array, "[%s,{\"a\":%s}]", texts[i], texts[i]);
        struct json *within = parse(array);
        assert_int_equal(json_type(json_root(alone)), JSON_NUMBER);
        assert_int_equal(json_write(&out, json_root(alone)), 0);
        assert_true(span_equal(bytes_span(&out), span_of(texts[i])));
        bytes_reset(&out);
        assert_int_equal(json_write(&out, json_root(within)), 0);
        assert_true(span_equal(bytes_span(&out), span_of(array)));
        bytes_release(&out);
        json_free(alone);
        json_free(within);
    }
}

static void numbers_are_read_when_they_are_asked_for(void **state)
{
    struct json *j = parse("[1.5,18446744073709551616,1e400,-1e400,1e-400,\"2\"]");
    struct json_iter it = json_iter(json_root(j));
    assert_true(json_number(json_next(&it, NULL), 0) == 1.5);
    assert_true(json_number(json_next(&it, NULL), 0) == 18446744073709551616.0);
    assert_true(json_number(json_next(&it, NULL), 7) == 7); /* too large for a double */
    assert_true(json_number(json_next(&it, NULL), 7) == 7);
    assert_true(json_number(json_next(&it, NULL), 7) == 0);
    assert_true(json_number(json_next(&it, NULL), 7) == 7);
    json_free(j);
}

static const uint64_t seed[2] = {11, 22};

static void assert_twin(const char *text, const char *twin)
{
    struct json *j = parse(text);
    struct span name = {0};
    assert_int_equal(json_twins(j, seed, &name), twin != NULL);
    if (twin && !span_equal(name, span_of(twin)))
        fail_msg("%s: %.*s", text, SPAN_ARG(name));
    json_free(j);
}

static void members_of_one_name_are_found(void **state)
{
    assert_twin("{\"a\":1,\"b\":{\"a\":2,\"c\":[{\"a\":1},{\"a\":1}]},\"c\":\"a\"}", NULL);
    assert_twin("[1,\"a\",\"a\",null]", NULL);
    assert_twin("7", NULL);
    assert_twin("{}", NULL);
    assert_twin("{\"a\":1,\"b\":2,\"a\":1}", "a");
    assert_twin("{\"a\":{\"x\":1},\"\\u0061\":2}", "a"); /* what it means counts */
    assert_twin("{\"\":1,\"\":2}", "");
    assert_twin("{\"a\":1,\"A\":1,\"aa\":1}", NULL);
    assert_twin("[[{\"q\":[{\"deep\":1,\"deep\":2}]}]]", "deep");
}

/* `count` members, and behind them one more that is the `twin`th again. It ends with a zero. */
static struct bytes many_members(unsigned count, int twin)
{
    struct bytes text;
    bytes_init(&text, 4 << 20);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(
            bytes_printf(&text, "%c\"k%x\":%s", i ? ',' : '{', i, i % 7 ? "1" : "{\"k1\":[]}"), 0);
    if (twin >= 0)
        assert_int_equal(bytes_printf(&text, ",\"k%x\":2", (unsigned)twin), 0);
    assert_int_equal(bytes_append(&text, "}", 2), 0);
    return text;
}

static void members_of_one_name_are_found_among_many(void **state)
{
    for (unsigned count = 1; count < 200; count += 1 + count / 20) {
        struct bytes none = many_members(count, -1);
        struct bytes last = many_members(count, (int)count - 1);
        char name[16];
        snprintf(name, sizeof name, "k%x", count - 1);
        assert_twin(none.ptr, NULL);
        assert_twin(last.ptr, name);
        bytes_release(&none);
        bytes_release(&last);
    }
    struct bytes many = many_members(100000, 5);
    assert_twin(many.ptr, "k5");
    bytes_release(&many);
}

static struct bytes tortured;

static bool look_for_twins(void)
{
    struct json *j;
    struct span name;
    int rc = json_parse(&j, span_of(tortured.ptr), JSON_TEXT_MAX, NULL);
    if (rc == 0) {
        rc = json_twins(j, seed, &name);
        json_free(j);
    }
    assert_true(rc == 1 || rc == -ENOMEM);
    return rc == 1;
}

static void twins_are_found_or_memory_was_lost(void **state)
{
    tortured = many_members(40, 7);
    torture(look_for_twins);
    bytes_release(&tortured);
}

static void members_are_gone_through_in_order(void **state)
{
    struct json *j = parse("{\"z\":1,\"a\":[[1,2],{}],\"m\":{\"n\":{}}}");
    static const char *const names[] = {"z", "a", "m"};
    struct json_iter it = json_iter(json_root(j));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct span name = {0};
        assert_non_null(json_next(&it, &name));
        assert_true(span_equal(name, span_of(names[i])));
    }
    assert_null(json_next(&it, NULL));
    json_free(j);
}

static void wrong_texts_are_refused_with_the_place(void **state)
{
    static const struct {
        const char *text;
        const char *where;
    } cases[] = {
        {"", "line 1, column 1:"}, {"{\n  \"a\": tru\n}", "line 2, column 8:"},
        {"[1,]", "line 1, column"}, {"[1 // one\n]", "line 1, column 4:"},
        {"{'a':1}", "line 1, column 2:"}, {"[01]", "line 1, column"},
        {"\"\x01\"", "line 1, column"}, {"\"\xff\"", "line 1, column"},
        {"1 2", "line 1, column 3:"}, {"[NaN]", "line 1, column 2:"},
        {"\"\\ud800\"", "line 1, column"},
        {"\xef\xbb\xbf{}", "line 1, column 1:"}, /* a byte order mark */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json *j = NULL;
        struct error e;
        assert_int_equal(json_parse(&j, span_of(cases[i].text), JSON_TEXT_MAX, &e), -EINVAL);
        assert_null(j);
        if (strncmp(e.sentence, cases[i].where, strlen(cases[i].where)) != 0)
            fail_msg("'%s' was refused with: %s", cases[i].text, e.sentence);
    }
}

static void bounds_are_kept(void **state)
{
    struct json *j;
    struct error e;
    char text[2 * JSON_DEPTH_MAX + 3];
    for (size_t depth = JSON_DEPTH_MAX; depth <= JSON_DEPTH_MAX + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        int rc = json_parse(&j, (struct span){text, 2 * depth}, JSON_TEXT_MAX, &e);
        assert_int_equal(rc, depth > JSON_DEPTH_MAX ? -EMSGSIZE : 0);
        if (rc == 0)
            json_free(j);
    }
    assert_string_equal(
        e.sentence, "line 1, column 129: arrays and objects stand in each other deeper than 128");
    assert_int_equal(json_parse(&j, SPAN("[1,2,3]"), 6, &e), -EMSGSIZE);
    assert_int_equal(json_parse(&j, SPAN("[1,2,3]"), 7, &e), 0);
    json_free(j);
    /* Brackets in strings are text, behind an escaped quote, too. */
    memset(text, '[', sizeof text);
    text[0] = text[2] = text[sizeof text - 1] = '"';
    text[1] = '\\';
    assert_int_equal(json_parse(&j, (struct span){text, sizeof text}, JSON_TEXT_MAX, &e), 0);
    json_free(j);
}

static void what_is_written_reads_back(void **state)
{
    static const char text[] = "{\"s\":\"q\\\"b\\\\n\\nr\\rt\\tc\\u0001\",\"n\":[0,-1,0.5,"
                               "18446744073709551615],\"e\":[],\"o\":{}}";
    struct json *j = parse(text);
    struct bytes out;
    bytes_init(&out, 1000);
    assert_int_equal(json_write(&out, json_root(j)), 0);
    assert_true(
        span_equal(bytes_span(&out), SPAN("{\"s\":\"q\\\"b\\\\n\\nr\\rt\\tc\\u0001\",\"n\":"
                                          "[0,-1,0.5,18446744073709551615],\"e\":[],\"o\":{}}")));
    bytes_release(&out);
    json_free(j);
}

static void strings_are_escaped_and_always_utf8(void **state)
{
    struct bytes out;
    bytes_init(&out, 1000);
    assert_int_equal(json_write_string(&out, SPAN("a\"\\\n\r\t\x01\x7f\xc3\xa9/")), 0);
    assert_true(span_equal(bytes_span(&out), SPAN("\"a\\\"\\\\\\n\\r\\t\\u0001\x7f\xc3\xa9/\"")));
    bytes_reset(&out);
    assert_int_equal(json_write_string(&out, SPAN("x\xff\xe2\x82y")), 0);
    assert_true(span_equal(bytes_span(&out), SPAN("\"x\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdy\"")));
    bytes_reset(&out);
    assert_int_equal(json_write_string(&out, (struct span){NULL, 0}), 0);
    assert_true(span_equal(bytes_span(&out), SPAN("\"\"")));
    bytes_release(&out);
}

static void a_full_buffer_is_left_as_it_was(void **state)
{
    struct bytes out;
    bytes_init(&out, 8);
    assert_int_equal(bytes_append_span(&out, SPAN("123")), 0);
    assert_int_equal(json_write_string(&out, SPAN("abcd")), -ENOBUFS);
    assert_true(span_equal(bytes_span(&out), SPAN("123")));
    assert_int_equal(json_write_string(&out, SPAN("abc")), 0);
    bytes_release(&out);
}

static void a_text_is_read_in_place(void **state)
{
    /* The padding is not the text's: it holds what would be wrong there. */
    char text[] = "{\"a\\n\":[\"b\\u00e9\",12]}[[[[";
    struct json *j;
    assert_int_equal(
        json_parse_in_place(&j, text, sizeof text - 1 - JSON_PARSE_PADDING, JSON_TEXT_MAX, NULL),
        0);
    const struct json_value *a = json_member(json_root(j), "a\n");
    struct json_iter it = json_iter(a);
    struct span b = json_string(json_next(&it, NULL));
    assert_true(span_equal(b, SPAN("b\xc3\xa9")));
    assert_int_equal(b.ptr[b.len], '\0');
    assert_true(b.ptr > text && b.ptr < text + sizeof text); /* nothing was copied */
    json_free(j);

    char wrong[] = "[1,\n2}....";
    struct error e;
    assert_int_equal(
        json_parse_in_place(&j, wrong, sizeof wrong - 1 - JSON_PARSE_PADDING, JSON_TEXT_MAX, &e),
        -EINVAL);
    assert_memory_equal(e.sentence, "line 2, column 2:", 17);
    assert_int_equal(json_parse_in_place(&j, wrong, 5, 4, &e), -EMSGSIZE);
}

static void numbers_have_the_fewest_digits(void **state)
{
    static const struct {
        double n;
        const char *text;
    } cases[] = {
        {0, "0"},
        {-0.0, "-0.0"}, /* "-0" would read back as 0 */
        {1, "1"},
        {-3, "-3"},
        {0.1, "0.1"},
        {1.0 / 3, "0.3333333333333333"},
        {5e-324, "5e-324"},
        {DBL_MAX, "1.7976931348623157e308"},
        {-DBL_MIN, "-2.2250738585072014e-308"},
        {9007199254740993.0, "9007199254740992"},
        {123456789.125, "123456789.125"},
    };
    struct bytes out;
    bytes_init(&out, 100);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bytes_reset(&out);
        assert_int_equal(json_write_number(&out, cases[i].n), 0);
        if (!span_equal(bytes_span(&out), span_of(cases[i].text)))
            fail_msg("%s was written as %.*s", cases[i].text, SPAN_ARG(out));
        struct json *j;
        assert_int_equal(json_parse(&j, bytes_span(&out), JSON_TEXT_MAX, NULL), 0);
        double back = json_number(json_root(j), NAN);
        assert_memory_equal(&back, &cases[i].n, sizeof back);
        json_free(j);
    }
    assert_int_equal(json_write_number(&out, NAN), -EINVAL);
    assert_int_equal(json_write_number(&out, -INFINITY), -EINVAL);
    bytes_release(&out);
}

static bool parse_and_write(void)
{
    struct json *j;
    struct bytes out;
    int rc = json_parse(&j, SPAN("{\"a\":[1,2,3,\"four\"],\"b\":\"c\"}"), JSON_TEXT_MAX, NULL);
    if (rc)
        return false;
    bytes_init(&out, 1000);
    rc = json_write(&out, json_root(j));
    bytes_release(&out);
    json_free(j);
    return rc == 0;
}

static void both_survive_the_loss_of_memory(void **state)
{
    torture(parse_and_write);
}

TEST_FILE(json)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_found),
        cmocka_unit_test(what_is_not_there_is_null),
        cmocka_unit_test(integers_are_exact_or_none),
        cmocka_unit_test(numbers_keep_every_digit),
        cmocka_unit_test(numbers_are_read_when_they_are_asked_for),
        cmocka_unit_test(members_of_one_name_are_found),
        cmocka_unit_test(members_of_one_name_are_found_among_many),
        cmocka_unit_test(twins_are_found_or_memory_was_lost),
        cmocka_unit_test(members_are_gone_through_in_order),
        cmocka_unit_test(wrong_texts_are_refused_with_the_place),
        cmocka_unit_test(bounds_are_kept),
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(strings_are_escaped_and_always_utf8),
        cmocka_unit_test(a_full_buffer_is_left_as_it_was),
        cmocka_unit_test(a_text_is_read_in_place),
        cmocka_unit_test(numbers_have_the_fewest_digits),
        cmocka_unit_test(both_survive_the_loss_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
