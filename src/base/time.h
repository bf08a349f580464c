/*
 * time.h: how times are represented.
 *
 * A moment is a number of nanoseconds on its host's monotonic clock, which starts anywhere and
 * never goes back; a span is a difference of two. Both are int64_t, enough for 292 years. A
 * *deadline* is a moment: waits are given deadlines, not spans, so that nested waits compose by
 * taking the minimum.
 */
#pragma once

#include <stdint.h>

#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)

/* No deadline. */
#define DEADLINE_NEVER INT64_MAX

/* now + span, without overflow: a sum past the end of time is 'never'. A negative span is none. */
static inline int64_t deadline_after(int64_t now, int64_t span_ns)
{
    if (span_ns <= 0)
        return now;
    return now > DEADLINE_NEVER - span_ns ? DEADLINE_NEVER : now + span_ns;
}

static inline int64_t deadline_sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}
