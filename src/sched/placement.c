/*
 * placement.c: see placement.h.
 */
#include "sched/placement.h"

#include "base/bug.h"

#include <stddef.h>

/* The cost of a dispatch that was never measured: a slow machine's. */
#define DISPATCH_ASSUMED_NS (100 * 1000)

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t more(int64_t ns, int percent)
{
    return ns + ns * percent / 100;
}

/* ---- The cost of each way: the caller's time, and the delay of requests that compete ---- */

/* The delay of competing requests while this thread is busy for `ns`. */
static int64_t delay_of_others(const struct placement_view *v, int64_t ns)
{
    return ns * v->competing / 2;
}

static int64_t put_ns(const struct placement_view *v)
{
    return larger(v->effort_ns, PLACEMENT_PUT_NS);
}

/* This thread's time for n tasks: each is put; one message brings all results. */
static int64_t thread_ns(const struct placement_view *v, unsigned tasks)
{
    int64_t put = put_ns(v);
    return put * tasks + larger(put, PLACEMENT_BACK_NS);
}

static int64_t inline_ns(const struct placement_view *v)
{
    return v->sum_ns + delay_of_others(v, v->sum_ns);
}

static int64_t dispatch_ns(const struct placement_view *v)
{
    return v->dispatch_ns ? v->dispatch_ns : DISPATCH_ASSUMED_NS;
}

/* Each call group has a worker, or waits its turn. */
static int64_t fused_ns(const struct placement_view *v)
{
    int64_t groups = v->groups + 1;
    int64_t share = groups > v->workers ? v->sum_ns * groups / v->workers : v->sum_ns;
    return dispatch_ns(v) + share + delay_of_others(v, thread_ns(v, 1));
}

/* How many tasks each worker runs one after the other. */
static int64_t rounds(int64_t tasks, int64_t workers)
{
    return (tasks + workers - 1) / workers;
}

/* All workers serve all call groups in turn. A group that is alone takes what was measured, within
 * what is possible; several take no less. */
static int64_t fanout_ns(const struct placement_view *v)
{
    int64_t workers = v->groups ? v->workers : v->idle;
    int64_t share = v->sum_ns / v->count * rounds(v->count * (v->groups + 1), workers);
    int64_t ns = larger(share, v->most_ns);
    if (v->groups || !v->fanout_ns)
        ns += dispatch_ns(v) + put_ns(v) * (v->count - 1);
    return larger(ns, v->fanout_ns) + delay_of_others(v, thread_ns(v, v->count));
}

static bool may_fan_out(const struct placement_view *v)
{
    if (v->count < 2)
        return false;
    return v->groups ? v->groups + 1 < v->workers : v->idle > 1 && v->queued == 0;
}

/* With hysteresis in favour of the last decision. */
static bool is_faster(int64_t ns, int64_t otherwise, bool before)
{
    if (before)
        return ns < more(otherwise, PLACEMENT_FASTER_PERCENT);
    return more(ns, PLACEMENT_FASTER_PERCENT) < otherwise;
}

static bool is_faster_fanned_out(const struct placement_view *v, int64_t otherwise)
{
    return may_fan_out(v) && is_faster(fanout_ns(v), otherwise, v->before == PLACE_FANOUT);
}

static bool is_faster_fused(const struct placement_view *v, int64_t otherwise)
{
    bool before = v->before == PLACE_FUSED || (v->before == PLACE_FANOUT && v->count == 1);
    return is_faster(fused_ns(v), otherwise, before);
}

/* ---- Inline ---- */

/* Returns true if a time is below a border, with hysteresis in favour of the last decision. */
static bool is_below(const struct placement_view *v, int64_t ns, int64_t border)
{
    if (v->before == PLACE_INLINE)
        return ns < more(border, PLACEMENT_MARGIN_PERCENT);
    if (v->before == PLACE_UNDECIDED)
        return ns < border;
    return more(ns, PLACEMENT_MARGIN_PERCENT) < border;
}

/* Cheaper than its dispatch: running it here costs this thread no more. */
static bool is_cheap(const struct placement_view *v)
{
    return is_below(v, v->sum_ns, thread_ns(v, 1));
}

/* It takes no core from workers that tasks wait for, or a short time only; and the queue keeps the
 * workers busy meanwhile. */
static bool may_overtake(const struct placement_view *v)
{
    if (!v->cores_left && !is_below(v, v->sum_ns, PLACEMENT_SHORT_NS))
        return false;
    return v->queued * v->sum_ns >= v->workers * (v->tick_ns + v->sum_ns);
}

bool placement_waits(const struct placement_view *v)
{
    return v->tick_ns > 0 && v->tick_ns + v->sum_ns > PLACEMENT_TICK_NS;
}

/* Returns why it cannot run inline, or should be dispatched; NULL: it can, and should. */
static const char *against_inline(const struct placement_view *v)
{
    if (!v->may_inline)
        return "it cannot run on this thread now";
    if (v->sum_ns == 0)
        return "a cost is not known yet";
    if (v->dispatch_ns == 0 && v->idle > 0)
        return "the dispatch cost is not known yet";
    if (!is_below(v, v->sum_ns, dispatch_ns(v) * PLACEMENT_DISPATCHES))
        return "dispatching adds little to its time";
    if (!is_below(v, larger(v->sum_ns, v->tail_ns), PLACEMENT_ALONE_NS))
        return "it would block the loop";
    if (is_cheap(v))
        return NULL;
    if (placement_waits(v))
        return "this tick of the loop has computed enough";
    if (v->queued > 0 && !may_overtake(v))
        return "other tasks wait for a worker";
    if (is_faster_fanned_out(v, inline_ns(v)))
        return "several workers are faster";
    if (is_faster_fused(v, inline_ns(v)))
        return "it would delay other requests";
    return NULL;
}

/* ---- The rule ---- */

static enum placement choose_because(enum placement placement, const char **why, const char *reason)
{
    if (why)
        *why = reason;
    return placement;
}

static enum placement dispatched(const struct placement_view *v, const char **why)
{
    if (v->sum_ns == 0 && v->queued == 0 && v->idle > 1)
        return choose_because(PLACE_FANOUT, why, "a cost is not known yet, and workers are idle");
    if (v->sum_ns > 0 && is_faster_fanned_out(v, fused_ns(v)))
        return choose_because(PLACE_FANOUT, why, "idle workers are faster together");
    if (v->queued > 0)
        return choose_because(PLACE_FUSED, why, "other tasks wait for a worker");
    if (v->idle < 2)
        return choose_because(PLACE_FUSED, why, "no two workers are idle");
    return choose_because(PLACE_FUSED, why, "several workers are not faster than one");
}

enum placement placement_decide(const struct placement_view *v, const char **why)
{
    check(v->workers > 0, "a pool without workers");
    check(v->count > 0, "the placement of no steps");
    if (v->batched)
        return choose_because(PLACE_FANOUT, why, "its tasks run in batches");
    const char *against = against_inline(v);
    if (!against)
        return choose_because(PLACE_INLINE, why, "dispatching would make it slower");
    if (v->count == 1)
        return choose_because(PLACE_FANOUT, why, against);
    enum placement placed = dispatched(v, why);
    return v->before == PLACE_INLINE ? choose_because(placed, why, against) : placed;
}

const char *placement_name(enum placement placement)
{
    static const char *const names[PLACEMENTS + 1] = {
        [PLACE_INLINE] = "inline",
        [PLACE_FANOUT] = "fanout",
        [PLACE_FUSED] = "fused",
        [PLACE_UNDECIDED] = "undecided",
    };
    return (unsigned)placement <= PLACEMENTS ? names[placement] : NULL;
}
