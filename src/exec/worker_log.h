/*
 * worker_log.h: a worker process's output: standard output, standard error, and log lines of its
 * steps. Each line goes to the server's log, at a bounded rate; the last ones are kept, for the
 * sentence that says how the worker died.
 */
#pragma once

#include "base/bytes.h"
#include "base/log.h"
#include "world/world.h"

#define WORKER_LOG_LINE_MAX 500 /* of a line of output; what is longer becomes several */
#define WORKER_LOG_KEPT_MAX 240

struct worker_log {
    struct world *world;
    const char *pool;
    int pid;
    int64_t second;   /* start of the second in which lines are counted */
    unsigned lines;   /* in it */
    unsigned dropped; /* in it */
    size_t kept_len;
    char kept[WORKER_LOG_KEPT_MAX + 1]; /* ends with a zero byte */
};

/* The beginning of a line whose end has not come yet. */
struct worker_log_part {
    size_t len;
    char line[WORKER_LOG_LINE_MAX];
};

void worker_log_init(struct worker_log *w, struct world *world, const char *pool);
/* Adds a piece of output. */
void worker_log_read(struct worker_log *w, struct worker_log_part *part, struct span piece);
/* End of output: an unfinished line counts as one. */
void worker_log_end(struct worker_log *w, struct worker_log_part *part);
/* A line of a step. */
void worker_log_line(struct worker_log *w, enum log_level level, struct span line);
/* "; it last said: ...", or "". Valid until the next line. */
const char *worker_log_last(const struct worker_log *w);
