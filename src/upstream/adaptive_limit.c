/*
 * limit.c: see limit.h.
 */
#include "upstream/adaptive_limit.h"

#include <math.h>

#define GRADIENT_LEAST 0.5         /* of a window: at most halved */
#define GROWTH         0.25        /* of a window */
#define FOLLOW_BETTER  (1.0 / 10)  /* of a window's mean in the usual */
#define FOLLOW_WORSE   (1.0 / 200) /* the same: slow, or a slow upstream would be usual soon */

void adaptive_limit_init(struct adaptive_limit *l, unsigned most)
{
    *l = (struct adaptive_limit){.estimate = most, .most = most};
    l->least = most < ADAPTIVE_LIMIT_LEAST ? most : ADAPTIVE_LIMIT_LEAST;
}

unsigned adaptive_limit_now(const struct adaptive_limit *l)
{
    return l->estimate < 1 ? 1 : (unsigned)l->estimate;
}

int64_t adaptive_limit_usual(const struct adaptive_limit *l)
{
    return (int64_t)l->usual_ns;
}

static void follow(struct adaptive_limit *l, double mean)
{
    if (l->usual_ns <= 0)
        l->usual_ns = mean;
    l->usual_ns += (mean - l->usual_ns) * (mean < l->usual_ns ? FOLLOW_BETTER : FOLLOW_WORSE);
}

static void shrink(struct adaptive_limit *l, double gradient)
{
    double used = l->peak < l->estimate ? l->peak : l->estimate;
    double next = used * (gradient > GRADIENT_LEAST ? gradient : GRADIENT_LEAST) + sqrt(used);
    if (next < l->least)
        next = l->least;
    if (next < l->estimate)
        l->estimate = next;
}

static void grow(struct adaptive_limit *l)
{
    if (l->peak * 2.0 < l->estimate)
        return;
    l->estimate += l->estimate * GROWTH;
    if (l->estimate > l->most)
        l->estimate = l->most;
}

static void end_window(struct adaptive_limit *l)
{
    double mean = l->sum_ns / l->samples;
    follow(l, mean);
    double gradient = mean > 0 ? ADAPTIVE_LIMIT_TOLERANCE * l->usual_ns / mean : 1;
    if (gradient >= 1)
        grow(l);
    else if (l->peak > l->least) /* else it does no harm, and may be chance */
        shrink(l, gradient);
    l->samples = l->peak = 0;
    l->sum_ns = 0;
}

void adaptive_limit_note(
    struct adaptive_limit *l, int64_t now, int64_t latency_ns, unsigned under_way)
{
    if (l->samples == 0)
        l->began = now;
    l->samples++;
    l->sum_ns += (double)latency_ns;
    if (under_way > l->peak)
        l->peak = under_way;
    if (l->samples >= ADAPTIVE_LIMIT_WINDOW_MIN && now - l->began >= ADAPTIVE_LIMIT_WINDOW_NS)
        end_window(l);
}
