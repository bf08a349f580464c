/*
 * read.h: what is shared by those who read a tree into struct config: types, and kinds of nodes.
 *
 * A reader never stops at a mistake: it reports it and goes on, with the default in place. Only
 * want of memory ends a reading.
 */
#pragma once

#include "conf/config.h"
#include "conf/schema.h"

#include "base/arena.h"

/* Where a value stands, for sentences: "routes[3].nodes.user.sleep". */
struct conf_where {
    const struct conf_where *up; /* NULL: the top */
    struct span name;            /* of a member */
    int index;                   /* of an element, if `name` is empty */
};

struct conf_reader {
    struct config *config;
    const struct conf_node *root; /* of the whole tree, or NULL */
    const struct conf_flow_kinds *kinds;
    struct conf_section node; /* the keys that a node may have */
    struct arena *arena;
    struct conf_errors *errors;
    const struct conf_source *source; /* NULL: what was handed on */
    /* Mistakes in values that no flow depends on: it can be checked nevertheless. */
    unsigned setting_mistakes;
};

#define CONF_WHERE_MAX 256
const char *conf_where_text(const struct conf_where *where, char out[CONF_WHERE_MAX]);

/* Reads a map's members by the section's keys into `base`, each by its type; `n` NULL: all
 * defaults. 0, also after mistakes; -ENOMEM. */
int conf_read_section(struct conf_reader *r, const struct conf_section *section,
    const struct conf_node *n, const struct conf_where *where, void *base)
    __attribute__((warn_unused_result));
/* Likewise, of a map whose other keys were checked, or NULL. */
int conf_read_keys(struct conf_reader *r, const struct conf_key *keys, unsigned count,
    const struct conf_node *map, const struct conf_where *where, void *base)
    __attribute__((warn_unused_result));
/* Reports the members of a map that the section does not have. */
void conf_check_keys(struct conf_reader *r, const struct conf_section *section,
    const struct conf_node *map, const struct conf_where *where);
/* What a node has done in a pool, after its keys are read into `work`: what the step says unless
 * the node does. 0 or -ENOMEM. */
int conf_read_work(struct conf_reader *r, const struct conf_node *map,
    const struct conf_where *where, struct conf_work *work) __attribute__((warn_unused_result));
/* Of a route with its nodes: reports a `dispatch` that is impossible where its steps run. */
void conf_check_dispatch(struct conf_reader *r, const struct conf_node *n,
    const struct conf_where *where, const struct conf_route *route);

/* Returns true if it is a name such as nodes, pools and steps have. */
bool conf_is_name(struct span s, size_t max);

/* Reports a name that is none, of a member of `where`. */
void conf_check_name(
    struct conf_reader *r, const struct conf_member *m, const struct conf_where *where);

/* "limits.body: found 'lots', expected ..."; `hint` is put behind. */
void conf_tell(struct conf_reader *r, const struct conf_node *n, const struct conf_where *where,
    const char *expected, const char *hint);

/* Returns true if a mistake within it was reported when its text was read. */
bool conf_was_told(const struct conf_node *n);

/* A scalar of a constant text, where `like` stands (or nowhere). NULL without memory. */
struct conf_node *conf_new_scalar(
    struct arena *arena, const char *text, const struct conf_node *like);
