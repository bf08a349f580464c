/*
 * worker_log.h: what a worker process says beside its frames: on standard output and standard
 * error, and as lines of its steps. Each line becomes one of the server's log, but no more than
 * some in a second; the last ones are kept, for who asks what a worker said before it died.
 */
#pragma once

#include "base/bytes.h"
#include "base/log.h"
#include "world/world.h"

#define WORDS_LINE_MAX 500 /* of a line of output; what is longer becomes several */
#define WORDS_KEPT_MAX 240

struct worker_log {
    struct world *world;
    const char *pool;
    int pid;
    int64_t second;   /* when the second began in which lines are counted */
    unsigned lines;   /* in it */
    unsigned dropped; /* in it */
    size_t kept_len;
    char kept[WORDS_KEPT_MAX + 1]; /* ends with a zero byte */
};

/* The beginning of a line whose end has not come yet. */
struct worker_log_part {
    size_t len;
    char line[WORDS_LINE_MAX];
};

void worker_log_init(struct worker_log *w, struct world *world, const char *pool);
/* Output, in whatever pieces. */
void worker_log_hear(struct worker_log *w, struct worker_log_part *part, struct span piece);
/* No more comes: what is unfinished is a line. */
void worker_log_end(struct worker_log *w, struct worker_log_part *part);
/* A line of a step. */
void worker_log_line(struct worker_log *w, enum log_level level, struct span line);
/* "; it last said: ...", or "". Until the next words. */
const char *worker_log_before(const struct worker_log *w);
