/*
 * request.c: the body of a request, as its handler reads it.
 *
 * A piece points into the connection's buffer and lives until the next call. A body has to keep
 * up a least rate: after n bytes it may have taken body_timeout plus n / body_rate, and no pause
 * may be longer than body_timeout.
 */
#include "http/internal.h"

#include <errno.h>

#define CONTINUE   "HTTP/1.1 100 Continue\r\n\r\n"
/* The first share of the arena that a body of unknown or large size gets. */
#define BODY_FIRST (16 * 1024)

static int64_t body_deadline(struct http_connection *c)
{
    const struct http_server_options *o = &c->server->options;
    c->now = world_now(c->server->world);
    if (c->work->body_began == 0)
        c->work->body_began = c->now;
    if (c->work->body_paused != 0)
        c->work->body_began += c->now - c->work->body_paused;
    c->work->body_paused = 0;
    int64_t pause = deadline_after(c->now, o->body_timeout);
    if (o->body_rate == 0)
        return pause;
    int64_t earned = time_for(c->work->request.received, o->body_rate);
    int64_t whole = deadline_after(deadline_after(c->work->body_began, o->body_timeout), earned);
    return deadline_sooner(pause, whole);
}

/* The client may wait for our word before it sends. */
static int say_continue(struct http_connection *c)
{
    if (!request_awaits_word(c) || c->work->reply != REPLY_NONE)
        return 0;
    c->work->continued = true;
    return bytes_append_span(&c->work->out, SPAN(CONTINUE));
}

static ssize_t failed(struct http_connection *c, int rc)
{
    c->work->body_failed = true;
    c->close_after = true;
    return rc;
}

static ssize_t more(struct http_connection *c, bool shared)
{
    int rc = say_continue(c);
    if (rc)
        return rc;
    CORO_DEADLINE(body_deadline(c));
    ssize_t got = connection_fill(c, shared);
    if (!shared) /* the handler has it, and its time is not the client's */
        c->work->body_paused = world_now(c->server->world);
    return got == 0 ? -ECONNRESET : got;
}

static ssize_t read_piece(struct http_connection *c, struct span *piece, bool shared)
{
    struct http_request *r = &c->work->request;
    if (c->work->body_failed)
        return -EBADMSG;
    if (c->work->body_done)
        return 0;
    if (r->head->framing == HTTP1_LENGTH && r->head->length > r->body_max)
        return failed(c, -EMSGSIZE);
    for (;;) {
        switch (http1_next(&c->work->parser, &c->view, piece)) {
        case HTTP1_DATA:
            r->received += piece->len;
            return r->received > r->body_max ? failed(c, -EMSGSIZE) : (ssize_t)piece->len;
        case HTTP1_END:
            c->work->body_done = true;
            return 0;
        case HTTP1_MORE: {
            ssize_t got = more(c, shared);
            if (got < 0)
                return failed(c, (int)got);
            break;
        }
        default:
            return failed(c, -EBADMSG);
        }
    }
}

ssize_t http_request_read(struct http_request *r, struct span *piece)
{
    return read_piece(r->connection, piece, false);
}

int http_request_body(struct http_request *r, struct span *body)
{
    struct http_connection *c = r->connection;
    size_t size = 0, len = 0;
    char *whole = NULL;
    for (;;) {
        struct span piece;
        ssize_t got = read_piece(c, &piece, true);
        if (got < 0)
            return (int)got;
        if (got == 0)
            break;
        if (piece.len > size - len) {
            uint64_t left = r->head->framing == HTTP1_LENGTH ? r->head->length - len : piece.len;
            size_t bigger = size ? size * 2 : BODY_FIRST;
            if (r->head->framing == HTTP1_LENGTH && left < bigger)
                bigger = len + (size_t)left;
            if (bigger < len + piece.len)
                bigger = len + piece.len;
            char *moved = arena_alloc(r->arena, bigger);
            if (!moved)
                return (int)failed(c, -ENOMEM);
            if (len > 0)
                memcpy(moved, whole, len);
            whole = moved;
            size = bigger;
        }
        if (whole && piece.len > 0)
            memcpy(whole + len, piece.ptr, piece.len);
        len += piece.len;
    }
    /* What came behind it may be in the scratch, and the handler may wait. */
    int rc = connection_keep(c);
    if (rc)
        return (int)failed(c, rc);
    *body = (struct span){.ptr = whole ? whole : "", .len = len};
    return 0;
}

bool request_skip_body(struct http_connection *c)
{
    struct http_request *r = &c->work->request;
    /* A client that was not told to go on may never send it. */
    if (c->work->body_failed || request_awaits_word(c))
        return false;
    uint64_t left = r->head->framing == HTTP1_LENGTH ? r->head->length - r->received : 0;
    if (left > SKIP_MAX)
        return false;
    r->body_max = r->received + SKIP_MAX;
    struct span piece;
    ssize_t got;
    do
        got = read_piece(c, &piece, true);
    while (got > 0);
    return got == 0;
}
