/*
 * weir_host.h: a whole weir on a simulated host: a supervisor, its configuration file, and the
 * servers that it starts. All of it is the program's own code.
 *
 * What every weir must do whatever happens is checked here: a server that was not killed ends with
 * status 0 and has closed all it opened; its pools' workers do not outlive it.
 */
#pragma once

#include "workers.h"

#include "world/sim/sim.h"

#define WEIR_PORT        80
#define WEIR_SERVERS_MAX 16
#define WEIR_EVENTS_MAX  64

struct weir_host {
    struct sim *sim;
    const char *name;
    struct sim_host *host;
    struct address at;
    struct sim_process *supervisor;
    int status; /* of the supervisor, once it has ended; -1 */
    /* Servers that run: the youngest last. */
    unsigned server_count;
    struct weir_server {
        struct sim_process *process;
        bool killed; /* by the scenario */
    } servers[WEIR_SERVERS_MAX];
    unsigned started; /* servers, ever */
    unsigned readies; /* how often the supervisor has said READY=1 */
    /* Configurations that came into use: those that say `server: v7` have version 7. */
    unsigned configured_count;
    struct weir_configured {
        int64_t at; /* universe time */
        unsigned version;
    } configured[WEIR_EVENTS_MAX];
    const struct weir_plugin *overrides; /* of its servers: see step_set_new; NULL: none */
    struct workers workers;              /* processes of its pools */
    bool killings;                       /* somebody else kills servers, too */
    bool may_not_start;                  /* a server may end with status 1 */
};

/* On a host of that name. `w` must live as long as the universe. Only one called "weir" may have
 * pools of processes. */
void weir_host_init(struct weir_host *w, struct sim *sim, const char *name, const char *config);
/* What the next start or reload reads. */
void weir_host_configure(struct weir_host *w, const char *config);
/* By a director: starts it and waits until it serves. */
int weir_host_start(struct weir_host *w) __attribute__((warn_unused_result));
/* By a director: the same, but it may also end: 1 if it serves, 0 if it has ended. */
int weir_host_try(struct weir_host *w) __attribute__((warn_unused_result));
/* By a director: waits for one more READY=1 than `before`. */
int weir_host_await(struct weir_host *w, unsigned before) __attribute__((warn_unused_result));
/* SIGHUP. */
void weir_host_reload(struct weir_host *w);
/* By a director: SIGTERM, and waits for its end. */
int weir_host_stop(struct weir_host *w) __attribute__((warn_unused_result));
/* Kills the youngest server, if there is one. */
void weir_host_kill(struct weir_host *w);
