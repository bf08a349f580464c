/*
 * histogram.h: histograms of times with fixed buckets, so that they add up over threads, servers
 * and time.
 *
 * Buckets are log-linear in decimal: 32 in each decade from 1 us to 1,000 s, none wider than an
 * eighth of its lower bound, so that a quantile is within 6 % of the truth. A bucket holds what is
 * above its lower bound and at most its upper one. Each decade has bounds at 1, 2.5 and 5: those
 * from 10 us to 100 s are exported (Prometheus' "le"), and are therefore exact.
 *
 * One thread records; any may read, and may miss what is recorded meanwhile. 2.3 KiB each.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#define HISTOGRAM_DECADES 9
#define HISTOGRAM_STEPS   32 /* in a decade */
/* And one for at most 1 us, one for more than 1,000 s. */
#define HISTOGRAM_BUCKETS (HISTOGRAM_DECADES * HISTOGRAM_STEPS + 2)

/* All zero is an empty one. */
struct histogram {
    _Atomic uint64_t buckets[HISTOGRAM_BUCKETS];
    _Atomic uint64_t sum_ns;
};

/* A negative span counts as none. */
void histogram_record(struct histogram *h, int64_t span_ns);

uint64_t histogram_count(const struct histogram *h);
uint64_t histogram_sum_ns(const struct histogram *h);
/* A span that `quantile` (0 to 1) of those recorded do not exceed: within 6 %, at least 1 us, at
 * most 1,000 s; 0 if there are none. */
int64_t histogram_quantile(const struct histogram *h, double quantile);
/* Adds what `from` holds. `into` is the caller's own. */
void histogram_merge(struct histogram *into, const struct histogram *from);

/* The bounds of a bucket; the last one's upper bound is INT64_MAX. */
int64_t histogram_bucket_above_ns(unsigned bucket);
int64_t histogram_bucket_until_ns(unsigned bucket);
