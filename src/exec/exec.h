/*
 * exec.h: pools, and the executors that run their tasks.
 *
 * A pool has a queue, and workers that take from it. What a worker runs on is the executor's
 * business: an I/O thread (inline), companion threads, worker processes, or a fork for each task.
 * An executor is one folder or file here and one `struct executor_ops`; nothing else asks which one
 * a pool has.
 */
#pragma once

#include "base/arena.h"
#include "conf/config.h"
#include "coro/group.h"
#include "exec/task.h"

struct meter;
struct pool_metrics;
struct placement_metrics;
struct step_backoff;

struct executor_ops {
    /* Makes the workers of this pool that live at the client (companions: all, at the pool's home
     * client), each as a coroutine of the group, which goes on until queue_closed. Each calls
     * pool_client_worker_started once when it is ready, or will not be. */
    int (*start)(struct pool *p, struct pool_client *client, struct group *group);
    /* How many of the pool's workers live at the client of that index. */
    unsigned (*workers_at)(const struct pool *p, unsigned client);
    bool runs_on_caller; /* its workers are the I/O threads: there is no queue to wait in */
    bool loads_steps;    /* steps are loaded into this process */
    bool uses_processes; /* its workers are processes, with memory of their own */
    bool forks;          /* one process has the steps loaded, and forks for each task */
    bool can_batch;      /* tasks may run together */
};

extern const struct executor_ops executor_inline;
extern const struct executor_ops executor_threads;
extern const struct executor_ops executor_processes;
extern const struct executor_ops executor_fork;

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

struct pools {
    const struct config *config;
    unsigned clients;
    unsigned cores;
    const char *const *worker_argv;
    const struct weir_plugin *overrides;
    bool unsafe;
    struct log *log;
    struct arena texts; /* options as JSON */
    struct pool *all;
    unsigned count;
    atomic_uint left; /* clients that have no more calls */
    struct pool_metrics *metrics;
    struct placement_metrics *placement_metrics;
};

struct pool {
    struct pools *pools;
    const struct conf_pool *conf;
    const struct executor_ops *ops;
    unsigned index;
    unsigned size;         /* workers */
    unsigned step_threads; /* that a step may use of its own */
    bool inline_forced;    /* some route has `dispatch: inline` for a step of this pool */
    struct queue queue;
    struct step_spec *specs; /* of the steps that are used here; the last is the canary's echo */
    unsigned step_count;     /* without the canary */
    struct step_cost *costs; /* by step */
    struct dispatch_cost dispatch;
    struct step_backoff *backoffs; /* by step */
    struct conf_batch *batches;    /* by step: max is 1 without, at most TAKE_MAX; NULL: none */
    struct step_set *steps;        /* if they are loaded into this process; else NULL */
    _Atomic uint64_t next_id;
    atomic_uint groups; /* call groups that are under way */
    /* For metrics and readiness; any thread. */
    atomic_uint workers; /* that are ready to take tasks */
    atomic_bool failing; /* the last start failed, and none succeeded since */
    atomic_bool ready;   /* this, and `canary_out`, are written under the queue's lock */
    bool canary_out;
    struct task *canary; /* the pool's own reference lasts */
    _Atomic uint64_t restarts[RESTARTS];
    _Atomic int64_t *resident; /* of each worker process, as last seen */
};

/* ---- What a worker reports to its pool ---- */

/* It is ready (again): at least once before it takes. Sends the canary if the pool is not ready.
 * `client`: the calling thread's; NULL: a companion's. */
void pool_worker_up(struct pool *p, struct pool_client *client);
/* It is gone; without its last worker the pool is not ready. RESTARTS: it was asked to end. */
void pool_worker_down(struct pool *p, enum pool_restart why);
/* One could not be started, or died at its start: while the pool has no worker, and until one is
 * up, calls are POOL_UNAVAILABLE at once. */
void pool_worker_failed(struct pool *p, enum pool_restart why);
/* The canary's end; `outcome` POOL_DONE: the pool is ready. */
void pool_canary_back(struct pool *p, enum pool_outcome outcome);
/* A coroutine's function, one a client: sends the canaries again that failed. */
int pool_canaries_run(void *client);

static inline struct log *pool_log(const struct pool *p)
{
    return p->pools->log;
}
/* For workers in this process; `log_ctx` is the pool. */
struct step_place pool_place(struct pool *p, struct work *work);

/* The fields of log lines about a pool, or a task. */
#define POOL_FIELDS(p, ...) LOG_FIELDS(LOG_TEXT("pool", (p)->conf->name), __VA_ARGS__)
#define TASK_FIELDS(t, ...)                                                         \
    POOL_FIELDS((t)->pool, LOG_TEXT("step", (t)->pool->specs[(t)->item.step].name), \
        LOG_TEXT("id", (t)->name), __VA_ARGS__)
