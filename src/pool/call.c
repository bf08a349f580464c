/*
 * call.c: one call of a group: what refuses it, its task, and its result.
 */
#include "pool/call.h"

#include "base/bug.h"

#include <errno.h>

static void name_task(struct task *t, struct span name)
{
    size_t len = name.len < sizeof(t->name) ? name.len : sizeof(t->name) - 1;
    if (len > 0)
        memcpy(t->name, name.ptr, len);
    t->name[len] = '\0';
}

static int refuse(struct pool_call *c, enum pool_outcome outcome, const char *sentence)
{
    c->outcome = outcome;
    return error_set(
        &c->error, pool_outcome_errno(outcome), pool_outcome_name(outcome), "%s", sentence);
}

static int refuse_too_long(struct pool_call *c, const struct pool *p)
{
    c->outcome = POOL_TOO_LARGE;
    return error_set(&c->error, pool_outcome_errno(c->outcome), pool_outcome_name(c->outcome),
        "the input of step '%s' has %zu bytes; pool '%s' takes %llu", p->specs[c->step].name,
        c->input.len, p->conf->name, (unsigned long long)p->conf->value);
}

/* The caller leaves before there is a result. */
void call_left(struct pool_call *c, const struct task *t, int why)
{
    bool ran = atomic_load_explicit(&t->state, memory_order_relaxed) == TASK_LEFT;
    check(why == -ECANCELED || why == -ETIMEDOUT, "a caller leaves for %s", error_text(why));
    if (why == -ECANCELED)
        refuse(c, POOL_CANCELLED,
            ran ? "the caller left while the step ran" : "the caller left before the step began");
    else
        refuse(c, POOL_EXPIRED,
            ran ? "the deadline passed while the step ran"
                : "the deadline passed before the task could be started");
}

/* A step that looks at weir_cancelled gives up when its deadline passes: perhaps before its caller
 * has noticed. */
static bool gave_up_late(const struct pool_client *client, const struct task *t)
{
    return t->outcome == POOL_FAILED && t->item.deadline != DEADLINE_NEVER &&
           t->item.deadline <= world_now(client->world);
}

void call_take(const struct pool_client *client, struct pool_call *c, struct task *t)
{
    t->caller = NULL;
    c->outcome = t->outcome;
    c->queue_ns = t->queue_ns;
    c->wall_ns = t->wall_ns;
    c->processor_ns = t->processor_ns;
    if (t->outcome == POOL_DONE) {
        c->output = (struct span){.ptr = t->output.base, .len = t->output.len};
        c->held = t;
        return;
    }
    if (gave_up_late(client, t)) {
        refuse(c, POOL_EXPIRED, "the deadline passed while the step ran");
    } else {
        c->error = t->error;
        c->retry_after = t->item.retry_after;
        c->error.code = pool_outcome_errno(t->outcome);
    }
    task_release(t, true);
}

void call_refused(struct pool_call *c, int rc, int64_t retry_after)
{
    c->retry_after = retry_after;
    if (rc == -ENOBUFS)
        refuse(c, POOL_OVERLOADED, "the pool's queue is full");
    else if (rc == -ETIME)
        refuse(c, POOL_OVERLOADED, "the pool has too much to do to be done before the deadline");
    else if (rc == -EPIPE)
        refuse(c, POOL_UNAVAILABLE, "the pool is ending");
    else
        refuse(c, POOL_OUT_OF_MEMORY, "there was no memory for the task");
}

int call_admit(struct pool_call *c, const struct pool *p)
{
    if (c->input.len > p->conf->value)
        return refuse_too_long(c, p);
    int rc = coro_poll();
    if (rc == -ECANCELED)
        return refuse(c, POOL_CANCELLED, "the caller left before the step began");
    if (rc)
        return refuse(c, POOL_EXPIRED, "the deadline passed before the task could be started");
    if (atomic_load_explicit(&p->workers, memory_order_relaxed) == 0 &&
        atomic_load_explicit(&p->failing, memory_order_relaxed))
        return refuse(c, POOL_UNAVAILABLE, "the pool has no worker, and cannot start one");
    return 0;
}

struct task *call_task(struct pool_client *client, struct pool *p, struct pool_call *c, int64_t now)
{
    struct task *t = task_new(client, p, c->step);
    if (!t) {
        refuse(c, POOL_OUT_OF_MEMORY, "there was no memory for the task");
        return NULL;
    }
    task_set_input(t, c->input);
    t->item.deadline = deadline_sooner(coro_deadline(), c->deadline);
    t->item.sort_deadline = c->sort_deadline;
    t->item.needed = c->needed;
    t->item.put_at = now;
    t->retry = c->retry;
    t->item.route = c->route;
    t->item.priority = c->priority;
    name_task(t, c->name);
    return t;
}

void call_begin(const struct pool *p, struct pool_call *c)
{
    check(c->step < p->step_count, "step %u of pool '%s', which has %u", c->step, p->conf->name,
        p->step_count);
    c->output = (struct span){NULL, 0};
    c->held = NULL;
    c->queue_ns = c->wall_ns = c->processor_ns = c->retry_after = 0;
    error_clear(&c->error);
}

void pool_call_release(struct pool_call *c)
{
    if (c->held)
        task_release(c->held, true);
    c->held = NULL;
    c->output = (struct span){NULL, 0};
}
