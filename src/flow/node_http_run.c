/*
 * node_http_run.c: a call of an `http` node: the request is made, an upstream answers it.
 */
#include "flow/node_http.h"

#include "base/siphash.h"
#include "wire/problem.h"

#include <errno.h>

/* ---- Asking ---- */

struct asking {
    struct http_client_request ask;
    uint64_t hash;
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

/* The same text gives the same server, also in another process. */
static int make_hash(struct run *run, const struct http_node *h, struct asking *a, struct error *e)
{
    static const uint64_t key[2] = {UINT64_C(0x77656972), UINT64_C(0x68617368)};
    struct bytes text;
    if (!h->hash.first)
        return 0;
    bytes_init(&text, TEMPLATE_TEXT_MAX);
    int rc = template_render(&h->hash, &run->data, &text, e);
    a->hash = siphash(key, bytes_span(&text));
    bytes_release(&text);
    return rc;
}

static int make_ask(struct run *run, const struct flow_node *n, struct asking *a, struct error *e)
{
    const struct http_node *h = n->own;
    int rc = make_target(run, n, a, e);
    if (rc == 0)
        rc = make_hash(run, h, a, e);
    if (rc == 0)
        rc = content_render(&h->content, !h->gives_id + 1, &run->data, &a->parts, e);
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
    a->ask.method = h->method;
    a->ask.fields = a->parts.fields;
    a->ask.field_count = count;
    a->ask.body = a->parts.body;
    a->ask.send_deadline = h->says_deadline;
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
            "%.*s could not answer within the time that it was given", SPAN_ARG(h->server));
    const char *title = problem_title(head->status);
    return error_set(e, -EPROTO, "upstream-status", "%.*s answered with %d%s%s; expected was %.*s",
        SPAN_ARG(h->server), head->status, *title ? " " : "", title, SPAN_ARG(h->expected));
}

static int check_body(struct run *run, const struct flow_node *n, struct answer *a, struct error *e)
{
    struct span coding = http_content_coding(a->head->fields, a->head->field_count);
    if (coding.ptr && http_of(n)->body_used)
        return error_set(e, -EPROTO, "upstream-encoding",
            "%.*s answered with a body in the content coding '%.*s', which is not decoded here",
            SPAN_ARG(http_of(n)->server), SPAN_ARG(coding));
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
            SPAN_ARG(http_of(n)->server), why.sentence);
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

/* ---- A call ---- */

static __attribute__((noinline)) int call_upstream(struct run *run, const struct flow_node *n,
    const struct asking *a, struct answer *out, struct error *e)
{
    struct http_response response;
    const struct http_conf *conf = n->conf->own;
    struct node_state *s = &run->nodes[n->index];
    struct upstream_call call = {
        .upstream = http_of(n)->upstream,
        .request = a->ask,
        .repeatable = run->flow->route->retry == CONF_RETRY_SAFE,
        .hash = a->hash,
        .expected = &conf->expect,
    };
    int rc = upstream_call(run->context->upstreams, &call, run->data.arena, &response, e);
    if (rc == 0)
        *out = (struct answer){.head = response.head,
            .body = response.body,
            .attempts = call.attempts,
            .server = call.server};
    if (rc == -ENOBUFS) {
        s->status = 503;
        s->retry_after = call.retry_after > 0 ? call.retry_after : 1;
    }
    return rc;
}

static __attribute__((noinline)) int call(struct run *run, const struct flow_node *n,
    const struct asking *a, struct answer *out, struct error *e)
{
    int rc = call_upstream(run, n, a, out, e);
    if (rc)
        return failed(rc, e);
    rc = check_status(n, out->head, e);
    return rc ? rc : check_body(run, n, out, e);
}

/* ---- Several at once ---- */

struct one_of_many {
    struct run *run;
    const struct flow_node *node;
    const struct asking *asking;
    struct answer *answer;
    const struct error **why; /* the first failure's; shared */
};

static int ask_one(void *arg)
{
    const struct one_of_many *one = arg;
    struct error e;
    int rc = call(one->run, one->node, one->asking, one->answer, &e);
    if (rc && rc != -ECANCELED && e.code && !*one->why)
        *one->why = run_keep(one->run, &e);
    return rc;
}

static int ask_all(struct run *run, const struct flow_node *n, const struct asking *a,
    struct value *out, const struct error **why)
{
    struct one_of_many *list = arena_alloc(run->data.arena, out->count * sizeof *list);
    if (!list)
        return -ENOMEM;
    GROUP(all, GROUP_FAIL_FAST);
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < out->count; i++) {
        list[i] = (struct one_of_many){
            .run = run, .node = n, .asking = a, .answer = &out->answers[i], .why = why};
        rc = group_spawn(&all, n->conf->name, ask_one, &list[i]);
    }
    return rc ? rc : group_wait(&all);
}

/* ---- Running ---- */

static int ask_as_told(struct run *run, const struct flow_node *n, const struct asking *a,
    struct value *out, const struct error **why)
{
    if (out->count > 1)
        return ask_all(run, n, a, out, why);
    struct error e;
    int rc = call(run, n, a, &out->answers[0], &e);
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

int http_node_run(
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
        rc = ask_as_told(run, n, &a, out, why);
    content_parts_release(&a.parts);
    bytes_release(&a.target);
    return rc;
}
