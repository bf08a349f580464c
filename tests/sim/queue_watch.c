/*
 * queue_watch.c: see queue_watch.h.
 */
#include "queue_watch.h"

#define LOOKS         4
#define LOOK_EVERY_NS (4 * NS_PER_MS)

static int64_t now_of(const struct queue_watch *e)
{
    return e->world ? world_now(e->world) : e->clock + sim_now(e->sim);
}

static int sleep_for(const struct queue_watch *e, int64_t ns)
{
    return e->world ? world_sleep(e->world, ns) : sim_sleep(e->sim, ns);
}

/* A worker that was woken for a task may not have come yet; but it comes at once. */
static int look(struct queue_watch *e)
{
    struct queue *q = e->queue;
    uint64_t first = 0;
    for (unsigned looks = 0;; looks++) {
        struct order_item *next = order_first(&q->order, now_of(e));
        if (!next || q->idle_count == 0 || (e->excused && e->excused(e->ctx)))
            return 0;
        const struct task *t = task_of(item_of(next));
        if (looks > 0 && t->id != first)
            return 0;
        first = t->id;
        sim_check(e->sim, looks < LOOKS, "%u tasks wait and %u workers are idle", q->order.count,
            q->idle_count);
        int rc = sleep_for(e, 100 * NS_PER_US);
        if (rc)
            return rc;
    }
}

int queue_watch_run(void *watch)
{
    struct queue_watch *e = watch;
    const struct queue *q = e->queue;
    int rc = 0;
    while (rc == 0 && !e->over) {
        sim_check(e->sim, q->count <= q->max + q->workers * TAKE_MAX + 1, "the queue has %u tasks",
            q->count);
        rc = look(e);
        if (rc == 0)
            rc = sleep_for(e, rand_between(e->rand, 0, LOOK_EVERY_NS));
    }
    return rc;
}
