/*
 * world.c: the calls of world.h, for every world alike: misuse is caught here, once (guard.h), and
 * what is left goes to the world that made the handle. Those for streams, processes and files are
 * in files of these names.
 */
#include "world/guard.h"

#include "base/mem.h"

void handle_release(struct handle *h)
{
    if (--h->holds == 0)
        mem_retire(h);
}

/* ---- Time and chance ---- */

int64_t world_now(struct world *w)
{
    return w->ops->now(w);
}

int64_t world_wall(struct world *w)
{
    return w->ops->wall(w);
}

int world_sleep_until(struct world *w, int64_t when)
{
    check_waiter(w, "world_sleep_until");
    return coro_sleep("sleep", when);
}

int world_sleep(struct world *w, int64_t span_ns)
{
    return world_sleep_until(w, deadline_after(world_now(w), span_ns));
}

void world_random(struct world *w, void *buffer, size_t size)
{
    w->ops->random(w, buffer, size);
}

uint64_t world_tick(const struct world *w)
{
    return w->tick;
}

void world_call_deep(struct world *w, void (*fn)(void *arg), void *arg)
{
    w->ops->call_deep(w, fn, arg);
}

struct sched *world_sched(struct world *w)
{
    return w->sched;
}

struct log *world_log(struct world *w)
{
    return w->log;
}

unsigned world_cores(struct world *w)
{
    return w->ops->cores(w);
}

/* ---- Names ---- */

int world_resolve(struct world *w, const char *host, uint16_t port, struct address *out, int max)
{
    check_waiter(w, "world_resolve");
    dcheck(max > 0, "world_resolve was given no room for an address");
    int rc = coro_poll();
    return rc ? rc : w->ops->resolve(w, host, port, out, max);
}

/* ---- Messages ---- */

void world_post(struct world *w, struct message *m)
{
    w->ops->post(w, m);
}

/* ---- Descriptors ---- */

int world_watch(struct world *w, int fd, struct watch **out)
{
    check_here(w, "world_watch");
    return w->ops->watch(w, fd, out);
}

int watch_wait(struct watch *watch, int events)
{
    dcheck(events, "watch_wait was asked to wait for nothing, which would last for ever");
    int rc = begin_wait(&watch->handle, HANDLE_READ, "watch_wait");
    if (rc)
        return rc;
    rc = watch->handle.world->ops->watch_wait(watch, events);
    end_wait(&watch->handle, HANDLE_READ);
    return rc;
}

void watch_close(struct watch *watch)
{
    begin_close(&watch->handle, "watch_close")->watch_close(watch);
    handle_release(&watch->handle);
}
