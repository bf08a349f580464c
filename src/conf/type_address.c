/*
 * type_address.c: where to listen, and the method and path of a route.
 */
#include "conf/internal.h"
#include "conf/show.h"
#include "conf/type.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

/* ---- Addresses ---- */

#define ADDRESSES                                                               \
    "an address such as 127.0.0.1:8080, localhost:8080, [::1]:8080, *:8080 or " \
    "unix:/run/weir.sock, or a port"
#define HOST_NAME_LONGEST 100

static bool is_port(struct span s)
{
    unsigned value = 0;
    if (s.len == 0 || s.len > 5 || (s.ptr[0] == '0' && s.len > 1))
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        value = value * 10 + (unsigned)(s.ptr[i] - '0');
    }
    return value <= 65535;
}

/* One that is resolved when the server starts: with a letter, as an address has none. */
static bool is_host_name(struct span host)
{
    bool letter = false;
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_letter && !(c >= '0' && c <= '9') && c != '-' && c != '.')
            return false;
        letter |= is_letter;
    }
    return letter && host.len <= HOST_NAME_LONGEST;
}

static bool is_host(struct span host)
{
    char text[64];
    unsigned char binary[sizeof(struct in6_addr)];
    bool six = host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
    if (span_equal(host, SPAN("*")))
        return true;
    if (six)
        host = (struct span){host.ptr + 1, host.len - 2};
    const char *scope = six ? memchr(host.ptr, '%', host.len) : NULL;
    if (scope)
        host.len = (size_t)(scope - host.ptr);
    if (!six && is_host_name(host))
        return true;
    if (host.len >= sizeof text)
        return false;
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    return inet_pton(six ? AF_INET6 : AF_INET, text, binary) == 1;
}

/* The look of an address; whoever listens there parses it. */
static const char *address_of(struct conf_reader *r, const struct conf_node *n, int *rc)
{
    struct span s = n->text;
    *rc = 0;
    if (n->kind != CONF_SCALAR || s.len == 0 || s.len > 127 || conf_has_controls(s))
        return NULL;
    bool alone = is_port(s);
    if (alone || (s.ptr[0] == ':' && is_port((struct span){s.ptr + 1, s.len - 1}))) {
        const char *whole = arena_printf(r->arena, "127.0.0.1:%s", s.ptr + !alone);
        *rc = whole ? 0 : -ENOMEM;
        return whole;
    }
    if (s.len > 5 && memcmp(s.ptr, "unix:", 5) == 0)
        return s.len == 6 && s.ptr[5] == '@' ? NULL : s.ptr;
    const char *colon = memrchr(s.ptr, ':', s.len);
    if (!colon || !is_port(span_of(colon + 1)))
        return NULL;
    return is_host((struct span){s.ptr, (size_t)(colon - s.ptr)}) ? s.ptr : NULL;
}

static int read_address(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at)
{
    int rc;
    const char *address = address_of(r, n, &rc);
    if (address)
        *(const char **)at = address;
    else if (rc == 0)
        conf_tell(r, n, where, ADDRESSES, "");
    return rc;
}

static int read_admin(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at)
{
    int rc;
    r->config->admin_mark = n->mark;
    if (n->kind == CONF_SCALAR && span_equal(n->text, SPAN("off"))) {
        *(const char **)at = NULL;
        return 0;
    }
    const char *address = address_of(r, n, &rc);
    bool none = n->kind == CONF_SCALAR && !n->quoted &&
                conf_nearest(n->text, (const char *const[]){"false", "no", "none"}, 3);
    if (address)
        *(const char **)at = address;
    else if (rc == 0)
        conf_tell(
            r, n, where, ADDRESSES ", or off", none ? "; for no admin listener write off" : "");
    return rc;
}

/* ---- A route's method and path ---- */

static int read_pattern(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at)
{
    struct conf_route *route = at;
    struct span s = n->text;
    const char *space = n->kind == CONF_SCALAR ? memchr(s.ptr, ' ', s.len) : NULL;
    struct span method = {s.ptr, space ? (size_t)(space - s.ptr) : 0};
    bool any = n->kind == CONF_SCALAR && s.len > 0 && s.ptr[0] == '/';
    struct span pattern = s;
    if (!any && space) {
        size_t begin = method.len + strspn(space, " ");
        pattern = (struct span){s.ptr + begin, s.len - begin};
    }
    bool method_good = any || (space && (conf_is_method(method) || span_equal(method, SPAN("*"))));
    bool pattern_good = pattern.len > 0 && pattern.ptr[0] == '/';
    if (!method_good || !pattern_good || s.len > key->max || conf_has_controls(s)) {
        const char *hint = s.len > key->max               ? "; at most 1024 bytes"
                           : pattern_good && !method_good ? "; methods are written in capitals"
                                                          : conf_needs_quotes(n);
        conf_tell(r, n, where, "a method and a path such as 'GET /hello/{name}'", hint);
        return 0;
    }
    route->route_mark = n->mark;
    route->method = any ? "*" : arena_copy(r->arena, method);
    route->pattern = pattern.ptr;
    return route->method ? 0 : -ENOMEM;
}

/* ---- Showing ---- */

static struct conf_node *show_admin(
    struct conf_show *s, const struct conf_key *key, const void *at, const struct conf_node *origin)
{
    const char *text = *(const char *const *)at;
    return text ? conf_show_text(s, text, true) : conf_show_text(s, "off", false);
}

static struct conf_node *show_pattern(
    struct conf_show *s, const struct conf_key *key, const void *at, const struct conf_node *origin)
{
    const struct conf_route *route = at;
    bool any = strcmp(route->method, "*") == 0;
    const char *text =
        any ? route->pattern : arena_printf(s->arena, "%s %s", route->method, route->pattern);
    s->failed |= !text;
    return text ? conf_show_text(s, text, true) : NULL;
}

/* ---- The JSON Schema ---- */

static int put_address(struct bytes *out, const struct conf_key *key)
{
    return conf_schema_put(out, "\"$ref\":\"#/$defs/address\"");
}

static int put_admin(struct bytes *out, const struct conf_key *key)
{
    return conf_schema_put(out, "\"anyOf\":[{\"const\":\"off\"},{\"$ref\":\"#/$defs/address\"}]");
}

static int put_pattern(struct bytes *out, const struct conf_key *key)
{
    return conf_schema_put(out,
        "\"anyOf\":[{\"type\":\"string\",\"maxLength\":1024,"
        "\"pattern\":\"^(([A-Z_-]+|\\\\*) +)?/\"}," CONF_SCHEMA_OUTSIDE "]");
}

/* ---- The types ---- */

const struct conf_type conf_type_address = {
    .words = "address", .read = read_address, .show = conf_show_string, .schema = put_address};
const struct conf_type conf_type_admin = {
    .words = "address or `off`", .read = read_admin, .show = show_admin, .schema = put_admin};
const struct conf_type conf_type_pattern = {
    .words = "method and path", .read = read_pattern, .show = show_pattern, .schema = put_pattern};
