/*
 * local.h: what one I/O thread keeps of its flows between requests. For flow/ only.
 */
#pragma once

#include "coro/concurrency_limit.h"
#include "flow/adaptive_limit.h"
#include "meter/meter.h"

#include <stdbool.h>

/* The thread's cells; NULL: nobody counts. */
struct limit_cells {
    struct gauge *inside;
    struct gauge *waiting;
    struct counter *refused;
    struct gauge *limit; /* of calls */
};

/* Of a route with max_in_flight. */
struct route_local {
    struct concurrency_limit slots;
    struct limit_cells cells;
};

/* Of an http node. */
struct calls_local {
    struct concurrency_limit slots;
    struct adaptive_limit limit;
    unsigned waiting_max;
    struct limit_cells cells;
};

struct flow_local {
    struct route_local *route;  /* NULL: it has no bound */
    struct calls_local **calls; /* by node; NULL: none of the nodes is bounded */
};

struct flow_locals {
    unsigned count;
    struct flow_local *flows;
    struct route_local *routes;
    struct calls_local *calls;
    struct calls_local **by_node;
};

#define ROUTE_WAITING_MAX 1024 /* requests that may wait for max_in_flight */

/* Sets the gauges. */
void limit_show(const struct concurrency_limit *slots, const struct limit_cells *cells);
