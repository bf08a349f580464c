/*
 * connection.c: one connection: its requests in order, and its end.
 *
 * Input is read into the server's one scratch buffer and parsed there; only what must outlive a
 * wait is copied: a head into its request's arena, the bytes behind it into the connection's own
 * buffer. So a request that fits one read costs one read, one write and a copy of its head, and a
 * connection that waits holds no buffer at all.
 *
 * Closing lingers. If a server closes while the client is still sending, the kernel sends a reset,
 * which can destroy the last reply before the client has read it. So unless the client is known to
 * have finished, the server shuts down its sending side, and reads on until the client closes.
 */
#include "base/bug.h"
#include "base/mem.h"
#include "http/internal.h"

#include <errno.h>

/* An idle connection returns unused stack memory after this time. */
#define TRIM_AFTER   (1 * NS_PER_S)
#define READ_AT_ONCE (16 * 1024)

/* ---- Reading ---- */

static bool in_scratch(const struct http_connection *c)
{
    return c->view.ptr >= c->server->scratch && c->view.ptr < c->server->scratch + SCRATCH_SIZE;
}

int connection_keep(struct http_connection *c)
{
    if (c->view.len == 0) {
        bytes_reset(&c->in);
    } else if (in_scratch(c)) {
        bytes_reset(&c->in);
        int rc = bytes_append_span(&c->in, c->view);
        if (rc)
            return rc;
    } else if (c->view.ptr != c->in.ptr) {
        bytes_consume(&c->in, c->in.len - c->view.len);
    }
    c->view = bytes_span(&c->in);
    return 0;
}

static ssize_t fill_own(struct http_connection *c)
{
    int rc = connection_keep(c);
    if (rc == 0)
        rc = bytes_reserve(&c->in, c->in.len ? c->in.len : READ_AT_ONCE);
    if (rc == -ENOBUFS)
        rc = bytes_reserve(&c->in, 1);
    if (rc)
        return rc;
    ssize_t got = stream_read(c->stream, c->in.ptr + c->in.len, c->in.size - c->in.len);
    if (got > 0)
        c->in.len += (size_t)got;
    c->view = bytes_span(&c->in);
    return got;
}

/* Before a wait for the client, which may itself wait for earlier replies. */
static int flush_first(struct http_connection *c)
{
    if (!c->active || c->active->out.len == 0)
        return 0;
    int rc = connection_keep(c);
    return rc ? rc : reply_flush(c);
}

ssize_t connection_fill(struct http_connection *c, bool shared)
{
    int rc = flush_first(c);
    if (rc)
        return rc;
    if (!shared || c->view.len > 0)
        return fill_own(c);
    ssize_t got = stream_read(c->stream, c->server->scratch, SCRATCH_SIZE);
    c->view = (struct span){.ptr = c->server->scratch, .len = got > 0 ? (size_t)got : 0};
    return got;
}

ssize_t connection_fill_at(struct http_connection *c, char *at, size_t size)
{
    int rc = flush_first(c);
    if (rc)
        return rc;
    check(c->view.len == 0, "a body is read in place while bytes are in view");
    bytes_release(&c->in); /* its bytes have been parsed */
    ssize_t got = stream_read(c->stream, at, size);
    c->view = (struct span){.ptr = at, .len = got > 0 ? (size_t)got : 0};
    return got;
}

/* ---- A head ---- */

/* Moves a span that points into `from` to the copy at `to`. */
static struct span moved(struct span s, struct span from, const char *to)
{
    if (s.ptr >= from.ptr && s.ptr < from.ptr + from.len)
        s.ptr = to + (s.ptr - from.ptr);
    return s;
}

/* Copies the head, parsed in `from`, into the request's arena. */
static int own_head(struct http_connection *c, struct span from)
{
    struct http1_head *h = &c->active->parser.head;
    struct arena *arena = &c->active->arena;
    char *to = arena_alloc(arena, from.len);
    struct http_field *fields = arena_alloc(arena, (h->field_count + 1) * sizeof(*fields));
    if (!to || !fields)
        return -ENOMEM;
    memcpy(to, from.ptr, from.len);
    for (unsigned i = 0; i < h->field_count; i++) {
        fields[i].name = moved(h->fields[i].name, from, to);
        fields[i].value = moved(h->fields[i].value, from, to);
    }
    h->fields = fields;
    h->method_name = moved(h->method_name, from, to);
    h->target = moved(h->target, from, to);
    h->path = moved(h->path, from, to);
    h->query = moved(h->query, from, to);
    h->host = moved(h->host, from, to);
    return 0;
}

static bool id_sane(struct span id)
{
    if (id.len == 0 || id.len > HTTP_REQUEST_ID_MAX)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        char ch = id.ptr[i];
        bool plain =
            (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9');
        if (!plain && (ch == '\0' || !strchr("-._~:/+=@", ch)))
            return false;
    }
    return true;
}

static void set_id(struct http_connection *c)
{
    struct http_request *r = &c->active->request;
    const struct http_field *given =
        http_field_find(r->head->fields, r->head->field_count, "x-request-id");
    if (given && id_sane(given->value)) {
        memcpy(r->id, given->value.ptr, given->value.len);
        r->id[given->value.len] = '\0';
        return;
    }
    uint64_t n = rand_u64(&c->server->ids);
    for (int i = 0; i < 16; i++, n >>= 4)
        r->id[i] = "0123456789abcdef"[n & 15];
    r->id[16] = '\0';
}

static void begin_request(struct http_connection *c)
{
    const struct http_server_options *o = &c->server->options;
    struct http_request *r = &c->active->request;
    r->head = &c->active->parser.head;
    r->arena = &c->active->arena;
    r->peer = &c->peer;
    r->body_max = o->body_max;
    r->label = (struct span){NULL, 0};
    r->handler_data = NULL;
    r->failure = (struct span){NULL, 0};
    r->failure_hidden = false;
    r->timing = (struct http_timing){0};
    r->status = 0;
    r->received = r->sent = 0;
    r->connection = c;
    c->active->reply = REPLY_NONE;
    c->active->body_done = c->active->body_failed = c->active->continued = false;
    c->active->body_began = c->active->body_paused = 0;
    c->silent = false;
    c->served++;
    c->close_after = !r->head->keep_alive || c->server->draining ||
                     (o->requests_per_connection && c->served >= o->requests_per_connection);
}

/* ---- A request ---- */

static const char no_memory[] = "there is no memory for this request now";

/* Replies to an invalid request, which no handler sees, and ends the connection. */
static void refuse(struct http_connection *c, int status, const char *sentence)
{
    static const struct http1_head nothing;
    struct http_server *s = c->server;
    struct http_server_stats *stats = s->stats;
    stat_add(&stats->refused[status == 408   ? HTTP_REFUSED_408
                             : status == 413 ? HTTP_REFUSED_413
                             : status == 414 ? HTTP_REFUSED_414
                             : status == 431 ? HTTP_REFUSED_431
                             : status < 500  ? HTTP_REFUSED_400
                                             : HTTP_REFUSED_OTHER],
        1);
    struct http_request *r = &c->active->request;
    begin_request(c);
    r->head = &nothing;
    r->label = SPAN("(refused)");
    set_id(c);
    c->close_after = true;
    int rc = http_reply_status(r, status, NULL, 0, sentence);
    (void)rc; /* the connection ends in any case */
    if (s->options.done)
        s->options.done(s->options.ctx, r, c->now);
}

/* Runs the handler, and completes what it left open. Returns true if the connection can go on. */
static bool handle_request(struct http_connection *c)
{
    struct http_server *s = c->server;
    struct http_request *r = &c->active->request;
    if (connection_keep(c) != 0) {
        refuse(c, 503, no_memory);
        return false;
    }
    s->options.handle(s->options.ctx, r);
    reply_unwatch(c);
    if (c->active->reply == REPLY_NONE && !coro_cancelled(c->coro) && !c->broken &&
        http_reply_status(r, 500, NULL, 0, "nothing answered this request") != 0)
        c->close_after = true;
    bool lost = c->broken && c->active->reply == REPLY_NONE;
    if (lost || (coro_cancelled(c->coro) && (c->active->reply != REPLY_DONE || c->broken))) {
        if (s->runner) /* else the drain has ended, which is not the client's doing */
            stat_add(&s->stats->client_gone, 1);
        c->broken = true;
        c->now = world_now(s->world); /* for `done` */
    }
    if (c->active->reply == REPLY_BODY)
        c->broken = true; /* cut off, so that the client notices */
    if (s->options.done)
        s->options.done(s->options.ctx, r, c->now);
    if (!c->broken && c->active->reply == REPLY_DONE && !c->active->body_done &&
        !request_skip_body(c))
        c->close_after = true;
    c->silent = !r->head->keep_alive && c->active->body_done;
    return !c->broken && !c->close_after;
}

/* Parses the head in view: 0 if it is complete; the status to refuse it with, and why; or -1 if the
 * connection must close without a reply. */
static int read_head(struct http_connection *c, const char **why)
{
    const struct http_server_options *o = &c->server->options;
    CORO_DEADLINE(deadline_after(c->active->request.began, o->headers_timeout));
    for (;;) {
        struct span before = c->view;
        struct span unused;
        enum http1_event event = http1_next(&c->active->parser, &c->view, &unused);
        if (event == HTTP1_HEAD) {
            size_t taken = (size_t)(c->view.ptr - before.ptr);
            *why = no_memory;
            return own_head(c, (struct span){before.ptr, taken}) == 0 ? 0 : 503;
        }
        if (event == HTTP1_BAD) {
            *why = c->active->parser.fault.why;
            return c->active->parser.fault.status;
        }
        ssize_t got = connection_fill(c, true);
        if (got == -ETIMEDOUT && !c->broken) {
            *why = "the request's head did not come in time";
            return 408;
        }
        if (got == -ENOMEM || got == -ENOBUFS) {
            *why = no_memory;
            return 503;
        }
        if (got <= 0)
            return -1;
    }
}

/* Waits for a request's first bytes: how many, 0 at the end, or a negative errno. */
static ssize_t await_request(struct http_connection *c)
{
    struct http_server *s = c->server;
    if (c->active) {
        int rc = c->active->out.len > 0 ? reply_flush(c) : 0;
        server_return_request(s, c->active);
        c->active = NULL;
        if (rc)
            return rc;
    }
    if (c->in.size > 0)
        bytes_release(&c->in);
    c->view = (struct span){NULL, 0};

    int64_t until =
        deadline_after(c->now, c->served ? s->options.idle_timeout : s->options.headers_timeout);
    if (s->draining)
        until = deadline_sooner(
            until, deadline_after(s->drain_idle_until, c->served ? 0 : FRESH_GRACE));
    int64_t trim_at = deadline_sooner(deadline_after(c->now, TRIM_AFTER), until);
    c->waiting = true;
    stat_add(&s->stats->idle, 1);
    ssize_t got;
    {
        CORO_DEADLINE(trim_at);
        got = connection_fill(c, true);
    }
    if (got == -ETIMEDOUT && trim_at < until) {
        CORO_DEADLINE(until);
        list_push_back(&s->idle_connections, &c->idle_link);
        coro_trim();
        got = connection_fill(c, true);
    }
    list_del(&c->idle_link);
    c->waiting = false;
    stat_add(&s->stats->idle, -1);
    /* Closed to make room, or by a drain, at the moment at which a request came: it is not begun,
     * and its client knows that from the clean end. */
    return coro_cancelled(c->coro) ? -ECANCELED : got;
}

/* Serves requests until either side ends the connection. */
static void serve(struct http_connection *c)
{
    bool more = true;
    while (more) {
        if (c->view.len == 0 && await_request(c) <= 0)
            return;
        c->now = world_now(c->server->world);
        if (!c->active)
            c->active = server_take_request(c->server);
        if (!c->active)
            return; /* no memory for a reply, either */
        c->active->request.began = c->now;
        const char *why;
        int status = read_head(c, &why);
        if (status > 0)
            refuse(c, status, why);
        if (status != 0)
            return;
        begin_request(c);
        set_id(c);
        stat_add(&c->server->stats->requests, 1);
        more = handle_request(c);
        request_free_body(c);
        http1_reset(&c->active->parser);
        arena_reset(&c->active->arena);
    }
}

/* ---- The end ---- */

/* Gives the client time to read the reply, and to close. */
static void linger(struct http_connection *c)
{
    struct http_server *s = c->server;
    int64_t until = deadline_after(world_now(s->world), s->options.linger_timeout);
    CORO_DEADLINE(until);
    if (stream_shutdown(c->stream) != 0)
        return;
    while (stream_read(c->stream, s->scratch, SCRATCH_SIZE) > 0)
        ;
}

static void finish(struct http_connection *c)
{
    if (!c->broken && c->active && c->active->out.len > 0)
        c->broken = reply_flush(c) != 0;
    if (!c->broken && c->close_after && !(c->silent && c->view.len == 0))
        linger(c);
    stream_close(c->stream);
    bytes_release(&c->in);
    server_return_request(c->server, c->active);
    server_forget(c);
    mem_free(c);
}

int connection_run(void *arg)
{
    struct http_connection *c = arg;
    c->coro = coro_self();
    stream_peer(c->stream, &c->peer);
    c->now = world_now(c->server->world);
    serve(c);
    finish(c);
    return 0;
}

int connection_refuse(void *arg)
{
    struct http_connection *c = arg;
    c->coro = coro_self();
    stream_peer(c->stream, &c->peer);
    c->now = world_now(c->server->world);
    c->active = server_take_request(c->server);
    if (c->active) {
        c->active->request.began = c->now;
        refuse(c, 503, "there are too many connections now; try again later");
    }
    finish(c);
    return 0;
}
