/*
 * show.c: from struct config back to a tree, every default filled in, by the tables.
 *
 * What is secret is known from the tree that the configuration was read from, which is walked
 * beside. Templates are that tree's own nodes.
 */
#include "conf/show.h"

#include "conf/internal.h"
#include "conf/type.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- Nodes ---- */

static struct conf_node *new_node(struct conf_show *s, enum conf_kind kind, unsigned room)
{
    struct conf_node *n = arena_zalloc(s->arena, sizeof *n);
    void *children = NULL;
    if (kind == CONF_MAP)
        children = arena_alloc(s->arena, (room + 1) * sizeof *n->members);
    else if (kind == CONF_LIST)
        children = arena_alloc(s->arena, (room + 1) * sizeof *n->elements);
    if (!n || (kind >= CONF_LIST && !children)) {
        s->failed = true;
        return NULL;
    }
    n->kind = kind;
    n->text = SPAN("");
    if (kind == CONF_MAP)
        n->members = children;
    else if (kind == CONF_LIST)
        n->elements = children;
    return n;
}

void conf_show_member(struct conf_node *map, const char *name, struct conf_node *value)
{
    if (map && value)
        map->members[map->count++] = (struct conf_member){.name = span_of(name), .value = value};
}

void conf_show_element(struct conf_node *list, struct conf_node *value)
{
    if (list && value)
        list->elements[list->count++] = value;
}

struct conf_node *conf_show_list(struct conf_show *s, unsigned room)
{
    return new_node(s, CONF_LIST, room);
}

struct conf_node *conf_show_map(struct conf_show *s, unsigned room)
{
    return new_node(s, CONF_MAP, room);
}

struct conf_node *conf_show_text(struct conf_show *s, const char *text, bool quoted)
{
    struct conf_node *n = new_node(s, CONF_SCALAR, 0);
    char *copy = arena_copy(s->arena, span_of(text));
    if (!n || !copy) {
        s->failed = true;
        return NULL;
    }
    n->text = span_of(copy);
    n->quoted = quoted;
    return n;
}

struct conf_node *conf_show_number(struct conf_show *s, uint64_t value)
{
    char text[CONF_AMOUNT_MAX];
    snprintf(text, sizeof text, "%" PRIu64, value);
    return conf_show_text(s, text, false);
}

struct conf_node *conf_show_duration(struct conf_show *s, int64_t ns)
{
    char text[CONF_AMOUNT_MAX];
    return conf_show_text(s, conf_duration_text(ns, text), false);
}

struct conf_node *conf_show_tree(
    struct conf_show *s, const struct conf_key *key, const void *at, const struct conf_node *origin)
{
    const struct conf_node *n = *(const struct conf_node *const *)at;
    return (struct conf_node *)(uintptr_t)n; /* the tree that is shown is only read */
}

struct conf_node *conf_show_string(
    struct conf_show *s, const struct conf_key *key, const void *at, const struct conf_node *origin)
{
    const char *text = *(const char *const *)at;
    return text ? conf_show_text(s, text, true) : NULL;
}

/* ---- By the tables ---- */

/* Hides what is shown of a secret. */
static bool is_secret(const struct conf_node *origin, const struct conf_key *key)
{
    const struct conf_node *from = conf_member(origin, key->name);
    if (!from && key->repeats)
        from = conf_member(origin, key->repeats);
    return from && from->secret;
}

void conf_show_keys(struct conf_show *s, struct conf_node *map, const struct conf_key *keys,
    unsigned count, const void *base, const struct conf_node *origin)
{
    for (unsigned i = 0; i < count && !s->failed; i++) {
        const struct conf_key *key = &keys[i];
        const struct conf_node *from = conf_member(origin, key->name);
        if (key->pools && !(key->pools >> ((const struct conf_pool *)base)->kind & 1))
            continue;
        struct conf_node *value = key->type->show(s, key, (const char *)base + key->offset, from);
        if (value && value->kind == CONF_SCALAR && is_secret(origin, key))
            value->secret = value->quoted = true;
        conf_show_member(map, key->name, value);
    }
}

struct conf_node *conf_show_section(struct conf_show *s, const struct conf_section *section,
    const void *base, const struct conf_node *origin)
{
    struct conf_node *map = conf_show_map(s, section->count);
    conf_show_keys(s, map, section->keys, section->count, base, origin);
    return map;
}

const struct conf_node *conf_show(const struct conf *c, struct arena *arena)
{
    struct conf_show s = {.arena = arena, .config = &c->config};
    const struct conf_node *n = conf_show_section(&s, &conf_section_root, &c->config, c->root);
    return s.failed ? NULL : n;
}
