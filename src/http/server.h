/*
 * server.h: the server's side of HTTP/1.1 and 1.0: connections, and the requests on them.
 *
 * A server lives on one world, that is, one thread. Each connection is a coroutine that reads a
 * request, calls the handler, and goes on to the next; a waiting connection costs its stack's
 * first page and little else. The handler answers by exactly one http_reply, or by
 * http_reply_begin, any number of http_reply_write, and http_reply_end; what it leaves unanswered
 * is answered with a 500 problem.
 *
 * The request, its fields and its arena end when the handler returns. If the client goes away
 * while the handler waits for something else, which it has announced by http_request_waits, the
 * coroutine is cancelled: its waits are -ECANCELED, and the handler returns. (A client that shuts
 * down its sending side is then taken for gone, as by nginx and Go; a handler that does not wait
 * answers it.)
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

/* What a request's time went to, in nanoseconds, for the Server-Timing field. The handler adds up
 * what it knows before it replies; times of what runs at once are added, too. */
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
    int64_t began;                    /* world_now when its first byte was seen */
    char id[HTTP_REQUEST_ID_MAX + 1]; /* from X-Request-Id if that is sane, else made */
    uint64_t body_max;  /* the handler may lower or raise it before reading the body */
    struct span label;  /* for the access log and metrics: the handler sets it (the route's name) */
    void *handler_data; /* for `done` */
    struct span failure; /* for the access log: why it was refused or failed, whole; in the arena */
    bool failure_hidden; /* the client was shown less */
    struct http_timing timing;
    /* Until the end, for `done`: */
    int status;        /* that was answered; 0: none, the client is gone */
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
    _Atomic uint64_t requests;                    /* heads understood */
    _Atomic uint64_t refused[HTTP_REFUSED_COUNT]; /* before a handler saw them */
    _Atomic uint64_t client_gone;                 /* requests whose client did not wait */
};

/* Each means what it says: HTTP_SERVER_DEFAULTS initializes all but the handler. */
struct http_server_options {
    struct http1_limits limits; /* body_max: HTTP1_BODY_UNLIMITED, since each route has its own */
    uint64_t body_max;
    unsigned requests_per_connection; /* 0: no limit */
    /* Open at once on this thread. Beyond, one that has been idle for a second or more is closed,
     * the longest first; if there is none the new one gets a 503. 0: no limit. */
    unsigned connections_max;
    size_t arena_max; /* of a request */
    /* The server's part of a bound on all bodies in memory, which it joins while it runs; NULL: no
     * bound. */
    struct body_share *bodies;
    /* Nanoseconds. */
    int64_t headers_timeout, body_timeout, idle_timeout, write_timeout, linger_timeout;
    uint64_t body_rate; /* bytes a second; 0: a body may be as slow as it likes */
    bool date;          /* writes Date */
    const char *server; /* the Server field; NULL or "": none */
    bool timing;        /* writes Server-Timing */

    void (*handle)(void *ctx, struct http_request *r);                  /* required */
    void (*done)(void *ctx, const struct http_request *r, int64_t now); /* NULL: nobody cares */
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
/* Serves the listeners, which are its own from now on, until it is told to drain and has; or the
 * coroutine is cancelled, which drops all connections. They are closed when the drain begins. 0
 * or a negative errno. */
int http_server_run(struct http_server *s, struct listener *const *listeners, unsigned count)
    __attribute__((warn_unused_result));
/* From its thread: takes no more connections, answers what is under way with Connection: close,
 * closes idle ones after `idle_grace` more nanoseconds (a request that comes on one meanwhile is
 * answered), and ends what is left at `deadline`. `last`: no other server accepts from these
 * listeners, so connections that wait in their queues are taken in before they are closed. May be
 * called again, to be sooner. */
void http_server_drain(struct http_server *s, int64_t idle_grace, int64_t deadline, bool last);
void http_server_free(struct http_server *s);
const struct http_server_stats *http_server_stats(const struct http_server *s);

/* ---- For the handler ---- */

/* The next piece of the body, valid until the next call: its length, 0 at the end, or a negative
 * errno: -EMSGSIZE (longer than body_max), -EBADMSG, -ETIMEDOUT (too slow), -ENODATA (the client
 * said that no more comes, before its end), -ECONNRESET (the client is gone, and cannot be
 * answered). After the others a reply can still be given, and is the last on the connection. A
 * client that waits for 100 Continue gets it with the first call. */
ssize_t http_request_read(struct http_request *r, struct span *piece)
    __attribute__((warn_unused_result));
/* All of it, in memory that ends with the request, and counts against options.bodies; the same
 * errors, and -ENOBUFS: there was no room in the time that a body has. */
int http_request_body(struct http_request *r, struct span *body)
    __attribute__((warn_unused_result));

/* Before the handler waits for something else than this request: sends what earlier, pipelined
 * requests were answered with, and from now until the reply a client that goes away cancels the
 * coroutine. 0 or a negative errno: the connection is lost. */
int http_request_waits(struct http_request *r) __attribute__((warn_unused_result));

/* All: 0, or a negative errno after which the connection is lost. Content-Length, Connection,
 * Date and Server are written by the server; `fields` may not have them, nor Transfer-Encoding. A
 * HEAD gets the head alone. `fields` and `body` need not outlive the call. -EINVAL if a field
 * cannot be written: nothing was answered then. */
int http_reply(struct http_request *r, int status, const struct http_field *fields, unsigned count,
    struct span body) __attribute__((warn_unused_result));
/* A problem, with the request's id. `status`: instead of the one that goes with the error's code;
 * 0: that. `fields` as in http_reply (Retry-After). */
int http_reply_problem(struct http_request *r, int status, const struct error *e,
    const struct http_field *fields, unsigned count) __attribute__((warn_unused_result));
/* The same by status alone: "not-found" for 404. `fields` as in http_reply (Allow). */
int http_reply_status(struct http_request *r, int status, const struct http_field *fields,
    unsigned count, const char *sentence) __attribute__((warn_unused_result));

/* `length`: of the whole body, or -1: chunked (for 1.0: until close). */
int http_reply_begin(struct http_request *r, int status, const struct http_field *fields,
    unsigned count, int64_t length) __attribute__((warn_unused_result));
int http_reply_write(struct http_request *r, struct span piece) __attribute__((warn_unused_result));
int http_reply_end(struct http_request *r, const struct http_field *trailers, unsigned count)
    __attribute__((warn_unused_result));
