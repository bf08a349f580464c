/*
 * watch.c: made-up file descriptors: numbers whose readiness is set by hand, so that code that
 * waits for a library's descriptor can run here.
 */
#include "world/sim/internal.h"

#define FIRST_FD 1000

struct fd {
    struct list link; /* in world.fds */
    struct list watches;
    int number;
    int events; /* what it is ready for */
};

struct sim_watch {
    struct watch watch;
    struct owned owned;
    struct list link; /* in fd.watches */
    struct fd *fd;
    struct coro *waiter;
};

int sim_fd(struct world *world)
{
    struct sim_world *w = sim_world_of(world);
    struct fd *fd = mem_zalloc(sizeof *fd);
    if (!fd)
        return -ENOMEM;
    fd->number = FIRST_FD + w->next_fd++;
    list_init(&fd->watches);
    list_push_back(&w->fds, &fd->link);
    return fd->number;
}

static struct fd *fd_find(struct sim_world *w, int number)
{
    list_each (link, &w->fds) {
        struct fd *fd = list_entry(link, struct fd, link);
        if (fd->number == number)
            return fd;
    }
    return NULL;
}

void sim_fd_set(struct world *world, int number, int events)
{
    struct sim_world *w = sim_world_of(world);
    struct fd *fd = fd_find(w, number);
    check(fd, "sim_fd_set was given %d, which sim_fd did not make for this world", number);
    fd->events = events;
    trace(w->sim, TRACE_READY_FD, host_of(w), (uint64_t)number, (uint64_t)events, 0);
    list_each (link, &fd->watches)
        sim_world_wake(w, list_entry(link, struct sim_watch, link)->waiter, 0);
}

void fds_free(struct sim_world *w)
{
    struct list *link;
    while ((link = list_pop_front(&w->fds)))
        mem_free(list_entry(link, struct fd, link));
}

/* ---- Watching ---- */

static struct sim_watch *of(struct watch *watch)
{
    return container_of(watch, struct sim_watch, watch);
}

static void give_up(struct owned *o)
{
    list_del(&container_of(o, struct sim_watch, owned)->link);
}

int sim_op_watch(struct world *world, int number, struct watch **out)
{
    struct sim_world *w = sim_world_of(world);
    if (w->dead)
        return -ECANCELED;
    struct fd *fd = fd_find(w, number);
    if (!fd)
        return -EBADF;
    struct sim_watch *watch = mem_zalloc(sizeof *watch);
    if (!watch)
        return -ENOMEM;
    owned_init(&watch->owned, &watch->watch.handle, w, give_up);
    watch->fd = fd;
    list_push_back(&fd->watches, &watch->link);
    *out = &watch->watch;
    return 0;
}

int sim_op_watch_wait(struct watch *handle, int events)
{
    struct sim_watch *watch = of(handle);
    while (!(watch->fd->events & events)) {
        int rc = sim_world_park(sim_world_of(handle->handle.world), "descriptor", &watch->waiter);
        if (rc)
            return rc;
    }
    return watch->fd->events & events;
}

void sim_op_watch_close(struct watch *handle)
{
    struct sim_watch *watch = of(handle);
    list_del(&watch->link);
    owned_closed(&watch->owned);
    sim_world_wake(sim_world_of(handle->handle.world), watch->waiter, -EBADF);
}
