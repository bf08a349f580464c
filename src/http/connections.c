/*
 * connections.c: see connections.h.
 *
 * Idle connections have no coroutine that watches them: one would cost each of them a stack, and
 * each call two switches, to learn early what the call would learn anyway. Those whose time has
 * come are closed a few at a time by every call, and by http_client_sweep for clients without
 * calls.
 */
#include "http/connections.h"

#include "base/bug.h"
#include "base/mem.h"

#include <errno.h>
#include <limits.h>

/* A call closes at most so many idle connections of others. */
#define SWEEP_MAX 4

/* ---- Slots ---- */

struct waiter {
    struct list link; /* in origin.waiters, on the waiting coroutine's stack */
    struct coro *coro;
};

int connections_enter(struct http_origin *o, struct error *e)
{
    struct http_client *c = o->client;
    if (o->in_use >= c->options.in_use_max || !list_empty(&o->waiters)) {
        struct waiter self = {.coro = coro_self()};
        list_push_back(&o->waiters, &self.link);
        int rc = coro_park("connection");
        list_del(&self.link);
        /* With 0, connections_leave has passed its slot on: in_use stays. */
        return rc ? http_interrupted(o, rc, "waiting in line for a connection to", e) : 0;
    }
    dcheck(sched_here(world_sched(c->world)), "a client is used from another thread than its own");
    o->in_use++;
    check(o->in_use <= c->options.in_use_max, "more slots of an origin are taken than it has");
    stat_add(&c->stats->in_use, 1);
    return 0;
}

void connections_leave(struct http_origin *o)
{
    struct list *link;
    check(o->in_use > 0, "a slot of %s is given back that nobody holds", o->endpoint.text);
    while ((link = list_pop_front(&o->waiters)))
        if (coro_wake(list_entry(link, struct waiter, link)->coro, 0))
            return;
    o->in_use--;
    stat_add(&o->client->stats->in_use, -1);
}

/* ---- Kept connections ---- */

static void unkeep(struct client_connection *connection)
{
    check(connection->origin->kept_count > 0, "a connection is taken that was not kept");
    list_del(&connection->kept);
    list_del(&connection->age);
    connection->origin->kept_count--;
    stat_add(&connection->origin->client->stats->idle, -1);
}

void connections_close(struct client_connection *connection)
{
    stream_close(connection->stream);
    mem_free(connection);
}

void connections_forget(struct client_connection *connection)
{
    unkeep(connection);
    connections_close(connection);
}

static bool is_old(const struct client_connection *connection, int64_t now)
{
    return deadline_after(
               connection->idle_since, connection->origin->client->options.idle_timeout) <= now;
}

static void sweep(struct http_client *c, int64_t now, unsigned max)
{
    for (; max > 0 && !list_empty(&c->ages); max--) {
        struct client_connection *oldest = list_first(&c->ages, struct client_connection, age);
        if (!is_old(oldest, now))
            return;
        connections_forget(oldest);
    }
}

int64_t http_client_sweep(struct http_client *c)
{
    sweep(c, world_now(c->world), UINT_MAX);
    if (list_empty(&c->ages))
        return DEADLINE_NEVER;
    const struct client_connection *oldest = list_first(&c->ages, struct client_connection, age);
    return deadline_after(oldest->idle_since, c->options.idle_timeout);
}

struct client_connection *connections_take(struct http_origin *o)
{
    if (list_empty(&o->kept))
        return NULL;
    int64_t now = world_now(o->client->world);
    while (!list_empty(&o->kept)) {
        struct client_connection *connection = list_first(&o->kept, struct client_connection, kept);
        if (is_old(connection, now) || !stream_quiet(connection->stream)) {
            connections_forget(connection);
            continue;
        }
        unkeep(connection);
        stat_add(&o->client->stats->reuses, 1);
        return connection;
    }
    return NULL;
}

void connections_keep(struct client_connection *connection)
{
    struct http_origin *o = connection->origin;
    struct http_client *c = o->client;
    dcheck(list_empty(&connection->kept), "a connection is kept twice");
    if (c->options.idle_max == 0) {
        connections_close(connection);
        return;
    }
    if (o->kept_count >= c->options.idle_max)
        connections_forget(list_entry(o->kept.prev, struct client_connection, kept));
    connection->idle_since = world_now(c->world);
    list_push_front(&o->kept, &connection->kept);
    list_push_back(&c->ages, &connection->age);
    o->kept_count++;
    stat_add(&c->stats->idle, 1);
    sweep(c, connection->idle_since, SWEEP_MAX);
}

int connections_open(struct http_origin *o, struct client_connection **out, struct error *e)
{
    struct client_connection *connection = mem_zalloc(sizeof *connection);
    if (!connection)
        return error_set(
            e, -ENOMEM, "memory", "out of memory for a connection to %s", o->endpoint.text);
    connection->origin = o;
    list_init(&connection->kept);
    list_init(&connection->age);
    int rc = origin_connect(o, &connection->stream, e);
    if (rc) {
        mem_free(connection);
        return rc;
    }
    *out = connection;
    return 0;
}
