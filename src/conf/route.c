/*
 * route.c: listeners, routes and their nodes.
 */
#include "conf/internal.h"
#include "conf/read.h"
#include "conf/show.h"
#include "conf/type.h"

#include <errno.h>
#include <stdio.h>

#define NODE_NAME_MAX 64

/* ---- listen ---- */

static int read_listener(struct conf_reader *r, struct conf_node *n, const struct conf_where *where,
    struct conf_listen *listen)
{
    listen->mark = n->mark;
    if (n->kind == CONF_MAP)
        return conf_read_section(r, &conf_section_listener, n, where, listen);
    int rc = conf_read_section(r, &conf_section_listener, NULL, where, listen);
    if (rc)
        return rc;
    const struct conf_key *address = conf_section_key(&conf_section_listener, "address");
    return address->type->read(r, address, n, where, &listen->address);
}

static void tell_twins(struct conf_reader *r, const struct conf_listen *listen, unsigned count)
{
    for (unsigned i = 1; i < count; i++)
        for (unsigned j = 0; j < i; j++)
            if (listen[i].address && listen[j].address &&
                strcmp(listen[i].address, listen[j].address) == 0) {
                conf_error(r->errors, &listen[i].mark,
                    "listen: the address stands twice; the first is at %s:%u:%u",
                    listen[j].mark.file, listen[j].mark.line, listen[j].mark.column);
                break;
            }
}

#define LISTENERS_MAX 256

static int read_listeners(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at)
{
    struct config *config = r->config;
    bool list = n->kind == CONF_LIST;
    unsigned count = list ? n->count : 1;
    if (count == 0 || count > LISTENERS_MAX) {
        conf_tell(r, n, where, "one to 256 addresses", "");
        return 0;
    }
    config->listen = arena_zalloc(r->arena, count * sizeof *config->listen);
    if (!config->listen)
        return -ENOMEM;
    config->listen_count = count;
    for (unsigned i = 0; i < count; i++) {
        struct conf_where here = {.up = where, .index = (int)i};
        int rc =
            read_listener(r, list ? n->elements[i] : n, list ? &here : where, &config->listen[i]);
        if (rc)
            return rc;
    }
    tell_twins(r, config->listen, count);
    return 0;
}

static struct conf_node *show_listeners(
    struct conf_show *s, const struct conf_key *key, const void *at, const struct conf_node *origin)
{
    unsigned count = s->config->listen_count;
    struct conf_node *list = conf_show_list(s, count);
    for (unsigned i = 0; i < count && !s->failed; i++) {
        const struct conf_node *from =
            origin && origin->kind == CONF_LIST ? origin->elements[i] : origin;
        struct conf_node *n =
            conf_show_section(s, &conf_section_listener, &s->config->listen[i], from);
        if (n && from && from->kind == CONF_SCALAR && from->secret)
            n->members[0].value->secret = n->members[0].value->quoted = true;
        conf_show_element(list, n);
    }
    return list;
}

static int put_listeners(struct bytes *out, const struct conf_key *key)
{
    return conf_schema_put(out,
        "\"anyOf\":[{\"$ref\":\"#/$defs/address\"},{\"$ref\":\"#/$defs/listen\"},"
        "{\"type\":\"array\",\"minItems\":1,\"maxItems\":256,\"items\":{\"anyOf\":["
        "{\"$ref\":\"#/$defs/address\"},{\"$ref\":\"#/$defs/listen\"}]}}]");
}

const struct conf_type conf_type_listeners = {.words = "address, or list",
    .read = read_listeners,
    .show = show_listeners,
    .schema = put_listeners};

/* ---- routes ---- */

bool conf_was_told(const struct conf_node *n)
{
    bool told = n->told;
    for (unsigned i = 0; i < n->count && !told; i++)
        told = conf_was_told(n->kind == CONF_MAP ? n->members[i].value : n->elements[i]);
    return told;
}

static int read_route(struct conf_reader *r, struct conf_node *n, const struct conf_where *where,
    struct conf_route *route)
{
    route->mark = n->mark;
    route->route_mark = n->mark;
    unsigned mistakes = conf_errors_count(r->errors) - r->setting_mistakes;
    int rc = conf_read_section(r, &conf_section_route, n, where, route);
    route->broken =
        conf_errors_count(r->errors) - r->setting_mistakes > mistakes || conf_was_told(n);
    for (unsigned i = 0; i < route->node_count; i++)
        route->broken |= !route->nodes[i].kind;
    if (rc == 0)
        conf_check_dispatch(r, n, where, route);
    if (rc || route->name || !route->pattern)
        return rc;
    if (strcmp(route->method, "*") == 0)
        route->name = route->pattern;
    else
        route->name = arena_printf(r->arena, "%s %s", route->method, route->pattern);
    return route->name ? 0 : -ENOMEM;
}

static int read_routes(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at)
{
    struct config *config = r->config;
    if (n->kind != CONF_LIST) {
        conf_tell(r, n, where, "a list of routes, each with '- ' before it", "");
        config->partial = true;
        return 0;
    }
    if (n->count == 0)
        return 0;
    config->routes = arena_zalloc(r->arena, n->count * sizeof *config->routes);
    if (!config->routes)
        return -ENOMEM;
    config->route_count = n->count;
    for (unsigned i = 0; i < n->count; i++) {
        struct conf_where here = {.up = where, .index = (int)i};
        config->routes[i].index = i;
        int rc = read_route(r, n->elements[i], &here, &config->routes[i]);
        if (rc)
            return rc;
    }
    return 0;
}

static struct conf_node *show_routes(
    struct conf_show *s, const struct conf_key *key, const void *at, const struct conf_node *origin)
{
    unsigned count = s->config->route_count;
    struct conf_node *list = conf_show_list(s, count);
    for (unsigned i = 0; i < count && !s->failed; i++)
        conf_show_element(list,
            conf_show_section(s, &conf_section_route, &s->config->routes[i], origin->elements[i]));
    return list;
}

static int put_routes(struct bytes *out, const struct conf_key *key)
{
    return conf_schema_put(
        out, "\"type\":[\"array\",\"null\"],\"items\":{\"$ref\":\"#/$defs/routes\"}");
}

const struct conf_type conf_type_routes = {.words = "list",
    .may_be_empty = true,
    .read = read_routes,
    .show = show_routes,
    .schema = put_routes};

/* ---- nodes ---- */

static const char *name_of(const struct conf_flow_kind *kind)
{
    return kind->keys[0].name;
}

/* `told`: something is wrong with the node already, perhaps the spelling of its kind. */
static const struct conf_flow_kind *find_kind(
    struct conf_reader *r, const struct conf_node *map, const struct conf_where *where, bool told)
{
    char place[CONF_WHERE_MAX];
    char names[CONF_FLOW_KINDS_TEXT_MAX];
    const struct conf_flow_kind *first = NULL;
    for (unsigned i = 0; i < r->kinds->count; i++) {
        const struct conf_flow_kind *kind = r->kinds->list[i];
        if (!conf_member(map, name_of(kind)))
            continue;
        if (first) {
            conf_error(r->errors, &map->mark,
                "%s: found both '%s' and '%s', expected exactly one of %s",
                conf_where_text(where, place), name_of(first), name_of(kind),
                conf_flow_kinds_text(r->kinds, "", names));
            return first;
        }
        first = kind;
    }
    if (!first && !told)
        conf_error(r->errors, &map->mark, "%s: found no kind of node, expected exactly one of %s",
            conf_where_text(where, place), conf_flow_kinds_text(r->kinds, "", names));
    return first;
}

static void tell_stray(struct conf_reader *r, const struct conf_node *map,
    const struct conf_where *where, const struct conf_flow_kind *kind, const char *key)
{
    char place[CONF_WHERE_MAX];
    for (unsigned i = 0; i < map->count; i++) {
        const struct conf_member *m = &map->members[i];
        struct conf_where here = {.up = where, .name = m->name};
        if (span_equal(m->name, span_of(key)))
            conf_error(r->errors, &m->mark,
                "%s: found in a node without '%s', expected '%s' beside it",
                conf_where_text(&here, place), name_of(kind), name_of(kind));
    }
}

/* Keys that mean something only in a node of another kind. */
static void check_stray(struct conf_reader *r, const struct conf_node *map,
    const struct conf_where *where, const struct conf_flow_kind *own)
{
    for (unsigned i = 0; i < r->kinds->count; i++) {
        const struct conf_flow_kind *kind = r->kinds->list[i];
        for (unsigned k = 1; kind != own && k < kind->key_count; k++)
            tell_stray(r, map, where, kind, kind->keys[k].name);
    }
}

static int read_own(struct conf_reader *r, const struct conf_node *map,
    const struct conf_where *where, struct conf_flow_node *node, bool told)
{
    unsigned before = conf_errors_count(r->errors);
    const struct conf_flow_kind *kind = find_kind(r, map, where, told);
    node->kind = kind;
    if (!told && conf_errors_count(r->errors) == before)
        check_stray(r, map, where, kind);
    if (!kind)
        return 0;
    node->own = arena_zalloc(r->arena, kind->size);
    if (!node->own)
        return -ENOMEM;
    int rc = conf_read_keys(r, kind->keys, kind->key_count, map, where, node->own);
    return rc || !kind->finish ? rc : kind->finish(r, map, where, node);
}

static int read_node(struct conf_reader *r, struct conf_member *m, const struct conf_where *where,
    struct conf_flow_node *node)
{
    char place[CONF_WHERE_MAX];
    char found[CONF_FOUND_MAX];
    node->mark = m->mark;
    node->name = m->name.ptr;
    node->deadline = CONF_NO_DEADLINE;
    if (!conf_is_name(m->name, NODE_NAME_MAX))
        conf_error(r->errors, &m->mark,
            "%s: found the name %s, expected at most %d letters, digits, '_' and '-', a letter "
            "first",
            conf_where_text(where->up, place), conf_quoted(m->name, found), NODE_NAME_MAX);
    if (m->value->kind != CONF_MAP)
        return conf_read_section(r, &r->node, m->value, where, node);
    unsigned before = conf_errors_count(r->errors);
    conf_check_keys(r, &r->node, m->value, where);
    int rc =
        conf_read_keys(r, conf_section_node.keys, conf_section_node.count, m->value, where, node);
    if (rc == 0)
        rc = read_own(r, m->value, where, node, conf_errors_count(r->errors) > before);
    if (rc)
        return rc;
    const struct conf_node *otherwise = conf_member(m->value, "default");
    if (otherwise && !node->optional)
        conf_error(r->errors, &otherwise->mark,
            "%s.default: found a default of a node that must not fail, expected 'optional: true' "
            "beside it",
            conf_where_text(where, place));
    return 0;
}

static int read_nodes(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at)
{
    struct conf_route *route = at;
    if (n->kind != CONF_MAP) {
        conf_tell(r, n, where, "a map of nodes such as {pause: {sleep: 70ms}}", "");
        return 0;
    }
    if (n->count == 0)
        return 0;
    route->nodes = arena_zalloc(r->arena, n->count * sizeof *route->nodes);
    if (!route->nodes)
        return -ENOMEM;
    route->node_count = n->count;
    for (unsigned i = 0; i < n->count; i++) {
        struct conf_where here = {.up = where, .name = n->members[i].name};
        int rc = read_node(r, &n->members[i], &here, &route->nodes[i]);
        if (rc)
            return rc;
    }
    return 0;
}

static struct conf_node *show_node(
    struct conf_show *s, const struct conf_flow_node *node, const struct conf_node *origin)
{
    const struct conf_flow_kind *kind = node->kind;
    struct conf_node *map = conf_show_map(s, CONF_KEYS_MAX);
    if (kind)
        conf_show_keys(s, map, kind->keys, kind->key_count, node->own, origin);
    conf_show_keys(s, map, conf_section_node.keys, conf_section_node.count, node, origin);
    return map;
}

static struct conf_node *show_nodes(
    struct conf_show *s, const struct conf_key *key, const void *at, const struct conf_node *origin)
{
    const struct conf_route *route = at;
    if (route->node_count == 0)
        return NULL;
    struct conf_node *map = conf_show_map(s, route->node_count);
    for (unsigned i = 0; i < route->node_count && !s->failed; i++)
        conf_show_member(
            map, route->nodes[i].name, show_node(s, &route->nodes[i], origin->members[i].value));
    return map;
}

static int put_nodes(struct bytes *out, const struct conf_key *key)
{
    return conf_schema_put(out,
        "\"type\":[\"object\",\"null\"],"
        "\"propertyNames\":{\"pattern\":\"^[A-Za-z_][A-Za-z0-9_-]{0,63}$\"},"
        "\"additionalProperties\":{\"$ref\":\"#/$defs/nodes\"}");
}

const struct conf_type conf_type_nodes = {.words = "map",
    .may_be_empty = true,
    .read = read_nodes,
    .show = show_nodes,
    .schema = put_nodes};
