/*
 * cost.h: what steps cost, and what it costs to hand one over, as measured while running.
 *
 * Estimates are shared by all threads: relaxed atomics, of which an update may be lost when two
 * come at once, and nothing with it. They follow a jump within some tens of calls, and a single
 * outlier by a fraction only.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of something that is measured again and again. */
struct estimate {
    _Atomic int64_t mean_ns; /* without what is far out; 0: not known yet */
    _Atomic int64_t tail_ns; /* about what nineteen of twenty stay below */
    _Atomic int64_t rest_ns; /* what the far out add to the mean, over a longer time */
    atomic_uint calls;       /* up to as many as count for the mean */
    atomic_int astray;       /* how many in a row were far above (below: negative) */
};

void estimate_note(struct estimate *e, int64_t ns);
int64_t estimate_mean(const struct estimate *e);

/* Classes of inputs, by powers of four: up to 64 bytes, 256, ... and beyond 1 MiB. */
#define COST_SIZES 9

struct step_cost {
    struct estimate all;
    struct estimate by_size[COST_SIZES];
};

void cost_note(struct step_cost *c, size_t input, int64_t wall_ns);
/* Of a call with an input of that size: by its class where that differs from the others, else by
 * all; 0: not known, since none of such a size has been run. */
int64_t cost_expected(const struct step_cost *c, size_t input);
int64_t cost_tail(const struct step_cost *c, size_t input);
/* The same as cost_expected, with its share of those that take far longer than is usual: what
 * matters where many of them add up. */
int64_t cost_average(const struct step_cost *c, size_t input);

/* What it takes to hand over: to a worker that is idle and back, beside the steps' own time; and
 * how long steps take that are handed over to several at once, in thousandths of what they cost one
 * after the other, by powers of eight of that: since it depends on cores that others use, too. */
#define COST_SUMS 10

struct dispatch_cost {
    struct estimate all;
    struct estimate effort; /* of the caller's thread, where no worker is to be woken */
    struct estimate fanout[COST_SUMS];
};
void dispatch_note(struct dispatch_cost *h, int64_t ns);
int64_t dispatch_expected(const struct dispatch_cost *h);
void fanout_note(struct dispatch_cost *h, int64_t sum_ns, int64_t took_ns);
/* How long such a sum of costs would take; 0: not known. */
int64_t fanout_expected(const struct dispatch_cost *h, int64_t sum_ns);
