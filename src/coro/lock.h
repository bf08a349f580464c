/*
 * lock.h: mutex and counting semaphore for the coroutines of one sched.
 *
 * A *semaphore* has a number of permits; a *mutex* has one, and a holder. Waiting is first come,
 * first served, with the coroutine's deadline. Releasing cannot fail and does not wait, whatever
 * happened to the coroutine's deadline: no permit is lost. It goes to the first waiter, never to a
 * newcomer.
 */
#pragma once

#include "base/list.h"
#include "coro/coro.h"

struct semaphore {
    unsigned free;
    struct list waiters;
};

void semaphore_init(struct semaphore *s, unsigned permits);
/* Nobody may be waiting. */
void semaphore_release(struct semaphore *s);
/* 0, -ETIMEDOUT or -ECANCELED; the caller has a permit only if 0. */
int semaphore_take(struct semaphore *s) __attribute__((warn_unused_result));
/* The same without waiting, also outside a coroutine. Returns false if none is free. */
bool semaphore_try_take(struct semaphore *s) __attribute__((warn_unused_result));
/* Releases a permit. On the sched's thread, inside a coroutine or not. */
void semaphore_give(struct semaphore *s);

struct mutex {
    struct semaphore permit;
    struct coro *holder; /* NULL: free, or passing to the first waiter */
};

void mutex_init(struct mutex *m);
void mutex_release(struct mutex *m);
/* 0, -ETIMEDOUT or -ECANCELED; it is held only if 0. */
int mutex_lock(struct mutex *m) __attribute__((warn_unused_result));
/* By the holder. */
void mutex_unlock(struct mutex *m);
