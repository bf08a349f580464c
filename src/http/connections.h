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

/* Addresses tried of one name. */
#define HTTP_ADDRESSES_MAX 8
/* The size of one read. */
#define HTTP_SCRATCH_SIZE  (64 * 1024)

struct http_client {
    struct world *world;
    struct http_client_options options;
    struct http_client_stats *stats; /* options.stats or own_stats */
    struct http_client_stats own_stats;
    struct map origins;       /* by endpoint.text; owns them */
    struct list ages;         /* every kept connection, longest idle first: client_connection.age */
    struct http_field *table; /* where heads are parsed; its content ends at the next wait */
    char *scratch;            /* where replies are read; likewise (see stream_read) */
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
    int64_t resolved_until;   /* the addresses are used until then */
    struct future *resolving; /* while a coroutine resolves, on its stack */
};

/* Owned by the exchange that uses it, or kept in its origin. */
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

/* The most recently kept connection that still seems open, or NULL. */
struct client_connection *connections_take(struct http_origin *o);
/* Opens a connection. 0 or a negative errno with a sentence. */
int connections_open(struct http_origin *o, struct client_connection **out, struct error *e)
    __attribute__((warn_unused_result));
/* Keeps the connection for later calls; the caller no longer owns it. */
void connections_keep(struct client_connection *connection);
void connections_close(struct client_connection *connection);
/* Closes a kept connection. */
void connections_forget(struct client_connection *connection);

/* origin.c: connects to one of its addresses. */
int origin_connect(struct http_origin *o, struct stream **out, struct error *e)
    __attribute__((warn_unused_result));

/* A limit of one wait besides the coroutine's deadline, to know later which of the two has passed.
 * */
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

/* Sets the error of an interrupted wait: -ECANCELED, or -ETIMEDOUT by the coroutine's own deadline;
 * `doing` is like "waiting for a connection to". */
int http_interrupted(struct http_origin *o, int code, const char *doing, struct error *e);
