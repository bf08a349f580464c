/*
 * server.h: the server's side of HTTP/1.1 and 1.0: connections, and the requests on them.
 *
 * A server lives on one world, that is, one thread. Each connection is a coroutine that reads a
 * request, calls the handler, and goes on to the next; a waiting connection costs its stack's
 * first page and little else. The handler replies with exactly one http_reply, or with
 * http_reply_begin, any number of http_reply_write, and http_reply_end. If it does not, the client
 * gets a 500 problem.
 *
 * The request, its fields and its arena end when the handler returns. If the client disconnects
 * after http_request_waits, which a handler calls before it waits for anything but this request,
 * the coroutine is cancelled: its waits return -ECANCELED, and the handler returns. (A client that
 * shuts down its sending side counts as disconnected then, as in nginx and Go; without
 * http_request_waits it gets a reply.)
 */
#pragma once

#include "base/arena.h"
#include "http/body_budget.h"
#include "wire/http1.h"
#include "wire/problem.h"
#include "world/world.h"

#include <stdatomic.h>

struct http_server;
struct http_connection;

#define HTTP_REQUEST_ID_MAX 64

/* How a request's time was spent, in nanoseconds, for the Server-Timing field. The handler adds
 * what it knows before it replies; the times of parallel nodes add up. */
struct http_timing {
    int64_t queue; /* its tasks waited for a worker */
    int64_t cpu;   /* its steps computed */
    int64_t wait;  /* it waited for others: upstreams, sleeps */
    int64_t flow;  /* all of that, by the clock: what is left until the reply is input and output */
};

struct http_request {
    const struct http1_head *head;
    struct arena *arena; /* of options.arena_max bytes; ends with the request */
    const struct address *peer;
    int64_t began;                    /* world_now at its first byte */
    char id[HTTP_REQUEST_ID_MAX + 1]; /* from X-Request-Id if that is valid, else generated */
    uint64_t body_max;  /* the handler may lower or raise it before reading the body */
    struct span label;  /* for the access log and metrics: the handler sets it (the route's name) */
    void *handler_data; /* for `done` */
    struct span
        failure; /* for the access log: why it was refused or failed, in full; in the arena */
    bool failure_hidden; /* the reply has less */
    struct http_timing timing;
    /* Until the end, for `done`: */
    int status;        /* of the reply; 0: none, the client is gone */
    uint64_t received; /* body bytes */
    uint64_t sent;     /* body bytes */
    struct http_connection *connection;
};

/* Why requests were refused before a handler saw them. */
enum http_refused {
    HTTP_REFUSED_400,
    HTTP_REFUSED_408,
    HTTP_REFUSED_413,
    HTTP_REFUSED_414,
    HTTP_REFUSED_431,
    HTTP_REFUSED_OTHER,
    HTTP_REFUSED_COUNT
};

/* Written by the server's thread alone, readable from any: relaxed atomics. */
struct http_server_stats {
    _Atomic uint64_t connections;                 /* accepted so far */
    _Atomic uint64_t open, idle;                  /* now */
    _Atomic uint64_t requests;                    /* valid heads */
    _Atomic uint64_t refused[HTTP_REFUSED_COUNT]; /* before a handler saw them */
    _Atomic uint64_t client_gone;                 /* requests whose client disconnected */
};

/* 0 is a value, not a default: HTTP_SERVER_DEFAULTS initializes all but the handler. */
struct http_server_options {
    struct http1_limits limits; /* body_max: HTTP1_BODY_UNLIMITED, since each route has its own */
    uint64_t body_max;
    unsigned requests_per_connection; /* 0: no limit */
    /* Open at once on this thread. At the limit, the connection that has been idle longest (for a
     * second or more) is closed; if there is none, the new one gets a 503. 0: no limit. */
    unsigned connections_max;
    size_t arena_max; /* of a request */
    /* The server's share of the limit on all bodies in memory, which it joins while it runs; NULL:
     * no limit. */
    struct body_share *bodies;
    /* Nanoseconds. */
    int64_t headers_timeout, body_timeout, idle_timeout, write_timeout, linger_timeout;
    uint64_t body_rate; /* bytes a second; 0: no least rate */
    bool date;          /* writes Date */
    const char *server; /* the Server field; NULL or "": none */
    bool timing;        /* writes Server-Timing */

    void (*handle)(void *ctx, struct http_request *r);                  /* required */
    void (*done)(void *ctx, const struct http_request *r, int64_t now); /* or NULL */
    void *ctx;
    struct http_server_stats
        *stats; /* all zero, to be kept by the caller; NULL: the server's own */
};
#define HTTP_SERVER_DEFAULTS                                                     \
    {                                                                            \
        .limits = HTTP1_LIMITS_DEFAULT, .body_max = 1024 * 1024,                 \
        .arena_max = (size_t)64 * 1024 * 1024, .headers_timeout = 10 * NS_PER_S, \
        .body_timeout = 10 * NS_PER_S, .idle_timeout = 75 * NS_PER_S,            \
        .write_timeout = 30 * NS_PER_S, .linger_timeout = 2 * NS_PER_S           \
    }

int http_server_new(struct http_server **out, struct world *w,
    const struct http_server_options *options) __attribute__((warn_unused_result));
/* Serves the listeners, and owns them. Returns after a drain: 0; or a negative errno, also if the
 * coroutine is cancelled, which drops all connections. A drain closes the listeners when it begins.
 * */
int http_server_run(struct http_server *s, struct listener *const *listeners, unsigned count)
    __attribute__((warn_unused_result));
/* On the server's thread. Accepts no more connections, replies with Connection: close, closes idle
 * connections after `idle_grace` nanoseconds (and still serves a request that comes within that
 * time), and drops what is left at `deadline`. `last`: no other server accepts from these
 * listeners, so connections in their queues are accepted before they close. A further call can only
 * shorten the times. */
void http_server_drain(struct http_server *s, int64_t idle_grace, int64_t deadline, bool last);
void http_server_free(struct http_server *s);
const struct http_server_stats *http_server_stats(const struct http_server *s);

/* ---- For the handler ---- */

/* The next piece of the body, valid until the next call: its length, 0 at the end, or a negative
 * errno: -EMSGSIZE (longer than body_max), -EBADMSG, -ETIMEDOUT (too slow), -ENODATA (the client
 * ended its sending side too early), -ECONNRESET (the client is gone: no reply is possible). After
 * the others a reply is possible, and the connection's last. The first call sends 100 Continue to a
 * client that waits for it. */
ssize_t http_request_read(struct http_request *r, struct span *piece)
    __attribute__((warn_unused_result));
/* The whole body, in memory that ends with the request and counts against options.bodies. The same
 * errors, and -ENOBUFS: no memory became free within the body's time. */
int http_request_body(struct http_request *r, struct span *body)
    __attribute__((warn_unused_result));

/* Call this before the handler waits for anything but this request: sends earlier pipelined
 * replies, and until the reply the client's disconnecting cancels the coroutine. 0, or a negative
 * errno: the connection is lost. */
int http_request_waits(struct http_request *r) __attribute__((warn_unused_result));

/* All reply functions: 0, or a negative errno after which the connection is lost. The server writes
 * Content-Length, Connection, Date and Server; `fields` must contain neither these nor
 * Transfer-Encoding. HEAD gets only the head. `fields` and `body` need not outlive the call.
 * -EINVAL if a field cannot be written: no reply was sent then. */
int http_reply(struct http_request *r, int status, const struct http_field *fields, unsigned count,
    struct span body) __attribute__((warn_unused_result));
/* A problem document with the request's id. `status` 0: the one of the error's code. `fields` as in
 * http_reply (Retry-After). */
int http_reply_problem(struct http_request *r, int status, const struct error *e,
    const struct http_field *fields, unsigned count) __attribute__((warn_unused_result));
/* A problem document by status: "not-found" for 404. `fields` as in http_reply (Allow). */
int http_reply_status(struct http_request *r, int status, const struct http_field *fields,
    unsigned count, const char *sentence) __attribute__((warn_unused_result));

/* `length` of the whole body; -1: chunked (for HTTP/1.0: until close). */
int http_reply_begin(struct http_request *r, int status, const struct http_field *fields,
    unsigned count, int64_t length) __attribute__((warn_unused_result));
int http_reply_write(struct http_request *r, struct span piece) __attribute__((warn_unused_result));
int http_reply_end(struct http_request *r, const struct http_field *trailers, unsigned count)
    __attribute__((warn_unused_result));
