/*
 * world.h: a weir on the host `here`, with a route or more, and on the host `there` an upstream
 * that behaves as its paths say, and a client.
 *
 * there:9001
 *     /json          {"a":[1,2],"who":"there"}
 *     /text          plain text
 *     /coded/CODING  a body that says to be in that content coding
 *     /echo...       what was asked, as JSON
 *     /slow/MS       {"slow":true} after so many milliseconds
 *     /status/N      a reply with that status
 *     /garbage       application/json that is none
 * there:9002         reads a little and ends the connection there:9003         nobody listens
 */
#pragma once

#include "../world/sim_fixture.h"
#include "fixture.h"

#include "data/json.h"
#include "http/router.h"

#define WEIR_PORT     8080
#define UPSTREAM_PORT 9001
#define BROKEN_PORT   9002
#define ROUTES_MAX    16

/* What a node's end was told as. */
struct observed {
    unsigned count;
    char node[64];
    int rc;
    int64_t ns;
};

struct weir {
    struct sim *sim;
    struct configured c;
    struct flow *flows[ROUTES_MAX];
    unsigned flow_count;
    struct router *router;
    struct world *world;
    struct http_client *client;
    struct upstreams *upstreams;
    struct upstream_client *upstream_client;
    struct http_server *server;
    struct pools *pools;
    struct pool_client *pool_client;
    struct flow_locals *locals;
    struct observed observed;
    uint64_t fail_nth;  /* this allocation of a flow that does not wait fails; 0: none */
    bool failed;        /* it did */
    unsigned under_way; /* flows that have begun and not ended */
    bool short_errors;  /* as by default; most tests want to see the whole */
    bool stop;          /* the client has what it wants */
    int (*ask)(struct world *w, struct weir *weir);
};

/* ---- The upstream ---- */

static inline void reply_json(struct http_request *r, int status, struct span body)
{
    const struct http_field type = {SPAN("Content-Type"), SPAN("application/json; charset=utf-8")};
    int rc = http_reply(r, status, &type, 1, body);
    must(rc == 0 || rc == -EPIPE || rc == -ECONNRESET);
}

static inline bool path_begins(const struct http_request *r, const char *prefix)
{
    struct span path = r->head->path;
    return path.len >= strlen(prefix) && memcmp(path.ptr, prefix, strlen(prefix)) == 0;
}

static inline void echo(struct http_request *r)
{
    struct bytes text;
    struct span body;
    bytes_init(&text, 1 << 20);
    must(http_request_body(r, &body) == 0);
    must(bytes_printf(&text, "{\"method\":\"%.*s\",\"target\":\"%.*s\",\"headers\":{",
             SPAN_ARG(r->head->method_name), SPAN_ARG(r->head->target)) == 0);
    for (unsigned i = 0; i < r->head->field_count; i++) {
        must(bytes_append_span(&text, i ? SPAN(",") : SPAN("")) == 0);
        must(json_write_string(&text, r->head->fields[i].name) == 0);
        must(bytes_append_byte(&text, ':') == 0);
        must(json_write_string(&text, r->head->fields[i].value) == 0);
    }
    must(bytes_append_span(&text, SPAN("},\"body\":")) == 0);
    must(json_write_string(&text, body) == 0);
    must(bytes_append_byte(&text, '}') == 0);
    reply_json(r, 200, bytes_span(&text));
    bytes_release(&text);
}

static inline long number_after(const struct http_request *r, const char *prefix)
{
    char text[32];
    snprintf(text, sizeof(text), "%.*s", SPAN_ARG(r->head->path)); /* it ends with no zero */
    return strtol(text + strlen(prefix), NULL, 10);
}

static inline void handle_upstream(void *ctx, struct http_request *r)
{
    struct world *w = ctx;
    const struct http_field text = {SPAN("Content-Type"), SPAN("text/plain")};
    if (path_begins(r, "/slow/")) {
        if (world_sleep(w, number_after(r, "/slow/") * NS_PER_MS) == 0)
            reply_json(r, 200, SPAN("{\"slow\":true}"));
    } else if (path_begins(r, "/status/")) {
        reply_json(r, (int)number_after(r, "/status/"), SPAN("{\"error\":true}"));
    } else if (path_begins(r, "/garbage")) {
        reply_json(r, 200, SPAN("{\"a\":"));
    } else if (path_begins(r, "/coded/")) {
        const struct http_field fields[] = {{SPAN("Content-Type"), SPAN("application/json")},
            {SPAN("Content-Encoding"), {r->head->path.ptr + 7, r->head->path.len - 7}}};
        must(http_reply(r, 200, fields, 2, SPAN("[]")) == 0);
    } else if (path_begins(r, "/text")) {
        int rc = http_reply(r, 200, &text, 1, SPAN("plain \"text\""));
        must(rc == 0);
    } else if (path_begins(r, "/echo")) {
        echo(r);
    } else {
        reply_json(r, 200, SPAN("{\"a\":[1,2],\"who\":\"there\"}"));
    }
}

struct serving {
    struct http_server *server;
    struct listener *listener;
};

static inline int serve(void *arg)
{
    struct serving *s = arg;
    return http_server_run(s->server, &s->listener, 1);
}

/* Until the client has ended. */
static inline int serve_until_stop(struct world *w, struct serving *s, const bool *stop)
{
    GROUP(g, GROUP_FAIL_FAST);
    must(group_spawn(&g, "serve", serve, s) == 0);
    while (!*stop)
        must_sleep(w, 10 * NS_PER_MS);
    http_server_drain(s->server, 0, world_now(w) + NS_PER_MS, true);
    must(group_wait(&g) == 0);
    return 0;
}

static inline int break_connections(void *arg)
{
    struct listener *l = arg;
    struct stream *s;
    while (listener_accept(l, &s) == 0) {
        char c[16];
        must(stream_read(s, c, sizeof c) > 0);
        stream_close(s);
    }
    return 0;
}

static inline int upstream_main(struct world *w, void *arg)
{
    struct weir *weir = arg;
    struct listener *broken = must_listen(w, "*:9002");
    struct serving s = {.listener = must_listen(w, "*:9001")};
    struct http_server_options options = HTTP_SERVER_DEFAULTS;
    options.handle = handle_upstream;
    options.ctx = w;
    must(http_server_new(&s.server, w, &options) == 0);
    {
        GROUP(g, GROUP_FAIL_FAST);
        must(group_spawn(&g, "broken", break_connections, broken) == 0);
        serve_until_stop(w, &s, &weir->stop);
    }
    listener_close(broken);
    http_server_free(s.server);
    return 0;
}

/* ---- The weir ---- */

static inline void observe_node(void *ctx, const char *route, const char *node, int64_t ns, int rc)
{
    struct weir *weir = ctx;
    weir->observed.count++;
    snprintf(weir->observed.node, sizeof weir->observed.node, "%s", node);
    weir->observed.rc = rc;
    weir->observed.ns = ns;
}

static inline void handle_weir(void *ctx, struct http_request *r)
{
    struct weir *weir = ctx;
    struct router_match match;
    struct flow_param params[ROUTER_PARAMS_MAX];
    int rc = router_find(
        weir->router, r->head->method, r->head->method_name, r->head->path, r->arena, &match, NULL);
    if (rc) {
        (void)!http_reply_status(r, 404, NULL, 0, "no such route"); /* the client sees it */
        return;
    }
    for (unsigned i = 0; i < match.param_count; i++)
        params[i] = (struct flow_param){match.params[i].name, match.params[i].value,
            match.params[i].segments, match.params[i].segment_count};
    const struct flow_context context = {.world = weir->world,
        .upstreams = weir->upstream_client,
        .pool_client = weir->pool_client,
        .locals = weir->locals,
        .full_errors = !weir->short_errors,
        .observe = observe_node,
        .observe_ctx = weir};
    weir->under_way++;
    if (weir->fail_nth)
        mem_fail_at(weir->fail_nth, false);
    flow_run(match.value, &context, r, params, match.param_count);
    if (weir->fail_nth) {
        weir->failed = mem_count() >= weir->fail_nth;
        mem_fail_at(0, false);
    }
    weir->under_way--;
}

static inline int check_health(void *arg)
{
    struct weir *weir = arg;
    return upstream_client_check_health(weir->upstream_client);
}

/* With its pools and health checks beside it. */
static inline void serve_with_pools(struct world *w, struct weir *weir, struct serving *s)
{
    struct error e;
    GROUP(pool_client, GROUP_INDEPENDENT);
    must(pool_client_new(&weir->pool_client, weir->pools, 0, w) == 0);
    must(group_spawn(&pool_client, "pools", pool_client_run, weir->pool_client) == 0);
    must(pool_client_ready(weir->pool_client, &e) == 0);
    {
        GROUP(health, GROUP_INDEPENDENT);
        must(group_spawn(&health, "health checks", check_health, weir) == 0);
        serve_until_stop(w, s, &weir->stop);
    }
    pool_client_leave(weir->pool_client);
    must(group_wait(&pool_client) == 0);
    pool_client_free(weir->pool_client);
}

static inline int weir_main(struct world *w, void *arg)
{
    struct weir *weir = arg;
    struct serving s = {.listener = must_listen(w, "*:8080")};
    weir->world = w;
    must(http_client_new(&weir->client, w, &(struct http_client_options)HTTP_CLIENT_DEFAULTS) == 0);
    must(upstream_client_new(&weir->upstream_client, weir->upstreams, weir->client, w, 0) == 0);
    struct http_server_options options = HTTP_SERVER_DEFAULTS;
    options.timing = true;
    options.handle = handle_weir;
    options.ctx = weir;
    must(http_server_new(&s.server, w, &options) == 0);
    weir->server = s.server;
    serve_with_pools(w, weir, &s);
    must(weir->under_way == 0);
    http_server_free(s.server);
    upstream_client_free(weir->upstream_client);
    http_client_free(weir->client);
    return 0;
}

/* ---- The client ---- */

struct told {
    int status;
    char type[128];   /* content type */
    char body[8192];  /* without its last line break */
    bool ends_line;   /* it had one */
    char problem[64]; /* its type, if the body is one */
    char timing[160]; /* Server-Timing */
    int retry_after;  /* seconds; 0: it does not say */
    int64_t ms;
};

static inline void find_problem(struct told *t)
{
    static const char prefix[] = "\"type\":\"urn:weir:problem:";
    const char *at = strstr(t->body, prefix);
    if (!at || strcmp(t->type, "application/problem+json") != 0)
        return;
    at += sizeof prefix - 1;
    snprintf(t->problem, sizeof t->problem, "%.*s", (int)strcspn(at, "\""), at);
}

/* One request on a client of its own. 0, or why there was no answer. */
static inline int try_ask(struct world *w, const char *method, const char *target,
    const struct http_field *fields, unsigned field_count, const char *body, struct told *told)
{
    struct http_client *client;
    struct arena arena;
    struct error e;
    struct http_response answer;
    struct http_client_request a = {.method = span_of(method),
        .target = span_of(target),
        .fields = fields,
        .field_count = field_count,
        .body = span_of(body ? body : "")};
    arena_init(&arena, 64 << 20);
    *told = (struct told){0};
    must(http_client_new(&client, w, &(struct http_client_options)HTTP_CLIENT_DEFAULTS) == 0);
    must(http_client_origin(client, SPAN("http://here:8080"), &a.origin, &e) == 0);
    int64_t began = world_now(w);
    int rc = http_call(client, &a, &arena, &answer, &e);
    if (rc == 0) {
        const struct http_field *type =
            http_field_find(answer.head->fields, answer.head->field_count, "content-type");
        const struct http_field *timing =
            http_field_find(answer.head->fields, answer.head->field_count, "server-timing");
        const struct http_field *retry =
            http_field_find(answer.head->fields, answer.head->field_count, "retry-after");
        if (retry) {
            char seconds[16];
            snprintf(seconds, sizeof seconds, "%.*s", SPAN_ARG(retry->value));
            must(sscanf(seconds, "%d", &told->retry_after) == 1);
        }
        if (timing)
            snprintf(told->timing, sizeof told->timing, "%.*s", SPAN_ARG(timing->value));
        told->ms = (world_now(w) - began) / NS_PER_MS;
        told->status = answer.head->status;
        if (type)
            snprintf(told->type, sizeof told->type, "%.*s", SPAN_ARG(type->value));
        struct span text = answer.body;
        told->ends_line = text.len > 0 && text.ptr[text.len - 1] == '\n';
        text.len -= told->ends_line;
        snprintf(told->body, sizeof told->body, "%.*s", SPAN_ARG(text));
        find_problem(told);
    }
    arena_release(&arena);
    http_client_free(client);
    return rc;
}

static inline void ask(struct world *w, const char *method, const char *target,
    const struct http_field *fields, unsigned field_count, const char *body, struct told *told)
{
    int rc = try_ask(w, method, target, fields, field_count, body, told);
    check(rc == 0, "%s %s: %s", method, target, error_text(rc));
}

static inline int client_main(struct world *w, void *arg)
{
    struct weir *weir = arg;
    must_sleep(w, 20 * NS_PER_MS); /* until the others listen: nothing else waits for that */
    int rc = weir->ask(w, weir);
    weir->stop = true;
    return rc;
}

/* ---- All of them ---- */

static inline void build(struct weir *weir, const char *head, const char *routes)
{
    char text[8192];
    static const uint64_t seed[2] = {1, 2};
    struct error refused;
    snprintf(text, sizeof text,
        "%spools: {cpu: {size: 1, queue: 2}, here: {kind: inline}, small: {size: 1, value: 1KiB}, "
        "two: {size: 2}}\n"
        "routes:\n%s",
        head, routes);
    weir->c = configure(text);
    assert_int_equal(
        pools_new(&weir->pools,
            &(struct pools_options){.config = conf_config(weir->c.conf), .clients = 1, .cores = 2},
            &refused),
        0);
    assert_int_equal(upstreams_new(&weir->upstreams, conf_config(weir->c.conf)), 0);
    const struct flow_links links = {
        .config = conf_config(weir->c.conf), .pools = weir->pools, .upstreams = weir->upstreams};
    weir->flow_count = conf_config(weir->c.conf)->route_count;
    assert_int_equal(router_new(&weir->router, seed), 0);
    for (unsigned i = 0; i < weir->flow_count; i++) {
        const struct conf_route *route = route_at(&weir->c, i);
        struct error e;
        void *other;
        assert_int_equal(flow_compile(&weir->flows[i], route, &links, weir->c.errors), 0);
        assert_int_equal(router_add(weir->router, span_of(route->method), span_of(route->pattern),
                             weir->flows[i], &other, &e),
            0);
    }
    assert_int_equal(flow_locals_new(&weir->locals, (const struct flow *const *)weir->flows,
                         weir->flow_count, NULL, 0),
        0);
}

/* Runs `ask` as the client of a weir with these routes, and what else is in `head`. */
static inline void with_weir_and(struct weir *weir, const char *head, const char *routes,
    int (*ask_it)(struct world *w, struct weir *weir))
{
    struct universe u = open_default();
    *weir = (struct weir){.sim = u.sim, .ask = ask_it};
    build(weir, head, routes);
    struct sim_process *server = start(u.here, weir_main, weir);
    struct sim_process *upstream = start(u.there, upstream_main, weir);
    struct sim_process *client = start(u.there, client_main, weir);
    run(&u);
    assert_int_equal(sim_process_end(client).result, 0);
    assert_int_equal(sim_process_end(server).result, 0);
    assert_int_equal(sim_process_unclosed(server), 0);
    assert_int_equal(sim_process_end(upstream).result, 0);
    sim_close(u.sim);
    router_free(weir->router);
    flow_locals_free(weir->locals);
    for (unsigned i = 0; i < weir->flow_count; i++)
        flow_free(weir->flows[i]);
    pools_free(weir->pools);
    upstreams_free(weir->upstreams);
    unconfigure(&weir->c);
}

static inline void with_weir(
    struct weir *weir, const char *routes, int (*ask_it)(struct world *w, struct weir *weir))
{
    with_weir_and(weir, "", routes, ask_it);
}
