/*
 * value_test.c: values as steps see them: found, or told to be another thing, and gone through.
 */
#include "../check.h"

#include "data/json.h"
#include "weir/step.h"

#include <stdlib.h>
#include <string.h>

static const struct weir_value *read_value(struct json **j, const char *text)
{
    assert_int_equal(json_parse(j, span_of(text), JSON_TEXT_MAX, NULL), 0);
    return (const struct weir_value *)(const void *)json_root(*j);
}

static void values_are_what_they_are(void **state)
{
    struct json *j;
    const struct weir_value *v = read_value(
        &j, "{\"n\":null,\"b\":true,\"i\":7,\"d\":2.5,\"t\":\"a\\u0000b\",\"a\":[1,[2]]}");
    assert_int_equal(weir_type(v), WEIR_OBJECT);
    assert_int_equal(weir_count(v), 6);
    assert_int_equal(weir_type(weir_member(v, "n")), WEIR_NULL);
    assert_int_equal(weir_type(weir_member(v, "b")), WEIR_BOOL);
    assert_int_equal(weir_type(weir_member(v, "i")), WEIR_NUMBER);
    assert_int_equal(weir_type(weir_member(v, "t")), WEIR_TEXT);
    assert_int_equal(weir_type(weir_member(v, "a")), WEIR_ARRAY);
    assert_true(weir_bool(weir_member(v, "b"), false));
    assert_int_equal(weir_integer(weir_member(v, "i"), -1), 7);
    assert_int_equal(weir_integer(weir_member(v, "d"), -1), -1);
    assert_true(weir_number(weir_member(v, "d"), -1) == 2.5);
    assert_true(weir_number(weir_member(v, "i"), -1) == 7);
    size_t length = 99;
    const char *text = weir_text(weir_member(v, "t"), &length);
    assert_int_equal(length, 3);
    assert_memory_equal(text, "a\0b", 4); /* and a zero byte behind */
    const struct weir_value *a = weir_member(v, "a");
    assert_int_equal(weir_integer(weir_element(a, 0), -1), 1);
    assert_int_equal(weir_integer(weir_element(weir_element(a, 1), 0), -1), 2);
    assert_null(weir_element(a, 2));
    assert_null(weir_element(v, 0)); /* an object has none */
    assert_null(weir_member(a, "b"));
    json_free(j);
}

static void nothing_is_a_null(void **state)
{
    size_t length = 99;
    assert_int_equal(weir_type(NULL), WEIR_NULL);
    assert_true(weir_bool(NULL, true));
    assert_true(weir_number(NULL, 1.5) == 1.5);
    assert_int_equal(weir_integer(NULL, 3), 3);
    assert_null(weir_text(NULL, &length));
    assert_int_equal(length, 0);
    assert_int_equal(weir_count(NULL), 0);
    assert_null(weir_member(NULL, "a"));
    assert_null(weir_element(NULL, 0));
    struct weir_each each = weir_each(NULL);
    assert_false(weir_next(&each));
}

static void arrays_and_objects_are_gone_through(void **state)
{
    struct json *j;
    const struct weir_value *v = read_value(&j, "[10,[20,21],{},30]");
    struct weir_each each = weir_each(v);
    size_t turns = 0;
    while (weir_next(&each)) {
        assert_null(each.name);
        assert_int_equal(each.index, turns);
        assert_ptr_equal(each.value, weir_element(v, turns));
        turns++;
    }
    assert_int_equal(turns, 4);
    assert_false(weir_next(&each)); /* it stays at its end */
    assert_null(each.value);
    json_free(j);

    static const char *const names[] = {"z", "", "a\0b"};
    static const size_t lengths[] = {1, 0, 3};
    v = read_value(&j, "{\"z\":0,\"\":[1,2],\"a\\u0000b\":2}");
    each = weir_each(v);
    for (turns = 0; turns < 3 && weir_next(&each); turns++) {
        assert_int_equal(each.index, turns);
        assert_int_equal(each.name_length, lengths[turns]);
        assert_memory_equal(each.name, names[turns], lengths[turns] + 1);
    }
    assert_int_equal(turns, 3);
    assert_false(weir_next(&each));
    json_free(j);

    v = read_value(&j, "\"text\"");
    each = weir_each(v);
    assert_false(weir_next(&each));
    json_free(j);
}

TEST_FILE(value)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_what_they_are),
        cmocka_unit_test(nothing_is_a_null),
        cmocka_unit_test(arrays_and_objects_are_gone_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
