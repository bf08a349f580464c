/*
 * cpu.c: cores: burning time on them, being frozen, being slow.
 *
 * A burn has a core to itself until it is done; those for which there is no core wait in the order
 * they came. There is no time slicing: a simulated step is short or it is the only one on its core.
 *
 * While a world is blocked by a burn of its own loop, its alarms do not ring, so that burn ends by
 * the world's `unblock` event; any other burn is a sleep of its coroutine.
 */
#include "world/sim/internal.h"

struct burn {
    struct list link; /* in host.burning or host.queued */
    struct sim_world *world;
    struct coro *waiter;
    int64_t ns;
    int64_t end; /* in universe time, once it has a core */
    bool running;
    bool blocks;
};

static void begin(struct burn *b)
{
    struct sim_host *host = host_of(b->world);
    struct sim *sim = host->sim;
    host->cores_busy++;
    b->running = true;
    b->end = deadline_after(sim->now, b->ns);
    list_push_back(&host->burning, &b->link);
    if (b->blocks) {
        b->world->blocking = b;
        event_at(sim, &b->world->unblock, b->end);
    } else {
        sim_world_wake(b->world, b->waiter, 0);
    }
}

/* Whether it is done or was interrupted: the core goes to the next. */
static void finish(struct burn *b)
{
    struct sim_host *host = host_of(b->world);
    list_del(&b->link);
    if (!b->running)
        return;
    host->cores_busy--;
    struct list *next = list_pop_front(&host->queued);
    if (next)
        begin(list_entry(next, struct burn, link));
}

static int wait_for_core(struct burn *b)
{
    while (!b->running) {
        int rc = sim_world_park(b->world, "core", &b->waiter);
        if (rc)
            return rc;
    }
    return 0;
}

/* A pause of the host puts the end off. */
static int sleep_to_end(struct burn *b)
{
    int rc = 0;
    struct sim *sim = b->world->sim;
    while (rc == 0 && sim->now < b->end)
        rc = sim_world_pause(b->world, "burn", b->end - sim->now);
    return rc;
}

int64_t cpu_takes(const struct sim_host *host, int64_t ns)
{
    return ns * host->slow_percent / 100;
}

void cpu_call_kernel(struct sim *sim)
{
    struct sim_world *w = sim->running;
    if (w && w->process && coro_self() && host_of(w)->kernel_ns > 0)
        w->world.work->burn(w->world.work, host_of(w)->kernel_ns);
}

static int burn(struct sim_world *w, int64_t ns, bool blocks)
{
    check(w->process && coro_self() && coro_sched(coro_self()) == w->world.sched,
        "a burn is for coroutines of the world that it is told to");
    int rc = coro_poll();
    if (rc || w->dead)
        return rc ? rc : -ECANCELED;
    struct sim_host *host = host_of(w);
    struct burn b = {.world = w, .ns = cpu_takes(host, ns), .blocks = blocks};
    trace(w->sim, TRACE_BURN, host, (uint64_t)w->process->pid, (uint64_t)b.ns, 0);
    list_init(&b.link);
    w->blocked += blocks;
    if (host->cores_busy < host->cores)
        begin(&b);
    else
        list_push_back(&host->queued, &b.link);
    if (blocks)
        rc = sim_world_park(w, "block", &b.waiter);
    else if ((rc = wait_for_core(&b)) == 0)
        rc = sleep_to_end(&b);
    finish(&b);
    trace(w->sim, TRACE_BURNT, host, (uint64_t)w->process->pid, 0, 0);
    return rc;
}

int sim_burn(struct world *w, int64_t ns)
{
    return burn(sim_world_of(w), ns, false);
}

int sim_block(struct world *w, int64_t ns)
{
    return burn(sim_world_of(w), ns, true);
}

void cpu_unblock(struct sim *sim, struct event *e)
{
    struct sim_world *w = container_of(e, struct sim_world, unblock);
    struct burn *b = w->blocking;
    if (b && b->end > sim->now) {
        event_at(sim, e, b->end);
        return;
    }
    w->blocked--;
    w->blocking = NULL;
    if (b) {
        w->resumes = sched_ready_count(w->world.sched) + 1;
        coro_wake(b->waiter, 0);
    }
    sim_world_released(w);
}

/* ---- Frozen and slow hosts ---- */

static void hold_all(struct sim_host *host)
{
    list_each (p, &host->processes)
        list_each (w, &list_entry(p, struct sim_process, link)->worlds)
            sim_world_inactive(list_entry(w, struct sim_world, link));
}

void host_resume(struct sim *sim, struct event *e)
{
    struct sim_host *host = container_of(e, struct sim_host, resume);
    host->paused_until = 0;
    trace(sim, TRACE_RESUME, host, 0, 0, 0);
    list_each (p, &host->processes) {
        list_each (link, &list_entry(p, struct sim_process, link)->worlds) {
            struct sim_world *w = list_entry(link, struct sim_world, link);
            if (w->open)
                sim_world_released(w);
        }
    }
}

void sim_pause(struct sim_host *host, int64_t ns)
{
    struct sim *sim = host->sim;
    if (!host->up || ns <= 0)
        return;
    int64_t from = host->paused_until > sim->now ? host->paused_until : sim->now;
    int64_t until = deadline_after(sim->now, ns);
    if (until <= from)
        return;
    trace(sim, TRACE_PAUSE, host, (uint64_t)ns, 0, 0);
    list_each (link, &host->burning)
        list_entry(link, struct burn, link)->end += until - from;
    host->paused_until = until;
    event_at(sim, &host->resume, until);
    hold_all(host);
}

void sim_slow(struct sim_host *host, unsigned percent)
{
    host->slow_percent = percent ? percent : 100;
    trace(host->sim, TRACE_SLOW, host, host->slow_percent, 0, 0);
}
