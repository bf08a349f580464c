/*
 * bounds_test.c: what is too large, too deep or too much is refused, and at once; of mistakes a
 * hundred are told.
 */
#include "fixture.h"

static void many_errors_are_counted(void **state)
{
    struct bytes text;
    struct bytes told;
    bytes_init(&text, 100000);
    for (int i = 0; i < 123; i++)
        assert_int_equal(bytes_printf(&text, "unknown_%03d: 1\n", i), 0);
    struct file file = {"weir.yaml", text.ptr, text.len};
    struct disk disk = {&file, 1, NULL, 0};
    assert_null(load_from(&disk, "weir.yaml", &told));
    assert_non_null(strstr(told.ptr, "\nweir.yaml:100:1: "));
    assert_null(strstr(told.ptr, "\nweir.yaml:101:1: "));
    assert_non_null(strstr(told.ptr, "\n… and 23 more\n"));
    bytes_release(&told);
    bytes_release(&text);
}

/* Nine lines that would be a billion. */
static void aliases_are_bounded(void **state)
{
    struct bytes text;
    bytes_init(&text, 100000);
    assert_int_equal(
        bytes_printf(&text, "routes:\n- route: /x\n  reply:\n    a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"),
        0);
    for (int i = 1; i < 9; i++) {
        assert_int_equal(bytes_printf(&text, "    a%d: &a%d [", i, i), 0);
        for (int j = 0; j < 10; j++)
            assert_int_equal(bytes_printf(&text, "*a%d,", i - 1), 0);
        assert_int_equal(bytes_printf(&text, "]\n"), 0);
    }
    struct file file = {"w", text.ptr, text.len};
    assert_told(&file, 1, "w",
        "w:9:42: found more than 1000000 values, aliases included; expected fewer\n");
    bytes_release(&text);
}

static void aliased_text_is_bounded(void **state)
{
    struct bytes text;
    bytes_init(&text, 1 << 22);
    assert_int_equal(bytes_printf(&text, "- &a %0*d\n", 1 << 20, 0), 0);
    for (int i = 0; i < 70; i++)
        assert_int_equal(bytes_printf(&text, "- *a\n"), 0);
    struct file file = {"w", text.ptr, text.len};
    assert_told(&file, 1, "w",
        "w:65:3: found more than 67108864 bytes of text, aliases included; expected fewer\n");
    bytes_release(&text);
}

static void depth_is_bounded(void **state)
{
    char text[200];
    memset(text, '[', 65);
    text[65] = '\0';
    struct file file = {"w", text, 0};
    assert_told(&file, 1, "w",
        "w:1:65: found maps and lists in each other deeper than 64, expected fewer\n");
    /* 63 and an alias of 2 */
    snprintf(text, sizeof text, "[&a [[]], %.62s*a",
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[");
    file.text = text;
    assert_told(&file, 1, "w",
        "w:1:73: found maps and lists in each other deeper than 64, expected fewer\n");
}

static void anchors_and_files_are_bounded(void **state)
{
    struct bytes text;
    bytes_init(&text, 1 << 25);
    for (int i = 0; i < 257; i++)
        assert_int_equal(bytes_printf(&text, "- &a%d x\n", i), 0);
    struct file file = {"w", text.ptr, text.len};
    assert_told(&file, 1, "w", "w:257:3: found more than 256 anchors, expected fewer\n");
    bytes_reset(&text);
    assert_int_equal(bytes_printf(&text, "#%0*d", 1 << 24, 0), 0);
    file = (struct file){"w", text.ptr, text.len};
    assert_told(&file, 1, "w", "w:1:1: found 16777217 bytes, expected at most 16777216\n");
    bytes_release(&text);
}

static void expansions_are_bounded(void **state)
{
    struct bytes big;
    bytes_init(&big, 1 << 22);
    assert_int_equal(bytes_printf(&big, "%0*d", 1 << 20, 0), 0);
    struct file files[] = {{"w", "server: ${file:big}x", 0}, {"big", big.ptr, big.len}};
    assert_told(files, 2, "w",
        "w:1:9: found more than 1048576 bytes with '${...}' replaced, expected fewer\n");
    bytes_release(&big);
}

TEST_FILE(bounds)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_errors_are_counted),
        cmocka_unit_test(aliases_are_bounded),
        cmocka_unit_test(aliased_text_is_bounded),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(anchors_and_files_are_bounded),
        cmocka_unit_test(expansions_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
