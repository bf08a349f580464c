/*
 * signals.c: struct signals: what a process asked to be told of instead of dying from it.
 */
#include "world/sim/internal.h"

struct sim_signals {
    struct signals signals;
    struct owned owned;
    struct list link; /* in process.signals */
    uint64_t mask;    /* bit n: signal n */
    uint64_t pending;
    struct coro *waiter;
};

static struct sim_signals *of(struct signals *s)
{
    return container_of(s, struct sim_signals, signals);
}

static void give_up(struct owned *o)
{
    list_del(&container_of(o, struct sim_signals, owned)->link);
}

bool signals_take(struct sim_process *p, int signal)
{
    bool taken = false;
    list_each (link, &p->signals) {
        struct sim_signals *s = list_entry(link, struct sim_signals, link);
        if (!(s->mask & UINT64_C(1) << signal))
            continue;
        s->pending |= UINT64_C(1) << signal;
        sim_world_wake(sim_world_of(s->signals.handle.world), s->waiter, 0);
        taken = true;
    }
    return taken;
}

int sim_op_signals(struct world *world, const int *numbers, int count, struct signals **out)
{
    struct sim_world *w = sim_world_of(world);
    uint64_t mask = 0;
    for (int i = 0; i < count; i++) {
        if (numbers[i] <= 0 || numbers[i] > SIGNAL_MAX)
            return -EINVAL;
        mask |= UINT64_C(1) << numbers[i];
    }
    if (w->dead)
        return -ECANCELED;
    struct sim_signals *s = mem_zalloc(sizeof *s);
    if (!s)
        return -ENOMEM;
    owned_init(&s->owned, &s->signals.handle, w, give_up);
    s->mask = mask;
    list_push_back(&w->process->signals, &s->link);
    *out = &s->signals;
    return 0;
}

int sim_op_signals_next(struct signals *signals)
{
    struct sim_signals *s = of(signals);
    struct sim_world *w = sim_world_of(signals->handle.world);
    while (s->pending == 0) {
        int rc = sim_world_park(w, "signal", &s->waiter);
        if (rc)
            return rc;
    }
    int signal = __builtin_ctzll(s->pending);
    s->pending &= s->pending - 1;
    return signal;
}

void sim_op_signals_close(struct signals *signals)
{
    struct sim_signals *s = of(signals);
    list_del(&s->link);
    owned_closed(&s->owned);
    sim_world_wake(sim_world_of(signals->handle.world), s->waiter, -EBADF);
}
