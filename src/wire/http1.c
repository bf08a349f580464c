/*
 * http1.c: what comes next in a stream of HTTP/1 messages.
 *
 * Heads, chunk lines and trailer sections are each understood as a whole, so it makes no difference
 * in how many pieces they arrive: what is refused, and why, is decided line by line from the front.
 * Bytes that were looked at are not looked at again, so a sender of single bytes costs no more than
 * one of whole messages.
 */
#include "wire/http1.h"

#include "base/bug.h"
#include "wire/http1_internal.h"
#include "wire/http1_parser.h"

_Static_assert(HTTP1_PARSER_SIZE >= HTTP1_LLHTTP_SIZE, "llhttp's parser has room");

/* RFC 9112, 2.2, asks for at least one; clients of old sent one after a body. */
#define BLANK_LINES_MAX 4

enum stage {
    BEFORE,     /* nothing of the message was there yet */
    IN_HEAD,    /* its start line has begun */
    IN_LENGTH,  /* a body of `left` bytes more */
    IN_REST,    /* a body until the connection's end */
    CHUNK_LINE, /* a chunk's size */
    CHUNK,      /* `left` bytes more of it */
    CHUNK_END,  /* `left` bytes more of the CR LF after it */
    TRAILERS,
    OVER,  /* all of it was there, but END was not said */
    AFTER, /* END was said */
    BAD,
};

void http1_init(struct http1 *p, enum http1_kind kind, const struct http1_limits *limits,
    struct http_field *table)
{
    check(limits->fields_max <= HTTP1_FIELDS_MAX, "a limit of %u fields is beyond reason",
        limits->fields_max);
    *p = (struct http1){.limits = limits, .kind = kind, .table = table, .answers = HTTP_GET};
}

/* llhttp's memory and what a message's beginning sets stay as they are: this is done for each
 * message. */
void http1_reset(struct http1 *p)
{
    bool interim = p->kind == HTTP1_REPLY && p->stage == AFTER && p->head.status < 200;
    if (!interim)
        p->answers = (uint8_t)HTTP_GET;
    p->head = (struct http1_head){0};
    p->fault = (struct http1_fault){0};
    p->trailers = NULL;
    p->trailer_count = 0;
    p->stage = BEFORE;
    p->blank_lines = 0;
}

void http1_replies_to(struct http1 *p, enum http_method method)
{
    p->answers = (uint8_t)method;
}

static enum http1_event bad(struct http1 *p)
{
    p->stage = BAD;
    return HTTP1_BAD;
}

static enum http1_event refuse(struct http1 *p, int status, const char *why)
{
    http1_refuse(p, status, why);
    return bad(p);
}

static void take(struct span *in, size_t count)
{
    in->ptr += count;
    in->len -= count;
}

/* ---- Sections: a head, or trailers, up to the empty line ---- */

enum section { UNFINISHED, WHOLE, REFUSED };

static bool is_start_line(const struct http1 *p)
{
    return p->stage == IN_HEAD && p->line == 0;
}

static size_t section_max(const struct http1 *p)
{
    if (p->stage == TRAILERS)
        return p->limits->trailer_max;
    size_t head = p->limits->head_max;
    size_t line = p->limits->line_max;
    return is_start_line(p) && line < head ? line : head;
}

static enum section too_long(struct http1 *p)
{
    if (is_start_line(p))
        http1_refuse(p, 414, "a start line that is too long");
    else
        http1_refuse(p, 431, "header fields that are too large");
    return REFUSED;
}

/* A line of it, with its end. */
static bool look_at_line(struct http1 *p, struct span line)
{
    bool is_empty = line.ptr[0] == '\r';
    if (line.len < 2 || line.ptr[line.len - 2] != '\r' || (is_empty && line.len > 2))
        return http1_refuse(p, 400, "a line that does not end with CR LF");
    if (line.ptr[0] == ' ' || line.ptr[0] == '\t')
        return http1_refuse(p, 400, "a line that begins with white space");
    if (!is_start_line(p))
        return true;
    p->base = line.ptr;
    p->start_len = line.len;
    return http1_start_line(p, (struct span){.ptr = line.ptr, .len = line.len - 2});
}

/* Goes on looking for the empty line; then p->scanned is the section's length. */
static enum section find_end(struct http1 *p, struct span in)
{
    for (;;) {
        size_t max = section_max(p);
        const char *feed = memchr(in.ptr + p->scanned, '\n', in.len - p->scanned);
        size_t end = feed ? (size_t)(feed - in.ptr) + 1 : in.len;
        if (end > max)
            return too_long(p);
        p->scanned = end;
        if (!feed)
            return UNFINISHED;
        struct span line = {.ptr = in.ptr + p->line, .len = end - p->line};
        if (!look_at_line(p, line))
            return REFUSED;
        if (line.len == 2)
            return WHOLE;
        p->line = end;
    }
}

/* ---- Heads ---- */

/* Passes over empty lines before a request and looks at the first byte: MORE until there is one. */
static enum http1_event begin(struct http1 *p, struct span *in)
{
    while (p->kind == HTTP1_REQUEST && in->len > 0 && in->ptr[0] == '\r') {
        if (p->blank_lines == BLANK_LINES_MAX)
            return refuse(p, 400, "too many empty lines before the request");
        if (in->len == 1)
            return HTTP1_MORE;
        if (in->ptr[1] != '\n')
            return refuse(p, 400, "a line that does not end with CR LF");
        p->blank_lines++;
        take(in, 2);
    }
    if (in->len == 0)
        return HTTP1_MORE;
    struct span first = {.ptr = in->ptr, .len = 1};
    if (p->kind == HTTP1_REPLY ? *first.ptr != 'H' : !http_token_valid(first))
        return refuse(p, 400, "bytes that are not HTTP");
    p->stage = IN_HEAD;
    p->scanned = p->line = p->start_len = 0;
    p->body_seen = 0;
    return HTTP1_HEAD;
}

static enum http1_event begin_body(struct http1 *p)
{
    switch (p->head.framing) {
    case HTTP1_NO_BODY:
        p->stage = OVER;
        break;
    case HTTP1_LENGTH:
        if (p->head.length > p->limits->body_max)
            return refuse(p, 413, "a body that is too large");
        p->left = p->head.length;
        p->stage = p->left ? IN_LENGTH : OVER;
        break;
    case HTTP1_CHUNKED:
        p->stage = CHUNK_LINE;
        p->scanned = 0;
        break;
    case HTTP1_UNTIL_CLOSE:
        p->stage = IN_REST;
        break;
    }
    return HTTP1_HEAD;
}

static enum http1_event next_head(struct http1 *p, struct span *in)
{
    switch (find_end(p, *in)) {
    case UNFINISHED:
        return HTTP1_MORE;
    case REFUSED:
        return bad(p);
    case WHOLE:
        break;
    }
    /* The bytes of the start line may have been moved since it was looked at. */
    struct span start = {.ptr = in->ptr, .len = p->start_len - 2};
    if (p->base != in->ptr && !http1_start_line(p, start))
        return bad(p);

    struct http1_table table = {.fields = p->table, .max = p->limits->fields_max};
    struct span head = {.ptr = in->ptr, .len = p->scanned};
    http1_parser_init(p->parser, p->kind == HTTP1_REPLY);
    const char *refused = http1_parser_head(p->parser, head, &table);
    if (table.full)
        return refuse(p, 431, "too many header fields");
    if (refused)
        return refuse(p, 400, refused);
    p->head.fields = table.fields;
    p->head.field_count = table.count;
    if (!http1_understand(p))
        return bad(p);
    if (p->head.framing == HTTP1_CHUNKED && !table.chunked) /* a tab after it, say */
        return refuse(p, 400, "a Transfer-Encoding that does not end with one chunked");
    take(in, p->scanned);
    return begin_body(p);
}

/* ---- Bodies ---- */

/* The piece of what is left that is there. */
static struct span take_piece(struct http1 *p, struct span *in)
{
    struct span piece = {.ptr = in->ptr, .len = in->len < p->left ? in->len : (size_t)p->left};
    take(in, piece.len);
    p->left -= piece.len;
    return piece;
}

static enum http1_event next_of_length(struct http1 *p, struct span *in, struct span *data)
{
    *data = take_piece(p, in);
    if (p->left == 0)
        p->stage = OVER;
    return HTTP1_DATA;
}

static enum http1_event next_of_rest(struct http1 *p, struct span *in, struct span *data)
{
    p->left = p->limits->body_max - p->body_seen;
    if (p->left == 0)
        return refuse(p, 413, "a body that is too large");
    *data = take_piece(p, in);
    p->body_seen += data->len;
    return HTTP1_DATA;
}

/* ---- Chunks ---- */

/* HTTP1_HEAD where the line was taken. */
static enum http1_event next_chunk_line(struct http1 *p, struct span *in)
{
    size_t max = p->limits->chunk_line_max;
    const char *feed = memchr(in->ptr + p->scanned, '\n', in->len - p->scanned);
    struct span line = {.ptr = in->ptr, .len = feed ? (size_t)(feed - in->ptr) + 1 : in->len};
    if (line.len > max)
        return refuse(p, 400, "a chunk whose extensions are too long");
    p->scanned = line.len;
    if (!feed)
        return HTTP1_MORE;

    const char *refused = http1_parser_chunk_line(p->parser, line, &p->left);
    if (refused)
        return refuse(p, 400, refused);
    if (p->left > INT64_MAX - p->body_seen)
        return refuse(p, 400, "a chunk whose size is beyond reason");
    p->body_seen += p->left;
    if (p->body_seen > p->limits->body_max)
        return refuse(p, 413, "a body that is too large");
    take(in, line.len);
    p->stage = p->left ? CHUNK : TRAILERS;
    p->scanned = p->line = 0;
    return HTTP1_HEAD;
}

static enum http1_event next_of_chunk(struct http1 *p, struct span *in, struct span *data)
{
    *data = take_piece(p, in);
    const char *refused = http1_parser_chunk(p->parser, *data);
    if (refused)
        return refuse(p, 400, refused);
    if (p->left == 0) {
        p->stage = CHUNK_END;
        p->left = 2;
    }
    return HTTP1_DATA;
}

/* HTTP1_HEAD where what is there of the CR LF was taken. */
static enum http1_event next_chunk_end(struct http1 *p, struct span *in)
{
    const char *refused = http1_parser_chunk(p->parser, take_piece(p, in));
    if (refused)
        return refuse(p, 400, refused);
    if (p->left == 0) {
        p->stage = CHUNK_LINE;
        p->scanned = 0;
    }
    return HTTP1_HEAD;
}

/* Whoever merged them into the head would read another message than we did. */
static bool trailers_allowed(const struct http1 *p)
{
    static const char *const banned[] = {"content-length", "transfer-encoding", "host"};
    for (size_t i = 0; i < sizeof banned / sizeof *banned; i++)
        if (http_field_find(p->trailers, p->trailer_count, banned[i]))
            return false;
    return true;
}

static enum http1_event next_trailers(struct http1 *p, struct span *in)
{
    switch (find_end(p, *in)) {
    case UNFINISHED:
        return HTTP1_MORE;
    case REFUSED:
        return bad(p);
    case WHOLE:
        break;
    }
    unsigned taken = p->head.field_count; /* the head's fields stay where they are */
    struct http1_table table = {.fields = p->table + taken, .max = p->limits->fields_max - taken};
    struct span section = {.ptr = in->ptr, .len = p->scanned};
    const char *refused = http1_parser_trailers(p->parser, section, &table);
    if (table.full)
        return refuse(p, 431, "too many header fields");
    if (refused)
        return refuse(p, 400, refused);
    p->trailers = table.fields;
    p->trailer_count = table.count;
    if (!trailers_allowed(p))
        return refuse(p, 400, "a trailer that belongs into the head");
    take(in, p->scanned);
    p->stage = AFTER;
    return HTTP1_END;
}

enum http1_event http1_next(struct http1 *p, struct span *in, struct span *data)
{
    *data = (struct span){0};
    for (;;) {
        enum http1_event event = HTTP1_MORE;
        if (p->stage == OVER) {
            p->stage = AFTER;
            return HTTP1_END;
        }
        if (p->stage == BAD)
            return HTTP1_BAD;
        check(p->stage != AFTER, "the message is over: http1_reset is missing");
        if (in->len == 0)
            return HTTP1_MORE;
        switch ((enum stage)p->stage) {
        case BEFORE:
            event = begin(p, in);
            break;
        case IN_HEAD:
            return next_head(p, in);
        case IN_LENGTH:
            return next_of_length(p, in, data);
        case IN_REST:
            return next_of_rest(p, in, data);
        case CHUNK_LINE:
            event = next_chunk_line(p, in);
            break;
        case CHUNK:
            return next_of_chunk(p, in, data);
        case CHUNK_END:
            event = next_chunk_end(p, in);
            break;
        case TRAILERS:
            return next_trailers(p, in);
        default:
            return HTTP1_BAD;
        }
        if (event != HTTP1_HEAD) /* else: on to the next stage */
            return event;
    }
}

enum http1_event http1_eof(struct http1 *p, struct span left)
{
    switch ((enum stage)p->stage) {
    case BEFORE:
        if (left.len == 0)
            return HTTP1_MORE;
        break;
    case IN_REST:
        if (left.len == 0) {
            p->stage = AFTER;
            return HTTP1_END;
        }
        break;
    case OVER:
    case AFTER:
        p->stage = AFTER;
        return HTTP1_END;
    case BAD:
        return HTTP1_BAD;
    default:
        break;
    }
    return refuse(p, 400, "a message that was cut off");
}
