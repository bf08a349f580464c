/*
 * batch.c: tasks that a worker process is to run together. They come one frame after the
 * other, and are kept until the last is there; then the step is called with all of them, and then
 * their results are put, in order.
 *
 * A step that has no code for batches is called with each as it comes. So is what there is no
 * memory for: nobody has to know.
 */
#include "worker/run.h"

#include "base/bug.h"
#include "base/mem.h"
#include "data/json.h"
#include "worker/output.h"

#include <errno.h>

/* What an output has room for at first. */
#define OUTPUT_FIRST ((size_t)512)

struct batched {
    struct step_output output; /* the first, so that `grow` finds the rest */
    struct worker_process *worker;
    uint64_t id;
    bool inside; /* its input is a copy, which begins at `input_at` */
    size_t input_at;
    struct step_call call;
};

struct worker_batch {
    unsigned count;
    struct bytes inputs;
    struct batched tasks[WORKER_BATCH_MAX];
    struct step_call *refs[WORKER_BATCH_MAX]; /* to those that are started */
};

void worker_batch_free(struct worker_batch *b)
{
    if (!b)
        return;
    bytes_release(&b->inputs);
    mem_free(b);
}

bool worker_batch_open(const struct worker_process *k)
{
    return k->batch && k->batch->count > 0;
}

/* ---- Keeping ---- */

static int keep_input(struct worker_batch *b, struct batched *t)
{
    static const char padding[JSON_PARSE_PADDING];
    t->inside = true;
    t->input_at = b->inputs.len;
    int rc = bytes_reserve(&b->inputs, t->call.input.len + sizeof padding);
    if (rc == 0)
        rc = bytes_append_span(&b->inputs, t->call.input);
    return rc ? rc : bytes_append(&b->inputs, padding, sizeof padding);
}

/* 0; or there is no room, and it is to be run without the others. */
static int keep(
    struct worker_process *k, const struct worker_task *task, const struct step_call *call)
{
    if (!k->batch) {
        k->batch = mem_zalloc(sizeof *k->batch);
        if (!k->batch)
            return -ENOMEM;
        bytes_init(&k->batch->inputs, WORKER_FRAME_MAX);
    }
    struct worker_batch *b = k->batch;
    check(b->count < WORKER_BATCH_MAX, "a batch of more than %d tasks", (int)WORKER_BATCH_MAX);
    struct batched *t = &b->tasks[b->count];
    *t = (struct batched){.worker = k, .id = task->id, .call = *call};
    int rc = task->input.shared ? 0 : keep_input(b, t);
    if (rc == 0)
        b->count++;
    return rc;
}

/* ---- Outputs: on the heap, since all are written at once ---- */

static int grow(struct step_output *o, size_t room)
{
    size_t most = ((struct batched *)(void *)o)->worker->setup.value;
    if (room > most)
        return -ENOBUFS;
    if (room < OUTPUT_FIRST)
        room = OUTPUT_FIRST < most ? OUTPUT_FIRST : most;
    char *base = mem_realloc(o->base, room);
    if (!base)
        return -ENOMEM;
    o->base = base;
    o->room = room;
    return 0;
}

/* To where it is passed on from. */
static int pass_on(struct step_output *to, const struct step_output *from)
{
    int rc = from->len > to->room ? to->grow(to, from->len) : 0;
    if (rc == 0 && from->len > 0)
        memcpy(to->base, from->base, from->len);
    to->len = rc ? 0 : from->len;
    return rc;
}

static void put_result(struct worker_process *k, struct batched *t)
{
    struct step_output *to = worker_output_begin(k);
    if (t->call.outcome == STEP_DONE && pass_on(to, &t->output) != 0) {
        t->call.outcome = STEP_OUT_OF_MEMORY;
        error_set(&t->call.error, -ENOMEM, "out-of-memory", "no memory to pass its output on");
    }
    k->running = t->id;
    worker_run_put(k, &t->call);
    mem_free(t->output.base);
}

/* ---- Running ---- */

static bool was_cancelled(void *task)
{
    const struct batched *t = task;
    return worker_run_left(t->worker, t->id);
}

static void prepare(struct worker_batch *b, struct batched *t)
{
    t->output.grow = grow;
    t->call.output = &t->output;
    t->call.cancelled = was_cancelled;
    t->call.cancelled_ctx = t;
    if (t->inside) {
        t->call.input_in_place = b->inputs.ptr + t->input_at;
        t->call.input.ptr = t->call.input_in_place;
    }
}

static void run(struct worker_process *k)
{
    struct worker_batch *b = k->batch;
    unsigned started = 0;
    check(b && b->count > 0, "an empty batch is run");
    worker_run_tell(k, b->tasks[0].id);
    int64_t now = k->io->work->now(k->io->work);
    for (unsigned i = 0; i < b->count; i++) {
        struct batched *t = &b->tasks[i];
        prepare(b, t);
        if (worker_run_starts(k, t->id, &t->call, now))
            b->refs[started++] = &t->call;
    }
    if (started > 0)
        step_worker_call_batch(k->steps, b->refs, started);
    for (unsigned i = 0; i < b->count; i++)
        put_result(k, &b->tasks[i]);
    worker_run_tell(k, 0);
    worker_process_flush(k);
    b->count = 0;
    bytes_reset(&b->inputs);
}

/* By itself, behind those that are kept. */
static bool run_alone(struct worker_process *k, const struct worker_task *task)
{
    struct worker_task alone = *task;
    alone.more = false;
    if (worker_batch_open(k))
        run(k);
    return worker_process_task(k, &alone);
}

bool worker_batch_task(struct worker_process *k, const struct worker_task *task)
{
    struct step_call call;
    bool open = worker_batch_open(k);
    if (open && (k->batch->count == WORKER_BATCH_MAX || k->batch->tasks[0].call.step != task->step))
        return false;
    if (!worker_run_call(k, task, &call))
        return false;
    if ((!open && !step_worker_batches(k->steps, task->step)) || keep(k, task, &call) != 0)
        return run_alone(k, task);
    if (!task->more)
        run(k);
    return true;
}
