/*
 * weir_draw.h: random configurations of two weirs, of which the first asks the second, and what
 * follows from how they were drawn for what each route may answer.
 */
#pragma once

#include "weir_crowd.h"

#include "base/bytes.h"

#define DRAWN_ROUTES_MAX 6
#define DRAWN_NODES_MAX  5
#define DRAWN_WAITING    7 /* calls before an upstream; the lines of routes have another bound */
#define DRAWN_BATCH_MAX  16

enum node_kind { NODE_SLEEP, NODE_CALL, NODE_NEXT, NODE_STEP, NODE_BATCH, NODE_KINDS };

struct drawn_node {
    enum node_kind kind;
    bool optional;
    bool needed;         /* by another; what the reply shows of it, it needs anyway */
    int64_t deadline_ns; /* 0: none of its own */
    int64_t least_ns;    /* that it takes if it is done */
    bool never;          /* it fails whatever happens */
    char good[32];       /* what the reply shows when it is done; '@' is the id */
};

struct drawn_route {
    unsigned count;
    struct drawn_node nodes[DRAWN_NODES_MAX];
    int64_t deadline_ns;
    unsigned max_in_flight;
    bool counted; /* its steps run where it can be seen whether anybody waits */
    char path[16];
    char hurried[40]; /* the field of one that is asked with a Weir-Deadline */
    int64_t told_ns;  /* what that says; 0: none */
};

struct drawn {
    struct sim *sim;
    struct bytes config; /* of the one that was drawn last, with a zero byte behind it */
    unsigned threads;    /* of the first; and its client.in_use */
    unsigned in_use;
    unsigned batch; /* the largest of its step `many` */
    unsigned route_count;
    struct drawn_route routes[DRAWN_ROUTES_MAX];
    struct ask asks[DRAWN_ROUTES_MAX]; /* one a route; they know only the path and the time */
};

void drawn_init(struct drawn *s, struct sim *sim);
void drawn_release(struct drawn *s);
/* The first weir's, which has I/O threads, pools of every kind but `fork`, and the routes. */
void draw_first(struct drawn *s);
/* The second's, on a host called "next". */
void draw_second(struct drawn *s);
