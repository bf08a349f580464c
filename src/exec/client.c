/*
 * client.c: see client.h.
 */
#include "exec/client.h"

#include "base/bug.h"
#include "base/mem.h"

#include <errno.h>

/* ---- Kept tasks ---- */

struct task *pool_client_kept(struct pool_client *client)
{
    struct message *m = client->kept;
    if (!m)
        return NULL;
    client->kept = m->next;
    client->kept_count--;
    return container_of(m, struct task, done);
}

void pool_client_keep(struct pool_client *client, struct task *t)
{
    if (client->kept_count == CLIENT_KEPT_MAX) {
        task_free(t);
        return;
    }
    if (t->output.base != t->small)
        mem_free(t->output.base);
    t->output.base = t->small;
    t->done.next = client->kept;
    client->kept = &t->done;
    client->kept_count++;
}

void pool_client_arrived(struct pool_client *client)
{
    check(client->early > 0, "a result came that nobody had taken");
    if (--client->early == 0 && client->waiter)
        coro_wake(client->waiter, 0);
}

/* ---- Starting ---- */

void pool_client_settle_start(struct pool_client *client)
{
    if (client->refused.code)
        future_set(&client->ready, client->refused.code);
    if (client->refused.code || (client->counted && client->started == client->expected))
        future_set(&client->begun, client->refused.code);
}

void pool_client_worker_started(struct pool_client *client, const struct error *refused)
{
    client->started++;
    if (refused && !client->refused.code) {
        client->refused = *refused;
        client->refused.code = -EINVAL;
    }
    pool_client_settle_start(client);
}

void pool_client_stuck(struct pool_client *client)
{
    client->stuck = true;
}
