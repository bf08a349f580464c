/*
 * processes.c: the calls of world.h for what runs beside: child processes and the memory that is
 * shared with them, threads and companions; and for signals. See world.c.
 */
#include "world/guard.h"

#include <errno.h>

/* ---- Child processes ---- */

int world_spawn(struct world *w, const struct spawn_options *options, struct child **out)
{
    check_here(w, "world_spawn");
    if (options->listener_count > SPAWN_LISTENERS_MAX)
        return -E2BIG;
    return w->ops->spawn(w, options, out);
}

int child_pid(const struct child *c)
{
    check_open(&c->handle, "child_pid");
    return c->handle.world->ops->child_pid(c);
}

int child_wait(struct child *c, struct child_exit *out)
{
    int rc = begin_wait(&c->handle, HANDLE_READ, "child_wait");
    if (rc)
        return rc;
    rc = c->handle.world->ops->child_wait(c, out);
    end_wait(&c->handle, HANDLE_READ);
    return rc;
}

int child_signal(struct child *c, int signal)
{
    check_open(&c->handle, "child_signal");
    return c->handle.world->ops->child_signal(c, signal);
}

void child_close(struct child *c)
{
    begin_close(&c->handle, "child_close")->child_close(c);
    handle_release(&c->handle);
}

int child_limit(struct child *c, const struct child_limits *limits, enum child_memory *memory)
{
    check_open(&c->handle, "child_limit");
    return c->handle.world->ops->child_limit(c, limits, memory);
}

int64_t child_resident(struct child *c)
{
    check_open(&c->handle, "child_resident");
    return c->handle.world->ops->child_resident(c);
}

bool child_ran_out_of_memory(const struct child *c)
{
    check_open(&c->handle, "child_ran_out_of_memory");
    return c->handle.world->ops->child_ran_out_of_memory(c);
}

/* ---- Shared memory ---- */

int world_shared(struct world *w, size_t max, struct shared **out)
{
    check_here(w, "world_shared");
    return w->ops->shared(w, max, out);
}

char *shared_base(const struct shared *s)
{
    check_open(&s->handle, "shared_base");
    return s->handle.world->ops->shared_base(s);
}

int shared_grow(struct shared *s, size_t size)
{
    check_open(&s->handle, "shared_grow");
    return s->handle.world->ops->shared_grow(s, size);
}

size_t shared_size(const struct shared *s)
{
    check_open(&s->handle, "shared_size");
    return s->handle.world->ops->shared_size(s);
}

void shared_trim(struct shared *s, size_t from)
{
    check_open(&s->handle, "shared_trim");
    s->handle.world->ops->shared_trim(s, from);
}

void shared_close(struct shared *s)
{
    begin_close(&s->handle, "shared_close")->shared_close(s);
    handle_release(&s->handle);
}

/* ---- Signals ---- */

int world_signals(struct world *w, const int *numbers, int count, struct signals **out)
{
    check_here(w, "world_signals");
    return w->ops->signals(w, numbers, count, out);
}

int signals_next(struct signals *s)
{
    int rc = begin_wait(&s->handle, HANDLE_READ, "signals_next");
    if (rc)
        return rc;
    rc = s->handle.world->ops->signals_next(s);
    end_wait(&s->handle, HANDLE_READ);
    return rc;
}

void signals_close(struct signals *s)
{
    begin_close(&s->handle, "signals_close")->signals_close(s);
    handle_release(&s->handle);
}

/* ---- Threads ---- */

int world_thread(struct world *w, const char *name, int (*fn)(struct world *w, void *arg),
    void *arg, struct thread **out)
{
    check_here(w, "world_thread");
    return w->ops->thread(w, name, fn, arg, out);
}

struct world *thread_world(struct thread *t)
{
    return t->own;
}

int thread_wait(struct thread *t, int *result)
{
    int rc = begin_wait(&t->handle, HANDLE_READ, "thread_wait");
    if (rc)
        return rc;
    rc = t->handle.world->ops->thread_wait(t, result);
    end_wait(&t->handle, HANDLE_READ);
    return rc;
}

void thread_close(struct thread *t)
{
    check(t->ended,
        "thread_close was called on a thread that runs; have it end, and wait for that with "
        "thread_wait");
    begin_close(&t->handle, "thread_close")->thread_close(t);
    handle_release(&t->handle);
}

/* ---- Companions ---- */

int world_companion(
    struct world *w, const struct companion_options *options, struct companion **out)
{
    check_here(w, "world_companion");
    dcheck(options->nice >= 0 && options->nice <= 19,
        "world_companion was given a niceness of %d; it is 0 to 19", options->nice);
    return w->ops->companion(w, options, out);
}

int companion_wait(struct companion *c)
{
    int rc = begin_wait(&c->handle, HANDLE_READ, "companion_wait");
    if (rc)
        return rc;
    rc = c->handle.world->ops->companion_wait(c);
    end_wait(&c->handle, HANDLE_READ);
    return rc;
}

void companion_close(struct companion *c)
{
    check(c->ended,
        "companion_close was called on a companion that runs; have it end, and wait for that with "
        "companion_wait");
    begin_close(&c->handle, "companion_close")->companion_close(c);
    handle_release(&c->handle);
}

int companion_park(struct companion *self, int64_t until)
{
    return self->handle.world->ops->companion_park(self, until);
}

struct work *companion_work(struct companion *self)
{
    return self->work;
}

void companion_wake(struct companion *c)
{
    c->handle.world->ops->companion_wake(c);
}

struct work *world_work(struct world *w)
{
    check_here(w, "world_work");
    return w->work;
}
