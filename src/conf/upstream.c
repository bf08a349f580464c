/*
 * upstream.c: upstreams and their servers.
 */
#include "conf/internal.h"
#include "conf/read.h"
#include "conf/show.h"
#include "conf/type.h"

#include <errno.h>

/* ---- servers ---- */

static int read_server(struct conf_reader *r, struct conf_node *n, const struct conf_where *where,
    struct conf_upstream_server *server)
{
    server->mark = n->mark;
    if (n->kind == CONF_MAP)
        return conf_read_section(r, &conf_section_server, n, where, server);
    const struct conf_key *address = conf_section_key(&conf_section_server, "server");
    int rc = conf_read_section(r, &conf_section_server, NULL, where, server);
    return rc ? rc : address->type->read(r, address, n, where, &server->server);
}

static void tell_twins(struct conf_reader *r, const struct conf_upstream *u)
{
    for (unsigned i = 1; i < u->server_count; i++)
        for (unsigned k = 0; k < i; k++) {
            const struct conf_upstream_server *a = &u->servers[k];
            const struct conf_upstream_server *b = &u->servers[i];
            if (!a->server || !b->server || strcmp(a->server, b->server) != 0)
                continue;
            conf_error(r->errors, &b->mark,
                "servers: found '%s' again, expected each server once; give the one at line %u a "
                "'weight'",
                b->server, a->mark.line);
            break;
        }
}

static int read_servers(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at)
{
    struct conf_upstream *u = at;
    bool list = n->kind == CONF_LIST;
    unsigned count = list ? n->count : 1;
    if (count == 0 || count > CONF_UPSTREAM_SERVERS_MAX) {
        conf_tell(r, n, where, "a list of 1 to 1000 addresses such as [127.0.0.1:5001]", "");
        return 0;
    }
    u->servers = arena_zalloc(r->arena, count * sizeof *u->servers);
    if (!u->servers)
        return -ENOMEM;
    u->server_count = count;
    for (unsigned i = 0; i < count; i++) {
        struct conf_where here = {.up = where, .index = (int)i};
        int rc = read_server(r, list ? n->elements[i] : n, list ? &here : where, &u->servers[i]);
        if (rc)
            return rc;
    }
    tell_twins(r, u);
    return 0;
}

static struct conf_node *show_servers(
    struct conf_show *s, const struct conf_key *key, const void *at, const struct conf_node *origin)
{
    const struct conf_upstream *u = at;
    struct conf_node *list = conf_show_list(s, u->server_count);
    for (unsigned i = 0; i < u->server_count && !s->failed; i++) {
        const struct conf_node *from =
            origin && origin->kind == CONF_LIST ? origin->elements[i] : origin;
        struct conf_node *n = conf_show_section(s, &conf_section_server, &u->servers[i], from);
        if (n && from && from->kind == CONF_SCALAR && from->secret)
            n->members[0].value->secret = n->members[0].value->quoted = true;
        conf_show_element(list, n);
    }
    return list;
}

static int put_servers(struct bytes *out, const struct conf_key *key)
{
    return bytes_printf(out,
        "\"anyOf\":[{\"$ref\":\"#/$defs/address\"},{\"$ref\":\"#/$defs/server\"},"
        "{\"type\":\"array\",\"minItems\":1,\"maxItems\":%d,\"items\":{\"anyOf\":["
        "{\"$ref\":\"#/$defs/address\"},{\"$ref\":\"#/$defs/server\"}]}}]",
        CONF_UPSTREAM_SERVERS_MAX);
}

const struct conf_type conf_type_servers = {
    .words = "address, or list", .read = read_servers, .show = show_servers, .schema = put_servers};

/* ---- upstreams ---- */

static int read_upstream(struct conf_reader *r, struct conf_member *m,
    const struct conf_where *where, struct conf_upstream *u)
{
    struct conf_where here = {.up = where, .name = m->name};
    u->mark = m->mark;
    u->name = m->name.ptr;
    conf_check_name(r, m, where);
    return conf_read_section(r, &conf_section_upstream, m->value, &here, u);
}

static int read_upstreams(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at)
{
    struct config *config = r->config;
    if (n->kind != CONF_MAP || n->count > CONF_UPSTREAMS_MAX) {
        conf_tell(r, n, where,
            "a map of at most 1000 upstreams such as {taggers: {servers: [127.0.0.1:5001]}}", "");
        config->partial = true;
        return 0;
    }
    if (n->count == 0)
        return 0;
    config->upstreams = arena_zalloc(r->arena, n->count * sizeof *config->upstreams);
    if (!config->upstreams)
        return -ENOMEM;
    for (unsigned i = 0; i < n->count; i++) {
        int rc = read_upstream(r, &n->members[i], where, &config->upstreams[i]);
        if (rc)
            return rc;
        config->upstream_count++;
    }
    return 0;
}

static struct conf_node *show_upstreams(
    struct conf_show *s, const struct conf_key *key, const void *at, const struct conf_node *origin)
{
    unsigned count = s->config->upstream_count;
    if (count == 0)
        return NULL;
    struct conf_node *map = conf_show_map(s, count);
    for (unsigned i = 0; i < count && !s->failed; i++) {
        const struct conf_upstream *u = &s->config->upstreams[i];
        conf_show_member(map, u->name,
            conf_show_section(s, &conf_section_upstream, u, origin->members[i].value));
    }
    return map;
}

static int put_upstreams(struct bytes *out, const struct conf_key *key)
{
    return bytes_printf(out,
        "\"type\":[\"object\",\"null\"],\"propertyNames\":{" CONF_SCHEMA_WORD "},"
        "\"maxProperties\":%d,\"additionalProperties\":{\"$ref\":\"#/$defs/upstreams\"}",
        CONF_UPSTREAMS_MAX);
}

const struct conf_type conf_type_upstreams = {.words = "map",
    .may_be_empty = true,
    .read = read_upstreams,
    .show = show_upstreams,
    .schema = put_upstreams};
