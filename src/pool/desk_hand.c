/*
 * desk_hand.c: see desk_hand.h. A wake from another thread comes as a message to the desk's world;
 * one from the same thread goes straight to the coroutine.
 */
#include "pool/desk_hand.h"

#include "coro/coro.h"

#include <errno.h>

void desk_hand_notice(struct desk_hand *h)
{
    struct coro *c = h->parked;
    h->parked = NULL;
    if (c)
        coro_wake(c, 0);
}

static void heard(struct message *m)
{
    struct desk_hand *h = container_of(m, struct desk_hand, woken);
    h->idle = false;
    desk_hand_notice(h);
}

static void wake(struct hand *hand, struct pool_desk *from)
{
    struct desk_hand *h = container_of(hand, struct desk_hand, hand);
    if (from == hand->desk)
        heard(&h->woken);
    else
        world_post(h->world, &h->woken);
}

void desk_hand_init(struct desk_hand *h, struct pool *p, struct pool_desk *d, unsigned index)
{
    *h = (struct desk_hand){
        .hand = {.pool = p, .index = index, .wake = wake, .desk = d},
        .world = pool_desk_world(d),
        .woken = {.deliver = heard},
    };
    list_init(&h->hand.idle);
}

int desk_hand_rest(struct desk_hand *h, int64_t until)
{
    CORO_DEADLINE(until);
    h->parked = coro_self();
    int rc = coro_park("task");
    h->parked = NULL;
    return rc == -ETIMEDOUT ? 0 : rc;
}

/* The wake that is on its way. */
static void await_wake(struct desk_hand *h)
{
    CORO_SHIELD(DEADLINE_NEVER);
    int rc = 0;
    while (h->idle && rc == 0)
        rc = desk_hand_rest(h, DEADLINE_NEVER);
}

void desk_hand_away(struct desk_hand *h)
{
    /* Also if it was woken already: then another has to do what it was woken for. */
    if (queue_away(&h->hand.pool->queue, &h->hand, h->hand.desk))
        h->idle = false;
    else if (h->idle)
        await_wake(h);
}

unsigned desk_hand_take(struct desk_hand *h, struct task **out, unsigned max)
{
    struct queue *q = &h->hand.pool->queue;
    if (h->idle)
        desk_hand_away(h);
    unsigned count = queue_take(q, &h->hand, out, max, world_now(h->world));
    h->idle = h->hand.waits;
    return count;
}
