/*
 * server.c: listeners, connections coming and going, drain.
 */
#include "http/internal.h"

#include "base/bug.h"
#include "base/log.h"
#include "base/mem.h"
#include "coro/group.h"

#include <errno.h>

/* Connections beyond the limit that get a 503 at once; more are closed without one. */
#define REFUSING_MAX 64
/* After a failure that time may mend: no descriptors, no memory. */
#define ACCEPT_RETRY (50 * NS_PER_MS)
/* How often that is logged, at most. */
#define WARN_EACH    (1 * NS_PER_S)
/* What a connection may hold of what came: the longest head, and a read behind it. */
#define IN_MAX(head) ((head) + SCRATCH_SIZE)

/* A listener and the connections that came by it, which are its coroutine's children. */
struct acceptor {
    struct http_server *server;
    struct listener *listener; /* NULL: closed */
    struct group *connections;
    struct list late;     /* connections that the drain took from the listener's queue */
    int64_t silent_until; /* failures to accept were just logged */
};

/* ---- Memory for requests ---- */

static void free_request(struct active_request *active)
{
    arena_release(&active->arena);
    bytes_release(&active->out);
    bytes_release(&active->body);
    mem_free(active);
}

struct active_request *server_take_request(struct http_server *s)
{
    dcheck(sched_here(world_sched(s->world)), "a server is used from another thread than its own");
    if (s->spare_count > 0)
        return s->spare[--s->spare_count];
    struct active_request *active = mem_zalloc(sizeof(*active));
    if (!active)
        return NULL;
    http1_init(&active->parser, HTTP1_REQUEST, &s->options.limits, s->table);
    arena_init(&active->arena, s->options.arena_max);
    bytes_init(&active->out, REPLY_HEAD_MAX);
    bytes_init(&active->body, 0);
    active->claim.share = s->options.bodies;
    list_init(&active->claim.link);
    return active;
}

void server_return_request(struct http_server *s, struct active_request *active)
{
    if (!active)
        return;
    dcheck(s->spare_count <= SPARE_MAX, "more spare requests than are kept");
    size_t bytes = active->arena.used + active->out.size + active->body.size;
    if (s->spare_count == SPARE_MAX || bytes > SPARE_BYTES_MAX) {
        free_request(active);
        return;
    }
    http1_reset(&active->parser); /* it may have been given up in the middle of a head */
    arena_reset(&active->arena);
    bytes_reset(&active->out);
    s->spare[s->spare_count++] = active;
}

/* ---- Connections ---- */

void server_forget(struct http_connection *c)
{
    struct http_server *s = c->server;
    check(!c->waiting, "a connection ends that waits for a request");
    list_del(&c->link);
    stat_add(&s->stats->open, -1);
    if (s->draining && list_empty(&s->connections) && s->runner)
        coro_wake(s->runner, 0);
}

static bool full(const struct http_server *s)
{
    unsigned max = s->options.connections_max;
    return max && atomic_load_explicit(&s->stats->open, memory_order_relaxed) >= max + s->refusing;
}

static void end_idle(struct http_connection *c)
{
    list_del(&c->idle_link);
    c->waiting = false;
    coro_cancel(c->coro);
}

/* Closes the connection that has been idle longest. Returns false if there is none. */
static bool drop_longest_idle(struct http_server *s)
{
    if (list_empty(&s->idle_connections))
        return false;
    end_idle(list_first(&s->idle_connections, struct http_connection, idle_link));
    return true;
}

static int refuse_and_count(void *arg)
{
    struct http_server *s = ((struct http_connection *)arg)->server;
    int rc = connection_refuse(arg);
    s->refusing--;
    return rc;
}

/* Returns NULL, and has closed the stream, if there is no room, not even for a 503. */
static struct http_connection *take_in(struct acceptor *a, struct stream *stream)
{
    struct http_server *s = a->server;
    bool refused = full(s) && !drop_longest_idle(s);
    struct http_connection *c =
        !refused || s->refusing < REFUSING_MAX ? mem_alloc(sizeof(*c)) : NULL;
    if (!c) {
        stream_close(stream);
        return NULL;
    }
    *c = (struct http_connection){.server = s, .stream = stream, .refused = refused};
    bytes_init(&c->in, IN_MAX(s->options.limits.head_max));
    list_init(&c->idle_link);
    list_push_back(&s->connections, &c->link);
    s->refusing += refused;
    stat_add(&s->stats->connections, 1);
    stat_add(&s->stats->open, 1);
    return c;
}

/* By the acceptor, whose child the connection becomes. */
static void begin(struct acceptor *a, struct http_connection *c)
{
    coro_fn *fn = c->refused ? refuse_and_count : connection_run;
    if (group_spawn(a->connections, "connection", fn, c) == 0)
        return;
    a->server->refusing -= c->refused;
    stream_close(c->stream);
    server_forget(c);
    mem_free(c);
}

static void close_listener(struct acceptor *a)
{
    if (a->listener)
        listener_close(a->listener);
    a->listener = NULL;
}

/* Not each time that it is tried again. */
static void warn_of(struct acceptor *a, int rc)
{
    struct world *w = a->server->world;
    int64_t now = world_now(w);
    if (now < a->silent_until)
        return;
    a->silent_until = deadline_after(now, WARN_EACH);
    log_warn(world_log(w), "no connection can be accepted now: %s", error_text(rc));
}

/* Until the listener is closed. */
static int accept_all(struct acceptor *a)
{
    struct http_server *s = a->server;
    for (;;) {
        struct stream *stream;
        int rc = a->listener ? listener_accept(a->listener, &stream) : -EBADF;
        if (rc == 0) {
            struct http_connection *c = take_in(a, stream);
            if (c)
                begin(a, c);
        } else if (rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM || rc == -ENOBUFS) {
            warn_of(a, rc);
            drop_longest_idle(s);
            rc = world_sleep(s->world, ACCEPT_RETRY);
            if (rc)
                return rc;
        } else if (rc == -EBADF) {
            return 0;
        } else if (rc == -ECANCELED || rc == -EINVAL) {
            return rc;
        } /* else that caller has gone already */
    }
}

static int accept_and_serve(void *arg)
{
    struct acceptor *a = arg;
    GROUP(connections, GROUP_INDEPENDENT);
    a->connections = &connections;
    int rc = accept_all(a);
    a->server->accepting--;
    close_listener(a);
    for (struct list *link; (link = list_pop_front(&a->late));)
        begin(a, list_entry(link, struct http_connection, idle_link));
    if (a->server->runner) /* a failure ends the server, which would accept nothing */
        coro_wake(a->server->runner, rc);
    return rc ? rc : group_wait(&connections);
}

/* ---- Drain ---- */

void http_server_drain(struct http_server *s, int64_t idle_grace, int64_t deadline, bool last)
{
    dcheck(sched_here(world_sched(s->world)), "a server is drained from another thread");
    int64_t idle_until = deadline_after(world_now(s->world), idle_grace);
    if (!s->draining || idle_until < s->drain_idle_until)
        s->drain_idle_until = idle_until;
    if (!s->draining || deadline < s->drain_until)
        s->drain_until = deadline;
    s->draining = true;
    s->last |= last;
    if (s->runner)
        coro_wake(s->runner, 0);
}

/* A closing listener resets the connections in its queue, unless other processes hold its socket;
 * in the last drain none does. The acceptor, which its listener's end wakes, starts their
 * coroutines. */
static void take_in_the_queue(struct acceptor *a)
{
    struct stream *stream;
    while (a->listener && listener_try_accept(a->listener, &stream) == 0) {
        struct http_connection *c = take_in(a, stream);
        if (!c)
            continue;
        list_push_back(&a->late, &c->idle_link);
    }
}

/* Returns true for a connection that has just come, and has sent no request yet. */
static bool is_fresh(const struct http_connection *c, int64_t now)
{
    return !c->served && now < deadline_after(c->now, FRESH_GRACE);
}

static void end_all_idle(struct http_server *s, int64_t now, bool fresh_too)
{
    list_each (link, &s->connections) {
        struct http_connection *c = list_entry(link, struct http_connection, link);
        /* Where something has come, it is answered, as the last. */
        if (c->waiting && (fresh_too || !is_fresh(c, now)) && stream_quiet(c->stream))
            end_idle(c);
    }
}

/* Waits until the last connection has ended or must. */
static int drain(struct http_server *s)
{
    for (unsigned i = 0; i < s->acceptor_count; i++) {
        if (s->last)
            take_in_the_queue(&s->acceptors[i]);
        close_listener(&s->acceptors[i]);
    }
    while (s->accepting > 0 || !list_empty(&s->connections)) {
        int64_t now = world_now(s->world);
        if (now >= s->drain_until)
            return 0;
        int64_t fresh_until = deadline_after(s->drain_idle_until, FRESH_GRACE);
        int64_t until = now < s->drain_idle_until ? s->drain_idle_until
                        : now < fresh_until       ? fresh_until
                                                  : DEADLINE_NEVER;
        if (now >= s->drain_idle_until)
            end_all_idle(s, now, now >= fresh_until);
        until = deadline_sooner(until, s->drain_until);
        CORO_DEADLINE(until);
        int rc = coro_park("drain");
        if (rc == -ECANCELED || (rc == -ETIMEDOUT && world_now(s->world) < until))
            return rc;
    }
    return 0;
}

static int run(struct http_server *s)
{
    GROUP(all, GROUP_FAIL_FAST);
    int rc = 0;
    for (unsigned i = 0; i < s->acceptor_count && rc == 0; i++) {
        rc = group_spawn(&all, "accept", accept_and_serve, &s->acceptors[i]);
        s->accepting += rc == 0;
    }
    while (rc == 0 && !s->draining)
        rc = coro_park("requests");
    if (rc == 0)
        rc = drain(s);
    s->runner = NULL; /* what waits for the group's end must not be woken by others */
    return rc;
}

int http_server_run(struct http_server *s, struct listener *const *listeners, unsigned count)
{
    check(!s->runner, "a server runs twice at once");
    s->acceptors = mem_zalloc((count + 1) * sizeof(*s->acceptors));
    for (unsigned i = 0; i < count; i++) {
        if (!s->acceptors) {
            listener_close(listeners[i]);
            continue;
        }
        s->acceptors[i] = (struct acceptor){.server = s, .listener = listeners[i]};
        list_init(&s->acceptors[i].late);
    }
    if (!s->acceptors)
        return -ENOMEM;
    s->acceptor_count = count;
    s->accepting = 0;
    s->runner = coro_self();
    if (s->options.bodies)
        body_share_join(s->options.bodies, s->world);
    int rc = run(s);
    if (s->options.bodies)
        body_share_leave(s->options.bodies);
    for (unsigned i = 0; i < count; i++)
        close_listener(&s->acceptors[i]);
    mem_free(s->acceptors);
    s->acceptors = NULL;
    s->acceptor_count = 0;
    return rc;
}

/* ---- Life ---- */

int http_server_new(
    struct http_server **out, struct world *w, const struct http_server_options *options)
{
    check(options->handle, "an HTTP server without a handler");
    check(options->limits.fields_max > 0, "an HTTP server without room for fields");
    struct http_server *s = mem_zalloc(sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->world = w;
    s->options = *options;
    s->stats = options->stats ? options->stats : &s->own_stats;
    list_init(&s->connections);
    list_init(&s->idle_connections);
    uint64_t seed;
    world_random(w, &seed, sizeof(seed));
    rand_init(&s->ids, seed);
    s->scratch = mem_alloc(SCRATCH_SIZE);
    s->table = mem_alloc(s->options.limits.fields_max * sizeof(*s->table));
    if (!s->scratch || !s->table) {
        http_server_free(s);
        return -ENOMEM;
    }
    *out = s;
    return 0;
}

void http_server_free(struct http_server *s)
{
    if (!s)
        return;
    check(list_empty(&s->connections), "a server is freed that has connections");
    while (s->spare_count > 0)
        free_request(s->spare[--s->spare_count]);
    mem_free(s->table);
    mem_free(s->scratch);
    mem_free(s);
}

const struct http_server_stats *http_server_stats(const struct http_server *s)
{
    return s->stats;
}
