/*
 * server_process.h: one server process, as the supervisor that started it sees it.
 *
 * The other side of server.h's control stream. A coroutine of the supervisor's group sends the
 * configuration, reads the server's lines, and waits for its end. It sets members of the struct and
 * calls `wake` at each change; all decisions are the supervisor's.
 */
#pragma once

#include "app/loaded_config.h"
#include "coro/group.h"

enum server_state {
    SERVER_STARTING, /* started, and not ready */
    SERVER_SERVING,
    SERVER_ENDING /* commanded to drain or to stop */
};

#define SERVER_LINE_MAX 1024

struct server_process {
    struct list link; /* in the supervisor's list */
    struct world *world;
    struct child *child;
    struct stream *control;
    struct loaded_config *config; /* NULL: an earlier program image started it */
    int pid;
    void (*wake)(void *ctx);
    void *ctx;

    /* Written by the supervisor. */
    enum server_state state;
    int64_t began;
    int64_t until; /* killed if this state has not ended by then */
    int64_t drain_ns;
    bool killed;

    /* Written by the coroutine. */
    bool ready;
    bool ended;
    struct child_exit exit;
    char failure[SERVER_LINE_MAX]; /* the sentence of `failed`; "": none */
    size_t line_len;
    char line[SERVER_LINE_MAX];
};

struct server_start {
    const char *const *argv;
    const char *const *env_add;
    void (*wake)(void *ctx);
    void *ctx;
};

/* Spawns a server, which becomes a user of the configuration until it is freed, and sends it its
 * start (server.h). Does not wait for it to be ready. 0 or a negative errno. */
int server_process_start(struct server_process **out, struct world *w, struct group *group,
    struct loaded_config *config, const struct server_start *start)
    __attribute__((warn_unused_result));
/* Adopts a server that an earlier program image started, and that serves or drains; child and
 * stream belong to it on success. */
int server_process_adopt(struct server_process **out, struct world *w, struct group *group,
    struct child *child, struct stream *control, const struct server_start *start)
    __attribute__((warn_unused_result));
/* After its coroutine has ended. A process that still runs is killed. */
void server_process_free(struct server_process *p);

/* Sends a line. Gives up soon if the server does not read. */
void server_process_tell(struct server_process *p, const char *line);
void server_process_kill(struct server_process *p);

/* Writes why a server ended before it was ready: its own sentence, if it reported one. */
void server_process_why_not_ready(const struct server_process *p, char *text, size_t size);
/* "was killed by SIGKILL", "ended with status 1", for people. */
const char *server_process_end(const struct server_process *p, char text[64]);
