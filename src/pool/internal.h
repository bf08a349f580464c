/*
 * internal.h: tasks, the queue, and what a hand is. For pool/ and its folders only.
 *
 * A task's life. It is made by its caller (an I/O thread) and has two holders: the caller, and
 * whoever has it next (queue, hand, the message that brings it back). `state` says who may touch
 * what; it changes by compare-and-swap alone:
 *
 *     WAITING    in the queue, or in a hand's list of those it took several of at once
 *       -> ABSORBING by the hand that is about to start it
 *       -> DROPPED by the caller (cancelled, late)
 *     ABSORBING  the hand reads the input: copies it, or writes it for its worker. Short, and
 *                nobody waits meanwhile: a caller that wants to go spins until it is over
 *       -> RUNNING by the hand
 *     RUNNING    the input is the caller's alone again
 *       -> LEFT by the caller
 *       -> WAITING by the hand, when it was not started after all, or is tried again: the caller
 *          is still there, and so is the input
 *     any of these three
 *       -> DONE by the hand, which filled in the result before
 *     DONE       the message is on its way to the caller
 *     LEFT       `cancelled` is set; the hand drops its result when it has one
 *     DROPPED    the holder forgets it when it meets it
 */
#pragma once

#include "base/arena.h"
#include "base/heap.h"
#include "base/list.h"
#include "coro/group.h"
#include "pool/admission.h"
#include "pool/cost.h"
#include "pool/gather.h"
#include "pool/order.h"
#include "pool/pool.h"
#include "step/step.h"

#include <pthread.h>
#include <stdatomic.h>

enum task_state { TASK_WAITING, TASK_ABSORBING, TASK_RUNNING, TASK_DONE, TASK_LEFT, TASK_DROPPED };

#define TASK_SMALL 256 /* bytes of output that need no memory of their own */

struct task {
    /* In the queue, under its lock: */
    struct order_item place;
    struct gather_item mates;
    struct task *fused; /* goes with it, right behind it: the caller's, before it is put */
    struct task
        *leader;  /* of those that are in as one entry: itself if it goes alone; NULL: not in */
    int64_t cost; /* as expected when it was put; 0: not known */
    int64_t expected_wait;
    bool needed; /* of those that are fused: whether it must be in time */
    /* To be handed in and out of it: */
    unsigned route;
    int priority;
    int64_t retry_after; /* of one that was refused */
    _Atomic(enum task_state) state;
    atomic_uint holders;
    atomic_bool cancelled; /* for weir_cancelled */
    struct pool *pool;
    uint64_t id; /* among the pool's */
    unsigned step;
    struct span input;
    int64_t deadline;
    int64_t due; /* what it is ordered by, if not by its deadline; 0 */
    bool retry;
    unsigned batch;  /* how many of its step may be called at once (task_joins); 1: it is called
                        alone; 0: and given to a worker process alone, since its batch killed one */
    unsigned deaths; /* workers that it was running in when they died */
    char name[72];   /* the request's id, for the log */
    int64_t put_at;
    /* The result, by the hand: */
    enum pool_outcome outcome;
    struct error error;
    int64_t queue_ns, wall_ns, processor_ns;
    unsigned together; /* of a step with batches, the first of those called at once: how many */
    struct step_output output; /* base: `small`, or memory of its own */
    bool output_too_large;     /* than the pool's `value`: why `output` could not grow */
    char small[TASK_SMALL];
    /* Back to the caller: */
    struct message done;
    struct pool_desk *desk; /* NULL: the canary's */
    struct coro *caller;    /* while it waits; its desk's thread only */
    struct task *home;      /* of its set: itself, or another; NULL: it is of none */
    atomic_uint undone;     /* a home's: of its set */
};

/* Whether `t`, taken right behind `first` or one that joins it, is called together with it, by
 * the step's run_batch. Queue and hands agree by this: the queue hands over such tasks one behind
 * the other, at most first->batch of them. */
static inline bool task_joins(const struct task *first, const struct task *t)
{
    return first->batch > 1 && t->batch > 1 && t->step == first->step;
}

/* ---- Hands ---- */

/* Takes tasks from a queue, one or several at a time. What it runs on is up to its kind; the queue
 * only knows how to wake it. */
struct hand {
    struct list idle; /* in the queue's list, while it has nothing to do */
    bool waits;       /* said by queue_take: it will be woken, once */
    int64_t until;    /* likewise: but it is to take again at that moment; DEADLINE_NEVER */
    unsigned picked;  /* how often it was taken out of that list to be woken; under the lock */
    struct pool *pool;
    unsigned index; /* among the pool's hands */
    /* Called without the queue's lock, on the thread of desk `from` (NULL: on none), after it was
     * taken out of the idle list: it is to call queue_take again. */
    void (*wake)(struct hand *h, struct pool_desk *from);
    struct pool_desk *desk; /* where it lives, if it is a coroutine's; NULL: a companion's */
};

/* ---- The queue ---- */

/* Why a task was refused. */
enum queue_refusal {
    REFUSED_FULL, /* the queue is */
    REFUSED_LATE, /* it would have come too late */
    REFUSED_SHED, /* after it was in: it cannot be met any more, and others can */
    QUEUE_REFUSALS
};

struct queue {
    pthread_mutex_t lock; /* the only lock; nothing that waits is called under it */
    struct order order;
    struct gather gather;
    struct admission admission;
    unsigned count; /* of tasks: also those that are held back, or go with another */
    unsigned max;
    struct list idle;   /* hands, the last that became so first */
    atomic_bool closed; /* written under the lock */
    unsigned hands;
    unsigned idle_count;
    unsigned standing_lines;
    int64_t seen_at;               /* the latest moment that anybody told */
    const struct step_cost *costs; /* by step */
    /* For metrics, and for guessing without the lock: */
    atomic_uint length;
    atomic_uint idle_hands;
    atomic_uint standing; /* lines that stand: see admission.h */
    _Atomic int64_t work; /* the cost of all that waits */
    _Atomic uint64_t refused[QUEUE_REFUSALS];
};

/* What may be handed over at once, so that nobody waits long behind another's task. */
#define TAKE_MAX       64
#define TAKE_BUDGET_NS (100 * NS_PER_US)

#define QUEUE_PATIENCE_NS ORDER_PATIENCE_NS

/* `costs` is borrowed. 0; or a negative errno, and there is nothing to release. */
int queue_init(struct queue *q, unsigned max, unsigned hands, const struct step_cost *costs)
    __attribute__((warn_unused_result));
/* No hand and no caller is left; what is still in it is let go. */
void queue_release(struct queue *q);
/* Those of these steps (`max` more than 1) may be taken in batches. 0 or -ENOMEM. */
int queue_batches(struct queue *q, const struct conf_batch *batches, unsigned count)
    __attribute__((warn_unused_result));
/* The task, and those that are fused with it, as one. 0; -ENOBUFS: it is full, and -ETIME: it would
 * come too late, both with `retry_after`; -EPIPE: closed; -ENOMEM. Wakes an idle hand, rather one
 * that lives at desk `from`. */
int queue_put(struct queue *q, struct task *t, struct pool_desk *from)
    __attribute__((warn_unused_result));
/* The pool's canary: before all others, and also if the queue is full, since it has no caller who
 * could be told so. 0, -EPIPE, -ENOMEM. */
int queue_put_canary(struct queue *q, struct task *t, struct pool_desk *from)
    __attribute__((warn_unused_result));
/* Up to `max` tasks, at least one if there is any, in the order of order.h; not more than should be
 * handed over at once by what their steps cost, but for those that are fused, or a batch
 * (task_joins), which stand one behind the other. 0: there is none, and the hand is in the idle
 * list until it is woken, and takes again at `until`; or the queue is closed (queue_closed) and it
 * is to end. Tasks that are late already are given their outcome here and not handed out. What the
 * hand took before is taken to be done. */
unsigned queue_take(struct queue *q, struct hand *h, struct task **out, unsigned max, int64_t now);
/* A hand that will not take for a while (its worker is gone): out of the idle list. If it had been
 * woken meanwhile, another is in its place. False: it was not in it, so that a wake is on its
 * way. */
bool queue_away(struct queue *q, struct hand *h, struct pool_desk *from);
/* Takes the task out, if it is still in: true, and the queue's hold is the caller's. */
bool queue_remove(struct queue *q, struct task *t) __attribute__((warn_unused_result));
/* A task that had been taken: in again, past `max` if need be. 0, -ENOMEM, -EPIPE. */
int queue_put_back(struct queue *q, struct task *t, struct pool_desk *from)
    __attribute__((warn_unused_result));
/* No task any more; every hand is woken, to end. From the thread of desk `from`. */
void queue_close(struct queue *q, struct pool_desk *from);
bool queue_closed(struct queue *q);
/* How long a task would wait now, on average: the cost of what waits by hands. Any thread. */
int64_t queue_wait(const struct queue *q);

/* ---- What callers do with tasks ---- */

/* One for a call of `p` that waits as coroutine `caller` (NULL: it does not wait), with two
 * holders, or NULL. Its input, deadline, put_at, retry and name are the caller's to fill in. */
struct task *task_new(struct pool_desk *d, struct pool *p, unsigned step, struct coro *caller)
    __attribute__((warn_unused_result));
/* The same in memory that is there. `d` NULL: it is the canary. */
void task_init(
    struct task *t, struct pool_desk *d, struct pool *p, unsigned step, struct coro *caller);
/* Before they are put, tasks of one caller may become a set: then there is one message for all of
 * them, that of its home, which comes when the last has its result. For that the home has a third
 * holder, which the message lets go. Its caller waits for all. */
void task_joins_set(struct task *t, struct task *home);
/* One of the set has its result, or was left or never put by the caller. True: it was the last; if
 * it was the caller's, there will be no message, and the third hold is his to let go. */
bool task_counts_off(struct task *home) __attribute__((warn_unused_result));
/* The caller goes without a result: true. False if there is one, or will be told without another
 * wait: then state is TASK_DONE. */
bool task_leave(struct task *t) __attribute__((warn_unused_result));
/* One hold less. On the thread of its desk if `here`. */
void task_release(struct task *t, bool here);
void task_free(struct task *t);

/* ---- What hands do with tasks ---- */

/* Before the input is read: false if the caller has gone, or its deadline passed (it is told so):
 * then the task has been let go. `from` as for task_finish. */
bool task_absorb(struct task *t, int64_t now, struct pool_desk *from)
    __attribute__((warn_unused_result));
/* The input is not needed any more (unless it is put back). */
void task_runs(struct task *t, int64_t now);
/* Its outcome is told to the caller, and the hand's hold let go. `from`: the desk on whose thread
 * this is called; NULL: none. Not done: error is filled in first (task_fail does both). */
void task_finish(struct task *t, enum pool_outcome outcome, struct pool_desk *from);
void task_fail(struct task *t, enum pool_outcome outcome, struct pool_desk *from,
    const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Whether its caller left: for struct step_call. */
bool task_cancelled(void *task);
/* The outcome of a step that was called in this process. */
void task_called(struct task *t, struct step_call *call, struct pool_desk *from);
/* What its step took is known from now on. One that failed says something only if it took long: who
 * sends what is rejected at once does not make the step a cheap one. */
void task_note_cost(const struct task *t, bool done);
/* It had been taken, but not started: puts it back where it was, past the queue's limit if need
 * be. */
void task_put_back(struct task *t, struct pool_desk *from);
/* It was running when its worker went: tried again if it may be (and names itself in the log as
 * poison if it has killed two), or else fails with `outcome`. */
void task_worker_lost(struct task *t, enum pool_outcome outcome, struct pool_desk *from,
    const char *format, ...) __attribute__((format(printf, 4, 5)));
/* It was running together with others when their worker went, and nobody knows which of them is to
 * blame: once, whatever `retry` says, each is put back to be run alone. */
void task_batch_lost(struct task *t, struct pool_desk *from);
/* Room for an output of `size` bytes: where to put it, or NULL. */
char *task_output(struct task *t, size_t size) __attribute__((warn_unused_result));

/* ---- A pool ---- */

/* Why a worker was replaced. */
enum pool_restart {
    RESTART_DIED,
    RESTART_OUT_OF_MEMORY,
    RESTART_TIMEOUT,
    RESTART_MAX_TASKS,
    RESTART_CANCELLED,  /* its task was, and on_cancel is kill */
    RESTART_MISBEHAVED, /* it wrote what is no frame, or closed its channel */
    RESTARTS
};

struct pool_kind {
    /* Makes the hands of this pool that live at the desk (for companions: all, at the pool's home
     * desk), each as a coroutine of the group, which goes on until queue_closed. Each tells
     * pool_desk_hand_started once when it is ready, or will not be. */
    int (*start)(struct pool *p, struct pool_desk *d, struct group *group);
    /* How many of `size` hands live at that desk. */
    unsigned (*hands_at)(const struct pool *p, unsigned desk);
};

/* Declared here, made in the folders of the same names. */
extern const struct pool_kind pool_threads;
extern const struct pool_kind pool_processes;
extern const struct pool_kind pool_fork;

struct pool_figures;
struct placed_figures;
struct step_conduct;

struct pools {
    const struct config *config;
    unsigned desks;
    unsigned cores;
    const char *const *worker_argv;
    const struct weir_plugin *overrides;
    bool unsafe;
    struct log *log;
    struct arena texts; /* options as JSON */
    struct pool *all;
    unsigned count;
    atomic_uint left; /* desks that have no more calls */
    struct pool_figures *figures;
    struct placed_figures *placed;
};

struct pool {
    struct pools *pools;
    const struct conf_pool *conf;
    const struct pool_kind *kind; /* NULL: inline */
    unsigned index;
    unsigned size;         /* hands */
    unsigned step_threads; /* that a step may use of its own */
    struct queue queue;
    struct step_spec *specs; /* of the steps that are used here; the last is the canary's echo */
    unsigned step_count;     /* without the canary */
    struct step_cost *costs; /* by step */
    struct handover_cost handover;
    struct step_conduct *conducts; /* by step */
    struct conf_batch *batches;    /* by step: max is 1 without, at most TAKE_MAX; NULL: none */
    struct step_set *steps;        /* where they run in this process: inline, threads; else NULL */
    _Atomic uint64_t next_id;
    atomic_uint sets; /* that were handed over and are under way */
    /* For metrics and readiness; any thread. */
    atomic_uint workers; /* that are ready to take tasks */
    atomic_bool failing; /* the last start failed, and none succeeded since */
    atomic_bool ready;   /* this, and `canary_out`, are written under the queue's lock */
    bool canary_out;
    unsigned canary_tries;
    struct task *canary; /* the pool's own hold lasts */
    _Atomic uint64_t restarts[RESTARTS];
    _Atomic int64_t *resident; /* of each worker process, as last seen */
    void *kind_data;
};

/* ---- What a hand tells its pool ---- */

/* A worker is ready (again): once a hand at least, before it takes. Sends the canary if the pool is
 * not ready. `d`: the calling thread's; NULL: a companion's. */
void pool_worker_up(struct pool *p, struct pool_desk *d);
/* It is gone; if it was the last the pool is not ready any more. RESTARTS: it was told to end. */
void pool_worker_down(struct pool *p, struct pool_desk *d, enum pool_restart why);
/* One could not be started, or died at its start: while the pool has no worker, and until one is
 * up, calls are POOL_UNAVAILABLE at once. */
void pool_worker_failed(struct pool *p, enum pool_restart why);
/* A hand's first worker is ready (NULL), or died at its start and will be tried again (NULL too),
 * or its init failed or hung: the sentence, and the server does not start. From the desk's
 * thread. */
void pool_desk_hand_started(struct pool_desk *d, const struct error *refused);
/* A thread of this process is held by a step that does not end: see pool_desk_run. */
void pool_desk_stuck(struct pool_desk *d);

struct world *pool_desk_world(const struct pool_desk *d);
unsigned pool_desk_index(const struct pool_desk *d);
struct log *pool_log(const struct pool *p);

/* The canary's end; `outcome` POOL_DONE: the pool is ready. */
void pool_canary_back(struct pool *p, enum pool_outcome outcome, struct pool_desk *from);
/* The negative errno that stands for it; 0 for POOL_DONE. */
int pool_outcome_errno(enum pool_outcome outcome);
/* For workers in this process; `log_ctx` is the pool. */
struct step_place pool_place(struct pool *p, struct work *work);

/* What log lines about a pool, or a task, are about; and more of it. */
#define POOL_FIELDS(p, ...) LOG_FIELDS(LOG_TEXT("pool", (p)->conf->name), __VA_ARGS__)
#define TASK_FIELDS(t, ...)                                                    \
    POOL_FIELDS((t)->pool, LOG_TEXT("step", (t)->pool->specs[(t)->step].name), \
        LOG_TEXT("id", (t)->name), __VA_ARGS__)
