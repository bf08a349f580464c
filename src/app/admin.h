/*
 * admin.h: what those who run a server may ask it, on a listener of its own.
 *
 *     /livez     200 while the process answers at all
 *     /readyz    200 while it takes requests and every pool has done a task; 503 otherwise, and
 *                once it drains
 *     /metrics   Prometheus text
 *     /config    the configuration in use, as JSON, without secrets
 */
#pragma once

#include "conf/config.h"
#include "http/server.h"
#include "meter/meter.h"
#include "pool/pool.h"

struct admin {
    const struct conf *conf;
    const struct meter *meter;
    const struct pools *pools; /* NULL: there are none */
    bool ready;
};

/* The handler of an http server; `ctx` is a struct admin. */
void admin_handle(void *ctx, struct http_request *r);
