/*
 * burn.c: computes for a given processor time, for tests and labs: {"ms": 30}, {"us": 50}, or 30,
 * which are milliseconds. In slices, between which it sees that nobody waits any more.
 *
 * With the options {base: 1ms, item: 50us} it is like a model: each call costs `base`, and each
 * task in it `item` beside what its input says, which may be anything then. So batches pay.
 */
#include "step/builtin/builtin.h"

#include "base/bytes.h"
#include "base/mem.h"
#include "base/time.h"
#include "conf/node.h"

#define SLICE_NS NS_PER_MS
#define MOST_MS  (3600.0 * 1000)
#define MOST_NS  (3600 * NS_PER_S)

/* NULL: there are no options. */
struct burn {
    int64_t base;
    int64_t item;
};

/* What the input says, or -1. */
static double wanted_ms(const struct weir_value *input, double otherwise)
{
    const struct weir_value *us = weir_member(input, "us");
    double ms = us ? weir_number(us, -1) / 1000
                   : weir_number(weir_member(input, "ms"), weir_number(input, otherwise));
    return ms >= 0 && ms <= MOST_MS ? ms : -1;
}

/* What a task costs of its own; -1: it is rejected. */
static int64_t own_ns(struct weir_task *t, const struct burn *b)
{
    double ms = wanted_ms(weir_input(t), b ? 0 : -1);
    if (ms < 0) {
        weir_reject(
            t, "invalid-input", "burn wants {\"ms\": N} or {\"us\": N}, from nothing to an hour");
        return -1;
    }
    return (int64_t)(ms * (double)NS_PER_MS) + (b ? b->item : 0);
}

/* For as long as somebody waits for one of them. */
static bool is_left(struct weir_task *const *tasks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!weir_cancelled(tasks[i]))
            return false;
    return true;
}

/* What a slice took too much, since none is exact. Where it is more, computing itself is slow,
 * which is no reason to do less. */
static int64_t excess(int64_t taken)
{
    int64_t more = taken - SLICE_NS;
    return more > 0 && more < SLICE_NS / 10 ? more : 0;
}

/* Whether it came to the end. Excess is missing to the slices that follow: else thirty of a
 * millisecond would take thirty and a tenth. */
static bool burn(struct weir_task *const *tasks, size_t count, int64_t ns)
{
    struct work *work = step_work(tasks[0]);
    int64_t before = ns > SLICE_NS ? work->processor(work) : 0;
    while (ns > SLICE_NS) {
        work->burn(work, SLICE_NS);
        int64_t now = work->processor(work);
        ns -= SLICE_NS + excess(now - before);
        before = now;
        if (ns > 0 && is_left(tasks, count))
            return false;
    }
    if (ns > 0)
        work->burn(work, ns);
    return true;
}

static int end(struct weir_task *t, bool burned, int64_t ns)
{
    double ms = (double)ns / (double)NS_PER_MS;
    if (!burned)
        return weir_fail(t, "cancelled", "nobody waits for the rest of the %g ms", ms);
    weir_out_object(t);
    weir_out_key(t, "burned_ms");
    weir_out_number(t, ms);
    weir_out_end(t);
    return 0;
}

static int run(struct weir_task *t)
{
    const struct burn *b = weir_state(t);
    int64_t own = own_ns(t, b);
    if (own < 0)
        return -1;
    int64_t ns = own + (b ? b->base : 0);
    return end(t, burn(&t, 1, ns), ns);
}

/* Each is told how long all of them took, since it waited as long. */
static int run_batch(struct weir_task *const *tasks, size_t count)
{
    const struct burn *b = weir_state(tasks[0]);
    int64_t ns = b ? b->base : 0;
    for (size_t i = 0; i < count; i++) {
        int64_t own = own_ns(tasks[i], b);
        ns += own > 0 ? own : 0;
    }
    bool burned = burn(tasks, count, ns);
    for (size_t i = 0; i < count; i++)
        if (wanted_ms(weir_input(tasks[i]), b ? 0 : -1) >= 0)
            (void)end(tasks[i], burned, ns); /* a failure is the task's result */
    return 0;
}

static int read_option(struct weir_worker *w, const char *name, int64_t *ns)
{
    const struct weir_value *v = weir_member(weir_options(w), name);
    struct span text = {0};
    *ns = 0;
    text.ptr = weir_text(v, &text.len);
    bool right = text.ptr ? conf_duration(text, ns, NULL) == 0
                          : weir_type(v) == WEIR_NULL || weir_integer(v, -1) == 0;
    if (right && *ns <= MOST_NS)
        return 0;
    return weir_init_fail(w, "its option '%s' is no duration of at most an hour, like 50us", name);
}

static int init(struct weir_worker *w, void **state)
{
    if (!weir_options(w))
        return 0;
    struct burn *b = mem_alloc(sizeof *b);
    if (!b)
        return weir_init_fail(w, "no memory");
    int rc = read_option(w, "base", &b->base);
    if (rc == 0)
        rc = read_option(w, "item", &b->item);
    if (rc == 0)
        *state = b;
    else
        mem_free(b);
    return rc;
}

static void teardown(void *state)
{
    mem_free(state);
}

const struct weir_step step_burn = {
    .name = "burn", .run = run, .init = init, .teardown = teardown, .run_batch = run_batch};
