/*
 * placement.h: where the ready steps of a request run. Pure.
 *
 * For each way it estimates how long the request takes, and how long it delays others that want the
 * same I/O thread: inline by the steps' whole time, else by putting tasks and taking results. The
 * rule, in this order:
 *  1. What the configuration forces is done, by the caller. Steps with batches fan out, so that
 *     each task can join one.
 *  2. Inline, if that is fastest, dispatching would be slower by more than a tenth, and it is
 *     within the tick's budget. A step that is cheaper than its dispatch always runs inline, in the
 *     next tick if need be; others overtake waiting tasks only where the workers do not suffer.
 *     Never for pools of processes and forks (the steps are not loaded here), and never before the
 *     step was measured.
 *  3. Fan out, if fewer requests are under way than workers, and several workers are faster. A cost
 *     that is not known yet counts as high.
 *  4. Else fused, as one task: each dispatch costs throughput.
 * Hysteresis: near a border the last decision stays until another is clearly better.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum placement {
    PLACE_INLINE,
    PLACE_FANOUT, /* also of a single step that is dispatched */
    PLACE_FUSED,
    PLACEMENTS,
    PLACE_UNDECIDED = PLACEMENTS
};

struct placement_view {
    unsigned count;      /* ready steps */
    int64_t sum_ns;      /* of expected costs; 0: one is not known yet */
    int64_t most_ns;     /* the most expensive one */
    int64_t tail_ns;     /* the highest 95th percentile: what may block the loop */
    int64_t dispatch_ns; /* of their pool; 0: not known yet */
    int64_t effort_ns;   /* of putting a task while workers are busy, on this thread; 0: unknown */
    int64_t fanout_ns;   /* measured time of such a sum on several workers; 0: unknown */
    bool batched;        /* one of them has batches */
    bool may_inline;
    bool cores_left; /* besides the workers' */
    int64_t tick_ns; /* computed inline in this tick already */
    unsigned workers, idle, queued;
    unsigned groups;       /* call groups under way, of all I/O threads */
    unsigned competing;    /* twice the requests that compete for this thread */
    enum placement before; /* the last decision for such a group */
};

/* What a tick of the loop may compute inline; and what the only request of a tick may. */
#define PLACEMENT_TICK_NS        (200 * 1000)
#define PLACEMENT_ALONE_NS       (500 * 1000)
/* Up to this many dispatch costs a step runs inline: a dispatch would be a tenth of it. */
#define PLACEMENT_DISPATCHES     10
/* The least that putting a task costs this thread. */
#define PLACEMENT_PUT_NS         1000
/* The least that taking a result costs this thread: it is woken for it. */
#define PLACEMENT_BACK_NS        (5 * 1000)
/* What may overtake waiting tasks although it takes a core from the workers. */
#define PLACEMENT_SHORT_NS       (50 * 1000)
/* Hysteresis: how far beyond a border a cost must be to change the decision. */
#define PLACEMENT_MARGIN_PERCENT 25
/* How much faster another way must be; the last decision stays if it is slower by less. */
#define PLACEMENT_FASTER_PERCENT 4

/* `why`, if not NULL, gets a sentence without a full stop, for the log. */
enum placement placement_decide(const struct placement_view *v, const char **why);
/* Returns true if an inline run should wait for the next tick. */
bool placement_waits(const struct placement_view *v);
/* "inline" */
const char *placement_name(enum placement placement);
