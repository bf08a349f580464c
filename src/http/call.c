/*
 * call.c: a whole call: the request goes out, the whole reply comes back in the arena.
 *
 * The usual call is one write and one read. A request that does not go out in one write is sent by
 * a child, while the caller reads already: a server that refuses it need not read all of it first,
 * and one that answers while it reads is not kept waiting.
 */
#include "base/bug.h"
#include "coro/group.h"
#include "http/exchange.h"

#include <errno.h>

/* The room of a body of unknown length, at first. */
#define BODY_ROOM ((size_t)1024)

/* ---- Bodies ---- */

static int too_long(struct http_exchange *x, struct error *e)
{
    return error_set(e, -EMSGSIZE, "reply", "the reply of %s is longer than %llu bytes",
        x->origin->endpoint.text, (unsigned long long)x->client->options.body_max);
}

static int no_room(struct http_exchange *x, struct error *e)
{
    return error_set(e, -ENOMEM, "memory", "no room for the reply of %s", x->origin->endpoint.text);
}

/* What came with the head is copied; the rest is read to where it stays. There is room for a byte
 * more, in which a server that sends too much betrays itself. */
static int read_of_length(struct http_exchange *x, struct span *body, struct error *e)
{
    uint64_t length = x->reply->length;
    if (length > x->client->options.body_max)
        return too_long(x, e);
    char *block = arena_alloc(x->arena, (size_t)length + 1);
    if (!block)
        return no_room(x, e);
    size_t done = 0;
    for (;;) {
        struct span piece;
        x->direct = block + done;
        x->direct_room = (size_t)length + 1 - done;
        int event = exchange_pull(x, &piece, e);
        if (event < 0)
            return event;
        if (event == HTTP1_END)
            break;
        if (piece.ptr != block + done)
            memcpy(block + done, piece.ptr, piece.len);
        done += piece.len;
    }
    *body = (struct span){.ptr = block, .len = done};
    return 0;
}

struct gathered {
    char *ptr;
    size_t len;
    size_t room;
};

/* Moves to twice the room when it is full. What came with the head mostly fits at once. */
static int gather(struct http_exchange *x, struct gathered *g, struct span piece, struct error *e)
{
    if (piece.len > x->client->options.body_max - g->len)
        return too_long(x, e);
    if (piece.len > g->room - g->len) {
        size_t room = g->room ? 2 * g->room : piece.len + x->in.len;
        if (room < g->len + piece.len)
            room = g->len + piece.len;
        if (room < BODY_ROOM)
            room = BODY_ROOM;
        char *block = arena_alloc(x->arena, room);
        if (!block)
            return no_room(x, e);
        if (g->len > 0)
            memcpy(block, g->ptr, g->len);
        g->ptr = block;
        g->room = room;
    }
    memcpy(g->ptr + g->len, piece.ptr, piece.len);
    g->len += piece.len;
    return 0;
}

static int read_of_unknown(struct http_exchange *x, struct span *body, struct error *e)
{
    struct gathered g = {0};
    for (;;) {
        struct span piece;
        int event = exchange_pull(x, &piece, e);
        if (event < 0)
            return event;
        if (event == HTTP1_END)
            break;
        int rc = piece.len ? gather(x, &g, piece, e) : 0;
        if (rc)
            return rc;
    }
    *body = (struct span){.ptr = g.len ? g.ptr : "", .len = g.len};
    return 0;
}

static int read_body(struct http_exchange *x, struct span *body, struct error *e)
{
    bool known = x->reply->framing == HTTP1_LENGTH;
    int rc = known ? read_of_length(x, body, e) : read_of_unknown(x, body, e);
    x->over = rc == 0;
    return rc;
}

/* ---- Calls ---- */

static int send_rest(void *arg)
{
    return exchange_send_rest(arg);
}

static int read_while_sending(struct http_exchange *x, struct span *body, struct error *e)
{
    GROUP(sender, GROUP_INDEPENDENT); /* if it fails, so does reading the response */
    x->written_at = world_now(x->client->world);
    int rc = group_spawn(&sender, "http send", send_rest, x);
    if (rc)
        return error_set(e, rc, rc == -ENOMEM ? "memory" : "canceled",
            "cannot send a request to %s: %s", x->origin->endpoint.text, error_text(rc));
    rc = exchange_head(x, e);
    if (rc == 0 && x->reply->status >= 400)
        group_cancel(&sender); /* it will not read the rest (RFC 9112, 9.5) */
    return rc ? rc : read_body(x, body, e);
}

static int attempt(struct http_exchange *x, struct span *body, struct error *e)
{
    int rc = exchange_send(x, e);
    if (rc)
        return rc;
    if (!x->whole_written)
        return read_while_sending(x, body, e);
    rc = exchange_head(x, e);
    return rc ? rc : read_body(x, body, e);
}

int http_call(struct http_client *c, const struct http_client_request *request, struct arena *arena,
    struct http_response *response, struct error *e)
{
    struct http_exchange x;
    *response = (struct http_response){0};
    check(request->streamed == 0, "http_call sends whole bodies; to stream one, begin an exchange");
    int rc = exchange_begin(&x, c, request, arena, e);
    if (rc)
        return rc;
    rc = attempt(&x, &response->body, e);
    if (rc && (rc = exchange_replace(&x, rc, e)) == 0)
        rc = attempt(&x, &response->body, e);
    if (rc == 0)
        response->head = x.reply;
    http_exchange_end(&x);
    return rc;
}
