/*
 * histogram_test.c: which bucket, which quantile, and that histograms add up.
 */
#include "../check.h"

#include "base/rand.h"
#include "meter/histogram.h"

#include <stdlib.h>
#include <string.h>

#define US INT64_C(1000)
#define MS (1000 * US)
#define S  (1000 * MS)

static unsigned bucket_of(int64_t span_ns)
{
    static struct histogram h;
    memset(&h, 0, sizeof h);
    histogram_record(&h, span_ns);
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        if (h.buckets[i])
            return i;
    fail_msg("%ld ns were recorded nowhere", (long)span_ns);
    return 0;
}

static void buckets_follow_each_other(void **state)
{
    assert_int_equal(histogram_bucket_above_ns(0), 0);
    assert_int_equal(histogram_bucket_until_ns(0), US);
    assert_int_equal(histogram_bucket_above_ns(HISTOGRAM_BUCKETS - 1), 1000 * S);
    assert_int_equal(histogram_bucket_until_ns(HISTOGRAM_BUCKETS - 1), INT64_MAX);
    for (unsigned i = 1; i < HISTOGRAM_BUCKETS; i++) {
        int64_t above = histogram_bucket_above_ns(i);
        int64_t until = histogram_bucket_until_ns(i);
        assert_int_equal(above, histogram_bucket_until_ns(i - 1));
        assert_true(until > above);
        if (i < HISTOGRAM_BUCKETS - 1)
            assert_true(until - above <= above / 8);
    }
}

/* At every bound, and beside it. */
static void bounds_belong_to_the_bucket_below(void **state)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
        int64_t until = histogram_bucket_until_ns(i);
        assert_int_equal(bucket_of(until), i);
        assert_int_equal(bucket_of(until + 1), i + 1);
        assert_int_equal(bucket_of(histogram_bucket_above_ns(i) + 1), i);
    }
    assert_int_equal(bucket_of(0), 0);
    assert_int_equal(bucket_of(-5), 0);
    assert_int_equal(bucket_of(INT64_MIN), 0);
    assert_int_equal(bucket_of(INT64_MAX), HISTOGRAM_BUCKETS - 1);
}

static void any_span_is_in_its_bucket(void **state)
{
    struct rand r;
    rand_init(&r, 7);
    for (int i = 0; i < 20000; i++) {
        int64_t span = (int64_t)(rand_u64(&r) >> (rand_below(&r, 40) + 16));
        unsigned bucket = bucket_of(span);
        assert_true(span > histogram_bucket_above_ns(bucket) || bucket == 0);
        assert_true(span <= histogram_bucket_until_ns(bucket));
    }
}

static void round_figures_are_bounds(void **state)
{
    for (int64_t decade = US; decade <= 100 * S; decade *= 10) {
        static const int tenths[] = {10, 25, 50, 100};
        for (size_t i = 0; i < 4; i++) {
            int64_t bound = decade / 10 * tenths[i];
            assert_int_equal(histogram_bucket_until_ns(bucket_of(bound)), bound);
        }
    }
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void quantiles_are_within_six_percent(void **state)
{
    enum { COUNT = 5000 };
    static struct histogram h;
    static int64_t spans[COUNT];
    static const double quantiles[] = {0, 0.01, 0.5, 0.9, 0.99, 0.999, 1};
    struct rand r;
    rand_init(&r, 3);
    for (int64_t mean = 20 * US; mean < 20 * S; mean *= 3) {
        memset(&h, 0, sizeof h);
        for (int i = 0; i < COUNT; i++) {
            spans[i] = US + rand_exponential(&r, mean);
            histogram_record(&h, spans[i]);
        }
        qsort(spans, COUNT, sizeof *spans, compare);
        for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++) {
            double rank = quantiles[i] * COUNT;
            int at = (int)rank < rank ? (int)rank : (int)rank - 1;
            double exact = (double)spans[at < 0 ? 0 : at];
            double told = (double)histogram_quantile(&h, quantiles[i]);
            assert_true(told >= exact * 0.94 && told <= exact * 1.06);
        }
    }
}

static void ends_have_quantiles_too(void **state)
{
    static struct histogram h;
    assert_int_equal(histogram_quantile(&h, 0.5), 0);
    histogram_record(&h, 10);
    assert_int_equal(histogram_quantile(&h, 0.5), US);
    histogram_record(&h, 5000 * S);
    assert_int_equal(histogram_quantile(&h, 0.5), US);
    assert_int_equal(histogram_quantile(&h, 1), 1000 * S);
}

static void histograms_add_up(void **state)
{
    static struct histogram a, b, both, sum;
    struct rand r;
    rand_init(&r, 5);
    for (int i = 0; i < 1000; i++) {
        int64_t span = rand_exponential(&r, 30 * MS);
        histogram_record(i % 3 ? &a : &b, span);
        histogram_record(&both, span);
    }
    histogram_merge(&sum, &a);
    histogram_merge(&sum, &b);
    assert_memory_equal(&sum, &both, sizeof sum);
    assert_int_equal(histogram_count(&sum), 1000);
    assert_int_equal(histogram_sum_ns(&sum), histogram_sum_ns(&a) + histogram_sum_ns(&b));
}

TEST_FILE(histogram)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_follow_each_other),
        cmocka_unit_test(bounds_belong_to_the_bucket_below),
        cmocka_unit_test(any_span_is_in_its_bucket),
        cmocka_unit_test(round_figures_are_bounds),
        cmocka_unit_test(quantiles_are_within_six_percent),
        cmocka_unit_test(ends_have_quantiles_too),
        cmocka_unit_test(histograms_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
