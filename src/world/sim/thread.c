/*
 * thread.c: threads as components start them: one more world in the process, and the handle by
 * which its parent hears of its end.
 */
#include "world/sim/internal.h"

struct sim_thread {
    struct thread thread;
    struct owned owned;
    struct coro *waiter;
    int result;
};

static struct sim_thread *of(struct thread *t)
{
    return container_of(t, struct sim_thread, thread);
}

/* The process dies: its threads, too. */
static void give_up(struct owned *o)
{
    struct sim_thread *t = container_of(o, struct sim_thread, owned);
    sim_world_of(t->thread.own)->thread = NULL;
    t->thread.ended = true;
}

void thread_has_ended(struct sim_thread *t, int result)
{
    t->result = result;
    t->thread.ended = true;
    sim_world_of(t->thread.own)->thread = NULL;
    sim_world_wake(sim_world_of(t->thread.handle.world), t->waiter, 0);
}

int sim_op_thread(struct world *world, const char *name, int (*fn)(struct world *w, void *arg),
    void *arg, struct thread **out)
{
    struct sim_world *w = sim_world_of(world);
    if (w->dead)
        return -ECANCELED;
    struct sim_thread *t = mem_zalloc(sizeof *t);
    if (!t)
        return -ENOMEM;
    int rc = host_take_task(host_of(w));
    if (rc == 0)
        rc = sim_thread(w->process, name, fn, arg, &t->thread.own);
    if (rc) {
        mem_free(t);
        return rc;
    }
    owned_init(&t->owned, &t->thread.handle, w, give_up);
    struct sim_world *own = sim_world_of(t->thread.own);
    own->thread = t;
    own->has_handle = true;
    *out = &t->thread;
    return 0;
}

int sim_op_thread_wait(struct thread *thread, int *result)
{
    struct sim_thread *t = of(thread);
    while (!thread->ended) {
        int rc = sim_world_park(sim_world_of(thread->handle.world), "thread", &t->waiter);
        if (rc)
            return rc;
    }
    *result = t->result;
    return 0;
}

/* In a process that dies as a whole the thread's world may not have come to its end yet; what it
 * was sent is delivered here all the same, since it may point at what its starter frees next. */
void sim_op_thread_close(struct thread *thread)
{
    struct sim_world *own = sim_world_of(thread->own);
    owned_closed(&of(thread)->owned);
    if (own->open && !own->dead)
        return;
    sim_world_deliver_rest(own);
    own->has_handle = own->open;
}
