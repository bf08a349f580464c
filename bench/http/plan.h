/*
 * plan.h: an open load's times, read from a file, and what became of each request, written to
 * another: what a distribution of arrivals and a queue that is computed beside need.
 *
 * A line of the first is when a request is due, in ns after the start; none is before the one
 * above it. A line of the second is, of the same request: due, sent and answered (ns after the
 * start; sent and answered -1 if it never was), status, and queue, cpu and wait of the answer's
 * Server-Timing field in ms (0 where it has none).
 */
#pragma once

#include "client.h"

struct plan {
    size_t count;
    int64_t *due_ns;
    struct plan_record *records;
};

/* Ends the program if it cannot. */
struct plan plan_read(const char *path);
void plan_write(const struct plan *p, const char *path);
void plan_release(struct plan *p);

/* The nth was sent that much after it was due, and answered. */
void plan_sent(struct plan *p, uint64_t nth, int64_t after_ns);
void plan_answered(struct plan *p, uint64_t nth, int64_t after_ns, const struct answer *a);
