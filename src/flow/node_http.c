/*
 * node_http.c: calls another server. The value is its answer: status, headers and body.
 *
 * Where a request goes is literal: what comes from a client can fill in segments of the path and
 * parameters of the query, each encoded, and never choose the host, nor climb up in the path.
 */
#include "flow/internal.h"
#include "flow/url.h"

#include "conf/show.h"
#include "conf/type.h"
#include "wire/deadline.h"
#include "wire/problem.h"

#include <errno.h>

static const char *const reserved[] = {"connection", "content-length", "expect", "host",
    "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", NULL};

/* ---- Its configuration ---- */

struct http_conf {                   /* http: {url: ..., method: GET, headers: {...}, times: 1} */
    const struct conf_node *url;     /* a template in text: scheme and authority must be literal */
    const struct conf_node *method;  /* literal; GET, or POST with a body */
    const struct conf_node *headers; /* a map of templates, or NULL */
    const struct conf_node *body;    /* a template, or NULL */
    struct conf_statuses expect;     /* statuses that are no failure */
    unsigned times;                  /* calls at once: the value is a list. 0: one, no list */
    bool send_deadline;              /* says how long the answer is waited for */
};

#define AT(member) .offset = offsetof(struct http_conf, member)
static const struct conf_key call_keys[] = {
    {"url", &conf_type_url, .required = true, AT(url),
        .description =
            "What to call. Scheme, host and port stand as they are; the rest is a template.",
        .example = "http://127.0.0.1:9001/users/$path.id"},
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
    "the URL alone: `http: \"http://127.0.0.1:9001/users\"`", CONF_KEYS(call_keys)};

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
    } else {
        conf_tell(
            r, n, where, "a URL such as http://127.0.0.1:9001/users, or a map with 'url'", "");
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

struct http_node {
    struct span origin;
    struct template target;
    struct span method;
    struct content content;
    struct span expected; /* "200-299", for sentences */
    bool gives_id;        /* X-Request-Id is among the fields */
    bool says_deadline;   /* Weir-Deadline is to be sent */
    bool body_used;    /* some template refers to the body: it must be JSON if its type says so */
    bool body_entered; /* some template looks into the body */
};

static const struct http_node *http_of(const struct flow_node *n)
{
    return n->own;
}

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
    h->origin = (struct span){.ptr = copy, .len = origin.len};
    if (has_target)
        target.len = (size_t)(url->text.ptr + url->text.len - target.ptr);
    int rc = template_compile_text(&h->target, target, &url->mark, TEMPLATE_URL, &c->site);
    return rc ? rc : check_target(c, url, &h->target);
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
    compiler_note(c, compile_url(c, h, conf->url));
    compile_method(c, h, conf);
    compiler_note(c, write_expected(c, h, conf->expect.as_written));
    compiler_note(c, content_compile(&h->content, conf->headers, conf->body, reserved, &c->site));
    h->gives_id = content_has_field(&h->content, "x-request-id");
    h->says_deadline = conf->send_deadline && !content_has_field(&h->content, "weir-deadline");
}

static int check_in_answer(const struct reference_path *p, unsigned at, struct error *e)
{
    static const char *const parts[] = {"status", "headers", "body"};
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
        sizeof parts / sizeof *parts, "; it has status, headers and body");
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

/* ---- Asking ---- */

struct asking {
    struct http_client_request ask;
    struct content_parts parts;
    struct bytes target;
};

static int make_target(
    struct run *run, const struct flow_node *n, struct asking *a, struct error *e)
{
    const struct template *t = &http_of(n)->target;
    if (template_is_literal(t)) {
        a->ask.target = t->first->literal;
        return 0;
    }
    int rc = template_render(t, &run->data, &a->target, e);
    a->ask.target = bytes_span(&a->target);
    return rc;
}

static int make_ask(struct run *run, const struct flow_node *n, struct asking *a, struct error *e)
{
    const struct http_node *h = n->own;
    int rc = http_client_origin(run->context->client, h->origin, &a->ask.origin, e);
    if (rc == 0)
        rc = make_target(run, n, a, e);
    if (rc == 0)
        rc = content_render(
            &h->content, !h->gives_id + 1 + (unsigned)h->says_deadline, &run->data, &a->parts, e);
    if (rc)
        return rc;
    unsigned count = a->parts.field_count;
    /* content_render made room for them, in memory that is the run's. */
    struct http_field *fields = (struct http_field *)(uintptr_t)a->parts.fields;
    if (!h->gives_id)
        fields[count++] = (struct http_field){.name = SPAN("X-Request-Id"), .value = run->data.id};
    if (!http_field_find(fields, count, "accept-encoding")) /* nothing here decodes */
        fields[count++] =
            (struct http_field){.name = SPAN("Accept-Encoding"), .value = SPAN("identity")};
    if (h->says_deadline) /* last, for say_deadline */
        fields[count++] = (struct http_field){.name = SPAN(DEADLINE_FIELD), .value = SPAN("0")};
    a->ask.method = h->method;
    a->ask.fields = a->parts.fields;
    a->ask.field_count = count;
    a->ask.body = a->parts.body;
    return 0;
}

/* ---- The answer ---- */

static bool is_expected(const struct flow_node *n, int status)
{
    const struct http_conf *conf = n->conf->own;
    return conf_statuses_have(&conf->expect, status);
}

static int check_status(const struct flow_node *n, const struct http1_head *head, struct error *e)
{
    const struct http_node *h = n->own;
    if (is_expected(n, head->status))
        return 0;
    /* It was told how long, and may well notice a moment before this side does. */
    if ((head->status == 504 || head->status == 408) && h->says_deadline)
        return error_set(e, -ETIMEDOUT, "upstream-timeout",
            "%.*s could not answer within the time that it was given", SPAN_ARG(h->origin));
    const char *title = problem_title(head->status);
    return error_set(e, -EPROTO, "upstream-status", "%.*s answered with %d%s%s; expected was %.*s",
        SPAN_ARG(h->origin), head->status, *title ? " " : "", title, SPAN_ARG(h->expected));
}

static int check_body(struct run *run, const struct flow_node *n, struct answer *a, struct error *e)
{
    struct span coding = http_content_coding(a->head->fields, a->head->field_count);
    if (coding.ptr && http_of(n)->body_used)
        return error_set(e, -EPROTO, "upstream-encoding",
            "%.*s answered with a body in the content coding '%.*s', which is not decoded here",
            SPAN_ARG(http_of(n)->origin), SPAN_ARG(coding));
    const struct http_field *type =
        http_field_find(a->head->fields, a->head->field_count, "content-type");
    a->is_json = type && media_is_json(type->value);
    if (!a->is_json || !http_of(n)->body_used)
        return 0;
    struct error why;
    int rc = json_parse(&a->doc, a->body, JSON_TEXT_MAX, &why);
    if (rc == -ENOMEM)
        return error_set(e, rc, why.type, "%s", why.sentence);
    if (rc) {
        a->doc = NULL;
        return error_set(e, -EPROTO, "upstream-json",
            "%.*s answered with what is no JSON, although its type says so: %s",
            SPAN_ARG(http_of(n)->origin), why.sentence);
    }
    if (!http_of(n)->body_entered) {
        json_free(a->doc); /* it was only to be seen whether it is JSON */
        a->doc = NULL;
    }
    return 0;
}

/* What the client says, in the words of who asked. */
static int failed(int rc, struct error *e)
{
    if (rc == -ECANCELED || rc == -ENOMEM || rc == -ENOBUFS)
        return rc;
    if (rc != -ETIMEDOUT)
        return error_set(e, -EPROTO, "upstream-failed", "%s", e->sentence);
    if (coro_poll()) { /* this node's deadline, or the route's: said by who set it */
        error_clear(e);
        return rc;
    }
    return error_set(e, rc, "upstream-timeout", "%s", e->sentence);
}

/* ---- Calls under way, as many as the upstream bears ---- */

static struct calls_local *local_of(const struct run *run, const struct flow_node *n)
{
    const struct flow_locals *l = run->context->locals;
    return l ? l->flows[run->flow->route->index].calls[n->index] : NULL;
}

static int enter(struct run *run, const struct flow_node *n, struct calls_local *l, struct error *e)
{
    struct node_state *s = &run->nodes[n->index];
    int64_t retry_after;
    int64_t now = world_now(run->context->world);
    int rc = concurrency_limit_enter(
        &l->slots, adaptive_limit_now(&l->limit), l->waiting_max, now, &retry_after);
    limit_show(&l->slots, &l->cells);
    if (rc != -ENOBUFS)
        return rc;
    if (l->cells.refused)
        counter_add(l->cells.refused, 1);
    s->status = 503;
    s->retry_after = retry_after > 0 ? retry_after : 1;
    return error_set(e, rc, "overloaded",
        "%u calls to %.*s are under way and %u wait, which is all that it bears", l->slots.inside,
        SPAN_ARG(http_of(n)->origin), l->slots.waiting);
}

static void leave(struct calls_local *l, int64_t now, int64_t took, bool tells)
{
    if (tells)
        adaptive_limit_note(&l->limit, now, took, l->slots.inside);
    concurrency_limit_leave(&l->slots, adaptive_limit_now(&l->limit), tells ? took : 0);
    limit_show(&l->slots, &l->cells);
    if (l->cells.limit)
        gauge_set(l->cells.limit, adaptive_limit_now(&l->limit));
}

/* The time that is left now. Calls that run at once share the field; but between this and the
 * writing of the head, at the call's beginning, nobody waits. */
static void say_deadline(
    struct run *run, const struct http_client_request *ask, char text[DEADLINE_TEXT_MAX])
{
    struct http_field *last = (struct http_field *)(uintptr_t)&ask->fields[ask->field_count - 1];
    int64_t until = coro_deadline();
    int64_t now = world_now(run->context->world);
    last->value = deadline_write(text, until == DEADLINE_NEVER ? until : until - now);
}

/* A quick failure, whoever is to blame, says nothing of how much the upstream bears; one that was
 * waited for does, if for as long as it usually takes. */
static bool tells_latency(const struct flow_node *n, int64_t took, int64_t usual, int rc,
    const struct http_response *answer)
{
    if (rc == 0)
        return is_expected(n, answer->head->status) || (usual > 0 && took >= usual);
    return rc == -ETIMEDOUT && took >= usual;
}

static __attribute__((noinline)) int call_upstream(struct run *run, const struct flow_node *n,
    const struct http_client_request *ask, struct http_response *answer, struct error *e)
{
    char text[DEADLINE_TEXT_MAX];
    if (http_of(n)->says_deadline)
        say_deadline(run, ask, text);
    struct calls_local *l = local_of(run, n);
    int64_t began = l ? world_now(run->context->world) : 0;
    int rc = http_call(run->context->client, ask, run->data.arena, answer, e);
    if (!l)
        return rc;
    int64_t now = world_now(run->context->world);
    int64_t took = now - began;
    leave(l, now, took, tells_latency(n, took, adaptive_limit_usual(&l->limit), rc, answer));
    return rc;
}

static __attribute__((noinline)) int call(struct run *run, const struct flow_node *n,
    const struct http_client_request *ask, struct answer *out, struct error *e)
{
    struct http_response answer;
    struct calls_local *l = local_of(run, n);
    error_clear(e);
    int rc = l ? enter(run, n, l, e) : 0;
    if (rc)
        return rc;
    rc = call_upstream(run, n, ask, &answer, e);
    if (rc)
        return failed(rc, e);
    out->head = answer.head;
    out->body = answer.body;
    rc = check_status(n, answer.head, e);
    return rc ? rc : check_body(run, n, out, e);
}

/* ---- Several at once ---- */

struct one_of_many {
    struct run *run;
    const struct flow_node *node;
    const struct http_client_request *ask;
    struct answer *answer;
    const struct error **why; /* the first failure's; shared */
};

static int ask_one(void *arg)
{
    const struct one_of_many *one = arg;
    struct error e;
    int rc = call(one->run, one->node, one->ask, one->answer, &e);
    if (rc && rc != -ECANCELED && e.code && !*one->why)
        *one->why = run_keep(one->run, &e);
    return rc;
}

static int ask_all(struct run *run, const struct flow_node *n,
    const struct http_client_request *ask, struct value *out, const struct error **why)
{
    struct one_of_many *list = arena_alloc(run->data.arena, out->count * sizeof *list);
    if (!list)
        return -ENOMEM;
    GROUP(all, GROUP_FAIL_FAST);
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < out->count; i++) {
        list[i] = (struct one_of_many){
            .run = run, .node = n, .ask = ask, .answer = &out->answers[i], .why = why};
        rc = group_spawn(&all, n->conf->name, ask_one, &list[i]);
    }
    return rc ? rc : group_wait(&all);
}

/* ---- Running ---- */

static int ask_as_told(struct run *run, const struct flow_node *n,
    const struct http_client_request *ask, struct value *out, const struct error **why)
{
    if (out->count > 1)
        return ask_all(run, n, ask, out, why);
    struct error e;
    int rc = call(run, n, ask, &out->answers[0], &e);
    if (rc && e.code)
        *why = run_keep(run, &e);
    return rc;
}

/* A frame of its own, which is gone while the call waits. */
static __attribute__((noinline)) int prepare(
    struct run *run, const struct flow_node *n, struct asking *a, const struct error **why)
{
    struct error e;
    int rc = make_ask(run, n, a, &e);
    if (rc)
        *why = run_keep(run, &e);
    return rc;
}

static int run_http(
    struct run *run, const struct flow_node *n, struct value *out, const struct error **why)
{
    const struct http_conf *conf = n->conf->own;
    bool list = conf->times > 0;
    unsigned count = list ? conf->times : 1;
    struct answer *answers = arena_zalloc(run->data.arena, count * sizeof *answers);
    if (!answers)
        return -ENOMEM;
    *out = (struct value){.kind = list ? VALUE_ANSWERS : VALUE_ANSWER,
        .document = true,
        .count = count,
        .answers = answers};
    struct asking a = {0};
    bytes_init(&a.target, TEMPLATE_TEXT_MAX);
    int rc = prepare(run, n, &a, why);
    if (rc == 0)
        rc = ask_as_told(run, n, &a.ask, out, why);
    content_parts_release(&a.parts);
    bytes_release(&a.target);
    return rc;
}

const struct node_kind node_http = {
    .conf = {.keys = keys, .key_count = 1, .size = sizeof(struct http_conf), .sections = sections},
    .size = sizeof(struct http_node),
    .waits = true,
    .limited = true,
    .compile = compile,
    .check_reference = check_reference,
    .note_reference = note_reference,
    .run = run_http,
};
