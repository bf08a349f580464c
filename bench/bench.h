/*
 * bench.h: how every benchmark here measures and speaks: a clock, a series of samples, and one line
 * a figure with median, minimum and maximum, so that noise is seen and not hidden.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BENCH_SAMPLES_MAX 64

struct bench_series {
    double samples[BENCH_SAMPLES_MAX];
    int count;
};

static inline int64_t bench_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static inline void bench_add(struct bench_series *s, double sample)
{
    if (s->count < BENCH_SAMPLES_MAX)
        s->samples[s->count++] = sample;
}

static inline int bench_compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts the samples on the way. */
static inline double bench_median(struct bench_series *s)
{
    if (s->count == 0)
        return 0;
    qsort(s->samples, (size_t)s->count, sizeof *s->samples, bench_compare);
    int middle = s->count / 2;
    return s->count % 2 ? s->samples[middle] : (s->samples[middle - 1] + s->samples[middle]) / 2;
}

/* "name   median unit   (min .. max, n runs)"; returns the median. */
static inline double bench_line(const char *name, struct bench_series *s, const char *unit)
{
    double median = bench_median(s);
    if (s->count > 0)
        printf("  %-44s %12.2f %-12s (%.2f .. %.2f, %d runs)\n", name, median, unit, s->samples[0],
            s->samples[s->count - 1], s->count);
    fflush(stdout);
    return median;
}

/* The verdict line. Nothing fails by it: a benchmark measures, people judge. */
static inline void bench_must_hold(const char *what, bool holds)
{
    printf("  must hold: %s: %s\n", what, holds ? "holds" : "DOES NOT HOLD");
    fflush(stdout);
}
