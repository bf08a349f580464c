/*
 * queue.h: a pool's queue: the items that wait, and the workers that wait for one.
 *
 * It is bounded, ordered by order.h, admits by admission.h, and forms batches by batcher.h. One
 * mutex guards all of it; nothing that blocks is called while it is held. It knows neither tasks
 * nor pools: an item that leaves without being run goes to the owner's `drop`.
 */
#pragma once

#include "base/list.h"
#include "sched/admission.h"
#include "sched/cost.h"
#include "sched/queue_item.h"

#include <pthread.h>
#include <stdatomic.h>

struct pool;
struct pool_client; /* identifies the calling I/O thread; only compared here */
struct conf_batch;

/* ---- Workers ---- */

/* Takes items from a queue. What it runs on is its executor's business. */
struct worker {
    struct list idle; /* in the queue's list while it has nothing to do */
    bool waits;       /* set by queue_take: it will be woken, once */
    int64_t until;    /* set by queue_take: it must take again at that moment; DEADLINE_NEVER */
    unsigned picked;  /* how often it was taken out of the list to be woken; under the lock */
    struct pool *pool;
    unsigned index; /* among the pool's workers */
    /* Called without the queue's lock, on the thread of `from` (NULL: on none), after the worker
     * left the idle list: it has to call queue_take again. */
    void (*wake)(struct worker *worker, struct pool_client *from);
    struct pool_client *client; /* where it lives, if it is a coroutine; NULL: on a companion */
};

/* ---- The queue ---- */

/* Why an item was refused. */
enum queue_refusal {
    REFUSED_FULL, /* the queue is full */
    REFUSED_LATE, /* it would miss its deadline */
    REFUSED_SHED, /* after it was admitted: it would miss its deadline, and others would not */
    QUEUE_REFUSALS
};

/* Why an admitted item leaves without being run. */
enum queue_drop {
    DROP_EXPIRED, /* its deadline passed */
    DROP_SHED,    /* with `retry_after` */
    DROP_CLOSED,  /* the queue is released */
};

/* Called without the lock; it owns the queue's reference to the item. */
typedef void queue_drop_fn(struct queue_item *item, enum queue_drop why, struct pool_client *from);

struct queue {
    pthread_mutex_t lock;
    struct order order;
    struct batcher batcher;
    struct admission admission;
    unsigned count; /* of items, held back and fused ones included */
    unsigned max;
    struct list idle;   /* workers, the one that became idle last first */
    atomic_bool closed; /* written under the lock */
    unsigned workers;
    unsigned idle_count;
    unsigned standing_classes;     /* see admission.h */
    int64_t seen_at;               /* the latest moment that a caller passed */
    const struct step_cost *costs; /* by step */
    queue_drop_fn *drop;
    /* For metrics, and for estimates without the lock: */
    atomic_uint length;
    atomic_uint idle_workers;
    atomic_uint standing;
    _Atomic int64_t work; /* the cost of all that waits */
    _Atomic uint64_t refused[QUEUE_REFUSALS];
};

/* A worker takes at most so much at once, so that nobody waits long behind another's task. */
#define TAKE_MAX       64
#define TAKE_BUDGET_NS (100 * NS_PER_US)

#define QUEUE_PATIENCE_NS ORDER_PATIENCE_NS

/* `costs` is borrowed. 0; or a negative errno, and there is nothing to release. */
int queue_init(struct queue *q, unsigned max, unsigned workers, const struct step_cost *costs,
    queue_drop_fn *drop) __attribute__((warn_unused_result));
/* No worker and no caller is left; what still waits is dropped. */
void queue_release(struct queue *q);
/* Steps with `max` of more than 1 run in batches. 0 or -ENOMEM. */
int queue_batches(struct queue *q, const struct conf_batch *batches, unsigned count)
    __attribute__((warn_unused_result));
/* Puts the item, and those fused with it as one entry. 0; -ENOBUFS: the queue is full, -ETIME: it
 * would miss its deadline, both with `retry_after`; -EPIPE: closed; -ENOMEM. Wakes an idle worker,
 * preferring one that lives at `from`. */
int queue_put(struct queue *q, struct queue_item *item, struct pool_client *from)
    __attribute__((warn_unused_result));
/* The pool's canary: before all others, and also into a full queue. 0, -EPIPE, -ENOMEM. */
int queue_put_canary(struct queue *q, struct queue_item *item, struct pool_client *from)
    __attribute__((warn_unused_result));
/* Up to `max` items in order, at least one if there is any; no more than TAKE_BUDGET_NS of work,
 * except fused items and batches (item_joins), which come one behind the other. Returns 0 if there
 * is none: then the worker is in the idle list until it is woken, and takes again at `until`; or
 * the queue is closed (queue_closed) and the worker ends. Drops items that are late. Everything
 * that the worker took before counts as done. */
unsigned queue_take(
    struct queue *q, struct worker *worker, struct queue_item **out, unsigned max, int64_t now);
/* The worker will not take for a while (its process is gone): leaves the idle list. If it had been
 * picked meanwhile, another is woken in its place. Returns false if it was not in the list, so that
 * a wake is on its way. */
bool queue_away(struct queue *q, struct worker *worker, struct pool_client *from);
/* Takes the item out. Returns true if it was in: the caller then owns the queue's reference. */
bool queue_remove(struct queue *q, struct queue_item *item) __attribute__((warn_unused_result));
/* Puts back an item that was taken, beyond `max` if need be. 0, -ENOMEM, -EPIPE. */
int queue_put_back(struct queue *q, struct queue_item *item, struct pool_client *from)
    __attribute__((warn_unused_result));
/* Refuses items from now on, and wakes every worker, so that it ends. On the thread of `from`. */
void queue_close(struct queue *q, struct pool_client *from);
bool queue_closed(struct queue *q);
/* How long an item would wait now, on average: the cost of what waits, divided by the workers. Any
 * thread. */
int64_t queue_wait(const struct queue *q);
