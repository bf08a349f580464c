/*
 * supervisor.h: the process that holds the sockets, and keeps a server process running.
 *
 * The supervisor binds the listeners and starts the server process (server.h) with them. It does
 * little else, so that it does not crash. If the server dies, new connections wait in the kernel's
 * queues while the next one starts. A reload and an upgrade work alike: a new server starts on the
 * same sockets, and the old one drains once the new one is ready. doc/internals/app.md has the
 * picture.
 *
 * It runs in any world. What only a real process can do (replace its program, notify the init) is
 * passed as functions; NULL where it is impossible.
 */
#pragma once

#include "app/loaded_config.h"
#include "app/server_process.h"
#include "app/sockets.h"

/* The statuses of every verb of the program. */
enum exit_status {
    EXIT_STATUS_OK = 0,
    EXIT_STATUS_REFUSED = 1,    /* the configuration or the request is bad */
    EXIT_STATUS_USAGE = 2,      /* the command line is wrong */
    EXIT_STATUS_ENVIRONMENT = 3 /* the system refused: an address in use, no memory, ... */
};

/* At once: one serves, one starts, the others drain. A reload that would make one more waits. */
#define SUPERVISOR_SERVERS_MAX 6

/* What the supervisor passes to the program that replaces it: sockets and servers. */
struct upgrade_server {
    struct child *child;
    struct stream *control;
    int pid;
    int64_t drain_ns;
    bool serves; /* otherwise it drains */
};

struct upgrade_state {
    struct sockets *sockets;
    unsigned server_count;
    struct upgrade_server servers[SUPERVISOR_SERVERS_MAX];
};

struct supervisor_options {
    struct loaded_config_source source;
    /* Also holds the sockets that were inherited. The caller releases it. */
    struct sockets *sockets;
    /* Servers of the program that this one replaced, to be adopted; or NULL. */
    const struct upgrade_state *inherited;

    const char *const *server_argv; /* starts a server */
    const char *const *server_env;  /* added to its environment; or NULL */
    const char *const *check_argv;  /* exits with 0 if the new program accepts the configuration */

    const char *pid_file; /* or NULL */
    int pid;
    int64_t watchdog_ns; /* the longest interval of WATCHDOG=1 to `notify`; 0: never */

    /* Notifies the init of a state, as of sd_notify(3). */
    void (*notify)(void *ctx, const char *state);
    /* Called when a configuration comes into use. */
    void (*configured)(void *ctx, const struct config *config);
    /* Called after signals have been caught (true), and before they no longer are (false). */
    void (*catching)(void *ctx, bool on);
    /* Replaces the program by its newer version, which inherits the state: does not return, except
     * with a negative errno and nothing changed. */
    int (*exec)(void *ctx, const struct upgrade_state *upgrade_state);
    void *ctx;
};

/* Runs until a signal ends it; returns the exit status. A coroutine of `w`. */
int supervisor_run(struct world *w, const struct supervisor_options *options)
    __attribute__((warn_unused_result));
