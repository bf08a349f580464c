/*
 * client.h: the client's side of HTTP/1.1: a pool of kept connections per world and origin.
 *
 * A client belongs to one world and is used by its coroutines. A call takes an idle connection of
 * its origin (the one used last, which is the least likely to be stale), or opens one, or, at the
 * origin's bound, waits for one in turn. A kept connection that turns out to have ended before one
 * byte of the reply came is replaced by a *new* one, once, provided that nothing of a streamed body
 * is gone, and that the method is idempotent or not a byte of the request had been taken; all else
 * is the caller's to try again. Deadlines are the coroutine's, made sooner by connect_timeout
 * and first_byte_timeout. doc/internals/http-client.md says more.
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

/* Each means what it says: HTTP_CLIENT_DEFAULTS initializes them. */
struct http_client_options {
    unsigned idle_max;   /* kept connections per origin; 0: none is kept */
    unsigned in_use_max; /* per origin; beyond, calls wait. UINT_MAX: no limit */
    int64_t idle_timeout;
    int64_t connect_timeout;
    int64_t first_byte_timeout;
    struct http1_limits
        limits;        /* of replies; body_max: HTTP1_BODY_UNLIMITED, since streams have none */
    uint64_t body_max; /* of whole replies; streamed ones are counted by who reads them */
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
/* Closes what is idle. Nothing may be in use. */
void http_client_free(struct http_client *c);

/* Scheme, host and port, e.g. "http://127.0.0.1:9001" or "http://unix:/run/x.sock"; made once and
 * found again: the same text gives the same origin. Lives as long as the client. -EINVAL with a
 * sentence; -ENOMEM; -ENOBUFS beyond 4,096 of them. */
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
    /* Those that speak of the connection are the client's own: Host, Content-Length, Connection,
     * Transfer-Encoding, Keep-Alive, Proxy-Connection, Upgrade, HTTP2-Settings, TE, Trailer,
     * Expect. -EINVAL with a sentence for one of them, and for one that cannot be written. */
    const struct http_field *fields;
    unsigned field_count;
    struct span body; /* of whole calls */
    int64_t streamed; /* begin only: 0: `body`; > 0: so many bytes follow; -1: chunked */
};

struct http_response {
    const struct http1_head *head; /* in the arena */
    struct span body;              /* in the arena */
};

/* 0 whatever the status. Else a negative errno with a type and sentence that says which origin and
 * what happened: "connect" (-ECONNREFUSED, ...), "timeout" (-ETIMEDOUT), "canceled" (-ECANCELED),
 * "reply" (-EBADMSG: what is wrong with it; -EMSGSIZE), "reset" (-ECONNRESET, -EPIPE: it ended
 * before the reply did), "request" (-EINVAL: it cannot be sent), "memory" (-ENOMEM, also for an
 * arena that is full). */
int http_call(struct http_client *c, const struct http_client_request *request, struct arena *arena,
    struct http_response *response, struct error *e) __attribute__((warn_unused_result));

/* The same errors. After one there is nothing to end; after 0 the exchange is ended once, whatever
 * the other calls say, before its arena is reset. A whole `body` is sent before this returns. */
int http_exchange_begin(struct http_client *c, const struct http_client_request *request,
    struct arena *arena, struct http_exchange **out, struct error *e)
    __attribute__((warn_unused_result));
/* -EPIPE, -ECONNRESET: the other side reads no more; http_exchange_head tells whether it has
 * answered. */
int http_exchange_write(struct http_exchange *x, struct span piece, struct error *e)
    __attribute__((warn_unused_result));
/* Ends a chunked body, and waits for the final reply's head (interim ones are skipped). */
int http_exchange_head(struct http_exchange *x, const struct http1_head **head, struct error *e)
    __attribute__((warn_unused_result));
/* The next piece, valid until the next call: its length, 0 at the end, or a negative errno. */
ssize_t http_exchange_read(struct http_exchange *x, struct span *piece, struct error *e)
    __attribute__((warn_unused_result));
void http_exchange_end(struct http_exchange *x);

/* Closes what was idle for too long and returns the moment at which there may be more to close,
 * or DEADLINE_NEVER. Every call does a share of it; this is for clients that may have none for
 * long. */
int64_t http_client_sweep(struct http_client *c);

const struct http_client_stats *http_client_stats(const struct http_client *c);
