/*
 * log.c: one event, one line, whatever the message holds.
 *
 * Messages carry what strangers sent: names, paths, addresses. Newlines and control characters
 * are written as \n or \xNN (in JSON \u00NN), so that nobody can forge a line or talk to the
 * terminal of who reads it; so is what is not UTF-8.
 */
#include "base/log.h"

#include "base/calendar.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ELLIPSIS     "..."
#define ELLIPSIS_LEN (sizeof(ELLIPSIS) - 1)
/* Of the beginning of a line, fields included: the rest is the message's. */
#define FIELDS_SIZE  (LOG_LINE_MAX / 2)

struct line {
    size_t len;
    size_t max;    /* what may be filled: room is kept for `end` */
    size_t cut_at; /* where the ellipsis goes if it gets too long: after a whole character */
    bool full;
    bool json;
    const char *end;
    char text[LOG_LINE_MAX];
};

/* ---- The beginning ---- */

static void begin_line(struct line *l, int64_t wall_ns, enum log_level level, bool json)
{
    static const char *const names[] = {
        [LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"};
    struct calendar c = calendar_of(wall_ns);
    char moment[CALENDAR_TEXT_MAX];
    calendar_print(&c, moment);
    int n;
    if (json)
        n = snprintf(
            l->text, sizeof(l->text), "{\"time\":\"%s\",\"level\":\"%s\"", moment, names[level]);
    else
        n = snprintf(l->text, sizeof(l->text), "%s %-5s ", moment, names[level]);
    l->len = l->cut_at = (size_t)n;
    l->full = false;
    l->end = json ? "\"}\n" : "\n";
    l->max = sizeof(l->text) - strlen(l->end);
    l->json = json;
}

/* ---- The message ---- */

/* Appends one character or escape, or notes that the line is full. */
static void add_piece(struct line *l, const char *piece, size_t len)
{
    if (l->full || len > l->max - l->len) {
        l->full = true;
        return;
    }
    memcpy(l->text + l->len, piece, len);
    l->len += len;
    if (l->len <= l->max - ELLIPSIS_LEN)
        l->cut_at = l->len;
}

static void add_escape(struct line *l, unsigned char byte)
{
    char escape[8];
    if (byte == '\n' || byte == '\r' || byte == '\t')
        snprintf(escape, sizeof(escape), "\\%c", byte == '\n' ? 'n' : byte == '\r' ? 'r' : 't');
    else
        snprintf(escape, sizeof(escape), "\\%s%02x", l->json ? "u00" : "x", byte);
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
        if (l->json && (text[at] == '"' || text[at] == '\\')) {
            add_piece(l, text[at] == '"' ? "\\\"" : "\\\\", 2);
            at++;
            continue;
        }
        if (n > 0 && !is_control(text + at, n)) {
            add_piece(l, text + at, n);
            at += n;
            continue;
        }
        for (size_t end = at + (n ? n : 1); at < end; at++)
            add_escape(l, (unsigned char)text[at]);
    }
}

/* ---- The fields ---- */

/* As a whole, or not at all: a sentence can be cut, an object cannot. */
static void add_field(struct line *l, const struct log_field *f)
{
    char number[32];
    size_t before = l->len;
    if (f->text && !*f->text)
        return;
    add_piece(l, ",\"", 2);
    add_piece(l, f->key, strlen(f->key));
    if (f->text) {
        add_piece(l, "\":\"", 3);
        add_message(l, f->text, strlen(f->text));
        add_piece(l, "\"", 1);
    } else {
        snprintf(number, sizeof(number), "\":%lld", (long long)f->number);
        add_piece(l, number, strlen(number));
    }
    if (l->full || l->len > FIELDS_SIZE)
        l->len = before;
    l->full = false;
    l->cut_at = l->len;
}

static void add_fields(struct line *l, const struct log_field *fields)
{
    for (; l->json && fields && fields->key; fields++)
        add_field(l, fields);
    if (l->json)
        add_piece(l, ",\"message\":\"", 12);
}

static void end_line(struct line *l)
{
    if (l->full) {
        memcpy(l->text + l->cut_at, ELLIPSIS, ELLIPSIS_LEN);
        l->len = l->cut_at + ELLIPSIS_LEN;
    }
    memcpy(l->text + l->len, l->end, strlen(l->end));
    l->len += strlen(l->end);
}

/* ---- The whole ---- */

/* The count keeps the front from being taken away meanwhile. It is the log's own, which is const
 * for those who only write lines. */
static void write_line(const struct log *log, const struct line *l)
{
    struct log *counted = (struct log *)(uintptr_t)log;
    atomic_fetch_add(&counted->in_front, 1);
    struct log_front *front = atomic_load(&counted->front);
    if (front)
        front->write(front, l->text, l->len);
    atomic_fetch_sub(&counted->in_front, 1);
    if (!front)
        log->sink(log->ctx, l->text, l->len);
}

__attribute__((format(printf, 4, 0))) static void write_message(const struct log *log,
    enum log_level level, const struct log_field *fields, const char *format, va_list args)
{
    /* Longer than a line can hold, so that what was cut here is cut there, too. */
    char message[LOG_LINE_MAX];
    int n = vsnprintf(message, sizeof(message), format, args);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof(message) ? (size_t)n : sizeof(message) - 1;

    struct line l;
    begin_line(&l, log->wall_ns(log->ctx), level, log->json);
    add_fields(&l, fields);
    add_message(&l, message, len);
    end_line(&l);
    write_line(log, &l);
}

void log_write(const struct log *log, enum log_level level, const char *format, ...)
{
    va_list args;
    if (!log_wants(log, level))
        return;
    va_start(args, format);
    write_message(log, level, NULL, format, args);
    va_end(args);
}

void log_write_with(const struct log *log, enum log_level level, const struct log_field *fields,
    const char *format, ...)
{
    va_list args;
    if (!log_wants(log, level))
        return;
    va_start(args, format);
    write_message(log, level, fields, format, args);
    va_end(args);
}
