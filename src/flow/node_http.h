/*
 * node_http.h: an `http` node's configuration and compiled state. For its two files: node_http.c
 * reads and compiles, node_http_run.c calls.
 */
#pragma once

#include "flow/internal.h"

struct http_conf {                   /* http: {url: ..., method: GET, headers: {...}, times: 1} */
    const struct conf_node *url;     /* a template in text: scheme and authority must be literal */
    const char *upstream;            /* in place of `url`: one of `upstreams`, and */
    const struct conf_node *path;    /* a template in text, with '/' first */
    const struct conf_node *hash;    /* a template, for `balance: hash`; or NULL */
    const struct conf_node *method;  /* literal; GET, or POST with a body */
    const struct conf_node *headers; /* a map of templates, or NULL */
    const struct conf_node *body;    /* a template, or NULL */
    struct conf_statuses expect;     /* statuses that are no failure */
    unsigned times;                  /* calls at once: the value is a list. 0: one, no list */
    bool send_deadline;              /* says how long the answer is waited for */
};

struct http_node {
    struct upstream *upstream; /* NULL in a flow that is only checked */
    struct span server;        /* the upstream's name or the URL's origin, for sentences */
    struct template target;
    struct template hash; /* first is NULL: none */
    struct span method;
    struct content content;
    struct span expected; /* "200-299", for sentences */
    bool gives_id;        /* X-Request-Id is among the fields */
    bool says_deadline;   /* Weir-Deadline is to be sent */
    bool body_used;    /* some template refers to the body: it must be JSON if its type says so */
    bool body_entered; /* some template looks into the body */
};

static inline const struct http_node *http_of(const struct flow_node *n)
{
    return n->own;
}

/* Of struct node_kind. */
int http_node_run(
    struct run *run, const struct flow_node *n, struct value *out, const struct error **why);
