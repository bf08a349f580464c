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

/* What the steps take if several hands work at once: as measured, or else as it should be. */
static int64_t fanned_out(const struct placement_view *v, int64_t handover)
{
    if (v->fanout_ns > 0)
        return v->fanout_ns;
    unsigned hands = v->idle < v->count ? v->idle : v->count;
    int64_t share = v->sum_ns / hands;
    return handover + (share > v->most_ns ? share : v->most_ns);
}

/* Whether they are done sooner than in `otherwise`. */
static bool is_faster_fanned_out(
    const struct placement_view *v, int64_t handover, int64_t otherwise)
{
    if (v->count < 2 || v->idle < 2 || v->queued > 0)
        return false;
    int margin = v->before == PLACE_FANOUT ? 0 : PLACEMENT_FASTER_PERCENT;
    return more(fanned_out(v, handover), margin) < otherwise;
}

/* ---- Inline ---- */

/* A cost is below a border, with the margin in favour of what was decided before. */
static bool is_below(const struct placement_view *v, int64_t border)
{
    if (v->before == PLACE_INLINE)
        return v->sum_ns < more(border, PLACEMENT_MARGIN_PERCENT);
    if (v->before == PLACE_UNDECIDED)
        return v->sum_ns < border;
    return more(v->sum_ns, PLACEMENT_MARGIN_PERCENT) < border;
}

static bool is_cheap(const struct placement_view *v)
{
    return is_below(v, v->handover_ns * PLACEMENT_CHEAP_HANDOVERS);
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
    if (!is_below(v, v->handover_ns * PLACEMENT_HANDOVERS))
        return "handing over adds little to it";
    if (v->sum_ns > PLACEMENT_TURN_NS || v->tail_ns > PLACEMENT_TURN_NS)
        return "it would block the loop";
    if (placement_waits(v) && !is_cheap(v))
        return "this turn of the loop has computed enough";
    if (v->turn_ns > 0 && v->idle > 0 && !is_cheap(v))
        return "there is more to do, and hands are idle";
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
