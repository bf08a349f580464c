/*
 * origin.c: resolves an origin's name, and connects.
 *
 * A name's addresses are used for RESOLVED_NS; one coroutine resolves for all that wait. They are
 * tried in order, the last successful one first; each gets its share of the remaining time, so that
 * one that drops packets does not use it up. If no name server can be reached, the previous
 * addresses are tried.
 */
#include "base/bug.h"
#include "http/connections.h"

#include <errno.h>
#include <stdio.h>

#define RESOLVED_NS (5 * NS_PER_S)

/* ---- Sentences ---- */

const char *http_span_text(int64_t span_ns, char text[HTTP_SPAN_TEXT_MAX])
{
    if (span_ns % NS_PER_S == 0)
        snprintf(text, HTTP_SPAN_TEXT_MAX, "%llds", (long long)(span_ns / NS_PER_S));
    else if (span_ns % NS_PER_MS == 0)
        snprintf(text, HTTP_SPAN_TEXT_MAX, "%lldms", (long long)(span_ns / NS_PER_MS));
    else
        snprintf(text, HTTP_SPAN_TEXT_MAX, "%lldus", (long long)(span_ns / NS_PER_US));
    return text;
}

int http_interrupted(struct http_origin *o, int code, const char *doing, struct error *e)
{
    if (code == -ECANCELED)
        return error_set(e, code, "canceled", "canceled while %s %s", doing, o->endpoint.text);
    stat_add(&o->client->stats->timeouts, 1);
    return error_set(
        e, code, "timeout", "the deadline passed while %s %s", doing, o->endpoint.text);
}

static int cannot_connect(struct http_origin *o, int code, const char *why, struct error *e)
{
    stat_add(&o->client->stats->connect_failures, 1);
    return error_set(e, code, "connect", "cannot connect to %s: %s", o->endpoint.text, why);
}

static int too_slow(struct http_origin *o, struct error *e)
{
    char limit[HTTP_SPAN_TEXT_MAX];
    stat_add(&o->client->stats->connect_failures, 1);
    stat_add(&o->client->stats->timeouts, 1);
    return error_set(e, -ETIMEDOUT, "timeout", "%s did not accept a connection within %s",
        o->endpoint.text, http_span_text(o->client->options.connect_timeout, limit));
}

/* ---- Names ---- */

/* Resolves, and wakes the coroutines that wait for the result. */
static int resolve_now(struct http_origin *o)
{
    struct world *w = o->client->world;
    struct address found[HTTP_ADDRESSES_MAX];
    struct future result;
    future_init(&result);
    o->resolving = &result;
    int rc = world_resolve(w, o->endpoint.host, o->endpoint.port, found, HTTP_ADDRESSES_MAX);
    o->resolving = NULL;
    if (rc == -EAGAIN && o->address_count > 0)
        rc = o->address_count; /* the previous ones */
    else if (rc > 0)
        memcpy(o->addresses, found, (size_t)rc * sizeof found[0]);
    if (rc > 0) {
        if (rc != o->address_count)
            o->preferred = 0;
        o->address_count = rc;
        o->resolved_until = deadline_after(world_now(w), RESOLVED_NS);
        rc = 0;
    }
    future_set(&result, rc);
    return rc;
}

/* Returns true if the resolving coroutine was interrupted: then the name may still be good. */
static bool was_interrupted(int rc)
{
    return rc == -ECANCELED || rc == -ETIMEDOUT;
}

static int resolve(struct http_origin *o)
{
    while (o->resolved_until <= world_now(o->client->world)) {
        if (!o->resolving)
            return resolve_now(o);
        int rc = future_wait(o->resolving);
        if (rc && (!was_interrupted(rc) || coro_poll()))
            return rc;
    }
    return 0;
}

/* ---- Connecting ---- */

static int connect_within(
    struct world *w, const struct address *to, int64_t until, struct stream **out)
{
    CORO_DEADLINE(until);
    return world_connect(w, to, out);
}

/* Whether another address may fare better. */
static bool is_hopeless(int rc)
{
    return rc == -ECANCELED || rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE;
}

static int try_all(struct http_origin *o, int64_t until, struct stream **out)
{
    struct world *w = o->client->world;
    struct address all[HTTP_ADDRESSES_MAX]; /* the origin's may be others while we wait */
    int count = o->address_count;
    int first = o->preferred;
    memcpy(all, o->addresses, (size_t)count * sizeof all[0]);
    int rc = -ENOENT;
    for (int i = 0; i < count; i++) {
        int64_t now = world_now(w);
        int64_t share = until == DEADLINE_NEVER ? until : (until - now) / (count - i);
        int at = (first + i) % count;
        rc = connect_within(w, &all[at], deadline_after(now, share), out);
        if (rc == 0)
            o->preferred = at < o->address_count ? at : 0;
        if (rc == 0 || is_hopeless(rc) || coro_poll())
            break;
    }
    return rc;
}

static int resolve_and_try(
    struct http_origin *o, int64_t until, const char **why, struct stream **out)
{
    CORO_DEADLINE(until);
    int rc = 0;
    if (o->endpoint.host[0]) {
        rc = resolve(o);
        *why = rc == -ENOENT ? "there is no host of this name" : "its name cannot be resolved now";
        if (rc)
            return rc;
    }
    rc = try_all(o, until < coro_deadline() ? until : coro_deadline(), out);
    *why = error_text(rc);
    return rc;
}

int origin_connect(struct http_origin *o, struct stream **out, struct error *e)
{
    struct http_client *c = o->client;
    struct http_limit limit = http_limit_from(world_now(c->world), c->options.connect_timeout);
    const char *why = "";
    stat_add(&c->stats->connects, 1);
    int rc = resolve_and_try(o, limit.until, &why, out);
    if (rc == 0)
        return 0;
    if (rc == -ECANCELED || (rc == -ETIMEDOUT && !limit.own))
        return http_interrupted(o, rc, "connecting to", e);
    if (rc == -ETIMEDOUT)
        return too_slow(o, e);
    return cannot_connect(o, rc, why, e);
}
