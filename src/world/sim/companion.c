/*
 * companion.c: companions, each in a world of its own in the process, as threads are: so that it is
 * held up by nothing but its host, and ends with the process. And what they compute with, which
 * all worlds have.
 *
 * A process that dies drives those first to their ends that were started last: so a companion's
 * `run` has returned before its starter's coroutines free what it uses.
 */
#include "world/sim/internal.h"

struct sim_companion {
    struct companion companion;
    struct owned owned;
    struct sim_world *own;
    void (*run)(struct companion *self, void *arg);
    void *arg;
    bool woken;
    struct coro *parked; /* itself */
    struct coro *waiter; /* for its end */
    struct message over; /* to the parent, when `run` has returned */
};

static struct sim_companion *of(struct companion *c)
{
    return container_of(c, struct sim_companion, companion);
}

/* ---- Work ---- */

static struct sim_work *work_of(struct work *work)
{
    return container_of(work, struct sim_work, work);
}

static int64_t work_now(struct work *work)
{
    struct world *w = &work_of(work)->world->world;
    return w->ops->now(w);
}

static int64_t work_processor(struct work *work)
{
    return work_of(work)->burnt;
}

/* Nobody takes a real processor away from who is cancelled or late: only the process's death ends
 * this sooner. */
static void work_burn(struct work *work, int64_t ns)
{
    struct sim_world *w = work_of(work)->world;
    if (ns <= 0)
        return;
    CORO_SHIELD(DEADLINE_NEVER);
    int64_t takes = cpu_takes(host_of(w), ns);
    if (sim_block(&w->world, ns) == 0)
        work_of(work)->burnt += takes;
}

void sim_work_init(struct sim_work *work, struct sim_world *w)
{
    *work = (struct sim_work){
        .work = {.now = work_now, .processor = work_processor, .burn = work_burn}, .world = w};
    w->world.work = &work->work;
}

/* ---- The companion itself ---- */

static void is_over(struct message *m)
{
    struct sim_companion *c = container_of(m, struct sim_companion, over);
    c->companion.ended = true;
    sim_world_wake(sim_world_of(c->companion.handle.world), c->waiter, 0);
}

/* Its world ends with this, and knows no more of the handle, which its parent may close once it has
 * heard of the end. What `run` posted is delivered first. */
static int run(struct world *w, void *arg)
{
    (void)w; /* what it needs of it, `self` has */
    struct sim_companion *c = arg;
    c->run(&c->companion, c->arg);
    struct sim_world *parent = sim_world_of(c->companion.handle.world);
    if (parent->mail_first)
        world_post(&parent->world, &c->over);
    else
        is_over(&c->over);
    return 0;
}

int sim_op_companion_park(struct companion *self, int64_t until)
{
    struct sim_companion *c = of(self);
    dcheck(coro_self() && coro_sched(coro_self()) == c->own->world.sched,
        "companion_park was called by another coroutine than the companion '%s' itself",
        c->own->name);
    while (!c->woken && !c->own->dead) {
        if (self->work->now(self->work) >= until)
            return -ETIMEDOUT;
        c->parked = coro_self();
        (void)!coro_sleep("companion", until); /* the loop looks why it ended */
        c->parked = NULL;
    }
    c->woken = false;
    if (!c->own->dead)
        work_burn(self->work, host_of(c->own)->wake_ns);
    return c->own->dead ? -ECANCELED : 0;
}

void sim_op_companion_wake(struct companion *companion)
{
    struct sim_companion *c = of(companion);
    const struct sim_world *from = c->own->sim->running;
    check(!from || !from->process || from->process == c->own->process,
        "companion_wake from process '%s' of '%s' in process '%s': processes share no memory",
        from->process->name, c->own->name, c->own->process->name);
    cpu_call_kernel(c->own->sim);
    c->woken = true;
    sim_world_wake(c->own, c->parked, 0);
}

/* ---- Its parent ---- */

/* Who ends while its companions run, without the whole process, has nothing left that they could
 * work for. */
static void give_up(struct owned *o)
{
    struct sim_companion *c = container_of(o, struct sim_companion, owned);
    if (!c->companion.ended && c->own->process->end.state == SIM_RUNNING)
        sim_world_cut_off(c->own);
    c->companion.ended = true;
}

int sim_op_companion(
    struct world *world, const struct companion_options *options, struct companion **out)
{
    struct sim_world *w = sim_world_of(world);
    if (w->dead)
        return -ECANCELED;
    struct sim_companion *c = mem_zalloc(sizeof *c);
    if (!c)
        return -ENOMEM;
    c->run = options->run;
    c->arg = options->arg;
    c->over.deliver = is_over;
    struct world *own;
    int rc = host_take_task(host_of(w));
    if (rc == 0)
        rc = sim_thread(w->process, options->name, run, c, &own);
    if (rc) {
        mem_free(c);
        return rc;
    }
    c->own = sim_world_of(own);
    c->companion.work = own->work;
    owned_init(&c->owned, &c->companion.handle, w, give_up);
    *out = &c->companion;
    return 0;
}

int sim_op_companion_wait(struct companion *companion)
{
    int rc = 0;
    while (rc == 0 && !companion->ended)
        rc = sim_world_park(
            sim_world_of(companion->handle.world), "companion", &of(companion)->waiter);
    return rc;
}

/* Where the process dies its parent may hear that it has ended before it gets the message. */
void sim_op_companion_close(struct companion *companion)
{
    sim_world_unpost(sim_world_of(companion->handle.world), &of(companion)->over);
    owned_closed(&of(companion)->owned);
}
