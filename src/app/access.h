/*
 * access.h: the access log: one line a request, written where it stops nobody. A request that was
 * refused or failed has the whole reason at its end, of which the client may know less.
 *
 * Each I/O thread gathers lines in a buffer of its own and hands it, a few times a second or when
 * it is full, to one writer thread, which alone may be held up by a slow terminal or pipe. If
 * that falls behind, lines are dropped and counted, and the next line says how many: requests
 * never wait for the log.
 *
 *     2026-11-21T03:41:02.123456Z access 200 GET /hello/{name} "/hello/bob" 0.131 ms 23 bytes
 *         127.0.0.1:51532 f3f53adb02d4e3eb                                        (on one line)
 *     {"time":"2026-11-21T03:41:02.123456Z","level":"access","status":200,"route":"GET /hello/...
 */
#pragma once

#include "http/server.h"

struct access_writer;
struct access_log;

/* ---- The writer: one a process ---- */

/* Starts its thread. Lines go to the log's sink. */
int access_writer_start(struct access_writer **out, struct world *w, struct log *log)
    __attribute__((warn_unused_result));
/* After all logs have been closed: what they handed over is written first. NULL is nobody to
 * stop. */
void access_writer_stop(struct access_writer *writer);

/* ---- A log: one an I/O thread, whose coroutines call ---- */

/* Before its thread runs. */
int access_log_new(struct access_log **out, struct access_writer *writer)
    __attribute__((warn_unused_result));
/* On its thread, before the first request. */
void access_log_open(struct access_log *log, struct world *w);
/* Hands over now and then, as a coroutine of its thread, until it is cancelled. */
int access_log_run(struct access_log *log) __attribute__((warn_unused_result));
void access_log_request(struct access_log *log, const struct http_request *r, int64_t now);
/* Hands over what is left: on its thread, before that ends. NULL is nothing to close. */
void access_log_close(struct access_log *log);
/* After the writer has stopped. NULL is nothing to free. */
void access_log_free(struct access_log *log);
