/*
 * output.c: an output is written once, to where it will be read.
 *
 * Most are small, and are copied into the frame. One that gets longer than WORKER_INLINE_MAX moves
 * to shared memory, to where the last one ended; the server takes outputs in the order of their
 * results, so when it has taken the last one all of that memory is free again. Without shared
 * memory, or when it is full of outputs that the server has not taken yet, it goes to the heap, and
 * from there into a long frame.
 */
#include "worker/output.h"

#include "base/mem.h"

#include <errno.h>
#include <stdatomic.h>

#define ALIGNMENT 64

static struct worker_control *control(const struct worker_process *k)
{
    return (struct worker_control *)(void *)k->shared;
}

/* ---- Growing ---- */

/* Makes what is at outputs_at at least `room` bytes long, or more if they are there anyway. */
static int reach(struct worker_process *k, size_t room, size_t *has)
{
    uint64_t max = k->setup.shared - k->outputs_at;
    if (!k->shared || room > max)
        return -ENOSPC;
    size_t end = (size_t)k->outputs_at + room;
    if (end > k->shared_size) {
        int rc = k->io->shared_grow(k->io, end);
        if (rc)
            return rc;
        k->shared_size = end;
    }
    *has = k->shared_size - (size_t)k->outputs_at;
    if (*has > max)
        *has = (size_t)max;
    if (*has > k->setup.value)
        *has = (size_t)k->setup.value; /* which is at least `room` */
    return 0;
}

static int grow_on_heap(struct worker_output *o, size_t room)
{
    char *old = o->where == OUTPUT_HEAP ? o->to.base : NULL;
    char *base = mem_realloc(old, room);
    if (!base)
        return -ENOMEM;
    if (!old && o->to.base && o->to.len > 0)
        memcpy(base, o->to.base, o->to.len);
    o->to.base = base;
    o->to.room = room;
    o->where = OUTPUT_HEAP;
    return 0;
}

static int grow(struct step_output *to, size_t room)
{
    struct worker_output *o = (struct worker_output *)to;
    struct worker_process *k = o->worker;
    size_t has;
    if (room <= to->room)
        return 0;
    if (room > k->setup.value)
        return -ENOBUFS;
    if (o->where == OUTPUT_HEAP || reach(k, room, &has) != 0)
        return grow_on_heap(o, room);
    if (o->where == OUTPUT_SCRATCH) {
        to->base = k->shared + k->outputs_at;
        memcpy(to->base, k->scratch, to->len);
        o->where = OUTPUT_SHARED;
    }
    to->room = has;
    return 0;
}

/* ---- A call ---- */

static void reclaim(struct worker_process *k)
{
    if (k->outputs_last == 0 || atomic_load(&control(k)->taken) != k->outputs_last)
        return;
    k->outputs_at = k->setup.outputs;
    k->outputs_last = 0;
}

struct step_output *worker_output_begin(struct worker_process *k)
{
    struct worker_output *o = &k->output;
    reclaim(k);
    *o = (struct worker_output){.worker = k, .where = OUTPUT_SCRATCH};
    o->to.base = k->scratch;
    o->to.room = k->setup.value < WORKER_INLINE_MAX ? (size_t)k->setup.value : WORKER_INLINE_MAX;
    o->to.grow = grow;
    return &o->to;
}

struct worker_text worker_output_text(struct worker_process *k)
{
    const struct worker_output *o = &k->output;
    struct worker_text text = {.inside = {o->to.base, o->to.len}};
    if (o->where != OUTPUT_SHARED || o->to.len <= WORKER_INLINE_MAX)
        return text;
    text = (struct worker_text){.shared = true, .offset = k->outputs_at, .length = o->to.len};
    uint64_t next = k->outputs_at + o->to.len;
    next += (ALIGNMENT - next % ALIGNMENT) % ALIGNMENT;
    k->outputs_at = next < k->setup.shared ? next : k->setup.shared;
    k->outputs_last = k->running;
    return text;
}

void worker_output_end(struct worker_process *k)
{
    if (k->output.where == OUTPUT_HEAP)
        mem_free(k->output.to.base);
    k->output = (struct worker_output){0};
}
