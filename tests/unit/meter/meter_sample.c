/*
 * meter_sample.c: prints a meter's text with a family of each kind, for test_text.py to read.
 */
#include "meter/histogram.h"
#include "meter/meter.h"

#include "base/bug.h"

#include <stdio.h>

static double half(void *arg)
{
    return 0.5;
}

int main(void)
{
    static const struct meter_label odd[] = {
        {"path", SPAN("/a\"b\\c\nd")}, {"wrong", SPAN("\xff")}, {"empty", SPAN("")}};
    struct meter *m;
    struct meter_family *f;
    struct meter_series *s;
    struct bytes out;
    check(meter_new(&m, 2) == 0, "no meter");
    check(meter_family(m, METER_COUNTER, "weir_requests_total", "With \\ and\nlines.", &f) == 0 &&
              meter_series(f, odd, 3, &s) == 0,
        "no counter");
    counter_add(meter_counter(s, 0), UINT64_C(9007199254740992));
    check(meter_family(m, METER_GAUGE, "weir_open", "", &f) == 0 &&
              meter_series(f, NULL, 0, &s) == 0 && meter_series_read(f, odd, 1, half, NULL) == 0,
        "no gauge");
    gauge_set(meter_gauge(s, 1), -3);
    check(meter_family(m, METER_HISTOGRAM, "weir_took_seconds", "Took.", &f) == 0 &&
              meter_series(f, odd, 1, &s) == 0,
        "no histogram");
    for (int64_t span = 1; span < INT64_C(1000000000000000); span *= 10)
        histogram_record(meter_histogram(s, span % 2), span);
    bytes_init(&out, 1024 * 1024);
    check(meter_write(m, &out) == 0, "not written");
    fwrite(out.ptr, 1, out.len, stdout);
    bytes_release(&out);
    meter_free(m);
    return 0;
}
