/*
 * exchange.h: one request and its response on a connection. For the client's own files.
 *
 * A response's bytes are in one of three places: the client's scratch, which other coroutines
 * overwrite as soon as this one waits; the exchange's stash, where unparsed bytes are moved before
 * a wait; or, if the body's length is known, the arena, where they stay.
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
    char *deadline;   /* in the head: DEADLINE_TEXT_MAX bytes, written when it is sent; or NULL */
    struct span body; /* the caller's, of whole requests */
    enum http_method method;
    bool idempotent;
    bool chunked;      /* the caller streams chunks */
    int64_t announced; /* bytes that the caller must still stream */
    uint64_t written;  /* bytes that the connection has taken, of head and body */
    int64_t written_at;
    bool whole_written;
    bool streamed; /* a part of the streamed body was sent, and cannot be repeated */
    /* The reply. */
    bool reused; /* the connection was kept */
    bool began;  /* a byte was received */
    bool over;
    bool ended;     /* the peer has closed its side */
    bool own_stash; /* pieces outlive a wait, so they must not be in the scratch */
    unsigned interim;
    const struct http1_head *reply;
    struct span in; /* not parsed yet: in the scratch, the stash or `direct` */
    char *direct;   /* where the next bytes of a body of known length go */
    size_t direct_room;
    struct bytes stash;
    struct http1 parser;
};

/* Checks and writes the head, and gets a connection. After an error there is nothing to end. */
int exchange_begin(struct http_exchange *x, struct http_client *c,
    const struct http_client_request *request, struct arena *arena, struct error *e)
    __attribute__((warn_unused_result));
/* Sends the head, and as much of the body as goes at once. */
int exchange_send(struct http_exchange *x, struct error *e) __attribute__((warn_unused_result));
/* Sends the rest of a whole request. */
int exchange_send_rest(struct http_exchange *x) __attribute__((warn_unused_result));
/* If the failure `rc` may come from a kept connection that had already ended, replaces it by a new
 * one, on which nothing was sent yet: 0. Else `rc`, or why no new connection could be opened. */
int exchange_replace(struct http_exchange *x, int rc, struct error *e)
    __attribute__((warn_unused_result));

/* The next event of the response: HTTP1_HEAD, HTTP1_DATA or HTTP1_END, or a negative errno. */
int exchange_pull(struct http_exchange *x, struct span *data, struct error *e)
    __attribute__((warn_unused_result));
/* Reads up to the final head, and copies it into the arena. */
int exchange_head(struct http_exchange *x, struct error *e) __attribute__((warn_unused_result));
