/*
 * batch.c: tasks to frames. Replies are in reply.c, lost processes in loss.c.
 */
#include "exec/processes/batch.h"

#include "exec/processes/internal.h"

#include "data/json.h"

#include <errno.h>

void batch_init(struct batch *b, struct pool *p, struct pool_client *client, unsigned worker)
{
    *b = (struct batch){
        .pool = p, .client = client, .world = client->world, .worker = worker, .first_id = 1};
    size_t value = p->conf->value < WORKER_FRAME_MAX ? (size_t)p->conf->value : WORKER_FRAME_MAX;
    bytes_init(&b->out, BATCH_BYTES_MAX + value + WORKER_HEAD_SIZE);
}

void batch_release(struct batch *b)
{
    bytes_release(&b->out);
}

/* Large values may keep this much shared memory; the rest is returned to the kernel. */
#define SHARED_KEEP     ((size_t)4 * 1024 * 1024)
#define INPUT_ALIGNMENT ((size_t)64)

/* ---- Filling ---- */

static bool is_large(const struct pool_process *p, const struct task *t)
{
    return p->shared && t->input.len > WORKER_INLINE_MAX;
}

static bool fits_in_shared(const struct batch *b, const struct pool_process *p, size_t len)
{
    size_t room = p->outputs - JSON_PARSE_PADDING;
    return room >= b->shared_at && len <= room - b->shared_at;
}

/* Puts a large input into shared memory. */
static int share_input(
    struct batch *b, struct pool_process *p, const struct task *t, struct worker_text *text)
{
    if (!fits_in_shared(b, p, t->input.len))
        return -ENOBUFS;
    size_t end = b->shared_at + t->input.len + JSON_PARSE_PADDING;
    int rc = shared_size(p->shared) < end ? shared_grow(p->shared, end) : 0;
    if (rc)
        return rc;
    memcpy(shared_base(p->shared) + b->shared_at, t->input.ptr, t->input.len);
    *text = (struct worker_text){.offset = b->shared_at, .length = t->input.len, .shared = true};
    b->shared_at = end + (INPUT_ALIGNMENT - end % INPUT_ALIGNMENT) % INPUT_ALIGNMENT;
    b->longest = b->shared_at - WORKER_CONTROL_SIZE;
    return 0;
}

static int encode(struct batch *b, struct pool_process *p, const struct task *t, bool joined)
{
    struct worker_frame f = {
        .kind = WORKER_TASK,
        .task = {.id = b->first_id + b->count, .step = t->item.step, .deadline = t->item.deadline},
    };
    if (!is_large(p, t)) {
        f.task.input.inside = t->input;
    } else if (share_input(b, p, t, &f.task.input) != 0) {
        if (joined) /* a long frame goes alone */
            return -ENOMEM;
        f.task.input = (struct worker_text){.inside = t->input};
    }
    return worker_encode(&b->out, &f);
}

/* Returns true if the task runs together with the last one added. */
static bool joins(const struct batch *b, const struct task *t)
{
    if (b->count == 0)
        return false;
    unsigned first = b->group[b->count - 1];
    return b->count - first < b->tasks[first]->item.batch &&
           item_joins(&b->tasks[first]->item, &t->item);
}

static void add(struct batch *b, struct pool_process *p, struct task *t, int64_t now)
{
    if (!task_claim(t, now, b->client))
        return;
    bool joined = joins(b, t);
    size_t at = b->out.len;
    int rc = encode(b, p, t, joined);
    if (rc) {
        task_fail(t, rc == -ENOBUFS ? POOL_TOO_LARGE : POOL_OUT_OF_MEMORY, b->client,
            rc == -ENOBUFS ? "the input is longer than a worker process can be given"
                           : "there was no memory to give the task to its worker");
        return;
    }
    task_runs(t, now);
    if (joined)
        worker_encode_more(&b->out, b->last_at);
    b->last_at = at;
    b->group[b->count] = joined ? b->group[b->count - 1] : b->count;
    b->tasks[b->count++] = t;
}

/* Returns true if only its group may go with it. */
static bool is_alone(const struct pool_process *p, const struct task *t)
{
    return t->item.batch == 0 || is_large(p, t) || t->input.len > BATCH_BYTES_MAX / 2;
}

/* Returns true if the task may be added. */
static bool goes_along(const struct batch *b, const struct pool_process *p, const struct task *t)
{
    if (b->count == 0)
        return true;
    if (!joins(b, t) && (b->alone || is_alone(p, t)))
        return false;
    return is_large(p, t) ? fits_in_shared(b, p, t->input.len)
                          : b->out.len + t->input.len + 256 <= BATCH_BYTES_MAX;
}

static void empty(struct batch *b, struct pool_process *p)
{
    b->count = b->answered = 0;
    b->written = b->starved = b->alone = false;
    b->recalled = 0;
    if (p->control)
        atomic_store(&p->control->recalled, 0);
    b->longest = 0;
    b->shared_at = WORKER_CONTROL_SIZE;
    bytes_reset(&b->out);
}

unsigned batch_fill(struct batch *b, struct pool_process *p, struct task **tasks, unsigned count)
{
    int64_t now = world_now(b->world);
    unsigned used = 0;
    empty(b, p);
    while (used < count && b->count < TAKE_MAX && goes_along(b, p, tasks[used])) {
        struct task *t = tasks[used++];
        bool alone = is_alone(p, t);
        add(b, p, t, now);
        b->alone = b->alone || (alone && b->count == 1);
    }
    return used;
}

void batch_put_back(struct batch *b)
{
    for (unsigned i = 0; i < b->behind_count; i++)
        task_put_back(b->behind[i], b->client);
    b->behind_count = 0;
}

struct batch_group batch_group_at(const struct batch *b, unsigned place)
{
    struct batch_group g = {.first = b->group[place], .end = place + 1};
    while (g.end < b->count && b->group[g.end] == g.first)
        g.end++;
    return g;
}

/* ---- Running ---- */

static int64_t next_look(const struct batch *b)
{
    int64_t look = b->looked + LOOK_EVERY_NS;
    int64_t limit = b->pool->conf->hard_timeout;
    return limit ? deadline_sooner(look, deadline_after(b->progress, limit)) : look;
}

/* Handles one frame, or one check: 0; -ECANCELED; or the process is lost, and `loss` says how. */
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
    /* A failed write means that the process is gone; it may have written frames before. */
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
        pool_process_kill(p); /* it would not read the order to end */
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
    /* All have results: the shared memory is not needed. */
    if (end == BATCH_DONE && b->longest > SHARED_KEEP)
        shared_trim(p->shared, WORKER_CONTROL_SIZE);
    if (b->out.size > 4 * BATCH_BYTES_MAX) {
        size_t max = b->out.max;
        bytes_release(&b->out);
        bytes_init(&b->out, max);
    }
    return end;
}
