/*
 * frame.c: a stream of frames is cut the same way whether it arrives at once or byte by byte.
 */
#include "frame.h"
#include "base/bug.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first frame, given ever more of the bytes. */
static ssize_t decode_bytewise(const char *data, size_t size, struct span *payload)
{
    for (size_t len = 0; len <= size; len++) {
        ssize_t frame = frame_decode(data, len, payload);
        if (frame != 0)
            return frame;
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *at = (const char *)data;
    size_t left = size;
    for (int i = 0; i < 8; i++) {
        struct span whole = {0};
        struct span bytewise = {0};
        ssize_t frame = frame_decode(at, left, &whole);
        check(decode_bytewise(at, left, &bytewise) == frame, "bytes in pieces make another frame");
        if (frame <= 0)
            break;
        check(span_equal(whole, bytewise), "bytes in pieces make another payload");
        check((size_t)frame <= left && whole.len + FRAME_HEAD == (size_t)frame,
            "a frame beyond its bytes");
        char head[FRAME_HEAD];
        frame_encode_head(head, (uint32_t)whole.len);
        check(memcmp(head, at, FRAME_HEAD) == 0, "its head is written otherwise");
        at += frame;
        left -= (size_t)frame;
    }
    return 0;
}
