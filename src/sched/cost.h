/*
 * cost.h: estimates of what steps cost, and of what it costs to dispatch one, measured while
 * running.
 *
 * All threads share them: relaxed atomics, of which one update may be lost when two meet. They
 * follow a jump within some tens of calls; a single outlier moves them by a fraction only.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct estimate {
    _Atomic int64_t mean_ns; /* without outliers; 0: not known yet */
    _Atomic int64_t tail_ns; /* about the 95th percentile */
    _Atomic int64_t rest_ns; /* what outliers add to the mean, over a longer time */
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
/* Of a call with an input of that size: by its size class if that differs from the others, else by
 * all calls. 0: not known, since no such size has run. */
int64_t cost_expected(const struct step_cost *c, size_t input);
int64_t cost_tail(const struct step_cost *c, size_t input);
/* As cost_expected, with its share of the outliers: for sums over many tasks. */
int64_t cost_average(const struct step_cost *c, size_t input);

/* `all`: the time from the caller to an idle worker and back, without the step's own. `fanout`: the
 * time of several steps on several workers, in thousandths of their summed costs, by powers of
 * eight of that sum; measured, since it depends on cores that others use, too. */
#define COST_SUMS 10

struct dispatch_cost {
    struct estimate all;
    struct estimate effort; /* of the caller's thread, if no worker is woken */
    struct estimate fanout[COST_SUMS];
};
void dispatch_note(struct dispatch_cost *h, int64_t ns);
int64_t dispatch_expected(const struct dispatch_cost *h);
void fanout_note(struct dispatch_cost *h, int64_t sum_ns, int64_t took_ns);
/* The time that steps of this summed cost take on several workers; 0: not known. */
int64_t fanout_expected(const struct dispatch_cost *h, int64_t sum_ns);
