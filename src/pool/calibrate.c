/*
 * calibrate.c: what it costs to hand a task over, measured once at the start, so that the first
 * requests are placed by it; later it is measured while running.
 */
#include "pool/internal.h"

#define CALLS_MAX 20
#define TIME_NS   (20 * NS_PER_MS)

/* Not forks, which are expensive; nor processes with a limited number of tasks. */
static bool is_to_be_tried(const struct pool *p, const struct pool_client *client)
{
    bool limited = p->ops->uses_processes && p->conf->max_tasks > 0;
    return p->index % p->pools->clients == client->index && p->ops->can_batch && !limited;
}

static int try_pool(struct pool_client *client, struct pool *p)
{
    int64_t until = world_now(client->world) + TIME_NS;
    CORO_DEADLINE(until);
    int rc = 0;
    for (unsigned i = 0; i < CALLS_MAX && rc == 0 && world_now(client->world) < until; i++)
        rc = pool_try_dispatch(client, p);
    return coro_cancelled(coro_self()) ? rc : 0;
}

int pool_calibrate(void *arg)
{
    struct pool_client *client = arg;
    int rc = future_wait(&client->begun);
    for (unsigned i = 0; i < client->pools->count && rc == 0 && !client->left.done; i++)
        if (is_to_be_tried(&client->pools->all[i], client))
            rc = try_pool(client, &client->pools->all[i]);
    if (rc == 0)
        future_set(&client->ready, 0);
    return 0;
}
