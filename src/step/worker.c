/*
 * worker.c: who calls steps: one after another, each with its state, an arena and a clock.
 */
#include "step/internal.h"

#include "base/bug.h"
#include "base/mem.h"
#include "base/time.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

/* Reading a thread's processor time costs as much as a small step. So the last call's reading is
 * the next one's first, if they are no further apart than this; and what took less than that by the
 * clock is taken to have computed all the while. */
#define READING_HOLDS_NS (20 * NS_PER_US)
#define SURELY_BUSY_NS   (5 * NS_PER_US)

/* ---- Life ---- */

static int read_options(struct weir_worker *w, struct error *e)
{
    if (w->step->options.len == 0)
        return 0;
    int rc = json_parse(&w->options, w->step->options, JSON_TEXT_MAX, e);
    if (rc) {
        w->options = NULL;
        error_prefix(e, "step '%s': its options", w->step->name);
    }
    return rc;
}

static int bring_up(struct weir_worker *w, struct error *e)
{
    int rc = read_options(w, e);
    if (rc)
        return rc;
    if (w->step->code.init && w->step->code.init(w, &w->state) != 0) {
        const char *said = w->refusal.sentence;
        return error_set(e, -EINVAL, "init-failed", "step '%s': %s", w->step->name,
            said[0] ? said : "its init failed, and did not say why (weir_init_fail does)");
    }
    w->up = true;
    return 0;
}

static void bring_down(struct weir_worker *w)
{
    if (w->up && w->step->code.teardown)
        w->step->code.teardown(w->state);
    json_free(w->options);
}

int step_worker_new(struct step_worker **out, const struct step_set *set,
    const struct step_place *place, struct error *e)
{
    struct step_worker *k = mem_zalloc(sizeof *k + set->count * sizeof k->steps[0]);
    if (!k)
        return error_set(e, -ENOMEM, "out-of-memory", "no memory for a worker");
    k->set = set;
    k->place = place;
    arena_init(&k->arena, STEP_ARENA_MAX);
    for (unsigned i = 0; i < set->count; i++) {
        k->steps[i].step = &set->entries[i];
        k->steps[i].place = place;
    }
    for (unsigned i = 0; i < set->count; i++) {
        int rc = bring_up(&k->steps[i], e);
        if (rc) {
            step_worker_free(k);
            return rc;
        }
    }
    k->processor_last = place->work->processor(place->work);
    k->processor_at = place->work->now(place->work);
    *out = k;
    return 0;
}

void step_worker_free(struct step_worker *k)
{
    if (!k)
        return;
    for (unsigned i = k->set->count; i > 0; i--)
        bring_down(&k->steps[i - 1]);
    step_batch_free(k->batch);
    arena_release(&k->arena);
    mem_free(k);
}

/* ---- Time ---- */

int64_t step_time_begin(struct step_worker *k)
{
    struct work *work = k->place->work;
    int64_t start = work->now(work);
    if (start - k->processor_at > READING_HOLDS_NS) {
        k->processor_last = work->processor(work);
        k->processor_at = start;
    }
    return start;
}

void step_time_end(
    struct step_worker *k, struct step_call *const *calls, unsigned count, int64_t start)
{
    struct work *work = k->place->work;
    int64_t end = work->now(work);
    int64_t wall = end - start;
    int64_t processor = wall;
    if (wall > SURELY_BUSY_NS) {
        int64_t reading = work->processor(work);
        if (reading - k->processor_last < wall)
            processor = reading - k->processor_last;
        k->processor_last = reading;
        k->processor_at = end;
    }
    for (unsigned i = 0; i < count; i++) {
        calls[i]->wall_ns = wall / count;
        calls[i]->processor_ns = processor / count;
    }
}

/* ---- Calls ---- */

int step_task_refuse(
    struct step_call *c, enum step_outcome outcome, const char *code, const char *format, ...)
{
    char sentence[ERROR_SENTENCE_MAX + 4]; /* what is too long is cut below */
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    c->outcome = outcome;
    return error_set(&c->error,
        outcome == STEP_OUT_OF_MEMORY ? -ENOMEM
        : outcome == STEP_REJECTED    ? -EINVAL
                                      : -EIO,
        code, "%s", sentence);
}

/* What is wrong with the output of a step that says all went well. */
static void judge_output(const struct weir_task *t, struct step_call *c)
{
    const struct output *o = &t->output;
    const char *name = t->worker->step->name;
    if (o->rc == -ENOMEM)
        step_task_refuse(
            c, STEP_OUT_OF_MEMORY, "out-of-memory", "step '%s': no memory for its output", name);
    else if (o->rc)
        step_task_refuse(c, STEP_FAILED, "output-too-large",
            "step '%s': its output is longer than may be passed on; after %zu bytes there is no "
            "room for the rest",
            name, o->to->len);
    else if (o->mistake)
        step_task_refuse(c, STEP_FAILED, "invalid-output",
            "step '%s' did not write one JSON value: after %zu bytes of output it %s", name,
            o->to->len, output_mistake_text(o->mistake));
}

void step_task_judge(struct weir_task *t, int returned)
{
    struct step_call *c = t->call;
    const char *name = t->worker->step->name;
    if (t->unread.code == -ENOMEM) {
        step_task_refuse(
            c, STEP_OUT_OF_MEMORY, "out-of-memory", "step '%s': no memory for its input", name);
    } else if (t->unread.code) {
        step_task_refuse(c, STEP_REJECTED, "invalid-input", "step '%s': its input is no JSON: %s",
            name, t->unread.sentence);
    } else if (returned == 0) {
        output_finish(&t->output);
        judge_output(t, c);
    } else if (t->no_memory) {
        step_task_refuse(
            c, STEP_OUT_OF_MEMORY, "out-of-memory", "step '%s': no memory for its work", name);
    } else if (t->said) {
        c->outcome = t->outcome;
        c->error = t->error;
    } else {
        step_task_refuse(c, STEP_FAILED, "step-failed",
            "step '%s' failed and did not say why: its 'run' returned %d without weir_fail", name,
            returned);
    }
    if (c->outcome != STEP_DONE)
        c->output->len = 0;
}

void step_task_init(
    struct weir_task *t, struct weir_worker *w, struct step_call *c, struct arena *a)
{
    t->worker = w;
    t->call = c;
    t->arena = a;
    t->input = NULL;
    t->input_read = t->no_memory = t->said = false;
    error_clear(&t->unread);
    output_init(&t->output, c->output);
    c->outcome = STEP_DONE;
    error_clear(&c->error);
}

void step_worker_call(struct step_worker *k, struct step_call *call)
{
    check(call->step < k->set->count, "a call of step %u where there are %u", call->step,
        k->set->count);
    int64_t start = step_time_begin(k);
    struct weir_task t;
    step_task_init(&t, &k->steps[call->step], call, &k->arena);
    step_task_judge(&t, t.worker->step->code.run(&t));
    json_free(t.input);
    arena_reset(&k->arena);
    step_time_end(k, &call, 1, start);
}
