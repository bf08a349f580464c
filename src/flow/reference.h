/*
 * reference.h: "$node.user.body.items[0].name": what a reference in a template names. Pure.
 *
 *     reference = "$" path | "$(" path ")"
 *     path      = name { "." name | "[" digits "]" | "[" '"' text '"' "]" }
 *     name      = letters, digits, "_" and "-", not "-" at either end
 *
 * Without parentheses a reference is as long as it can be: a "." or "-" that no name follows is
 * text again. Parsing also checks that what is named exists, and that its parts can, as far as
 * the kind of a node knows that before anything ran.
 */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "conf/config.h"

enum reference_root {
    REFERENCE_BODY,
    REFERENCE_PATH,
    REFERENCE_QUERY,
    REFERENCE_HEADER,
    REFERENCE_NODE,
    REFERENCE_REQUEST
};

enum reference_request { REQUEST_ID, REQUEST_METHOD, REQUEST_PATH, REQUEST_CLIENT };

struct reference_step {
    const char *name; /* NULL: an index */
    uint32_t index;
};

struct reference {
    enum reference_root root;
    struct span text; /* as it was written, for sentences */
    const char *name; /* of a parameter, or a header field in lower case; NULL: the whole query */
    bool rest;        /* the parameter is the rest of a path: "{name...}" */
    unsigned index;   /* which node; or an enum reference_request */
    unsigned step_count; /* into the body, or the node's value */
    const struct reference_step *steps;
};

#define REFERENCE_STEPS_MAX 32

/* A reference while it is looked up: all its names and indices, the root's first. */
struct reference_path {
    struct span text; /* for sentences */
    struct reference_step list[REFERENCE_STEPS_MAX];
    unsigned count;
};

/* What there is to refer to. */
struct reference_scope {
    const char *const *params; /* of the route's pattern */
    unsigned param_count;
    bool has_rest; /* the last one is the rest of the path */
    const struct conf_flow_node *nodes;
    const char *const *node_names; /* theirs */
    unsigned node_count;
};

/* Whether a reference begins with this byte after a "$"; "$$" is a dollar, all else a mistake. */
bool reference_begins(char c);

/* `text` begins with the "$"; `*used` is how much of it is the reference. What is kept goes to the
 * arena. 0; -EINVAL with a sentence; -ENOMEM. */
int reference_parse(struct reference *out, struct span text, size_t *used,
    const struct reference_scope *scope, struct arena *arena, struct error *e)
    __attribute__((warn_unused_result));

/* ---- For kinds of nodes, which know what their values have ---- */

/* "$node.a.b: SENTENCE". Returns -EINVAL. */
int reference_wrong(struct error *e, const struct reference_path *p, const char *sentence);
/* "...: WHAT 'found'; did you mean 'x'?", or "...; `otherwise`". Returns -EINVAL. */
int reference_unknown(struct error *e, const struct reference_path *p, const char *what,
    const char *found, const char *const *candidates, unsigned count, const char *otherwise);
