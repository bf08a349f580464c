/*
 * task.h: one run of a step that a caller waits for, and its life.
 *
 * A task is made by its caller (on an I/O thread) and has two holders: the caller, and whoever has
 * it next (the queue, a worker, the message that brings it back). `state` decides who may touch
 * what; it changes by compare-and-swap alone:
 *
 *     WAITING  in the queue, or in a worker's list of those that it took at once
 *       -> CLAIMED by the worker that is about to start it
 *       -> DROPPED by the caller (cancelled, late)
 *     CLAIMED  the worker reads the input: copies it, or writes it for its process. Short, and
 *              nobody waits meanwhile: a caller that leaves spins until it is over
 *       -> RUNNING by the worker
 *     RUNNING  the input is the caller's alone again
 *       -> LEFT by the caller
 *       -> WAITING by the worker, when it was not started after all, or is tried again: the caller
 *          is still there, and so is the input
 *     any of these three
 *       -> DONE by the worker, which filled in the result before
 *     DONE     the message is on its way to the caller
 *     LEFT     `cancelled` is set; the worker drops its result when it has one
 *     DROPPED  the holder releases it when it meets it
 */
#pragma once

#include "base/error.h"
#include "base/log.h"
#include "coro/coro.h"
#include "exec/outcome.h"
#include "sched/queue.h"
#include "step/step.h"
#include "world/world.h"

enum task_state { TASK_WAITING, TASK_CLAIMED, TASK_RUNNING, TASK_DONE, TASK_LEFT, TASK_DROPPED };

#define TASK_SMALL 256 /* bytes of output that need no memory of their own */

struct task {
    struct queue_item item; /* what the queue knows of it */
    _Atomic(enum task_state) state;
    atomic_uint holders;
    atomic_bool cancelled; /* for weir_cancelled */
    struct pool *pool;
    uint64_t id; /* among the pool's */
    struct span input;
    bool retry;      /* it may run again after its worker died */
    unsigned deaths; /* workers that it was running in when they died */
    char name[72];   /* the request's id, for the log */
    /* The result, by the worker: */
    enum pool_outcome outcome;
    struct error error;
    int64_t queue_ns, wall_ns, processor_ns;
    unsigned together;         /* of a batch's first: how many ran together; else 0 */
    struct step_output output; /* base: `small`, or memory of its own */
    bool output_too_large;     /* why `output` could not grow: the pool's `value` */
    char small[TASK_SMALL];
    /* Back to the caller: */
    struct message done;
    struct pool_client *client; /* NULL: the canary's */
    struct coro *caller;        /* while it waits; only on its client's thread */
    struct task *group;         /* the head of its call group; NULL: it is in none */
    atomic_uint pending;        /* a head's: tasks of the group without a result */
};

static inline struct task *task_of(struct queue_item *item)
{
    return container_of(item, struct task, item);
}

static inline void task_set_input(struct task *t, struct span input)
{
    t->input = input;
    t->item.input_size = input.len;
}

/* ---- What callers do ---- */

/* A task of `p` with two holders, or NULL. Its input, item, retry and name are the caller's to fill
 * in; and `caller`, if a coroutine waits for its message. */
struct task *task_new(struct pool_client *client, struct pool *p, unsigned step)
    __attribute__((warn_unused_result));
/* The same in memory that is there. `client` NULL: it is the canary. */
void task_init(struct task *t, struct pool_client *client, struct pool *p, unsigned step);
/* Before they are put, tasks of one caller may join a group: then one message, the head's, comes
 * when the last has its result. The head has a third holder for that, which the message releases.
 * Its caller waits for all. */
void task_join_group(struct task *t, struct task *head);
/* One task of the group has its result, or was left or never put by the caller. Returns true if it
 * was the last; if the caller counted it there will be no message, and the caller releases the
 * third holder's reference. */
bool task_group_count_down(struct task *head) __attribute__((warn_unused_result));
/* The caller goes without a result. Returns false if there is one, or will be without another wait:
 * then the state is TASK_DONE. */
bool task_leave(struct task *t) __attribute__((warn_unused_result));
/* One holder less. `here`: on the thread of its client. */
void task_release(struct task *t, bool here);
void task_free(struct task *t);

/* ---- What the queue does ---- */

/* For queue_init: gives a dropped task its outcome. */
void task_drop(struct queue_item *item, enum queue_drop why, struct pool_client *from);

/* ---- What workers do ---- */

/* As queue_take. */
unsigned task_take(struct worker *worker, struct task **out, unsigned max, int64_t now);
/* Before the input is read. Returns false if the caller has left or the deadline has passed (the
 * caller gets that outcome): the task has been released. `from` as for task_finish. */
bool task_claim(struct task *t, int64_t now, struct pool_client *from)
    __attribute__((warn_unused_result));
/* The input is not needed any more (unless it is put back). */
void task_runs(struct task *t, int64_t now);
/* Gives it its outcome and releases the worker's reference. `from`: the client on whose thread this
 * is called; NULL: none. If not POOL_DONE, `error` is filled in before (task_fail does both). */
void task_finish(struct task *t, enum pool_outcome outcome, struct pool_client *from);
void task_fail(struct task *t, enum pool_outcome outcome, struct pool_client *from,
    const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Returns true if its caller left: for struct step_call. */
bool task_cancelled(void *task);
/* The outcome of a step that was called in this process. */
void task_called(struct task *t, struct step_call *call, struct pool_client *from);
/* Learns its step's cost. A failed one counts only if it took long: inputs that are rejected at
 * once do not make a step cheap. */
void task_note_cost(const struct task *t, bool done);
/* Taken, but not started: back to where it was, beyond the queue's limit if need be. */
void task_put_back(struct task *t, struct pool_client *from);
/* It was running when its worker went: tried again if it may be, or else fails with `outcome`. A
 * task that killed two workers is logged as poison. */
void task_worker_lost(struct task *t, enum pool_outcome outcome, struct pool_client *from,
    const char *format, ...) __attribute__((format(printf, 4, 5)));
/* It was running in a batch when their worker went, and nobody knows which of them is to blame:
 * each is put back once, whatever `retry` is, to run alone. */
void task_batch_lost(struct task *t, struct pool_client *from);
/* Room for an output of `size` bytes, or NULL. */
char *task_output(struct task *t, size_t size) __attribute__((warn_unused_result));
