/*
 * internal.h: the coroutine and its sched, for the files of coro/.
 */
#pragma once

#include "base/heap.h"
#include "coro/coro.h"
#include "coro/stack.h"
#include "coro/switch.h"

struct group;

enum coro_state { CORO_READY, CORO_RUNNING, CORO_PARKED, CORO_ENDED };

struct defer {
    void (*run)(void *arg);
    void *arg;
};

/* Stands at the top of its own stack: one page holds it and the frames of a shallow wait. What a
 * wait and its end touch comes first: with many coroutines each line of memory costs a miss. */
struct coro {
    struct context context;
    struct sched *sched;
    const char *why; /* what it waits for, while parked */
    int64_t deadline;
    int64_t wake_at;        /* while parked: when the wait ends by itself */
    int64_t alarm_at;       /* the alarm's key, while it is linked */
    struct heap_link alarm; /* in sched.alarms: see coro_park */
    int result;             /* of the wait that has ended */
    enum coro_state state;
    unsigned refused; /* waits since it was cancelled */
    unsigned shields; /* uses of CORO_SHIELD it is inside of */
    bool cancelled;
    bool doomed;    /* cancelled in spite of shields */
    bool deaf;      /* parked where cancellation must not wake it: joining its children */
    bool sleeping;  /* wake_at is a sleep's end, not the deadline */
    bool timed_out; /* made ready by its alarm with -ETIMEDOUT */

    struct stack stack;
    const char *name;
    coro_fn *fn;
    void *arg;
    struct list everyone; /* in sched.everyone */
    struct group *group;  /* whose child it is; NULL for roots */
    struct list sibling;  /* in group.children */
    struct list groups;   /* those it has opened, the innermost first */
    struct defer *defers; /* few_defers until they are too many */
    unsigned defer_count;
    unsigned defer_size;
    struct defer few_defers[4];
};

struct sched {
    struct coro *running;
    struct context thread; /* the place sched_run was called from */
    struct coro
        *dead; /* has left its stack for the last time; its stack is given back by who comes next */
    void (*deep)(void *arg); /* what the running coroutine has done on the thread's own stack */
    void *deep_arg;
    bool is_deep;  /* which is under way: it must not wait */
    size_t budget; /* how many more may start before sched_run returns */
    size_t yields; /* of those who ran in the latest sched_run */

    /* Ready coroutines: a ring of at least as many places as there are coroutines, so that waking
     * cannot fail. */
    struct coro **ready;
    size_t ready_size;
    size_t ready_head;
    size_t ready_count;

    struct heap alarms;
    struct list everyone;
    size_t count;
    struct stack_pool stacks;
    struct sched_options options;
    unsigned long owner; /* the thread that opened it or ran it last */
    bool prepared;       /* `thread` is the owner's */
};

/* Starts a coroutine as a child of `group`, or as a root. 0 or -ENOMEM. */
int coro_start(struct sched *s, struct group *group, const char *name, coro_fn *fn, void *arg);
/* The running coroutine; a bug that names `call` if there is none. */
struct coro *coro_must_be_inside(const char *call);
/* At its end, the last first; one may add others. */
void coro_run_defers(struct coro *self);
/* Parks deaf to cancellation and deadlines; only who joins children may. */
void coro_park_deaf(const char *why);
/* Returns true if its waits must return -ECANCELED. */
static inline bool coro_hears_cancel(const struct coro *c)
{
    return c->cancelled && (c->shields == 0 || c->doomed);
}
/* The last thing a child does: tells its group. */
void group_child_ended(struct group *g, struct coro *child, int result);

/* overflow.c: gives the calling thread the stack its signal handler runs on. */
void overflow_prepare_thread(void);
