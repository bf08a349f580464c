/*
 * adaptive_limit.h: how many concurrent calls an upstream can take, found from their latency. Pure.
 *
 * While calls take about as long as usual the limit is not felt: it grows whenever half of it is
 * used. When they take longer than ADAPTIVE_LIMIT_TOLERANCE times the usual, it shrinks in that
 * proportion, plus the square root of the calls in flight, so that it can find out whether the
 * upstream could do more. So calls to a slow upstream settle where more of them would only be
 * slower, and the rest waits here, where it can be counted and refused. (This is "gradient2" of
 * Netflix's concurrency-limits.)
 *
 * The usual latency follows improvements within ten windows and deterioration within some hundred:
 * an upstream that became slower for good is not throttled for ever.
 */
#pragma once

#include <stdint.h>

#define ADAPTIVE_LIMIT_LEAST      20 /* never fewer: so few do no harm */
#define ADAPTIVE_LIMIT_TOLERANCE  1.5
#define ADAPTIVE_LIMIT_WINDOW_NS  (100 * INT64_C(1000000))
#define ADAPTIVE_LIMIT_WINDOW_MIN 10 /* calls of a window */

struct adaptive_limit {
    double estimate;
    double least, most;
    double usual_ns; /* 0: not known yet */
    /* The window: */
    int64_t began;
    double sum_ns;
    unsigned samples;
    unsigned peak; /* most under way */
};

/* Begins at `most`, its upper bound: no call waits before there is a reason. */
void adaptive_limit_init(struct adaptive_limit *l, unsigned most);
/* At least one. */
unsigned adaptive_limit_now(const struct adaptive_limit *l);
/* What a call usually takes; 0: not known. */
int64_t adaptive_limit_usual(const struct adaptive_limit *l);
/* A call has ended after `latency_ns`; `under_way` calls were in flight, it included. */
void adaptive_limit_note(
    struct adaptive_limit *l, int64_t now, int64_t latency_ns, unsigned under_way);
