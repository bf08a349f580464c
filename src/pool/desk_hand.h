/*
 * desk_hand.h: what hands that are coroutines have in common: how they rest, and are woken by the
 * queue, from whatever thread, and by what happens at their desk.
 *
 * A hand that is in the queue's idle list is woken by the queue exactly once, or takes itself out.
 * So it knows whether a wake is still on its way, and does not end before it has come.
 */
#pragma once

#include "pool/internal.h"

/* How often a hand that is away, so that the queue does not wake it, asks whether it is to end. */
#define ASK_EVERY_NS (100 * NS_PER_MS)

struct desk_hand {
    struct hand hand;
    struct world *world;
    struct coro *parked; /* while it rests */
    bool idle;           /* in the queue's list, or a wake is on its way */
    struct message woken;
};

void desk_hand_init(struct desk_hand *h, struct pool *p, struct pool_desk *d, unsigned index);
/* Up to `max` tasks, as queue_take says. */
unsigned desk_hand_take(struct desk_hand *h, struct task **out, unsigned max);
/* Not for now: out of the queue's list, and if tasks wait, another hand is woken for them. */
void desk_hand_away(struct desk_hand *h);
/* Waits until it is woken, by the queue or desk_hand_notice, or the moment `until`: 0, or
 * -ECANCELED. */
int desk_hand_rest(struct desk_hand *h, int64_t until) __attribute__((warn_unused_result));
/* On the desk's thread: it is to look what has changed. */
void desk_hand_notice(struct desk_hand *h);
