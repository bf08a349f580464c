/*
 * internal.h: shared by the files of the HTTP server.
 *
 *   server.c      listeners, connections coming and going, drain
 *   connection.c  one connection: its requests in order, and its end
 *   request.c     reading a request's body
 *   reply.c       writing replies
 */
#pragma once

#include "base/calendar.h"
#include "base/list.h"
#include "base/rand.h"
#include "http/server.h"
#include "http/stat.h"

/* Read at once into a buffer that all connections share: its content is parsed before the reader
 * waits again. */
#define SCRATCH_SIZE    (64 * 1024)
/* Reply bodies up to this size are copied behind their heads and sent with them; longer ones are
 * written in place. Pipelined replies are gathered up to this size, too. */
#define GATHER_MAX      (16 * 1024)
/* So much of a body that its handler did not read is skipped to keep the connection. */
#define SKIP_MAX        (64 * 1024)
/* Of a reply's head. */
#define REPLY_HEAD_MAX  (1024 * 1024)
/* Unused struct active_request that are kept for the next requests. */
#define SPARE_MAX       64
/* In a drain, a connection that has just come, or was in a listener's queue, gets this long for its
 * first request, which is most likely on its way. */
#define FRESH_GRACE     (500 * NS_PER_MS)
/* Fields of a problem besides Content-Type. */
#define ROOM_FOR_FIELDS 8
/* Larger arenas and buffers are not kept. */
#define SPARE_BYTES_MAX (64 * 1024)

enum reply_stage { REPLY_NONE, REPLY_BODY, REPLY_DONE };

/* The state of a request under way; an idle connection has none. Unused ones are kept on a stack:
 * the most recently used one is likely still in the cache. */
struct active_request {
    struct http_request request;
    struct http1 parser; /* between two messages, but while a request is under way */
    struct arena arena;
    struct bytes out;  /* replies that have not been sent yet */
    struct bytes body; /* of the request, where its handler wants it whole */
    struct body_claim claim;
    bool body_done;   /* the request was read to its end */
    bool body_failed; /* it never will be */
    bool continued;   /* 100 Continue has been sent */
    bool chunking;    /* the streamed reply is chunked */
    bool watched;     /* the client's disconnecting cancels the coroutine */
    enum reply_stage reply;
    int64_t reply_left;  /* of a streamed reply with a length */
    int64_t body_began;  /* when the body was first waited for, without the handler's time between
                            two waits; 0: not yet */
    int64_t body_paused; /* since when the handler has kept the body waiting; 0: it has not */
};

struct http_connection {
    struct http_server *server;
    struct stream *stream;
    struct coro *coro;
    struct active_request *active; /* NULL: no request is under way */
    /* Received and not yet parsed: in the server's scratch until the coroutine waits, else in `in`.
     * */
    struct span view;
    struct bytes in;
    int64_t now; /* the last reading of the clock */
    unsigned served;
    bool waiting;          /* for a request, and not cancelled */
    bool close_after;      /* no request after this one */
    bool broken;           /* no writing any more */
    bool refused;          /* beyond connections_max: gets a 503 */
    bool silent;           /* the client asked to close, and has sent its last request */
    struct list link;      /* in server->connections */
    struct list idle_link; /* in server->idle_connections, or in acceptor.late before it begins */
    struct address peer;
};

struct http_server {
    struct world *world;
    struct http_server_options options;
    struct http_server_stats *stats; /* the caller's, or own_stats */
    struct http_server_stats own_stats;
    struct list connections;
    struct list idle_connections; /* idle for a while, the longest first: .idle_link */
    struct coro *runner;          /* in http_server_run, parked */
    struct acceptor *acceptors;
    unsigned acceptor_count;
    unsigned accepting; /* acceptors that may still bring a connection */
    unsigned refusing;  /* connections that get a 503 */
    bool draining;
    bool last; /* accepts what is in the listeners' queues */
    int64_t drain_idle_until;
    int64_t drain_until;
    struct rand ids;
    char *scratch;
    struct http_field *table;
    struct active_request *spare[SPARE_MAX];
    unsigned spare_count;
    /* "Server: weir\r\nDate: ...\r\n", until the clock has reached stamp_until. */
    char stamp[192];
    size_t stamp_len;
    int64_t stamp_until;
};

/* The time for `count` bytes at `rate` bytes a second. */
static inline int64_t time_for(uint64_t count, uint64_t rate)
{
    uint64_t seconds = count / rate;
    if (seconds >= (uint64_t)(DEADLINE_NEVER / NS_PER_S))
        return DEADLINE_NEVER;
    double rest = (double)(count % rate) / (double)rate;
    return (int64_t)seconds * NS_PER_S + (int64_t)(rest * (double)NS_PER_S);
}

/* ---- connection.c ---- */

/* A connection's coroutine: `arg` is a struct http_connection, which it frees. */
int connection_run(void *arg);
/* The same for a connection beyond the limit: replies with a 503 and closes. */
int connection_refuse(void *arg);

/* Reads more bytes behind those in view: how many, 0 at the end, or a negative errno. Sends pending
 * output first. `shared`: the caller parses all in view before it waits again. */
ssize_t connection_fill(struct http_connection *c, bool shared) __attribute__((warn_unused_result));
/* The same into `at`, which outlives the wait; the view must be empty. */
ssize_t connection_fill_at(struct http_connection *c, char *at, size_t size)
    __attribute__((warn_unused_result));
/* Moves what is in view to memory that outlives a wait. */
int connection_keep(struct http_connection *c) __attribute__((warn_unused_result));

/* ---- request.c ---- */

/* Returns true if the client may be waiting for 100 Continue before it sends its body. */
static inline bool request_awaits_continue(const struct http_connection *c)
{
    return c->active->request.head->expect_continue && !c->active->continued && c->view.len == 0 &&
           c->active->request.received == 0;
}
/* Reads the rest of the body, up to SKIP_MAX. Returns true if that was all. */
bool request_skip_body(struct http_connection *c);
/* Frees the body's memory. */
void request_free_body(struct http_connection *c);

/* ---- reply.c ---- */

/* Sends pending output. */
int reply_flush(struct http_connection *c) __attribute__((warn_unused_result));
/* From now on the client may disconnect without cancelling the coroutine. */
static inline void reply_unwatch(struct http_connection *c)
{
    if (c->active->watched)
        stream_cancel_on_end(c->stream, NULL);
    c->active->watched = false;
}

/* ---- server.c ---- */

/* Returns a struct active_request, perhaps a kept one; NULL: no memory. */
struct active_request *server_take_request(struct http_server *s)
    __attribute__((warn_unused_result));
/* Keeps or frees it. Ignores NULL. */
void server_return_request(struct http_server *s, struct active_request *active);
/* Unlinks a connection that is closed and will be freed. */
void server_forget(struct http_connection *c);
