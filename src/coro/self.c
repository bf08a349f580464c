/*
 * self.c: what the running coroutine settles for itself: until when its waits last, whether they
 * hear a cancellation, how much stack it keeps, and what is done at its end.
 */
#include "coro/coro.h"

#include "base/bug.h"
#include "base/mem.h"
#include "coro/internal.h"

#include <errno.h>
#include <string.h>

struct coro *coro_must_be_inside(const char *call)
{
    struct coro *self = coro_self();
    check(self, "%s was called outside a coroutine; only coroutines can wait", call);
    return self;
}

/* ---- Until when it waits, and what it hears ---- */

int64_t coro_deadline(void)
{
    return coro_must_be_inside("coro_deadline")->deadline;
}

struct coro_deadline_scope coro_deadline_narrow(int64_t when)
{
    struct coro *self = coro_must_be_inside("CORO_DEADLINE");
    struct coro_deadline_scope scope = {.before = self->deadline};
    self->deadline = deadline_sooner(when, self->deadline);
    return scope;
}

void coro_deadline_restore(struct coro_deadline_scope *scope)
{
    coro_must_be_inside("CORO_DEADLINE")->deadline = scope->before;
}

struct coro_shield_scope coro_shield_begin(int64_t when)
{
    struct coro *self = coro_must_be_inside("CORO_SHIELD");
    struct coro_shield_scope scope = {.before = self->deadline};
    self->deadline = self->shields > 0 ? deadline_sooner(when, self->deadline) : when;
    self->shields++;
    return scope;
}

void coro_shield_end(struct coro_shield_scope *scope)
{
    struct coro *self = coro_must_be_inside("CORO_SHIELD");
    self->shields--;
    self->deadline = scope->before;
}

/* ---- Its stack ---- */

void coro_trim(void)
{
    struct coro *self = coro_must_be_inside("coro_trim");
    stack_trim(&self->sched->stacks, &self->stack);
}

/* ---- Defers ---- */

static int defers_grow(struct coro *self)
{
    unsigned size = self->defer_size * 2;
    bool few = self->defers == self->few_defers;
    struct defer *bigger = mem_realloc(few ? NULL : self->defers, size * sizeof *bigger);
    if (!bigger)
        return -ENOMEM;
    if (few)
        memcpy(bigger, self->few_defers, sizeof self->few_defers);
    self->defers = bigger;
    self->defer_size = size;
    return 0;
}

int coro_defer(void (*run)(void *arg), void *arg)
{
    struct coro *self = coro_must_be_inside("coro_defer");
    if (self->defer_count == self->defer_size && defers_grow(self) != 0) {
        run(arg);
        return -ENOMEM;
    }
    self->defers[self->defer_count++] = (struct defer){.run = run, .arg = arg};
    return 0;
}

bool coro_defer_drop(void (*run)(void *arg), void *arg)
{
    struct coro *self = coro_must_be_inside("coro_defer_drop");
    for (unsigned i = self->defer_count; i-- > 0;) {
        if (self->defers[i].run != run || self->defers[i].arg != arg)
            continue;
        memmove(&self->defers[i], &self->defers[i + 1],
            (--self->defer_count - i) * sizeof *self->defers);
        return true;
    }
    return false;
}

/* One may add others. */
void coro_run_defers(struct coro *self)
{
    while (self->defer_count > 0) {
        struct defer d = self->defers[--self->defer_count];
        d.run(d.arg);
    }
    if (self->defers != self->few_defers)
        mem_free(self->defers);
}
