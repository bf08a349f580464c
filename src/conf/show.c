/*
 * show.c: from struct config back to a tree, every default filled in, by the table.
 *
 * What is secret is known from the tree that the configuration was read from, which is walked
 * beside. Templates are that tree's own nodes.
 */
#include "conf/internal.h"
#include "conf/schema.h"

#include <inttypes.h>
#include <stdio.h>

struct show {
    struct arena *arena;
    const struct config *config;
    bool failed; /* for want of memory */
};

/* ---- Nodes ---- */

static struct conf_node *new_node(struct show *s, enum conf_kind kind, unsigned room)
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

/* NULL members are left out. */
static void add_member(struct conf_node *map, struct span name, struct conf_node *value)
{
    if (map && value)
        map->members[map->count++] = (struct conf_member){.name = name, .value = value};
}

static void add_element(struct conf_node *list, struct conf_node *value)
{
    if (list && value)
        list->elements[list->count++] = value;
}

static struct conf_node *text_node(struct show *s, const char *text, bool quoted)
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

static struct conf_node *number_node(struct show *s, uint64_t value)
{
    char text[CONF_AMOUNT_MAX];
    snprintf(text, sizeof text, "%" PRIu64, value);
    return text_node(s, text, false);
}

static struct conf_node *duration_node(struct show *s, int64_t ns)
{
    char text[CONF_AMOUNT_MAX];
    return text_node(s, conf_duration_text(ns, text), false);
}

static struct conf_node *size_node(struct show *s, uint64_t bytes)
{
    char text[CONF_AMOUNT_MAX];
    return text_node(s, conf_size_text(bytes, text), false);
}

/* The tree's own node; the trees that are shown are only read. */
static struct conf_node *own_node(const struct conf_node *n)
{
    return (struct conf_node *)(uintptr_t)n;
}

/* ---- Parts with a form of their own ---- */

static struct conf_node *show_section(struct show *s, const struct conf_section *section,
    const void *base, const struct conf_node *origin);

static struct conf_node *show_listeners(struct show *s, const struct conf_node *origin)
{
    unsigned count = s->config->listen_count;
    struct conf_node *list = new_node(s, CONF_LIST, count);
    for (unsigned i = 0; i < count && !s->failed; i++) {
        const struct conf_node *from =
            origin && origin->kind == CONF_LIST ? origin->elements[i] : origin;
        struct conf_node *n = show_section(s, &conf_section_listener, &s->config->listen[i], from);
        if (n && from && from->kind == CONF_SCALAR && from->secret)
            n->members[0].value->secret = n->members[0].value->quoted = true;
        add_element(list, n);
    }
    return list;
}

static struct conf_node *show_routes(struct show *s, const struct conf_node *origin)
{
    unsigned count = s->config->route_count;
    struct conf_node *list = new_node(s, CONF_LIST, count);
    for (unsigned i = 0; i < count && !s->failed; i++)
        add_element(
            list, show_section(s, &conf_section_route, &s->config->routes[i], origin->elements[i]));
    return list;
}

static struct conf_node *show_nodes(
    struct show *s, const struct conf_route *route, const struct conf_node *origin)
{
    if (route->node_count == 0)
        return NULL;
    struct conf_node *map = new_node(s, CONF_MAP, route->node_count);
    for (unsigned i = 0; i < route->node_count && !s->failed; i++)
        add_member(map, span_of(route->nodes[i].name),
            show_section(s, &conf_section_node, &route->nodes[i], origin->members[i].value));
    return map;
}

/* A pool that was not given stands behind those that were. */
static struct conf_node *show_pools(struct show *s, const struct conf_node *origin)
{
    if (s->config->pool_count == 0)
        return NULL;
    struct conf_node *map = new_node(s, CONF_MAP, s->config->pool_count);
    for (unsigned i = 0; i < s->config->pool_count && !s->failed; i++) {
        const struct conf_pool *pool = &s->config->pools[i];
        const struct conf_node *from =
            origin && i < origin->count ? origin->members[i].value : NULL;
        add_member(map, span_of(pool->name), show_section(s, &conf_section_pool, pool, from));
    }
    return map;
}

static struct conf_node *show_steps(struct show *s, const struct conf_node *origin)
{
    if (s->config->step_count == 0)
        return NULL;
    struct conf_node *map = new_node(s, CONF_MAP, s->config->step_count);
    for (unsigned i = 0; i < s->config->step_count && !s->failed; i++) {
        const struct conf_step *step = &s->config->steps[i];
        add_member(map, span_of(step->name),
            show_section(s, &conf_section_step, step, origin->members[i].value));
    }
    return map;
}

static struct conf_node *show_sleep(
    struct show *s, const struct conf_sleep *sleep, const struct conf_node *origin)
{
    if (sleep->distribution == CONF_FIXED)
        return duration_node(s, sleep->low_ns);
    return show_section(s,
        sleep->distribution == CONF_UNIFORM ? &conf_section_uniform : &conf_section_exponential,
        sleep, origin);
}

static struct conf_node *show_range(struct show *s, const struct conf_sleep *sleep)
{
    struct conf_node *list = new_node(s, CONF_LIST, 2);
    add_element(list, duration_node(s, sleep->low_ns));
    add_element(list, duration_node(s, sleep->high_ns));
    return list;
}

static struct conf_node *show_pattern(struct show *s, const struct conf_route *route)
{
    bool any = strcmp(route->method, "*") == 0;
    const char *text =
        any ? route->pattern : arena_printf(s->arena, "%s %s", route->method, route->pattern);
    if (!text) {
        s->failed = true;
        return NULL;
    }
    return text_node(s, text, true);
}

/* ---- By the table ---- */

static struct conf_node *show_scalar(struct show *s, const struct conf_key *key, const void *at)
{
    const char *text;
    switch (key->type) {
    case CONF_DURATION:
        return duration_node(s, *(const int64_t *)at);
    case CONF_SIZE:
        return size_node(s, *(const uint64_t *)at);
    case CONF_COUNT:
        return number_node(s, *(const unsigned *)at);
    case CONF_SEED:
        return number_node(s, *(const uint64_t *)at);
    case CONF_THREADS:
        return *(const unsigned *)at ? number_node(s, *(const unsigned *)at)
                                     : text_node(s, "auto", false);
    case CONF_BOOL:
        return text_node(s, *(const bool *)at ? "true" : "false", false);
    case CONF_CHOICE:
        return text_node(s, key->choices[*(const unsigned *)at], false);
    case CONF_ORDER:
        return text_node(s, key->choices[*(const bool *)at], false);
    case CONF_ADMIN:
        text = *(const char *const *)at;
        return text ? text_node(s, text, true) : text_node(s, "off", false);
    case CONF_TEXT:
    case CONF_ADDRESS:
        return text_node(s, *(const char *const *)at, true);
    case CONF_NAME:
    case CONF_PATH:
        text = *(const char *const *)at;
        return text ? text_node(s, text, true) : NULL;
    case CONF_PATTERN:
        return show_pattern(s, at);
    case CONF_INCLUDE:
        return NULL;
    default: /* templates and their kin */
        return own_node(*(const struct conf_node *const *)at);
    }
}

static struct conf_node *show_value(
    struct show *s, const struct conf_key *key, const void *at, const struct conf_node *origin)
{
    switch (key->type) {
    case CONF_SECTION:
        return show_section(s, key->section, at, origin);
    case CONF_LISTENERS:
        return show_listeners(s, origin);
    case CONF_ROUTES:
        return show_routes(s, origin);
    case CONF_NODES:
        return show_nodes(s, at, origin);
    case CONF_POOLS:
        return show_pools(s, origin);
    case CONF_STEPS:
        return show_steps(s, origin);
    case CONF_SLEEP:
        return show_sleep(s, at, origin);
    case CONF_RANGE:
        return show_range(s, at);
    case CONF_HTTP:
        return show_section(s, &conf_section_http, at, origin);
    default:
        return show_scalar(s, key, at);
    }
}

/* Whether the key says something here that its absence would not. */
static bool is_wanted(
    const struct conf_section *section, const struct conf_key *key, const void *base)
{
    if (section == &conf_section_node) {
        const struct conf_flow_node *node = base;
        return !(key->type == CONF_SLEEP && node->kind != CONF_NODE_SLEEP) &&
               !(key->type == CONF_HTTP && node->kind != CONF_NODE_HTTP) &&
               !(key->type == CONF_DURATION && node->deadline == CONF_NO_DEADLINE);
    }
    if (section == &conf_section_http && key->type == CONF_COUNT)
        return ((const struct conf_http *)base)->times_given;
    if (section == &conf_section_pool && key->pools)
        return key->pools >> ((const struct conf_pool *)base)->kind & 1;
    return true;
}

/* Hides what is shown of a secret; a route's name may repeat it. */
static bool is_secret(const struct conf_node *origin, const struct conf_key *key)
{
    const struct conf_node *from = conf_member(origin, key->name);
    if (!from && key->type == CONF_TEXT)
        from = conf_member(origin, "route");
    return from && from->secret;
}

static struct conf_node *show_section(struct show *s, const struct conf_section *section,
    const void *base, const struct conf_node *origin)
{
    struct conf_node *map = new_node(s, CONF_MAP, section->count);
    for (unsigned i = 0; i < section->count && !s->failed; i++) {
        const struct conf_key *key = &section->keys[i];
        if (!is_wanted(section, key, base))
            continue;
        const struct conf_node *from = conf_member(origin, key->name);
        struct conf_node *value = show_value(s, key, (const char *)base + key->offset, from);
        if (value && value->kind == CONF_SCALAR && is_secret(origin, key))
            value->secret = value->quoted = true;
        add_member(map, span_of(key->name), value);
    }
    return map;
}

const struct conf_node *conf_show(const struct conf *c, struct arena *arena)
{
    struct show s = {.arena = arena, .config = &c->config};
    const struct conf_node *n = show_section(&s, &conf_section_root, &c->config, c->root);
    return s.failed ? NULL : n;
}
