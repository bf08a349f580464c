/*
 * flow.h: how a request is answered: a route's nodes and reply, compiled once and run for each
 * request.
 *
 * A node waits (sleep), asks another server (http), computes (step), or makes a value of others
 * (reply).
 *
 * Compiling is pure: it checks every reference ("$path.x" must be in the pattern, "$node.a" must
 * exist, no node may need itself), finds the order in which nodes may run, and turns templates
 * into pieces. A compiled flow does not change: any thread may run it. Running uses the caller's
 * world, client and arena.
 *
 * Templates. In any YAML value a text may have references:
 *
 *     $body $body.user.name $body.items[0]   the request's JSON body
 *     $path.x  $query.x  $header.x           parameters and fields, as text; a missing one is null
 *     $node.NAME  $node.NAME.status  $node.NAME.body.items[2]
 *     $query                                 all of it, in a URL
 *     $request.id  $request.method  $request.path  $request.client
 *     $(node.NAME.body.x)                    the same where letters follow
 *     $$                                     a dollar
 *
 * A text that is one reference and nothing else becomes that value with its type; a reference
 * within other text becomes text. What is not there is null, and in text "".
 */
#pragma once

#include "base/arena.h"
#include "conf/config.h"
#include "http/server.h"
#include "pool/pool.h"
#include "upstream/upstream.h"

struct flow;

/* The kinds of nodes there are, for conf_load. */
extern const struct conf_flow_kinds flow_kinds;

/* What nodes can refer to. */
struct flow_links {
    const struct config *config; /* its steps; NULL: there are the built-in ones alone */
    bool unsafe;                 /* built-in steps that are meant to do harm may be used */
    const struct pools *pools;   /* where they run; NULL: the flow is only checked, never run */
    struct upstreams *upstreams; /* likewise; those of URLs are added */
};

/* 0; -EINVAL and `errors` says why; -ENOMEM. The route must live as long as the flow; `links` may
 * be NULL, and need not outlive the call, but its pools must. */
int flow_compile(struct flow **out, const struct conf_route *route, const struct flow_links *links,
    struct conf_errors *errors) __attribute__((warn_unused_result));
void flow_free(struct flow *f);

struct flow_param {
    struct span name;
    struct span value;
    const struct span *segments; /* as in struct router_match */
    unsigned segment_count;
};

/* ---- max_in_flight ---- */

struct flow_metrics; /* of all flows: made and freed by the thread that seals the meter */
struct flow_locals;  /* one I/O thread's: its requests in flight, by route */

/* `meter` is not sealed yet. Flows are those of all routes, in their order. 0 or -ENOMEM, -ENOBUFS.
 */
int flow_metrics_new(struct flow_metrics **out, struct meter *meter,
    const struct flow *const *flows, unsigned count) __attribute__((warn_unused_result));
/* NULL is nothing to free. */
void flow_metrics_free(struct flow_metrics *metrics);

/* `metrics`: NULL: nobody counts; else `thread` is its place in the meter. They must outlive the
 * locals. 0 or -ENOMEM. */
int flow_locals_new(struct flow_locals **out, const struct flow *const *flows, unsigned count,
    const struct flow_metrics *metrics, unsigned thread) __attribute__((warn_unused_result));
/* When no request is under way. NULL is nothing to free. */
void flow_locals_free(struct flow_locals *locals);

/* ---- Running ---- */

/* Of one thread. */
struct flow_context {
    struct world *world;
    struct upstream_client *upstreams; /* NULL: no flow has http nodes */
    struct pool_client *pool_client;   /* NULL: no flow has steps */
    struct flow_locals *locals;        /* NULL: nothing is bounded */
    bool full_errors;                  /* clients are shown whole sentences, with names and URLs */
    struct rand *rand; /* for sleeps that have no seed; NULL: the world is asked each time */
    /* Told each node's end; `rc` also if a default took its place. NULL: nobody cares. */
    void (*observe)(void *ctx, const char *route, const char *node, int64_t ns, int rc);
    void *observe_ctx;
};

/* Answers the request, by the coroutine that has it: always exactly one reply, or the client is
 * gone. A failed node that is not optional is answered with 502 (a refused or broken upstream), 504
 * (its deadline or the route's), ... as a problem that names the node (doc/guide/flow.md).
 * Where the time went is added to the request's timing. */
void flow_run(const struct flow *f, const struct flow_context *context, struct http_request *r,
    const struct flow_param *params, unsigned param_count);
