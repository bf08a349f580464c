/*
 * hand.c: pools of kind `fork`: each task has a process of its own, forked from one that has
 * everything loaded. As many hands as may run at once, all at one desk, share that one.
 */
#include "pool/fork/zygote.h"

#include "base/mem.h"

#include <errno.h>

static int turn(struct fork_hand *h)
{
    struct task *t;
    if (!zygote_usable(h->zygote)) {
        desk_hand_away(&h->base);
        return desk_hand_rest(&h->base, deadline_after(world_now(h->base.world), ASK_EVERY_NS));
    }
    if (desk_hand_take(&h->base, &t, 1) > 0)
        return fork_run(h, t);
    if (queue_closed(&h->base.hand.pool->queue))
        return 0;
    return desk_hand_rest(&h->base, h->base.hand.until);
}

static int run_hand(void *arg)
{
    struct fork_hand *h = arg;
    int rc = 0;
    while (rc == 0 && !queue_closed(&h->base.hand.pool->queue))
        rc = turn(h);
    desk_hand_away(&h->base);
    bytes_release(&h->out);
    return rc;
}

static void init_hand(struct zygote *z, unsigned index)
{
    struct fork_hand *h = &z->hands[index];
    uint64_t value = z->pool->conf->value;
    desk_hand_init(&h->base, z->pool, z->desk, index);
    h->zygote = z;
    bytes_init(&h->out,
        WORKER_HEAD_SIZE + 256 + (value < WORKER_FRAME_MAX ? (size_t)value : WORKER_FRAME_MAX));
}

/* The zygote goes after the last hand. */
static int run_hands(struct zygote *z)
{
    GROUP(keeping, GROUP_INDEPENDENT);
    GROUP(hands, GROUP_FAIL_FAST);
    int rc = group_spawn(&keeping, "zygote", zygote_run, z);
    struct error why;
    error_set(
        &why, rc, "pool", "pool '%s' cannot be started: %s", z->pool->conf->name, error_text(rc));
    for (unsigned i = 0; i < z->size && rc; i++)
        pool_desk_hand_started(z->desk, &why);
    for (unsigned i = 0; i < z->size && rc == 0; i++)
        rc = group_spawn(&hands, "fork's hand", run_hand, &z->hands[i]);
    int ended = group_wait(&hands);
    group_cancel(&keeping);
    return rc ? rc : ended;
}

static int run_pool(void *arg)
{
    struct zygote *z = arg;
    int rc = run_hands(z);
    mutex_release(&z->writing);
    mem_free(z);
    return rc;
}

static int start(struct pool *p, struct pool_desk *d, struct group *group)
{
    struct zygote *z = mem_zalloc(sizeof(*z) + (size_t)p->size * sizeof(struct fork_hand));
    if (!z)
        return -ENOMEM;
    z->pool = p;
    z->desk = d;
    z->world = pool_desk_world(d);
    z->size = p->size;
    list_init(&z->forks);
    for (unsigned i = 0; i < z->size; i++)
        init_hand(z, i);
    mutex_init(&z->writing);
    int rc = group_spawn(group, "pool of forks", run_pool, z);
    if (rc)
        mem_free(z);
    return rc;
}

static unsigned hands_at(const struct pool *p, unsigned desk)
{
    return desk == p->index % p->pools->desks ? p->size : 0;
}

const struct pool_kind pool_fork = {.start = start, .hands_at = hands_at};
