/*
 * target_test.c: percent-encoding, segments and queries.
 */
#include "../check.h"

#include "wire/target.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- Percent-encoding ---- */

static void assert_decodes(const char *in, bool plus, const char *expected)
{
    char out[64];
    size_t len;
    assert_int_equal(percent_decode(span_of(in), plus, out, &len), 0);
    assert_int_equal(len, strlen(expected));
    assert_memory_equal(out, expected, len);
}

static void encoding_is_undone_once(void **state)
{
    assert_decodes("", false, "");
    assert_decodes("plain", false, "plain");
    assert_decodes("a%20b", false, "a b");
    assert_decodes("%e4%BD%a0", false, "\xe4\xbd\xa0");
    assert_decodes("%2541", false, "%41");
    assert_decodes("%2F%5c", false, "/\\");
    assert_decodes("a+b%2B", false, "a+b+");
    assert_decodes("a+b%2B", true, "a b+");
}

static void it_decodes_in_place(void **state)
{
    char text[] = "%61%62c%64";
    size_t len;
    assert_int_equal(percent_decode((struct span){text, strlen(text)}, false, text, &len), 0);
    assert_int_equal(len, 4);
    assert_memory_equal(text, "abcd", 4);
}

static void malformed_encoding_is_refused(void **state)
{
    static const char *const wrong[] = {"%", "%4", "a%", "a%4", "%g0", "%0g", "%%41", "% 41", "%-1",
        "%00", "a%00b", "%+1", "%4/", "%\xb1\xb1"};
    char out[16];
    size_t len;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(percent_decode(span_of(wrong[i]), true, out, &len), -EINVAL);
    /* What stands behind the end is not looked at. */
    assert_int_equal(percent_decode((struct span){"a%41", 3}, true, out, &len), -EINVAL);
    assert_int_equal(percent_decode((struct span){"a%41", 2}, true, out, &len), -EINVAL);
}

static void all_but_unreserved_is_encoded(void **state)
{
    struct bytes out;
    bytes_init(&out, 4096);
    assert_int_equal(percent_encode(&out, SPAN("aZ09-._~ /%\x01\xff")), 0);
    assert_true(span_equal(bytes_span(&out), SPAN("aZ09-._~%20%2F%25%01%FF")));
    bytes_release(&out);
}

static void every_byte_survives(void **state)
{
    char all[255];
    char back[3 * sizeof all];
    size_t len;
    struct bytes out;
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (char)(i + 1);
    bytes_init(&out, sizeof back);
    assert_int_equal(percent_encode(&out, (struct span){all, sizeof all}), 0);
    assert_int_equal(percent_decode(bytes_span(&out), true, back, &len), 0);
    assert_int_equal(len, sizeof all);
    assert_memory_equal(back, all, sizeof all);
    bytes_release(&out);
}

static void a_full_buffer_is_as_it_was(void **state)
{
    struct bytes out;
    bytes_init(&out, 8);
    assert_int_equal(bytes_append_span(&out, SPAN("abc")), 0);
    assert_int_equal(percent_encode(&out, SPAN("de/f")), -ENOBUFS);
    assert_true(span_equal(bytes_span(&out), SPAN("abc")));
    assert_int_equal(percent_encode(&out, SPAN("de/")), 0);
    bytes_release(&out);
}

/* ---- Paths ---- */

#define SEGMENTS 8

/* The segments, each in brackets, or the refusal's number. */
static const char *cut(const char *path)
{
    static char shown[256];
    char text[128];
    struct span segments[SEGMENTS];
    int count = target_segments(span_of(path), text, segments, SEGMENTS);
    int len =
        count < 0 ? snprintf(shown, sizeof shown, "%s", count == -EINVAL ? "-EINVAL" : "?") : 0;
    if (count == -E2BIG)
        return "-E2BIG";
    for (int i = 0; i < count; i++)
        len += snprintf(shown + len, sizeof shown - (size_t)len, "[%.*s]", SPAN_ARG(segments[i]));
    return shown;
}

static void paths_are_cut_at_slashes(void **state)
{
    assert_string_equal(cut("/"), "[]");
    assert_string_equal(cut("/a"), "[a]");
    assert_string_equal(cut("/a/b%20c/"), "[a][b c][]");
    assert_string_equal(cut("//"), "[][]");
    assert_string_equal(cut("/a//b"), "[a][][b]");
    assert_string_equal(cut("/a%2Fb/c%5Cd"), "[a/b][c\\d]");
    assert_string_equal(cut("/%252F"), "[%2F]");
    assert_string_equal(cut("/a+b"), "[a+b]");
}

static void dot_segments_are_resolved(void **state)
{
    assert_string_equal(cut("/a/b/c/./../../g"), "[a][g]"); /* RFC 3986, 5.2.4 */
    assert_string_equal(cut("/."), "[]");
    assert_string_equal(cut("/./a"), "[a]");
    assert_string_equal(cut("/a/."), "[a][]");
    assert_string_equal(cut("/a/.."), "[]");
    assert_string_equal(cut("/a/b/.."), "[a][]");
    assert_string_equal(cut("/a/b/../"), "[a][]");
    assert_string_equal(cut("/a/b/../c"), "[a][c]");
    assert_string_equal(cut("/a//../b"), "[a][b]");
    assert_string_equal(cut("/.../.a/..b/a."), "[...][.a][..b][a.]");
}

static void encoded_dots_are_dots(void **state)
{
    assert_string_equal(cut("/a/%2e%2E/b"), "[b]");
    assert_string_equal(cut("/a/.%2e/b"), "[b]");
    assert_string_equal(cut("/a/%2e/b"), "[a][b]");
    assert_string_equal(cut("/a/b/%2e%2e"), "[a][]");
    assert_string_equal(cut("/%2e%2e"), "-EINVAL");
    assert_string_equal(cut("/%252e%252e"), "[%2e%2e]");
    assert_string_equal(cut("/a/..%2Fb"), "[a][../b]");
}

static void what_is_malformed_is_refused(void **state)
{
    static const char *const wrong[] = {"", "a", "*", "%2F", "/..", "/../a", "/a/../..",
        "/a/../../b", "/%", "/a/%4", "/%00", "/a/%zz/b"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_string_equal(cut(wrong[i]), "-EINVAL");
}

static void too_many_segments_are_refused(void **state)
{
    assert_string_equal(cut("/1/2/3/4/5/6/7/8"), "[1][2][3][4][5][6][7][8]");
    assert_string_equal(cut("/1/2/3/4/5/6/7/8/9"), "-E2BIG");
    assert_string_equal(cut("/1/2/3/4/5/6/7/8/"), "-E2BIG");
    assert_string_equal(cut("/1/2/3/4/5/6/7/8/../9"), "[1][2][3][4][5][6][7][9]");
    assert_string_equal(cut("/1/2/3/4/5/6/7/8/9/.."), "-E2BIG");
}

static void what_is_not_encoded_is_not_copied(void **state)
{
    struct span path = SPAN("/plain/%41/end");
    char text[16];
    struct span segments[SEGMENTS];
    assert_int_equal(target_segments(path, text, segments, SEGMENTS), 3);
    assert_ptr_equal(segments[0].ptr, path.ptr + 1);
    assert_ptr_equal(segments[1].ptr, text);
    assert_ptr_equal(segments[2].ptr, path.ptr + 11);
    assert_int_equal(target_segments(SPAN("/no/text/needed"), NULL, segments, SEGMENTS), 3);
}

/* ---- Queries ---- */

static const char *pairs(const char *text)
{
    static char shown[256];
    struct span query = span_of(text);
    struct span name, value;
    int len = 0;
    shown[0] = '\0';
    while (query_next(&query, &name, &value))
        len += snprintf(shown + len, sizeof shown - (size_t)len, "(%.*s)(%.*s)", SPAN_ARG(name),
            SPAN_ARG(value));
    return shown;
}

static void queries_are_gone_through(void **state)
{
    struct span none = {NULL, 0};
    struct span name, value;
    assert_false(query_next(&none, &name, &value));
    assert_string_equal(pairs(""), "");
    assert_string_equal(pairs("a=1"), "(a)(1)");
    assert_string_equal(pairs("a=1&b=2&a=3"), "(a)(1)(b)(2)(a)(3)");
    assert_string_equal(pairs("a"), "(a)()");
    assert_string_equal(pairs("a=&=b&="), "(a)()()(b)()()");
    assert_string_equal(pairs("&&a=b=c&&"), "(a)(b=c)");
    assert_string_equal(pairs("a%26=1%3D2"), "(a%26)(1%3D2)");
}

/* ---- Paths that others will resolve ---- */

static void assert_climbs(const char *path, const char *segment)
{
    char room[256];
    struct span where = {0};
    bool climbs = target_climbs(span_of(path), room, &where);
    if (climbs != (segment != NULL) || (segment && !span_equal(where, span_of(segment))))
        fail_msg("%s: %.*s", path, climbs ? (int)where.len : 4, climbs ? where.ptr : "does");
}

static void what_climbs_for_anyone_is_found(void **state)
{
    static const char *const climbing[][2] = {{"/a/../b", "../"}, {"/a/./b", "./"}, {"/..", ".."},
        {"/.", "."}, {"..", ".."}, {"/a/%2e%2e/b", "%2e%2e/"}, {"/a/%2E./b", "%2E./"},
        {"/a/..%2Fb/c", "..%2F"}, {"/a/x%2F..%2Fb/c", "..%2F"}, {"/a/..%5Cb", "..%5C"},
        {"/a/..\\b", "..\\"}, {"/a/x\\../b", "../"}, {"/a/%252e%252e%252fb", "%252e%252e%252f"},
        {"/a/%25252e%25252E/b", "%25252e%25252E/"}, {"/a/%2%65%25%32e/b", "%2%65%25%32e/"},
        {"/a/%%32e%2e/b", "%%32e%2e/"}, {"/a/..;x=1/b", "..;x=1/"}, {"/a/..%3Bx/b", "..%3Bx/"},
        {"/a/..%00/b", "..%00/"}, {"/a/..%3Fx/b", "..%3Fx/"}, {"/a/..%23", "..%23"},
        {"/a/.%2525252f/b", ".%2525252f"}};
    for (size_t i = 0; i < sizeof climbing / sizeof *climbing; i++)
        assert_climbs(climbing[i][0], climbing[i][1]);
}

static void what_does_not_climb_is_let_be(void **state)
{
    static const char *const fine[] = {"", "/", "/a", "/a/b.c/d", "/...", "/a/..b/", "/a/b../",
        "/a/.b/", "/a.;/b", "/x..", "/%", "/%2", "/a/%2eb/", "/.%2", "/a/%25/b", "/a//b",
        "/a/b;../c", "/what%3F..", "/1.2.3", "/%2e%2e%2e/", "/a/.%zz./"};
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
        assert_climbs(fine[i], NULL);
}

TEST_FILE(target)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoding_is_undone_once),
        cmocka_unit_test(it_decodes_in_place),
        cmocka_unit_test(malformed_encoding_is_refused),
        cmocka_unit_test(all_but_unreserved_is_encoded),
        cmocka_unit_test(every_byte_survives),
        cmocka_unit_test(a_full_buffer_is_as_it_was),
        cmocka_unit_test(paths_are_cut_at_slashes),
        cmocka_unit_test(dot_segments_are_resolved),
        cmocka_unit_test(encoded_dots_are_dots),
        cmocka_unit_test(what_is_malformed_is_refused),
        cmocka_unit_test(too_many_segments_are_refused),
        cmocka_unit_test(what_is_not_encoded_is_not_copied),
        cmocka_unit_test(queries_are_gone_through),
        cmocka_unit_test(what_climbs_for_anyone_is_found),
        cmocka_unit_test(what_does_not_climb_is_let_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
