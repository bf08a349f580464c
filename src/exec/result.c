/*
 * result.c: see result.h. The output is copied here, from the frame or from shared memory: its
 * second copy, the first being the step's own write.
 */
#include "exec/result.h"

static void take_output(struct task *t, struct span output, struct pool_client *from)
{
    const struct pool *p = t->pool;
    char *room = task_output(t, output.len);
    if (room) {
        memcpy(room, output.ptr, output.len);
        task_finish(t, POOL_DONE, from);
    } else if (t->output_too_large) {
        task_fail(t, POOL_OUTPUT_TOO_LARGE, from,
            "the output of step '%s' is longer than %llu bytes: its pool's `value`",
            p->specs[t->item.step].name, (unsigned long long)p->conf->value);
    } else {
        task_fail(t, POOL_OUT_OF_MEMORY, from, "there was no memory for the output of step '%s'",
            p->specs[t->item.step].name);
    }
}

static void say_why(struct task *t, enum pool_outcome outcome, const struct worker_result *r,
    struct span sentence, struct pool_client *from)
{
    struct error *e = &t->error;
    error_set(
        e, pool_outcome_errno(outcome), pool_outcome_name(outcome), "%.*s", SPAN_ARG(sentence));
    if (r->code.len > 0 && r->code.len < sizeof(e->type)) {
        memcpy(e->type, r->code.ptr, r->code.len);
        e->type[r->code.len] = '\0';
    }
    task_finish(t, outcome, from);
}

/* A process's own times are not trusted: they end in sums and averages. They are cut to the time
 * that passed here. */
static void take_times(struct task *t, const struct worker_result *r, struct pool_client *from)
{
    int64_t since = world_now(from->world) - t->item.put_at - t->queue_ns;
    t->wall_ns = r->wall_ns < since ? r->wall_ns : since;
    t->processor_ns = r->processor_ns < t->wall_ns ? r->processor_ns : t->wall_ns;
}

void result_settle(
    struct task *t, const struct worker_result *r, struct span output, struct pool_client *from)
{
    take_times(t, r, from);
    task_note_cost(t, r->outcome == WORKER_DONE);
    switch (r->outcome) {
    case WORKER_DONE:
        take_output(t, output, from);
        return;
    case WORKER_FAILED:
        say_why(t,
            span_equal(r->code, SPAN(WORKER_CODE_TOO_LARGE)) ? POOL_OUTPUT_TOO_LARGE : POOL_FAILED,
            r, output, from);
        return;
    case WORKER_REJECTED:
        say_why(t, POOL_REJECTED, r, output, from);
        return;
    case WORKER_OUT_OF_MEMORY:
        break;
    }
    task_fail(t, POOL_OUT_OF_MEMORY, from, "there was no memory for step '%s' in its worker",
        t->pool->specs[t->item.step].name);
}
