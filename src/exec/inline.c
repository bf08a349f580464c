/*
 * inline.c: inline workers: step workers of an I/O thread, which calls their steps itself. Pools of
 * kind `inline` have no others; in pools of threads one is made when placement first wants it,
 * since inits may take memory.
 *
 * Inits run on a companion thread, so that one that hangs is reported and blocks nothing else.
 */
#include "exec/client.h"
#include "exec/start.h"

#include "base/bug.h"
#include "base/log.h"
#include "base/mem.h"
#include "coro/group.h"

#include <errno.h>

struct inline_worker {
    struct pool_client *client;
    struct pool *pool;
    struct worker_start start;
    bool up;      /* counted among the pool's workers */
    bool extra;   /* the pool has other workers */
    bool reports; /* calls pool_client_worker_started */
};

void inline_free(struct inline_worker *k)
{
    if (!k)
        return;
    if (k->up)
        pool_worker_down(k->pool, RESTARTS);
    step_worker_free(k->start.worker);
    mem_free(k);
}

static void make(struct companion *self, void *arg)
{
    struct inline_worker *k = arg;
    /* A failure is in `start`, and is reported with it. */
    (void)!worker_start_make(&k->start, self);
    worker_start_tell(&k->start);
}

/* The pool's canary: an echo, before any task. */
static int send_canary(struct inline_worker *k, struct error *refused)
{
    struct task *t = task_new(k->client, k->pool, k->pool->step_count);
    if (!t)
        return error_set(
            refused, -ENOMEM, "pool", "pool '%s': %s", k->pool->conf->name, error_text(-ENOMEM));
    t->input = SPAN("true");
    t->item.put_at = world_now(k->client->world);
    k->client->inline_workers[k->pool->index] = k;
    k->start.place.work = world_work(k->start.world);
    inline_run(k->client, t);
    if (t->outcome != POOL_DONE) {
        *refused = t->error;
        error_prefix(refused, "pool '%s': its canary did not come back", k->pool->conf->name);
    }
    int rc = pool_outcome_errno(t->outcome);
    task_release(t, true);
    return rc;
}

/* 0; -EBUSY: the companion does not end. */
static int end_companion(struct inline_worker *k, struct companion *c)
{
    int rc;
    {
        int64_t patience = k->start.told.done ? COMPANION_END_NS : NS_PER_S;
        CORO_SHIELD(deadline_after(world_now(k->start.world), patience));
        rc = companion_wait(c);
    }
    if (rc == -ETIMEDOUT) /* -ECANCELED: in a simulation's process that was killed; it has ended */
        return -EBUSY;
    companion_close(c);
    return 0;
}

static void report_started(const struct inline_worker *k, const struct error *refused)
{
    if (k->reports)
        pool_client_worker_started(k->client, refused);
    else if (refused)
        log_with(pool_log(k->pool), LOG_WARN, LOG_FIELDS(LOG_TEXT("pool", k->pool->conf->name)),
            "its steps will not run on I/O threads: %s", refused->sentence);
}

/* Its init takes too long: the worker is given up. An extra one may still end before the client
 * does; else the client is stuck. */
static int give_up(struct inline_worker *k, struct companion *c, int rc, const struct error *why)
{
    struct pool_client *client = k->client;
    report_started(k, rc == -ECANCELED ? NULL : why);
    if (k->reports || future_wait(&client->left) != 0 || end_companion(k, c) != 0)
        pool_client_stuck(client); /* the companion still uses `k`, which is never freed */
    else
        inline_free(k);
    return rc;
}

static int start(void *arg)
{
    struct inline_worker *k = arg;
    struct pool_client *client = k->client;
    struct pool *p = k->pool;
    struct companion *c;
    struct error refused = {0};
    int rc = world_companion(client->world,
        &(struct companion_options){.name = p->conf->name, .run = make, .arg = k}, &c);
    if (rc) {
        error_set(&refused, rc, "pool", "pool '%s': no thread can be started for its inits: %s",
            p->conf->name, error_text_task(rc));
    } else {
        int64_t until = deadline_after(world_now(client->world), p->conf->start);
        rc = worker_start_wait(&k->start, until, &refused);
        if (end_companion(k, c) != 0)
            return give_up(k, c, rc, &refused);
    }
    if (rc == 0)
        rc = send_canary(k, &refused);
    if (rc == 0 && !k->extra) {
        k->up = true;
        pool_worker_up(p, client);
    }
    if (rc != -ECANCELED)
        report_started(k, rc ? &refused : NULL);
    if (rc) {
        client->inline_workers[p->index] = NULL;
        inline_free(k);
    }
    return rc;
}

static int start_wanted(void *arg)
{
    struct inline_worker *k = arg;
    int rc = future_wait(&k->client->inline_wanted[k->pool->index]);
    if (rc == 0)
        return start(k);
    if (k->reports)
        pool_client_worker_started(k->client, NULL);
    inline_free(k);
    return 0;
}

static int spawn(
    struct pool *p, struct pool_client *client, struct group *group, coro_fn *fn, bool extra)
{
    struct inline_worker *k = mem_zalloc(sizeof(*k));
    if (!k)
        return -ENOMEM;
    k->client = client;
    k->pool = p;
    k->extra = extra;
    k->reports = !extra || p->inline_forced;
    worker_start_init(&k->start, p, client);
    int rc = group_spawn(group, "inline pool", fn, k);
    if (rc)
        mem_free(k);
    return rc;
}

static int start_all(struct pool *p, struct pool_client *client, struct group *group)
{
    return spawn(p, client, group, start, false);
}

int inline_start_wanted(struct pool *p, struct pool_client *client, struct group *group)
{
    if (p->inline_forced)
        future_set(&client->inline_wanted[p->index], 0);
    return spawn(p, client, group, start_wanted, true);
}

/* One at each client. */
static unsigned workers_at(const struct pool *p, unsigned client)
{
    check(client < p->pools->clients, "client %u of %u", client, p->pools->clients);
    return 1;
}

const struct executor_ops executor_inline = {
    .start = start_all, .workers_at = workers_at, .runs_on_caller = true, .loads_steps = true};

struct running {
    struct step_worker *worker;
    struct step_call *call;
};

static void call_step(void *arg)
{
    const struct running *r = arg;
    step_worker_call(r->worker, r->call);
}

void inline_run(struct pool_client *client, struct task *t)
{
    struct inline_worker *k = client->inline_workers[t->pool->index];
    if (!k) {
        task_fail(t, POOL_UNAVAILABLE, client, "pool '%s' has not started", t->pool->conf->name);
        return;
    }
    if (!task_claim(t, t->item.put_at, client))
        return;
    task_runs(t, t->item.put_at);
    struct step_call call = {.step = t->item.step,
        .input = t->input,
        .deadline = t->item.deadline,
        .cancelled = task_cancelled,
        .cancelled_ctx = t,
        .output = &t->output};
    /* A step may use as much stack as on a thread. */
    struct running running = {k->start.worker, &call};
    world_call_deep(client->world, call_step, &running);
    task_called(t, &call, client);
}
