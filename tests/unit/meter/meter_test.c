/*
 * meter_test.c: cells, sums over threads, and the text.
 */
#include "../check.h"

#include "meter/histogram.h"
#include "meter/meter.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEXT_MAX (1024 * 1024)

static struct meter *open_meter(unsigned threads)
{
    struct meter *m;
    assert_int_equal(meter_new(&m, threads), 0);
    return m;
}

static struct meter_family *family(struct meter *m, enum meter_kind kind, const char *name)
{
    struct meter_family *f;
    assert_int_equal(meter_family(m, kind, name, "Help.", &f), 0);
    return f;
}

static struct meter_series *series(struct meter_family *f, const char *name, const char *value)
{
    struct meter_series *s;
    struct meter_label label = {name, span_of(value ? value : "")};
    assert_int_equal(meter_series(f, &label, value ? 1 : 0, &s), 0);
    return s;
}

/* The whole text; freed with the next call. */
static const char *text_of(struct meter *m)
{
    static struct bytes out;
    bytes_release(&out);
    if (!m)
        return NULL;
    bytes_init(&out, TEXT_MAX);
    assert_int_equal(meter_write(m, &out), 0);
    assert_int_equal(bytes_append_byte(&out, '\0'), 0);
    return out.ptr;
}

static void close_meter(struct meter *m)
{
    text_of(NULL);
    meter_free(m);
}

/* ---- The text ---- */

static void an_empty_meter_writes_nothing(void **state)
{
    struct meter *m = open_meter(1);
    assert_string_equal(text_of(m), "");
    close_meter(m);
    meter_free(NULL);
}

static void threads_are_summed(void **state)
{
    struct meter *m = open_meter(3);
    struct meter_series *requests =
        series(family(m, METER_COUNTER, "weir_requests_total"), NULL, NULL);
    struct meter_series *open = series(family(m, METER_GAUGE, "weir_open"), "what", "streams");
    meter_seal(m);
    for (unsigned i = 0; i < 3; i++) {
        counter_add(meter_counter(requests, i), i + 1);
        counter_add(meter_counter(requests, i), 10);
        gauge_set(meter_gauge(open, i), 100);
        gauge_add(meter_gauge(open, i), -101 - (int64_t)i);
    }
    assert_int_equal(counter_get(meter_counter(requests, 2)), 13);
    assert_int_equal(gauge_get(meter_gauge(open, 0)), -1);
    assert_string_equal(text_of(m), "# HELP weir_requests_total Help.\n"
                                    "# TYPE weir_requests_total counter\n"
                                    "weir_requests_total 36\n"
                                    "# HELP weir_open Help.\n"
                                    "# TYPE weir_open gauge\n"
                                    "weir_open{what=\"streams\"} -6\n");
    close_meter(m);
}

static void order_is_that_of_registration(void **state)
{
    struct meter *m = open_meter(1);
    struct meter_family *z = family(m, METER_COUNTER, "z");
    struct meter_family *a = family(m, METER_COUNTER, "a");
    series(z, "l", "2");
    series(a, "l", "x");
    series(z, "l", "1");
    assert_string_equal(text_of(m), "# HELP z Help.\n# TYPE z counter\nz{l=\"2\"} 0\nz{l=\"1\"} 0\n"
                                    "# HELP a Help.\n# TYPE a counter\na{l=\"x\"} 0\n");
    close_meter(m);
}

static void what_is_there_is_found_again(void **state)
{
    struct meter *m = open_meter(1);
    struct meter_family *f = family(m, METER_COUNTER, "a");
    struct meter_series *s = series(f, "l", "x");
    assert_ptr_equal(family(m, METER_COUNTER, "a"), f);
    assert_ptr_equal(series(f, "l", "x"), s);
    assert_ptr_not_equal(series(f, "l", "y"), s);
    close_meter(m);
}

static void texts_are_escaped(void **state)
{
    struct meter *m = open_meter(1);
    struct meter_family *f;
    struct meter_series *s;
    struct meter_label labels[] = {
        {"quoted", SPAN("a\"b\\c\nd")}, {"wrong", SPAN("\xc3\xa4\xff")}, {"empty", {NULL, 0}}};
    assert_int_equal(meter_family(m, METER_COUNTER, "a", "b\\c\n\"d\"", &f), 0);
    assert_int_equal(meter_series(f, labels, 3, &s), 0);
    assert_string_equal(text_of(m),
        "# HELP a b\\\\c\\n\"d\"\n# TYPE a counter\n"
        "a{quoted=\"a\\\"b\\\\c\\nd\",wrong=\"\xc3\xa4\xef\xbf\xbd\",empty=\"\"} 0\n");
    close_meter(m);
}

static double read_number(void *arg)
{
    return *(double *)arg;
}

static void values_are_asked_for(void **state)
{
    struct meter *m = open_meter(2);
    double numbers[] = {0.1, 1763708400.25, 3, NAN, -INFINITY, 1e300};
    struct meter_family *f = family(m, METER_GAUGE, "now");
    for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char value[2] = {(char)('0' + i), '\0'};
        struct meter_label label = {"n", span_of(value)};
        assert_int_equal(meter_series_read(f, &label, 1, read_number, &numbers[i]), 0);
    }
    assert_string_equal(text_of(m), "# HELP now Help.\n# TYPE now gauge\n"
                                    "now{n=\"0\"} 0.1\nnow{n=\"1\"} 1763708400.25\n"
                                    "now{n=\"2\"} 3\nnow{n=\"3\"} NaN\nnow{n=\"4\"} -Inf\n"
                                    "now{n=\"5\"} 1e+300\n");
    numbers[2] = 4;
    assert_non_null(strstr(text_of(m), "now{n=\"2\"} 4\n"));
    close_meter(m);
}

struct defined {
    struct meter_series *calls;
    double open;
};

static double read_open(const void *object, size_t at)
{
    const void *member = (const char *)object + at;
    return *(const double *)member;
}

static void tables_define_metrics(void **state)
{
    static const struct meter_def table[] = {
        {METER_COUNTER, "calls", "Help.", {"kind", {"a", 1}}, offsetof(struct defined, calls)},
        {METER_GAUGE, "open", "Help.", .at = offsetof(struct defined, open), .read = read_open},
        {METER_GAUGE, "none", "Help.", .at = 0},
    };
    struct meter *m = open_meter(2);
    struct defined object = {.open = 2};
    struct meter_label route = {"route", SPAN("x")};
    assert_int_equal(meter_define(m, table, 3, NULL, 0, NULL), 0);
    assert_int_equal(meter_define(m, table, 2, &route, 1, &object), 0);
    counter_add(meter_counter(object.calls, 1), 5);
    object.open = 3;
    assert_string_equal(text_of(m),
        "# HELP calls Help.\n# TYPE calls counter\ncalls{route=\"x\",kind=\"a\"} 5\n"
        "# HELP open Help.\n# TYPE open gauge\nopen{route=\"x\"} 3\n"
        "# HELP none Help.\n# TYPE none gauge\n");
    close_meter(m);
}

static void histograms_are_cumulative(void **state)
{
    struct meter *m = open_meter(2);
    struct meter_series *s = series(family(m, METER_HISTOGRAM, "took_seconds"), "r", "x");
    struct meter_series *bare = series(family(m, METER_HISTOGRAM, "bare_seconds"), NULL, NULL);
    histogram_record(meter_histogram(s, 0), 1000000);                /* exactly 0.001 */
    histogram_record(meter_histogram(s, 1), 1000001);                /* just above */
    histogram_record(meter_histogram(s, 1), 500);                    /* below all */
    histogram_record(meter_histogram(s, 0), INT64_C(2000000000000)); /* above all */
    const char *text = text_of(m);
    assert_non_null(strstr(text, "# TYPE took_seconds histogram\n"
                                 "took_seconds_bucket{r=\"x\",le=\"0.00001\"} 1\n"));
    assert_non_null(strstr(text, "\ntook_seconds_bucket{r=\"x\",le=\"0.0005\"} 1\n"
                                 "took_seconds_bucket{r=\"x\",le=\"0.001\"} 2\n"
                                 "took_seconds_bucket{r=\"x\",le=\"0.0025\"} 3\n"));
    assert_non_null(strstr(text, "\ntook_seconds_bucket{r=\"x\",le=\"100\"} 3\n"
                                 "took_seconds_bucket{r=\"x\",le=\"+Inf\"} 4\n"
                                 "took_seconds_sum{r=\"x\"} 2000.002000501\n"
                                 "took_seconds_count{r=\"x\"} 4\n"));
    histogram_record(meter_histogram(bare, 0), 1);
    text = text_of(m);
    assert_non_null(strstr(text, "\nbare_seconds_bucket{le=\"0.00001\"} 1\n"));
    assert_non_null(strstr(text, "\nbare_seconds_sum 0.000000001\nbare_seconds_count 1\n"));
    close_meter(m);
}

static void a_full_buffer_is_as_it_was(void **state)
{
    struct meter *m = open_meter(1);
    struct bytes out;
    series(family(m, METER_HISTOGRAM, "h"), NULL, NULL);
    size_t whole = strlen(text_of(m));
    for (size_t max = 1; max < whole; max++) {
        bytes_init(&out, max);
        assert_int_equal(bytes_append_byte(&out, 'x'), 0);
        assert_int_equal(meter_write(m, &out), -ENOBUFS);
        assert_int_equal(out.len, 1);
        bytes_release(&out);
    }
    close_meter(m);
}

/* ---- Misuse ---- */

static struct meter *misused;

static void late_family(void)
{
    struct meter_family *f;
    meter_seal(misused);
    (void)!meter_family(misused, METER_GAUGE, "late", "", &f);
}

static void two_kinds(void)
{
    struct meter_family *f;
    (void)!meter_family(misused, METER_GAUGE, "a", "", &f);
    (void)!meter_family(misused, METER_COUNTER, "a", "", &f);
}

static void bad_name(void)
{
    struct meter_family *f;
    (void)!meter_family(misused, METER_GAUGE, "a-b", "", &f);
}

static void bad_label(void)
{
    struct meter_family *f;
    struct meter_series *s;
    struct meter_label label = {"le", SPAN("1")};
    if (meter_family(misused, METER_GAUGE, "a", "", &f) == 0)
        (void)!meter_series(f, &label, 1, &s);
}

static void wrong_cell(void)
{
    struct meter_family *f;
    struct meter_series *s;
    if (meter_family(misused, METER_GAUGE, "a", "", &f) == 0 && meter_series(f, NULL, 0, &s) == 0)
        meter_counter(s, 0);
}

static void no_such_thread(void)
{
    struct meter_family *f;
    struct meter_series *s;
    if (meter_family(misused, METER_GAUGE, "a", "", &f) == 0 && meter_series(f, NULL, 0, &s) == 0)
        meter_gauge(s, 1);
}

static void misuse_is_a_bug(void **state)
{
    static void (*const mistakes[])(void) = {
        late_family, two_kinds, bad_name, bad_label, wrong_cell, no_such_thread};
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            die_for_real();
            (void)!freopen("/dev/null", "w", stderr);
            if (meter_new(&misused, 1) == 0)
                mistakes[i]();
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
            fail_msg("mistake %zu was not noticed", i);
    }
}

/* ---- Memory and threads ---- */

static bool register_and_write(void)
{
    struct meter *m;
    struct meter_family *f;
    struct meter_series *s;
    struct bytes out;
    if (meter_new(&m, 3) != 0)
        return false;
    bytes_init(&out, TEXT_MAX);
    int rc = meter_family(m, METER_HISTOGRAM, "a", "help", &f);
    for (char c = 'a'; rc == 0 && c < 'm'; c++) {
        struct meter_label label = {"l", {&c, 1}};
        rc = meter_series(f, &label, 1, &s);
    }
    if (rc == 0)
        rc = meter_write(m, &out);
    assert_true(rc == 0 || rc == -ENOMEM);
    bytes_release(&out);
    meter_free(m);
    return rc == 0;
}

static void memory_may_run_out(void **state)
{
    torture(register_and_write);
}

enum { WRITERS = 2, ROUNDS = 20000 };

struct writer {
    struct counter *counter;
    struct gauge *gauge;
    struct histogram *histogram;
};

static void *write_all(void *arg)
{
    struct writer *w = arg;
    for (int i = 0; i < ROUNDS; i++) {
        counter_add(w->counter, 1);
        gauge_add(w->gauge, i % 2 ? -1 : 1);
        histogram_record(w->histogram, i * 1000);
    }
    return NULL;
}

static void others_may_read_meanwhile(void **state)
{
    struct meter *m = open_meter(WRITERS);
    struct meter_series *counters = series(family(m, METER_COUNTER, "c"), NULL, NULL);
    struct meter_series *gauges = series(family(m, METER_GAUGE, "g"), NULL, NULL);
    struct meter_series *histograms = series(family(m, METER_HISTOGRAM, "h"), NULL, NULL);
    struct writer writers[WRITERS];
    pthread_t threads[WRITERS];
    uint64_t before = 0;
    meter_seal(m);
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){
            meter_counter(counters, i), meter_gauge(gauges, i), meter_histogram(histograms, i)};
        assert_int_equal(pthread_create(&threads[i], NULL, write_all, &writers[i]), 0);
    }
    for (int i = 0; i < 50; i++) {
        unsigned long long seen;
        assert_int_equal(sscanf(strstr(text_of(m), "\nc ") + 3, "%llu", &seen), 1);
        assert_true(seen >= before && seen <= WRITERS * ROUNDS);
        before = seen;
    }
    for (unsigned i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    const char *text = text_of(m);
    assert_non_null(strstr(text, "\nc 40000\n"));
    assert_non_null(strstr(text, "\ng 0\n"));
    assert_non_null(strstr(text, "\nh_count 40000\n"));
    close_meter(m);
}

TEST_FILE(meter)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_meter_writes_nothing),
        cmocka_unit_test(threads_are_summed),
        cmocka_unit_test(order_is_that_of_registration),
        cmocka_unit_test(what_is_there_is_found_again),
        cmocka_unit_test(texts_are_escaped),
        cmocka_unit_test(values_are_asked_for),
        cmocka_unit_test(tables_define_metrics),
        cmocka_unit_test(histograms_are_cumulative),
        cmocka_unit_test(a_full_buffer_is_as_it_was),
        cmocka_unit_test(misuse_is_a_bug),
        cmocka_unit_test(memory_may_run_out),
        cmocka_unit_test(others_may_read_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
