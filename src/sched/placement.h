/*
 * placement.h: where the steps of a request that are ready together are to run. Pure.
 *
 * For each way it is reckoned how long the request takes, and how long others are held up who want
 * the same I/O thread meanwhile: inline that is all of the steps' time, else what putting tasks and
 * taking results takes. The rule, in this order:
 *  1. What is forced is done. (That is the caller's.) What goes in batches is fanned out: each of
 *     its tasks is to find mates.
 *  2. Inline, if that is best, and handing over would make it slower by more than a tenth, and it
 *     is within what this turn of the loop may still compute. What is cheaper than handing it over
 *     is best inline always, and waits for the loop's next turn if it must. Else it overtakes
 *     those that wait for a worker only if the workers do not suffer.
 *     (Where the steps' code is in this process: never for processes and forks. And never what was
 *     not measured yet.)
 *  3. Fewer requests under way than workers, and together these are done sooner: fan out. What is
 *     not known yet is taken to be dear.
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
    int64_t dispatch_ns; /* of their pool; 0: not known yet */
    int64_t effort_ns; /* of putting a task while workers are busy, for this thread; 0: not known */
    int64_t fanout_ns; /* what such a sum takes fanned out, as measured; 0: not known */
    bool batched;      /* one of them goes in batches */
    bool may_inline;
    bool cores_left; /* besides the workers' */
    int64_t turn_ns; /* what this turn has computed inline already */
    unsigned workers, idle, queued;
    unsigned sets;         /* others that were handed over and are under way, by any I/O thread */
    unsigned held_up;      /* halves of others that want this thread meanwhile: some may not */
    enum placement before; /* the last decision for these */
};

/* What a turn of the loop may compute inline; and who is the only one in his turn. */
#define PLACEMENT_TURN_NS        (200 * 1000)
#define PLACEMENT_ALONE_NS       (500 * 1000)
/* What runs inline may take so many dispatches: then these would be a tenth of it. */
#define PLACEMENT_HANDOVERS      10
/* What putting a task takes of this thread, at least. */
#define PLACEMENT_PUT_NS         1000
/* What a result's way back takes of this thread, at least: it is woken up for it. */
#define PLACEMENT_BACK_NS        (5 * 1000)
/* What may overtake those that wait for a worker, where that takes a core away from the workers. */
#define PLACEMENT_SHORT_NS       (50 * 1000)
/* By so much more or less than a border a cost must be for another decision than before. */
#define PLACEMENT_MARGIN_PERCENT 25
/* By so much another way must be faster; what was decided before stays if it is slower by less. */
#define PLACEMENT_FASTER_PERCENT 4

/* `why`, if not NULL: a sentence without a full stop, for the log. */
enum placement placement_decide(const struct placement_view *v, const char **why);
/* Whether what is to run inline is to wait for another turn of the loop. */
bool placement_waits(const struct placement_view *v);
/* "inline" */
const char *placement_name(enum placement placement);
