/*
 * pool.h: where steps run: pools of workers, and how a coroutine has a task done by one.
 *
 * A pool is a bounded queue (order.h says in which order), and workers that take from it. What a
 * worker is, is the pool's kind:
 *
 *     inline     none: the step runs on the I/O thread that asks
 *     threads    a companion thread, which calls the step
 *     processes  a coroutine on some I/O thread, which has a worker process of its own: passes it
 *                tasks, sees its death, starts another
 *     fork       the same, whose worker is forked anew for each task from a process that has
 *                everything loaded
 *
 * `struct pools` is shared by the server's I/O threads; each of these has a `struct pool_client`,
 * from which it calls, and where some of the workers live.
 *
 * A task that was accepted has exactly one outcome. One whose deadline passes or whose caller is
 * cancelled before it started never starts.
 */
#pragma once

#include "base/bytes.h"
#include "base/error.h"
#include "conf/config.h"
#include "exec/outcome.h"
#include "meter/meter.h"
#include "sched/placement.h"
#include "world/world.h"

struct pools;
struct pool;
struct pool_client;
struct task;
struct weir_plugin;

struct pools_options {
    const struct config *config; /* its pools, its steps, and which node needs which of them */
    unsigned clients;            /* how many there will be */
    unsigned cores;
    const char *const *worker_argv; /* the program that becomes a worker process (worker/main.h) */
    /* Of steps that run in this process: see step_set_new. */
    const struct weir_plugin *overrides;
    bool unsafe;         /* steps that are meant to do harm may be used */
    struct meter *meter; /* not sealed yet; NULL: nobody counts */
    struct log *log;
};

/* How many threads of its own a step may use in this process: the least of the pools whose steps
 * run here; 0: there are none. Asked before pools_new, since libraries look into their environment
 * (OMP_NUM_THREADS) when they are loaded. */
unsigned pools_step_threads(const struct config *config, unsigned clients, unsigned cores);
/* Loads what I/O threads and companions need of plugins, and makes the queues. 0; or a negative
 * errno and a sentence for the user. */
int pools_new(struct pools **out, const struct pools_options *options, struct error *e)
    __attribute__((warn_unused_result));
/* After all clients have gone. NULL is nothing to free. */
void pools_free(struct pools *pools);
/* NULL: no node uses a pool of that name. */
struct pool *pools_find(const struct pools *pools, const char *name);
const char *pool_name(const struct pool *p);
/* The step's place in the pool, or -ENOENT. */
int pool_step(const struct pool *p, const char *step);
/* Whether a canary has come back through every pool since it last had no worker. Any thread. */
bool pools_ready(const struct pools *pools);
/* The name of one that is not ready, or NULL: for sentences. Any thread. */
const char *pools_not_ready(const struct pools *pools);

/* ---- Desks: one an I/O thread, on its thread ---- */

int pool_client_new(struct pool_client **out, struct pools *pools, unsigned index, struct world *w)
    __attribute__((warn_unused_result));
/* A coroutine's function, `client` is its argument: starts the workers that live here, and keeps
 * them going, until every client has said pool_client_leave (or it is cancelled); then ends them.
 * -ETIMEDOUT: a step holds a thread of this process and does not end; then neither `pools` nor the
 * world can be freed any more, and the process is to exit. */
int pool_client_run(void *client) __attribute__((warn_unused_result));
/* Waits until each worker that lives here has a worker that is ready, or one that died at its start
 * (it goes on trying); then 0. If an init failed or hung, -EINVAL and the sentence. */
int pool_client_ready(struct pool_client *d, struct error *e) __attribute__((warn_unused_result));
/* This thread has no more calls. */
void pool_client_leave(struct pool_client *d);
/* After pool_client_run. NULL is nothing to free. */
void pool_client_free(struct pool_client *d);

/* ---- Calls ---- */

struct pool_call {
    unsigned step;     /* pool_step */
    struct span input; /* a JSON text; borrowed until pool_call returns */
    bool retry;        /* it may be run again when its worker dies */
    struct span name;  /* the request's id, for the log; borrowed likewise */
    int64_t deadline;  /* besides the coroutine's; or DEADLINE_NEVER */
    int64_t
        sort_deadline; /* what it is ordered by among its route's; DEADLINE_NEVER: its deadline */
    unsigned route;    /* among which workers are shared fairly */
    int priority;      /* higher goes first; 0 is usual: see CONF_PRIORITY_MAX */
    bool needed;       /* if it is refused, nobody wants what else is called with it */
    /* Told: */
    enum pool_outcome outcome;
    struct span output; /* a JSON text, until pool_call_release */
    struct error error; /* of what is not done */
    int64_t queue_ns, wall_ns, processor_ns;
    int64_t retry_after; /* of POOL_OVERLOADED: when it may be worth another try, in nanoseconds */
    /* The pool's own: */
    struct task *held;
};

/* A call without a deadline of its own. */
#define POOL_CALL(...)                                                           \
    (struct pool_call)                                                           \
    {                                                                            \
        .deadline = DEADLINE_NEVER, .sort_deadline = DEADLINE_NEVER, __VA_ARGS__ \
    }

/* Has the task done, within the coroutine's deadline: 0 if it is; otherwise a negative errno:
 * -ECANCELED and -ETIMEDOUT as of any wait, and others with the outcome and the error. A result
 * that came before the caller was woken counts, also if it is cancelled or late. */
int pool_call(struct pool_client *d, struct pool *p, struct pool_call *c)
    __attribute__((warn_unused_result));
/* On the client's thread, before the client is freed. */
void pool_call_release(struct pool_call *c);

/* How several tasks of a request that are ready together are done. */
enum pool_dispatch { POOL_AUTO, POOL_FUSED, POOL_FANOUT, POOL_INLINE };

/* Has all of them done, each with its outcome, and waits for all: 0; or, as of any wait, -ECANCELED
 * or -ETIMEDOUT, and then those that have no result are told so. Fused, they are one task in the
 * queue, which one worker does one after the other (but what has not begun after a while is for
 * workers that are idle, too). `placed` (NULL: nobody cares) is told what was decided. */
int pool_call_all(struct pool_client *d, struct pool *p, struct pool_call *const *calls,
    unsigned count, enum pool_dispatch dispatch, enum placement *placed)
    __attribute__((warn_unused_result));
