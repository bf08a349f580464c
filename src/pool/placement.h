/*
 * placement.h: where the steps of a request that are ready together are to run. Pure.
 *
 * The rule, in this order:
 *  1. What is forced is done. (That is the caller's.)
 *  2. Inline, if handing over would make it slower by more than a tenth, and it is within what
 *     this turn of the loop may still compute. What is not clearly cheaper than being handed over
 *     only if it is the turn's first, or no hand is idle: else there is more to do than one thread
 *     should do alone. What is cheaper, but not within this turn, waits for the next one.
 *     (Where the steps' code is in this process: never for processes and forks. And never what was
 *     not measured yet.)
 *  3. Several hands idle, nothing queued, and by working at once they are done sooner: fan out, for
 *     latency. What is not known yet is taken to be dear.
 *  4. Else fused, one task: handing over costs throughput.
 * Near a border the last decision stays until the other is clearly better: it does not oscillate.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum placement {
    PLACE_INLINE,
    PLACE_FANOUT, /* also of a single one that is handed over */
    PLACE_FUSED,
    PLACEMENTS,
    PLACE_UNDECIDED = PLACEMENTS
};

struct placement_view {
    unsigned count;      /* steps that are ready together */
    int64_t sum_ns;      /* of their expected costs; 0: one is not known yet */
    int64_t most_ns;     /* the dearest of them */
    int64_t tail_ns;     /* of the dearest, for what blocks the loop */
    int64_t handover_ns; /* of their pool; 0: not known yet */
    int64_t
        effort_ns; /* what putting them takes of this thread, while hands are busy; 0: not known */
    int64_t fanout_ns; /* what such a sum takes fanned out, as measured; 0: not known */
    bool may_inline;
    int64_t turn_ns; /* what this turn has computed inline already */
    unsigned idle, queued;
    enum placement before; /* the last decision for these */
};

/* What a turn of the loop may compute inline; and who is the only one in his turn. */
#define PLACEMENT_TURN_NS        (200 * 1000)
#define PLACEMENT_ALONE_NS       (500 * 1000)
/* What runs inline may take so many hand-overs: then these would be a tenth of it. */
#define PLACEMENT_HANDOVERS      10
/* What takes less than so many times what putting it takes of this thread alone is cheaper than
 * handing over, of which both threads have some trouble; and so is what takes less than that. */
#define PLACEMENT_CHEAP_EFFORTS  4
#define PLACEMENT_CHEAP_NS       (6 * 1000)
/* By so much more or less than a border a cost must be for another decision than before. */
#define PLACEMENT_MARGIN_PERCENT 25
/* By so much fanning out must be faster than the other way; to go on with it, slower by less. And
 * if all went well it would have to be that much faster, whatever was measured. */
#define PLACEMENT_FASTER_PERCENT 4

/* `why`, if not NULL: a sentence without a full stop, for the log. */
enum placement placement_decide(const struct placement_view *v, const char **why);
/* Whether what is to run inline is to wait for another turn of the loop. */
bool placement_waits(const struct placement_view *v);
/* "inline" */
const char *placement_name(enum placement placement);
