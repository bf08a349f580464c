/*
 * run.c: tasks in a worker process: their inputs, their calls, their results.
 */
#include "worker/run.h"

#include "base/time.h"
#include "data/json.h"
#include "worker/output.h"

#include <errno.h>
#include <stdatomic.h>

static struct worker_control *control(const struct worker_process *k)
{
    return (struct worker_control *)(void *)k->shared;
}

bool worker_run_left(const struct worker_process *k, uint64_t id)
{
    if (!k->shared)
        return false;
    const struct worker_control *c = control(k);
    return atomic_load_explicit(&c->cancelled, memory_order_relaxed) == id ||
           atomic_load_explicit(&c->left[id % WORKER_BATCH_MAX], memory_order_relaxed) == id;
}

static bool was_cancelled(void *worker)
{
    const struct worker_process *k = worker;
    return worker_run_left(k, k->running);
}

void worker_run_tell(struct worker_process *k, uint64_t id)
{
    k->running = id;
    if (k->shared)
        atomic_store(&control(k)->running, id);
}

/* The one before it took long, and the server has given this one to another worker. */
static bool was_recalled(const struct worker_process *k, uint64_t id)
{
    uint64_t from = k->shared ? atomic_load(&control(k)->recalled) : 0;
    return from && id >= from;
}

/* ---- Inputs ---- */

/* The memory's first `end` bytes may be touched. */
static bool reaches(struct worker_process *k, uint64_t end)
{
    if (end > k->shared_size) {
        int64_t size = k->io->shared_size(k->io);
        k->shared_size = size > 0 ? (size_t)size : 0;
    }
    return end <= k->shared_size;
}

/* Where the input is; false if it cannot be there. In shared memory it is read in place, if there
 * is room for what that needs. */
static bool find_input(
    struct worker_process *k, const struct worker_text *text, struct step_call *call)
{
    if (!text->shared) {
        call->input = text->inside;
        return true;
    }
    /* The codec saw to it that nothing overflows. */
    uint64_t end = text->offset + text->length;
    if (!k->shared || end > k->setup.outputs || !reaches(k, end))
        return false;
    call->input = (struct span){k->shared + text->offset, (size_t)text->length};
    if (k->setup.outputs - end >= JSON_PARSE_PADDING && reaches(k, end + JSON_PARSE_PADDING))
        call->input_in_place = k->shared + text->offset;
    return true;
}

/* ---- Results ---- */

/* As enum worker_outcome says, they are the same. */
_Static_assert((int)WORKER_DONE == (int)STEP_DONE && (int)WORKER_FAILED == (int)STEP_FAILED &&
                   (int)WORKER_REJECTED == (int)STEP_REJECTED &&
                   (int)WORKER_OUT_OF_MEMORY == (int)STEP_OUT_OF_MEMORY,
    "outcomes cross the protocol as they are");

static void put_failure(
    struct worker_process *k, enum worker_outcome outcome, const char *code, const char *why)
{
    struct worker_frame f = {.kind = WORKER_RESULT,
        .result = {.id = k->running,
            .outcome = outcome,
            .code = span_of(code),
            .output.inside = span_of(why)}};
    if (worker_process_say(k, &f) != 0)
        k->lost = true;
}

void worker_run_put(struct worker_process *k, const struct step_call *call)
{
    struct worker_frame f = {.kind = WORKER_RESULT,
        .result = {.id = k->running,
            .outcome = (enum worker_outcome)call->outcome,
            .wall_ns = call->wall_ns > 0 ? call->wall_ns : 0,
            .processor_ns = call->processor_ns > 0 ? call->processor_ns : 0}};
    if (call->outcome == STEP_DONE) {
        f.result.output = worker_output_text(k);
    } else {
        f.result.code = span_of(call->error.type);
        f.result.output.inside = span_of(call->error.sentence);
    }
    int rc = worker_process_say(k, &f);
    worker_output_end(k);
    if (rc == -ENOMEM)
        put_failure(k, WORKER_OUT_OF_MEMORY, "out-of-memory", "no memory to pass its output on");
    else if (rc)
        put_failure(k, WORKER_FAILED, WORKER_CODE_TOO_LARGE, "its output is too long for a frame");
}

/* It does not run: somebody could only be told that nobody waits. */
static void skip(struct step_call *call, const char *code, const char *why)
{
    call->outcome = STEP_FAILED;
    call->wall_ns = call->processor_ns = 0;
    error_set(&call->error, -ECANCELED, code, "%s", why);
}

bool worker_run_starts(
    const struct worker_process *k, uint64_t id, struct step_call *call, int64_t now)
{
    if (was_recalled(k, id))
        skip(call, WORKER_CODE_RECALLED, "it is not to be started");
    else if (worker_run_left(k, id))
        skip(call, "cancelled", "nobody waits for it any more");
    else if (now >= call->deadline)
        skip(call, "expired", "its deadline passed before it could start");
    else
        return true;
    return false;
}

/* ---- A task ---- */

bool worker_run_call(
    struct worker_process *k, const struct worker_task *task, struct step_call *call)
{
    *call = (struct step_call){.step = task->step, .deadline = task->deadline};
    return task->step < k->setup.step_count && find_input(k, &task->input, call);
}

bool worker_process_task(struct worker_process *k, const struct worker_task *task)
{
    struct step_call call;
    if (task->more || worker_batch_open(k))
        return worker_batch_task(k, task);
    if (!worker_run_call(k, task, &call))
        return false;
    call.cancelled = was_cancelled;
    call.cancelled_ctx = k;
    worker_run_tell(k, task->id);
    call.output = worker_output_begin(k);
    if (worker_run_starts(k, task->id, &call, k->io->work->now(k->io->work)))
        step_worker_call(k->steps, &call);
    worker_run_put(k, &call);
    worker_run_tell(k, 0);
    /* Nobody waits behind the next one, which may take longer than it ever did. */
    worker_process_flush(k);
    return true;
}
