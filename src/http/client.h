/*
 * client.h: the HTTP/1.1 client: kept connections per world and origin.
 *
 * A client belongs to one world and is used by its coroutines. A call takes an idle connection of
 * its origin (the most recently used, which is the least likely to be stale), or opens one, or, at
 * the origin's limit, waits first come, first served. If a kept connection ends before the first
 * byte of the response, the call is repeated once on a new one, provided that no part of a streamed
 * body was sent, and that the method is idempotent or no byte of the request was sent; other
 * retries are up to the caller. Deadlines are the coroutine's, shortened by connect_timeout and
 * first_byte_timeout. doc/internals/http-client.md has the details.
 *
 * Whole calls:
 *
 *     struct http_response response;
 *     struct http_client_request request = {
 *         .method = SPAN("GET"), .origin = origin, .target = SPAN("/users/1")};
 *     int rc = http_call(client, &request, arena, &response, &error);
 *
 * or streamed: http_exchange_begin, http_exchange_write (if the body is streamed),
 * http_exchange_head, http_exchange_read until 0, http_exchange_end (which keeps or drops the
 * connection; early is allowed: drops).
 */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "wire/http1.h"
#include "world/world.h"

#include <stdatomic.h>

struct http_client;
struct http_origin;
struct http_exchange;

struct http_client_stats { /* relaxed atomics, written by the client's thread */
    _Atomic uint64_t calls, connects, connect_failures, reuses, stale_retries, timeouts;
    _Atomic uint64_t idle, in_use;
};

/* 0 is a value, not a default: HTTP_CLIENT_DEFAULTS initializes them. */
struct http_client_options {
    unsigned idle_max;   /* kept connections per origin; 0: none is kept */
    unsigned in_use_max; /* per origin; beyond, calls wait. UINT_MAX: no limit */
    int64_t idle_timeout;
    int64_t connect_timeout;
    int64_t first_byte_timeout;
    struct http1_limits
        limits;        /* of replies; body_max: HTTP1_BODY_UNLIMITED, since streams have none */
    uint64_t body_max; /* of whole responses; streamed ones are not limited */
    struct http_client_stats *stats; /* all zero, the caller's to keep; NULL: the client's own */
};
#define HTTP_CLIENT_DEFAULTS                                                   \
    {                                                                          \
        .idle_max = 64, .in_use_max = 1024, .idle_timeout = 30 * NS_PER_S,     \
        .connect_timeout = 5 * NS_PER_S, .first_byte_timeout = 30 * NS_PER_S,  \
        .limits = HTTP1_LIMITS_DEFAULT, .body_max = (uint64_t)16 * 1024 * 1024 \
    }

int http_client_new(struct http_client **out, struct world *w,
    const struct http_client_options *options) __attribute__((warn_unused_result));
/* Closes idle connections. No call may be under way. */
void http_client_free(struct http_client *c);

/* Finds or makes the origin of a scheme, host and port, e.g. "http://127.0.0.1:9001" or
 * "http://unix:/run/x.sock"; the same text gives the same origin, which lives as long as the
 * client. -EINVAL with a sentence; -ENOMEM; -ENOBUFS beyond 4,096 origins. */
int http_client_origin(struct http_client *c, struct span text, struct http_origin **out,
    struct error *e) __attribute__((warn_unused_result));
/* Splits "http://host:port/path?query", or "http://unix:/run/x.sock:/path?query", into origin text
 * and target, pure: 0 or -EINVAL with a sentence. */
int http_url_split(struct span url, struct span *origin, struct span *target, struct error *e)
    __attribute__((warn_unused_result));

struct http_client_request {
    struct http_origin *origin;
    struct span method; /* not CONNECT */
    struct span target; /* origin-form (or "*"), encoded already */
    /* Not the fields of the connection, which the client writes: Host, Content-Length, Connection,
     * Transfer-Encoding, Keep-Alive, Proxy-Connection, Upgrade, HTTP2-Settings, TE, Trailer,
     * Expect. -EINVAL with a sentence for one of them, and for an invalid one. */
    const struct http_field *fields;
    unsigned field_count;
    struct span body;   /* of whole calls */
    int64_t streamed;   /* begin only: 0: `body`; > 0: so many bytes follow; -1: chunked */
    bool send_deadline; /* a Weir-Deadline field: what is left of the coroutine's deadline when the
                         * request is sent, after any wait for a connection */
};

struct http_response {
    const struct http1_head *head; /* in the arena */
    struct span body;              /* in the arena */
};

/* 0 for any status. Else a negative errno with a type and a sentence that names the origin:
 * "connect" (-ECONNREFUSED, ...), "timeout" (-ETIMEDOUT), "canceled" (-ECANCELED), "reply" (an
 * invalid response: -EBADMSG; -EMSGSIZE), "reset" (-ECONNRESET, -EPIPE: it ended before the
 * response), "request" (-EINVAL), "memory" (-ENOMEM, also for a full arena). */
int http_call(struct http_client *c, const struct http_client_request *request, struct arena *arena,
    struct http_response *response, struct error *e) __attribute__((warn_unused_result));

/* The same errors, after which there is nothing to end. After 0 the exchange must be ended once,
 * whatever the other calls return, before its arena is reset. Sends a whole `body` before it
 * returns. */
int http_exchange_begin(struct http_client *c, const struct http_client_request *request,
    struct arena *arena, struct http_exchange **out, struct error *e)
    __attribute__((warn_unused_result));
/* -EPIPE, -ECONNRESET: the peer reads no more; http_exchange_head returns its response, if it sent
 * one. */
int http_exchange_write(struct http_exchange *x, struct span piece, struct error *e)
    __attribute__((warn_unused_result));
/* Ends a chunked body, and waits for the final reply's head (interim ones are skipped). */
int http_exchange_head(struct http_exchange *x, const struct http1_head **head, struct error *e)
    __attribute__((warn_unused_result));
/* The next piece, valid until the next call: its length, 0 at the end, or a negative errno. */
ssize_t http_exchange_read(struct http_exchange *x, struct span *piece, struct error *e)
    __attribute__((warn_unused_result));
void http_exchange_end(struct http_exchange *x);

/* Closes connections that were idle for too long. Returns when there may be more to close, or
 * DEADLINE_NEVER. Calls do a part of this; use it for clients that may have none for long. */
int64_t http_client_sweep(struct http_client *c);

const struct http_client_stats *http_client_stats(const struct http_client *c);
