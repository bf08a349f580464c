/*
 * admission.c: see admission.h.
 */
#include "sched/admission.h"

#include "base/bug.h"
#include "base/mem.h"
#include "base/time.h"

#include <errno.h>

#define AS_EXPECTED   1000 /* slowness of a class whose estimates are right */
#define SLOWNESS_MAX  (20 * AS_EXPECTED)
/* An EWMA moves by 1/n: */
#define COST_EWMA     32
#define SERVED_EWMA   16
#define UNSERVED_EWMA 4 /* bad news counts sooner */

int admission_init(struct admission *a, unsigned workers)
{
    *a = (struct admission){.workers = workers};
    a->until = mem_zalloc(workers * sizeof(*a->until));
    return a->until ? 0 : -ENOMEM;
}

void admission_release(struct admission *a)
{
    mem_free(a->until);
    a->until = NULL;
}

void admission_busy(struct admission *a, unsigned worker, int64_t until)
{
    check(worker < a->workers, "worker %u of %u", worker, a->workers);
    a->until[worker] = until;
}

void admission_free(struct admission *a, unsigned worker)
{
    admission_busy(a, worker, 0);
}

int64_t admission_wait(const struct admission *a, int64_t ahead, int64_t now)
{
    check(a->workers > 0, "a queue without workers");
    int64_t work = ahead;
    for (unsigned i = 0; i < a->workers; i++)
        work += a->until[i] > now ? a->until[i] - now : 0;
    return work / a->workers;
}

/* ---- Classes ---- */

static int64_t more(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

void class_stats_init(struct class_stats *s)
{
    *s = (struct class_stats){.above_since = -1, .late_since = -1, .slowness = AS_EXPECTED};
}

int64_t admission_expects(const struct class_stats *s, int64_t wait, bool none_waits)
{
    return none_waits ? wait : wait / AS_EXPECTED * s->slowness;
}

int64_t admission_refuses(const struct class_stats *s, int64_t wait, int64_t cost, int64_t left)
{
    dcheck(wait >= 0 && cost >= 0, "a wait of %lld and a cost of %lld", (long long)wait,
        (long long)cost);
    int64_t most = s->state == ADMISSION_NORMAL ? left : left / 2;
    if (most > left - cost)
        most = left - cost;
    if (wait <= most)
        return 0;
    int64_t again = most > 0 ? wait - most : wait;
    return again > 0 ? again : cost;
}

static void move(int64_t *mean, int64_t to, int parts)
{
    *mean += (to - *mean) / parts;
}

/* The ratio of the means, not the mean of the ratios: long waits count for more. Waits below a
 * millisecond or one task's cost are raised to that, since their ratio is noise. */
void admission_learn(struct class_stats *s, int64_t expected, int64_t waited, bool served)
{
    dcheck(s->slowness >= AS_EXPECTED && s->slowness <= SLOWNESS_MAX, "a slowness of %lld",
        (long long)s->slowness);
    int64_t least = more(NS_PER_MS, s->mean_cost);
    expected = more(expected, least);
    waited = more(waited, least);
    if (!served && waited / (expected / AS_EXPECTED) <= s->slowness)
        return;
    int parts = served ? SERVED_EWMA : UNSERVED_EWMA;
    move(&s->expected, expected, parts);
    move(&s->waited, waited, parts);
    int64_t slowness = s->waited / (s->expected / AS_EXPECTED + 1);
    s->slowness = slowness < AS_EXPECTED    ? AS_EXPECTED
                  : slowness > SLOWNESS_MAX ? SLOWNESS_MAX
                                            : slowness;
}

/* Returns true if `so` has held for a whole interval. */
static bool lasts(const struct class_stats *s, int64_t *since, bool so, int64_t now)
{
    if (!so)
        *since = -1;
    else if (*since < 0)
        *since = now;
    return so &&
           now - *since >= more(ADMISSION_INTERVAL_NS, s->mean_cost * ADMISSION_INTERVAL_TASKS);
}

void admission_taken(struct class_stats *s, int64_t waited, int64_t left, int64_t cost, int64_t now)
{
    s->mean_cost += (cost - s->mean_cost) / COST_EWMA;
    bool above = waited > more(ADMISSION_TARGET_NS, s->mean_cost);
    /* Half of its time was allowed; this is three quarters of it. */
    bool late = above && waited / 3 > left;
    bool stands = lasts(s, &s->above_since, above, now);
    bool fails = lasts(s, &s->late_since, late, now);
    if (!above)
        s->state = ADMISSION_NORMAL;
    else if (s->state == ADMISSION_STANDING && fails)
        s->state = ADMISSION_NEWEST;
    else if (s->state == ADMISSION_NEWEST ? !late : stands)
        s->state = ADMISSION_STANDING;
}

void admission_drained(struct class_stats *s)
{
    s->state = ADMISSION_NORMAL;
    s->above_since = s->late_since = -1;
}
