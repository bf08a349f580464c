/*
 * supervisor.h: the process that holds the sockets, and keeps a server behind them.
 *
 * The supervisor binds the listeners, starts the server process (server.h) with them, and does
 * nothing that could make it fall. If the server dies, the kernel's queues hold the callers while a
 * new one starts. Reload and binary upgrade are the same move: a new server on the same sockets,
 * and the old one drained once the new one is ready. doc/internals/app.md has the picture.
 *
 * It runs in any world. What only a real process can do (to replace its own program, to talk to the
 * init) comes in as functions; NULL where it cannot be done.
 */
#pragma once

#include "app/loaded_config.h"
#include "app/server_process.h"
#include "app/sockets.h"

/* The statuses of every verb of the program. */
enum exit_status {
    EXIT_STATUS_OK = 0,
    EXIT_STATUS_REFUSED = 1,    /* the configuration is bad, or the work was refused */
    EXIT_STATUS_USAGE = 2,      /* the command line is wrong */
    EXIT_STATUS_ENVIRONMENT = 3 /* the machine says no: an address in use, no memory, ... */
};

/* Servers at once: one that serves, one that starts, and others that drain. A reload that would
 * make one more waits. */
#define SUPERVISOR_SERVERS_MAX 6

/* What one process image leaves to the next: the table of sockets, and the servers. */
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
    /* The table of sockets, with those in it that came from elsewhere: the caller's to release. */
    struct sockets *sockets;
    /* Servers of an earlier process image, which become the supervisor's; or NULL. */
    const struct upgrade_state *inherited;

    const char *const *server_argv; /* what a server is started with */
    const char *const *server_env;  /* added to its environment; or NULL */
    const char *const *check_argv;  /* a program that says with status 0 that an upgrade is sane */

    const char *pid_file; /* or NULL */
    int pid;
    int64_t watchdog_ns; /* how often `notify` must say WATCHDOG=1 at least; 0: never */

    /* Tells the init its state, as sd_notify(3) has it. */
    void (*notify)(void *ctx, const char *state);
    /* This configuration is the one in use from now on, until the next. */
    void (*configured)(void *ctx, const struct config *config);
    /* Signals are caught from now on, or in a moment no more. */
    void (*catching)(void *ctx, bool on);
    /* Replaces the program by its newer self, which inherits everything: does not return, or a
     * negative errno and nothing has happened. */
    int (*exec)(void *ctx, const struct upgrade_state *upgrade_state);
    void *ctx;
};

/* Runs as a coroutine until a signal ends it. The exit status. */
int supervisor_run(struct world *w, const struct supervisor_options *options)
    __attribute__((warn_unused_result));
