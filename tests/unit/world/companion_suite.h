/*
 * companion_suite.h: what companions do in every world; uv_companion_test.c and
 * sim_companion_test.c run it in theirs.
 *
 * Each case is the body of a coroutine. What does not hold ends the process, since on a companion
 * a test cannot fail in any gentler way.
 */
#pragma once

#include "base/bug.h"
#include "coro/sync.h"
#include "world/world.h"

#include <errno.h>
#include <stdatomic.h>

#ifndef must
#    define must(condition) check(condition, "this does not hold: %s", #    condition)
#endif

/* Far longer than anything here takes, so that a lost wake is told. */
#define SOON(clock) ((clock) + 30 * NS_PER_S)

static inline struct companion *begin_companion(
    struct world *world, void (*fn)(struct companion *self, void *arg), void *arg)
{
    struct companion *c;
    must(world_companion(
             world, &(struct companion_options){.name = "helper", .run = fn, .arg = arg}, &c) == 0);
    return c;
}

static inline void end_companion(struct companion *c)
{
    must(companion_wait(c) == 0);
    companion_close(c);
}

static inline int64_t companion_now(struct companion *self)
{
    struct work *work = companion_work(self);
    return work->now(work);
}

static inline int park_a_while(struct companion *self)
{
    return companion_park(self, SOON(companion_now(self)));
}

/* ---- Start and end ---- */

static void add_one(struct companion *self, void *arg)
{
    ++*(int *)arg;
}

static inline int suite_companions_run_and_end(struct world *world)
{
    int numbers[8];
    struct companion *companions[8];
    for (int i = 0; i < 8; i++) {
        numbers[i] = i;
        companions[i] = begin_companion(world, add_one, &numbers[i]);
    }
    for (int i = 0; i < 8; i++) {
        must(companion_wait(companions[i]) == 0);
        must(companion_wait(companions[i]) == 0); /* again */
        companion_close(companions[i]);
        must(numbers[i] == i + 1);
    }
    return 0;
}

static void park_once(struct companion *self, void *arg)
{
    *(int *)arg = companion_park(self, DEADLINE_NEVER);
}

struct last_words {
    struct message message;
    struct world *world;
    bool delivered;
};

static void note_last_words(struct message *m)
{
    container_of(m, struct last_words, message)->delivered = true;
}

static void say_last_words(struct companion *self, void *arg)
{
    struct last_words *l = arg;
    world_post(l->world, &l->message);
}

/* So that who waited may free them. */
static inline int suite_what_it_posted_comes_before_its_end(struct world *world)
{
    for (int i = 0; i < 100; i++) {
        struct last_words l = {.message.deliver = note_last_words, .world = world};
        struct companion *c = begin_companion(world, say_last_words, &l);
        end_companion(c);
        must(l.delivered);
    }
    return 0;
}

static inline int suite_the_wait_for_an_end_has_a_deadline(struct world *world)
{
    int rc = 1;
    struct companion *c = begin_companion(world, park_once, &rc);
    {
        CORO_DEADLINE(world_now(world) + 2 * NS_PER_MS);
        must(companion_wait(c) == -ETIMEDOUT);
    }
    companion_wake(c);
    end_companion(c);
    must(rc == 0);
    return 0;
}

/* ---- Parking ---- */

static void wake_oneself_first(struct companion *self, void *arg)
{
    companion_wake(self);
    companion_wake(self);
    must(companion_park(self, DEADLINE_NEVER) == 0);
    must(companion_park(self, companion_now(self) + NS_PER_MS) == -ETIMEDOUT); /* two were one */
    companion_wake(self);
    must(companion_park(self, 1) == 0);
    must(companion_park(self, 1) == -ETIMEDOUT);
}

static inline int suite_a_wake_that_comes_first_is_kept(struct world *world)
{
    end_companion(begin_companion(world, wake_oneself_first, NULL));
    return 0;
}

static void park_until(struct companion *self, void *arg)
{
    for (int ms = 1; ms < 5; ms++) {
        int64_t until = companion_now(self) + ms * NS_PER_MS;
        must(companion_park(self, until) == -ETIMEDOUT);
        must(companion_now(self) >= until);
    }
    must(companion_park(self, 0) == -ETIMEDOUT);
    must(companion_park(self, -NS_PER_S) == -ETIMEDOUT);
    must(companion_park(self, INT64_MIN) == -ETIMEDOUT);
}

static inline int suite_parks_have_a_deadline(struct world *world)
{
    end_companion(begin_companion(world, park_until, NULL));
    return 0;
}

/* ---- To a companion and back ---- */

struct errand {
    struct world *home;
    struct message back;
    struct future came;
    int number; /* handed over there and back, without a lock */
    int rounds;
};

static void is_back(struct message *m)
{
    future_set(&container_of(m, struct errand, back)->came, 0);
}

static void run_errands(struct companion *self, void *arg)
{
    struct errand *e = arg;
    for (int i = 0; i < e->rounds; i++) {
        must(park_a_while(self) == 0);
        must(e->number == 2 * i);
        e->number++;
        world_post(e->home, &e->back);
    }
}

static inline int suite_work_goes_there_and_comes_back(struct world *world)
{
    struct errand e = {.home = world, .back.deliver = is_back, .rounds = 2000};
    struct companion *c = begin_companion(world, run_errands, &e);
    CORO_DEADLINE(SOON(world_now(world)));
    for (int i = 0; i < e.rounds; i++) {
        future_init(&e.came);
        companion_wake(c);
        must(future_wait(&e.came) == 0);
        must(e.number == 2 * i + 1);
        e.number++;
    }
    end_companion(c);
    return 0;
}

/* ---- Many wakers ---- */

#define WAKERS 3

struct tally {
    struct companion *counter;
    int each;
    atomic_int count;
    int plain[WAKERS]; /* each written by one */
    atomic_int next;
};

static void count_up(struct companion *self, void *arg)
{
    struct tally *t = arg;
    int me = atomic_fetch_add(&t->next, 1);
    for (int i = 1; i <= t->each; i++) {
        t->plain[me] = i;
        atomic_fetch_add_explicit(&t->count, 1, memory_order_relaxed);
        if (i % 16 == 0) {
            companion_wake(t->counter);
            companion_work(self)->burn(companion_work(self), i * 10);
        }
    }
}

static void await_all(struct companion *self, void *arg)
{
    struct tally *t = arg;
    while (atomic_load_explicit(&t->count, memory_order_relaxed) < WAKERS * t->each)
        must(park_a_while(self) == 0);
}

static inline int suite_no_wake_of_several_is_lost(struct world *world)
{
    for (int round = 0; round < 100; round++) {
        struct tally t = {.each = 16 * (1 + round % 7)};
        struct companion *wakers[WAKERS];
        t.counter = begin_companion(world, await_all, &t);
        for (int i = 0; i < WAKERS; i++)
            wakers[i] = begin_companion(world, count_up, &t);
        for (int i = 0; i < WAKERS; i++)
            end_companion(wakers[i]);
        end_companion(t.counter);
        for (int i = 0; i < WAKERS; i++)
            must(t.plain[i] == t.each);
    }
    return 0;
}

/* ---- Work ---- */

static inline int suite_the_clock_is_the_worlds(struct world *world)
{
    struct work *work = world_work(world);
    must(work == world_work(world));
    int64_t before = world_now(world);
    int64_t between = work->now(work);
    must(before <= between && between <= world_now(world));
    return 0;
}

/* What it says it used, of what it was to use. */
static inline int64_t burn_and_ask(struct work *work, int64_t ns)
{
    int64_t before = work->processor(work);
    work->burn(work, ns);
    return work->processor(work) - before;
}

static void burn_nothing(struct companion *self, void *arg)
{
    companion_work(self)->burn(companion_work(self), 0);
    companion_work(self)->burn(companion_work(self), -NS_PER_S);
}

static inline int suite_nothing_is_soon_burnt(struct world *world)
{
    CORO_DEADLINE(SOON(world_now(world)));
    end_companion(begin_companion(world, burn_nothing, NULL));
    return 0;
}
