/*
 * node_http.c: calls another server. The value is its reply: status, headers and body.
 *
 * Where a request goes is literal: what comes from a client can fill in segments of the path and
 * parameters of the query, each encoded, and never choose the host, nor climb up in the path.
 */
#include "flow/node_http.h"
#include "flow/url.h"

#include "base/bug.h"
#include "conf/show.h"
#include "conf/type.h"

#include <errno.h>
#include <stdio.h>

static const char *const reserved[] = {"connection", "content-length", "expect", "host",
    "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", NULL};

/* ---- Its configuration ---- */

#define AT(member) .offset = offsetof(struct http_conf, member)
static const struct conf_key call_keys[] = {
    {"url", &conf_type_url, AT(url),
        .description =
            "What to call. Scheme, host and port stand as they are; the rest is a template.",
        .example = "http://127.0.0.1:9001/users/$path.id"},
    {"upstream", &conf_type_name, AT(upstream),
        .description = "In place of `url`: one of `upstreams`, whose servers are called.",
        .example = "taggers"},
    {"path", &conf_type_url, AT(path),
        .description = "Beside `upstream`: path and query, a template.",
        .example = "/users/$path.id"},
    {"hash", &conf_type_template, AT(hash),
        .description =
            "What calls of the same server have in common, if the upstream's `balance` is "
            "`hash`: a template.",
        .example = "$header.x-user"},
    {"method", &conf_type_method, AT(method), .default_words = "GET, or POST with a body",
        .description = "The request's method, in capitals.", .example = "PUT"},
    {"headers", &conf_type_fields, AT(headers),
        .description = "Header fields of the request: templates.",
        .example = "{authorization: 'Bearer ${file:/run/secrets/token}'}"},
    {"body", &conf_type_template, AT(body), .description = "The request's body: a template.",
        .example = "{id: $path.id}"},
    {"expect", &conf_type_statuses, AT(expect), .default_ = "200-299",
        .description = "Which statuses are no failure: a number, a range, or a list of them.",
        .example = "[200, 404]"},
    {"times", &conf_type_count, AT(times), .min = 1, .max = 1000, .default_words = "one call",
        .unit = "calls",
        .description = "So many calls at once. If it is given, the node's value is a list."},
    {"send_deadline", &conf_type_bool, AT(send_deadline),
        .inherits = offsetof(struct config, client.send_deadline),
        .default_words = "`client.send_deadline`",
        .description = "Whether a Weir-Deadline field says how long the answer is waited for.",
        .example = "true"},
};
#undef AT
static const struct conf_section call_section = {"http", "http: a call to another server",
    "The node's value is `{status, headers, body}` of the reply.",
    "the URL alone: `http: \"http://127.0.0.1:9001/users\"`", CONF_KEYS(call_keys),
    .schema = "\"oneOf\":[{\"required\":[\"url\"],\"not\":{\"anyOf\":[{\"required\":[\"path\"]},"
              "{\"required\":[\"upstream\"]}]}},{\"required\":[\"upstream\",\"path\"],"
              "\"not\":{\"required\":[\"url\"]}}]"};

static const struct conf_upstream *find_upstream(
    struct conf_reader *r, const struct conf_node *n, const struct conf_where *where)
{
    const struct conf_node *given = conf_member(n, "upstream");
    struct conf_where here = {.up = where, .name = SPAN("upstream")};
    const char *names[CONF_UPSTREAMS_MAX];
    char hint[CONF_WORD_MAX + 32] = "";
    unsigned count = r->config->upstream_count;
    for (unsigned i = 0; i < count; i++) {
        names[i] = r->config->upstreams[i].name;
        if (span_equal(given->text, span_of(names[i])))
            return &r->config->upstreams[i];
    }
    const char *near = given->secret ? NULL : conf_nearest(given->text, names, count);
    if (near)
        snprintf(hint, sizeof hint, "; did you mean '%s'?", near);
    if (!r->config->partial)
        conf_tell(r, given, &here, "the name of one of 'upstreams'", hint);
    return NULL;
}

/* Without `hash` all calls would go to one server. */
static void check_upstream(
    struct conf_reader *r, const struct conf_node *n, const struct conf_where *where)
{
    const struct conf_upstream *u = find_upstream(r, n, where);
    char place[CONF_WHERE_MAX];
    if (u && u->balance == CONF_BALANCE_HASH && !conf_member(n, "hash"))
        conf_error(r->errors, &n->mark,
            "%s: the key 'hash' is missing, expected one such as 'hash: $header.x-user', since "
            "upstream '%s' has 'balance: hash'",
            conf_where_text(where, place), u->name);
}

/* `url`, or `upstream` and `path`. */
static void check_destination(struct conf_reader *r, const struct conf_node *n,
    const struct conf_where *where, const struct http_conf *http)
{
    char place[CONF_WHERE_MAX];
    bool url = conf_member(n, "url");
    bool upstream = conf_member(n, "upstream");
    bool path = conf_member(n, "path");
    if (!url && !upstream)
        conf_error(r->errors, &n->mark, "%s: found neither 'url' nor 'upstream', expected one",
            conf_where_text(where, place));
    else if (url && (upstream || path))
        conf_error(r->errors, &n->mark,
            "%s: found 'url' and '%s', expected a 'url', or an 'upstream' with a 'path'",
            conf_where_text(where, place), upstream ? "upstream" : "path");
    else if (upstream && !path)
        conf_error(r->errors, &n->mark,
            "%s: the key 'path' is missing beside 'upstream', expected one such as 'path: /users'",
            conf_where_text(where, place));
    else if (http->upstream)
        check_upstream(r, n, where);
}

static int read_http(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at)
{
    struct http_conf *http = at;
    int rc;
    if (n->kind == CONF_SCALAR) {
        rc = conf_read_section(r, &call_section, NULL, where, http);
        if (rc == 0)
            rc = conf_type_url.read(r, key, n, where, &http->url);
    } else if (n->kind == CONF_MAP) {
        rc = conf_read_section(r, &call_section, n, where, http);
        check_destination(r, n, where, http);
    } else {
        conf_tell(r, n, where,
            "a URL such as http://127.0.0.1:9001/users, or a map with 'url' or 'upstream'", "");
        return 0;
    }
    if (rc == 0 && !http->method)
        http->method = conf_new_scalar(r->arena, http->body ? "POST" : "GET", n);
    return rc || http->method ? rc : -ENOMEM;
}

static struct conf_node *show_http(
    struct conf_show *s, const struct conf_key *key, const void *at, const struct conf_node *origin)
{
    return conf_show_section(s, &call_section, at, origin);
}

static int put_http(struct bytes *out, const struct conf_key *key)
{
    return conf_schema_put(
        out, "\"anyOf\":[{\"type\":\"string\",\"minLength\":1},{\"$ref\":\"#/$defs/http\"}]");
}

static const struct conf_type http_type = {
    .words = "URL, or map", .read = read_http, .show = show_http, .schema = put_http};

static const struct conf_key keys[] = {
    {"http", &http_type, .section = &call_section, .description = "Calls another server.",
        .example = "http://127.0.0.1:9001/users/$path.id"},
};
static const struct conf_section *const sections[] = {&call_section, NULL};

/* ---- Compiling ---- */

static size_t before_dollar(struct span text)
{
    const char *dollar = text.len ? memchr(text.ptr, '$', text.len) : NULL;
    return dollar ? (size_t)(dollar - text.ptr) : text.len;
}

static int check_target(struct compiler *c, const struct conf_node *url, const struct template *t)
{
    bool climbs;
    int rc = url_climbs(t, &c->flow->arena, &climbs);
    if (rc == 0 && climbs && !template_is_literal(t))
        compiler_error(c, &url->mark,
            "a segment of the URL's path is '.' or '..'; write the path that is meant");
    for (const struct template_piece *p = t->first; p; p = p->next)
        for (size_t i = 0; i < p->literal.len; i++)
            if (p->literal.ptr[i] <= ' ' || p->literal.ptr[i] > '~' || p->literal.ptr[i] == '#') {
                compiler_error(c, &url->mark,
                    "a URL's bytes are visible ASCII without '#'; encode others as in '%%20'");
                return rc;
            }
    return rc;
}

static int compile_url(struct compiler *c, struct http_node *h, const struct conf_node *url)
{
    struct error e;
    struct span origin;
    struct span target;
    if (url->kind != CONF_SCALAR) {
        compiler_error(c, &url->mark, "a URL is expected here");
        return 0;
    }
    struct span literal = {.ptr = url->text.ptr, .len = before_dollar(url->text)};
    bool refers = literal.len < url->text.len;
    if (http_url_split(literal, &origin, &target, &e)) {
        compiler_error(c, &url->mark, "%s%s",
            url->secret ? "the URL, which is from outside and not shown, is none that can be called"
                        : e.sentence,
            refers ? " (scheme and host must stand before the first '$')" : "");
        return 0;
    }
    bool has_target = target.ptr >= literal.ptr && target.ptr < literal.ptr + literal.len;
    if (!has_target && refers) {
        compiler_error(c, &url->mark,
            "scheme and host must be literal: a '/' is expected before the first '$'");
        return 0;
    }
    const char *copy = arena_copy(&c->flow->arena, origin);
    if (!copy)
        return -ENOMEM;
    h->server = (struct span){.ptr = copy, .len = origin.len};
    if (c->links->upstreams) {
        int rc = upstreams_of_origin(c->links->upstreams, h->server, &h->upstream);
        if (rc)
            return rc;
    }
    if (has_target)
        target.len = (size_t)(url->text.ptr + url->text.len - target.ptr);
    int rc = template_compile_text(&h->target, target, &url->mark, TEMPLATE_URL, &c->site);
    return rc ? rc : check_target(c, url, &h->target);
}

static int compile_path(struct compiler *c, struct http_node *h, const struct http_conf *conf)
{
    const struct conf_node *path = conf->path;
    h->server = span_of(conf->upstream);
    if (c->links->upstreams) {
        h->upstream = upstreams_find(c->links->upstreams, conf->upstream);
        check(h->upstream, "the upstream '%s' was not made", conf->upstream);
        h->server = span_of(upstream_title(h->upstream));
    }
    if (path->kind != CONF_SCALAR || path->text.len == 0 || path->text.ptr[0] != '/') {
        compiler_error(c, &path->mark, "a path is expected here, which begins with '/'");
        return 0;
    }
    int rc = template_compile_text(&h->target, path->text, &path->mark, TEMPLATE_URL, &c->site);
    return rc ? rc : check_target(c, path, &h->target);
}

static void compile_method(struct compiler *c, struct http_node *h, const struct http_conf *conf)
{
    h->method = conf->method ? conf->method->text : (conf->body ? SPAN("POST") : SPAN("GET"));
    if (!http_token_valid(h->method) || before_dollar(h->method) < h->method.len ||
        span_equal(h->method, SPAN("CONNECT")))
        compiler_error(c, &conf->method->mark, "'%.*s' is no method that can be asked with",
            SPAN_ARG(h->method));
}

/* "200-299, 404" */
static int write_expected(struct compiler *c, struct http_node *h, const struct conf_node *expect)
{
    bool list = expect->kind == CONF_LIST;
    struct bytes words;
    bytes_init(&words, 64 * 1024);
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < (list ? expect->count : 1); i++)
        rc = bytes_printf(&words, "%s%.*s", i > 0 ? ", " : "",
            SPAN_ARG(list ? expect->elements[i]->text : expect->text));
    char *copy = rc ? NULL : arena_copy(&c->flow->arena, bytes_span(&words));
    h->expected = (struct span){.ptr = copy, .len = words.len};
    bytes_release(&words);
    return copy ? 0 : -ENOMEM;
}

static void compile(struct compiler *c, struct flow_node *n)
{
    const struct http_conf *conf = n->conf->own;
    struct http_node *h = n->own;
    compiler_note(c, conf->upstream ? compile_path(c, h, conf) : compile_url(c, h, conf->url));
    if (conf->hash)
        compiler_note(c, template_compile(&h->hash, conf->hash, TEMPLATE_JSON, &c->site));
    compile_method(c, h, conf);
    compiler_note(c, write_expected(c, h, conf->expect.as_written));
    compiler_note(c, content_compile(&h->content, conf->headers, conf->body, reserved, &c->site));
    h->gives_id = content_has_field(&h->content, "x-request-id");
    h->says_deadline = conf->send_deadline && !content_has_field(&h->content, "weir-deadline");
}

static int check_in_answer(const struct reference_path *p, unsigned at, struct error *e)
{
    static const char *const parts[] = {"status", "headers", "body", "attempts", "server"};
    if (at == p->count)
        return 0;
    const char *name = p->list[at].name;
    if (!name)
        return reference_wrong(e, p, "an http node's value is no list without 'times'");
    if (strcmp(name, "body") == 0)
        return 0;
    if (strcmp(name, "status") == 0)
        return p->count == at + 1 ? 0
                                  : reference_wrong(e, p, "a status is a number: nothing is in it");
    if (strcmp(name, "attempts") == 0 || strcmp(name, "server") == 0)
        return p->count == at + 1 ? 0 : reference_wrong(e, p, "nothing is in it");
    if (strcmp(name, "headers") == 0) {
        if (p->count > at + 1 && !p->list[at + 1].name)
            return reference_wrong(e, p, "headers are found by name");
        bool cookie = p->count == at + 3 && !p->list[at + 2].name &&
                      strcasecmp(p->list[at + 1].name, "set-cookie") == 0;
        return p->count <= at + 2 || cookie
                   ? 0
                   : reference_wrong(e, p, "a header is text: nothing is in it");
    }
    return reference_unknown(e, p, "an http node's value has no", name, parts,
        sizeof parts / sizeof *parts, "; it has status, headers, body, attempts and server");
}

static int check_reference(
    const struct conf_flow_node *n, const struct reference_path *p, struct error *e)
{
    const struct http_conf *conf = n->own;
    if (conf->times == 0)
        return check_in_answer(p, 2, e);
    if (p->count == 2)
        return 0;
    if (p->list[2].name)
        return error_set(e, -EINVAL, "invalid-reference",
            "%.*s: with 'times' the value is a list; say which: $node.%s[0].%s", SPAN_ARG(p->text),
            n->name, p->list[2].name);
    if (p->list[2].index >= conf->times)
        return error_set(e, -EINVAL, "invalid-reference",
            "%.*s: the list has %u elements, and the first is [0]", SPAN_ARG(p->text), conf->times);
    return check_in_answer(p, 3, e);
}

static void note_reference(struct flow_node *n, const struct reference *r)
{
    const struct http_conf *conf = n->conf->own;
    struct http_node *h = n->own;
    unsigned at = conf->times > 0; /* behind the index */
    bool whole = r->step_count <= at;
    bool body = !whole && r->steps[at].name && strcmp(r->steps[at].name, "body") == 0;
    h->body_used |= whole || body;
    h->body_entered |= body && r->step_count > at + 1;
}

const struct node_kind node_http = {
    .conf = {.keys = keys, .key_count = 1, .size = sizeof(struct http_conf), .sections = sections},
    .size = sizeof(struct http_node),
    .waits = true,
    .compile = compile,
    .check_reference = check_reference,
    .note_reference = note_reference,
    .run = http_node_run,
};
