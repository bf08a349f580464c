/*
 * client.c: an I/O thread's part of all upstreams.
 */
#include "upstream/internal.h"

#include "base/bug.h"
#include "base/mem.h"

#include <errno.h>

#define CALLS_MOST 1000000 /* where client.in_use is no limit */

static void take_limit_cells(struct limit_cells *cells, const struct upstream_series *s, unsigned t)
{
    *cells = (struct limit_cells){.inside = meter_gauge(s->inside, t),
        .waiting = meter_gauge(s->waiting, t),
        .limit = meter_gauge(s->limit, t),
        .refused = meter_counter(s->refused, t),
        .retries = meter_counter(s->retries, t),
        .retries_denied = meter_counter(s->retries_denied, t)};
}

static void take_cells(struct upstream_local *local, const struct upstream *u, unsigned thread)
{
    take_limit_cells(&local->cells, &u->series, thread);
    gauge_set(local->cells.limit, adaptive_limit_now(&local->limit));
    for (unsigned i = 0; i < u->server_count; i++) {
        local->servers[i].calls = meter_counter(u->servers[i].series.calls, thread);
        local->servers[i].failures = meter_counter(u->servers[i].series.failures, thread);
    }
}

static void prepare(struct upstream_client *c, unsigned thread)
{
    struct server_cells *servers = c->servers;
    for (unsigned i = 0; i < c->all->count; i++) {
        const struct upstream *u = c->all->list[i];
        struct upstream_local *local = &c->local[i];
        uint64_t most = (uint64_t)c->conf->in_use * u->server_count;
        concurrency_limit_init(&local->slots);
        adaptive_limit_init(&local->limit, most && most < CALLS_MOST ? (unsigned)most : CALLS_MOST);
        local->servers = servers;
        servers += u->server_count;
        if (c->all->registered)
            take_cells(local, u, thread);
    }
}

int upstream_client_new(struct upstream_client **out, const struct upstreams *all,
    struct http_client *http, struct world *world, unsigned thread)
{
    unsigned servers = 0;
    uint64_t seed;
    for (unsigned i = 0; i < all->count; i++)
        servers += all->list[i]->server_count;
    struct upstream_client *c = mem_zalloc(sizeof *c);
    if (!c)
        return -ENOMEM;
    c->all = all;
    c->http = http;
    c->world = world;
    c->conf = &all->config->client;
    world_random(world, &seed, sizeof seed);
    rand_init(&c->rand, seed);
    c->local = mem_zalloc((all->count + 1) * sizeof *c->local);
    c->servers = mem_zalloc((servers + 1) * sizeof *c->servers);
    if (!c->local || !c->servers) {
        upstream_client_free(c);
        return -ENOMEM;
    }
    prepare(c, thread);
    *out = c;
    return 0;
}

void upstream_client_free(struct upstream_client *c)
{
    if (!c)
        return;
    for (unsigned i = 0; c->local && i < c->all->count; i++)
        check(c->local[i].slots.inside == 0, "calls of '%s' are under way",
            upstream_name(c->all->list[i]));
    mem_free(c->local);
    mem_free(c->servers);
    mem_free(c);
}

int client_origin(struct upstream_client *c, const struct upstream_server *s,
    struct http_origin **out, struct error *e)
{
    struct server_cells *cells = &c->local[s->upstream->index].servers[s->index];
    int rc = cells->origin ? 0 : http_client_origin(c->http, s->origin, &cells->origin, e);
    *out = cells->origin;
    return rc;
}
