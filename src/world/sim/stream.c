/*
 * stream.c: the ends of connections as processes see them: connect, read, write, close.
 *
 * Errors come as from Linux: what arrived before a reset can still be read; then the reset is told
 * once, to whoever reads or writes first; after that there is nothing to read and writing is
 * -EPIPE.
 */
#include "world/sim/conn.h"

#include <string.h>

/* How long Linux asks who has an address before it says that nobody has. */
#define NO_SUCH_HOST_NS (3 * NS_PER_S)

static struct sim_stream *of(struct stream *s)
{
    return container_of(s, struct sim_stream, stream);
}

static struct sim_world *world_of(const struct stream *s)
{
    return sim_world_of(s->handle.world);
}

/* ---- Handles ---- */

static void give_up(struct owned *o)
{
    struct sim_stream *s = container_of(o, struct sim_stream, owned);
    struct end *e = s->end;
    if (!e)
        return;
    struct conn *c = conn_of(e);
    trace(c->sim, TRACE_CLOSE, e->host, end_id(e), e->unread_bytes, 0);
    s->end = NULL;
    end_close(e);
    conn_settle(c);
}

struct sim_stream *stream_for(struct end *e, struct sim_world *w)
{
    struct sim_stream *s = mem_zalloc(sizeof *s);
    if (!s)
        return NULL;
    owned_init(&s->owned, &s->stream.handle, w, give_up);
    s->end = e;
    e->stream = s;
    return s;
}

void end_tell(struct end *e)
{
    struct sim_stream *s = e->stream;
    bool over = e->broken || (e->fin_came && !e->unread);
    if (!s || !s->on_end || s->reader || !over)
        return;
    struct coro *c = s->on_end;
    s->on_end = NULL;
    coro_cancel(c);
    sim_world_active(world_of(&s->stream));
}

bool sim_op_quiet(struct stream *stream)
{
    const struct end *e = of(stream)->end;
    return e && !e->unread && !e->fin_came && !e->broken && !e->error;
}

void sim_op_cancel_on_end(struct stream *stream, struct coro *c)
{
    struct sim_stream *s = of(stream);
    s->on_end = c;
    if (s->end)
        end_tell(s->end);
}

void sim_op_stream_close(struct stream *stream)
{
    struct sim_stream *s = of(stream);
    struct sim_world *w = world_of(stream);
    give_up(&s->owned);
    owned_closed(&s->owned);
    sim_world_wake(w, s->reader, -EBADF);
    sim_world_wake(w, s->writer, -EBADF);
}

void sim_op_peer(const struct stream *stream, struct address *out)
{
    const struct sim_stream *s = (const struct sim_stream *)stream;
    if (s->end)
        *out = s->end->peer;
    else
        *out = (struct address){.len = sizeof out->any, .any.sa_family = AF_UNSPEC};
}

/* ---- Connecting ---- */

static const struct address nameless = {
    .len = offsetof(struct sockaddr_un, sun_path), .local.sun_family = AF_UNIX};

static int connect_to_nobody(struct sim_world *w, uint32_t ip)
{
    if (ip >> 24 != 10)
        return -ENETUNREACH;
    int rc = sim_world_pause(w, "connect", NO_SUCH_HOST_NS);
    return rc ? rc : -EHOSTUNREACH;
}

/* A connection that is ready to be asked for. */
static int prepare(struct sim_world *w, const struct address *to, struct conn **out)
{
    struct sim_host *from = host_of(w);
    struct sim_host *host = from;
    uint32_t ip = 0;
    if (to->any.sa_family != AF_UNIX) {
        int rc = ip_of(to, &ip);
        if (rc)
            return rc == -EADDRNOTAVAIL ? -ENETUNREACH : rc;
        host = host_find(from, ip);
        if (!host)
            return connect_to_nobody(w, ip);
    } else if (!listener_is_there(from, to)) {
        return -ENOENT;
    }
    struct conn *c = conn_open(from, host);
    if (!c)
        return -ENOMEM;
    c->to = *to;
    c->ends[0].peer = *to;
    if (to->any.sa_family == AF_UNIX)
        c->ends[1].peer = nameless;
    else
        address_of_ip(ip == from->address || host != from ? from->address : INADDR_LOOPBACK,
            host_take_port(from), &c->ends[1].peer);
    *out = c;
    return 0;
}

/* Waits for the answer: 0, or why there is no connection any more. */
static int ask(struct sim_world *w, struct conn *c)
{
    struct end *e = &c->ends[0];
    struct connecting waiting = {.world = w, .end = e};
    e->connecting = &waiting;
    int rc = end_connect(e);
    if (rc == 0)
        rc = sim_world_park(w, "connect", &waiting.waiter);
    if (rc == 0)
        return 0;
    if (waiting.end) {
        e->connecting = NULL;
        end_close(e);
        conn_settle(c);
    }
    return rc;
}

int sim_op_connect(struct world *world, const struct address *to, struct stream **out)
{
    struct sim_world *w = sim_world_of(world);
    if (w->dead)
        return -ECANCELED;
    struct conn *c;
    int rc = prepare(w, to, &c);
    if (rc)
        return rc;
    uint64_t id = end_id(&c->ends[0]);
    trace(w->sim, TRACE_CONNECT, host_of(w), id, c->ends[1].host->index, address_port(to));
    rc = ask(w, c);
    trace(w->sim, TRACE_CONNECTED, host_of(w), id, 0, rc);
    if (rc)
        return rc;
    struct sim_stream *s = stream_for(&c->ends[0], w);
    if (!s) {
        end_close(&c->ends[0]);
        conn_settle(c);
        return -ENOMEM;
    }
    *out = &s->stream;
    return 0;
}

int conn_pair(
    struct sim_world *a, struct sim_world *b, struct stream **a_end, struct stream **b_end)
{
    struct conn *c = conn_open(host_of(a), host_of(b));
    if (!c)
        return -ENOMEM;
    c->ends[0].state = c->ends[1].state = END_OPEN;
    c->ends[0].peer = c->ends[1].peer = nameless;
    struct sim_stream *left = stream_for(&c->ends[0], a);
    struct sim_stream *right = left ? stream_for(&c->ends[1], b) : NULL;
    if (!right) {
        c->ends[1].state = END_GONE;
        if (left)
            stream_close(&left->stream);
        else
            c->ends[0].state = END_GONE;
        conn_settle(c);
        return -ENOMEM;
    }
    *a_end = &left->stream;
    *b_end = &right->stream;
    return 0;
}

/* ---- Reading ---- */

/* Moves `n` bytes, which are there, to the reader. */
static void take(struct end *e, char *buffer, size_t n)
{
    e->unread_bytes -= n;
    struct segment *s;
    while (n > 0 && (s = e->unread)) {
        size_t part = s->len - s->taken < n ? s->len - s->taken : n;
        memcpy(buffer, s->data + s->taken, part);
        buffer += part;
        n -= part;
        s->taken += (uint32_t)part;
        if (s->taken < s->len)
            break;
        e->unread = s->next;
        if (!e->unread)
            e->unread_last = &e->unread;
        segment_free(conn_of(e)->sim, s);
    }
}

/* The other side is told on its own only when much of its window depends on it. */
static int tell_what_was_read(struct end *e, size_t n)
{
    e->read_total += n;
    if (e->read_total - e->told_total < conn_of(e)->sim->options.window / 2 || e->fin_came ||
        e->broken)
        return 0;
    int rc = end_send(e, SEG_WINDOW, NULL, 0, 0);
    if (rc)
        e->read_total -= n;
    return rc;
}

static ssize_t read_some(struct end *e, void *buffer, size_t size)
{
    struct sim *sim = conn_of(e)->sim;
    size_t n = size < e->unread_bytes ? size : e->unread_bytes;
    if (sim->options.short_reads_ppm && rand_ppm(&sim->rand, sim->options.short_reads_ppm))
        n = 1 + rand_below(&sim->rand, n);
    int rc = tell_what_was_read(e, n);
    if (rc)
        return rc;
    take(e, buffer, n);
    trace(sim, TRACE_READ, e->host, end_id(e), n, 0);
    return (ssize_t)n;
}

static int take_error(struct end *e)
{
    int error = e->error;
    e->error = 0;
    return error;
}

ssize_t sim_op_read(struct stream *stream, void *buffer, size_t size)
{
    struct sim_stream *s = of(stream);
    struct sim_world *w = world_of(stream);
    if (w->dead)
        return -ECANCELED;
    for (;;) {
        struct end *e = s->end;
        if (!e)
            return -EBADF;
        if (e->unread)
            return read_some(e, buffer, size);
        if (e->fin_came || e->broken)
            s->on_end = NULL; /* it is told now */
        if (e->fin_came)
            return 0;
        if (e->broken)
            return take_error(e);
        int rc = sim_world_park(w, "read", &s->reader);
        if (rc)
            return rc;
    }
}

/* ---- Writing ---- */

static size_t bytes_in(const struct iovec *parts, int count)
{
    size_t total = 0;
    for (int i = 0; i < count; i++)
        total += parts[i].iov_len;
    return total;
}

/* `len`, or less by the seed. */
static size_t perhaps_less(struct sim *sim, size_t len)
{
    if (sim->options.short_writes_ppm && rand_ppm(&sim->rand, sim->options.short_writes_ppm))
        return 1 + rand_below(&sim->rand, len);
    return len;
}

static ssize_t write_up_to(struct end *e, const struct iovec *parts, size_t len)
{
    struct sim *sim = conn_of(e)->sim;
    len = perhaps_less(sim, len);
    size_t done = 0;
    int rc = 0;
    while (done < len && rc == 0) {
        size_t piece = len - done < SEGMENT_MAX ? len - done : SEGMENT_MAX;
        piece = perhaps_less(sim, piece);
        rc = end_send(e, SEG_DATA, parts, done, piece);
        done += rc == 0 ? piece : 0;
    }
    trace(sim, TRACE_WRITE, e->host, end_id(e), done, 0);
    return done > 0 ? (ssize_t)done : rc;
}

ssize_t sim_op_write_some(struct stream *stream, const struct iovec *parts, int count)
{
    struct sim_stream *s = of(stream);
    struct sim_world *w = world_of(stream);
    if (w->dead)
        return -ECANCELED;
    size_t total = bytes_in(parts, count);
    if (total == 0)
        return 0;
    for (;;) {
        struct end *e = s->end;
        if (!e)
            return -EBADF;
        if (e->error)
            return take_error(e);
        if (e->broken || e->fin_sent)
            return -EPIPE;
        uint64_t room = w->sim->options.window - (e->out.sent - e->out.known);
        if (room > 0)
            return write_up_to(e, parts, total < room ? total : room);
        int rc = sim_world_park(w, "write", &s->writer);
        if (rc)
            return rc;
    }
}

int sim_op_shutdown(struct stream *stream)
{
    struct sim_stream *s = of(stream);
    struct end *e = s->end;
    if (world_of(stream)->dead)
        return -ECANCELED;
    if (e->broken)
        return -ENOTCONN;
    if (e->fin_sent)
        return 0;
    int rc = end_send(e, SEG_FIN, NULL, 0, 0);
    if (rc)
        return rc;
    e->fin_sent = true;
    trace(world_of(stream)->sim, TRACE_SHUTDOWN, e->host, end_id(e), 0, 0);
    return 0;
}
