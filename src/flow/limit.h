/*
 * limit.h: how many calls an upstream bears at once, as told by their latency. Pure.
 *
 * While calls take about as long as they usually do, the limit is out of the way: it grows whenever
 * half of it is used. When they take longer than LIMIT_TOLERANCE times the usual, it shrinks in
 * that proportion, but for an allowance of the root of what was under way: enough to see whether
 * the upstream could do more. So what is asked of a slow upstream settles where asking for more
 * would only make it slower, and the rest waits here, where it can be counted and refused. (The
 * gradient of Netflix's concurrency-limits, there called gradient2.)
 *
 * What is usual follows the better within ten windows, the worse within some hundred: an upstream
 * that has become slower for good is not held back for ever.
 */
#pragma once

#include <stdint.h>

#define LIMIT_LEAST      20 /* so few at once do no harm */
#define LIMIT_TOLERANCE  1.5
#define LIMIT_WINDOW_NS  (100 * INT64_C(1000000))
#define LIMIT_WINDOW_MIN 10 /* calls of a window */

struct limit {
    double estimate;
    double least, most;
    double usual_ns; /* 0: not known yet */
    /* The window: */
    int64_t began;
    double sum_ns;
    unsigned samples;
    unsigned peak; /* most under way */
};

/* Begins at `most`, which is never passed: nobody is held back before there is a reason. */
void limit_init(struct limit *l, unsigned most);
/* At least one. */
unsigned limit_now(const struct limit *l);
/* What a call usually takes; 0: not known. */
int64_t limit_usual(const struct limit *l);
/* A call has ended, after so long; with it so many were under way. */
void limit_note(struct limit *l, int64_t now, int64_t latency_ns, unsigned under_way);
