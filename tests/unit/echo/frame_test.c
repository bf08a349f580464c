/*
 * frame_test.c: the echo protocol's frames, whole, in pieces, and too long.
 */
#include "../check.h"

#include "frame.h"

#include <errno.h>
#include <string.h>

static void frames_are_found_where_they_end(void **state)
{
    static const char stream[] = "\0\0\0\5hello\0\0\0\0\0\0\0\1x\0\0\0\7par";
    static const struct {
        ssize_t size;
        struct span payload;
    } expected[] = {{9, SPAN("hello")}, {4, SPAN("")}, {5, SPAN("x")}, {0, SPAN("")}};
    size_t at = 0;
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        struct span payload = {0};
        ssize_t size = frame_decode(stream + at, sizeof stream - 1 - at, &payload);
        assert_int_equal(size, expected[i].size);
        assert_true(size == 0 || span_equal(payload, expected[i].payload));
        at += (size_t)size;
    }
}

static void every_part_of_a_frame_needs_more(void **state)
{
    static const char frame[] = "\0\0\0\5hello";
    struct span payload;
    for (size_t len = 0; len < sizeof frame - 1; len++)
        assert_int_equal(frame_decode(frame, len, &payload), 0);
    assert_int_equal(frame_decode(NULL, 0, &payload), 0);
}

static void lengths_are_checked_before_they_are_believed(void **state)
{
    struct span payload;
    static char largest[FRAME_HEAD + FRAME_PAYLOAD_MAX];
    frame_encode_head(largest, FRAME_PAYLOAD_MAX);
    assert_int_equal(frame_decode(largest, sizeof largest, &payload), (ssize_t)sizeof largest);
    assert_int_equal(payload.len, FRAME_PAYLOAD_MAX);
    assert_int_equal(frame_decode("\0\1\0\1", 4, &payload), -EMSGSIZE);
    assert_int_equal(frame_decode("\xff\xff\xff\xff", 4, &payload), -EMSGSIZE);
    assert_int_equal(frame_decode("\x80\0\0\0", 4, &payload), -EMSGSIZE);
}

TEST_FILE(frame)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_found_where_they_end),
        cmocka_unit_test(every_part_of_a_frame_needs_more),
        cmocka_unit_test(lengths_are_checked_before_they_are_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
