/*
 * read.h: what the readers of tree into struct config share: read.c goes through sections, types.c
 * reads single values, route.c what has a form of its own, work.c pools and steps.
 *
 * A reader never stops at a mistake: it tells it and goes on, with the default in place. Only
 * want of memory ends a reading.
 */
#pragma once

#include "conf/internal.h"
#include "conf/schema.h"

/* Where a value stands, for sentences: "routes[3].nodes.user.sleep". */
struct conf_where {
    const struct conf_where *up; /* NULL: the top */
    struct span name;            /* of a member */
    int index;                   /* of an element, if `name` is empty */
};

struct conf_reader {
    struct conf *conf;
    struct arena *arena;
    struct conf_errors *errors;
    const struct conf_source *source; /* NULL: what was handed on */
    /* Mistakes in values that no flow depends on: it can be checked nevertheless. */
    unsigned setting_mistakes;
};

#define CONF_WHERE_MAX 256
const char *conf_where_text(const struct conf_where *where, char out[CONF_WHERE_MAX]);

/* Reads one value into `at`: 0, also if it was wrong; -ENOMEM. */
int conf_read_value(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at) __attribute__((warn_unused_result));
/* Reads a map's members by the section's keys into `base`; NULL: all defaults. */
int conf_read_section(struct conf_reader *r, const struct conf_section *section,
    struct conf_node *n, const struct conf_where *where, void *base)
    __attribute__((warn_unused_result));
/* The scalars and templates (types.c). */
int conf_read_scalar(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at) __attribute__((warn_unused_result));
/* What has a form of its own (route.c). */
int conf_read_listeners(struct conf_reader *r, struct conf_node *n, const struct conf_where *where);
int conf_read_routes(struct conf_reader *r, struct conf_node *n, const struct conf_where *where);
int conf_read_nodes(struct conf_reader *r, struct conf_node *n, const struct conf_where *where,
    struct conf_route *route);
int conf_read_sleep(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, struct conf_sleep *sleep);
int conf_read_range(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, struct conf_sleep *sleep);
int conf_read_http(struct conf_reader *r, struct conf_node *n, const struct conf_where *where,
    struct conf_http *http);
int conf_read_statuses(struct conf_reader *r, struct conf_node *n, const struct conf_where *where,
    const struct conf_node **at);
/* Pools, steps, and the nodes that use them (work.c). */
int conf_read_pools(struct conf_reader *r, struct conf_node *n, const struct conf_where *where);
int conf_read_steps(struct conf_reader *r, struct conf_node *n, const struct conf_where *where);
/* Of a node of any kind, after its keys: what its step says, unless the node does. `told`:
 * something is wrong with the node already. */
int conf_read_work(struct conf_reader *r, const struct conf_node *n, const struct conf_where *where,
    struct conf_flow_node *node, bool told);

/* Of a route with its nodes: whether its `dispatch` can be done where its steps run. */
void conf_check_dispatch(struct conf_reader *r, const struct conf_node *n,
    const struct conf_where *where, const struct conf_route *route);

/* Whether it is a name such as nodes, pools and steps have. */
bool conf_is_name(struct span s, size_t max);

/* "limits.body: found 'lots', expected ..."; `hint` is put behind. */
void conf_tell(struct conf_reader *r, const struct conf_node *n, const struct conf_where *where,
    const char *expected, const char *hint);

/* Whether a mistake within it was told when its text was read. */
bool conf_was_told(const struct conf_node *n);

/* A scalar of a constant text, where `like` stands (or nowhere). NULL without memory. */
struct conf_node *conf_new_scalar(
    struct arena *arena, const char *text, const struct conf_node *like);
