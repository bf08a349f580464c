/*
 * reply.c: results from a worker process, which is not trusted: everything is checked.
 */
#include "exec/processes/internal.h"

#include "exec/result.h"

#include <errno.h>

/* Finds the output: 0, or -EBADMSG. */
static int find_output(struct pool_process *p, const struct worker_text *text, struct span *out)
{
    *out = text->inside;
    if (!text->shared)
        return 0;
    uint64_t size = p->shared ? shared_size(p->shared) : 0;
    if (text->offset < p->outputs || text->offset > size || text->length > size - text->offset)
        return -EBADMSG;
    *out = (struct span){shared_base(p->shared) + text->offset, (size_t)text->length};
    return 0;
}

/* The process may write there again. */
static void give_back(struct batch *b, struct pool_process *p, const struct worker_result *r)
{
    if (!r->output.shared)
        return;
    if (r->output.length > b->longest)
        b->longest = (size_t)r->output.length;
    atomic_store_explicit(&p->control->taken, r->id, memory_order_release);
}

/* It was not started. If it was not recalled, its step wrote this. */
static bool was_recalled(const struct batch *b, const struct worker_result *r)
{
    return b->recalled && b->answered >= b->recalled && r->outcome == WORKER_FAILED &&
           span_equal(r->code, SPAN(WORKER_CODE_RECALLED));
}

int batch_answer(
    struct batch *b, struct pool_process *p, const struct worker_frame *f, struct loss *l)
{
    struct span output;
    if (f->kind != WORKER_RESULT)
        return loss_misbehaved(l, "wrote a frame of kind %d", (int)f->kind);
    const struct worker_result *r = &f->result;
    if (r->id != b->first_id + b->answered)
        return loss_misbehaved(l, "answered a task that it was not to answer");
    if (find_output(p, &r->output, &output) != 0)
        return loss_misbehaved(l, "wrote an output that is not where it may be");
    struct batch_group group = batch_group_at(b, b->answered);
    bool first = b->answered == group.first;
    struct task *t = b->tasks[b->answered];
    bool skipped = was_recalled(b, r);
    if (!t && !skipped)
        return loss_misbehaved(l, "ran a task that had been recalled");
    b->answered++;
    if (skipped) {
        if (t)
            task_put_back(t, b->client);
        return 0;
    }
    t->together = first && t->item.batch > 1 ? group.end - group.first : 0;
    b->starved |= r->outcome == WORKER_OUT_OF_MEMORY;
    result_settle(t, r, output, b->client);
    give_back(b, p, r);
    return 0;
}
