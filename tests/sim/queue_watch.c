/*
 * queue_watch.c: see queue_watch.h.
 */
#include "queue_watch.h"

#define LOOKS         4
#define LOOK_EVERY_NS (4 * NS_PER_MS)

/* A hand that was woken for a task may not have come yet; but it comes at once. */
static int look(struct queue_watch *e)
{
    struct queue *q = e->queue;
    uint64_t first = 0;
    for (unsigned looks = 0;; looks++) {
        struct order_item *place = order_first(&q->order, world_now(e->world));
        if (!place || q->idle_count == 0 || (e->excused && e->excused(e->ctx)))
            return 0;
        const struct task *t = container_of(place, struct task, place);
        if (looks > 0 && t->id != first)
            return 0;
        first = t->id;
        sim_check(e->sim, looks < LOOKS, "%u tasks wait and %u hands are idle", q->order.count,
            q->idle_count);
        int rc = world_sleep(e->world, 100 * NS_PER_US);
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
        sim_check(e->sim, q->count <= q->max + q->hands * TAKE_MAX + 1, "the queue has %u tasks",
            q->count);
        rc = look(e);
        if (rc == 0)
            rc = world_sleep(e->world, rand_between(e->rand, 0, LOOK_EVERY_NS));
    }
    return rc;
}
