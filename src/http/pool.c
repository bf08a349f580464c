/*
 * pool.c: see pool.h.
 *
 * Idle connections have no coroutine that watches them: one would cost each of them a stack, and
 * each call two switches, to learn early what the call would learn anyway. Those whose time has
 * come are closed a few at a time by every call, and by http_client_sweep for clients without
 * calls.
 */
#include "http/pool.h"

#include "base/bug.h"
#include "base/mem.h"

#include <errno.h>
#include <limits.h>

/* A call closes at most so many idle connections of others. */
#define SWEEP_MAX 4

/* ---- Places ---- */

struct waiter {
    struct list link; /* in origin.waiters, while it stands on the waiting coroutine's stack */
    struct coro *coro;
};

int pool_enter(struct http_origin *o, struct error *e)
{
    struct http_client *c = o->client;
    if (o->in_use >= c->options.in_use_max || !list_empty(&o->waiters)) {
        struct waiter self = {.coro = coro_self()};
        list_push_back(&o->waiters, &self.link);
        int rc = coro_park("connection");
        list_del(&self.link);
        /* With 0 the place of who left is ours. */
        return rc ? http_interrupted(o, rc, "waiting in line for a connection to", e) : 0;
    }
    o->in_use++;
    count_up(&c->stats->in_use, 1);
    return 0;
}

void pool_leave(struct http_origin *o)
{
    struct list *link;
    while ((link = list_pop_front(&o->waiters)))
        if (coro_wake(list_entry(link, struct waiter, link)->coro, 0))
            return;
    o->in_use--;
    count_down(&o->client->stats->in_use);
}

/* ---- Kept connections ---- */

static void unkeep(struct http_link *link)
{
    list_del(&link->kept);
    list_del(&link->age);
    link->origin->kept_count--;
    count_down(&link->origin->client->stats->idle);
}

void pool_drop(struct http_link *link)
{
    stream_close(link->stream);
    mem_free(link);
}

void pool_forget(struct http_link *link)
{
    unkeep(link);
    pool_drop(link);
}

static bool is_old(const struct http_link *link, int64_t now)
{
    return deadline_after(link->idle_since, link->origin->client->options.idle_timeout) <= now;
}

static void sweep(struct http_client *c, int64_t now, unsigned max)
{
    for (; max > 0 && !list_empty(&c->ages); max--) {
        struct http_link *oldest = list_first(&c->ages, struct http_link, age);
        if (!is_old(oldest, now))
            return;
        pool_forget(oldest);
    }
}

int64_t http_client_sweep(struct http_client *c)
{
    sweep(c, world_now(c->world), UINT_MAX);
    if (list_empty(&c->ages))
        return DEADLINE_NEVER;
    const struct http_link *oldest = list_first(&c->ages, struct http_link, age);
    return deadline_after(oldest->idle_since, c->options.idle_timeout);
}

struct http_link *pool_take(struct http_origin *o)
{
    if (list_empty(&o->kept))
        return NULL;
    int64_t now = world_now(o->client->world);
    while (!list_empty(&o->kept)) {
        struct http_link *link = list_first(&o->kept, struct http_link, kept);
        if (is_old(link, now) || !stream_quiet(link->stream)) {
            pool_forget(link);
            continue;
        }
        unkeep(link);
        count_up(&o->client->stats->reuses, 1);
        return link;
    }
    return NULL;
}

void pool_keep(struct http_link *link)
{
    struct http_origin *o = link->origin;
    struct http_client *c = o->client;
    if (c->options.idle_max == 0) {
        pool_drop(link);
        return;
    }
    if (o->kept_count >= c->options.idle_max)
        pool_forget(list_entry(o->kept.prev, struct http_link, kept));
    link->idle_since = world_now(c->world);
    list_push_front(&o->kept, &link->kept);
    list_push_back(&c->ages, &link->age);
    o->kept_count++;
    count_up(&c->stats->idle, 1);
    sweep(c, link->idle_since, SWEEP_MAX);
}

int pool_open(struct http_origin *o, struct http_link **out, struct error *e)
{
    struct http_link *link = mem_zalloc(sizeof *link);
    if (!link)
        return error_set(
            e, -ENOMEM, "memory", "out of memory for a connection to %s", o->place.text);
    link->origin = o;
    list_init(&link->kept);
    list_init(&link->age);
    int rc = origin_connect(o, &link->stream, e);
    if (rc) {
        mem_free(link);
        return rc;
    }
    *out = link;
    return 0;
}
