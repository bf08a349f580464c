/*
 * request.c: the body of a request, as its handler reads it.
 *
 * A piece points into the connection's buffer and lives until the next call. A whole body has
 * memory of its own; the large rest of one whose length is known is read right into it. A body has
 * to keep up a least rate: after n bytes it may have taken body_timeout plus n / body_rate, and no
 * pause may be longer than body_timeout.
 */
#include "base/bug.h"
#include "http/internal.h"

#include <errno.h>

#define CONTINUE     "HTTP/1.1 100 Continue\r\n\r\n"
/* What is claimed first for a body of unknown length. */
#define BODY_FIRST   (16 * 1024)
/* Read at once, so that one fast client does not hold up the others. */
#define READ_AT_ONCE (256 * 1024)

static int64_t body_deadline(struct http_connection *c)
{
    const struct http_server_options *o = &c->server->options;
    c->now = world_now(c->server->world);
    if (c->active->body_began == 0)
        c->active->body_began = c->now;
    if (c->active->body_paused != 0)
        c->active->body_began += c->now - c->active->body_paused;
    c->active->body_paused = 0;
    int64_t pause = deadline_after(c->now, o->body_timeout);
    if (o->body_rate == 0)
        return pause;
    int64_t earned = time_for(c->active->request.received, o->body_rate);
    int64_t whole = deadline_after(deadline_after(c->active->body_began, o->body_timeout), earned);
    return deadline_sooner(pause, whole);
}

/* Sends 100 Continue, if the client waits for it. */
static int send_continue(struct http_connection *c)
{
    if (!request_awaits_continue(c) || c->active->reply != REPLY_NONE)
        return 0;
    c->active->continued = true;
    return bytes_append_span(&c->active->out, SPAN(CONTINUE));
}

static ssize_t failed(struct http_connection *c, int rc)
{
    c->active->body_failed = true;
    c->close_after = true;
    return rc;
}

/* Into the body's own memory where `direct`, and nothing that comes behind it; else as
 * connection_fill does. */
static ssize_t fill(struct http_connection *c, bool shared, bool direct)
{
    const struct http_request *r = &c->active->request;
    struct bytes *body = &c->active->body;
    if (!direct)
        return connection_fill(c, shared);
    uint64_t left = r->head->length - r->received;
    return connection_fill_at(
        c, body->ptr + body->len, left < READ_AT_ONCE ? (size_t)left : READ_AT_ONCE);
}

/* More of the body: how much, or a negative errno. */
static ssize_t more(struct http_connection *c, bool shared, bool direct)
{
    int rc = send_continue(c);
    if (rc)
        return rc;
    ssize_t got;
    {
        CORO_DEADLINE(body_deadline(c));
        got = fill(c, shared, direct);
    }
    if (!shared) /* the handler has it, and its time is not the client's */
        c->active->body_paused = world_now(c->server->world);
    if (got > 0 || got == -ETIMEDOUT || got == -ECANCELED || got == -ENOMEM || got == -ENOBUFS)
        return got;
    if (got == 0)
        return -ENODATA;
    c->broken = true;
    return -ECONNRESET;
}

static ssize_t read_piece(struct http_connection *c, struct span *piece, bool shared, bool direct)
{
    struct http_request *r = &c->active->request;
    if (c->active->body_failed)
        return -EBADMSG;
    if (c->active->body_done)
        return 0;
    if (r->head->framing == HTTP1_LENGTH && r->head->length > r->body_max)
        return failed(c, -EMSGSIZE);
    for (;;) {
        switch (http1_next(&c->active->parser, &c->view, piece)) {
        case HTTP1_DATA:
            r->received += piece->len;
            return r->received > r->body_max ? failed(c, -EMSGSIZE) : (ssize_t)piece->len;
        case HTTP1_END:
            c->active->body_done = true;
            return 0;
        case HTTP1_MORE: {
            ssize_t got = more(c, shared, direct);
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
    dcheck(coro_self() == r->connection->coro, "a body is read by another coroutine");
    return read_piece(r->connection, piece, false, false);
}

/* ---- A whole body ---- */

/* Room in the budget for `needed` bytes in all: 0; -EMSGSIZE, if there never can be; -ENOBUFS, if
 * there is none now. What has a length is claimed whole; what has none in doubling steps, each a
 * bound for the buffer. */
static int claim(struct http_connection *c, uint64_t needed)
{
    struct body_claim *mine = &c->active->claim;
    const struct http_request *r = &c->active->request;
    uint64_t most = body_claim_max(mine) < r->body_max ? body_claim_max(mine) : r->body_max;
    uint64_t wanted = needed;
    if (needed <= mine->bytes)
        return 0;
    if (needed > most)
        return -EMSGSIZE;
    if (r->head->framing != HTTP1_LENGTH) {
        wanted = mine->bytes > 0 ? mine->bytes * 2 : BODY_FIRST;
        wanted = wanted < needed ? needed : wanted;
        wanted = wanted < most ? wanted : most;
    }
    if (mine->bytes > 0)
        return body_claim_grow(mine, wanted - mine->bytes);
    c->now = world_now(c->server->world);
    return body_claim_take(mine, wanted, deadline_after(c->now, c->server->options.body_timeout));
}

/* Memory for a body of known length is taken at once and exactly, since it will not grow; of what
 * is large, no page is there before its bytes are. */
static int begin_body(struct http_connection *c)
{
    const struct http_request *r = &c->active->request;
    struct bytes *body = &c->active->body;
    bool known = r->head->framing == HTTP1_LENGTH;
    uint64_t most = known ? r->head->length : r->body_max;
    if (c->active->body_failed)
        return -EBADMSG;
    bytes_reset(body);
    body->max = most < SIZE_MAX / 2 ? (size_t)most : SIZE_MAX / 2;
    int rc = known ? claim(c, most) : 0;
    return rc == 0 && known ? bytes_reserve(body, body->max) : rc;
}

/* Adds a piece, which may be there already. */
static int add_piece(struct http_connection *c, struct span piece)
{
    struct bytes *body = &c->active->body;
    if (body->ptr && piece.ptr == body->ptr + body->len) {
        body->len += piece.len;
        return 0;
    }
    int rc = claim(c, body->len + piece.len);
    return rc ? rc : bytes_append_span(body, piece);
}

int http_request_body(struct http_request *r, struct span *whole)
{
    struct http_connection *c = r->connection;
    struct bytes *body = &c->active->body;
    int rc = begin_body(c);
    while (rc == 0) {
        struct span piece;
        bool direct = r->head->framing == HTTP1_LENGTH && body->max - body->len > SCRATCH_SIZE;
        ssize_t got = read_piece(c, &piece, true, direct);
        if (got == 0)
            break;
        rc = got < 0 ? (int)got : add_piece(c, piece);
    }
    /* What came behind it may be in the scratch, and the handler may wait. */
    if (c->view.len == 0)
        bytes_release(&c->in);
    else if (rc == 0)
        rc = connection_keep(c);
    *whole = (struct span){.ptr = body->len > 0 ? body->ptr : "", .len = body->len};
    return rc ? (int)failed(c, rc) : 0;
}

void request_free_body(struct http_connection *c)
{
    struct bytes *body = &c->active->body;
    if (body->size > SPARE_BYTES_MAX)
        bytes_release(body);
    body_claim_release(&c->active->claim);
}

bool request_skip_body(struct http_connection *c)
{
    struct http_request *r = &c->active->request;
    /* Without 100 Continue the client may never send it. */
    if (c->active->body_failed || request_awaits_continue(c))
        return false;
    uint64_t left = r->head->framing == HTTP1_LENGTH ? r->head->length - r->received : 0;
    if (left > SKIP_MAX)
        return false;
    r->body_max = r->received + SKIP_MAX;
    struct span piece;
    ssize_t got;
    do
        got = read_piece(c, &piece, true, false);
    while (got > 0);
    return got == 0;
}
