/*
 * admission.c: see admission.h.
 */
#include "sched/admission.h"

#include "base/bug.h"
#include "base/mem.h"
#include "base/time.h"

#include <errno.h>

#define USUAL_OF     32   /* tasks back */
#define AS_EXPECTED  1000 /* of slowness */
#define SLOWNESS_MAX (20 * AS_EXPECTED)
#define LEARN_OF     16 /* tasks back, of those that were served */
#define LEARN_OF_BAD 4  /* and of others: soon */

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
    if (worker < a->workers)
        a->until[worker] = until;
}

void admission_free(struct admission *a, unsigned worker)
{
    admission_busy(a, worker, 0);
}

int64_t admission_wait(const struct admission *a, int64_t ahead, int64_t now)
{
    check(a->workers > 0, "a wait for nobody");
    int64_t work = ahead;
    for (unsigned i = 0; i < a->workers; i++)
        work += a->until[i] > now ? a->until[i] - now : 0;
    return work / a->workers;
}

/* ---- Lines ---- */

static int64_t more(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

void class_stats_init(struct class_stats *l)
{
    *l = (struct class_stats){.above_since = -1, .late_since = -1, .slowness = AS_EXPECTED};
}

int64_t admission_expects(const struct class_stats *l, int64_t wait, bool none_waits)
{
    return none_waits ? wait : wait / AS_EXPECTED * l->slowness;
}

int64_t admission_refuses(const struct class_stats *l, int64_t wait, int64_t cost, int64_t left)
{
    int64_t most = l->state == ADMISSION_NORMAL ? left : left / 2;
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

/* Means of both are compared, so that long waits count for more: of a short one, of which less was
 * expected than the clock and one task's own cost are off by, the ratio says nothing. */
void admission_learn(struct class_stats *l, int64_t expected, int64_t waited, bool served)
{
    int64_t least = more(NS_PER_MS, l->usual);
    expected = more(expected, least);
    waited = more(waited, least);
    if (!served && waited / (expected / AS_EXPECTED) <= l->slowness)
        return;
    int parts = served ? LEARN_OF : LEARN_OF_BAD;
    move(&l->expected, expected, parts);
    move(&l->waited, waited, parts);
    int64_t slowness = l->waited / (l->expected / AS_EXPECTED + 1);
    l->slowness = slowness < AS_EXPECTED    ? AS_EXPECTED
                  : slowness > SLOWNESS_MAX ? SLOWNESS_MAX
                                            : slowness;
}

/* Whether it has been so for the whole interval. */
static bool lasts(const struct class_stats *l, int64_t *since, bool so, int64_t now)
{
    if (!so)
        *since = -1;
    else if (*since < 0)
        *since = now;
    return so && now - *since >= more(ADMISSION_INTERVAL_NS, l->usual * ADMISSION_INTERVAL_TASKS);
}

void admission_taken(struct class_stats *l, int64_t waited, int64_t left, int64_t cost, int64_t now)
{
    l->usual += (cost - l->usual) / USUAL_OF;
    bool above = waited > more(ADMISSION_TARGET_NS, l->usual);
    /* Half of its time was allowed; this is three quarters. */
    bool late = above && waited / 3 > left;
    bool stands = lasts(l, &l->above_since, above, now);
    bool fails = lasts(l, &l->late_since, late, now);
    if (!above)
        l->state = ADMISSION_NORMAL;
    else if (l->state == ADMISSION_STANDING && fails)
        l->state = ADMISSION_NEWEST;
    else if (l->state == ADMISSION_NEWEST ? !late : stands)
        l->state = ADMISSION_STANDING;
}

void admission_drained(struct class_stats *l)
{
    l->state = ADMISSION_NORMAL;
    l->above_since = l->late_since = -1;
}
