/*
 * route.c: the parts of a configuration that may be written in more than one form: listeners,
 * routes, nodes, sleeps, calls, statuses.
 */
#include "conf/read.h"

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
    return conf_read_value(
        r, conf_section_key(&conf_section_listener, "address"), n, where, &listen->address);
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

int conf_read_listeners(struct conf_reader *r, struct conf_node *n, const struct conf_where *where)
{
    struct config *config = &r->conf->config;
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

int conf_read_routes(struct conf_reader *r, struct conf_node *n, const struct conf_where *where)
{
    struct config *config = &r->conf->config;
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

/* ---- nodes ---- */

/* `told`: something is wrong with the node already, perhaps the spelling of its kind. */
static void find_kind(struct conf_reader *r, const struct conf_node *n,
    const struct conf_where *where, struct conf_flow_node *node, bool told)
{
    static const char *const kinds[] = {
        "sleep", "http", "reply", "step"}; /* by enum conf_node_kind */
    char place[CONF_WHERE_MAX];
    const char *first = NULL;
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (!conf_member(n, kinds[i]))
            continue;
        if (first) {
            conf_error(r->errors, &n->mark,
                "%s: found both '%s' and '%s', expected exactly one of sleep, http, reply and step",
                conf_where_text(where, place), first, kinds[i]);
            return;
        }
        first = kinds[i];
        node->kind = (enum conf_node_kind)i;
    }
    if (!first && !told)
        conf_error(r->errors, &n->mark,
            "%s: found no kind of node, expected exactly one of sleep, http, reply and step",
            conf_where_text(where, place));
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
    unsigned before = conf_errors_count(r->errors);
    int rc = conf_read_section(r, &conf_section_node, m->value, where, node);
    if (rc || m->value->kind != CONF_MAP)
        return rc;
    find_kind(r, m->value, where, node, conf_errors_count(r->errors) > before);
    rc = conf_read_work(r, m->value, where, node, conf_errors_count(r->errors) > before);
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

int conf_read_nodes(struct conf_reader *r, struct conf_node *n, const struct conf_where *where,
    struct conf_route *route)
{
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

/* ---- sleep ---- */

int conf_read_sleep(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, struct conf_sleep *sleep)
{
    if (n->kind == CONF_MAP && conf_member(n, "uniform")) {
        sleep->distribution = CONF_UNIFORM;
        return conf_read_section(r, &conf_section_uniform, n, where, sleep);
    }
    if (n->kind == CONF_MAP && conf_member(n, "exponential")) {
        sleep->distribution = CONF_EXPONENTIAL;
        return conf_read_section(r, &conf_section_exponential, n, where, sleep);
    }
    if (n->kind != CONF_SCALAR) {
        conf_tell(r, n, where,
            "a duration such as 70ms, {uniform: [10ms, 20ms]} or {exponential: 70ms}", "");
        return 0;
    }
    struct conf_key fixed = *key;
    fixed.type = CONF_DURATION;
    sleep->distribution = CONF_FIXED;
    return conf_read_scalar(r, &fixed, n, where, &sleep->low_ns);
}

int conf_read_range(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, struct conf_sleep *sleep)
{
    struct conf_key bound = *key;
    bound.type = CONF_DURATION;
    if (n->kind != CONF_LIST || n->count != 2) {
        conf_tell(r, n, where, "two durations such as [10ms, 20ms]", "");
        return 0;
    }
    int rc = conf_read_scalar(r, &bound, n->elements[0], where, &sleep->low_ns);
    if (rc == 0)
        rc = conf_read_scalar(r, &bound, n->elements[1], where, &sleep->high_ns);
    if (rc == 0 && sleep->high_ns < sleep->low_ns)
        conf_tell(r, n->elements[1], where, "a duration that is not shorter than the first", "");
    return rc;
}

/* ---- http ---- */

int conf_read_http(struct conf_reader *r, struct conf_node *n, const struct conf_where *where,
    struct conf_http *http)
{
    int rc;
    if (n->kind == CONF_SCALAR) {
        rc = conf_read_section(r, &conf_section_http, NULL, where, http);
        if (rc == 0)
            rc = conf_read_value(
                r, conf_section_key(&conf_section_http, "url"), n, where, &http->url);
    } else if (n->kind == CONF_MAP) {
        rc = conf_read_section(r, &conf_section_http, n, where, http);
    } else {
        conf_tell(
            r, n, where, "a URL such as http://127.0.0.1:9001/users, or a map with 'url'", "");
        return 0;
    }
    if (rc)
        return rc;
    http->times_given = conf_member(n, "times") != NULL;
    if (!http->method)
        http->method = conf_new_scalar(r->arena, http->body ? "POST" : "GET", n);
    return http->method ? 0 : -ENOMEM;
}

/* ---- Statuses ---- */

static bool status_at(const char *text)
{
    return text[0] >= '1' && text[0] <= '5' && text[1] >= '0' && text[1] <= '9' && text[2] >= '0' &&
           text[2] <= '9';
}

/* "200" or "200-299" */
static bool is_statuses(struct conf_node *n)
{
    if (n->kind != CONF_SCALAR || n->text.len < 3 || !status_at(n->text.ptr))
        return false;
    n->quoted = n->quoted && !n->expanded; /* a number from a variable is a number */
    if (n->text.len == 3)
        return !n->quoted;
    return n->text.len == 7 && n->text.ptr[3] == '-' && status_at(n->text.ptr + 4) &&
           memcmp(n->text.ptr, n->text.ptr + 4, 3) <= 0;
}

int conf_read_statuses(struct conf_reader *r, struct conf_node *n, const struct conf_where *where,
    const struct conf_node **at)
{
    static const char expected[] =
        "a status such as 200, a range such as 200-299, or a list of them";
    bool list = n->kind == CONF_LIST && n->count > 0;
    for (unsigned i = 0; list && i < n->count; i++) {
        struct conf_where here = {.up = where, .index = (int)i};
        if (!is_statuses(n->elements[i]))
            conf_tell(r, n->elements[i], &here, expected, "");
    }
    if (!list && !is_statuses(n))
        conf_tell(r, n, where, expected, "");
    *at = n;
    return 0;
}
