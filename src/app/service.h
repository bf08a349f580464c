/*
 * service.h: a configuration's routes as a router and compiled flows, and how a request finds its
 * flow.
 *
 * Made once, at the server's start; then all I/O threads read it.
 */
#pragma once

#include "conf/config.h"
#include "flow/flow.h"
#include "http/router.h"

struct service_route {
    const struct conf_route *conf;
    struct flow *flow;
    unsigned index; /* in service.routes: for metrics */
};

struct service {
    struct router *router;
    struct service_route *routes;
    const struct flow **flows; /* the same, of each route */
    unsigned route_count;
};

/* `seed` keys the router's hashes. The configuration and the pools must live as long. 0; -EINVAL
 * and `errors` says why; -ENOMEM. */
int service_new(struct service **out, const struct config *config, const struct flow_links *links,
    const uint64_t seed[2], struct conf_errors *errors) __attribute__((warn_unused_result));
/* NULL is nothing to free. */
void service_free(struct service *s);

/* Handles the request: runs its flow, or replies with a 404 or the like. Sets its label to the
 * route's name, and its handler_data to the struct service_route. */
void service_handle(
    const struct service *s, const struct flow_context *context, struct http_request *r);
