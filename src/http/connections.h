/*
 * connections.h: a client's connections: in use, or kept for later calls. For the client's own
 * files.
 *
 * A call first acquires a *slot*: an origin has in_use_max of them. When all are taken, calls wait
 * first come, first served: a free slot goes to the first waiter, never to a new call. A call with
 * a slot takes a kept connection or opens one.
 */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "coro/sync.h"
#include "http/client.h"
#include "http/stat.h"
#include "http/url.h"

/* Addresses of one name that are tried. */
#define HTTP_ADDRESSES_MAX 8
/* What one read takes at most. */
#define HTTP_SCRATCH_SIZE  (64 * 1024)

struct http_client {
    struct world *world;
    struct http_client_options options;
    struct http_client_stats *stats; /* the caller's, or own_stats */
    struct http_client_stats own_stats;
    struct map origins;       /* by endpoint.text; owns them */
    struct list ages;         /* every kept connection, longest idle first: client_connection.age */
    struct http_field *table; /* where heads are parsed; used up before anybody waits again */
    char *scratch;            /* where replies are read; as well (see stream_read) */
};

/* Owned by its client, and lives as long. */
struct http_origin {
    struct http_client *client;
    struct http_endpoint endpoint;
    struct list kept; /* used last first: client_connection.kept */
    unsigned kept_count;
    unsigned in_use; /* slots taken */
    struct list waiters;
    struct address addresses[HTTP_ADDRESSES_MAX];
    int address_count;
    int preferred;            /* the address that answered last */
    int64_t resolved_until;   /* the addresses are believed until then */
    struct future *resolving; /* on the stack of the coroutine that asks for all */
};

/* A connection: owned by the exchange that uses it, or by the pool. */
struct client_connection {
    struct stream *stream;
    struct http_origin *origin;
    struct list kept;
    struct list age;
    int64_t idle_since;
};

/* Acquires a slot, perhaps after waiting: 0 or a negative errno with a sentence. */
int connections_enter(struct http_origin *o, struct error *e) __attribute__((warn_unused_result));
void connections_leave(struct http_origin *o);

/* The connection that was kept last and still seems to be good, or NULL. */
struct client_connection *connections_take(struct http_origin *o);
/* A new one. */
int connections_open(struct http_origin *o, struct client_connection **out, struct error *e)
    __attribute__((warn_unused_result));
/* Keeps it for the next call; it is the pool's then. */
void connections_keep(struct client_connection *connection);
void connections_close(struct client_connection *connection);
/* Closes one that is kept. */
void connections_forget(struct client_connection *connection);

/* origin.c: connects to one of its addresses. */
int origin_connect(struct http_origin *o, struct stream **out, struct error *e)
    __attribute__((warn_unused_result));

/* A wait's own limit beside the coroutine's deadline: which of them it was that has passed. */
struct http_limit {
    int64_t until;
    bool own; /* the limit is the sooner of the two */
};

static inline struct http_limit http_limit_from(int64_t now, int64_t span_ns)
{
    int64_t until = deadline_after(now, span_ns);
    return (struct http_limit){.until = until, .own = until < coro_deadline()};
}

/* "30s", "250ms": for sentences. */
#define HTTP_SPAN_TEXT_MAX 32
const char *http_span_text(int64_t span_ns, char text[HTTP_SPAN_TEXT_MAX]);

/* The sentence for a wait of a call that did not end well: -ECANCELED, or -ETIMEDOUT by the
 * coroutine's own deadline; `doing` is "waiting for a connection to". */
int http_interrupted(struct http_origin *o, int code, const char *doing, struct error *e);
