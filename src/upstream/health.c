/*
 * health.c: asks servers whether they work, one coroutine for each that is to be asked.
 */
#include "upstream/internal.h"

#include "base/log.h"
#include "base/mem.h"
#include "coro/group.h"

#include <errno.h>

#define REPLY_MAX ((size_t)1024 * 1024)

struct checking {
    struct upstream_client *client;
    struct upstream_server *server;
};

static bool is_good(const struct checking *k)
{
    struct upstream_client *c = k->client;
    const struct conf_health *conf = &k->server->upstream->conf->health;
    struct http_response response;
    struct error e;
    struct arena arena;
    arena_init(&arena, REPLY_MAX);
    CORO_DEADLINE(deadline_after(world_now(c->world), conf->timeout));
    struct http_client_request request = {.method = SPAN("GET"), .target = span_of(conf->path)};
    int rc = client_origin(c, k->server, &request.origin, &e);
    if (rc == 0)
        rc = http_call(c->http, &request, &arena, &response, &e);
    bool good = rc == 0 && response.head->status >= 200 && response.head->status <= 299;
    arena_release(&arena);
    return good;
}

static void log_change(const struct checking *k, bool good)
{
    const struct upstream *u = k->server->upstream;
    log_with(world_log(k->client->world), good ? LOG_INFO : LOG_WARN,
        LOG_FIELDS(LOG_TEXT("upstream", upstream_name(u)), LOG_TEXT("server", k->server->name)),
        "server %s of %s is %s by its health checks", k->server->name, upstream_title(u),
        good ? "up" : "down");
}

/* Servers are not asked all at the same moment: each begins at a random part of the interval. */
static int check_server(void *arg)
{
    const struct checking *k = arg;
    struct upstream_client *c = k->client;
    int64_t interval = k->server->upstream->conf->health.interval;
    int rc = world_sleep(c->world, rand_between(&c->rand, 0, interval));
    while (rc == 0) {
        bool good = is_good(k);
        rc = coro_poll();
        if (rc == 0 && server_checked(k->server, good))
            log_change(k, good);
        if (rc == 0)
            rc = world_sleep(c->world, interval);
    }
    return rc;
}

static unsigned count_checked(const struct upstreams *all)
{
    unsigned count = 0;
    for (unsigned i = 0; i < all->count; i++)
        count += all->list[i]->conf->health.path ? all->list[i]->server_count : 0;
    return count;
}

int upstream_client_check_health(struct upstream_client *c)
{
    unsigned count = count_checked(c->all);
    unsigned made = 0;
    if (count == 0)
        return 0;
    struct checking *list = mem_zalloc(count * sizeof *list);
    if (!list)
        return -ENOMEM;
    int rc = 0;
    {
        GROUP(checks, GROUP_FAIL_FAST);
        for (unsigned i = 0; i < c->all->count; i++) {
            struct upstream *u = c->all->list[i];
            for (unsigned k = 0; rc == 0 && u->conf->health.path && k < u->server_count; k++) {
                list[made] = (struct checking){.client = c, .server = &u->servers[k]};
                rc = group_spawn(&checks, "health check", check_server, &list[made++]);
            }
        }
        if (rc == 0)
            rc = group_wait(&checks);
    }
    mem_free(list);
    return rc;
}
