/*
 * conn.c: how segments travel, and what becomes of connections.
 */
#include "world/sim/conn.h"

#include <string.h>

#define RETRY_NS       (200 * NS_PER_MS)
#define RETRY_SYN_NS   (1 * NS_PER_S)
#define RETRY_NS_MAX   (120 * NS_PER_S)
#define DEAD_TRIES_MAX 3 /* as in Linux: nobody answered for the address three times in a row */

/* ---- Segments ---- */

static struct segment *segment_new(struct sim *sim, enum segment_kind kind, size_t len)
{
    bool small = len <= SEGMENT_SMALL;
    struct segment *s = NULL;
    if (small && sim->spare_segments) {
        s = sim->spare_segments;
        sim->spare_segments = s->next;
    } else {
        s = mem_alloc(sizeof *s + (small ? SEGMENT_SMALL : len));
        if (!s)
            return NULL;
    }
    s->next = NULL;
    s->passed = NULL;
    s->len = (uint32_t)len;
    s->taken = 0;
    s->kind = kind;
    s->small = small;
    return s;
}

void segment_free(struct sim *sim, struct segment *s)
{
    struct end *passed = s->passed;
    s->passed = NULL;
    end_drop(passed);
    if (!s->small) {
        mem_free(s);
        return;
    }
    s->next = sim->spare_segments;
    sim->spare_segments = s;
}

static void segments_free(struct sim *sim, struct segment **first, struct segment ***last)
{
    while (*first) {
        struct segment *s = *first;
        *first = s->next;
        segment_free(sim, s);
    }
    *last = first;
}

/* ---- Life ---- */

static void on_arrival(struct sim *sim, struct event *e);
static void on_unheard(struct sim *sim, struct event *e);

static int end_init(
    struct sim *sim, struct end *e, uint8_t side, struct sim_host *host, struct sim_host *to)
{
    *e = (struct end){.host = host, .side = side, .boots = host->boots};
    e->out.last = &e->out.first;
    e->unread_last = &e->unread;
    e->out.failing_since = e->out.unheard_since = -1;
    e->out.link = host_link(host, to);
    if (!e->out.link)
        return -ENOMEM;
    int rc = event_init(sim, &e->out.arrival, on_arrival);
    if (rc)
        return rc;
    rc = event_init(sim, &e->out.unheard, on_unheard);
    if (rc)
        event_release(sim, &e->out.arrival);
    return rc;
}

static void end_release(struct sim *sim, struct end *e)
{
    segments_free(sim, &e->out.first, &e->out.last);
    segments_free(sim, &e->unread, &e->unread_last);
    event_release(sim, &e->out.arrival);
    event_release(sim, &e->out.unheard);
}

struct conn *conn_open(struct sim_host *from, struct sim_host *to)
{
    struct sim *sim = from->sim;
    struct conn *c = mem_alloc(sizeof *c);
    if (!c)
        return NULL;
    c->sim = sim;
    c->id = ++sim->next_conn;
    c->began = sim->now;
    list_init(&c->waiting);
    if (end_init(sim, &c->ends[0], 0, from, to) != 0) {
        mem_free(c);
        return NULL;
    }
    if (end_init(sim, &c->ends[1], 1, to, from) != 0) {
        end_release(sim, &c->ends[0]);
        mem_free(c);
        return NULL;
    }
    list_push_back(&sim->conns, &c->link);
    return c;
}

static void conn_free(struct conn *c)
{
    list_del(&c->link);
    end_release(c->sim, &c->ends[0]);
    end_release(c->sim, &c->ends[1]);
    mem_free(c);
}

static bool end_is_idle(const struct end *e)
{
    return e->state != END_OPENING && e->state != END_OPEN && !e->out.first;
}

void conn_settle(struct conn *c)
{
    if (end_is_idle(&c->ends[0]) && end_is_idle(&c->ends[1]))
        conn_free(c);
}

static void forget_passed(struct segment *s)
{
    for (; s; s = s->next)
        s->passed = NULL;
}

/* All of them go: none has to be told of another's. */
void conns_free(struct sim *sim)
{
    list_each (link, &sim->conns) {
        struct conn *c = list_entry(link, struct conn, link);
        for (int i = 0; i < 2; i++) {
            forget_passed(c->ends[i].out.first);
            forget_passed(c->ends[i].unread);
        }
    }
    while (!list_empty(&sim->conns))
        conn_free(list_first(&sim->conns, struct conn, link));
    while (sim->spare_segments) {
        struct segment *s = sim->spare_segments;
        sim->spare_segments = s->next;
        mem_free(s);
    }
}

/* Whether its host's kernel still knows of it. */
static bool end_exists(const struct end *e)
{
    return e->boots == e->host->boots && !e->broken &&
           (e->state == END_OPENING || e->state == END_OPEN || e->state == END_CLOSED);
}

/* ---- Sending ---- */

/* When what is sent now has arrived, unless it must wait for what its connection sent before: it
 * leaves after all that was sent on this link. */
static int64_t arrival_of(struct sim *sim, struct link *link, size_t len)
{
    const struct sim_link *o = link->options;
    int64_t leaves = link->free_at > sim->now ? link->free_at : sim->now;
    if (o->bytes_per_second)
        leaves += (int64_t)(len * (uint64_t)NS_PER_S / o->bytes_per_second);
    link->free_at = leaves;
    int64_t jitter = 0;
    if (o->jitter_ns > 0)
        jitter = o->jitter == SIM_UNIFORM ? rand_between(&sim->rand, 0, o->jitter_ns)
                                          : rand_exponential(&sim->rand, o->jitter_ns);
    return leaves + o->latency_ns + jitter;
}

static void push(struct end *e, struct segment *s)
{
    struct sim *sim = conn_of(e)->sim;
    s->due = arrival_of(sim, e->out.link, s->len);
    s->read_total = e->read_total;
    e->told_total = e->read_total;
    bool first = !e->out.first;
    *e->out.last = s;
    e->out.last = &s->next;
    if (first)
        event_at(sim, &e->out.arrival, s->due);
}

static void gather(char *to, const struct iovec *parts, size_t skip, size_t len)
{
    for (; len > 0; parts++) {
        if (skip >= parts->iov_len) {
            skip -= parts->iov_len;
            continue;
        }
        size_t n = parts->iov_len - skip < len ? parts->iov_len - skip : len;
        memcpy(to, (const char *)parts->iov_base + skip, n);
        to += n;
        len -= n;
        skip = 0;
    }
}

int end_send(
    struct end *e, enum segment_kind kind, const struct iovec *parts, size_t skip, size_t len)
{
    struct segment *s = segment_new(conn_of(e)->sim, kind, len);
    if (!s)
        return -ENOMEM;
    if (len > 0)
        gather(s->data, parts, skip, len);
    e->out.sent += len;
    push(e, s);
    return 0;
}

int end_send_passing(struct end *e, const struct iovec *parts, size_t len, struct end *passed)
{
    struct sim *sim = conn_of(e)->sim;
    struct segment *s = segment_new(sim, SEG_DATA, len);
    if (!s)
        return -ENOMEM;
    gather(s->data, parts, 0, len);
    s->passed = passed;
    e->out.sent += len;
    push(e, s);
    return 0;
}

int end_connect(struct end *e)
{
    e->state = END_OPENING;
    return end_send(e, SEG_SYN, NULL, 0, 0);
}

/* What was not on its way yet is forgotten: its sender does not try again. */
static void pipe_forget_failing(struct sim *sim, struct pipe *p)
{
    if (p->failing_since < 0)
        return;
    segments_free(sim, &p->first, &p->last);
    p->failing_since = -1;
    event_stop(sim, &p->arrival);
}

/* Says to the other side that there is no such connection. If there is no memory to say so, it
 * is as if that had been lost. */
static void send_reset(struct end *e)
{
    struct sim *sim = conn_of(e)->sim;
    pipe_forget_failing(sim, &e->out);
    struct segment *s = segment_new(sim, SEG_RST, 0);
    if (s)
        push(e, s);
}

/* ---- Breaking ---- */

/* From now on the connection may be freed without asking who connected. */
static void wake_connecting(struct end *e, int rc)
{
    struct connecting *c = e->connecting;
    if (!c)
        return;
    e->connecting = NULL;
    if (rc)
        c->end = NULL;
    sim_world_wake(c->world, c->waiter, rc);
}

/* The answer to a connect was lost with the host that gave it, or was itself lost: who connects
 * asks again. */
static void ask_again(struct end *e)
{
    if (e->state != END_OPENING || !end_exists(e) || e->out.first)
        return;
    if (end_send(e, SEG_SYN, NULL, 0, 0) != 0) {
        e->state = END_GONE;
        wake_connecting(e, -ENOMEM);
        return;
    }
    struct sim *sim = conn_of(e)->sim;
    e->out.first->due += RETRY_SYN_NS;
    event_at(sim, &e->out.arrival, e->out.first->due);
}

static void wake_both(struct end *e)
{
    if (!e->stream)
        return;
    struct sim_world *w = sim_world_of(e->stream->stream.handle.world);
    sim_world_wake(w, e->stream->reader, 0);
    sim_world_wake(w, e->stream->writer, 0);
    end_tell(e);
}

/* Its process, if there is one, learns `error`; its kernel forgets it. */
static void end_break(struct end *e, int error)
{
    struct sim *sim = conn_of(e)->sim;
    trace(sim, TRACE_BROKEN, e->host, end_id(e), 0, error);
    pipe_forget_failing(sim, &e->out);
    event_stop(sim, &e->out.unheard);
    e->broken = true;
    e->error = error;
    if (e->state == END_OPENING)
        wake_connecting(e, error);
    if (e->state != END_OPEN)
        e->state = END_GONE;
    wake_both(e);
    ask_again(other_end(e));
}

void end_abort(struct end *e)
{
    bool existed = end_exists(e);
    e->state = END_GONE;
    if (existed)
        send_reset(e);
}

static void drop_unread(struct end *e)
{
    segments_free(conn_of(e)->sim, &e->unread, &e->unread_last);
    e->unread_bytes = 0;
}

void end_close(struct end *e)
{
    bool was_unread = e->unread_bytes > 0;
    drop_unread(e);
    e->stream = NULL;
    if (!end_exists(e) || e->state == END_OPENING) {
        e->state = END_GONE;
        return;
    }
    if (was_unread) {
        end_abort(e);
        return;
    }
    e->state = END_CLOSED;
    if (!e->fin_sent && end_send(e, SEG_FIN, NULL, 0, 0) != 0)
        end_abort(e);
    e->fin_sent = true;
}

void end_drop(struct end *e)
{
    if (!e)
        return;
    struct conn *c = conn_of(e);
    trace(c->sim, TRACE_CLOSE, e->host, end_id(e), e->unread_bytes, 0);
    end_close(e);
    conn_settle(c);
}

/* ---- Arriving ---- */

static void forget_pipe(struct end *from)
{
    struct sim *sim = conn_of(from)->sim;
    segments_free(sim, &from->out.first, &from->out.last);
    from->out.failing_since = -1;
    ask_again(other_end(from));
}

/* What the process is told of a peer that is silent for too long: not -ETIMEDOUT, which is its own
 * deadline. */
static int given_up(const struct end *e)
{
    return e->state == END_OPENING ? -EHOSTUNREACH : -ECONNRESET;
}

static int64_t give_up_at(struct end *from, const struct segment *s)
{
    const struct conn *c = conn_of(from);
    int64_t since = s->kind == SEG_SYN ? c->began : from->out.failing_since;
    return since + c->sim->options.give_up_ns;
}

static void try_later(struct end *from, struct segment *s)
{
    struct sim *sim = conn_of(from)->sim;
    struct pipe *p = &from->out;
    if (p->failing_since < 0) {
        p->failing_since = sim->now;
        p->retry_ns = s->kind == SEG_SYN ? RETRY_SYN_NS : RETRY_NS;
    } else if (p->retry_ns < RETRY_NS_MAX) {
        p->retry_ns *= 2;
    }
    int64_t give_up = give_up_at(from, s);
    if (sim->now >= give_up) {
        end_break(from, given_up(from));
        return;
    }
    s->due = sim->now + p->retry_ns < give_up ? sim->now + p->retry_ns : give_up;
    trace(sim, TRACE_LOST, from->host, end_id(from), s->len, s->due - sim->now);
    event_at(sim, &p->arrival, s->due);
}

/* The first segment did not get through. */
static void missed(struct end *from)
{
    struct segment *s = from->out.first;
    struct sim_host *to = other_end(from)->host;
    if (s->kind == SEG_RST || !end_exists(from)) {
        forget_pipe(from);
    } else if (s->kind == SEG_SYN && !to->up && ++from->out.dead_tries >= DEAD_TRIES_MAX) {
        end_break(from, -EHOSTUNREACH);
    } else {
        try_later(from, s);
    }
}

static bool gets_through(struct sim *sim, struct end *from)
{
    const struct link *link = from->out.link;
    bool is_sent_again = from->out.failing_since >= 0;
    if (link->cut || !other_end(from)->host->up || (is_sent_again && !end_exists(from)))
        return false;
    return link->options->loss_ppm == 0 || !rand_ppm(&sim->rand, link->options->loss_ppm);
}

static void on_unheard(struct sim *sim, struct event *event)
{
    struct end *e = container_of(event, struct end, out.unheard);
    struct pipe *p = &e->out;
    if (!end_exists(e) || !other_end(e)->out.link->cut) {
        p->unheard_since = -1;
        return;
    }
    if (sim->now - p->unheard_since < sim->options.give_up_ns) {
        event_at(sim, event, p->unheard_since + sim->options.give_up_ns);
        return;
    }
    end_break(e, given_up(e));
    conn_settle(conn_of(e));
}

/* The way back is cut: if it stays so, the sender will take what has arrived for lost. */
static void watch_way_back(struct sim *sim, struct end *from)
{
    if (!other_end(from)->out.link->cut || event_armed(&from->out.unheard))
        return;
    from->out.unheard_since = sim->now;
    event_at(sim, &from->out.unheard, sim->now + RETRY_NS);
}

static void heard_how_much_was_read(struct end *e, uint64_t read_total)
{
    if (read_total <= e->out.known)
        return;
    e->out.known = read_total;
    if (e->stream && e->stream->writer)
        sim_world_wake(sim_world_of(e->stream->stream.handle.world), e->stream->writer, 0);
}

/* An end that somebody here still has, though broken, cannot begin anew. */
static void syn_arrived(struct end *to)
{
    struct conn *c = conn_of(to);
    bool is_had = to->stream || list_linked(&c->waiting);
    int rc = is_had ? -ECONNREFUSED : listener_offer(c);
    if (rc == 0 && end_send(to, SEG_SYNACK, NULL, 0, 0) != 0)
        rc = -ENOMEM;
    if (rc)
        send_reset(to);
}

static void synack_arrived(struct end *to)
{
    if (!end_exists(to)) {
        send_reset(to);
        return;
    }
    if (to->state != END_OPENING)
        return;
    to->state = END_OPEN;
    wake_connecting(to, 0);
}

static void reset_arrived(struct end *to)
{
    if (!end_exists(to))
        return;
    trace(conn_of(to)->sim, TRACE_RESET, to->host, end_id(to), 0, 0);
    /* After the end of what the other side had to say, a reset is news for writers only. */
    int error = to->state == END_OPENING ? -ECONNREFUSED : to->fin_came ? 0 : -ECONNRESET;
    end_break(to, error);
}

/* Data or its end. Whether the segment was kept. */
static bool data_arrived(struct end *to, struct segment *s)
{
    if (!end_exists(to) || (to->state == END_CLOSED && s->kind == SEG_DATA)) {
        send_reset(to);
        return false;
    }
    if (s->kind == SEG_FIN) {
        to->fin_came = true;
    } else {
        *to->unread_last = s;
        to->unread_last = &s->next;
        to->unread_bytes += s->len;
    }
    if (to->stream && to->stream->reader)
        sim_world_wake(sim_world_of(to->stream->stream.handle.world), to->stream->reader, 0);
    end_tell(to);
    return s->kind == SEG_DATA;
}

static void deliver(struct end *from, struct segment *s)
{
    struct end *to = other_end(from);
    struct sim *sim = conn_of(from)->sim;
    bool kept = false;
    trace(sim, TRACE_ARRIVE, to->host, end_id(to), s->len, s->kind);
    if (end_exists(to))
        heard_how_much_was_read(to, s->read_total);
    if (s->kind != SEG_RST && s->kind != SEG_WINDOW)
        watch_way_back(sim, from);
    switch ((enum segment_kind)s->kind) {
    case SEG_SYN:
        syn_arrived(to);
        break;
    case SEG_SYNACK:
        synack_arrived(to);
        break;
    case SEG_RST:
        reset_arrived(to);
        break;
    case SEG_DATA:
    case SEG_FIN:
        kept = data_arrived(to, s);
        break;
    case SEG_WINDOW:
        break;
    }
    if (!kept)
        segment_free(sim, s);
}

static void take_first(struct pipe *p)
{
    struct segment *s = p->first;
    p->first = s->next;
    if (!p->first)
        p->last = &p->first;
    s->next = NULL;
    p->failing_since = -1;
    p->dead_tries = 0;
}

/* A listener whose backlog is full does not hear who connects. */
static bool is_deaf_to(struct end *from, const struct segment *s)
{
    return s->kind == SEG_SYN && listener_is_full(conn_of(from));
}

static void on_arrival(struct sim *sim, struct event *event)
{
    struct end *from = container_of(event, struct end, out.arrival);
    struct pipe *p = &from->out;
    while (p->first && p->first->due <= sim->now) {
        struct segment *s = p->first;
        if (!gets_through(sim, from) || is_deaf_to(from, s)) {
            missed(from);
            break;
        }
        take_first(p);
        deliver(from, s);
    }
    if (p->first && !event_armed(event))
        event_at(sim, event, p->first->due);
    conn_settle(conn_of(from));
}
