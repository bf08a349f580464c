/*
 * server.h: the server process: what answers requests, under a supervisor that holds its sockets.
 *
 * The supervisor starts it with the listeners inherited (world_inherited_listener) and a control
 * stream as standard input (world_inherited_stream(w, 0)): a line of text each way, and the
 * configuration in between.
 *
 *     supervisor to server:
 *       config LENGTH       then LENGTH bytes: what conf_write gave
 *       listener ADDR N     for each address: N of the inherited descriptors, in a row
 *       admin 0|1           whether the next inherited descriptor is the admin's listener
 *       go
 *     server to supervisor:
 *       ready               it accepts, and each pool's workers had their start; the old one may go
 *       failed SENTENCE     and it ends, with status 1
 *     supervisor to server, any time after:
 *       drain               a new server is there: idle connections get time; it ends with 0
 *       stop                the same in more of a hurry: idle connections are closed at once
 *       (end of stream)     the supervisor is gone: as `stop`
 *
 * It runs one I/O thread a core (config.threads), each with a world, an http server, a client and
 * flows' context of its own; the first also serves the admin listener. Beside them run the pools:
 * a desk a thread (pool/pool.h), and what their workers are.
 */
#pragma once

#include "base/log.h"
#include "world/world.h"

struct weir_plugin;

struct server_options {
    struct stream *control; /* the caller's to close */
    struct log *log;        /* NULL: the world's */
    /* The program that becomes a worker process; NULL: pools that have some cannot be. */
    const char *const *worker_argv;
    /* Of steps that run in the server itself: see step_set_new. */
    const struct weir_plugin *overrides;
    bool unsafe; /* steps that are meant to do harm may be used */
    /* Called before any plugin is loaded, if steps run in this process: how many threads of its own
     * a step may use, for libraries that ask the environment. NULL: nobody is told. */
    void (*step_threads)(void *ctx, unsigned threads);
    void *ctx;
};

/* Runs it all, as a coroutine of the process's first world. The process's exit status: 0 after a
 * drain, 1 if it could not start (it has told the supervisor and the log why), or a negative
 * errno. */
int server_run(struct world *w, const struct server_options *options)
    __attribute__((warn_unused_result));
