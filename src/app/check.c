/*
 * check.c: every check of a configuration that needs more than its text.
 *
 * Flows are compiled and thrown away: compiling is the check, and a second one beside it would one
 * day say something else.
 */
#include "app/check.h"

#include "flow/flow.h"
#include "http/router.h"
#include "http/url.h"
#include "step/step.h"
#include "world/address.h"
#include "world/world.h"

#include <errno.h>
#include <stdio.h>

/* ---- Addresses ---- */

/* Whether two sockets would be the same, which they never are while the port is any free one. */
static bool same_address(const struct address *a, const struct address *b)
{
    char left[ADDRESS_TEXT_MAX];
    char right[ADDRESS_TEXT_MAX];
    return address_port(a) != 0 && strcmp(address_print(a, left), address_print(b, right)) == 0;
}

static bool parse(
    struct address *at, const char *text, const struct conf_mark *mark, struct conf_errors *errors)
{
    struct error e;
    char name[ADDRESS_NAME_MAX + 1];
    uint16_t port;
    if (address_is_name(text, name, &port)) /* conf/ reports the same text twice */
        return false;
    if (address_parse(at, text, &e) == 0)
        return true;
    conf_error(errors, mark, "%s", e.sentence);
    return false;
}

/* Says so if an earlier entry has the address, too. */
static void find_twin(const struct config *c, unsigned nth, struct conf_errors *errors)
{
    struct address at;
    struct address other;
    if (!c->listen[nth].address ||
        !parse(&at, c->listen[nth].address, &c->listen[nth].mark, errors))
        return;
    for (unsigned i = 0; i < nth; i++) {
        if (!c->listen[i].address || address_parse(&other, c->listen[i].address, NULL) ||
            !same_address(&at, &other))
            continue;
        conf_error(errors, &c->listen[nth].mark,
            "listens on %s twice, here and in line %u; remove one of them", c->listen[nth].address,
            c->listen[i].mark.line);
        return;
    }
}

static void check_admin(const struct config *c, struct conf_errors *errors)
{
    struct address admin;
    struct address other;
    struct error e;
    char name[ADDRESS_NAME_MAX + 1];
    uint16_t port;
    if (!c->admin || address_is_name(c->admin, name, &port))
        return;
    if (address_parse(&admin, c->admin, &e)) {
        conf_error(errors, &c->admin_mark, "admin: %s", e.sentence);
        return;
    }
    for (unsigned i = 0; i < c->listen_count; i++) {
        if (c->listen[i].address && address_parse(&other, c->listen[i].address, NULL) == 0 &&
            same_address(&admin, &other))
            conf_error(errors, &c->listen[i].mark,
                "listens on %s, which is the admin's address; choose another for one of them, or "
                "set 'admin: off'",
                c->listen[i].address);
    }
}

static void check_addresses(const struct config *c, struct conf_errors *errors)
{
    if (c->listen_count >= SPAWN_LISTENERS_MAX)
        conf_error(errors, &c->listen[SPAWN_LISTENERS_MAX - 1].mark,
            "%u addresses to listen on, but at most %u can be", c->listen_count,
            SPAWN_LISTENERS_MAX - 1);
    for (unsigned i = 0; i < c->listen_count; i++)
        find_twin(c, i, errors);
    check_admin(c, errors);
}

/* ---- Upstreams ---- */

/* What an address to listen on may be, and one to call may not. */
static void check_servers(const struct conf_upstream *u, struct conf_errors *errors)
{
    for (unsigned i = 0; i < u->server_count; i++) {
        const struct conf_upstream_server *s = &u->servers[i];
        char url[256];
        struct http_endpoint endpoint;
        struct error e;
        if (!s->server)
            continue;
        int len = snprintf(url, sizeof url, "http://%s", s->server);
        bool good = len > 0 && (size_t)len < sizeof url && s->server[0] != '*' &&
                    http_endpoint_parse(&endpoint, span_of(url), &e) == 0;
        if (!good)
            conf_error(errors, &s->mark,
                "upstreams.%s: found '%s', expected an address that can be called, such as "
                "127.0.0.1:5001",
                u->name, s->server);
    }
}

/* ---- Routes ---- */

/* Steps that it runs may be in what could not be read. */
static bool lacks_steps(const struct config *c, const struct conf_route *route)
{
    bool runs_any = false;
    for (unsigned i = 0; i < route->node_count; i++)
        runs_any |= route->nodes[i].work.step != NULL;
    return runs_any && c->partial;
}

static int check_route(struct router *router, struct conf_route *route,
    const struct flow_links *links, struct conf_errors *errors)
{
    struct error e;
    void *other = NULL;
    if (!route->pattern)
        return 0;
    int rc = router_add(router, span_of(route->method), span_of(route->pattern), route, &other, &e);
    if (rc == -ENOMEM)
        return rc;
    if (rc == -EEXIST && other) {
        const struct conf_route *first = other;
        conf_error(errors, &route->route_mark, "%s (line %u)", e.sentence, first->route_mark.line);
    } else if (rc) {
        conf_error(errors, &route->route_mark, "%s", e.sentence);
    }
    /* A malformed pattern has no parameters that references could be checked against. */
    if ((rc && rc != -EEXIST) || route->broken || lacks_steps(links->config, route))
        return 0;

    struct flow *flow;
    rc = flow_compile(&flow, route, links, errors);
    if (rc == 0)
        flow_free(flow);
    return rc == -ENOMEM ? rc : 0;
}

static int check_routes(const struct config *c, bool unsafe, struct conf_errors *errors)
{
    struct flow_links links = {.config = c, .unsafe = unsafe};
    static const uint64_t no_secret[2] = {
        0, 0}; /* a configuration is trusted not to attack its own hashes */
    struct router *router;
    int rc = router_new(&router, no_secret);
    if (rc)
        return rc;
    for (unsigned i = 0; i < c->route_count && rc == 0; i++)
        rc = check_route(router, &c->routes[i], &links, errors);
    router_free(router);
    return rc;
}

/* ---- Steps ---- */

/* Another name for one that is built in. */
static void check_builtin(const struct conf_step *s, bool unsafe, struct conf_errors *errors)
{
    bool harms = false;
    if (!step_is_builtin(s->step, &harms))
        conf_error(errors, &s->mark,
            "there is no built-in step '%s'; for a plugin's, write "
            "{plugin: FILE.so, step: %s}",
            s->step, s->step);
    else if (harms && !unsafe)
        conf_error(errors, &s->mark,
            "the step '%s' does harm on purpose, and runs only with --unsafe-steps", s->step);
}

static int check_plugin(const struct conf_step *s, struct conf_errors *errors)
{
    struct step_spec spec = {.name = s->name, .plugin = s->plugin, .step = s->step};
    struct step_set *set;
    struct error e;
    int rc = step_set_new(&set, &spec, 1, NULL, true, &e);
    if (rc == -ENOMEM)
        return rc;
    if (rc)
        conf_error(errors, &s->mark, "%s", e.sentence);
    else
        step_set_free(set);
    return 0;
}

int app_check_plugins(const struct conf *conf, struct conf_errors *errors)
{
    const struct config *c = conf_config(conf);
    int rc = 0;
    for (unsigned i = 0; i < c->step_count && rc == 0; i++)
        if (c->steps[i].plugin && !c->steps[i].broken)
            rc = check_plugin(&c->steps[i], errors);
    if (rc)
        return rc;
    return conf_errors_count(errors) ? -EINVAL : 0;
}

/* ---- All ---- */

int app_check(const struct conf *conf, bool unsafe, struct conf_errors *errors)
{
    const struct config *c = conf_config(conf);
    check_addresses(c, errors);
    for (unsigned i = 0; i < c->upstream_count; i++)
        check_servers(&c->upstreams[i], errors);
    for (unsigned i = 0; i < c->step_count; i++)
        if (!c->steps[i].plugin && !c->steps[i].broken)
            check_builtin(&c->steps[i], unsafe, errors);
    if (c->route_count == 0 && !c->partial)
        conf_error(errors, &c->mark,
            "no routes: every request would get a 404; 'weir init' makes a configuration to "
            "begin with");
    int rc = check_routes(c, unsafe, errors);
    if (rc)
        return rc;
    return conf_errors_count(errors) ? -EINVAL : 0;
}
