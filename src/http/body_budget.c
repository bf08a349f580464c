/*
 * body_budget.c: see body_budget.h.
 *
 * Claims and releases change `used` without the lock. A claim that does not fit increments
 * `waiting`, and then tries once more; a release subtracts first, and then reads `waiting`. Both
 * orders are sequentially consistent, so one of the two sees the other, and no claim waits while
 * there is room for it.
 */
#include "http/body_budget.h"

#include "base/bug.h"
#include "base/error.h"
#include "base/mem.h"

#include <errno.h>
#include <pthread.h>

/* Claims that wait at once. Each is a connection with a head and no body. */
#define WAITING_MAX 1024

struct body_share {
    struct body_budget *budget;
    struct world *world;    /* NULL: not joined */
    struct message message; /* there are granted claims */
    bool posted;            /* the message, and it has not been delivered */
    struct coro *leaver;    /* waits for that */
    struct list granted;
    _Atomic uint64_t large; /* of the statistics; written by this thread alone */
};

struct body_budget {
    uint64_t max;
    _Atomic uint64_t used;
    _Atomic uint64_t waiting;
    _Atomic uint64_t refused;
    pthread_mutex_t lock; /* of the queue and the shares; nothing that waits is called under it */
    bool locked;          /* under the lock */
    struct list queue;
    unsigned share_count;
    struct body_share shares[];
};

static void lock(struct body_budget *b)
{
    int rc = pthread_mutex_lock(&b->lock);
    check(rc == 0, "the lock of the body budget cannot be taken: %s", error_text(-rc));
    b->locked = true;
}

static void unlock(struct body_budget *b)
{
    b->locked = false;
    int rc = pthread_mutex_unlock(&b->lock);
    check(rc == 0, "the lock of the body budget cannot be released: %s", error_text(-rc));
}

static bool reserve(struct body_budget *b, uint64_t bytes)
{
    uint64_t used = atomic_load(&b->used);
    do
        if (bytes > b->max || used > b->max - bytes)
            return false;
    while (!atomic_compare_exchange_weak(&b->used, &used, used + bytes));
    return true;
}

/* ---- Claims that wait: all under the lock ---- */

static void grant(struct body_budget *b, struct body_claim *c)
{
    struct body_share *s = c->share;
    check(b->locked && !c->granted, "a claim is granted twice, or without the lock");
    c->granted = true;
    list_del(&c->link);
    atomic_fetch_sub(&b->waiting, 1);
    list_push_back(&s->granted, &c->link);
    if (!s->posted)
        world_post(s->world, &s->message);
    s->posted = true;
}

static void grant_what_fits(struct body_budget *b)
{
    check(b->locked, "waiting claims are granted without the lock");
    while (!list_empty(&b->queue)) {
        struct body_claim *first = list_first(&b->queue, struct body_claim, link);
        if (!reserve(b, first->wanted))
            return;
        grant(b, first);
    }
}

static void wake_granted(struct message *m)
{
    struct body_share *s = container_of(m, struct body_share, message);
    lock(s->budget);
    s->posted = false;
    list_each (link, &s->granted)
        coro_wake(list_entry(link, struct body_claim, link)->coro, 0);
    if (s->leaver)
        coro_wake(s->leaver, 0);
    unlock(s->budget);
}

/* ---- Claiming ---- */

static void hold(struct body_claim *c, uint64_t bytes)
{
    c->bytes += bytes;
    if (bytes < BODY_LARGE || !c->share)
        return;
    uint64_t large = atomic_load_explicit(&c->share->large, memory_order_relaxed);
    atomic_store_explicit(&c->share->large, large + bytes, memory_order_relaxed);
}

static int refuse(struct body_budget *b)
{
    atomic_fetch_add_explicit(&b->refused, 1, memory_order_relaxed);
    return -ENOBUFS;
}

static int enqueue(struct body_budget *b, struct body_claim *c, uint64_t bytes)
{
    lock(b);
    uint64_t before = atomic_fetch_add(&b->waiting, 1);
    bool fits = before == 0 && reserve(b, bytes);
    bool waits = !fits && before < WAITING_MAX;
    if (waits) {
        c->wanted = bytes;
        c->coro = coro_self();
        c->granted = false;
        list_push_back(&b->queue, &c->link);
    } else {
        atomic_fetch_sub(&b->waiting, 1);
    }
    unlock(b);
    if (fits)
        hold(c, bytes);
    return fits ? 0 : waits ? -EAGAIN : refuse(b);
}

/* It waits no more: whether it was granted. */
static bool dequeue(struct body_budget *b, struct body_claim *c)
{
    lock(b);
    bool granted = c->granted;
    list_del(&c->link);
    if (granted) {
        hold(c, c->wanted);
    } else {
        atomic_fetch_sub(&b->waiting, 1);
        grant_what_fits(b); /* it may have been the first, and the largest */
    }
    unlock(b);
    return granted;
}

static int await_grant(struct body_claim *c, int64_t until)
{
    struct body_budget *b = c->share->budget;
    int rc;
    {
        CORO_DEADLINE(until);
        rc = coro_park("memory for a body");
    }
    if (dequeue(b, c) && rc != -ECANCELED)
        return 0;
    body_claim_release(c);
    return rc == -ECANCELED ? rc : refuse(b);
}

uint64_t body_claim_max(const struct body_claim *c)
{
    return c->share ? c->share->budget->max : UINT64_MAX;
}

int body_claim_take(struct body_claim *c, uint64_t bytes, int64_t until)
{
    check(c->bytes == 0, "a body is claimed twice");
    if (!c->share) {
        hold(c, bytes);
        return 0;
    }
    struct body_budget *b = c->share->budget;
    dcheck(c->share->world, "a body is claimed by a thread that has not joined the budget");
    if (atomic_load_explicit(&b->waiting, memory_order_relaxed) == 0 && reserve(b, bytes)) {
        hold(c, bytes);
        return 0;
    }
    int rc = enqueue(b, c, bytes);
    return rc == -EAGAIN ? await_grant(c, until) : rc;
}

int body_claim_grow(struct body_claim *c, uint64_t bytes)
{
    check(c->bytes > 0 || !c->share, "a claim grows that holds nothing");
    if (c->share && !reserve(c->share->budget, bytes))
        return refuse(c->share->budget);
    hold(c, bytes);
    return 0;
}

void body_claim_release(struct body_claim *c)
{
    uint64_t bytes = c->bytes;
    c->bytes = 0;
    if (!c->share || bytes == 0)
        return;
    struct body_budget *b = c->share->budget;
    uint64_t used = atomic_fetch_sub(&b->used, bytes);
    check(
        used >= bytes, "a body's claim of %llu bytes is released twice", (unsigned long long)bytes);
    if (atomic_load(&b->waiting) == 0)
        return;
    lock(b);
    grant_what_fits(b);
    unlock(b);
}

struct body_budget_stats body_budget_stats(const struct body_budget *b)
{
    uint64_t large = 0;
    for (unsigned i = 0; i < b->share_count; i++)
        large += atomic_load_explicit(&b->shares[i].large, memory_order_relaxed);
    return (struct body_budget_stats){
        .large = large,
        .bytes = atomic_load_explicit(&b->used, memory_order_relaxed),
        .waiting = atomic_load_explicit(&b->waiting, memory_order_relaxed),
        .refused = atomic_load_explicit(&b->refused, memory_order_relaxed),
    };
}

/* ---- Life ---- */

void body_share_join(struct body_share *s, struct world *w)
{
    lock(s->budget);
    check(!s->world, "a share of the body budget is joined twice");
    s->world = w;
    unlock(s->budget);
}

void body_share_leave(struct body_share *s)
{
    CORO_SHIELD(DEADLINE_NEVER);
    lock(s->budget);
    check(list_empty(&s->granted), "a share of the body budget is left with claims");
    while (s->posted) {
        s->leaver = coro_self();
        unlock(s->budget);
        int rc = coro_park("the body budget's last message");
        (void)rc; /* what counts is whether it was delivered */
        lock(s->budget);
    }
    s->leaver = NULL;
    s->world = NULL;
    unlock(s->budget);
}

struct body_share *body_budget_share(struct body_budget *b, unsigned thread)
{
    check(thread < b->share_count, "the body budget has no share %u", thread);
    return &b->shares[thread];
}

int body_budget_new(struct body_budget **out, uint64_t max, unsigned threads)
{
    struct body_budget *b = mem_zalloc(sizeof *b + threads * sizeof *b->shares);
    if (!b)
        return -ENOMEM;
    int rc = -pthread_mutex_init(&b->lock, NULL);
    if (rc) {
        mem_free(b);
        return rc;
    }
    b->max = max;
    b->share_count = threads;
    list_init(&b->queue);
    for (unsigned i = 0; i < threads; i++) {
        b->shares[i].budget = b;
        b->shares[i].message.deliver = wake_granted;
        list_init(&b->shares[i].granted);
    }
    *out = b;
    return 0;
}

void body_budget_free(struct body_budget *b)
{
    if (!b)
        return;
    check(atomic_load(&b->used) == 0, "a body budget is freed while bodies hold claims");
    pthread_mutex_destroy(&b->lock);
    mem_free(b);
}
