/*
 * service.c: see service.h.
 */
#include "app/service.h"

#include "base/mem.h"

#include <errno.h>

static int add_route(struct service *s, const struct conf_route *conf,
    const struct flow_links *links, struct conf_errors *errors)
{
    struct service_route *route = &s->routes[s->route_count];
    *route = (struct service_route){.conf = conf, .index = s->route_count};
    struct error e;
    void *other;
    int rc =
        router_add(s->router, span_of(conf->method), span_of(conf->pattern), route, &other, &e);
    if (rc) {
        conf_error(errors, &conf->route_mark, "%s", e.sentence);
        return rc;
    }
    rc = flow_compile(&route->flow, conf, links, errors);
    if (rc == 0)
        s->flows[s->route_count++] = route->flow;
    return rc;
}

int service_new(struct service **out, const struct config *config, const struct flow_links *links,
    const uint64_t seed[2], struct conf_errors *errors)
{
    struct service *s = mem_zalloc(sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->routes = mem_zalloc((config->route_count + 1) * sizeof(*s->routes));
    s->flows = mem_zalloc((config->route_count + 1) * sizeof(struct flow *));
    int rc = s->routes && s->flows ? router_new(&s->router, seed) : -ENOMEM;
    for (unsigned i = 0; i < config->route_count && rc == 0; i++)
        rc = add_route(s, &config->routes[i], links, errors);
    if (rc) {
        service_free(s);
        return rc == -ENOMEM ? rc : -EINVAL;
    }
    *out = s;
    return 0;
}

void service_free(struct service *s)
{
    if (!s)
        return;
    for (unsigned i = 0; s->routes && i < s->route_count; i++)
        flow_free(s->routes[i].flow);
    if (s->router)
        router_free(s->router);
    mem_free(s->routes);
    mem_free(s->flows);
    mem_free(s);
}

/* ---- Requests ---- */

/* After a failed reply the connection is lost, which it knows itself. */
static void reply_status(struct http_request *r, int status, const struct http_field *fields,
    unsigned count, const char *sentence)
{
    if (http_reply_status(r, status, fields, count, sentence) != 0)
        r->label = SPAN("(lost)");
}

static void reply_without_route(struct http_request *r, int rc, struct span allow)
{
    const struct http1_head *head = r->head;
    struct http_field allowed = {SPAN("Allow"), allow};
    r->label = SPAN("(none)");
    if (head->method == HTTP_OPTIONS && (rc == -EPERM || span_equal(head->path, SPAN("*")))) {
        if (http_reply(r, 204, &allowed, rc == -EPERM ? 1 : 0, SPAN("")) != 0)
            r->label = SPAN("(lost)");
        return;
    }
    if (rc == -EPERM)
        reply_status(r, 405, &allowed, 1, "the route does not have this method");
    else if (rc == -ENOENT)
        reply_status(r, 404, NULL, 0, "no route has this path");
    else if (rc == -ENOMEM)
        reply_status(r, 503, NULL, 0, "there is no memory for this request now");
    else
        reply_status(r, 400, NULL, 0, "the path is malformed");
}

void service_handle(
    const struct service *s, const struct flow_context *context, struct http_request *r)
{
    const struct http1_head *head = r->head;
    struct router_match match;
    struct span allow = {NULL, 0};
    int rc = router_find(
        s->router, head->method, head->method_name, head->path, r->arena, &match, &allow);
    if (rc) {
        reply_without_route(r, rc, allow);
        return;
    }
    const struct service_route *route = match.value;
    r->handler_data = match.value;
    r->label = span_of(route->conf->name);
    r->body_max = route->conf->body;
    struct flow_param params[ROUTER_PARAMS_MAX];
    for (unsigned i = 0; i < match.param_count; i++)
        params[i] = (struct flow_param){match.params[i].name, match.params[i].value,
            match.params[i].segments, match.params[i].segment_count};
    flow_run(route->flow, context, r, params, match.param_count);
}
