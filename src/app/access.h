/*
 * access.h: the access log: one line a request, written where it stops nobody. A request that was
 * refused or failed has the whole reason at its end, of which the client may know less.
 *
 * Each I/O thread gathers lines in a buffer of its own. One writer thread writes them some 25 ms
 * after the first, by time, and alone may be held up by a slow terminal or pipe. If it falls
 * behind, lines are dropped and counted, and the next line says how many: requests never wait for
 * the log. Lines of other levels are written at once, and what was gathered before them.
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

/* Starts its thread. Lines go to the log's sink; it is the log's front until it stops. */
int access_writer_start(struct access_writer **out, struct world *w, struct log *log)
    __attribute__((warn_unused_result));
/* After the last request: what was gathered is written first. NULL is nobody to stop. */
void access_writer_stop(struct access_writer *writer);

/* ---- A log: one an I/O thread, whose coroutines call ---- */

/* Before its thread runs. */
int access_log_new(struct access_log **out, struct access_writer *writer)
    __attribute__((warn_unused_result));
/* On its thread, before the first request. */
void access_log_open(struct access_log *log, struct world *w);
void access_log_request(struct access_log *log, const struct http_request *r, int64_t now);
/* With its lines, unless the writer has stopped before. NULL is nothing to free. */
void access_log_free(struct access_log *log);
