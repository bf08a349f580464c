/*
 * run.c: see run.h.
 */
#include "exec/threads/run.h"

#include "base/mem.h"
#include "data/json.h"

/* A larger buffer of inputs is freed after the task. */
#define INPUTS_KEPT_MAX ((size_t)256 * 1024)

/* One call of run_batch. */
struct together {
    unsigned count;
    struct task *tasks[TAKE_MAX];
    struct span inputs[TAKE_MAX]; /* `ptr` is set when the last is there */
    struct step_call calls[TAKE_MAX];
    struct step_call *refs[TAKE_MAX];
};

void thread_run_init(struct thread_run *r, const struct pool *p)
{
    *r = (struct thread_run){.together = NULL};
    bytes_init(&r->inputs, p->conf->value + JSON_PARSE_PADDING);
}

void thread_run_release(struct thread_run *r)
{
    bytes_release(&r->inputs);
    mem_free(r->together);
}

/* ---- Inputs ---- */

static int copy_input(struct thread_run *r, struct span input)
{
    static const char padding[JSON_PARSE_PADDING];
    int rc = bytes_reserve(&r->inputs, input.len + sizeof padding);
    if (rc == 0)
        rc = bytes_append_span(&r->inputs, input);
    return rc ? rc : bytes_append(&r->inputs, padding, sizeof padding);
}

/* Claims the task and copies its input. Returns false if it has its outcome. */
static bool begin_task(struct thread_run *r, struct task *t, int64_t now)
{
    if (!task_claim(t, now, NULL))
        return false;
    if (copy_input(r, t->input) != 0) {
        task_fail(t, POOL_OUT_OF_MEMORY, NULL, "there was no memory for the input");
        return false;
    }
    task_runs(t, now);
    return true;
}

static void end_inputs(struct thread_run *r)
{
    bytes_reset(&r->inputs);
    if (r->inputs.size > INPUTS_KEPT_MAX)
        bytes_release(&r->inputs);
}

/* ---- Calls ---- */

static void make_call(struct step_call *c, struct task *t, struct span input, char *in_place)
{
    c->step = t->item.step;
    c->input = input;
    c->input_in_place = in_place;
    c->deadline = t->item.deadline;
    c->cancelled = task_cancelled;
    c->cancelled_ctx = t;
    c->output = &t->output;
}

static void run_one(struct thread_run *r, struct step_worker *worker, struct task *t, int64_t now)
{
    size_t len = t->input.len;
    if (!begin_task(r, t, now))
        return;
    struct step_call call;
    make_call(&call, t, (struct span){r->inputs.ptr, len}, r->inputs.ptr);
    step_worker_call(worker, &call);
    t->together = t->item.batch > 1;
    task_called(t, &call, NULL);
    end_inputs(r);
}

/* How many run together: their inputs are at most as long as one may be. */
static unsigned count_together(const struct thread_run *r, const struct step_worker *worker,
    struct task **tasks, unsigned count)
{
    const struct task *first = tasks[0];
    size_t room = r->inputs.max;
    unsigned n = 0;
    if (count == 1 || first->item.batch < 2 || !step_worker_batches(worker, first->item.step))
        return 1;
    for (; n < count && n < first->item.batch && item_joins(&first->item, &tasks[n]->item); n++) {
        size_t size = tasks[n]->input.len + JSON_PARSE_PADDING;
        if (size > room)
            break;
        room -= size;
    }
    return n ? n : 1;
}

/* Collects the tasks whose callers still wait, with copies of their inputs. */
static void begin_together(struct thread_run *r, struct task **tasks, unsigned count, int64_t now)
{
    struct together *g = r->together;
    size_t at = 0;
    g->count = 0;
    for (unsigned i = 0; i < count; i++) {
        size_t len = tasks[i]->input.len;
        if (!begin_task(r, tasks[i], now))
            continue;
        g->inputs[g->count].len = len;
        g->tasks[g->count++] = tasks[i];
    }
    for (unsigned i = 0; i < g->count; i++) {
        g->inputs[i].ptr = r->inputs.ptr + at;
        make_call(&g->calls[i], g->tasks[i], g->inputs[i], r->inputs.ptr + at);
        g->refs[i] = &g->calls[i];
        at += g->inputs[i].len + JSON_PARSE_PADDING;
    }
}

static void run_together(struct thread_run *r, struct step_worker *worker, struct task **tasks,
    unsigned count, int64_t now)
{
    struct together *g = r->together;
    begin_together(r, tasks, count, now);
    if (g->count > 0) {
        step_worker_call_batch(worker, g->refs, g->count);
        g->tasks[0]->together = g->count;
    }
    for (unsigned i = 0; i < g->count; i++)
        task_called(g->tasks[i], &g->calls[i], NULL);
    end_inputs(r);
}

unsigned thread_run_first(struct thread_run *r, struct step_worker *worker, struct task **tasks,
    unsigned count, int64_t now)
{
    unsigned n = count_together(r, worker, tasks, count);
    if (n > 1 && !r->together)
        r->together = mem_alloc(sizeof *r->together);
    if (n == 1 || !r->together) {
        run_one(r, worker, tasks[0], now);
        return 1;
    }
    run_together(r, worker, tasks, n, now);
    return n;
}
