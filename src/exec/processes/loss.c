/*
 * loss.c: a worker process is lost: why, and what becomes of its tasks.
 *
 * The task that ran fails, or is tried again if it may be. Tasks behind it had not begun, and go
 * back into the queue. Tasks before it had run, but their results are lost: they fail, or run
 * again.
 *
 * In a group that ran together the culprit is unknown, and one bad input must not fail the others:
 * once, each goes back into the queue to run alone; the one that kills again is to blame.
 */
#include "exec/processes/internal.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>

static int say(struct loss *l, enum pool_restart why, enum pool_outcome outcome, const char *format,
    va_list args) __attribute__((format(printf, 4, 0)));
static int say(struct loss *l, enum pool_restart why, enum pool_outcome outcome, const char *format,
    va_list args)
{
    l->why = why;
    l->outcome = outcome;
    vsnprintf(l->how, sizeof(l->how), format, args);
    return -ECONNRESET;
}

int loss_say(
    struct loss *l, enum pool_restart why, enum pool_outcome outcome, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int rc = say(l, why, outcome, format, args);
    va_end(args);
    return rc;
}

int loss_misbehaved(struct loss *l, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int rc = say(l, RESTART_MISBEHAVED, POOL_DIED, format, args);
    va_end(args);
    return rc;
}

static int too_much_memory(struct loss *l, const struct pool_process *p)
{
    return loss_say(l, RESTART_OUT_OF_MEMORY, POOL_OUT_OF_MEMORY,
        "used more than %llu bytes: its pool's `memory`",
        (unsigned long long)p->pool->conf->memory);
}

int loss_ended(struct batch *b, struct pool_process *p, struct loss *l)
{
    CORO_SHIELD(deadline_after(world_now(b->world), PROCESS_END_NS));
    if (!pool_process_wait(p, DEADLINE_NEVER))
        return loss_misbehaved(l, "closed its channel");
    if (p->out_of_memory)
        return too_much_memory(l, p);
    return loss_say(l, RESTART_DIED, POOL_DIED, "%s",
        pool_process_end_text(p->exit.status, p->exit.signal).text);
}

/* ---- Checks ---- */

/* Returns true if the process reports which of the pending tasks it runs. */
static bool says_running(const struct batch *b, const struct pool_process *p, unsigned *place)
{
    uint64_t id = p->control ? atomic_load(&p->control->running) : 0;
    uint64_t at = id - b->first_id;
    *place = b->answered;
    if (id < b->first_id || at < b->answered || at >= b->count)
        return false;
    *place = (unsigned)at;
    return true;
}

static int look_at_memory(struct batch *b, struct pool_process *p, struct loss *l)
{
    int64_t resident = child_resident(p->child);
    if (resident < 0)
        return 0;
    uint64_t memory = b->pool->conf->memory;
    if (b->pool->resident)
        atomic_store_explicit(&b->pool->resident[b->worker], resident, memory_order_relaxed);
    if (memory && p->held != CHILD_MEMORY_CGROUP && (uint64_t)resident > memory)
        return too_much_memory(l, p);
    return 0;
}

/* Marks tasks of the group whose callers have left. Returns true if that is all of them. */
static bool tell_left(struct batch *b, struct pool_process *p, struct batch_group g)
{
    bool all = true;
    for (unsigned i = g.first; i < g.end; i++) {
        const struct task *t = b->tasks[i];
        bool left = i < b->answered || !t ||
                    atomic_load_explicit(&t->state, memory_order_acquire) == TASK_LEFT;
        uint64_t id = b->first_id + i;
        all = all && left;
        if (!left || !p->control)
            continue;
        if (g.end - g.first == 1)
            atomic_store_explicit(&p->control->cancelled, id, memory_order_relaxed);
        else
            atomic_store_explicit(
                &p->control->left[id % WORKER_BATCH_MAX], id, memory_order_relaxed);
    }
    return all;
}

static int look_at_callers(struct batch *b, struct pool_process *p, struct loss *l)
{
    unsigned running;
    says_running(b, p, &running);
    if (!b->tasks[running] || !tell_left(b, p, batch_group_at(b, running)))
        return 0;
    if (b->pool->conf->on_cancel == CONF_KILL || queue_closed(&b->pool->queue))
        return loss_say(
            l, RESTART_CANCELLED, POOL_CANCELLED, "ran a task that nobody waits for any more");
    return 0;
}

/* Recalls the tasks behind one that takes long. A process publishes what it runs before it reads
 * what was recalled; so it starts no recalled task behind the one that it has published. That may
 * be one that it had just begun, and that takes long, too: so each check recalls again. */
static void recall(struct batch *b, struct pool_process *p)
{
    unsigned running;
    batch_put_back(b);
    if (!says_running(b, p, &running))
        return;
    if (!b->recalled) {
        struct batch_group g = batch_group_at(b, running);
        if (g.end == b->count)
            return;
        b->recalled = g.end;
        atomic_store(&p->control->recalled, b->first_id + g.end);
        if (!says_running(b, p, &running))
            return;
    }
    unsigned behind = batch_group_at(b, running).end;
    for (unsigned i = behind > b->recalled ? behind : b->recalled; i < b->count; i++)
        if (b->tasks[i]) {
            task_put_back(b->tasks[i], b->client);
            b->tasks[i] = NULL;
        }
}

int batch_look(struct batch *b, struct pool_process *p, int64_t now, struct loss *l)
{
    const struct conf_pool *conf = b->pool->conf;
    if (conf->hard_timeout && now - b->progress >= conf->hard_timeout)
        return loss_say(l, RESTART_TIMEOUT, POOL_TIMEOUT,
            "ran longer than %g s: its pool's `hard_timeout`",
            (double)conf->hard_timeout / (double)NS_PER_S);
    if (now - b->looked < LOOK_EVERY_NS)
        return 0;
    b->looked = now;
    if (p->ended || !p->child) /* a process that it left behind holds the channel open */
        return loss_ended(b, p, l);
    if (now - b->progress >= LOOK_EVERY_NS / 2)
        recall(b, p);
    int rc = look_at_memory(b, p, l);
    return rc ? rc : look_at_callers(b, p, l);
}

/* ---- Its tasks ---- */

static void lose(struct batch *b, struct pool_process *p, struct task *t, const struct loss *l)
{
    task_worker_lost(t, l->outcome, b->client, "the worker of pool '%s' that ran step '%s' %s",
        p->pool->conf->name, p->pool->specs[t->item.step].name, l->how);
}

/* It had run. */
static void lose_result(
    struct batch *b, struct pool_process *p, struct task *t, const struct loss *l)
{
    if (t->retry)
        task_put_back(t, b->client);
    else
        task_fail(t, POOL_DIED, b->client, "the worker of pool '%s' %s before it gave its result",
            p->pool->conf->name, l->how);
}

static void log_loss(
    struct batch *b, struct pool_process *p, unsigned running, const struct loss *l)
{
    const struct task *t = b->tasks[running];
    struct batch_group g = batch_group_at(b, running);
    char together[48] = "";
    if (g.end - g.first > 1)
        snprintf(together, sizeof(together), " and %u others together", g.end - g.first - 1);
    log_with(pool_log(b->pool), LOG_WARN,
        POOL_FIELDS(b->pool, LOG_NUMBER("pid", p->pid),
            LOG_TEXT("step", t ? b->pool->specs[t->item.step].name : ""),
            LOG_TEXT("id", t ? t->name : "")),
        "pool '%s': worker %d %s, in step '%s' of %s%s%s", b->pool->conf->name, p->pid, l->how,
        t ? b->pool->specs[t->item.step].name : "none",
        t && t->name[0] ? t->name : "a request without a name", together, worker_log_last(&p->log));
}

void batch_lost(struct batch *b, struct pool_process *p, const struct loss *l)
{
    unsigned running;
    bool blame = says_running(b, p, &running) || b->written;
    struct batch_group g = batch_group_at(b, running);
    pool_process_kill(p); /* before another process runs the same task */
    log_loss(b, p, running, l);
    for (unsigned i = b->answered; i < b->count; i++) {
        struct task *t = b->tasks[i];
        if (!t)
            continue;
        if (blame && i >= g.first && i < g.end && g.end - g.first > 1)
            task_batch_lost(t, b->client);
        else if (blame && i < running)
            lose_result(b, p, t, l);
        else if (blame && i == running)
            lose(b, p, t, l);
        else
            task_put_back(t, b->client);
    }
    b->answered = b->count;
}

void batch_abandon(struct batch *b)
{
    for (unsigned i = b->answered; i < b->count; i++)
        if (b->tasks[i])
            task_fail(b->tasks[i], POOL_UNAVAILABLE, b->client, "the server stops");
    b->answered = b->count;
}
