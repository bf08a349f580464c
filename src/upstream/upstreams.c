/*
 * upstreams.c: all upstreams of a configuration: made once, shared by all I/O threads.
 */
#include "upstream/internal.h"

#include "base/bug.h"
#include "base/mem.h"
#include "base/time.h"

#include <errno.h>
#include <stdalign.h>
#include <stddef.h>

#define MEMORY_MAX ((size_t)1024 * 1024 * 1024)

/* ---- Making them ---- */

static int make_room(struct upstreams *all)
{
    if (all->count < all->room)
        return 0;
    unsigned room = all->room ? 2 * all->room : 8;
    struct upstream **list = mem_realloc(all->list, room * sizeof(struct upstream *));
    if (!list)
        return -ENOMEM;
    all->list = list;
    all->room = room;
    return 0;
}

static struct upstream *new_upstream(
    struct upstreams *all, const struct conf_upstream *conf, unsigned server_count)
{
    struct upstream *u = arena_zalloc(&all->arena, sizeof *u);
    size_t size = server_count * sizeof *u->servers;
    char *servers = arena_zalloc(&all->arena, size + alignof(struct upstream_server));
    if (!u || !servers)
        return NULL;
    uintptr_t past = (uintptr_t)servers % alignof(struct upstream_server);
    servers += past ? alignof(struct upstream_server) - past : 0;
    u->conf = conf;
    u->server_count = server_count;
    u->servers = (struct upstream_server *)(void *)servers;
    return u;
}

static int set_server(
    struct upstream *u, unsigned i, const char *name, const char *origin, unsigned weight)
{
    if (!name || !origin)
        return -ENOMEM;
    struct upstream_server *s = &u->servers[i];
    s->upstream = u;
    s->index = i;
    s->name = name;
    s->origin = span_of(origin);
    s->weight = weight;
    return 0;
}

/* Ready to be called, and in the list. */
static int add(struct upstreams *all, struct upstream *u)
{
    check(!all->registered, "an upstream is made too late");
    int rc = balance_prepare(u, &all->arena);
    if (rc == 0)
        rc = make_room(all);
    if (rc == 0)
        rc = -pthread_mutex_init(&u->ejecting, NULL);
    if (rc)
        return rc;
    u->index = all->count;
    all->list[all->count++] = u;
    return 0;
}

static int add_configured(struct upstreams *all, const struct conf_upstream *conf)
{
    struct upstream *u = new_upstream(all, conf, conf->server_count);
    if (!u)
        return -ENOMEM;
    u->title = arena_printf(&all->arena, "upstream '%s'", conf->name);
    if (!u->title)
        return -ENOMEM;
    for (unsigned i = 0; i < conf->server_count; i++) {
        const struct conf_upstream_server *server = &conf->servers[i];
        int rc = set_server(u, i, server->server,
            arena_printf(&all->arena, "http://%s", server->server), server->weight);
        if (rc)
            return rc;
    }
    return add(all, u);
}

int upstreams_new(struct upstreams **out, const struct config *config)
{
    struct upstreams *all = mem_zalloc(sizeof *all);
    if (!all)
        return -ENOMEM;
    all->config = config;
    arena_init(&all->arena, MEMORY_MAX);
    all->single = (struct conf_upstream){.retry = {.attempts = 1}};
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < config->upstream_count; i++)
        rc = add_configured(all, &config->upstreams[i]);
    if (rc) {
        upstreams_free(all);
        return rc;
    }
    *out = all;
    return 0;
}

void upstreams_free(struct upstreams *all)
{
    if (!all)
        return;
    for (unsigned i = 0; i < all->count; i++)
        pthread_mutex_destroy(&all->list[i]->ejecting);
    arena_release(&all->arena);
    mem_free(all->list);
    mem_free(all);
}

const char *upstream_name(const struct upstream *u)
{
    return u->conf->name ? u->conf->name : u->servers[0].name;
}

const char *upstream_title(const struct upstream *u)
{
    return u->title;
}

struct upstream *upstreams_find(const struct upstreams *all, const char *name)
{
    for (unsigned i = 0; i < all->config->upstream_count && i < all->count; i++)
        if (strcmp(all->list[i]->conf->name, name) == 0)
            return all->list[i];
    return NULL;
}

int upstreams_of_origin(struct upstreams *all, struct span origin, struct upstream **out)
{
    for (unsigned i = all->config->upstream_count; i < all->count; i++)
        if (span_equal(all->list[i]->servers[0].origin, origin)) {
            *out = all->list[i];
            return 0;
        }
    const char *text = arena_copy(&all->arena, origin);
    struct upstream *u = new_upstream(all, &all->single, 1);
    int rc = u ? set_server(u, 0, text, text, 1) : -ENOMEM;
    if (rc == 0) {
        u->title = text;
        rc = add(all, u);
    }
    if (rc == 0)
        *out = u;
    return rc;
}

/* ---- Metrics ---- */

static double read_in_flight(const void *object, size_t at)
{
    const struct upstream_server *s = object;
    return atomic_load_explicit(&s->in_flight, memory_order_relaxed);
}

#define AT(member) .at = offsetof(struct upstream_series, member)
static const struct meter_def upstream_metrics[] = {
    {METER_GAUGE, "weir_upstream_calls", "Calls of an upstream that are under way.", AT(inside)},
    {METER_GAUGE, "weir_upstream_waiting", "Calls of an upstream that wait for its limit.",
        AT(waiting)},
    {METER_COUNTER, "weir_upstream_refused_total", "Calls of an upstream refused at its limit.",
        AT(refused)},
    {METER_GAUGE, "weir_upstream_limit",
        "How many calls of an upstream may be under way: the sum over I/O threads.", AT(limit)},
    {METER_COUNTER, "weir_upstream_retries_total", "Attempts after a call's first.", AT(retries)},
    {METER_COUNTER, "weir_upstream_retries_denied_total",
        "Retries that the retry budget did not allow.", AT(retries_denied)},
};
#undef AT

#define AT(member) .at = offsetof(struct upstream_server, series.member)
static const struct meter_def server_metrics[] = {
    {METER_COUNTER, "weir_upstream_server_calls_total", "Attempts, by server.", AT(calls)},
    {METER_COUNTER, "weir_upstream_server_failures_total",
        "Attempts that failed, or were answered with 502 to 504, by server.", AT(failures)},
    {METER_GAUGE, "weir_upstream_server_in_flight", "Attempts under way, by server.",
        .read = read_in_flight},
};
#undef AT

#define COUNT(table) (sizeof(table) / sizeof *(table))

static int register_one(struct upstream *u, struct meter *meter)
{
    struct meter_label labels[2] = {{"upstream", span_of(upstream_name(u))}, {"server", {0}}};
    int rc = meter_define(meter, upstream_metrics, COUNT(upstream_metrics), labels, 1, &u->series);
    for (unsigned i = 0; rc == 0 && i < u->server_count; i++) {
        labels[1].value = span_of(u->servers[i].name);
        rc = meter_define(meter, server_metrics, COUNT(server_metrics), labels, 2, &u->servers[i]);
    }
    return rc;
}

int upstreams_register(struct upstreams *all, struct meter *meter)
{
    /* The families, also without series. */
    int rc = meter_define(meter, upstream_metrics, COUNT(upstream_metrics), NULL, 0, NULL);
    if (rc == 0)
        rc = meter_define(meter, server_metrics, COUNT(server_metrics), NULL, 0, NULL);
    for (unsigned i = 0; rc == 0 && i < all->count; i++)
        rc = register_one(all->list[i], meter);
    all->registered = rc == 0;
    return rc;
}
