/*
 * calendar.h: a moment in time as people write it: the Gregorian calendar in UTC.
 *
 * Written out because gmtime_r takes a lock and asks the environment.
 */
#pragma once

#include <stdint.h>

struct calendar {
    int64_t year;
    unsigned month; /* 1 to 12 */
    unsigned day;   /* 1 to 31 */
    unsigned hour, minute, second, microsecond;
    unsigned weekday; /* 0: Sunday */
};

/* Of nanoseconds since 1970, as from world_wall. */
struct calendar calendar_of(int64_t wall_ns);

/* "2026-11-21T03:41:02.123456Z" for years 0 to 9999, as logs have it; returns the length. */
#define CALENDAR_TEXT_MAX 64
int calendar_print(const struct calendar *c, char text[CALENDAR_TEXT_MAX]);

/* "Sat, 21 Nov 2026 03:41:02 GMT", as HTTP has it (RFC 9110, 5.6.7); always 29 bytes and a zero. */
#define CALENDAR_HTTP_LEN 29
void calendar_print_http(const struct calendar *c, char text[CALENDAR_HTTP_LEN + 1]);
