/*
 * local.h: what one I/O thread keeps of its flows between requests. For flow/ only.
 */
#pragma once

#include "flow/limit.h"
#include "flow/line.h"
#include "meter/meter.h"

#include <stdbool.h>

/* The thread's cells; NULL: nobody counts. */
struct line_cells {
    struct gauge *inside;
    struct gauge *waiting;
    struct counter *refused;
    struct gauge *limit; /* of calls */
};

/* Of a route with max_in_flight. */
struct route_local {
    struct line line;
    struct line_cells cells;
};

/* Of an http node. */
struct calls_local {
    struct line line;
    struct limit limit;
    unsigned waiting_max;
    struct line_cells cells;
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

#define ROUTE_WAITING_MAX 1024 /* requests of a route that wait for their turn */

/* Shows what is so now. */
void line_show(const struct line *l, const struct line_cells *cells);
