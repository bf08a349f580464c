/*
 * stderr_log.c: a log's lines to standard error.
 *
 * One write(2) a line keeps the lines of several threads and processes apart. What cannot be
 * written is lost: there is nowhere to say so. A line has a moment's patience with a pipe that is
 * full, no more: its writer may have requests to answer. What is longer, as the access log's
 * batches are, comes from a thread that may wait.
 */
#include "world/uv/uv_world.h"

#include <errno.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 20 /* less than what the watchdog calls a slow tick */

/* An interrupted wait counts as one to the end. */
static bool has_room(void)
{
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    return poll(&out, 1, PATIENCE_MS) == 1;
}

static void write_line(void *ctx, const char *line, size_t len)
{
    if (len <= LOG_LINE_MAX && !has_room())
        return;
    while (len > 0) {
        ssize_t wrote = write(STDERR_FILENO, line, len);
        if (wrote < 0 && errno != EINTR)
            return;
        if (wrote > 0) {
            line += wrote;
            len -= (size_t)wrote;
        }
    }
}

static int64_t wall_ns(void *ctx)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

void stderr_log_init(struct log *log, enum log_level level)
{
    *log = (struct log){.level = level, .sink = write_line, .wall_ns = wall_ns};
}
