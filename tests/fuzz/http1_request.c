/*
 * http1_request.c: a stream of requests means the same however it is cut into pieces, every part of
 * it lies in what was shown (http1_feed.h sees to that), and what was understood can be written
 * and means the same again. The first byte says how it is cut. Any field's value may be a deadline.
 */
#include "../differential/http1_feed.h"

#include "wire/deadline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void feed_init(struct http1_feed *f)
{
    http1_feed_init(f, HTTP1_REQUEST);
    f->limits.body_max = 1000;
    f->limits.head_max = 2000;
    f->limits.line_max = 200;
    f->limits.fields_max = 20;
}

static void check_pieces(struct span stream, size_t cut)
{
    struct http1_feed whole;
    struct http1_feed pieces;
    feed_init(&whole);
    feed_init(&pieces);
    struct span said = http1_feed_stream(&whole, stream, 0, stream.len);
    check(
        span_equal(said, http1_feed_stream(&pieces, stream, cut % (stream.len + 1), 1 + cut / 16)),
        "it depends on the pieces what is read");
    http1_feed_release(&whole);
    http1_feed_release(&pieces);
}

/* The first message's head, written by us. */
static void write_head(struct bytes *out, const struct http1_head *head)
{
    int rc = http1_write_request_line(out, head->method_name, head->target);
    for (unsigned i = 0; rc == 0 && i < head->field_count; i++)
        rc = http1_write_field(out, head->fields[i].name, head->fields[i].value);
    check(rc == 0 && http1_write_head_end(out) == 0, "a head that was read cannot be written");
}

static void check_deadlines(const struct http1_head *head)
{
    for (unsigned i = 0; i < head->field_count; i++) {
        char text[DEADLINE_TEXT_MAX];
        int64_t ns = -1;
        int64_t again = -1;
        if (deadline_read(head->fields[i].value, &ns))
            continue;
        check(ns >= 0, "a deadline is negative");
        check(deadline_read(deadline_write(text, ns), &again) == 0 && again >= 0 && again <= ns,
            "a deadline grows on its way");
    }
}

static void check_written(struct span stream)
{
    struct http_field first_table[HTTP1_FIELDS_DEFAULT];
    struct http_field table[HTTP1_FIELDS_DEFAULT];
    static const struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    struct http1 first;
    struct http1 again;
    struct bytes out;
    struct span data;
    bytes_init(&out, 1024 * 1024);
    http1_init(&first, HTTP1_REQUEST, &limits, first_table);
    http1_init(&again, HTTP1_REQUEST, &limits, table);
    if (http1_next(&first, &stream, &data) == HTTP1_HEAD && first.head.minor == 1) {
        check_deadlines(&first.head);
        write_head(&out, &first.head);
        struct span in = bytes_span(&out);
        check(http1_next(&again, &in, &data) == HTTP1_HEAD && in.len == 0,
            "a head that was written cannot be read");
        check(span_equal(first.head.path, again.head.path) &&
                  span_equal(first.head.host, again.head.host) &&
                  first.head.framing == again.head.framing &&
                  first.head.length == again.head.length &&
                  first.head.keep_alive == again.head.keep_alive &&
                  first.head.field_count == again.head.field_count,
            "a head that was written means something else");
    }
    bytes_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct span stream = {.ptr = (const char *)data + 1, .len = size - 1};
    check_pieces(stream, data[0]);
    check_written(stream);
    return 0;
}
