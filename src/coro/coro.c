/*
 * coro.c: a sched and its coroutines: starting, parking, waking, ending.
 *
 * Who is ready stands in a ring; a coroutine that parks or ends goes straight on to the next in the
 * ring, without a detour over the thread's own stack, until the budget of this sched_run is used
 * up. An ended coroutine cannot give back the stack it still stands on: whoever comes next does
 * that for it.
 *
 * Alarms are lazy. A coroutine has one, and a request's waits share one deadline, so an alarm that
 * is early enough is left where it is from wait to wait; when it goes off too early it is moved to
 * the right moment. That makes deadlines cost one heap operation a request rather than two a wait.
 */
#include "coro/coro.h"

#include "base/bug.h"
#include "base/mem.h"
#include "coro/group.h"
#include "coro/internal.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

/* The most coroutines one sched may have: what its heap of alarms is bounded by. */
#define COROS_MAX (16 * 1024 * 1024)

/* After so many waits a cancelled coroutine is taken to ignore it. */
#define REFUSED_MAX (1000 * 1000)

/* The sched that runs on this thread now: how coroutines are found from the inside. */
static _Thread_local struct sched *here;

/* ---- Life of a sched ---- */

int sched_open(struct sched **out, const struct sched_options *options)
{
    check(options->now, "a sched needs a clock to tell deadlines on");
    int rc = switch_supported();
    if (rc)
        return rc;
    struct sched *s = mem_zalloc(sizeof *s);
    if (!s)
        return -ENOMEM;
    s->options = *options;
    size_t stack = options->stack_size ? options->stack_size : CORO_STACK_DEFAULT;
    size_t idle = options->stacks_idle_max ? options->stacks_idle_max : CORO_STACKS_IDLE_DEFAULT;
    size_t guards =
        options->guard_mappings_max ? options->guard_mappings_max : CORO_GUARD_MAPPINGS_DEFAULT;
    stack_pool_init(&s->stacks, stack, idle, guards);
    heap_init(&s->alarms, COROS_MAX);
    list_init(&s->everyone);
    s->owner = (unsigned long)pthread_self();
    *out = s;
    return 0;
}

void sched_close(struct sched *s)
{
    check(s->count == 0, "a sched was closed while %zu of its coroutines had not ended", s->count);
    stack_pool_release(&s->stacks);
    heap_release(&s->alarms);
    mem_free(s->ready);
    mem_free(s);
}

bool sched_here(const struct sched *s)
{
    return s->owner == (unsigned long)pthread_self();
}

size_t sched_count(const struct sched *s)
{
    return s->count;
}

size_t sched_stack_high_water(struct sched *s)
{
    return stack_high_water(&s->stacks);
}

/* ---- Who is ready ---- */

static inline struct coro **ready_place(struct sched *s, size_t index)
{
    return &s->ready[(s->ready_head + index) & (s->ready_size - 1)];
}

static int ready_reserve(struct sched *s, size_t count)
{
    if (count <= s->ready_size)
        return 0;
    size_t size = s->ready_size ? s->ready_size * 2 : 64;
    struct coro **bigger = mem_alloc(size * sizeof *bigger);
    if (!bigger)
        return -ENOMEM;
    for (size_t i = 0; i < s->ready_count; i++)
        bigger[i] = *ready_place(s, i);
    mem_free(s->ready);
    s->ready = bigger;
    s->ready_size = size;
    s->ready_head = 0;
    return 0;
}

static inline void make_ready(struct coro *c)
{
    struct sched *s = c->sched;
    c->state = CORO_READY;
    *ready_place(s, s->ready_count++) = c;
}

static struct coro *take_ready(struct sched *s)
{
    if (s->options.pick && s->ready_count > 1) {
        struct coro **chosen = ready_place(s, s->options.pick(s->options.pick_ctx, s->ready_count));
        struct coro *c = *chosen;
        *chosen = *ready_place(s, 0);
        *ready_place(s, 0) = c;
    }
    struct coro *c = *ready_place(s, 0);
    s->ready_head++;
    s->ready_count--;
    return c;
}

bool sched_ready(const struct sched *s)
{
    return s->ready_count > 0;
}

size_t sched_ready_count(const struct sched *s)
{
    return s->ready_count;
}

/* ---- Going from one to the next ---- */

static void bury(struct sched *s)
{
    struct coro *dead = s->dead;
    if (!dead)
        return;
    s->dead = NULL;
    switch_release(&dead->context);
    struct stack stack = dead->stack; /* `dead` stands on it */
    stack_give(&s->stacks, &stack);
}

/* Who goes on when the running coroutine leaves: the next that is ready, or the thread when the
 * budget is used up. */
static struct context *next_context(struct sched *s)
{
    if (s->budget == 0 || s->ready_count == 0) {
        s->running = NULL;
        return &s->thread;
    }
    s->budget--;
    s->running = take_ready(s);
    s->running->state = CORO_RUNNING;
    if (s->ready_count > 0)
        switch_expect(&(*ready_place(s, 0))->context);
    return &s->running->context;
}

static void check_stack(const struct coro *c)
{
    check(stack_intact(&c->stack),
        "coroutine '%s' has overflowed its stack of %zu KiB, and what it wrote below is lost; "
        "give its sched a larger stack_size",
        c->name, c->stack.size / 1024);
}

/* Leaves the running coroutine, which is parked or ready, and returns when it goes on. */
static void leave(struct sched *s, struct coro *self)
{
    check_stack(self);
    check(!s->is_deep, "coroutine '%s' waits within coro_call_deep", self->name);
    struct context *next = next_context(s);
    if (next == &self->context)
        return;
    switch_to(&self->context, next);
    bury(s);
}

void coro_call_deep(void (*fn)(void *arg), void *arg)
{
    struct coro *self = coro_self();
    struct sched *s = self->sched;
    check_stack(self);
    s->deep = fn;
    s->deep_arg = arg;
    switch_to(&self->context, &s->thread);
}

/* On the thread's own stack, for the running coroutine, until that goes on. */
static void call_deep(struct sched *s)
{
    void (*fn)(void *arg) = s->deep;
    s->deep = NULL;
    s->is_deep = true;
    fn(s->deep_arg);
    s->is_deep = false;
    switch_to(&s->thread, &s->running->context);
}

static size_t run_ready(struct sched *s, size_t most)
{
    check(!here, "a sched is run from inside a coroutine");
    size_t before = most < s->ready_count ? most : s->ready_count;
    if (before == 0)
        return 0;
    unsigned long thread = (unsigned long)pthread_self();
    if (s->owner != thread || !s->prepared) {
        check(switch_supported() == 0,
            "a sched is run by a thread with a hardware shadow stack, which knows one stack only");
        switch_prepare_thread(&s->thread);
        s->owner = thread;
        s->prepared = true;
    }
    overflow_prepare_thread();
    here = s;
    s->yields = 0;
    s->budget = before;
    switch_to(&s->thread, next_context(s));
    bury(s);
    while (s->deep) {
        call_deep(s);
        bury(s);
    }
    here = NULL;
    return before;
}

bool sched_pressing(const struct sched *s)
{
    return s->ready_count > s->yields;
}

size_t sched_run(struct sched *s)
{
    return run_ready(s, SIZE_MAX);
}

bool sched_run_one(struct sched *s)
{
    return run_ready(s, 1) == 1;
}

/* ---- Starting and ending ---- */

static void coro_main(void *arg)
{
    struct coro *self = arg;
    struct sched *s = self->sched;
    switch_arrived(&self->context);
    bury(s);

    int result = self->fn(self->arg);
    coro_run_defers(self);
    check(list_empty(&self->groups), "coroutine '%s' ended with a group still open", self->name);

    check_stack(self);
    if (heap_linked(&self->alarm))
        heap_remove(&s->alarms, &self->alarm);
    list_del(&self->everyone);
    s->count--;
    self->state = CORO_ENDED;
    if (self->group)
        group_child_ended(self->group, self, result);
    s->dead = self;
    switch_to_last(&self->context, next_context(s));
}

int coro_start(struct sched *s, struct group *group, const char *name, coro_fn *fn, void *arg)
{
    /* A place in each for everyone: alarms.count of them have one. */
    if (ready_reserve(s, s->count + 1) ||
        heap_reserve(&s->alarms, (uint32_t)(s->count + 1) - s->alarms.count))
        return -ENOMEM;
    struct stack stack;
    int rc = stack_take(&s->stacks, &stack);
    if (rc)
        return rc;
    size_t usable = (stack.size - sizeof(struct coro) - stack_colour(&stack)) & ~(size_t)63;
    struct coro *c = (void *)(stack.low + usable);
    *c = (struct coro){
        .stack = stack,
        .sched = s,
        .name = name,
        .fn = fn,
        .arg = arg,
        .group = group,
        .deadline = DEADLINE_NEVER,
    };
    switch_prepare(&c->context, stack.low, usable, coro_main, c);
    list_init(&c->sibling);
    list_init(&c->groups);
    c->defers = c->few_defers;
    c->defer_size = sizeof c->few_defers / sizeof *c->few_defers;
    list_push_back(&s->everyone, &c->everyone);
    s->count++;
    if (group) {
        c->deadline = coro_deadline();
        list_push_back(&group->children, &c->sibling);
    }
    make_ready(c);
    return 0;
}

int sched_spawn(struct sched *s, const char *name, coro_fn *fn, void *arg)
{
    return coro_start(s, NULL, name, fn, arg);
}

/* ---- Alarms ---- */

/* Has the alarm go off at `when` or sooner. */
static void alarm_set(struct coro *c, int64_t when)
{
    if (heap_linked(&c->alarm)) {
        if (c->alarm_at <= when)
            return;
        heap_remove(&c->sched->alarms, &c->alarm);
    }
    c->alarm_at = when;
    int rc = heap_push(&c->sched->alarms, &c->alarm, when);
    check(rc == 0, "no room for an alarm, although coro_start reserved it");
}

/* Its alarm has gone off: ends the wait, if it waits and the moment has come. */
static void alarm_rings(struct coro *c, int64_t now)
{
    if (c->state != CORO_PARKED || c->deaf || c->wake_at == DEADLINE_NEVER)
        return;
    if (c->wake_at > now) {
        alarm_set(c, c->wake_at);
        return;
    }
    c->result = c->sleeping ? 0 : -ETIMEDOUT;
    c->timed_out = !c->sleeping;
    make_ready(c);
}

int64_t sched_next_deadline(const struct sched *s)
{
    return heap_first_key(&s->alarms);
}

void sched_expire(struct sched *s, int64_t now)
{
    while (heap_first_key(&s->alarms) <= now && !heap_empty(&s->alarms)) {
        struct coro *c = container_of(heap_pop(&s->alarms), struct coro, alarm);
        alarm_rings(c, now);
    }
}

/* ---- Waiting and waking ---- */

static int64_t now_of(const struct sched *s)
{
    return s->options.now(s->options.now_ctx);
}

int coro_poll(void)
{
    struct coro *self = coro_must_be_inside("coro_poll");
    if (coro_hears_cancel(self)) {
        /* It does not leave the processor any more, so nobody else could say so. */
        check(++self->refused < REFUSED_MAX,
            "coroutine '%s' has been cancelled, and waits again each time it is told -ECANCELED",
            self->name);
        return -ECANCELED;
    }
    if (self->deadline != DEADLINE_NEVER && now_of(self->sched) >= self->deadline)
        return -ETIMEDOUT;
    return 0;
}

static int park(struct coro *self, const char *why, int64_t wake_at, bool sleeping)
{
    self->why = why;
    self->wake_at = wake_at;
    self->sleeping = sleeping;
    self->timed_out = false;
    self->state = CORO_PARKED;
    if (wake_at != DEADLINE_NEVER)
        alarm_set(self, wake_at);
    leave(self->sched, self);
    return self->result;
}

int coro_park(const char *why)
{
    int rc = coro_poll();
    if (rc)
        return rc;
    struct coro *self = here->running;
    return park(self, why, self->deadline, false);
}

void coro_park_deaf(const char *why)
{
    struct coro *self = coro_must_be_inside("coro_park_deaf");
    self->deaf = true;
    park(self, why, DEADLINE_NEVER, false);
    self->deaf = false;
}

int coro_sleep(const char *why, int64_t when)
{
    int rc = coro_poll();
    if (rc)
        return rc;
    struct coro *self = here->running;
    if (now_of(self->sched) >= when)
        return 0;
    bool in_time = when <= self->deadline;
    return park(self, why, in_time ? when : self->deadline, in_time);
}

int coro_yield(void)
{
    int rc = coro_poll();
    if (rc)
        return rc;
    struct coro *self = here->running;
    self->result = 0;
    self->timed_out = false;
    self->sched->yields++;
    make_ready(self);
    leave(self->sched, self);
    return self->result;
}

bool coro_wake(struct coro *c, int result)
{
    dcheck(
        sched_here(c->sched), "coroutine '%s' is woken from another thread than its own", c->name);
    if (c->state != CORO_PARKED)
        return false;
    c->result = result;
    make_ready(c);
    return true;
}

void coro_cancel(struct coro *c)
{
    dcheck(sched_here(c->sched), "coroutine '%s' is cancelled from another thread than its own",
        c->name);
    c->cancelled = true;
    if (!coro_hears_cancel(c))
        return;
    if (c->state == CORO_PARKED && !c->deaf)
        coro_wake(c, -ECANCELED);
    else if (c->state == CORO_READY && c->timed_out)
        c->result = -ECANCELED; /* cancellation wins over time-out */
}

void sched_cancel_all(struct sched *s)
{
    list_each (link, &s->everyone) {
        struct coro *c = list_entry(link, struct coro, everyone);
        c->doomed = true;
        coro_cancel(c);
    }
}

/* ---- What a coroutine may ask ---- */

struct coro *coro_self(void)
{
    return here ? here->running : NULL;
}

const char *coro_name(const struct coro *c)
{
    return c->name;
}

struct sched *coro_sched(const struct coro *c)
{
    return c->sched;
}

bool coro_cancelled(const struct coro *c)
{
    return c->cancelled;
}

const char *sched_running_name(void)
{
    struct coro *self = coro_self();
    return self ? self->name : NULL;
}

/* ---- Reports ---- */

void sched_describe(const struct sched *s, void (*line)(void *ctx, const char *text), void *ctx)
{
    list_each (link, &s->everyone) {
        const struct coro *c = list_entry(link, struct coro, everyone);
        static const char *const states[] = {"is ready", "runs", "waits", "has ended"};
        char text[256];
        snprintf(text, sizeof text, "coroutine '%s' %s%s%s%s", c->name, states[c->state],
            c->state == CORO_PARKED ? " in " : "", c->state == CORO_PARKED ? c->why : "",
            c->cancelled ? ", cancelled" : "");
        line(ctx, text);
    }
}
