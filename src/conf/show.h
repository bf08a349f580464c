/*
 * show.h: how types show their values: as nodes of a new tree.
 *
 * Each function returns NULL without memory, and the showing fails then as a whole.
 */
#pragma once

#include "conf/config.h"
#include "conf/schema.h"

#include "base/arena.h"

struct conf_show {
    struct arena *arena;
    const struct config *config;
    bool failed; /* for want of memory */
};

struct conf_node *conf_show_text(struct conf_show *s, const char *text, bool quoted);
struct conf_node *conf_show_number(struct conf_show *s, uint64_t value);
struct conf_node *conf_show_duration(struct conf_show *s, int64_t ns);
/* An empty list or map with room. */
struct conf_node *conf_show_list(struct conf_show *s, unsigned room);
struct conf_node *conf_show_map(struct conf_show *s, unsigned room);
/* NULL values are left out. */
void conf_show_element(struct conf_node *list, struct conf_node *value);
void conf_show_member(struct conf_node *map, const char *name, struct conf_node *value);
/* `origin` is the node that the section was read from, or NULL. */
struct conf_node *conf_show_section(struct conf_show *s, const struct conf_section *section,
    const void *base, const struct conf_node *origin);
/* Adds the keys' values to `map`. */
void conf_show_keys(struct conf_show *s, struct conf_node *map, const struct conf_key *keys,
    unsigned count, const void *base, const struct conf_node *origin);
/* Types whose value is a node of the configuration's own tree, or NULL. */
struct conf_node *conf_show_tree(struct conf_show *s, const struct conf_key *key, const void *at,
    const struct conf_node *origin);
/* Types whose value is a text, or NULL. */
struct conf_node *conf_show_string(struct conf_show *s, const struct conf_key *key, const void *at,
    const struct conf_node *origin);
