/*
 * client.c: a client's life, and its origins.
 */
#include "http/client.h"

#include "base/bug.h"
#include "base/mem.h"
#include "http/connections.h"

#include <errno.h>

#define ORIGINS_MAX 4096

int http_client_new(
    struct http_client **out, struct world *w, const struct http_client_options *options)
{
    struct http_client *c = mem_zalloc(sizeof *c);
    if (!c)
        return -ENOMEM;
    c->world = w;
    c->options = *options;
    c->stats = c->options.stats ? c->options.stats : &c->own_stats;
    list_init(&c->ages);
    uint64_t seed[2];
    world_random(w, seed, sizeof seed);
    map_init(&c->origins, seed, ORIGINS_MAX);
    c->table = mem_alloc(c->options.limits.fields_max * sizeof *c->table);
    c->scratch = mem_alloc(HTTP_SCRATCH_SIZE);
    if (!c->table || !c->scratch) {
        http_client_free(c);
        return -ENOMEM;
    }
    *out = c;
    return 0;
}

void http_client_free(struct http_client *c)
{
    if (!c)
        return;
    while (!list_empty(&c->ages))
        connections_forget(list_first(&c->ages, struct client_connection, age));
    uint32_t at = 0;
    const struct map_entry *entry;
    while ((entry = map_next(&c->origins, &at))) {
        struct http_origin *o = entry->value;
        check(o->in_use == 0, "a client was freed while %u calls to %s were under way", o->in_use,
            o->endpoint.text);
        mem_free(o);
    }
    map_release(&c->origins);
    mem_free(c->table);
    mem_free(c->scratch);
    mem_free(c);
}

static struct http_origin *origin_new(struct http_client *c, const struct http_endpoint *endpoint)
{
    struct http_origin *o = mem_zalloc(sizeof *o);
    if (!o)
        return NULL;
    o->client = c;
    o->endpoint = *endpoint;
    list_init(&o->kept);
    list_init(&o->waiters);
    if (!endpoint->host[0]) {
        o->addresses[0] = endpoint->address;
        o->address_count = 1;
    }
    return o;
}

int http_client_origin(
    struct http_client *c, struct span text, struct http_origin **out, struct error *e)
{
    /* Most write it as it is known, and ask before each call. */
    struct http_origin *o = map_get(&c->origins, text);
    if (o) {
        *out = o;
        return 0;
    }
    struct http_endpoint endpoint;
    int rc = http_endpoint_parse(&endpoint, text, e);
    if (rc)
        return rc;
    o = map_get(&c->origins, span_of(endpoint.text));
    if (o) {
        *out = o;
        return 0;
    }
    o = origin_new(c, &endpoint);
    rc = o ? map_put(&c->origins, span_of(endpoint.text), o) : -ENOMEM;
    if (rc) {
        mem_free(o);
        return error_set(e, rc, "memory", "cannot remember %s besides %u other servers: %s",
            endpoint.text, c->origins.count, error_text(rc));
    }
    *out = o;
    return 0;
}

const struct http_client_stats *http_client_stats(const struct http_client *c)
{
    return c->stats;
}
