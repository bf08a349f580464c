/*
 * lock.c: see lock.h.
 */
#include "coro/lock.h"

#include "base/bug.h"
#include "coro/waiters.h"

void semaphore_init(struct semaphore *s, unsigned permits)
{
    *s = (struct semaphore){.free = permits};
    list_init(&s->waiters);
}

void semaphore_release(struct semaphore *s)
{
    check(list_empty(&s->waiters), "a semaphore was released while coroutines wait for it");
}

bool semaphore_try_take(struct semaphore *s)
{
    if (s->free == 0)
        return false;
    s->free--;
    return true;
}

int semaphore_take(struct semaphore *s)
{
    int rc = coro_poll();
    if (rc || semaphore_try_take(s))
        return rc;
    struct waiter self = {0};
    return waiters_wait(&s->waiters, &self, "semaphore");
}

void semaphore_give(struct semaphore *s)
{
    dcheck(s->free == 0 || list_empty(&s->waiters),
        "a coroutine waits for a semaphore that has permits");
    if (!waiters_wake_first(&s->waiters, 0))
        s->free++;
}

void mutex_init(struct mutex *m)
{
    *m = (struct mutex){0};
    semaphore_init(&m->permit, 1);
}

void mutex_release(struct mutex *m)
{
    check(!m->holder, "a mutex was released while coroutine '%s' holds it", coro_name(m->holder));
    semaphore_release(&m->permit);
}

int mutex_lock(struct mutex *m)
{
    check(!m->holder || m->holder != coro_self(), "coroutine '%s' locks a mutex that it holds",
        coro_name(m->holder));
    int rc = semaphore_take(&m->permit);
    if (rc == 0)
        m->holder = coro_self();
    return rc;
}

void mutex_unlock(struct mutex *m)
{
    check(m->holder && m->holder == coro_self(), "a mutex was unlocked by who does not hold it");
    m->holder = NULL;
    semaphore_give(&m->permit);
}
