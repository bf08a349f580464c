/*
 * exchange_read.c: an exchange's second half: the reply is read, and the connection kept or
 * dropped.
 */
#include "base/bug.h"
#include "http/exchange.h"

#include <errno.h>

/* Interim replies before the final one. */
#define INTERIM_MAX 16
/* What a streamed piece has room for at least. */
#define PIECE_ROOM  ((size_t)16 * 1024)

/* ---- What went wrong ---- */

static const char *name_of(const struct http_exchange *x)
{
    return x->origin->endpoint.text;
}

static int bad_reply(struct http_exchange *x, const char *why, struct error *e)
{
    return error_set(
        e, -EBADMSG, "reply", "the reply of %s is not understood: %s", name_of(x), why);
}

static int refused(struct http_exchange *x, struct error *e)
{
    int status = x->parser.fault.status;
    if (status == 413 || status == 414 || status == 431)
        return error_set(e, -EMSGSIZE, "reply", "the reply of %s is too large: it has %s",
            name_of(x), x->parser.fault.why);
    return bad_reply(x, x->parser.fault.why, e);
}

static int cut_off(struct http_exchange *x, const char *how, struct error *e)
{
    return error_set(e, -ECONNRESET, "reset", "%s %s the connection before its reply %s",
        name_of(x), how, x->began ? "was complete" : "began");
}

static int too_late(struct http_exchange *x, struct error *e)
{
    char limit[HTTP_SPAN_TEXT_MAX];
    stat_add(&x->client->stats->timeouts, 1);
    return error_set(e, -ETIMEDOUT, "timeout", "%s did not begin to answer within %s", name_of(x),
        http_span_text(x->client->options.first_byte_timeout, limit));
}

static int not_read(struct http_exchange *x, int rc, struct error *e)
{
    if (rc == -ECANCELED || rc == -ETIMEDOUT)
        return http_interrupted(x->origin, rc, "waiting for the reply of", e);
    if (rc == -ENOMEM || rc == -ENOBUFS)
        return error_set(e, -ENOMEM, "memory", "no room for the reply of %s", name_of(x));
    return cut_off(x, "broke", e);
}

/* ---- Reading ---- */

/* Moves what is not understood yet to the stash's beginning. */
static int put_aside(struct http_exchange *x)
{
    struct bytes *stash = &x->stash;
    bool there = stash->ptr && x->in.ptr >= stash->ptr && x->in.ptr <= stash->ptr + stash->len;
    if (there) {
        bytes_consume(stash, (size_t)(x->in.ptr - stash->ptr));
        stash->len = x->in.len;
    } else {
        bytes_reset(stash);
        int rc = bytes_append_span(stash, x->in);
        if (rc)
            return rc;
    }
    x->in = bytes_span(stash);
    return 0;
}

/* Into the arena, where a body of known length belongs. */
static ssize_t read_directly(struct http_exchange *x)
{
    ssize_t got = stream_read(x->connection->stream, x->direct, x->direct_room);
    if (got > 0)
        x->in = (struct span){.ptr = x->direct, .len = (size_t)got};
    return got;
}

/* Behind what is in the stash. */
static ssize_t read_behind(struct http_exchange *x)
{
    struct bytes *stash = &x->stash;
    int rc = put_aside(x);
    if (rc == 0)
        rc = bytes_reserve(stash, PIECE_ROOM);
    if (rc)
        return rc;
    ssize_t got =
        stream_read(x->connection->stream, stash->ptr + stash->len, stash->size - stash->len);
    if (got > 0)
        stash->len += (size_t)got;
    x->in = bytes_span(stash);
    return got;
}

/* Into the scratch, where what comes can stay if nothing was left over from before. */
static ssize_t read_scratch(struct http_exchange *x)
{
    bool left_over = x->in.len > 0;
    int rc = left_over ? put_aside(x) : 0;
    if (rc)
        return rc;
    ssize_t got = stream_read(x->connection->stream, x->client->scratch, HTTP_SCRATCH_SIZE);
    if (got <= 0)
        return got;
    x->in = (struct span){.ptr = x->client->scratch, .len = (size_t)got};
    if (!left_over)
        return got;
    rc = bytes_append_span(&x->stash, x->in);
    x->in = bytes_span(&x->stash);
    return rc ? rc : got;
}

static ssize_t read_more(struct http_exchange *x)
{
    if (x->direct && x->in.len == 0)
        return read_directly(x);
    return x->own_stash && x->reply ? read_behind(x) : read_scratch(x);
}

/* The first byte has a limit of its own, which begins again as long as a body is being sent, and
 * moves. -ETIME if that has passed. */
static ssize_t read_first(struct http_exchange *x)
{
    int64_t from = world_now(x->client->world);
    for (;;) {
        struct http_limit limit = http_limit_from(from, x->client->options.first_byte_timeout);
        CORO_DEADLINE(limit.until);
        ssize_t got = read_scratch(x);
        if (got != -ETIMEDOUT || !limit.own)
            return got;
        if (x->written_at <= from)
            return -ETIME;
        from = x->written_at;
    }
}

/* Reads once: 0, or HTTP1_END where the connection's end is the reply's too. */
static int read_once(struct http_exchange *x, struct error *e)
{
    if (!x->connection)
        return error_set(e, -ECONNRESET, "reset", "the connection to %s is lost", name_of(x));
    ssize_t got = x->began ? read_more(x) : read_first(x);
    if (got == -ETIME)
        return too_late(x, e);
    if (got < 0)
        return not_read(x, (int)got, e);
    if (got > 0) {
        x->began = true;
        return 0;
    }
    x->ended = true;
    return http1_eof(&x->parser, x->in) == HTTP1_END ? HTTP1_END : cut_off(x, "closed", e);
}

/* Where what it gives began is stored in `from`. */
static int pull(struct http_exchange *x, const char **from, struct span *data, struct error *e)
{
    for (;;) {
        *from = x->in.ptr;
        enum http1_event event = http1_next(&x->parser, &x->in, data);
        if (event == HTTP1_BAD)
            return refused(x, e);
        if (event != HTTP1_MORE)
            return event;
        int rc = read_once(x, e);
        if (rc)
            return rc;
    }
}

int exchange_pull(struct http_exchange *x, struct span *data, struct error *e)
{
    const char *from;
    return pull(x, &from, data, e);
}

/* ---- The head ---- */

static void shift(struct span *s, const char *from, const char *to)
{
    if (s->ptr)
        s->ptr = to + (s->ptr - from);
}

/* One block: the struct, its fields, and the text they point to. */
static int copy_head(struct http_exchange *x, struct span text, struct error *e)
{
    const struct http1_head *parsed = &x->parser.head;
    size_t table = parsed->field_count * sizeof(struct http_field);
    struct http1_head *head = arena_alloc(x->arena, sizeof *head + table + text.len);
    if (!head)
        return not_read(x, -ENOMEM, e);
    struct http_field *fields = (struct http_field *)(void *)(head + 1);
    char *copy = (char *)fields + table;
    memcpy(copy, text.ptr, text.len);
    *head = *parsed;
    head->fields = fields;
    shift(&head->reason, text.ptr, copy);
    for (unsigned i = 0; i < parsed->field_count; i++) {
        fields[i] = parsed->fields[i];
        shift(&fields[i].name, text.ptr, copy);
        shift(&fields[i].value, text.ptr, copy);
    }
    x->reply = head;
    return 0;
}

/* An interim reply, which has no body, is passed over. */
static int skip_interim(struct http_exchange *x, struct error *e)
{
    if (x->parser.head.status == 101)
        return bad_reply(x, "it switches to another protocol, which nobody asked for", e);
    if (++x->interim > INTERIM_MAX)
        return bad_reply(x, "too many interim replies came before the final one", e);
    struct span nothing;
    int event = exchange_pull(x, &nothing, e);
    if (event < 0)
        return event;
    check(event == HTTP1_END, "an interim reply had a body");
    http1_reset(&x->parser);
    http1_replies_to(&x->parser, x->method);
    return 0;
}

int exchange_head(struct http_exchange *x, struct error *e)
{
    for (;;) {
        const char *from;
        struct span nothing;
        int event = pull(x, &from, &nothing, e);
        if (event < 0)
            return event;
        check(event == HTTP1_HEAD, "a reply began without a head");
        if (x->parser.head.status >= 200)
            return copy_head(x, (struct span){from, (size_t)(x->in.ptr - from)}, e);
        int rc = skip_interim(x, e);
        if (rc)
            return rc;
    }
}

/* ---- Streamed ---- */

/* The end of a body in chunks. */
static int finish_request(struct http_exchange *x, struct error *e)
{
    if (!x->chunked || x->whole_written || !x->connection)
        return 0;
    char last[] = {'0', '\r', '\n', '\r', '\n'};
    struct iovec part = {last, sizeof last};
    int rc = stream_write(x->connection->stream, &part, 1);
    x->whole_written = rc == 0;
    if (rc == -ECANCELED || rc == -ETIMEDOUT)
        return http_interrupted(x->origin, rc, "sending a request to", e);
    return 0; /* a peer that no longer reads may still have sent a response */
}

static int streamed_head(struct http_exchange *x, struct error *e)
{
    int rc = finish_request(x, e);
    return rc ? rc : exchange_head(x, e);
}

int http_exchange_head(struct http_exchange *x, const struct http1_head **head, struct error *e)
{
    int rc = x->reply ? 0 : streamed_head(x, e);
    if (rc && (rc = exchange_replace(x, rc, e)) == 0) {
        rc = exchange_send_rest(x);
        rc = rc ? not_read(x, rc, e) : streamed_head(x, e);
    }
    if (rc == 0 && x->in.len > 0 && put_aside(x)) /* the caller may wait before it reads */
        rc = not_read(x, -ENOMEM, e);
    *head = rc ? NULL : x->reply;
    return rc;
}

ssize_t http_exchange_read(struct http_exchange *x, struct span *piece, struct error *e)
{
    *piece = (struct span){.ptr = "", .len = 0};
    if (x->over)
        return 0;
    check(x->reply, "http_exchange_read without http_exchange_head");
    struct span data;
    int event = exchange_pull(x, &data, e);
    if (event < 0)
        return event;
    if (event == HTTP1_END) {
        x->over = true;
        return 0;
    }
    *piece = data;
    return (ssize_t)data.len;
}

/* ---- The end ---- */

/* Nothing of this exchange can reach the next one on the connection: both halves went to their end,
 * both sides want another, and not a byte came that was not asked for. */
static bool is_reusable(const struct http_exchange *x)
{
    return x->over && x->whole_written && !x->ended && x->in.len == 0 && x->reply->keep_alive &&
           x->reply->framing != HTTP1_UNTIL_CLOSE;
}

void http_exchange_end(struct http_exchange *x)
{
    if (!x->origin)
        return;
    if (x->connection && is_reusable(x))
        connections_keep(x->connection);
    else if (x->connection)
        connections_close(x->connection);
    connections_leave(x->origin);
    bytes_release(&x->stash);
    x->connection = NULL;
    x->origin = NULL;
}
