/*
 * lock.h: how coroutines of one sched take turns.
 *
 * A *semaphore* is a number of places; a *mutex* is one place, with a holder. Who finds none free
 * waits in the order of coming, with the coroutine's deadline. To give a place back cannot fail and
 * does not wait, whatever has happened to the coroutine's deadline meanwhile: no place is ever
 * lost. It goes to the first that waits, so that nobody who comes later can be faster.
 */
#pragma once

#include "base/list.h"
#include "coro/coro.h"

struct semaphore {
    unsigned free;
    struct list waiters;
};

void semaphore_init(struct semaphore *s, unsigned places);
/* Nobody may be waiting. */
void semaphore_release(struct semaphore *s);
/* 0, -ETIMEDOUT or -ECANCELED; the place is the caller's only if 0. */
int semaphore_take(struct semaphore *s) __attribute__((warn_unused_result));
/* The same without waiting, callable outside a coroutine: false if none is free. */
bool semaphore_try_take(struct semaphore *s) __attribute__((warn_unused_result));
/* Gives back a place that was taken. Any code on the sched's thread may call. */
void semaphore_give(struct semaphore *s);

struct mutex {
    struct semaphore place;
    struct coro *holder; /* NULL: it is free, or going to the first that waits */
};

void mutex_init(struct mutex *m);
void mutex_release(struct mutex *m);
/* 0, -ETIMEDOUT or -ECANCELED; it is held only if 0. */
int mutex_lock(struct mutex *m) __attribute__((warn_unused_result));
/* By who holds it. */
void mutex_unlock(struct mutex *m);
