/*
 * trace.h: the event log of a universe.
 *
 * Each event is a fixed record of numbers. It is folded into a hash, kept among the last few
 * thousand, and made into text only when someone reads along or a failure is reported; so it may
 * stand in the busiest places.
 */
#pragma once

#include <stdint.h>

struct sim;
struct sim_host;

/* The first column of the text, and what the numbers of a record mean: see trace.c. */
enum trace_kind {
    TRACE_NOTE,
    TRACE_HOST,
    TRACE_CRASH,
    TRACE_RESTART,
    TRACE_PAUSE,
    TRACE_RESUME,
    TRACE_SLOW,
    TRACE_WALL_JUMP,
    TRACE_LINK,
    TRACE_CUT,
    TRACE_HEAL,
    TRACE_DISK,
    TRACE_START,
    TRACE_THREAD,
    TRACE_END,
    TRACE_SIGNAL,
    TRACE_POST,
    TRACE_DELIVER,
    TRACE_BURN,
    TRACE_BURNT,
    TRACE_LISTEN,
    TRACE_UNLISTEN,
    TRACE_CONNECT,
    TRACE_CONNECTED,
    TRACE_INCOMING,
    TRACE_ACCEPT,
    TRACE_WRITE,
    TRACE_ARRIVE,
    TRACE_READ,
    TRACE_SHUTDOWN,
    TRACE_CLOSE,
    TRACE_LOST,
    TRACE_RESET,
    TRACE_BROKEN,
    TRACE_RESOLVE,
    TRACE_OPEN,
    TRACE_FILE_READ,
    TRACE_FILE_WRITE,
    TRACE_FILE_TRUNCATE,
    TRACE_FILE_SYNC,
    TRACE_RENAME,
    TRACE_UNLINK,
    TRACE_SYNC_DIRECTORY,
    TRACE_SETTLE,
    TRACE_READY_FD,
    TRACE_TASKS,
    TRACE_TASK_FAILED,
    TRACE_KINDS
};

struct trace_record {
    int64_t when;
    uint32_t kind;
    uint32_t host; /* index + 1; 0: none */
    uint64_t a;
    uint64_t b;
    int64_t outcome;
    const char *note; /* TRACE_NOTE's text */
};

#define TRACE_RING 4096 /* a power of two */

struct trace {
    uint64_t hash;
    uint64_t count;
    struct trace_record *ring;
};

int trace_init(struct trace *t);
void trace_release(struct trace *t);

/* Writes it down. `host` may be NULL. */
void trace(struct sim *sim, enum trace_kind kind, const struct sim_host *host, uint64_t a,
    uint64_t b, int64_t outcome);
void trace_note(struct sim *sim, const char *text, int64_t value);
/* The last `count` events, oldest first, through sim_say. */
void trace_report(struct sim *sim, uint64_t count);
/* A line that world `name` on `host` logged, among the events. */
void trace_log_line(
    struct sim *sim, const struct sim_host *host, const char *name, const char *line, int len);
