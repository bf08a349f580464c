/*
 * reply.c: what is answered: heads, bodies with a length or in chunks, problems.
 *
 * A reply is gathered in the connection's buffer, a short body behind its head, and leaves with
 * one write; with replies to pipelined requests before it, if their requests came together. A
 * long body is written from where it is.
 */
#include "http/internal.h"

#include "base/bug.h"
#include "base/limits.h"

#include <errno.h>
#include <stdio.h>

/* ---- Sending ---- */

/* A client that reads must read at a least rate, too: as bodies must come. */
static int64_t write_deadline(const struct http_connection *c, int64_t began, uint64_t sent)
{
    const struct http_server_options *o = &c->server->options;
    int64_t pause = deadline_after(c->now, o->write_timeout);
    if (o->body_rate == 0 || sent == 0)
        return pause;
    int64_t earned = time_for(sent, o->body_rate);
    return deadline_sooner(pause, deadline_after(deadline_after(began, o->write_timeout), earned));
}

static void add_part(struct iovec *parts, int *count, struct span s)
{
    if (s.len == 0)
        return;
    /* A copy instead of a cast, since iovec is for reading and writing alike. */
    memcpy(&parts[*count].iov_base, &s.ptr, sizeof(s.ptr));
    parts[(*count)++].iov_len = s.len;
}

/* Sends what is gathered, and behind it the body and the tail. c->now has just been read. */
static int send_now(struct http_connection *c, struct span body, struct span tail)
{
    struct bytes *out = &c->active->out;
    struct iovec parts[3];
    int first = 0, last = 0;
    add_part(parts, &last, bytes_span(out));
    add_part(parts, &last, body);
    add_part(parts, &last, tail);
    int64_t began = c->now;
    uint64_t sent = 0;
    while (first < last && !c->broken) {
        CORO_DEADLINE(write_deadline(c, began, sent));
        ssize_t wrote = stream_write_some(c->stream, parts + first, last - first);
        if (wrote < 0) {
            c->broken = true;
            bytes_reset(out);
            return (int)wrote;
        }
        sent += (uint64_t)wrote;
        for (; first < last && (size_t)wrote >= parts[first].iov_len; first++)
            wrote -= (ssize_t)parts[first].iov_len;
        if (first < last) {
            parts[first].iov_base = (char *)parts[first].iov_base + wrote;
            parts[first].iov_len -= (size_t)wrote;
            c->now = world_now(c->server->world);
        }
    }
    bytes_reset(out);
    return c->broken ? -EPIPE : 0;
}

int reply_flush(struct http_connection *c)
{
    c->now = world_now(c->server->world);
    return send_now(c, SPAN(""), SPAN(""));
}

int http_request_waits(struct http_request *r)
{
    struct http_connection *c = r->connection;
    int rc = c->active->out.len > 0 ? reply_flush(c) : 0;
    if (rc == 0 && c->active->reply == REPLY_NONE) {
        c->active->watched = true;
        stream_cancel_on_end(c->stream, c->coro);
    }
    return rc;
}

/* After something was gathered: sends it, unless more requests are here, whose replies may go
 * along. */
static int send_soon(struct http_connection *c)
{
    if (c->view.len > 0 && c->active->reply == REPLY_DONE && c->active->out.len < GATHER_MAX)
        return 0;
    return send_now(c, SPAN(""), SPAN(""));
}

/* ---- Server-Timing ---- */

#define TIMING_MAX 160 /* four spans of at most 17 digits, and their names */

/* A span in milliseconds, with three decimals: where it ends. */
static char *put_ms(char *to, int64_t ns)
{
    char digits[24];
    char *first = digits + sizeof(digits);
    uint64_t us = ns > 0 ? (uint64_t)ns / NS_PER_US : 0;
    for (int i = 0; i < 3; i++, us /= 10)
        *--first = (char)('0' + us % 10);
    *--first = '.';
    do
        *--first = (char)('0' + us % 10);
    while (us /= 10);
    size_t len = (size_t)(digits + sizeof(digits) - first);
    memcpy(to, first, len);
    return to + len;
}

static char *put(char *to, struct span text)
{
    memcpy(to, text.ptr, text.len);
    return to + text.len;
}

/* The field, for every reply: no formatting, and most have nothing to say but the last. */
static int write_timing(struct http_connection *c, struct bytes *out)
{
    const struct http_request *r = &c->active->request;
    const struct http_timing *t = &r->timing;
    int rc = bytes_reserve(out, TIMING_MAX);
    if (rc)
        return rc;
    char *to = out->ptr + out->len;
    if (t->queue | t->cpu | t->wait) {
        to = put_ms(put(to, SPAN("Server-Timing: queue;dur=")), t->queue);
        to = put_ms(put(to, SPAN(", cpu;dur=")), t->cpu);
        to = put_ms(put(to, SPAN(", wait;dur=")), t->wait);
        to = put(to, SPAN(", io;dur="));
    } else {
        to =
            put(to, SPAN("Server-Timing: queue;dur=0.000, cpu;dur=0.000, wait;dur=0.000, io;dur="));
    }
    to = put(put_ms(to, c->now - r->began - t->flow), SPAN("\r\n"));
    out->len = (size_t)(to - out->ptr);
    return 0;
}

/* ---- Heads ---- */

static void stamp(struct http_server *s, int64_t now)
{
    int64_t wall = world_wall(s->world);
    struct bytes b = {.ptr = s->stamp, .size = sizeof(s->stamp), .max = sizeof(s->stamp)};
    char date[CALENDAR_HTTP_LEN + 1];
    struct calendar calendar = calendar_of(wall);
    calendar_print_http(&calendar, date);
    int rc = 0;
    if (s->options.server && *s->options.server)
        rc = http1_write_field(&b, SPAN("Server"), span_of(s->options.server));
    if (rc == 0 && s->options.date)
        rc = http1_write_field(&b, SPAN("Date"), span_of(date));
    check(rc == 0, "the Server field '%s' cannot be written", s->options.server);
    s->stamp_len = b.len;
    int64_t of_second = wall % NS_PER_S;
    s->stamp_until = now + NS_PER_S - (of_second < 0 ? of_second + NS_PER_S : of_second);
}

static bool ours(struct span name)
{
    switch (name.len) {
    case 4:
        return http_name_equal(name, "date");
    case 6:
        return http_name_equal(name, "server");
    case 10:
        return http_name_equal(name, "connection");
    case 14:
        return http_name_equal(name, "content-length");
    case 17:
        return http_name_equal(name, "transfer-encoding");
    default:
        return false;
    }
}

/* Whether a reply has no content, whatever was asked: and then no type of it either. */
static bool is_empty(int status)
{
    return status < 200 || status == 204 || status == 205 || status == 304;
}

static int write_fields(
    struct bytes *out, int status, const struct http_field *fields, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (ours(fields[i].name))
            return -EINVAL;
        if (is_empty(status) && http_name_equal(fields[i].name, "content-type"))
            continue;
        int rc = http1_write_field(out, fields[i].name, fields[i].value);
        if (rc)
            return rc;
    }
    return 0;
}

static int write_connection(struct http_connection *c, struct bytes *out)
{
    const struct http1_head *head = c->active->request.head;
    if (c->close_after)
        return bytes_append_span(out, SPAN("Connection: close\r\n"));
    if (head->minor == 0)
        return bytes_append_span(out, SPAN("Connection: keep-alive\r\n"));
    return 0;
}

static bool has_body(const struct http_connection *c, int status)
{
    return !is_empty(status) && c->active->request.head->method != HTTP_HEAD;
}

/* Whether the connection can go on after this reply is known now: of a body that nobody has read,
 * only so much is read after. While a reply is streamed, its handler may read on. */
static void settle_end(struct http_connection *c, bool whole)
{
    const struct http1_head *head = c->active->request.head;
    if (c->server->draining || c->active->body_failed)
        c->close_after = true;
    if (c->active->body_done || head->framing == HTTP1_NO_BODY)
        return;
    if (whole && head->framing == HTTP1_LENGTH &&
        head->length - c->active->request.received > SKIP_MAX)
        c->close_after = true;
    if (request_awaits_continue(c))
        c->close_after = true;
}

/* `length`: of the body; -1: chunked, or until close. On failure nothing was gathered. */
static int write_head(struct http_connection *c, int status, const struct http_field *fields,
    unsigned count, int64_t length)
{
    struct http_server *s = c->server;
    struct bytes *out = &c->active->out;
    size_t before = out->len;
    reply_unwatch(c);
    /* For the Date and for the deadline of what is sent next: the handler may have waited long. */
    c->now = world_now(s->world);
    if (c->now >= s->stamp_until)
        stamp(s, c->now);
    int rc = http1_write_status_line(out, status);
    if (rc == 0)
        rc = bytes_append(out, s->stamp, s->stamp_len);
    if (rc == 0)
        rc = write_fields(out, status, fields, count);
    if (rc == 0)
        rc = http1_write_field(out, SPAN("X-Request-Id"), span_of(c->active->request.id));
    if (rc == 0 && s->options.timing)
        rc = write_timing(c, out);
    /* A 304's Content-Length is that of its 200, which is unknown here. */
    if (rc == 0 && length >= 0 && status != 204 && (status != 304 || length > 0))
        rc = http1_write_length(out, (uint64_t)length);
    if (rc == 0 && c->active->chunking)
        rc = bytes_append_span(out, SPAN("Transfer-Encoding: chunked\r\n"));
    if (rc == 0)
        rc = write_connection(c, out);
    if (rc == 0)
        rc = http1_write_head_end(out);
    if (rc) {
        out->len = before;
        return rc;
    }
    c->active->request.status = status;
    return 0;
}

/* ---- Whole replies ---- */

int http_reply(struct http_request *r, int status, const struct http_field *fields, unsigned count,
    struct span body)
{
    struct http_connection *c = r->connection;
    check(c->active->reply == REPLY_NONE, "a request is answered twice");
    check(status >= 200 && status <= 599, "%d is no final status", status);
    if (c->broken)
        return -EPIPE;
    settle_end(c, true);
    if (status == 205) /* has an empty body, but a Content-Length */
        body = SPAN("");
    int rc = write_head(c, status, fields, count, (int64_t)body.len);
    if (rc)
        return rc;
    c->active->reply = REPLY_DONE;
    if (!has_body(c, status))
        return send_soon(c);
    r->sent = body.len;
    if (body.len > GATHER_MAX || bytes_append_span(&c->active->out, body) != 0)
        return send_now(c, body, SPAN(""));
    return send_soon(c);
}

/* "content-too-large" for "Content Too Large". */
static void name_of_title(const char *title, char *name, size_t size)
{
    size_t len = 0;
    for (; *title && len + 1 < size; title++)
        name[len++] = *title == ' ' ? '-' : (char)(*title | 0x20);
    name[len] = '\0';
}

static int reply_with(struct http_request *r, const struct problem *p,
    const struct http_field *fields, unsigned count)
{
    struct bytes text;
    bytes_init(&text, PROBLEM_TEXT_MAX);
    int rc = problem_encode(p, &text);
    if (rc == 0)
        rc = bytes_append_byte(&text, '\n');
    struct http_field all[ROOM_FOR_FIELDS + 1] = {{SPAN("Content-Type"), SPAN(PROBLEM_MEDIA_TYPE)}};
    check(count <= ROOM_FOR_FIELDS, "a problem with %u fields", count);
    if (count > 0)
        memcpy(all + 1, fields, count * sizeof(*fields));
    if (rc == 0)
        rc = http_reply(r, p->status, all, count + 1, bytes_span(&text));
    bytes_release(&text);
    return rc;
}

static void make_problem(
    struct problem *p, const struct http_request *r, int status, const struct error *e)
{
    problem_from_error(p, e, r->id);
    if (status == 0)
        return;
    p->status = status;
    snprintf(p->title, sizeof(p->title), "%s", problem_title(status));
}

int http_reply_problem(struct http_request *r, int status, const struct error *e,
    const struct http_field *fields, unsigned count)
{
    struct problem p;
    make_problem(&p, r, status, e);
    return reply_with(r, &p, fields, count);
}

int http_reply_status(struct http_request *r, int status, const struct http_field *fields,
    unsigned count, const char *sentence)
{
    struct error e;
    char type[ERROR_TYPE_MAX];
    name_of_title(problem_title(status), type, sizeof(type));
    error_set(&e, -EINVAL, type, "%s", sentence);
    struct problem p;
    make_problem(&p, r, status, &e);
    return reply_with(r, &p, fields, count);
}

/* ---- Streamed replies ---- */

int http_reply_begin(struct http_request *r, int status, const struct http_field *fields,
    unsigned count, int64_t length)
{
    struct http_connection *c = r->connection;
    check(c->active->reply == REPLY_NONE, "a request is answered twice");
    check(status >= 200 && status <= 599, "%d is no final status", status);
    if (c->broken)
        return -EPIPE;
    bool endless = length < 0 && has_body(c, status);
    c->active->chunking = endless && r->head->minor >= 1;
    if (endless && !c->active->chunking)
        c->close_after = true;
    settle_end(c, false);
    if (status == 205)
        length = 0;
    int rc = write_head(c, status, fields, count, length);
    if (rc) {
        c->active->chunking = false;
        return rc;
    }
    c->active->reply = REPLY_BODY;
    c->active->reply_left = has_body(c, status) ? length : 0;
    return send_now(c, SPAN(""), SPAN(""));
}

int http_reply_write(struct http_request *r, struct span piece)
{
    struct http_connection *c = r->connection;
    check(c->active->reply == REPLY_BODY, "a reply goes on that was not begun, or has ended");
    if (piece.len == 0 || !has_body(c, r->status))
        return 0;
    r->sent += piece.len;
    if (c->active->reply_left >= 0) {
        check((uint64_t)c->active->reply_left >= piece.len, "a reply is longer than its length");
        c->active->reply_left -= (int64_t)piece.len;
    }
    c->now = world_now(c->server->world);
    if (!c->active->chunking)
        return send_now(c, piece, SPAN(""));
    char head[HTTP1_CHUNK_HEAD_MAX];
    int rc = bytes_append(&c->active->out, head, http1_chunk_head(head, piece.len));
    return rc ? rc : send_now(c, piece, SPAN("\r\n"));
}

int http_reply_end(struct http_request *r, const struct http_field *trailers, unsigned count)
{
    struct http_connection *c = r->connection;
    check(c->active->reply == REPLY_BODY, "a reply ends that was not begun, or has ended");
    check(c->active->reply_left <= 0, "a reply is shorter than its length");
    int rc = c->active->chunking ? http1_write_last_chunk(&c->active->out, trailers, count) : 0;
    if (rc)
        return rc;
    c->active->reply = REPLY_DONE;
    c->active->chunking = false;
    c->now = world_now(c->server->world);
    return send_soon(c);
}
