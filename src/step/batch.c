/*
 * batch.c: several calls of a step at once, by its run_batch.
 *
 * Code that says no to a whole batch does not say which of them it is about. So the batch is run
 * again in halves, and those that fail again in halves of them, down to single calls by `run`,
 * which says why. With one bad call among n that is about 2 log n calls of the code; if all are bad
 * it is 2n - 1.
 *
 * Inputs are read once, however often the code is called with them: reading may destroy the text.
 */
#include "step/internal.h"

#include "base/bug.h"
#include "base/mem.h"
#include "base/time.h"

struct step_batch {
    unsigned room;
    struct weir_task *tasks;
    struct weir_task **refs; /* to those that are run */
    struct arena *arenas;    /* of each its own: what one takes is not missing for another */
};

/* ---- Room ---- */

static void release(struct step_batch *b)
{
    for (unsigned i = 0; i < b->room; i++)
        arena_release(&b->arenas[i]);
    mem_free(b->tasks);
    mem_free(b->refs);
    mem_free(b->arenas);
    *b = (struct step_batch){0};
}

void step_batch_free(struct step_batch *b)
{
    if (!b)
        return;
    release(b);
    mem_free(b);
}

static bool make_room(struct step_worker *k, unsigned count)
{
    if (!k->batch)
        k->batch = mem_zalloc(sizeof *k->batch);
    struct step_batch *b = k->batch;
    if (!b || b->room >= count)
        return b;
    release(b);
    b->tasks = mem_alloc(count * sizeof *b->tasks);
    b->refs = mem_alloc(count * sizeof(struct weir_task *));
    b->arenas = mem_alloc(count * sizeof *b->arenas);
    if (!b->tasks || !b->refs || !b->arenas) {
        release(b);
        return false;
    }
    for (unsigned i = 0; i < count; i++)
        arena_init(&b->arenas[i], STEP_ARENA_MAX);
    b->room = count;
    return true;
}

/* ---- Running ---- */

/* As if the code had never seen it, but its input stays read. */
static void begin_again(struct weir_task *t)
{
    struct json *input = t->input;
    bool input_read = t->input_read;
    struct error unread = t->unread;
    arena_reset(t->arena);
    step_task_init(t, t->worker, t->call, t->arena);
    t->input = input;
    t->input_read = input_read;
    t->unread = unread;
}

static void refuse_left(const char *step, struct step_call *c)
{
    c->output->len = 0;
    c->wall_ns = c->processor_ns = 0;
    step_task_refuse(c, STEP_FAILED, "cancelled",
        "step '%s': nobody waits any more by the time that its batch comes to it", step);
}

/* Those for which somebody waits, in front; how many they are. */
static unsigned drop_left(struct weir_task **tasks, unsigned count)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < count; i++) {
        struct weir_task *t = tasks[i];
        if (!weir_cancelled(t)) {
            tasks[kept++] = t;
            continue;
        }
        refuse_left(t->worker->step->name, t->call);
    }
    return kept;
}

/* What the code said of one, while it did what it should with the others. */
static void judge_one(struct weir_task *t)
{
    bool without = t->no_memory && t->call->output->len == 0;
    step_task_judge(t, t->said || without ? -1 : 0);
}

/* Whether the code did its part. */
static bool run(struct weir_task **tasks, unsigned count)
{
    const struct weir_step *code = &tasks[0]->worker->step->code;
    if (count == 1) {
        step_task_judge(tasks[0], code->run(tasks[0]));
        return true;
    }
    if (code->run_batch(tasks, count) != 0)
        return false;
    for (unsigned i = 0; i < count; i++)
        judge_one(tasks[i]);
    return true;
}

/* Recurses as deep as `count` can be halved. */
static void run_again(struct weir_task **tasks, unsigned count)
{
    count = drop_left(tasks, count);
    for (unsigned i = 0; i < count; i++)
        begin_again(tasks[i]);
    if (count == 0 || run(tasks, count))
        return;
    run_again(tasks, count / 2);
    run_again(tasks + count / 2, count - count / 2);
}

static void run_all(struct step_worker *k, struct step_call *const *calls, unsigned count)
{
    struct step_batch *b = k->batch;
    for (unsigned i = 0; i < count; i++) {
        b->refs[i] = &b->tasks[i];
        step_task_init(b->refs[i], &k->steps[calls[i]->step], calls[i], &b->arenas[i]);
    }
    if (!run(b->refs, count)) {
        run_again(b->refs, count / 2);
        run_again(b->refs + count / 2, count - count / 2);
    }
    for (unsigned i = 0; i < count; i++) {
        json_free(b->tasks[i].input);
        arena_reset(&b->arenas[i]);
    }
}

static bool is_left(const struct step_worker *k, const struct step_call *c)
{
    struct work *work = k->place->work;
    return (c->cancelled && c->cancelled(c->cancelled_ctx)) || work->now(work) >= c->deadline;
}

static void call_each(struct step_worker *k, struct step_call *const *calls, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (i > 0 && is_left(k, calls[i]))
            refuse_left(k->steps[calls[i]->step].step->name, calls[i]);
        else
            step_worker_call(k, calls[i]);
    }
}

bool step_worker_batches(const struct step_worker *k, unsigned step)
{
    return k->steps[step].step->code.run_batch;
}

void step_worker_call_batch(struct step_worker *k, struct step_call *const *calls, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        check(calls[i]->step == calls[0]->step && calls[i]->step < k->set->count,
            "a batch with a call of step %u where there are %u", calls[i]->step, k->set->count);
    if (count < 2 || !step_worker_batches(k, calls[0]->step) || !make_room(k, count)) {
        call_each(k, calls, count);
        return;
    }
    int64_t start = step_time_begin(k);
    run_all(k, calls, count);
    step_time_end(k, calls, count, start);
}
