/*
 * hand.c: pools of kind `processes`: each hand is a coroutine on some I/O thread, which takes tasks
 * and gives them to a worker process of its own.
 *
 * No thread stands between: the result of a task comes as readiness of a socket on the loop that
 * may be its caller's own. What can go wrong with a worker is in loss.c, how one is kept going in
 * keeper.c.
 */
#include "pool/desk_hand.h"
#include "pool/keeper.h"
#include "pool/processes/batch.h"

#include "base/mem.h"

#include <errno.h>

struct process_hand {
    struct desk_hand base;
    struct keeper keeper;
    struct batch batch;
    unsigned served; /* tasks, by this worker */
    unsigned limit;  /* after which it is replaced; 0: none */
    struct task *taken[TAKE_MAX];
};

static void changed(void *ctx)
{
    struct process_hand *h = ctx;
    desk_hand_notice(&h->base);
}

/* From three quarters of `max_tasks` for the first hand to five for the last: so that those that
 * began together do not end together. */
static unsigned limit_of(const struct pool *p, unsigned index)
{
    uint64_t max = p->conf->max_tasks;
    uint64_t others = p->size > 1 ? p->size - 1 : 1;
    uint64_t limit = p->size > 1 ? max * 3 / 4 + max / 2 * index / others : max;
    return limit ? (unsigned)limit : p->conf->max_tasks;
}

/* One batch after another. If that takes longer than was thought, the rest is for others, too. */
static int serve(struct process_hand *h, unsigned count)
{
    struct keeper *k = &h->keeper;
    struct batch *b = &h->batch;
    enum pool_restart why = RESTART_DIED;
    b->behind = h->taken;
    b->behind_count = count;
    int64_t began = world_now(k->world);
    while (b->behind_count > 0) {
        unsigned used = batch_fill(b, k->now, b->behind, b->behind_count);
        b->behind += used;
        b->behind_count -= used;
        if (b->count == 0)
            continue;
        enum batch_end end = batch_run(b, k->now, &why);
        k->worked = true;
        h->served += b->count;
        if (end != BATCH_DONE || world_now(k->world) - began > 2 * TAKE_BUDGET_NS)
            batch_put_back(b);
        if (end == BATCH_DONE)
            continue;
        if (end == BATCH_CANCELLED)
            return -ECANCELED;
        keeper_dismiss(k, why);
        return 0;
    }
    if (h->limit && h->served >= h->limit)
        k->replace = true;
    return 0;
}

static int turn(struct process_hand *h)
{
    struct keeper *k = &h->keeper;
    const struct pool_process *before = k->now;
    int64_t until = keeper_tend(k);
    if (k->now != before)
        h->served = 0;
    if (!k->now) {
        int64_t ask = deadline_after(world_now(k->world), ASK_EVERY_NS);
        desk_hand_away(&h->base);
        return desk_hand_rest(&h->base, deadline_sooner(until, ask));
    }
    unsigned count = desk_hand_take(&h->base, h->taken, TAKE_MAX);
    if (count > 0)
        return serve(h, count);
    if (queue_closed(&h->base.hand.pool->queue))
        return 0;
    return desk_hand_rest(&h->base, deadline_sooner(until, h->base.hand.until));
}

static int work(struct process_hand *h)
{
    struct pool *p = h->base.hand.pool;
    GROUP(processes, GROUP_INDEPENDENT);
    keeper_init(
        &h->keeper, p, h->base.hand.desk, &processes, h->base.hand.index + 1, 1, changed, h);
    int rc = 0;
    while (rc == 0 && !queue_closed(&p->queue))
        rc = turn(h);
    desk_hand_away(&h->base);
    keeper_end(&h->keeper);
    int ended = group_wait(&processes);
    return rc ? rc : ended;
}

static int run_hand(void *arg)
{
    struct process_hand *h = arg;
    int rc = work(h);
    batch_release(&h->batch);
    mem_free(h);
    return rc;
}

static int start_hand(struct pool *p, struct pool_desk *d, struct group *group, unsigned index)
{
    struct process_hand *h = mem_zalloc(sizeof(*h));
    if (!h)
        return -ENOMEM;
    desk_hand_init(&h->base, p, d, index);
    batch_init(&h->batch, p, d, index);
    h->limit = limit_of(p, index);
    int rc = group_spawn(group, "worker's hand", run_hand, h);
    if (rc)
        mem_free(h);
    return rc;
}

static int start(struct pool *p, struct pool_desk *d, struct group *group)
{
    int rc = 0;
    for (unsigned i = pool_desk_index(d); i < p->size && rc == 0; i += p->pools->desks)
        rc = start_hand(p, d, group, i);
    return rc;
}

static unsigned hands_at(const struct pool *p, unsigned desk)
{
    return p->size / p->pools->desks + (desk < p->size % p->pools->desks);
}

const struct pool_kind pool_processes = {.start = start, .hands_at = hands_at};
