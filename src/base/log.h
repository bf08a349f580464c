/*
 * log.h: what Weir tells those who run it, one line an event.
 *
 * The log formats and filters; where lines go and what time it is are given to it by whoever opens
 * it, so that a simulated host has a log in simulated time. The sink is given one whole line,
 * newline included, and must take lines from any thread. A line longer than LOG_LINE_MAX is cut and
 * ends in "...".
 *
 *     2026-11-21T03:41:02.123456Z warn  pool 'cpu': worker 17 was killed
 *     {"time":"2026-11-21T03:41:02.123456Z","level":"warn","pool":"cpu","pid":17,"message":"...
 *
 * What a line is about is in its sentence, for people, and in fields, for programs: members of the
 * JSON object. doc/guide/logs.md lists them.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_LINE_MAX 4096

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Who holds lines back for a while: those of others are handed to it, to be written after them. */
struct log_front {
    void (*write)(struct log_front *front, const char *line, size_t len);
};

/* Level, form and front may change while other threads log. */
struct log {
    _Atomic(enum log_level) level;
    atomic_bool json;                  /* each line a JSON object: for machines */
    _Atomic(struct log_front *) front; /* NULL: lines go to the sink */
    atomic_uint in_front;              /* threads that are about to call it, or do */
    void (*sink)(void *ctx, const char *line, size_t len);
    int64_t (*wall_ns)(void *ctx); /* nanoseconds since 1970, UTC */
    void *ctx;
};

static inline bool log_wants(const struct log *log, enum log_level level)
{
    return log && level <= atomic_load_explicit(&log->level, memory_order_relaxed);
}

/* Use the macros: they skip the formatting when nobody listens. A NULL log is silent. */
void log_write(const struct log *log, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* What a line is about. */
struct log_field {
    const char *key;  /* of an array, the one after the last has NULL */
    const char *text; /* NULL: the number. An empty one is left out */
    int64_t number;
};
#define LOG_TEXT(name, value)          \
    {                                  \
        .key = (name), .text = (value) \
    }
#define LOG_NUMBER(name, value)          \
    {                                    \
        .key = (name), .number = (value) \
    }
#define LOG_FIELDS(...) ((const struct log_field[]){__VA_ARGS__, {.key = NULL}})

void log_write_with(const struct log *log, enum log_level level, const struct log_field *fields,
    const char *format, ...) __attribute__((format(printf, 4, 5)));

/* log_with(log, LOG_WARN, LOG_FIELDS(LOG_TEXT("pool", name), LOG_NUMBER("pid", pid)), "...") */
#define log_with(log, level, fields, ...)                    \
    do {                                                     \
        if (log_wants(log, level))                           \
            log_write_with(log, level, fields, __VA_ARGS__); \
    } while (0)
#define log_at(log, level, ...)                 \
    do {                                        \
        if (log_wants(log, level))              \
            log_write(log, level, __VA_ARGS__); \
    } while (0)
#define log_error(log, ...) log_at(log, LOG_ERROR, __VA_ARGS__)
#define log_warn(log, ...)  log_at(log, LOG_WARN, __VA_ARGS__)
#define log_info(log, ...)  log_at(log, LOG_INFO, __VA_ARGS__)
#define log_debug(log, ...) log_at(log, LOG_DEBUG, __VA_ARGS__)
