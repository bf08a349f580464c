/*
 * director.c: scripts that stand outside all hosts: coroutines of a world that has no host, whose
 * clock is universe time.
 */
#include "world/sim/internal.h"

struct director {
    struct sim *sim;
    const char *name;
    int (*fn)(struct sim *sim, void *arg);
    void *arg;
    bool waited_for;
};

static int direct(void *arg)
{
    struct director d = *(struct director *)arg;
    mem_free(arg);
    int rc = d.fn(d.sim, d.arg);
    if (rc < 0 && rc != -ECANCELED)
        sim_fail(d.sim, "director '%s' ended with %d", d.name, rc);
    d.sim->root_work -= d.waited_for;
    return rc;
}

int director_start(struct sim *sim, const char *name, int (*fn)(struct sim *sim, void *arg),
    void *arg, bool waited_for)
{
    struct director *d = mem_alloc(sizeof *d);
    if (!d)
        return -ENOMEM;
    *d = (struct director){sim, name, fn, arg, waited_for};
    int rc = sched_spawn(sim->directors->world.sched, name, direct, d);
    if (rc) {
        mem_free(d);
        return rc;
    }
    sim->root_work += waited_for;
    sim_world_active(sim->directors);
    return 0;
}

int sim_direct(struct sim *sim, const char *name, int (*fn)(struct sim *sim, void *arg), void *arg)
{
    return director_start(sim, name, fn, arg, true);
}

static void check_director(const struct sim *sim, const char *call)
{
    check(coro_self() && coro_sched(coro_self()) == sim->directors->world.sched,
        "%s is for directors; components sleep by their world", call);
}

int sim_sleep_until(struct sim *sim, int64_t when)
{
    check_director(sim, "sim_sleep");
    return coro_sleep("director", when);
}

int sim_sleep(struct sim *sim, int64_t ns)
{
    return sim_sleep_until(sim, deadline_after(sim->now, ns));
}

int sim_wait(struct sim_process *p)
{
    check_director(p->sim, "sim_wait");
    return future_wait(&p->ended);
}
