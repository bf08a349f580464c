/*
 * mailbox.c: messages from other threads.
 *
 * Senders push onto a stack with one compare-and-swap; the loop takes the whole stack with one
 * exchange and turns it over, which gives back the order of posting. Only who finds the stack empty
 * rings, so a busy loop is rung about once a turn however many messages come.
 *
 * A turn delivers a bounded number: a flood of messages must not keep the loop from its sockets.
 * The bell's callback has nothing to do: that the poll ended is enough, messages are delivered
 * after each.
 */
#include "world/uv/internal.h"

/* A delivery is a fraction of a microsecond to a few, so a turn spends about a millisecond here. */
#define DELIVERIES_A_TURN 1024

static void on_bell(uv_async_t *bell)
{
}

int mailbox_open(struct mailbox *m, uv_loop_t *loop)
{
    atomic_init(&m->posted, NULL);
    m->taken = NULL;
    return uv_async_init(loop, &m->bell, on_bell);
}

void mailbox_post(struct world *world, struct message *message)
{
    struct mailbox *m = &uv_world_of(world)->mailbox;
    struct message *before = atomic_load_explicit(&m->posted, memory_order_relaxed);
    do {
        message->next = before;
    } while (!atomic_compare_exchange_weak_explicit(
        &m->posted, &before, message, memory_order_release, memory_order_relaxed));
    if (!before)
        uv_async_send(&m->bell);
}

static struct message *turned_over(struct message *latest)
{
    struct message *earliest = NULL;
    while (latest) {
        struct message *before = latest->next;
        latest->next = earliest;
        earliest = latest;
        latest = before;
    }
    return earliest;
}

void mailbox_deliver(struct mailbox *m)
{
    for (int i = 0; i < DELIVERIES_A_TURN; i++) {
        if (!m->taken) {
            if (!atomic_load_explicit(&m->posted, memory_order_relaxed))
                return;
            m->taken =
                turned_over(atomic_exchange_explicit(&m->posted, NULL, memory_order_acquire));
        }
        struct message *next = m->taken;
        m->taken = next->next;
        next->deliver(next);
    }
}

bool mailbox_waiting(const struct mailbox *m)
{
    return m->taken || atomic_load_explicit(&m->posted, memory_order_relaxed);
}
