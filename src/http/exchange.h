/*
 * exchange.h: one request and its reply on a connection of the pool. For the client's own files.
 *
 * Bytes of a reply stand in one of three places: in the client's scratch, which any other coroutine
 * overwrites as soon as this one waits; in the exchange's stash, where what was not understood yet
 * is moved before it waits; or, when a body's length is known, in the arena, where they stay.
 */
#pragma once

#include "http/connections.h"

#include <sys/uio.h>

struct http_exchange {
    struct http_client *client;
    struct http_origin *origin;           /* NULL once it has ended */
    struct client_connection *connection; /* NULL: lost */
    struct arena *arena;
    /* The request. */
    struct span head; /* in the arena */
    struct span body; /* the caller's, of whole requests */
    enum http_method method;
    bool idempotent;
    bool chunked;      /* the caller streams chunks */
    int64_t announced; /* bytes that the caller has still to stream */
    uint64_t written;  /* bytes that the connection has taken, of head and body */
    int64_t written_at;
    bool whole_written;
    bool streamed; /* something that only the caller had is gone */
    /* The reply. */
    bool reused; /* the connection was a kept one */
    bool began;  /* a byte came */
    bool over;
    bool ended;     /* so has the connection, from the other side */
    bool own_stash; /* pieces are the caller's for a while, so they must not be in the scratch */
    unsigned interim;
    const struct http1_head *reply;
    struct span in; /* not understood yet: in the scratch, the stash or `direct` */
    char *direct;   /* where the next bytes of a body of known length belong */
    size_t direct_room;
    struct bytes stash;
    struct http1 parser;
};

/* Checks and writes the head, and finds a connection. After an error there is nothing to end. */
int exchange_begin(struct http_exchange *x, struct http_client *c,
    const struct http_client_request *request, struct arena *arena, struct error *e)
    __attribute__((warn_unused_result));
/* Writes the head and what goes at once of the body. */
int exchange_send(struct http_exchange *x, struct error *e) __attribute__((warn_unused_result));
/* The rest of a whole request, which did not go at once. */
int exchange_send_rest(struct http_exchange *x) __attribute__((warn_unused_result));
/* Whether the failure `rc` may be that of a kept connection that had ended before: then it has been
 * replaced by a new one, on which nothing was sent yet. 0, or `rc` where it may not, or why there
 * is no new one. */
int exchange_replace(struct http_exchange *x, int rc, struct error *e)
    __attribute__((warn_unused_result));

/* The next thing in the reply: HTTP1_HEAD, HTTP1_DATA or HTTP1_END, or a negative errno. */
int exchange_pull(struct http_exchange *x, struct span *data, struct error *e)
    __attribute__((warn_unused_result));
/* Up to the final head, which is copied into the arena. */
int exchange_head(struct http_exchange *x, struct error *e) __attribute__((warn_unused_result));
