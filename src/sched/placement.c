/*
 * placement.c: see placement.h.
 */
#include "sched/placement.h"

#include "base/bug.h"

#include <stddef.h>

/* A dispatch that was never measured is taken to be as dear as on a slow machine. */
#define HANDOVER_PRESUMED_NS (100 * 1000)

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t more(int64_t ns, int percent)
{
    return ns + ns * percent / 100;
}

/* ---- What each way takes: the caller's time, and that of those who are held up meanwhile ---- */

/* By so much of this thread's time. */
static int64_t held_up(const struct placement_view *v, int64_t ns)
{
    return ns * v->held_up / 2;
}

static int64_t put_ns(const struct placement_view *v)
{
    return larger(v->effort_ns, PLACEMENT_PUT_NS);
}

/* What so many tasks take of this thread: the last result brings all home. */
static int64_t thread_ns(const struct placement_view *v, unsigned tasks)
{
    int64_t put = put_ns(v);
    return put * tasks + larger(put, PLACEMENT_BACK_NS);
}

static int64_t inline_ns(const struct placement_view *v)
{
    return v->sum_ns + held_up(v, v->sum_ns);
}

static int64_t dispatch_ns(const struct placement_view *v)
{
    return v->dispatch_ns ? v->dispatch_ns : HANDOVER_PRESUMED_NS;
}

/* Each set has a worker, or its turn. */
static int64_t fused_ns(const struct placement_view *v)
{
    int64_t sets = v->sets + 1;
    int64_t share = sets > v->workers ? v->sum_ns * sets / v->workers : v->sum_ns;
    return dispatch_ns(v) + share + held_up(v, thread_ns(v, 1));
}

/* Tasks that one of so many workers does one after the other. */
static int64_t rounds(int64_t tasks, int64_t workers)
{
    return (tasks + workers - 1) / workers;
}

/* All workers work for all sets, as in turns. Of one that is alone it is what was measured, but for
 * what cannot be; the others take no less. */
static int64_t fanout_ns(const struct placement_view *v)
{
    int64_t workers = v->sets ? v->workers : v->idle;
    int64_t share = v->sum_ns / v->count * rounds(v->count * (v->sets + 1), workers);
    int64_t ns = larger(share, v->most_ns);
    if (v->sets || !v->fanout_ns)
        ns += dispatch_ns(v) + put_ns(v) * (v->count - 1);
    return larger(ns, v->fanout_ns) + held_up(v, thread_ns(v, v->count));
}

static bool may_fan_out(const struct placement_view *v)
{
    if (v->count < 2)
        return false;
    return v->sets ? v->sets + 1 < v->workers : v->idle > 1 && v->queued == 0;
}

/* By a margin, which is in favour of what was decided before. */
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

/* A time is below a border, with the margin in favour of what was decided before. */
static bool is_below(const struct placement_view *v, int64_t ns, int64_t border)
{
    if (v->before == PLACE_INLINE)
        return ns < more(border, PLACEMENT_MARGIN_PERCENT);
    if (v->before == PLACE_UNDECIDED)
        return ns < border;
    return more(ns, PLACEMENT_MARGIN_PERCENT) < border;
}

/* Whatever else is to be done: handing it over takes this thread as long. */
static bool is_cheap(const struct placement_view *v)
{
    return is_below(v, v->sum_ns, thread_ns(v, 1));
}

/* It takes no core away from workers that others wait for, or not for long; and these have enough
 * to do until this thread can give them more. */
static bool may_overtake(const struct placement_view *v)
{
    if (!v->cores_left && !is_below(v, v->sum_ns, PLACEMENT_SHORT_NS))
        return false;
    return v->queued * v->sum_ns >= v->workers * (v->turn_ns + v->sum_ns);
}

bool placement_waits(const struct placement_view *v)
{
    return v->turn_ns > 0 && v->turn_ns + v->sum_ns > PLACEMENT_TURN_NS;
}

/* Why it cannot run inline, or is better handed over; NULL: it can, and should. */
static const char *against_inline(const struct placement_view *v)
{
    if (!v->may_inline)
        return "it cannot run on this thread now";
    if (v->sum_ns == 0)
        return "a cost is not known yet";
    if (v->dispatch_ns == 0 && v->idle > 0)
        return "the cost of handing over is not known yet";
    if (!is_below(v, v->sum_ns, dispatch_ns(v) * PLACEMENT_HANDOVERS))
        return "handing over adds little to it";
    if (!is_below(v, larger(v->sum_ns, v->tail_ns), PLACEMENT_ALONE_NS))
        return "it would block the loop";
    if (is_cheap(v))
        return NULL;
    if (placement_waits(v))
        return "this turn of the loop has computed enough";
    if (v->queued > 0 && !may_overtake(v))
        return "others wait for a worker";
    if (is_faster_fanned_out(v, inline_ns(v)))
        return "several workers are faster";
    if (is_faster_fused(v, inline_ns(v)))
        return "others would wait for it";
    return NULL;
}

/* ---- The rule ---- */

static enum placement choose_because(enum placement placement, const char **why, const char *reason)
{
    if (why)
        *why = reason;
    return placement;
}

static enum placement handed_over(const struct placement_view *v, const char **why)
{
    if (v->sum_ns == 0 && v->queued == 0 && v->idle > 1)
        return choose_because(PLACE_FANOUT, why, "a cost is not known yet, and workers are idle");
    if (v->sum_ns > 0 && is_faster_fanned_out(v, fused_ns(v)))
        return choose_because(PLACE_FANOUT, why, "workers are idle, and are faster together");
    if (v->queued > 0)
        return choose_because(PLACE_FUSED, why, "others wait for a worker");
    if (v->idle < 2)
        return choose_because(PLACE_FUSED, why, "no two workers are idle");
    return choose_because(PLACE_FUSED, why, "several workers are not faster than one");
}

enum placement placement_decide(const struct placement_view *v, const char **why)
{
    check(v->workers > 0, "a pool without workers");
    if (v->batched)
        return choose_because(PLACE_FANOUT, why, "its tasks go in batches");
    const char *against = against_inline(v);
    if (!against)
        return choose_because(PLACE_INLINE, why, "handing over would make it slower");
    if (v->count == 1)
        return choose_because(PLACE_FANOUT, why, against);
    enum placement placed = handed_over(v, why);
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
