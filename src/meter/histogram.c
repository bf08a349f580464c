/*
 * histogram.c: see histogram.h.
 *
 * A decade from 10^k has steps of a tenth up to 2, of a quarter up to 5, of a half up to 10. With
 * twentieths as the common measure, a span's bucket is found without a search: the decade from the
 * position of its highest bit, the twentieths by a multiplication, the step from them.
 */
#include "meter/histogram.h"

#include "base/bug.h"

#include <stddef.h>

#define FIRST_NS 1000
#define LAST     (HISTOGRAM_BUCKETS - 1)

static const int64_t powers[HISTOGRAM_DECADES + 1] = {1000, 10000, 100000, 1000000, 10000000,
    100000000, 1000000000, 10000000000, 100000000000, 1000000000000};

static inline int smaller(int a, int b)
{
    return a < b ? a : b;
}

/* Of a decade, in its twentieths. Steps grow, so each of the three straight lines is the lowest
 * where it counts; and no branch here can be predicted wrongly. */
static inline unsigned step_of(int twentieths)
{
    int tenths = (twentieths - 20) / 2;
    int quarters = 10 + (twentieths - 40) / 5;
    int halves = 22 + (twentieths - 100) / 10;
    return (unsigned)smaller(tenths, smaller(quarters, halves));
}

static inline unsigned twentieths_of(unsigned step)
{
    if (step < 10)
        return 20 + step * 2;
    if (step < 22)
        return 40 + (step - 10) * 5;
    return 100 + (step - 22) * 10;
}

static inline unsigned bucket_of(int64_t span_ns)
{
    static const double per_twentieth[HISTOGRAM_DECADES] = {
        1 / 5e1, 1 / 5e2, 1 / 5e3, 1 / 5e4, 1 / 5e5, 1 / 5e6, 1 / 5e7, 1 / 5e8, 1 / 5e9};
    /* Buckets have their upper bound and not their lower one: what is less by one has the lower. */
    int64_t below = span_ns - 1;
    if (below < FIRST_NS)
        return 0;
    if (below >= powers[HISTOGRAM_DECADES])
        return LAST;
    /* The decade's number: 1233 / 4096 is the decimal logarithm of 2, rounded up. */
    unsigned bits = 64 - (unsigned)__builtin_clzll((uint64_t)below);
    unsigned decade = (bits * 1233 >> 12) - 3;
    decade -= below < powers[decade];
    /* The half keeps the quotient so far from whole numbers that rounding cannot pass one. */
    int twentieths = (int)(((double)below + 0.5) * per_twentieth[decade]);
    return 1 + decade * HISTOGRAM_STEPS + step_of(twentieths);
}

static inline void add(_Atomic uint64_t *cell, uint64_t by)
{
    uint64_t before = atomic_load_explicit(cell, memory_order_relaxed);
    atomic_store_explicit(cell, before + by, memory_order_relaxed);
}

static inline uint64_t get(const _Atomic uint64_t *cell)
{
    return atomic_load_explicit(cell, memory_order_relaxed);
}

void histogram_record(struct histogram *h, int64_t span_ns)
{
    if (span_ns < 0)
        span_ns = 0;
    add(&h->buckets[bucket_of(span_ns)], 1);
    add(&h->sum_ns, (uint64_t)span_ns);
}

uint64_t histogram_count(const struct histogram *h)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        count += get(&h->buckets[i]);
    return count;
}

uint64_t histogram_sum_ns(const struct histogram *h)
{
    return get(&h->sum_ns);
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        add(&into->buckets[i], get(&from->buckets[i]));
    add(&into->sum_ns, get(&from->sum_ns));
}

/* ---- Bounds ---- */

int64_t histogram_bucket_above_ns(unsigned bucket)
{
    check(bucket < HISTOGRAM_BUCKETS, "a histogram has no bucket %u", bucket);
    if (bucket == 0)
        return 0;
    unsigned decade = (bucket - 1) / HISTOGRAM_STEPS;
    if (bucket == LAST)
        return powers[HISTOGRAM_DECADES];
    return powers[decade] / 20 * twentieths_of((bucket - 1) % HISTOGRAM_STEPS);
}

int64_t histogram_bucket_until_ns(unsigned bucket)
{
    return bucket == LAST ? INT64_MAX : histogram_bucket_above_ns(bucket + 1);
}

/* What stands for all in the bucket: the value whose relative error to both bounds is the same. */
static int64_t middle_ns(unsigned bucket)
{
    if (bucket == 0)
        return FIRST_NS;
    if (bucket == LAST)
        return powers[HISTOGRAM_DECADES];
    double above = (double)histogram_bucket_above_ns(bucket);
    double until = (double)histogram_bucket_until_ns(bucket);
    return (int64_t)(2 * above * until / (above + until));
}

int64_t histogram_quantile(const struct histogram *h, double quantile)
{
    check(quantile >= 0 && quantile <= 1, "a quantile is from 0 to 1, not %g", quantile);
    uint64_t count = histogram_count(h);
    double wanted = quantile * (double)count;
    uint64_t seen = 0;
    unsigned last = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t here = get(&h->buckets[i]);
        if (here == 0)
            continue;
        last = i;
        seen += here;
        if ((double)seen >= wanted)
            break;
    }
    return count ? middle_ns(last) : 0;
}
