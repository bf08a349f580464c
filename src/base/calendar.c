/*
 * calendar.c: see calendar.h.
 */
#include "base/calendar.h"

#include "base/time.h"

#include <stdio.h>

#define SECONDS_A_DAY 86400

/* Division that rounds down, so that moments before 1970 come out right too. */
static int64_t floored(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Years are counted from March, so that the leap day is a year's last; 400 of them are an era of
 * 146,097 days. */
static void set_date(struct calendar *c, int64_t days_since_1970)
{
    int64_t day = days_since_1970 + 719468; /* since 0000-03-01 */
    int64_t era = floored(day, 146097);
    unsigned day_of_era = (unsigned)(day - era * 146097);
    unsigned year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month_from_march = (5 * day_of_year + 2) / 153;
    c->day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    c->month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    c->year = year_of_era + era * 400 + (c->month <= 2);
}

struct calendar calendar_of(int64_t wall_ns)
{
    int64_t us = floored(wall_ns, NS_PER_US);
    int64_t second = floored(us, 1000000);
    int64_t day = floored(second, SECONDS_A_DAY);
    unsigned of_day = (unsigned)(second - day * SECONDS_A_DAY);
    struct calendar c = {
        .hour = of_day / 3600,
        .minute = of_day / 60 % 60,
        .second = of_day % 60,
        .microsecond = (unsigned)(us - second * 1000000),
        .weekday = (unsigned)(day + 4 - floored(day + 4, 7) * 7), /* 1970 began on a Thursday */
    };
    set_date(&c, day);
    return c;
}

int calendar_print(const struct calendar *c, char text[CALENDAR_TEXT_MAX])
{
    return snprintf(text, CALENDAR_TEXT_MAX, "%04lld-%02u-%02uT%02u:%02u:%02u.%06uZ",
        (long long)c->year, c->month, c->day, c->hour, c->minute, c->second, c->microsecond);
}

void calendar_print_http(const struct calendar *c, char text[CALENDAR_HTTP_LEN + 1])
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    snprintf(text, CALENDAR_HTTP_LEN + 1, "%s, %02u %s %04u %02u:%02u:%02u GMT",
        days[c->weekday % 7], c->day % 100, months[(c->month - 1) % 12],
        (unsigned)(c->year % 10000), c->hour % 100, c->minute % 100, c->second % 100);
}
