/*
 * http1_feed.h: shows a stream to the HTTP/1 reader in pieces and writes down what it makes of it,
 * one JSON object a line, so that two readings are equal when their transcripts are.
 *
 * Every piece comes in memory of its own, of exactly its size, together with what was not taken of
 * those before; the memory shown before is gone by then. So the sanitizers see who looks too far,
 * or holds on to what may have moved.
 */
#pragma once

#include "base/bug.h"
#include "base/mem.h"
#include "wire/http1.h"

struct http1_feed {
    enum http1_kind kind;
    enum http_method answers;
    bool single; /* it reads the first message only, and says what is left */
    struct http1_limits limits;
    struct http_field *table;
    struct http1 p;
    struct bytes body;
    struct bytes out; /* the transcript */
    bool over;        /* the connection is: refused, or not kept alive */
};

static inline void http1_feed_init(struct http1_feed *f, enum http1_kind kind)
{
    *f = (struct http1_feed){.kind = kind, .answers = HTTP_GET, .limits = HTTP1_LIMITS_DEFAULT};
    bytes_init(&f->body, SIZE_MAX / 2);
    bytes_init(&f->out, SIZE_MAX / 2);
}

static inline void http1_feed_release(struct http1_feed *f)
{
    bytes_release(&f->body);
    bytes_release(&f->out);
}

/* ---- The transcript ---- */

#define HTTP1_FEED_PUT(f, ...) \
    check(bytes_printf(&(f)->out, __VA_ARGS__) == 0, "no memory for a transcript")

static inline void http1_feed_text(struct http1_feed *f, const char *name, struct span s)
{
    HTTP1_FEED_PUT(f, "%s", name);
    if (!s.ptr) {
        HTTP1_FEED_PUT(f, "null");
        return;
    }
    HTTP1_FEED_PUT(f, "\"");
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\')
            HTTP1_FEED_PUT(f, "%c", c);
        else
            HTTP1_FEED_PUT(f, "\\u%04x", c);
    }
    HTTP1_FEED_PUT(f, "\"");
}

static inline void http1_feed_fields(
    struct http1_feed *f, const struct http_field *fields, unsigned count)
{
    HTTP1_FEED_PUT(f, "[");
    for (unsigned i = 0; i < count; i++) {
        http1_feed_text(f, i ? ",[" : "[", fields[i].name);
        http1_feed_text(f, ",", fields[i].value);
        HTTP1_FEED_PUT(f, "]");
    }
    HTTP1_FEED_PUT(f, "]");
}

static inline void http1_feed_head(struct http1_feed *f)
{
    const struct http1_head *head = &f->p.head;
    if (f->kind == HTTP1_REQUEST) {
        http1_feed_text(f, "{\"method\":", head->method_name);
        http1_feed_text(f, ",\"target\":", head->target);
        http1_feed_text(f, ",\"path\":", head->path);
        http1_feed_text(f, ",\"query\":", head->query);
        http1_feed_text(f, ",\"host\":", head->host);
        HTTP1_FEED_PUT(f, ",\"expect\":%d", head->expect_continue);
    } else {
        HTTP1_FEED_PUT(f, "{\"status\":%d", head->status);
        http1_feed_text(f, ",\"reason\":", head->reason);
    }
    HTTP1_FEED_PUT(f, ",\"minor\":%d,\"keep_alive\":%d,\"upgrade\":%d", head->minor,
        head->keep_alive, head->upgrade);
    HTTP1_FEED_PUT(f, ",\"framing\":%d,\"length\":%llu,\"fields\":", (int)head->framing,
        (unsigned long long)head->length);
    http1_feed_fields(f, head->fields, head->field_count);
    HTTP1_FEED_PUT(f, "}\n");
}

static inline void http1_feed_body(struct http1_feed *f)
{
    http1_feed_text(f, "{\"body\":", bytes_span(&f->body));
    HTTP1_FEED_PUT(f, "}\n");
    bytes_reset(&f->body);
}

static inline void http1_feed_end(struct http1_feed *f)
{
    if (f->body.len > 0)
        http1_feed_body(f);
    if (f->p.trailer_count > 0) {
        HTTP1_FEED_PUT(f, "{\"trailers\":");
        http1_feed_fields(f, f->p.trailers, f->p.trailer_count);
        HTTP1_FEED_PUT(f, "}\n");
    }
    HTTP1_FEED_PUT(f, "{\"end\":true}\n");
}

/* What comes after a message that was the connection's last. */
static inline void http1_feed_left(struct http1_feed *f, struct span left)
{
    if (left.len == 0)
        return;
    http1_feed_text(f, "{\"left\":", left);
    HTTP1_FEED_PUT(f, "}\n");
}

static inline void http1_feed_bad(struct http1_feed *f)
{
    if (f->body.len > 0)
        http1_feed_body(f);
    check(f->p.fault.status >= 400 && f->p.fault.why, "a refusal without a reason");
    HTTP1_FEED_PUT(f, "{\"bad\":%d,\"why\":\"%s\"}\n", f->p.fault.status, f->p.fault.why);
    f->over = true;
}

/* ---- What is shown ---- */

static inline bool http1_feed_within(struct span part, struct span whole)
{
    return !part.ptr || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

static inline void http1_feed_check_fields(
    const struct http_field *fields, unsigned count, struct span shown)
{
    for (unsigned i = 0; i < count; i++) {
        check(http1_feed_within(fields[i].name, shown), "a name from elsewhere");
        check(http1_feed_within(fields[i].value, shown), "a value from elsewhere");
        check(http_token_valid(fields[i].name), "a name that is none");
        check(http_value_valid(fields[i].value), "a value that is none");
    }
}

static inline void http1_feed_check_head(const struct http1_head *head, struct span shown)
{
    const struct span parts[] = {
        head->method_name, head->target, head->query, head->host, head->reason};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        check(http1_feed_within(parts[i], shown), "a part of the head from elsewhere");
    check(http1_feed_within(head->path, shown) || span_equal(head->path, SPAN("/")) ||
              span_equal(head->path, SPAN("*")),
        "a path from elsewhere");
    http1_feed_check_fields(head->fields, head->field_count, shown);
}

static inline bool http1_feed_is_interim(const struct http1_feed *f)
{
    return f->kind == HTTP1_REPLY && f->p.head.status < 200;
}

/* The next thing in `in`; false when there is no more. */
static inline bool http1_feed_step(struct http1_feed *f, struct span *in)
{
    struct span shown = *in;
    struct span data;
    enum http1_event event = http1_next(&f->p, in, &data);
    check(http1_feed_within(*in, shown) && in->ptr + in->len == shown.ptr + shown.len,
        "what is left is not the end of what was shown");
    switch (event) {
    case HTTP1_MORE:
        return false;
    case HTTP1_HEAD:
        http1_feed_check_head(&f->p.head, shown);
        http1_feed_head(f);
        return true;
    case HTTP1_DATA:
        check(data.len > 0 && http1_feed_within(data, shown), "data from elsewhere");
        check(bytes_append_span(&f->body, data) == 0, "no memory for a body");
        return true;
    case HTTP1_END:
        http1_feed_check_fields(f->p.trailers, f->p.trailer_count, shown);
        http1_feed_end(f);
        f->over = !http1_feed_is_interim(f) && (f->single || !f->p.head.keep_alive);
        http1_reset(&f->p);
        return !f->over;
    case HTTP1_BAD:
        check(http1_next(&f->p, in, &data) == HTTP1_BAD, "a refusal that is taken back");
        http1_feed_bad(f);
        return false;
    }
    bug("an event that does not exist");
}

static inline void http1_feed_eof(struct http1_feed *f, struct span left)
{
    switch (http1_eof(&f->p, left)) {
    case HTTP1_END:
        http1_feed_end(f);
        break;
    case HTTP1_BAD:
        http1_feed_bad(f);
        break;
    case HTTP1_MORE:
        break;
    default:
        bug("an event that the end cannot be");
    }
}

/* Shows `stream`: `first` bytes, then `step` at a time, then its end. The transcript is in f->out
 * until the next call. */
static inline struct span http1_feed_stream(
    struct http1_feed *f, struct span stream, size_t first, size_t step)
{
    char *memory = NULL;
    struct span in = {0};
    size_t shown = 0;
    f->table = mem_alloc((f->limits.fields_max + 1) * sizeof *f->table);
    bytes_reset(&f->out);
    bytes_reset(&f->body);
    f->over = false;
    http1_init(&f->p, f->kind, &f->limits, f->table);
    http1_replies_to(&f->p, f->answers);
    while (shown < stream.len && !f->over) {
        size_t more = shown == 0 && first > 0 ? first : step;
        if (more > stream.len - shown)
            more = stream.len - shown;
        char *fresh = mem_alloc(in.len + more);
        check(fresh, "no memory to show a stream");
        if (in.len > 0)
            memcpy(fresh, in.ptr, in.len);
        memcpy(fresh + in.len, stream.ptr + shown, more);
        shown += more;
        in = (struct span){.ptr = fresh, .len = in.len + more};
        mem_free(memory);
        memory = fresh;
        while (http1_feed_step(f, &in))
            ;
    }
    if (!f->over)
        http1_feed_eof(f, in);
    else if (f->p.fault.status == 0)
        http1_feed_left(f, (struct span){stream.ptr + shown - in.len, stream.len - shown + in.len});
    mem_free(memory);
    mem_free(f->table);
    return bytes_span(&f->out);
}
