/*
 * environment_test.c: what a child's environment is made of; control groups' files.
 */
#include "../check.h"

#include "world/environment.h"
#include "world/quota.h"

#include <string.h>

/* ---- Environment ---- */

#define STRINGS(...)              \
    (const char *const[])         \
    {                             \
        __VA_ARGS__, (char *)NULL \
    }

static void assert_merged(
    const char *const *base, const char *const *add, const char *const *expected)
{
    const char **merged = environment_merge(base, add);
    assert_non_null(merged);
    size_t i = 0;
    for (; expected[i]; i++) {
        assert_non_null(merged[i]);
        assert_string_equal(merged[i], expected[i]);
    }
    assert_null(merged[i]);
    mem_free(merged);
}

static void added_strings_override_those_of_the_same_name(void **state)
{
    const char *const *base = STRINGS("A=1", "AB=2", "C", "D=4");
    assert_merged(base, NULL, base);
    assert_merged(NULL, NULL, (const char *const[]){NULL});
    assert_merged(NULL, base, base);
    assert_merged(base, STRINGS("E=5"), STRINGS("A=1", "AB=2", "C", "D=4", "E=5"));
    assert_merged(base, STRINGS("A=x"), STRINGS("AB=2", "C", "D=4", "A=x"));
    assert_merged(base, STRINGS("C=3", "D="), STRINGS("A=1", "AB=2", "C=3", "D="));
    assert_merged(base, STRINGS("A=x", "B=y", "A=z"), STRINGS("AB=2", "C", "D=4", "B=y", "A=z"));
}

static bool merge_once(void)
{
    const char **merged = environment_merge(STRINGS("A=1"), STRINGS("B=2"));
    mem_free(merged);
    return merged != NULL;
}

static void without_memory_there_is_none(void **state)
{
    torture(merge_once);
}

/* ---- Arguments ---- */

static void a_title_takes_the_place_of_the_first_argument(void **state)
{
    const char *const argv[] = {"weir", "serve", NULL};
    const char *const titles[] = {NULL, "a title"};
    for (int i = 0; i < 2; i++) {
        const char **titled = arguments_titled(argv, titles[i]);
        assert_non_null(titled);
        assert_string_equal(titled[0], i ? "a title" : "weir");
        assert_string_equal(titled[1], "serve");
        assert_null(titled[2]);
        mem_free(titled);
    }
}

/* ---- Quotas ---- */

static void quotas_are_rounded_up_to_cores(void **state)
{
    assert_int_equal(quota_of_v2(SPAN("200000 100000\n")), 2);
    assert_int_equal(quota_of_v2(SPAN("200001 100000\n")), 3);
    assert_int_equal(quota_of_v2(SPAN("1000 100000")), 1);
    assert_int_equal(quota_of_v2(SPAN("max 100000\n")), QUOTA_NONE);
    assert_int_equal(quota_of_v2(SPAN("")), QUOTA_NONE);
    assert_int_equal(quota_of_v2(SPAN("100000")), QUOTA_NONE);
    assert_int_equal(quota_of_v2(SPAN("100000 0")), QUOTA_NONE);
    assert_int_equal(quota_of_v2(SPAN("99999999999999999999999999 1")), QUOTA_NONE);
    assert_int_equal(quota_of_v1(SPAN("150000\n"), SPAN("100000\n")), 2);
    assert_int_equal(quota_of_v1(SPAN("-1\n"), SPAN("100000\n")), QUOTA_NONE);
    assert_int_equal(quota_of_v1(SPAN(""), SPAN("")), QUOTA_NONE);
}

static void assert_group(struct span text, bool v1, const char *expected)
{
    struct span path;
    struct span controller = v1 ? SPAN("cpu") : SPAN("");
    assert_int_equal(quota_group(text, controller, &path), expected != NULL);
    if (expected)
        assert_true(span_equal(path, span_of(expected)));
}

static void the_group_is_found_among_the_hierarchies(void **state)
{
    struct span v2 = SPAN("0::/user.slice/a:b\n");
    assert_group(v2, false, "/user.slice/a:b");
    assert_group(v2, true, NULL);
    struct span v1 = SPAN("12:cpuset:/x\n4:cpu,cpuacct:/docker/1\n1:name=systemd:/y\n");
    assert_group(v1, true, "/docker/1");
    assert_group(v1, false, NULL);
    assert_group(SPAN("3:cpuacct,cpu:/\n0::/"), true, "/");
    assert_group(SPAN("3:cpuacct,cpu:/\n0::/"), false, "/");
    assert_group(SPAN(""), false, NULL);
    assert_group(SPAN("\n:::\n0::relative\n0:"), false, NULL);
}

static void parents_lead_to_the_root(void **state)
{
    struct span path = SPAN("/a/bc");
    assert_true(quota_parent(&path));
    assert_true(span_equal(path, SPAN("/a/")));
    assert_true(quota_parent(&path));
    assert_true(span_equal(path, SPAN("/")));
    assert_false(quota_parent(&path));
}

TEST_FILE(environment)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(added_strings_override_those_of_the_same_name),
        cmocka_unit_test(a_title_takes_the_place_of_the_first_argument),
        cmocka_unit_test(without_memory_there_is_none),
        cmocka_unit_test(quotas_are_rounded_up_to_cores),
        cmocka_unit_test(the_group_is_found_among_the_hierarchies),
        cmocka_unit_test(parents_lead_to_the_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
