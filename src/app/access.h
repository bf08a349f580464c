/*
 * access.h: the access log: one line a request, written by a thread of its own. The line of a
 * request that was refused or failed ends with the full reason; the client may have got less.
 *
 * Each I/O thread buffers lines. The writer thread writes them within some 25 ms, ordered by time;
 * only this thread waits for a slow terminal or pipe. If it falls behind, lines are dropped, and
 * the next line has their number: requests never wait for the log. Lines of other levels are
 * written immediately, after the buffered ones.
 *
 *     2026-11-21T03:41:02.123456Z access 200 GET /hello/{name} "GET /hello/bob" 0.131 ms 23 bytes
 *         127.0.0.1:51532 f3f53adb02d4e3eb                                        (on one line)
 *     {"time":"2026-11-21T03:41:02.123456Z","level":"access","status":200,"route":"GET /hello/...
 */
#pragma once

#include "http/server.h"

struct access_writer;
struct access_log;

/* ---- The writer: one a process ---- */

/* Starts the writer's thread. Lines go to the log's sink; the writer is the log's front until it
 * stops. */
int access_writer_start(struct access_writer **out, struct world *w, struct log *log)
    __attribute__((warn_unused_result));
/* After the last request. Writes what is buffered. Ignores NULL. */
void access_writer_stop(struct access_writer *writer);

/* ---- A log: one an I/O thread, for its coroutines ---- */

/* Before its thread runs. */
int access_log_new(struct access_log **out, struct access_writer *writer)
    __attribute__((warn_unused_result));
/* On its thread, before the first request. */
void access_log_open(struct access_log *log, struct world *w);
void access_log_request(struct access_log *log, const struct http_request *r, int64_t now);
/* Drops its lines, unless the writer has stopped before. Ignores NULL. */
void access_log_free(struct access_log *log);
