/*
 * log.h: what Weir tells those who run it, one line an event.
 *
 * The log formats and filters; where lines go and what time it is are given to it by whoever opens
 * it, so that a simulated host has a log in simulated time. The sink is given one whole line,
 * newline included, and must take lines from any thread. A line longer than LOG_LINE_MAX is cut and
 * ends in "...".
 *
 *     2026-11-21T03:41:02.123456Z warn  loop 0: turn of 73 ms in coroutine 'accept'
 *     {"time":"2026-11-21T03:41:02.123456Z","level":"warn","message":"loop 0: turn of 73 ms"}
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_LINE_MAX 4096

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Level and form may change while other threads log. */
struct log {
    _Atomic(enum log_level) level;
    atomic_bool json; /* each line a JSON object: for machines */
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

#define log_at(log, level, ...)                 \
    do {                                        \
        if (log_wants(log, level))              \
            log_write(log, level, __VA_ARGS__); \
    } while (0)
#define log_error(log, ...) log_at(log, LOG_ERROR, __VA_ARGS__)
#define log_warn(log, ...)  log_at(log, LOG_WARN, __VA_ARGS__)
#define log_info(log, ...)  log_at(log, LOG_INFO, __VA_ARGS__)
#define log_debug(log, ...) log_at(log, LOG_DEBUG, __VA_ARGS__)
