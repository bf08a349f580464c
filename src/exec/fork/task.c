/*
 * task.c: one task, one process: orders the fork, sends the task, reads the result.
 */
#include "exec/fork/zygote.h"

#include "exec/result.h"

#include "base/log.h"

#include <errno.h>

static void count(struct fork_worker *h, enum pool_restart why)
{
    atomic_fetch_add_explicit(&h->zygote->pool->restarts[why], 1, memory_order_relaxed);
}

/* Kills the fork, if it has not ended; its task fails. */
static void lose(struct fork_worker *h, struct task *t, enum pool_restart why,
    enum pool_outcome outcome, const char *how)
{
    struct pool *p = h->zygote->pool;
    zygote_kill(h->zygote, &h->fork);
    count(h, why);
    log_with(pool_log(p), LOG_WARN, TASK_FIELDS(t, LOG_TEXT("reason", how)),
        "pool '%s': the worker that was forked for %s %s, in step '%s'%s", p->conf->name,
        t->name[0] ? t->name : "a request without a name", how, p->specs[t->item.step].name,
        worker_log_last(&h->fork.zygote->log));
    task_worker_lost(t, outcome, h->base.worker.client,
        "the worker of pool '%s' that ran step '%s' %s", p->conf->name, p->specs[t->item.step].name,
        how);
}

/* There was no fork that could have died of it. */
static void lose_unforked(struct fork_worker *h, struct task *t)
{
    const struct pool *p = h->zygote->pool;
    const char *why = error_text_task(-h->fork.status);
    log_with(pool_log(p), LOG_WARN, TASK_FIELDS(t, LOG_NUMBER("errno", h->fork.status)),
        "pool '%s': no worker can be forked for %s: %s", p->conf->name,
        t->name[0] ? t->name : "a request without a name", why);
    task_fail(t, POOL_UNAVAILABLE, h->base.worker.client,
        "no worker of pool '%s' can be forked: %s", p->conf->name, why);
}

/* Its channel ended without a result: the zygote will report why. */
static void lose_ended(struct fork_worker *h, struct task *t)
{
    struct fork *f = &h->fork;
    int64_t until = deadline_after(world_now(h->base.world), PROCESS_END_NS);
    {
        CORO_SHIELD(until);
        while (!f->ended && f->zygote == h->zygote->respawn.now && world_now(h->base.world) < until)
            if (loop_worker_park(&h->base, until))
                break;
    }
    if (f->ended && !f->forked)
        lose_unforked(h, t);
    else if (f->ended && f->out_of_memory)
        lose(h, t, RESTART_OUT_OF_MEMORY, POOL_OUT_OF_MEMORY, "used more than its pool's `memory`");
    else if (f->ended)
        lose(h, t, RESTART_DIED, POOL_DIED, pool_process_end_text(f->status, f->signal).text);
    else if (f->zygote != h->zygote->respawn.now)
        lose(h, t, RESTART_DIED, POOL_DIED, "went with the process that it was forked from");
    else
        lose(h, t, RESTART_MISBEHAVED, POOL_DIED, "closed its channel");
}

/* Returns 1 if the task has its outcome, else 0. */
static int look(struct fork_worker *h, struct task *t, int64_t now)
{
    const struct conf_pool *conf = h->zygote->pool->conf;
    if (conf->hard_timeout && now - h->began >= conf->hard_timeout) {
        lose(h, t, RESTART_TIMEOUT, POOL_TIMEOUT, "ran longer than its pool's `hard_timeout`");
        return 1;
    }
    if (atomic_load_explicit(&t->state, memory_order_acquire) == TASK_LEFT &&
        (conf->on_cancel == CONF_KILL || queue_closed(&h->zygote->pool->queue))) {
        lose(h, t, RESTART_CANCELLED, POOL_CANCELLED, "ran a task that nobody waits for any more");
        return 1;
    }
    if (!h->fork.ended && h->fork.zygote == h->zygote->respawn.now)
        return 0;
    /* What it wrote before its end is read first. */
    if (!h->fork.drained) {
        h->fork.drained = true;
        return 0;
    }
    lose_ended(h, t); /* a process that it left behind holds the channel open */
    return 1;
}

static int answer(struct fork_worker *h, struct task *t, const struct worker_frame *f)
{
    if (f->kind != WORKER_RESULT || f->result.id != h->fork.id || f->result.output.shared) {
        lose(h, t, RESTART_MISBEHAVED, POOL_DIED, "wrote a frame that is no answer");
        return 1;
    }
    result_settle(t, &f->result, f->result.output.inside, h->base.worker.client);
    return 1;
}

/* Until the task has its outcome: 0, or -ECANCELED. */
static int await(struct fork_worker *h, struct task *t)
{
    int64_t limit = h->zygote->pool->conf->hard_timeout;
    for (int settled = 0; !settled;) {
        struct worker_frame f;
        struct error e;
        int64_t now = world_now(h->base.world);
        int64_t until = now + (h->fork.drained ? PROCESS_END_NS : LOOK_EVERY_NS);
        if (limit)
            until = deadline_sooner(until, deadline_after(h->began, limit));
        int rc = frames_next(&h->frames, until, &f, &e);
        if (rc == -ECANCELED) {
            zygote_kill(h->zygote, &h->fork);
            task_fail(t, POOL_UNAVAILABLE, h->base.worker.client, "the server stops");
            return rc;
        }
        if (rc == 0) {
            settled = answer(h, t, &f);
        } else if (rc == -ETIMEDOUT) {
            settled = look(h, t, world_now(h->base.world));
        } else if (rc == -EBADMSG) {
            lose(h, t, RESTART_MISBEHAVED, POOL_DIED, "wrote what is no frame");
            settled = 1;
        } else {
            lose_ended(h, t);
            settled = 1;
        }
    }
    return 0;
}

static int encode(struct fork_worker *h, const struct task *t)
{
    struct worker_frame f = {
        .kind = WORKER_TASK,
        .task = {.id = h->fork.id,
            .step = t->item.step,
            .deadline = t->item.deadline,
            .input.inside = t->input},
    };
    bytes_reset(&h->out);
    return worker_encode(&h->out, &f);
}

static int run(struct fork_worker *h, struct task *t, struct stream *theirs)
{
    int rc = zygote_fork(h->zygote, &h->fork, theirs);
    if (rc) {
        task_put_back(t, h->base.worker.client);
        return rc == -ECANCELED ? rc : 0;
    }
    h->zygote->respawn.worked = true;
    rc = frames_write(&h->frames, &h->out);
    (void)rc; /* a failed write shows when reading */
    return await(h, t);
}

static int with_channel(struct fork_worker *h, struct task *t)
{
    struct stream *ours;
    struct stream *theirs;
    int rc = world_stream_pair(h->base.world, &ours, &theirs);
    if (rc) {
        task_fail(t, POOL_OVERLOADED, h->base.worker.client, "there is no channel for a worker: %s",
            error_text(rc));
        return 0;
    }
    frames_init(
        &h->frames, h->base.world, ours, &h->fork.zygote->log, h->zygote->pool->conf->value);
    rc = run(h, t, theirs);
    frames_release(&h->frames);
    stream_close(ours);
    return rc;
}

int fork_run(struct fork_worker *h, struct task *t)
{
    struct zygote *z = h->zygote;
    int64_t now = world_now(h->base.world);
    if (!task_claim(t, now, h->base.worker.client))
        return 0;
    h->began = now;
    h->fork = (struct fork){.id = ++z->last_id, .zygote = z->respawn.now};
    int rc = encode(h, t);
    if (rc) {
        task_fail(t, rc == -ENOBUFS ? POOL_TOO_LARGE : POOL_OUT_OF_MEMORY, h->base.worker.client,
            rc == -ENOBUFS ? "the input is longer than a worker process can be given"
                           : "there was no memory to give the task to its worker");
        return 0;
    }
    task_runs(t, now);
    pool_process_hold(h->fork.zygote);
    list_push_back(&z->forks, &h->fork.link);
    rc = with_channel(h, t);
    list_del(&h->fork.link);
    pool_process_release(h->fork.zygote);
    return rc;
}
