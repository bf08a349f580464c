/*
 * body.c: a request's body, read and checked: JSON, of a type that says so, in no content coding,
 * without two members of one name.
 */
#include "flow/internal.h"

#include "base/limits.h"
#include "base/rand.h"
#include "base/utf8.h"

#include <errno.h>
#include <stdio.h>

/* How much of a stranger's key stands in a sentence. */
#define KEY_SHOWN 64

/* The route's deadline, while the body comes, is the client's fault as much as the body's own. */
static __attribute__((noinline)) int body_too_slow(struct run *run, int rc)
{
    char sentence[ERROR_SENTENCE_MAX];
    if (coro_poll() == 0)
        return run_refuse(run, 408, rc, "request-timeout", "the request's body came too slowly");
    snprintf(sentence, sizeof sentence,
        "the request's body did not come within the %s deadline of %lld ms",
        run->client_deadline ? "caller's" : "route's", (long long)(run->allowed_ns / NS_PER_MS));
    return run_refuse(run, 408, rc, "request-timeout", sentence);
}

static int body_failed(struct run *run, int rc)
{
    switch (rc) {
    case -ECANCELED:
    case -ECONNRESET:
        return -ECANCELED;
    case -EMSGSIZE:
        return run_refuse(run, 413, rc, "content-too-large", "the request's body is too large");
    case -EBADMSG:
        return run_refuse(run, 400, rc, "bad-request", "the request's body is malformed");
    case -ENODATA:
        return run_refuse(
            run, 400, rc, "bad-request", "the request's body ended before it was complete");
    case -ETIMEDOUT:
        return body_too_slow(run, rc);
    case -ENOBUFS:
        run->retry_after = NS_PER_S;
        return run_refuse(run, 503, rc, "overloaded",
            "there is no memory for the request's body now: others have all of limits.bodies");
    default:
        return rc;
    }
}

/* Two members of one name mean one thing to those who take the first, and another to those who take
 * the last: neither can be passed on as checked. */
static int refuse_twins(struct run *run, const struct json *doc, struct error *e)
{
    const struct flow_context *c = run->context;
    uint64_t seed[2];
    struct span name;
    if (c->rand)
        rand_fill(c->rand, seed, sizeof seed);
    else
        world_random(c->world, seed, sizeof seed);
    int rc = json_twins(doc, seed, &name);
    if (rc <= 0)
        return rc ? error_set(e, rc, "out-of-memory", "no memory to check the request's body") : 0;
    name.len = utf8_cut(name.ptr, name.len, KEY_SHOWN);
    return error_set(e, -EINVAL, "duplicate-key",
        "the request's body has an object with the key '%.*s' twice", SPAN_ARG(name));
}

static __attribute__((noinline)) int parse_body(struct run *run, struct span text)
{
    struct error e;
    struct json *doc = NULL;
    int rc = json_parse(&doc, text, JSON_TEXT_MAX, &e);
    if (rc && rc != -ENOMEM)
        error_prefix(&e, "the request's body is no JSON");
    if (rc == -EMSGSIZE) /* too deep: a body that is too large would not have come so far */
        e.code = -EINVAL;
    if (rc == 0)
        rc = refuse_twins(run, doc, &e);
    if (rc) {
        json_free(doc);
        run->failure = run_keep(run, &e);
        return rc;
    }
    run->data.body = (struct value){.kind = VALUE_RAW, .text = text};
    if (run->flow->body_entered)
        run->data.body.doc = doc;
    else
        json_free(doc);
    return 0;
}

/* RFC 9110, 12.5.3: what a request's body may be encoded with. */
static const struct http_field only_identity = {
    .name = {.ptr = "Accept-Encoding", .len = 15}, .value = {.ptr = "identity", .len = 8}};

int run_read_body(struct run *run)
{
    struct http_request *r = run->request;
    const struct http_field *type =
        http_field_find(r->head->fields, r->head->field_count, "content-type");
    if (r->head->framing == HTTP1_NO_BODY)
        return 0;
    if (type && !media_is_json(type->value))
        return run_refuse(run, 415, -EINVAL, "unsupported-media-type",
            "the request's body must be JSON: application/json, or a type that ends in +json");
    if (http_content_coding(r->head->fields, r->head->field_count).ptr) {
        run->refusal_field = &only_identity;
        return run_refuse(run, 415, -EINVAL, "unsupported-media-type",
            "the request's body has a Content-Encoding; send it without one");
    }
    struct span text;
    if (r->body_max > JSON_TEXT_MAX) /* nobody could read it */
        r->body_max = JSON_TEXT_MAX;
    int rc = http_request_body(r, &text);
    if (rc)
        return body_failed(run, rc);
    return text.len > 0 ? parse_body(run, text) : 0;
}
