/*
 * cost.c: moving estimates of what is measured.
 *
 * The mean is an exponentially weighted average, with two exceptions. A sample far above it counts
 * as if it were a little above: a page fault or a lost core says nothing about the next call. And
 * when several in a row are far above, or many far below, the step itself has changed: the
 * estimate starts anew. A rise needs fewer samples than a fall, since an expensive step that is
 * thought cheap blocks a loop, while a cheap one that is thought expensive only takes a detour.
 *
 * The tail rises by a large step when it is exceeded and falls by a small one when it is not: it is
 * where both keep the balance, nineteen to one.
 */
#include "sched/cost.h"

#define MEAN_CALLS 12  /* a new figure weighs as one of so many */
#define FAR        4   /* times the mean: far out */
#define RISE_AFTER 4   /* in a row, far above */
#define FALL_AFTER 24  /* in a row, far below */
#define REST_CALLS 256 /* as MEAN_CALLS, of what is far out */
#define TAIL_STEP  64  /* the tail falls by that part of it, and rises by nineteen times as much */
#define EXPLAINS   4   /* a class counts if it is off by more than that part of the mean */

static int64_t get(const _Atomic int64_t *at)
{
    return atomic_load_explicit(at, memory_order_relaxed);
}

static void set(_Atomic int64_t *at, int64_t value)
{
    atomic_store_explicit(at, value, memory_order_relaxed);
}

/* ---- One estimate ---- */

static void begin_anew(struct estimate *e, int64_t ns)
{
    set(&e->mean_ns, ns);
    set(&e->tail_ns, ns);
    set(&e->rest_ns, 0);
    atomic_store_explicit(&e->calls, 1, memory_order_relaxed);
    atomic_store_explicit(&e->astray, 0, memory_order_relaxed);
}

/* Which way it is far out, and whether so many in a row were that it is no accident. */
static bool is_jump(struct estimate *e, int64_t ns, int64_t mean, int64_t high)
{
    int astray = atomic_load_explicit(&e->astray, memory_order_relaxed);
    int now = 0;
    if (ns > high)
        now = astray > 0 ? astray + 1 : 1;
    else if (ns < mean / FAR)
        now = astray < 0 ? astray - 1 : -1;
    if (now != astray)
        atomic_store_explicit(&e->astray, now, memory_order_relaxed);
    return now >= RISE_AFTER || now <= -FALL_AFTER;
}

static void move_tail(struct estimate *e, int64_t ns, int64_t mean)
{
    int64_t tail = get(&e->tail_ns);
    int64_t step = tail / TAIL_STEP + 1;
    tail = ns > tail ? tail + 19 * step : tail - step;
    set(&e->tail_ns, tail > mean ? tail : mean);
}

void estimate_note(struct estimate *e, int64_t ns)
{
    int64_t mean = get(&e->mean_ns);
    if (ns < 1)
        ns = 1;
    int64_t high = FAR * mean;
    int64_t high_tail = 2 * get(&e->tail_ns);
    if (high < high_tail)
        high = high_tail;
    if (mean == 0 || is_jump(e, ns, mean, high)) {
        begin_anew(e, ns);
        return;
    }
    unsigned calls = atomic_load_explicit(&e->calls, memory_order_relaxed);
    if (calls < MEAN_CALLS)
        atomic_store_explicit(&e->calls, ++calls, memory_order_relaxed);
    int64_t within = ns < high ? ns : high;
    int64_t off = within - mean;
    /* Rounded away from where it is: it arrives. */
    int64_t moved = mean + (off + (off > 0 ? (int64_t)calls - 1 : 1 - (int64_t)calls)) / calls;
    set(&e->mean_ns, moved > 0 ? moved : 1);
    move_tail(e, ns, moved);
    int64_t rest = get(&e->rest_ns);
    if (rest > 0 || ns > within)
        set(&e->rest_ns, rest + (ns - within - rest) / REST_CALLS);
}

int64_t estimate_mean(const struct estimate *e)
{
    return get(&e->mean_ns);
}

/* ---- A step's ---- */

static unsigned class_of(size_t input)
{
    unsigned class = 0;
    for (size_t most = 64; class < COST_SIZES - 1 && input > most; most *= 4)
        class ++;
    return class;
}

void cost_note(struct step_cost *c, size_t input, int64_t wall_ns)
{
    estimate_note(&c->all, wall_ns);
    estimate_note(&c->by_size[class_of(input)], wall_ns);
}

/* The estimate that says most about such an input; NULL: none does. */
static const struct estimate *telling(const struct step_cost *c, size_t input)
{
    const struct estimate *of_class = &c->by_size[class_of(input)];
    int64_t mean = get(&of_class->mean_ns);
    int64_t all = get(&c->all.mean_ns);
    if (mean == 0 || all == 0)
        return 0;
    int64_t off = mean > all ? mean - all : all - mean;
    return off > all / EXPLAINS ? of_class : &c->all;
}

int64_t cost_expected(const struct step_cost *c, size_t input)
{
    const struct estimate *e = telling(c, input);
    return e ? get(&e->mean_ns) : 0;
}

int64_t cost_tail(const struct step_cost *c, size_t input)
{
    const struct estimate *e = telling(c, input);
    return e ? get(&e->tail_ns) : 0;
}

int64_t cost_average(const struct step_cost *c, size_t input)
{
    const struct estimate *e = telling(c, input);
    return e ? get(&e->mean_ns) + get(&e->rest_ns) : 0;
}

/* ---- Handing over ---- */

void dispatch_note(struct dispatch_cost *h, int64_t ns)
{
    estimate_note(&h->all, ns);
}

int64_t dispatch_expected(const struct dispatch_cost *h)
{
    return estimate_mean(&h->all);
}

static unsigned sum_class(int64_t sum_ns)
{
    unsigned class = 0;
    for (int64_t most = 1024; class < COST_SUMS - 1 && sum_ns > most; most *= 8)
        class ++;
    return class;
}

void fanout_note(struct dispatch_cost *h, int64_t sum_ns, int64_t took_ns)
{
    if (sum_ns > 0)
        estimate_note(&h->fanout[sum_class(sum_ns)], took_ns * 1000 / sum_ns);
}

int64_t fanout_expected(const struct dispatch_cost *h, int64_t sum_ns)
{
    return sum_ns * estimate_mean(&h->fanout[sum_class(sum_ns)]) / 1000;
}
