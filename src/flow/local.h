/*
 * local.h: what one I/O thread keeps of its flows between requests. For flow/ only.
 */
#pragma once

#include "coro/concurrency_limit.h"
#include "meter/meter.h"

/* Of a route with max_in_flight. */
struct route_local {
    struct concurrency_limit slots;
    struct gauge *inside; /* NULL: nobody counts; so are the others */
    struct gauge *waiting;
    struct counter *refused;
};

struct flow_locals {
    struct route_local **by_route; /* NULL: it has no bound */
    struct route_local *routes;
};

#define ROUTE_WAITING_MAX 1024 /* requests of a route that may wait for max_in_flight */

/* Sets the gauges. */
void route_local_show(const struct route_local *l);
