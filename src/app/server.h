/*
 * server.h: the server process, which handles requests on sockets that its supervisor holds.
 *
 * The supervisor starts it with the listeners inherited (world_inherited_listener) and a control
 * stream as standard input (world_inherited_stream(w, 0)): lines of text each way, and the
 * configuration.
 *
 *     supervisor to server:
 *       config LENGTH       then LENGTH bytes, written by conf_write
 *       listener ADDR N     for each address: the next N inherited descriptors
 *       admin 0|1           1: the next inherited descriptor is the admin listener
 *       go
 *     server to supervisor:
 *       ready               it accepts, and the pools have started: the old server may drain
 *       failed SENTENCE     it will exit with status 1
 *     supervisor to server, any time after:
 *       drain               a new server is ready: idle connections get some time; exits with 0
 *       stop                the same, but idle connections are closed at once
 *       (end of stream)     the supervisor has died: as `stop`
 *
 * It runs one I/O thread a core (config.threads), each with a world, an HTTP server, a client and
 * a flow context of its own; the first also serves the admin listener. Besides, the pools run their
 * workers (pool/pool.h).
 */
#pragma once

#include "base/log.h"
#include "world/world.h"

struct weir_plugin;

struct server_options {
    struct stream *control; /* the caller closes it */
    struct log *log;        /* NULL: the world's */
    /* Starts a worker process; NULL: pools that need some fail. */
    const char *const *worker_argv;
    /* Steps of the server itself: see step_set_new. */
    const struct weir_plugin *overrides;
    bool unsafe; /* allows steps that do harm on purpose */
    /* Called before any plugin is loaded, if steps run in this process: how many threads of its own
     * a step may use, for libraries that read the environment. NULL: not called. */
    void (*step_threads)(void *ctx, unsigned threads);
    void *ctx;
};

/* Runs the server, as a coroutine of the process's first world. Returns the exit status: 0 after a
 * drain, 1 if it could not start (reported to the supervisor and the log); or a negative errno. */
int server_run(struct world *w, const struct server_options *options)
    __attribute__((warn_unused_result));
