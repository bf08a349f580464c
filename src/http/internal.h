/*
 * internal.h: what the files of the server's side know of each other.
 *
 *   server.c      listeners, connections coming and going, drain
 *   connection.c  one connection: requests one after the other, and its end
 *   request.c     the body of a request, as its handler reads it
 *   reply.c       what is answered
 */
#pragma once

#include "base/calendar.h"
#include "base/list.h"
#include "base/rand.h"
#include "http/server.h"
#include "http/stat.h"

/* What is read at once where nothing has to be kept: one buffer a server, since it is used up
 * before its reader waits again. */
#define SCRATCH_SIZE    (64 * 1024)
/* Bodies up to this long are copied behind their heads and leave with them; longer ones are
 * written from where they are. Pipelined replies are gathered up to it, too. */
#define GATHER_MAX      (16 * 1024)
/* What is read of a body that its handler did not want, so that the connection can go on. */
#define SKIP_MAX        (64 * 1024)
/* The most bytes of a reply's head. */
#define REPLY_HEAD_MAX  (1024 * 1024)
/* Memory that requests need while they are under way, kept for the next ones. */
#define SPARE_MAX       64
/* What a connection that came just before a drain, or was in a listener's queue, has for its first
 * request, which is most likely on its way. */
#define FRESH_GRACE     (500 * NS_PER_MS)
/* Fields that a problem may be given besides its type. */
#define ROOM_FOR_FIELDS 8
/* Requests' arenas and buffers that grew beyond this are not kept. */
#define SPARE_BYTES_MAX (64 * 1024)

enum reply_stage { REPLY_NONE, REPLY_BODY, REPLY_DONE };

/* What a request needs while it is under way, and an idle connection does not. Those not in use
 * lie on a stack: the one that was used last, and is still in the near caches, is the next one's.
 */
struct active_request {
    struct http_request request;
    struct http1 parser; /* between two messages, but while a request is under way */
    struct arena arena;
    struct bytes out;  /* replies that have not been sent yet */
    struct bytes body; /* of the request, where its handler wants it whole */
    struct body_claim claim;
    bool body_done;   /* the request has been read to its end */
    bool body_failed; /* and never will be */
    bool continued;   /* 100 Continue has been sent */
    bool chunking;    /* the streamed reply is chunked */
    bool watched;     /* the client's leaving cancels the coroutine */
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
    /* What has come and is not understood yet: in the server's scratch until the coroutine waits,
     * else in `in`. */
    struct span view;
    struct bytes in;
    int64_t now; /* the clock's last reading on this connection's way */
    unsigned served;
    bool waiting;          /* for a request, and not told to end */
    bool close_after;      /* no request after this one */
    bool broken;           /* nothing can be written any more */
    bool refused;          /* it is one too many, and told so */
    bool silent;           /* the client asked for the end and has sent all it had to say */
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
    unsigned refusing;  /* connections that are told 503 */
    bool draining;
    bool last; /* what is in the listeners' queues is the server's to answer */
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

/* How long `count` bytes may take at `rate` bytes a second. */
static inline int64_t time_for(uint64_t count, uint64_t rate)
{
    uint64_t seconds = count / rate;
    if (seconds >= (uint64_t)(DEADLINE_NEVER / NS_PER_S))
        return DEADLINE_NEVER;
    double rest = (double)(count % rate) / (double)rate;
    return (int64_t)seconds * NS_PER_S + (int64_t)(rest * (double)NS_PER_S);
}

/* ---- connection.c ---- */

/* The coroutine of a connection: `arg` is a struct http_connection, which it frees. */
int connection_run(void *arg);
/* The same for one too many: told so and closed. */
int connection_refuse(void *arg);

/* More bytes behind those in view: how many, 0 at the end, or a negative errno. What is waiting
 * to be sent is sent first. `shared`: the caller uses up what is in view before it waits again. */
ssize_t connection_fill(struct http_connection *c, bool shared) __attribute__((warn_unused_result));
/* The same into `at`, which outlives the wait; nothing is in view. */
ssize_t connection_fill_at(struct http_connection *c, char *at, size_t size)
    __attribute__((warn_unused_result));
/* What is in view must outlive a wait. */
int connection_keep(struct http_connection *c) __attribute__((warn_unused_result));

/* ---- request.c ---- */

/* Whether the client may be holding its body back until it is told to go on. */
static inline bool request_awaits_word(const struct http_connection *c)
{
    return c->active->request.head->expect_continue && !c->active->continued && c->view.len == 0 &&
           c->active->request.received == 0;
}
/* Reads what is left of the body, if that is not much: whether it came to its end. */
bool request_skip_body(struct http_connection *c);
/* The body's memory is not used any more. */
void request_free_body(struct http_connection *c);

/* ---- reply.c ---- */

/* Sends what is gathered. */
int reply_flush(struct http_connection *c) __attribute__((warn_unused_result));
/* The client's leaving does not matter, or not any more. */
static inline void reply_unwatch(struct http_connection *c)
{
    if (c->active->watched)
        stream_cancel_on_end(c->stream, NULL);
    c->active->watched = false;
}

/* ---- server.c ---- */

/* What a request needs, or NULL if there is no memory. */
struct active_request *server_take_request(struct http_server *s)
    __attribute__((warn_unused_result));
/* NULL is nothing to give back. */
void server_return_request(struct http_server *s, struct active_request *active);
/* A connection has been closed and is about to be freed. */
void server_forget(struct http_connection *c);
