/*
 * companion.c: threads without a loop, for work that would hold a loop up.
 *
 * A companion sleeps on one word, by futex(2): to wake it takes one atomic exchange, and a system
 * call only if it sleeps. That it has ended, its world hears by a message.
 */
#include "base/bug.h"
#include "base/mem.h"
#include "world/uv/internal.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* PARKED: it sleeps, or is about to. WOKEN: its present park ends, or its next. */
enum { AWAKE, WOKEN, PARKED };

struct uv_companion {
    struct companion companion;
    char name[16]; /* all that the kernel keeps */
    void (*run)(struct companion *self, void *arg);
    void *arg;
    int nice;
    pthread_t pthread;       /* as its parent knows it */
    _Atomic(pthread_t) self; /* as it knows itself; for who asks wrongly, too */
    struct coro *waiter;
    struct message over; /* to the parent, when `run` has returned */
    _Atomic uint32_t parking;
};

static struct uv_companion *of(struct companion *c)
{
    return container_of(c, struct uv_companion, companion);
}

/* ---- Parking ---- */

/* Until it may be PARKED no more, or until the moment. */
static void sleep_while_parked(struct uv_companion *c, int64_t until)
{
    struct timespec t = {until / NS_PER_S, until % NS_PER_S};
    long rc = syscall(SYS_futex, &c->parking, FUTEX_WAIT_BITSET_PRIVATE, PARKED,
        until == DEADLINE_NEVER ? NULL : &t, NULL, FUTEX_BITSET_MATCH_ANY);
    check(rc == 0 || errno == EAGAIN || errno == EINTR || errno == ETIMEDOUT,
        "a companion cannot sleep (errno %d)", errno);
}

/* Whether it was WOKEN, which is used up. What its wakers did before, this thread sees from here
 * on: also those before the last, since an exchange hands on what the one before it released. */
static bool take_wake(struct uv_companion *c)
{
    return atomic_exchange_explicit(&c->parking, AWAKE, memory_order_acquire) == WOKEN;
}

static bool is_past(struct uv_companion *c, int64_t moment)
{
    return moment != DEADLINE_NEVER && c->companion.work->now(c->companion.work) >= moment;
}

int uv_companion_park(struct companion *self, int64_t until)
{
    struct uv_companion *c = of(self);
    dcheck(pthread_equal(c->self, pthread_self()),
        "companion_park was called by another thread than the companion '%s' itself", c->name);
    uint32_t before = AWAKE;
    if (atomic_compare_exchange_strong_explicit(
            &c->parking, &before, PARKED, memory_order_relaxed, memory_order_relaxed))
        do
            sleep_while_parked(c, until > 0 ? until : 0);
        while (atomic_load_explicit(&c->parking, memory_order_relaxed) == PARKED &&
               !is_past(c, until));
    return take_wake(c) ? 0 : -ETIMEDOUT;
}

/* It may have ended, been closed and freed between the exchange and the system call, if another
 * waker was sooner. The word is a name then, no memory that is touched: at worst whoever sleeps at
 * that address now wakes too early, which all who sleep by futex must bear. */
void uv_companion_wake(struct companion *companion)
{
    struct uv_companion *c = of(companion);
    if (atomic_exchange_explicit(&c->parking, WOKEN, memory_order_release) == PARKED)
        syscall(SYS_futex, &c->parking, FUTEX_WAKE_PRIVATE, 1);
}

/* ---- In the companion ---- */

/* To be nicer needs no permission; nice is each thread's own. It computes: it shall not push aside
 * who waits, as the loop does that started it. */
static void be_nice(int by)
{
    thread_slice(0, SLICE_AS_USUAL_NS);
    if (by > 0)
        setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + by);
}

static void *run(void *arg)
{
    struct uv_companion *c = arg;
    c->self = pthread_self();
    pthread_setname_np(c->self, c->name);
    be_nice(c->nice);
    c->run(&c->companion, c->arg);
    world_post(c->companion.handle.world, &c->over);
    return NULL;
}

/* ---- In the parent ---- */

static void is_over(struct message *m)
{
    struct uv_companion *c = container_of(m, struct uv_companion, over);
    c->companion.ended = true;
    if (c->waiter)
        coro_wake(c->waiter, 0);
}

int uv_world_companion(
    struct world *world, const struct companion_options *options, struct companion **out)
{
    struct uv_world *w = uv_world_of(world);
    struct uv_companion *c = mem_zalloc(sizeof(*c));
    if (!c)
        return -ENOMEM;
    snprintf(c->name, sizeof(c->name), "%s", options->name);
    c->run = options->run;
    c->arg = options->arg;
    c->nice = options->nice;
    c->over.deliver = is_over;
    c->companion.work = &w->work; /* it has no state */
    atomic_init(&c->parking, AWAKE);
    kind_opened(w, KIND_COMPANION, &c->companion.handle);
    int rc = thread_start(&c->pthread, run, c);
    if (rc) {
        kind_closed(KIND_COMPANION, &c->companion.handle);
        mem_free(c);
        return rc;
    }
    *out = &c->companion;
    return 0;
}

int uv_companion_wait(struct companion *companion)
{
    struct uv_companion *c = of(companion);
    if (companion->ended)
        return 0;
    c->waiter = coro_self();
    int rc = coro_park("companion");
    c->waiter = NULL;
    return rc;
}

/* It has nothing left to do but to end. */
void uv_companion_close(struct companion *companion)
{
    kind_closed(KIND_COMPANION, &companion->handle);
    pthread_join(of(companion)->pthread, NULL);
}
