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
    struct end *taken = s->taken;
    s->end = s->taken = NULL;
    end_drop(e);
    end_drop(taken);
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
        if (left) {
            stream_close(&left->stream); /* the connection may be gone with it */
            return -ENOMEM;
        }
        c->ends[0].state = END_GONE;
        conn_settle(c);
        return -ENOMEM;
    }
    *a_end = &left->stream;
    *b_end = &right->stream;
    return 0;
}

/* ---- Passing ---- */

int sim_op_stream_pair(struct world *world, struct stream **a, struct stream **b)
{
    struct sim_world *w = sim_world_of(world);
    return w->dead ? -ECANCELED : conn_pair(w, w, a, b);
}

/* The end loses its handle here and gets another where it arrives. */
static int pass(struct end *e, struct iovec part, struct sim_stream *passed)
{
    struct end *goes = passed->end;
    int rc = end_send_passing(e, &part, part.iov_len, goes);
    if (rc)
        return rc;
    goes->stream = NULL;
    passed->end = NULL;
    trace(conn_of(e)->sim, TRACE_WRITE, e->host, end_id(e), part.iov_len, (int64_t)end_id(goes));
    return 0;
}

struct stream *sim_take_passed(struct stream *stream)
{
    struct sim_stream *s = of(stream);
    if (!s->taken)
        return NULL;
    struct sim_stream *made = stream_for(s->taken, world_of(stream));
    if (!made)
        return NULL;
    s->taken = NULL;
    return &made->stream;
}

/* ---- Reading ---- */

/* How many bytes, up to `size`, there are before a segment with which something comes, the first
 * one excepted: each is told of on its own. */
static size_t before_next_passed(const struct end *e, size_t size)
{
    size_t n = 0;
    for (const struct segment *s = e->unread; s && n < size; s = s->next) {
        if (s->passed && s != e->unread)
            break;
        n += s->len - s->taken;
    }
    return n < size ? n : size;
}

static void take_passed(struct end *e)
{
    struct segment *s = e->unread;
    if (!s->passed)
        return;
    end_drop(e->stream->taken); /* nobody asked for it */
    e->stream->taken = s->passed;
    s->passed = NULL;
}

/* Moves `n` bytes, which are there, to the reader. */
static void take(struct end *e, char *buffer, size_t n)
{
    take_passed(e);
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
    size_t n = before_next_passed(e, size);
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

/* Waits until something can be written: how much, or a negative errno. */
static ssize_t wait_for_room(struct sim_stream *s, struct sim_world *w)
{
    if (w->dead)
        return -ECANCELED;
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
            return (ssize_t)room;
        int rc = sim_world_park(w, "write", &s->writer);
        if (rc)
            return rc;
    }
}

ssize_t sim_op_write_some(struct stream *stream, const struct iovec *parts, int count)
{
    struct sim_stream *s = of(stream);
    size_t total = bytes_in(parts, count);
    if (total == 0)
        return 0;
    cpu_call_kernel(world_of(stream)->sim);
    ssize_t room = wait_for_room(s, world_of(stream));
    if (room < 0)
        return room;
    return write_up_to(s->end, parts, total < (size_t)room ? total : (size_t)room);
}

ssize_t sim_op_write_passing(
    struct stream *stream, const void *data, size_t size, struct stream *passed)
{
    struct sim_stream *s = of(stream);
    struct sim_world *w = world_of(stream);
    ssize_t room = wait_for_room(s, w);
    if (room < 0)
        return room;
    if (!of(passed)->end)
        return -EBADF;
    struct iovec part = {.iov_len = size < SEGMENT_MAX ? size : SEGMENT_MAX};
    part.iov_len = part.iov_len < (size_t)room ? part.iov_len : (size_t)room;
    part.iov_len = perhaps_less(w->sim, part.iov_len);
    memcpy(&part.iov_base, &data, sizeof data); /* without const */
    int rc = pass(s->end, part, of(passed));
    return rc ? rc : (ssize_t)part.iov_len;
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
