/*
 * call.c: a call: its attempts, until one succeeds or none more is of use.
 */
#include "upstream/internal.h"

#include "base/bug.h"
#include "base/log.h"
#include "base/time.h"
#include "wire/field.h"

#include <errno.h>
#include <stdio.h>

/* ---- Calls under way, as many as the upstream can take ---- */

static void show(struct upstream_local *l)
{
    if (!l->cells.inside)
        return;
    gauge_set(l->cells.inside, l->slots.inside);
    gauge_set(l->cells.waiting, l->slots.waiting);
    gauge_set(l->cells.limit, adaptive_limit_now(&l->limit));
}

static void count(struct counter *c)
{
    if (c)
        counter_add(c, 1);
}

static int interrupted(const struct upstream_call *call, int rc, const char *doing, struct error *e)
{
    bool canceled = rc == -ECANCELED;
    return error_set(e, rc, canceled ? "canceled" : "timeout", "%s while %s %s",
        canceled ? "canceled" : "the deadline passed", doing, upstream_title(call->upstream));
}

static int enter(struct upstream_client *c, struct upstream_local *l, struct upstream_call *call,
    struct error *e)
{
    int64_t now = world_now(c->world);
    int rc = concurrency_limit_enter(
        &l->slots, adaptive_limit_now(&l->limit), c->conf->waiting, now, &call->retry_after);
    show(l);
    if (rc == -ETIMEDOUT || rc == -ECANCELED)
        return interrupted(call, rc, "waiting in line for a call to", e);
    if (rc != -ENOBUFS)
        return rc;
    count(l->cells.refused);
    return error_set(e, rc, "overloaded",
        "%u calls to %s are under way and %u wait, which is all that it bears", l->slots.inside,
        upstream_title(call->upstream), l->slots.waiting);
}

static void leave(struct upstream_local *l, int64_t took)
{
    concurrency_limit_leave(&l->slots, adaptive_limit_now(&l->limit), took);
    show(l);
}

/* ---- One attempt ---- */

struct attempt {
    struct upstream_client *client;
    struct upstream_call *call;
    struct upstream_server *server;
    struct arena *arena;
    struct http_response *response;
    struct error *e;
    int64_t took;
    bool tells;   /* the time is a measure of how much the upstream can take */
    bool in_time; /* a timeout was not the caller's deadline */
};

static int call_server(struct attempt *a)
{
    struct http_client_request request = a->call->request;
    int rc = client_origin(a->client, a->server, &request.origin, a->e);
    if (rc)
        return rc;
    return http_call(a->client->http, &request, a->arena, a->response, a->e);
}

static __attribute__((noinline)) int call_in_time(struct attempt *a, int64_t until)
{
    CORO_DEADLINE(until);
    return call_server(a);
}

static bool is_broken_gateway(int status)
{
    return status >= 502 && status <= 504;
}

/* A deadline of the caller's that was shorter than what the server usually takes is no fault of the
 * server: else a client could have servers ejected. */
static bool is_servers_fault(const struct attempt *a)
{
    int64_t usual = adaptive_limit_usual(&a->client->local[a->call->upstream->index].limit);
    return a->in_time || usual == 0 || a->took >= 3 * usual;
}

static enum outcome outcome_of(const struct attempt *a, int rc, int64_t *retry_after)
{
    *retry_after = 0;
    if (rc == -ECANCELED || rc == -ENOMEM || rc == -EINVAL || rc == -EMFILE || rc == -ENFILE)
        return OUTCOME_UNKNOWN;
    if (rc == -ETIMEDOUT)
        return is_servers_fault(a) ? OUTCOME_FAILED : OUTCOME_UNKNOWN;
    if (rc)
        return OUTCOME_FAILED;
    int status = a->response->head->status;
    if (status == 503 || status == 429)
        *retry_after = retry_after_of(a->response->head);
    if (*retry_after > 0)
        return OUTCOME_BUSY;
    return is_broken_gateway(status) ? OUTCOME_FAILED : OUTCOME_GOOD;
}

/* A quick failure says nothing of how much the upstream can take; one that was waited for does, if
 * for as long as the upstream usually takes. */
static bool tells_latency(const struct attempt *a, int rc, int64_t usual)
{
    const struct conf_statuses *expected = a->call->expected;
    if (rc == 0 && (!expected || conf_statuses_have(expected, a->response->head->status)))
        return true;
    return (rc == 0 || rc == -ETIMEDOUT) && usual > 0 && a->took >= usual;
}

static void log_failure(const struct attempt *a, int rc, bool ejected, int64_t now)
{
    const struct log *log = world_log(a->client->world);
    const struct upstream *u = a->call->upstream;
    const struct upstream_server *s = a->server;
    const struct log_field *fields =
        LOG_FIELDS(LOG_TEXT("upstream", upstream_name(u)), LOG_TEXT("server", s->name));
    char why[ERROR_SENTENCE_MAX];
    if (rc == 0)
        snprintf(why, sizeof why, "the reply has status %d", a->response->head->status);
    else
        snprintf(why, sizeof why, "%s", a->e->sentence);
    log_with(log, LOG_DEBUG, fields, "attempt %u of a call of %s failed at %s: %s",
        a->call->attempts, upstream_title(u), s->name, why);
    if (ejected)
        log_with(log, LOG_WARN, fields,
            "server %s of %s is ejected for %.1f s, after %u failed calls in a row; the last: %s",
            s->name, upstream_title(u),
            (double)(atomic_load_explicit(&s->ejected_until, memory_order_relaxed) - now) /
                (double)NS_PER_S,
            atomic_load_explicit(&s->failures, memory_order_relaxed), why);
}

static int attempt(struct attempt *a)
{
    struct upstream_local *l = &a->client->local[a->call->upstream->index];
    struct server_cells *cells = &l->servers[a->server->index];
    int64_t per_try = a->call->upstream->conf->retry.per_try;
    int64_t began = world_now(a->client->world);
    int64_t retry_after;
    server_begin(a->server);
    int rc = per_try ? call_in_time(a, deadline_after(began, per_try)) : call_server(a);
    int64_t now = world_now(a->client->world);
    a->took = now - began;
    a->in_time = rc != -ETIMEDOUT || coro_poll() == 0;
    enum outcome outcome = outcome_of(a, rc, &retry_after);
    bool ejected = server_end(a->server, outcome, a->took, retry_after, now);
    count(cells->calls);
    if (outcome == OUTCOME_FAILED) {
        count(cells->failures);
        log_failure(a, rc, ejected, now);
    }
    a->tells = tells_latency(a, rc, adaptive_limit_usual(&l->limit));
    if (a->tells)
        adaptive_limit_note(&l->limit, now, a->took, l->slots.inside);
    return rc;
}

/* ---- Trying again ---- */

static bool is_idempotent(const struct upstream_call *call)
{
    static const struct span methods[] = {
        SPAN("GET"), SPAN("HEAD"), SPAN("PUT"), SPAN("DELETE"), SPAN("OPTIONS"), SPAN("TRACE")};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (span_equal(call->request.method, methods[i]))
            return true;
    return call->repeatable ||
           http_field_find(call->request.fields, call->request.field_count, "idempotency-key");
}

/* No server has seen anything of the attempt. */
static bool is_unsent(int rc, const struct error *e)
{
    return rc && strcmp(e->type, "connect") == 0;
}

static bool is_worth_it(const struct attempt *a, int rc)
{
    const struct conf_retry *conf = &a->call->upstream->conf->retry;
    if (rc == 0)
        return conf_statuses_have(&conf->statuses, a->response->head->status);
    if (rc == -ECANCELED || rc == -ENOMEM || rc == -EINVAL || rc == -EMSGSIZE)
        return false;
    return a->in_time;
}

/* Sleeps before the nth retry: 0, or there is no time for it. A server that asked for a longer
 * pause by Retry-After was heard: the next attempt is another server's, if there is one. */
static int pause_before(struct attempt *a, unsigned nth, int64_t retry_after)
{
    struct upstream_client *c = a->client;
    const struct upstream *u = a->call->upstream;
    int64_t pause = retry_pause(&u->conf->retry, nth, &c->rand);
    if (nth >= u->server_count && retry_after > pause)
        pause = retry_after;
    int64_t until = deadline_after(world_now(c->world), pause);
    if (until >= coro_deadline())
        return -ETIMEDOUT;
    return pause > 0 ? world_sleep_until(c->world, until) : 0;
}

static bool may_try_again(struct attempt *a, int rc)
{
    const struct upstream *u = a->call->upstream;
    return a->call->attempts < u->conf->retry.attempts && is_worth_it(a, rc) &&
           (is_unsent(rc, a->e) || is_idempotent(a->call));
}

static void choose(struct attempt *a, struct tried *tried)
{
    struct upstream_client *c = a->client;
    struct upstream_call *call = a->call;
    a->server = balance_choose(call->upstream, tried, call->hash, &c->rand, world_now(c->world));
    call->server = a->server->name;
    call->attempts++;
    check(tried->count < TRIED_MAX, "a call has more than %d attempts", TRIED_MAX);
    tried->servers[tried->count++] = a->server->index;
}

/* After an attempt that no server has seen, the next one is no more load than the first: it needs
 * no budget. */
static bool take_budget(struct attempt *a, int rc, bool *taken)
{
    struct upstream *u = a->call->upstream;
    *taken = !is_unsent(rc, a->e);
    if (!*taken || retry_budget_take(u, world_now(a->client->world)))
        return true;
    count(a->client->local[u->index].cells.retries_denied);
    return false;
}

/* One more attempt. Returns false if there is neither budget nor time for it: the outcome stays
 * what it was. */
static bool try_again(struct attempt *a, struct tried *tried, int *rc)
{
    struct upstream *u = a->call->upstream;
    int64_t retry_after = *rc == 0 ? retry_after_of(a->response->head) : 0;
    bool taken;
    if (!take_budget(a, *rc, &taken))
        return false;
    int slept = pause_before(a, a->call->attempts, retry_after);
    if (slept == 0) {
        count(a->client->local[u->index].cells.retries);
        choose(a, tried);
        error_clear(a->e);
        *rc = attempt(a);
    }
    if (taken)
        retry_budget_end(u);
    if (slept == -ECANCELED)
        *rc = interrupted(a->call, slept, "waiting to repeat a call to", a->e);
    return slept == 0;
}

int upstream_call(struct upstream_client *c, struct upstream_call *call, struct arena *arena,
    struct http_response *response, struct error *e)
{
    struct upstream_local *l = &c->local[call->upstream->index];
    struct attempt a = {.client = c, .call = call, .arena = arena, .response = response, .e = e};
    struct tried tried = {.count = 0};
    bool bounded = c->conf->adaptive;
    error_clear(e);
    int rc = bounded ? enter(c, l, call, e) : 0;
    if (rc)
        return rc;
    int64_t began = world_now(c->world);
    retry_budget_earn(call->upstream, began);
    choose(&a, &tried);
    rc = attempt(&a);
    while (may_try_again(&a, rc) && try_again(&a, &tried, &rc))
        ;
    if (bounded)
        leave(l, a.tells ? world_now(c->world) - began : 0); /* with retries and their pauses */
    return rc;
}
