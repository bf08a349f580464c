/*
 * client.c: an I/O thread's part of all pools, from start to end.
 */
#include "pool/choose.h"

#include "base/bug.h"
#include "base/log.h"
#include "base/mem.h"
#include "coro/group.h"

#include <errno.h>

int pool_client_new(struct pool_client **out, struct pools *pools, unsigned index, struct world *w)
{
    struct pool_client *client = mem_zalloc(sizeof(*client));
    if (!client)
        return -ENOMEM;
    client->inline_workers = mem_zalloc((pools->count + 1) * sizeof(struct inline_worker *));
    client->pools = pools;
    client->index = index;
    client->world = w;
    client->inline_wanted = mem_zalloc((pools->count + 1) * sizeof(struct future));
    if (!client->inline_workers || !client->inline_wanted || choices_new(client) != 0) {
        pool_client_free(client);
        return -ENOMEM;
    }
    for (unsigned i = 0; i < pools->count; i++)
        future_init(&client->inline_wanted[i]);
    future_init(&client->ready);
    future_init(&client->begun);
    future_init(&client->left);
    *out = client;
    return 0;
}

void pool_client_free(struct pool_client *client)
{
    if (!client)
        return;
    for (unsigned i = 0; i < client->pools->count && client->inline_workers; i++)
        inline_free(client->inline_workers[i]);
    mem_free(client->inline_wanted);
    mem_free(client->inline_workers);
    choices_free(client);
    struct task *t;
    while ((t = pool_client_kept(client)))
        mem_free(t);
    mem_free(client);
}

/* Waits for messages of results that were taken early: they must not come after the end. */
static void wait_for_messages(struct pool_client *client)
{
    CORO_SHIELD(DEADLINE_NEVER);
    int rc = 0;
    client->waiter = coro_self();
    while (client->early > 0 && rc == 0)
        rc = coro_park("results that were taken already");
    client->waiter = NULL;
}

/* ---- Starting ---- */

int pool_client_ready(struct pool_client *client, struct error *e)
{
    int rc = future_wait(&client->ready);
    if (rc && client->refused.code && e)
        *e = client->refused;
    else if (rc)
        error_set(e, rc, "pool", "the pools did not get ready: %s", error_text(rc));
    return rc;
}

static int start_pool(struct pool *p, struct pool_client *client, struct group *workers)
{
    unsigned here = p->ops->workers_at(p, client->index);
    int rc = 0;
    client->expected += here;
    if (here > 0)
        rc = p->ops->start(p, client, workers);
    if (rc == 0 && p->ops->loads_steps && !p->ops->runs_on_caller) {
        client->expected += p->inline_forced;
        rc = inline_start_wanted(p, client, workers);
    }
    return rc;
}

static int start_workers(struct pool_client *client, struct group *workers)
{
    int rc = group_spawn(workers, "calibration", pool_calibrate, client);
    if (rc == 0)
        rc = group_spawn(workers, "canaries", pool_canaries_run, client);
    if (rc)
        error_set(&client->refused, rc, "pool", "the pools cannot be started: %s", error_text(rc));
    for (unsigned i = 0; i < client->pools->count && rc == 0; i++) {
        struct pool *p = &client->pools->all[i];
        rc = start_pool(p, client, workers);
        if (rc)
            error_set(&client->refused, rc, "pool", "pool '%s' cannot be started: %s",
                p->conf->name, error_text(rc));
    }
    return rc;
}

int pool_client_run(void *arg)
{
    struct pool_client *client = arg;
    GROUP(workers, GROUP_INDEPENDENT);
    int rc = start_workers(client, &workers);
    client->counted = true;
    pool_client_settle_start(client);
    if (rc == 0)
        rc = future_wait(&client->left);
    if (rc)
        group_cancel(&workers);
    int ended = group_wait(&workers);
    wait_for_messages(client);
    future_set(&client->ready, -ECANCELED);
    if (client->stuck)
        return -ETIMEDOUT;
    return rc ? rc : ended;
}

/* ---- Ending ---- */

void pool_client_leave(struct pool_client *client)
{
    struct pools *pools = client->pools;
    if (!future_set(&client->left, 0))
        return;
    future_set(&client->begun, -ECANCELED);
    for (unsigned i = 0; i < pools->count; i++)
        future_set(&client->inline_wanted[i], -ECANCELED);
    unsigned left = 1 + atomic_fetch_add_explicit(&pools->left, 1, memory_order_acq_rel);
    check(left <= pools->clients, "more clients left than there are");
    if (left < pools->clients)
        return;
    for (unsigned i = 0; i < pools->count; i++)
        queue_close(&pools->all[i].queue, client);
}
