/*
 * upstream.h: which of several servers gets a call, and what follows when the call fails.
 *
 * An *upstream* is a group of servers that do the same. What is known of them (calls in flight,
 * latency, who is ejected or down) is shared by all I/O threads, in atomics. Each I/O thread has an
 * `upstream_client`, by which its coroutines make calls and which bounds the calls of that thread.
 *
 * A server that a URL names is an upstream of its own, of one server, with nothing tried again.
 *
 * A call is one or more *attempts*. Each goes to a server that this call has not tried, as long as
 * there is one. doc/internals/upstream.md has the rules.
 */
#pragma once

#include "conf/config.h"
#include "http/client.h"
#include "meter/meter.h"

struct upstream;        /* one group of servers */
struct upstreams;       /* all of a configuration */
struct upstream_client; /* one I/O thread's part of all */

/* Those that the configuration names. 0 or -ENOMEM. */
int upstreams_new(struct upstreams **out, const struct config *config)
    __attribute__((warn_unused_result));
/* After all its clients. Ignores NULL. */
void upstreams_free(struct upstreams *all);
/* One that the configuration names, or NULL. */
struct upstream *upstreams_find(const struct upstreams *all, const char *name);
/* The one whose only server is this origin ("http://127.0.0.1:9001"); made by the first call, and
 * not after the first client is. 0 or -ENOMEM. */
int upstreams_of_origin(struct upstreams *all, struct span origin, struct upstream **out)
    __attribute__((warn_unused_result));
/* After the last of them was made, before the meter is sealed. 0, -ENOMEM, -ENOBUFS. */
int upstreams_register(struct upstreams *all, struct meter *meter)
    __attribute__((warn_unused_result));
/* As JSON, for people: each server's state and why. Any thread. 0, -ENOMEM, -ENOBUFS. */
int upstreams_write(const struct upstreams *all, int64_t now, struct bytes *out)
    __attribute__((warn_unused_result));

/* As the configuration names it; or the origin. */
const char *upstream_name(const struct upstream *u);
/* For sentences: "upstream 'taggers'", or "http://127.0.0.1:9001". */
const char *upstream_title(const struct upstream *u);

/* `thread` is the client's place in the meter; what is not registered is not counted. 0 or
 * -ENOMEM. */
int upstream_client_new(struct upstream_client **out, const struct upstreams *all,
    struct http_client *http, struct world *world, unsigned thread)
    __attribute__((warn_unused_result));
/* When no call is under way. Ignores NULL. */
void upstream_client_free(struct upstream_client *c);
/* Checks the health of servers until it is cancelled; of all servers, so one client alone does it.
 * 0 if no upstream has checks. */
int upstream_client_check_health(struct upstream_client *c) __attribute__((warn_unused_result));

struct upstream_call {
    struct upstream *upstream;
    struct http_client_request request; /* without an origin */
    bool repeatable;                    /* by the caller's word: as if the method were idempotent */
    uint64_t hash;                      /* for `balance: hash` */
    const struct conf_statuses *expected; /* a reply with another status is no measure of latency */
    /* What came of it: */
    unsigned attempts;
    const char *server;  /* the last one's name */
    int64_t retry_after; /* of -ENOBUFS */
};

/* As http_call; after an attempt that may be tried again, the last attempt's outcome counts. Also
 * -ENOBUFS: this thread's calls in flight are all that the upstream can take, and those that wait
 * would be too many or too late. */
int upstream_call(struct upstream_client *c, struct upstream_call *call, struct arena *arena,
    struct http_response *response, struct error *e) __attribute__((warn_unused_result));
