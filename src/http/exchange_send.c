/*
 * exchange_send.c: an exchange's first half: the request is put together, gets a connection and
 * goes out.
 *
 * The head is written into the arena once, whatever becomes of the connection, so that it can be
 * sent again; with the body it is one system call. Only the time in its Weir-Deadline field is
 * written each time it is sent.
 */
#include "base/bug.h"
#include "http/exchange.h"
#include "wire/deadline.h"

#include <errno.h>

/* ---- Putting it together ---- */

/* Fields that speak of the connection, which is the client's affair, or would have it speak another
 * protocol. */
static bool is_own_field(struct span name)
{
    static const struct span own[] = {
        {"host", 4},
        {"connection", 10},
        {"content-length", 14},
        {"transfer-encoding", 17},
        {"keep-alive", 10},
        {"proxy-connection", 16},
        {"upgrade", 7},
        {"te", 2},
        {"trailer", 7},
        {"expect", 6},
        {"http2-settings", 14},
    };
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (name.len == own[i].len && http_same(name.ptr, own[i].ptr, name.len))
            return true;
    return false;
}

/* RFC 9110, 9.2.2. */
static bool is_idempotent(enum http_method method)
{
    switch (method) {
    case HTTP_GET:
    case HTTP_HEAD:
    case HTTP_PUT:
    case HTTP_DELETE:
    case HTTP_OPTIONS:
    case HTTP_TRACE:
        return true;
    default:
        return false;
    }
}

static bool needs_length(const struct http_client_request *request, enum http_method method)
{
    if (request->streamed < 0)
        return false;
    bool expects_one = method == HTTP_POST || method == HTTP_PUT || method == HTTP_PATCH;
    return request->streamed > 0 || request->body.len > 0 || expects_one;
}

static size_t head_room(const struct http_client_request *request)
{
    size_t room = request->method.len + request->target.len + sizeof "  HTTP/1.1\r\n" +
                  sizeof "Host: \r\n" + strlen(request->origin->endpoint.authority) +
                  sizeof "Content-Length: 18446744073709551615\r\n" +
                  sizeof "Transfer-Encoding: chunked\r\n" + sizeof "\r\n" +
                  sizeof DEADLINE_FIELD ": \r\n" + DEADLINE_TEXT_MAX;
    for (unsigned i = 0; i < request->field_count; i++)
        room += request->fields[i].name.len + request->fields[i].value.len + sizeof ": \r\n";
    return room;
}

static int refuse(struct http_origin *o, struct error *e, const char *what, struct span which)
{
    return error_set(e, -EINVAL, "request", "a request to %s cannot be sent: %s '%.*s'",
        o->endpoint.text, what, which.len < 80 ? (int)which.len : 80, which.ptr ? which.ptr : "");
}

static int write_fields(
    struct bytes *out, const struct http_client_request *request, struct error *e)
{
    for (unsigned i = 0; i < request->field_count; i++) {
        const struct http_field *f = &request->fields[i];
        if (is_own_field(f->name))
            return refuse(request->origin, e, "this field is the client's own:", f->name);
        if (http1_write_field(out, f->name, f->value))
            return refuse(
                request->origin, e, "this field cannot be written as it stands:", f->name);
    }
    return 0;
}

static int write_request_line(struct bytes *out, enum http_method method,
    const struct http_client_request *request, struct error *e)
{
    if (!http_token_valid(request->method) || method == HTTP_CONNECT)
        return refuse(request->origin, e, "its method is", request->method);
    bool own_form =
        request->target.len > 0 && (request->target.ptr[0] == '/' || request->target.ptr[0] == '*');
    if (!own_form || http1_write_request_line(out, request->method, request->target))
        return refuse(request->origin, e, "its target is", request->target);
    return 0;
}

/* Room for the time, for write_deadline. */
static int write_deadline_field(struct http_exchange *x, struct bytes *out)
{
    static const char room[DEADLINE_TEXT_MAX + 1] = "00000000000000000000";
    int rc = http1_write_field(out, (struct span){DEADLINE_FIELD, sizeof DEADLINE_FIELD - 1},
        (struct span){room, DEADLINE_TEXT_MAX});
    x->deadline = out->ptr + out->len - strlen("\r\n") - DEADLINE_TEXT_MAX;
    return rc;
}

static int write_head(
    struct http_exchange *x, const struct http_client_request *request, struct error *e)
{
    size_t room = head_room(request);
    /* It has all the room that it will need, so it never grows. */
    struct bytes out = {.ptr = arena_alloc(x->arena, room), .size = room, .max = room};
    if (!out.ptr)
        return error_set(
            e, -ENOMEM, "memory", "out of memory for a request to %s", x->origin->endpoint.text);
    int rc = write_request_line(&out, x->method, request, e);
    if (rc)
        return rc;
    rc = http1_write_field(&out, SPAN("Host"), span_of(x->origin->endpoint.authority));
    check(rc == 0, "the authority of %s cannot be written", x->origin->endpoint.text);
    rc = write_fields(&out, request, e);
    if (rc)
        return rc;
    if (request->send_deadline)
        rc = write_deadline_field(x, &out);
    if (rc == 0 && x->chunked)
        rc = http1_write_field(&out, SPAN("Transfer-Encoding"), SPAN("chunked"));
    else if (rc == 0 && needs_length(request, x->method))
        rc = http1_write_length(&out,
            request->streamed > 0 ? (uint64_t)request->streamed : (uint64_t)request->body.len);
    if (rc == 0)
        rc = http1_write_head_end(&out);
    check(rc == 0, "a request's head did not fit into its %zu bytes", room);
    x->head = bytes_span(&out);
    return 0;
}

/* ---- Its connection ---- */

static void await_reply(struct http_exchange *x)
{
    http1_init(&x->parser, HTTP1_REPLY, &x->client->options.limits, x->client->table);
    http1_replies_to(&x->parser, x->method);
    x->in = (struct span){.ptr = x->client->scratch, .len = 0};
}

static void prepare(struct http_exchange *x, struct http_client *c,
    const struct http_client_request *request, struct arena *arena)
{
    *x = (struct http_exchange){
        .client = c,
        .origin = request->origin,
        .arena = arena,
        .body = request->streamed == 0 ? request->body : (struct span){0},
        .chunked = request->streamed<0, .announced = request->streamed> 0 ? request->streamed : 0,
    };
    (void)http_method_find(request->method, &x->method); /* an unknown one is HTTP_OTHER */
    x->idempotent = is_idempotent(x->method);
    /* What is not understood yet of a head, and what one read may add. */
    bytes_init(&x->stash, c->options.limits.head_max + 2 * (size_t)HTTP_SCRATCH_SIZE);
}

int exchange_begin(struct http_exchange *x, struct http_client *c,
    const struct http_client_request *request, struct arena *arena, struct error *e)
{
    check(request->origin->client == c, "a call was given an origin of another client");
    prepare(x, c, request, arena);
    stat_add(&c->stats->calls, 1);
    int rc = coro_poll();
    if (rc)
        return http_interrupted(x->origin, rc, "about to call", e);
    rc = write_head(x, request, e);
    if (rc == 0)
        rc = connections_enter(x->origin, e);
    if (rc)
        return rc;
    x->connection = connections_take(x->origin);
    x->reused = x->connection;
    if (!x->connection)
        rc = connections_open(x->origin, &x->connection, e);
    if (rc)
        connections_leave(x->origin);
    else
        await_reply(x);
    return rc;
}

/* A request on a kept connection that ended before the reply began was most likely not seen: the
 * connection was being closed meanwhile. "Most likely" is enough where asking twice does no harm;
 * elsewhere it must be certain, which it is if not a byte was taken. */
static bool may_send_again(const struct http_exchange *x, int rc)
{
    if (rc != -EPIPE && rc != -ECONNRESET)
        return false;
    return x->reused && !x->began && !x->streamed && (x->idempotent || x->written == 0);
}

int exchange_replace(struct http_exchange *x, int rc, struct error *e)
{
    if (!may_send_again(x, rc))
        return rc;
    stat_add(&x->client->stats->stale_retries, 1);
    connections_close(x->connection);
    x->connection = NULL;
    x->reused = x->ended = x->whole_written = false;
    x->written = 0;
    if (e)
        error_clear(e);
    rc = connections_open(x->origin, &x->connection, e);
    if (rc == 0)
        await_reply(x);
    return rc;
}

/* ---- Sending ---- */

static int not_sent(struct http_exchange *x, int rc, struct error *e)
{
    if (rc == -ECANCELED || rc == -ETIMEDOUT)
        return http_interrupted(x->origin, rc, "sending a request to", e);
    return error_set(e, rc, "reset", "%s ended the connection while it was sent a request: %s",
        x->origin->endpoint.text, error_text(rc));
}

/* Who writes does not write to the parts, but takes them without const. */
static struct iovec part_of(struct span s, size_t from)
{
    return (struct iovec){.iov_base = (void *)(uintptr_t)(s.ptr + from), .iov_len = s.len - from};
}

/* What is left of head and body. */
static int parts_left(const struct http_exchange *x, struct iovec parts[2])
{
    struct span head = x->head;
    struct span body = x->body;
    size_t from_head = x->written < head.len ? (size_t)x->written : head.len;
    size_t from_body = (size_t)x->written - from_head;
    int count = 0;
    if (from_head < head.len)
        parts[count++] = part_of(head, from_head);
    if (from_body < body.len)
        parts[count++] = part_of(body, from_body);
    return count;
}

/* Right-aligned; spaces before a value are no part of it. */
static void write_deadline(const struct http_exchange *x)
{
    int64_t until = coro_deadline();
    int64_t left = until == DEADLINE_NEVER ? until : until - world_now(x->client->world);
    memset(x->deadline, ' ', DEADLINE_TEXT_MAX);
    struct span text = deadline_write(x->deadline, left);
    check(
        text.ptr + text.len == x->deadline + DEADLINE_TEXT_MAX, "a deadline is not right-aligned");
}

static int send_some(struct http_exchange *x)
{
    if (x->deadline && x->written == 0)
        write_deadline(x);
    struct iovec parts[2];
    int count = parts_left(x, parts);
    ssize_t wrote = stream_write_some(x->connection->stream, parts, count);
    if (wrote < 0)
        return (int)wrote;
    x->written += (uint64_t)wrote;
    bool more = x->chunked || x->announced > 0;
    x->whole_written = x->written == x->head.len + x->body.len && !more;
    return 0;
}

int exchange_send(struct http_exchange *x, struct error *e)
{
    int rc = send_some(x);
    return rc ? not_sent(x, rc, e) : 0;
}

int exchange_send_rest(struct http_exchange *x)
{
    int rc = 0;
    while (rc == 0 && x->written < x->head.len + x->body.len) {
        rc = send_some(x);
        x->written_at = world_now(x->client->world);
    }
    return rc;
}

static int send_all(struct http_exchange *x, struct error *e)
{
    int rc = exchange_send_rest(x);
    return rc ? not_sent(x, rc, e) : 0;
}

/* ---- Streamed ---- */

int http_exchange_begin(struct http_client *c, const struct http_client_request *request,
    struct arena *arena, struct http_exchange **out, struct error *e)
{
    struct http_exchange *x = arena_alloc(arena, sizeof *x);
    if (!x)
        return error_set(e, -ENOMEM, "memory", "out of memory for a request");
    int rc = exchange_begin(x, c, request, arena, e);
    if (rc)
        return rc;
    x->own_stash = true;
    rc = send_all(x, e);
    if (rc && (rc = exchange_replace(x, rc, e)) == 0)
        rc = send_all(x, e);
    /* A server that has read enough may have answered before it stopped reading. */
    if ((rc == -EPIPE || rc == -ECONNRESET) && x->written > 0)
        rc = 0;
    if (rc) {
        http_exchange_end(x);
        return rc;
    }
    *out = x;
    return 0;
}

static int write_piece(struct http_exchange *x, struct span piece, struct error *e)
{
    char size[HTTP1_CHUNK_HEAD_MAX];
    char end[2] = {'\r', '\n'};
    struct iovec parts[3] = {part_of(piece, 0)};
    int count = 1;
    if (x->chunked) {
        parts[1] = parts[0];
        parts[0] = (struct iovec){size, http1_chunk_head(size, piece.len)};
        parts[2] = (struct iovec){end, sizeof end};
        count = 3;
    }
    int rc = stream_write(x->connection->stream, parts, count);
    return rc ? not_sent(x, rc, e) : 0;
}

static int write_first_piece(struct http_exchange *x, struct span piece, struct error *e)
{
    int rc = write_piece(x, piece, e);
    if (rc == 0 || (rc = exchange_replace(x, rc, e)))
        return rc;
    rc = send_all(x, e);
    return rc ? rc : write_piece(x, piece, e);
}

int http_exchange_write(struct http_exchange *x, struct span piece, struct error *e)
{
    if (!x->connection || x->whole_written)
        return error_set(e, -EPIPE, "request", "the body of the request to %s is over",
            x->origin->endpoint.text);
    if (piece.len == 0)
        return 0;
    if (!x->chunked && piece.len > (uint64_t)x->announced)
        return error_set(e, -EINVAL, "request",
            "the body of a request to %s is longer than was announced", x->origin->endpoint.text);
    int rc = x->streamed ? write_piece(x, piece, e) : write_first_piece(x, piece, e);
    x->streamed = true;
    if (rc)
        return rc;
    if (!x->chunked)
        x->announced -= (int64_t)piece.len;
    x->whole_written = !x->chunked && x->announced == 0;
    return 0;
}
