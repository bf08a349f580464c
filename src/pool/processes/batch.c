/*
 * batch.c: from tasks to frames. What comes back is answer.c's, how it goes wrong loss.c's.
 */
#include "pool/processes/batch.h"

#include "pool/processes/internal.h"

#include "data/json.h"

#include <errno.h>

void batch_init(struct batch *b, struct pool *p, struct pool_desk *d, unsigned hand)
{
    *b = (struct batch){
        .pool = p, .desk = d, .world = pool_desk_world(d), .hand = hand, .first_id = 1};
    size_t value = p->conf->value < WORKER_FRAME_MAX ? (size_t)p->conf->value : WORKER_FRAME_MAX;
    bytes_init(&b->out, BATCH_BYTES_MAX + value + WORKER_HEAD_SIZE);
}

void batch_release(struct batch *b)
{
    bytes_release(&b->out);
}

/* Large values may leave so much in shared memory; more is given back to the kernel. */
#define SHARED_KEEP ((size_t)4 * 1024 * 1024)

/* ---- Filling ---- */

static bool is_large(const struct pool_process *p, const struct task *t)
{
    return p->shared && t->input.len > WORKER_INLINE_MAX;
}

/* Puts a large input where the worker sees it: it is the only one there. */
static int share_input(
    struct batch *b, struct pool_process *p, const struct task *t, struct worker_text *text)
{
    size_t room = p->outputs - WORKER_CONTROL_SIZE - JSON_PARSE_PADDING;
    if (t->input.len > room)
        return -ENOBUFS;
    size_t end = WORKER_CONTROL_SIZE + t->input.len + JSON_PARSE_PADDING;
    int rc = shared_size(p->shared) < end ? shared_grow(p->shared, end) : 0;
    if (rc)
        return rc;
    memcpy(shared_base(p->shared) + WORKER_CONTROL_SIZE, t->input.ptr, t->input.len);
    b->longest = t->input.len;
    *text =
        (struct worker_text){.offset = WORKER_CONTROL_SIZE, .length = t->input.len, .shared = true};
    return 0;
}

static int encode(struct batch *b, struct pool_process *p, const struct task *t, int64_t now)
{
    struct worker_frame f = {
        .kind = WORKER_TASK,
        .task = {.id = b->first_id + b->count,
            .step = t->step,
            .time_left = t->deadline == DEADLINE_NEVER ? INT64_MAX : t->deadline - now},
    };
    if (!is_large(p, t))
        f.task.input.inside = t->input;
    else if (share_input(b, p, t, &f.task.input) != 0)
        f.task.input = (struct worker_text){.inside = t->input};
    return worker_encode(&b->out, &f);
}

static void add(struct batch *b, struct pool_process *p, struct task *t, int64_t now)
{
    if (!task_absorb(t, now, b->desk))
        return;
    int rc = encode(b, p, t, now);
    if (rc) {
        task_fail(t, rc == -ENOBUFS ? POOL_TOO_LARGE : POOL_OUT_OF_MEMORY, b->desk,
            rc == -ENOBUFS ? "the input is longer than a worker process can be given"
                           : "there was no memory to give the task to its worker");
        return;
    }
    task_runs(t, now);
    b->tasks[b->count++] = t;
}

unsigned batch_fill(struct batch *b, struct pool_process *p, struct task **tasks, unsigned count)
{
    int64_t now = world_now(b->world);
    unsigned used = 0;
    b->count = b->answered = 0;
    b->written = b->starved = false;
    b->recalled = 0;
    if (p->control)
        atomic_store(&p->control->recalled, 0);
    b->longest = 0;
    bytes_reset(&b->out);
    while (used < count && b->count < TAKE_MAX) {
        struct task *t = tasks[used];
        bool alone = is_large(p, t) || t->input.len > BATCH_BYTES_MAX / 2;
        if (b->count > 0 && (alone || b->out.len + t->input.len + 256 > BATCH_BYTES_MAX))
            break;
        add(b, p, t, now);
        used++;
        if (alone && b->count > 0)
            break;
    }
    return used;
}

/* ---- Running ---- */

static int64_t next_look(const struct batch *b)
{
    int64_t look = b->looked + LOOK_EVERY_NS;
    int64_t limit = b->pool->conf->hard_timeout;
    return limit ? deadline_sooner(look, deadline_after(b->progress, limit)) : look;
}

/* One frame, or one look: 0, -ECANCELED; or the worker is lost, for what `loss` says. */
static int go_on(struct batch *b, struct pool_process *p, struct loss *loss)
{
    struct worker_frame f;
    struct error e;
    int64_t look = next_look(b);
    int rc = frames_next(&p->frames, look, &f, &e);
    if (rc == -ECANCELED)
        return rc;
    if (rc == -EBADMSG)
        return loss_misbehaved(loss, "wrote what is no frame: %s", e.sentence);
    if (rc && rc != -ETIMEDOUT)
        return loss_ended(b, p, loss);
    int64_t now = world_now(b->world);
    if (rc == 0) {
        b->progress = now;
        rc = batch_answer(b, p, &f, loss);
        if (rc)
            return rc;
    }
    return now < look || b->answered == b->count ? 0 : batch_look(b, p, now, loss);
}

static int run(struct batch *b, struct pool_process *p, struct loss *loss)
{
    int rc = frames_write(&p->frames, &b->out);
    if (rc == -ECANCELED)
        return rc;
    if (rc == -ETIMEDOUT)
        return loss_misbehaved(loss, "does not read what it is sent");
    b->written = rc == 0;
    b->progress = world_now(b->world);
    /* If it could not be written the worker has gone, maybe with words before that. */
    rc = 0;
    while (rc == 0 && b->answered < b->count)
        rc = go_on(b, p, loss);
    return rc;
}

enum batch_end batch_run(struct batch *b, struct pool_process *p, enum pool_restart *why)
{
    struct loss loss = {.why = RESTART_DIED, .outcome = POOL_DIED};
    int64_t now = world_now(b->world);
    if (now - b->looked >= LOOK_EVERY_NS)
        b->looked = now;
    int rc = run(b, p, &loss);
    enum batch_end end = BATCH_DONE;
    if (rc == -ECANCELED) {
        pool_process_kill(p); /* it would not hear that it is to end */
        batch_abandon(b);
        end = BATCH_CANCELLED;
    } else if (rc) {
        *why = loss.why;
        batch_lost(b, p, &loss);
        end = BATCH_LOST;
    } else if (b->starved) {
        *why = RESTART_OUT_OF_MEMORY;
        end = BATCH_LOST;
    }
    b->first_id += b->count;
    /* Everything is answered: nobody needs what stands there. */
    if (end == BATCH_DONE && b->longest > SHARED_KEEP)
        shared_trim(p->shared, WORKER_CONTROL_SIZE);
    if (b->out.size > 4 * BATCH_BYTES_MAX) {
        size_t max = b->out.max;
        bytes_release(&b->out);
        bytes_init(&b->out, max);
    }
    return end;
}
