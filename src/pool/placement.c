/*
 * placement.c: see placement.h.
 */
#include "pool/placement.h"

#include <stddef.h>

/* A hand-over that was never measured is taken to be as dear as on a slow machine. */
#define HANDOVER_PRESUMED_NS (100 * 1000)

static int64_t more(int64_t ns, int percent)
{
    return ns + ns * percent / 100;
}

/* What the steps take if several hands work at once and all goes well. */
static int64_t ideally_fanned_out(const struct placement_view *v, int64_t handover)
{
    unsigned hands = v->idle < v->count ? v->idle : v->count;
    int64_t rounds = (v->count + hands - 1) / hands;
    int64_t share = v->sum_ns / v->count * rounds;
    return handover + (share > v->most_ns ? share : v->most_ns);
}

static bool is_faster(const struct placement_view *v, int64_t fanned_out, int64_t otherwise)
{
    if (v->before == PLACE_FANOUT)
        return fanned_out < more(otherwise, PLACEMENT_FASTER_PERCENT);
    return more(fanned_out, PLACEMENT_FASTER_PERCENT) < otherwise;
}

/* Whether they are done sooner than in `otherwise`: it should be so, and was measured to be. */
static bool is_faster_fanned_out(
    const struct placement_view *v, int64_t handover, int64_t otherwise)
{
    if (v->count < 2 || v->idle < 2 || v->queued > 0)
        return false;
    return is_faster(v, ideally_fanned_out(v, handover), otherwise) &&
           (v->fanout_ns == 0 || is_faster(v, v->fanout_ns, otherwise));
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

static bool is_cheap(const struct placement_view *v)
{
    int64_t cheap = v->effort_ns * PLACEMENT_CHEAP_EFFORTS;
    return is_below(v, v->sum_ns, cheap > PLACEMENT_CHEAP_NS ? cheap : PLACEMENT_CHEAP_NS);
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
    if (v->handover_ns == 0)
        return "the cost of handing over is not known yet";
    if (!is_below(v, v->sum_ns, v->handover_ns * PLACEMENT_HANDOVERS))
        return "handing over adds little to it";
    if (!is_below(v, v->sum_ns > v->tail_ns ? v->sum_ns : v->tail_ns, PLACEMENT_ALONE_NS))
        return "it would block the loop";
    if (placement_waits(v) && !is_cheap(v))
        return "this turn of the loop has computed enough";
    if (v->turn_ns > 0 && v->idle > 0 && !is_cheap(v))
        return "there is more to do, and hands are idle";
    if (v->queued > 0 && !is_cheap(v))
        return "others wait for a hand";
    if (is_faster_fanned_out(v, v->handover_ns, v->sum_ns))
        return "several hands are faster";
    return NULL;
}

/* ---- The rule ---- */

static enum placement told(enum placement placement, const char **why, const char *reason)
{
    if (why)
        *why = reason;
    return placement;
}

static enum placement handed_over(const struct placement_view *v, const char **why)
{
    int64_t handover = v->handover_ns ? v->handover_ns : HANDOVER_PRESUMED_NS;
    if (v->queued > 0)
        return told(PLACE_FUSED, why, "others wait for a hand");
    if (v->idle < 2)
        return told(PLACE_FUSED, why, "no two hands are idle");
    if (v->sum_ns == 0)
        return told(PLACE_FANOUT, why, "a cost is not known yet, and hands are idle");
    if (is_faster_fanned_out(v, handover, handover + v->sum_ns))
        return told(PLACE_FANOUT, why, "hands are idle, and are faster together");
    return told(PLACE_FUSED, why, "several hands are not faster than one");
}

enum placement placement_decide(const struct placement_view *v, const char **why)
{
    const char *against = against_inline(v);
    if (!against)
        return told(PLACE_INLINE, why, "handing over would make it slower");
    if (v->count == 1)
        return told(PLACE_FANOUT, why, against);
    enum placement placed = handed_over(v, why);
    return v->before == PLACE_INLINE ? told(placed, why, against) : placed;
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
