/*
 * pool.h: pools, which run steps, and how a coroutine calls one.
 *
 * A pool is a bounded queue (sched/queue.h) and workers that take from it. The pool's kind decides
 * what a worker runs on (exec/exec.h):
 *
 *     inline     the I/O thread that calls
 *     threads    a companion thread
 *     processes  a process of its own, which a coroutine on an I/O thread feeds, watches, replaces
 *     fork       a process forked for each task, from a zygote that has the steps loaded
 *
 * All I/O threads share `struct pools`; each has a `struct pool_client`, from which it calls and
 * where some of the workers live.
 *
 * An admitted task has exactly one outcome. If its deadline passes or its caller is cancelled
 * before it has started, it never starts.
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
    const struct config *config; /* its pools, steps and nodes */
    unsigned clients;            /* how many I/O threads there will be */
    unsigned cores;
    const char *const *worker_argv; /* the program that becomes a worker process (worker/main.h) */
    /* Of steps that run in this process: see step_set_new. */
    const struct weir_plugin *overrides;
    bool unsafe;         /* steps that are meant to do harm may be used */
    struct meter *meter; /* not sealed yet; NULL: no metrics */
    struct log *log;
};

/* How many threads a step may use in this process: the minimum over the pools whose steps run here;
 * 0: there are none. To be called before pools_new, since libraries read OMP_NUM_THREADS when they
 * are loaded. */
unsigned pools_step_threads(const struct config *config, unsigned clients, unsigned cores);
/* Loads the plugins whose steps run in this process, and makes the queues. 0; or a negative errno
 * and a sentence for the user. */
int pools_new(struct pools **out, const struct pools_options *options, struct error *e)
    __attribute__((warn_unused_result));
/* After all clients have gone. NULL is nothing to free. */
void pools_free(struct pools *pools);
/* Returns NULL if no node uses a pool of that name. */
struct pool *pools_find(const struct pools *pools, const char *name);
const char *pool_name(const struct pool *p);
/* The step's index in the pool, or -ENOENT. */
int pool_step(const struct pool *p, const char *step);
/* Returns true if each pool has run a canary since it last had no worker. Any thread. */
bool pools_ready(const struct pools *pools);
/* The name of a pool that is not ready, or NULL. Any thread. */
const char *pools_not_ready(const struct pools *pools);

/* ---- Clients: one for each I/O thread, on its thread ---- */

int pool_client_new(struct pool_client **out, struct pools *pools, unsigned index, struct world *w)
    __attribute__((warn_unused_result));
/* A coroutine's function: starts the workers that live here, and runs them until every client has
 * called pool_client_leave (or it is cancelled); then ends them. -ETIMEDOUT: a step does not return
 * and holds a thread of this process: neither `pools` nor the world can be freed any more, and the
 * process has to exit. */
int pool_client_run(void *client) __attribute__((warn_unused_result));
/* Waits until each worker that lives here is ready, or has died at its first start (it is tried
 * again): 0. If an init failed or hung: -EINVAL and the sentence. */
int pool_client_ready(struct pool_client *client, struct error *e)
    __attribute__((warn_unused_result));
/* This thread has no more calls. */
void pool_client_leave(struct pool_client *client);
/* After pool_client_run. NULL is nothing to free. */
void pool_client_free(struct pool_client *client);

/* ---- Calls ---- */

struct pool_call {
    unsigned step;     /* pool_step */
    struct span input; /* a JSON text; borrowed until pool_call_all returns */
    bool retry;        /* it may run again after its worker died */
    struct span name;  /* the request's id, for the log; borrowed likewise */
    int64_t deadline;  /* besides the coroutine's; or DEADLINE_NEVER */
    /* What it is ordered by within its route; DEADLINE_NEVER: by its deadline. */
    int64_t sort_deadline;
    unsigned route; /* workers are shared fairly among routes */
    int priority;   /* higher goes first; 0 is usual: see CONF_PRIORITY_MAX */
    bool needed;    /* if it is refused, so is the whole group */
    /* The results: */
    enum pool_outcome outcome;
    struct span output; /* a JSON text, until pool_call_release */
    struct error error; /* of what is not done */
    int64_t queue_ns, wall_ns, processor_ns;
    int64_t retry_after; /* of POOL_OVERLOADED: ns until another try may succeed */
    /* The pool's own: */
    struct task *held;
};

/* A call without a deadline of its own. */
#define POOL_CALL(...)                                                           \
    (struct pool_call)                                                           \
    {                                                                            \
        .deadline = DEADLINE_NEVER, .sort_deadline = DEADLINE_NEVER, __VA_ARGS__ \
    }

/* On the client's thread, before the client is freed. */
void pool_call_release(struct pool_call *c);

/* How the ready steps of a request are dispatched. */
enum pool_dispatch { POOL_AUTO, POOL_FUSED, POOL_FANOUT, POOL_INLINE };

/* Runs all calls, each to its outcome, within the coroutine's deadline, and waits for all: 0; or
 * -ECANCELED or -ETIMEDOUT of the caller, which calls without a result then have as outcome. A
 * result that came before the caller was woken counts, even if it is cancelled or late. Fused calls
 * are one entry in the queue, which one worker runs one after the other (idle workers take what has
 * not begun after a while). `placed`: NULL, or gets the decision. */
int pool_call_all(struct pool_client *client, struct pool *p, struct pool_call *const *calls,
    unsigned count, enum pool_dispatch dispatch, enum placement *placed)
    __attribute__((warn_unused_result));
