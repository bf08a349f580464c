/*
 * stderr_log.c: a log's lines to standard error.
 *
 * One write(2) a line keeps the lines of several threads and processes apart. What cannot be
 * written is lost: there is nowhere to say so.
 */
#include "world/uv/uv_world.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

static void write_line(void *ctx, const char *line, size_t len)
{
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
