/*
 * admin.h: the pages for a server's operators, on a listener of their own.
 *
 *     /livez     200 while the process runs
 *     /readyz    200 while it accepts requests and every pool has done a task; else, and in a
 *                drain, 503
 *     /metrics   Prometheus text
 *     /upstreams the state of upstreams' servers, as JSON
 *     /config    the configuration in use, as JSON, without secrets
 */
#pragma once

#include "conf/config.h"
#include "http/server.h"
#include "meter/meter.h"
#include "pool/pool.h"
#include "upstream/upstream.h"
#include "world/world.h"

struct admin {
    const struct conf *conf;
    const struct meter *meter;
    const struct pools *pools; /* NULL: there are none */
    const struct upstreams *upstreams;
    struct world *world;
    bool ready;
};

/* The handler of an http server; `ctx` is a struct admin. */
void admin_handle(void *ctx, struct http_request *r);
