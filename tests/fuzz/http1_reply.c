/*
 * http1_reply.c: a stream of replies means the same however it is cut into pieces, and every part
 * of it lies in what was shown (http1_feed.h sees to that). The first byte says how it is cut, and
 * its lowest bit whether the replies answer HEAD.
 */
#include "../differential/http1_feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void feed_init(struct http1_feed *f, uint8_t how)
{
    http1_feed_init(f, HTTP1_REPLY);
    f->answers = how % 2 ? HTTP_HEAD : HTTP_GET;
    f->limits.body_max = 1000;
    f->limits.head_max = 2000;
    f->limits.line_max = 200;
    f->limits.fields_max = 20;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct span stream = {.ptr = (const char *)data + 1, .len = size - 1};
    struct http1_feed whole;
    struct http1_feed pieces;
    feed_init(&whole, data[0]);
    feed_init(&pieces, data[0]);
    struct span said = http1_feed_stream(&whole, stream, 0, stream.len);
    size_t cut = data[0];
    check(
        span_equal(said, http1_feed_stream(&pieces, stream, cut % (stream.len + 1), 1 + cut / 16)),
        "it depends on the pieces what is read");
    http1_feed_release(&whole);
    http1_feed_release(&pieces);
    return 0;
}
