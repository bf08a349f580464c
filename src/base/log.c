/*
 * log.c: one event, one line, whatever the message holds.
 *
 * Messages carry what strangers sent: names, paths, addresses. Newlines and control characters are
 * written as \n or \xNN, so that nobody can forge a line or talk to the terminal of who reads it;
 * what is not UTF-8 is written as \xNN, too.
 */
#include "base/log.h"

#include "base/time.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ELLIPSIS     "..."
#define ELLIPSIS_LEN (sizeof(ELLIPSIS) - 1)
/* What a message may fill: room is kept for the newline. */
#define TEXT_MAX     (LOG_LINE_MAX - 1)

struct line {
    size_t len;
    size_t cut_at; /* where the ellipsis goes if it gets too long: after a whole character */
    bool full;
    char text[LOG_LINE_MAX];
};

/* ---- The moment ---- */

struct date {
    int64_t year;
    unsigned month;
    unsigned day;
};

/* Days since 1970-01-01 to a date of the Gregorian calendar. Years are counted from March, so that
 * the leap day is a year's last; 400 of them are an era of 146,097 days. Written out because
 * gmtime_r takes a lock and asks the environment. */
static struct date date_of_day(int64_t day)
{
    day += 719468; /* from 0000-03-01 to 1970-01-01 */
    int64_t era = (day >= 0 ? day : day - 146096) / 146097;
    unsigned day_of_era = (unsigned)(day - era * 146097);
    unsigned year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month_from_march = (5 * day_of_year + 2) / 153;
    struct date d = {.year = year_of_era + era * 400};
    d.day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    d.month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    d.year += d.month <= 2;
    return d;
}

static void begin_line(struct line *l, int64_t wall_ns, enum log_level level)
{
    static const char *const names[] = {
        [LOG_ERROR] = "error", [LOG_WARN] = "warn ", [LOG_INFO] = "info ", [LOG_DEBUG] = "debug"};
    int64_t us = wall_ns / NS_PER_US - (wall_ns % NS_PER_US < 0);
    int64_t second = us / 1000000 - (us % 1000000 < 0);
    int64_t day = second / 86400 - (second % 86400 < 0);
    int micro = (int)(us - second * 1000000);
    int of_day = (int)(second - day * 86400);
    struct date d = date_of_day(day);
    int n = snprintf(l->text, sizeof(l->text), "%04lld-%02u-%02uT%02d:%02d:%02d.%06dZ %s ",
        (long long)d.year, d.month, d.day, of_day / 3600, of_day / 60 % 60, of_day % 60, micro,
        names[level]);
    l->len = l->cut_at = (size_t)n;
    l->full = false;
}

/* ---- The message ---- */

/* Appends one character or escape, or notes that the line is full. */
static void add_piece(struct line *l, const char *piece, size_t len)
{
    if (l->full || len > TEXT_MAX - l->len) {
        l->full = true;
        return;
    }
    memcpy(l->text + l->len, piece, len);
    l->len += len;
    if (l->len <= TEXT_MAX - ELLIPSIS_LEN)
        l->cut_at = l->len;
}

static void add_escape(struct line *l, unsigned char byte)
{
    char escape[5];
    if (byte == '\n' || byte == '\r' || byte == '\t')
        snprintf(escape, sizeof(escape), "\\%c", byte == '\n' ? 'n' : byte == '\r' ? 'r' : 't');
    else
        snprintf(escape, sizeof(escape), "\\x%02x", byte);
    add_piece(l, escape, strlen(escape));
}

/* C0, DEL, and the C1 controls U+0080 to U+009F, which some terminals obey. */
static bool is_control(const char *text, size_t len)
{
    unsigned char first = (unsigned char)text[0];
    if (len == 1)
        return first < 0x20 || first == 0x7f;
    return len == 2 && first == 0xc2 && (unsigned char)text[1] < 0xa0;
}

static void add_message(struct line *l, const char *text, size_t len)
{
    for (size_t at = 0; at < len && !l->full;) {
        size_t n = utf8_length(text + at, len - at);
        if (n > 0 && !is_control(text + at, n)) {
            add_piece(l, text + at, n);
            at += n;
            continue;
        }
        for (size_t end = at + (n ? n : 1); at < end; at++)
            add_escape(l, (unsigned char)text[at]);
    }
}

static void end_line(struct line *l)
{
    if (l->full) {
        memcpy(l->text + l->cut_at, ELLIPSIS, ELLIPSIS_LEN);
        l->len = l->cut_at + ELLIPSIS_LEN;
    }
    l->text[l->len++] = '\n';
}

void log_write(const struct log *log, enum log_level level, const char *format, ...)
{
    if (!log_wants(log, level))
        return;
    /* Longer than a line can hold, so that what was cut here is cut there, too. */
    char message[LOG_LINE_MAX];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof(message) ? (size_t)n : sizeof(message) - 1;

    struct line l;
    begin_line(&l, log->wall_ns(log->ctx), level);
    add_message(&l, message, len);
    end_line(&l);
    log->sink(log->ctx, l.text, l.len);
}
