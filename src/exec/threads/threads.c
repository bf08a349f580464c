/*
 * threads.c: workers that are companions: threads of this process that take tasks, call the step,
 * and send the result home.
 *
 * At the pool's home client one coroutine starts all of them, and waits for their end, which comes
 * when the queue is closed. A step that never returns cannot be ended within a process: then the
 * client is stuck, and nothing that the thread may touch is freed.
 */
#include "exec/start.h"
#include "exec/threads/run.h"

#include "base/log.h"
#include "base/mem.h"
#include "coro/group.h"

#include <errno.h>

/* Between two checks whether a waker is done; it is at once, unless it is descheduled. */
#define WAKE_TAKES_NS (100 * NS_PER_US)

struct thread_worker {
    struct worker worker;
    struct threads *all;
    struct companion *companion; /* for the coroutine */
    struct companion *self;      /* the same, for wakers: set before it is first idle */
    atomic_uint woken; /* how often the queue has woken it; in the end as often as it was picked */
    struct worker_start start;
    struct thread_run run;
    struct message ended;
};

/* The threads of one pool. */
struct threads {
    struct pool *pool;
    struct pool_client *client;
    unsigned size;
    unsigned started; /* companions */
    unsigned ended;
    atomic_bool stop;
    struct future first_end;
    struct future last_end;
    struct thread_worker workers[];
};

/* ---- On a companion's thread ---- */

/* The count is the last thing that a waker touches. */
static void wake(struct worker *worker, struct pool_client *from)
{
    struct thread_worker *h = container_of(worker, struct thread_worker, worker);
    companion_wake(h->self);
    atomic_fetch_add_explicit(&h->woken, 1, memory_order_release);
}

/* A thread that has picked this worker may not have woken it yet (one that closes the queue, say):
 * the worker must not be freed before. */
static void leave_queue(struct thread_worker *h)
{
    struct work *work = h->start.place.work;
    queue_away(&h->all->pool->queue, &h->worker, NULL);
    while (atomic_load_explicit(&h->woken, memory_order_acquire) != h->worker.picked)
        /* Woken or not: the condition is checked again. */
        (void)!companion_park(h->self, deadline_after(work->now(work), WAKE_TAKES_NS));
}

/* Runs what was taken. If it takes longer than expected, the rest goes back to the queue. */
static void run_tasks(struct thread_worker *h, struct task **tasks, unsigned count, int64_t began)
{
    struct work *work = h->start.place.work;
    int64_t now = began;
    unsigned i = 0;
    while (i < count && now - began <= 2 * TAKE_BUDGET_NS) {
        i += thread_run_first(&h->run, h->start.worker, tasks + i, count - i, now);
        now = work->now(work);
    }
    for (; i < count; i++)
        task_put_back(tasks[i], NULL);
}

static void take_tasks(struct thread_worker *h)
{
    struct queue *q = &h->all->pool->queue;
    struct work *work = h->start.place.work;
    struct task *tasks[TAKE_MAX];
    while (!atomic_load_explicit(&h->all->stop, memory_order_acquire)) {
        int64_t now = work->now(work);
        unsigned count = task_take(&h->worker, tasks, TAKE_MAX, now);
        if (count > 0)
            run_tasks(h, tasks, count, now);
        else if (queue_closed(q) || companion_park(h->self, h->worker.until) == -ECANCELED)
            break;
    }
    leave_queue(h);
}

static void run_worker(struct companion *self, void *arg)
{
    struct thread_worker *h = arg;
    struct pool *p = h->all->pool;
    h->self = self;
    int rc = worker_start_make(&h->start, self);
    if (rc == 0)
        pool_worker_up(p, NULL);
    worker_start_tell(&h->start);
    if (rc == 0) {
        take_tasks(h);
        pool_worker_down(p, RESTARTS);
        step_worker_free(h->start.worker);
    }
    thread_run_release(&h->run);
    world_post(h->start.world, &h->ended);
}

/* ---- On the home client's thread ---- */

static void hand_ended(struct message *m)
{
    struct threads *all = container_of(m, struct thread_worker, ended)->all;
    future_set(&all->first_end, 0);
    if (++all->ended == all->started)
        future_set(&all->last_end, 0);
}

static void init_worker(struct threads *all, unsigned index)
{
    struct thread_worker *h = &all->workers[index];
    h->worker = (struct worker){.pool = all->pool, .index = index, .wake = wake};
    list_init(&h->worker.idle);
    h->all = all;
    h->ended.deliver = hand_ended;
    worker_start_init(&h->start, all->pool, all->client);
    thread_run_init(&h->run, all->pool);
}

static void start_companions(struct threads *all)
{
    const struct conf_pool *conf = all->pool->conf;
    int rc = 0;
    for (unsigned i = 0; i < all->size && rc == 0; i++) {
        struct thread_worker *h = &all->workers[i];
        rc = world_companion(all->client->world,
            &(struct companion_options){
                .name = conf->name, .run = run_worker, .arg = h, .nice = (int)conf->nice},
            &h->companion);
        if (rc == 0)
            all->started++;
    }
    struct error refused = {0};
    if (rc)
        error_set(&refused, rc, "pool", "pool '%s': thread %u of %u cannot be started: %s",
            conf->name, all->started + 1, all->size, error_text_task(rc));
    for (unsigned i = all->started; i < all->size; i++)
        pool_client_worker_started(all->client, &refused);
}

static void wait_for_starts(struct threads *all)
{
    struct world *w = all->client->world;
    int64_t until = deadline_after(world_now(w), all->pool->conf->start);
    for (unsigned i = 0; i < all->started; i++) {
        struct error refused = {0};
        int rc = worker_start_wait(&all->workers[i].start, until, &refused);
        if (rc == -ECANCELED)
            return;
        pool_client_worker_started(all->client, rc ? &refused : NULL);
    }
}

/* Returns true if all ended in time. */
static bool end_companions(struct threads *all)
{
    struct world *w = all->client->world;
    CORO_SHIELD(deadline_after(world_now(w), COMPANION_END_NS));
    atomic_store_explicit(&all->stop, true, memory_order_release);
    for (unsigned i = 0; i < all->started; i++)
        companion_wake(all->workers[i].companion);
    int rc = all->started ? future_wait(&all->last_end) : 0;
    for (unsigned i = 0; i < all->started && rc == 0; i++)
        rc = companion_wait(all->workers[i].companion);
    if (rc ==
        -ETIMEDOUT) { /* -ECANCELED: in a simulation's process that was killed; they have ended */
        log_with(pool_log(all->pool), LOG_ERROR,
            LOG_FIELDS(LOG_TEXT("pool", all->pool->conf->name)),
            "pool '%s': %u of its threads do not end: a step runs that does not look at "
            "weir_cancelled",
            all->pool->conf->name, all->started - all->ended);
        return false;
    }
    for (unsigned i = 0; i < all->started; i++)
        companion_close(all->workers[i].companion);
    return true;
}

static int run_pool(void *arg)
{
    struct threads *all = arg;
    start_companions(all);
    wait_for_starts(all);
    int rc = all->started ? future_wait(&all->first_end) : 0;
    /* A refused one has ended; the others go on until the queue is closed. */
    while (rc == 0 && !queue_closed(&all->pool->queue) && all->ended < all->started)
        rc = future_wait(&all->last_end);
    if (!end_companions(all)) {
        pool_client_stuck(all->client);
        return -ETIMEDOUT;
    }
    mem_free(all);
    return rc;
}

static int start(struct pool *p, struct pool_client *client, struct group *group)
{
    struct threads *all = mem_zalloc(sizeof(*all) + (size_t)p->size * sizeof(struct thread_worker));
    if (!all)
        return -ENOMEM;
    all->pool = p;
    all->client = client;
    all->size = p->size;
    future_init(&all->first_end);
    future_init(&all->last_end);
    for (unsigned i = 0; i < all->size; i++)
        init_worker(all, i);
    int rc = group_spawn(group, "pool of threads", run_pool, all);
    if (rc)
        mem_free(all);
    return rc;
}

static unsigned workers_at(const struct pool *p, unsigned client)
{
    return client == p->index % p->pools->clients ? p->size : 0;
}

const struct executor_ops executor_threads = {
    .start = start, .workers_at = workers_at, .loads_steps = true, .can_batch = true};
