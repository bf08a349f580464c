/*
 * task.c: the states of a task, and who holds it: see task.h.
 *
 * The first change of `state` wins: a caller that leaves against a worker that starts, a deadline
 * against a result. A worker writes its result before it sets DONE; the caller reads it after it
 * has seen that.
 */
#include "exec/client.h"

#include "base/bug.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>

/* ---- Memory ---- */

void task_free(struct task *t)
{
    if (t->output.base != t->small)
        mem_free(t->output.base);
    mem_free(t);
}

void task_release(struct task *t, bool here)
{
    if (atomic_fetch_sub_explicit(&t->holders, 1, memory_order_acq_rel) > 1)
        return;
    if (here && t->client)
        pool_client_keep(t->client, t);
    else
        task_free(t);
}

static int grow(struct step_output *o, size_t room)
{
    struct task *t = container_of(o, struct task, output);
    size_t max = t->pool->conf->value;
    if (room <= o->room)
        return 0;
    /* A caller that asked for more than it needs may ask again for less. */
    t->output_too_large = room > max;
    if (t->output_too_large)
        return -ENOBUFS;
    size_t more = room < max / 2 ? room * 2 : max;
    char *base = mem_realloc(o->base == t->small ? NULL : o->base, more);
    if (!base)
        return -ENOMEM;
    if (o->base == t->small)
        memcpy(base, t->small, sizeof(t->small));
    o->base = base;
    o->room = more;
    return 0;
}

static void task_delivered(struct message *m);

/* Sets what is read; most of a task is room for sentences and outputs. */
void task_init(struct task *t, struct pool_client *client, struct pool *p, unsigned step)
{
    queue_item_init(&t->item);
    t->item.step = step;
    t->item.priority =
        client ? 0 : CONF_PRIORITY_MAX; /* the canary shows soon that work gets through */
    t->item.batch = p->batches ? p->batches[step].max : 1;
    atomic_store_explicit(&t->state, TASK_WAITING, memory_order_relaxed);
    atomic_store_explicit(&t->holders, 2, memory_order_relaxed);
    atomic_store_explicit(&t->cancelled, false, memory_order_relaxed);
    t->pool = p;
    t->id = atomic_fetch_add_explicit(&p->next_id, 1, memory_order_relaxed);
    t->input = (struct span){NULL, 0};
    t->retry = false;
    t->deaths = 0;
    t->name[0] = '\0';
    t->outcome = POOL_DONE;
    error_clear(&t->error);
    t->queue_ns = t->wall_ns = t->processor_ns = 0;
    t->together = 0;
    size_t room = p->conf->value < sizeof(t->small) ? p->conf->value : sizeof(t->small);
    t->output = (struct step_output){.base = t->small, .room = room, .grow = grow};
    t->output_too_large = false;
    t->done = (struct message){.deliver = task_delivered};
    t->client = client;
    t->caller = NULL;
    t->group = NULL;
    atomic_store_explicit(&t->pending, 0, memory_order_relaxed);
}

struct task *task_new(struct pool_client *client, struct pool *p, unsigned step)
{
    struct task *t = pool_client_kept(client);
    if (!t)
        t = mem_alloc(sizeof(*t));
    if (t)
        task_init(t, client, p, step);
    return t;
}

char *task_output(struct task *t, size_t size)
{
    t->output.len = 0;
    if (grow(&t->output, size) != 0)
        return NULL;
    t->output.len = size;
    return t->output.base;
}

/* ---- States ---- */

static bool change(struct task *t, enum task_state from, enum task_state to)
{
    return atomic_compare_exchange_strong_explicit(
        &t->state, &from, to, memory_order_acq_rel, memory_order_acquire);
}

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

bool task_leave(struct task *t)
{
    for (;;) {
        switch (atomic_load_explicit(&t->state, memory_order_acquire)) {
        case TASK_WAITING:
            if (!change(t, TASK_WAITING, TASK_DROPPED))
                continue;
            /* A worker that has it already will find it dropped. */
            if (queue_remove(&t->pool->queue, &t->item))
                task_release(t, true);
            return true;
        case TASK_CLAIMED:
            relax();
            continue;
        case TASK_RUNNING:
            atomic_store_explicit(&t->cancelled, true, memory_order_relaxed);
            if (change(t, TASK_RUNNING, TASK_LEFT))
                return true;
            continue;
        case TASK_DONE:
            return false;
        case TASK_LEFT:
        case TASK_DROPPED:
            break;
        }
        bug("a task was left twice");
    }
}

bool task_claim(struct task *t, int64_t now, struct pool_client *from)
{
    if (t->item.deadline <= now) {
        task_fail(t, POOL_EXPIRED, from, "the deadline passed before the task could be started");
        return false;
    }
    if (change(t, TASK_WAITING, TASK_CLAIMED))
        return true;
    task_release(t, from && from == t->client);
    return false;
}

void task_runs(struct task *t, int64_t now)
{
    t->queue_ns = now - t->item.put_at;
    bool changed = change(t, TASK_CLAIMED, TASK_RUNNING);
    check(changed, "a task runs that was not claimed");
}

/* ---- Results ---- */

void task_join_group(struct task *t, struct task *head)
{
    t->group = head;
    if (t == head)
        atomic_fetch_add_explicit(&head->holders, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&head->pending, 1, memory_order_relaxed);
}

bool task_group_count_down(struct task *head)
{
    return atomic_fetch_sub_explicit(&head->pending, 1, memory_order_acq_rel) == 1;
}

/* On its client's thread, inside or outside of coroutines. */
static void wake_caller(struct task *t)
{
    if (t->caller)
        coro_wake(t->caller, 0);
    t->caller = NULL;
    task_release(t, true);
}

static void task_delivered(struct message *m)
{
    struct task *t = container_of(m, struct task, done);
    struct pool_client *client = t->client;
    bool early = !t->caller;
    wake_caller(t);
    if (early)
        pool_client_arrived(client);
}

/* Returns true if the result counts: the caller has not left. */
static bool settle(struct task *t)
{
    enum task_state s = atomic_load_explicit(&t->state, memory_order_acquire);
    while (s == TASK_WAITING || s == TASK_CLAIMED || s == TASK_RUNNING)
        if (atomic_compare_exchange_weak_explicit(
                &t->state, &s, TASK_DONE, memory_order_acq_rel, memory_order_acquire))
            return true;
    check(s != TASK_DONE, "a task has two outcomes");
    return false;
}

/* Sends a settled task to its caller; in a group, the last one sends all. */
static void deliver_group(struct task *t, struct pool_client *from)
{
    struct task *home = t->group;
    if (home) {
        task_release(t, from == home->client);
        if (!task_group_count_down(home))
            return;
        t = home;
    }
    if (from == t->client)
        wake_caller(t);
    else
        world_post(t->client->world, &t->done);
}

void task_finish(struct task *t, enum pool_outcome outcome, struct pool_client *from)
{
    t->outcome = outcome;
    if (!settle(t)) {
        task_release(t, from && from == t->client);
        return;
    }
    if (!t->client) {
        struct pool *p = t->pool;
        task_release(t, false);
        pool_canary_back(p, outcome);
    } else {
        deliver_group(t, from);
    }
}

static void fail(
    struct task *t, enum pool_outcome outcome, struct pool_client *from, const char *sentence)
{
    error_set(&t->error, pool_outcome_errno(outcome), pool_outcome_name(outcome), "%s", sentence);
    task_finish(t, outcome, from);
}

void task_fail(
    struct task *t, enum pool_outcome outcome, struct pool_client *from, const char *format, ...)
{
    char sentence[ERROR_SENTENCE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof(sentence), format, args);
    va_end(args);
    fail(t, outcome, from, sentence);
}

bool task_cancelled(void *task)
{
    const struct task *t = task;
    return atomic_load_explicit(&t->cancelled, memory_order_relaxed);
}

static enum pool_outcome outcome_of(const struct task *t, const struct step_call *call)
{
    switch (call->outcome) {
    case STEP_DONE:
        return POOL_DONE;
    case STEP_FAILED:
        return t->output_too_large && strcmp(call->error.type, "output-too-large") == 0
                   ? POOL_OUTPUT_TOO_LARGE
                   : POOL_FAILED;
    case STEP_REJECTED:
        return POOL_REJECTED;
    case STEP_OUT_OF_MEMORY:
        return POOL_OUT_OF_MEMORY;
    }
    bug("a step has no outcome");
}

void task_note_cost(const struct task *t, bool done)
{
    struct step_cost *cost = &t->pool->costs[t->item.step];
    int64_t known = cost_expected(cost, t->input.len);
    if (done || t->wall_ns > (known > 0 ? known / 2 : TAKE_BUDGET_NS))
        cost_note(cost, t->input.len, t->wall_ns);
}

void task_called(struct task *t, struct step_call *call, struct pool_client *from)
{
    t->wall_ns = call->wall_ns;
    t->processor_ns = call->processor_ns;
    enum pool_outcome outcome = outcome_of(t, call);
    task_note_cost(t, outcome == POOL_DONE);
    if (outcome == POOL_OUT_OF_MEMORY)
        fail(t, outcome, from, call->error.sentence);
    else {
        if (outcome != POOL_DONE)
            t->error = call->error;
        task_finish(t, outcome, from);
    }
}

/* ---- The queue ---- */

unsigned task_take(struct worker *worker, struct task **out, unsigned max, int64_t now)
{
    struct queue_item *items[TAKE_MAX];
    unsigned count =
        queue_take(&worker->pool->queue, worker, items, max < TAKE_MAX ? max : TAKE_MAX, now);
    for (unsigned i = 0; i < count; i++)
        out[i] = task_of(items[i]);
    return count;
}

void task_drop(struct queue_item *item, enum queue_drop why, struct pool_client *from)
{
    struct task *t = task_of(item);
    switch (why) {
    case DROP_EXPIRED:
        task_fail(t, POOL_EXPIRED, from, "the deadline passed before the task could be started");
        return;
    case DROP_SHED:
        task_fail(t, POOL_OVERLOADED, from, "the task cannot be done before its deadline any more");
        return;
    case DROP_CLOSED:
        task_release(t, false);
        return;
    }
    bug("a task is dropped without a reason");
}

/* ---- Again ---- */

/* Back to WAITING, for another worker. Returns false if the caller has left. */
static bool wait_again(struct task *t)
{
    enum task_state s = atomic_load_explicit(&t->state, memory_order_acquire);
    while (s == TASK_WAITING || s == TASK_CLAIMED || s == TASK_RUNNING)
        if (atomic_compare_exchange_weak_explicit(
                &t->state, &s, TASK_WAITING, memory_order_acq_rel, memory_order_acquire))
            return true;
    return false;
}

void task_put_back(struct task *t, struct pool_client *from)
{
    if (!wait_again(t)) {
        task_release(t, from && from == t->client);
        return;
    }
    int rc = queue_put_back(&t->pool->queue, &t->item, from);
    if (rc)
        task_fail(t, POOL_UNAVAILABLE, from, "the task lost its worker, and its place: %s",
            error_text(rc));
}

void task_worker_lost(
    struct task *t, enum pool_outcome outcome, struct pool_client *from, const char *format, ...)
{
    char sentence[ERROR_SENTENCE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof(sentence), format, args);
    va_end(args);
    t->deaths++;
    if (t->deaths >= 2)
        log_with(pool_log(t->pool), LOG_WARN, TASK_FIELDS(t, LOG_NUMBER("deaths", t->deaths)),
            "poison: %s, step '%s' in pool '%s': %u workers died of it: %s",
            t->name[0] ? t->name : "a request without a name", t->pool->specs[t->item.step].name,
            t->pool->conf->name, t->deaths, sentence);
    if (t->retry && t->deaths < 2)
        task_put_back(t, from);
    else
        fail(t, outcome, from, sentence);
}

void task_batch_lost(struct task *t, struct pool_client *from)
{
    t->item.batch = 0;
    task_put_back(t, from);
}
