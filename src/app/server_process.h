/*
 * server_process.h: one server process, as the supervisor that started it sees it.
 *
 * The other side of server.h's control stream. A coroutine of the supervisor's group tells the
 * server its beginning, listens to what it says, and waits for its end; what it learns stands in
 * the struct, and `wake` is called at each change. Everything else is the supervisor's to decide.
 */
#pragma once

#include "app/loaded_config.h"
#include "coro/group.h"

enum server_state {
    SERVER_STARTING, /* has been told its beginning, and is not ready */
    SERVER_SERVING,
    SERVER_ENDING /* has been told to drain or to stop */
};

#define SERVER_LINE_MAX 1024

struct server_process {
    struct list link; /* in the supervisor's list */
    struct world *world;
    struct child *child;
    struct stream *control;
    struct loaded_config
        *config; /* what it runs by; NULL: it was started by another process image */
    int pid;
    void (*wake)(void *ctx);
    void *ctx;

    /* The supervisor's. */
    enum server_state state;
    int64_t began;
    int64_t until; /* when this state must have ended: else it is killed */
    int64_t drain_ns;
    bool killed;

    /* What it did. */
    bool ready;
    bool ended;
    struct child_exit exit;
    char failure[SERVER_LINE_MAX]; /* the sentence of `failed`, or "" */
    size_t line_len;
    char line[SERVER_LINE_MAX];
};

struct server_start {
    const char *const *argv;
    const char *const *env_add;
    void (*wake)(void *ctx);
    void *ctx;
};

/* Spawns one by this config, of which it is a user until it is freed, and tells it what is in
 * server.h. Does not wait for it to be ready. 0 or a negative errno. */
int server_process_start(struct server_process **out, struct world *w, struct group *group,
    struct loaded_config *config, const struct server_start *start)
    __attribute__((warn_unused_result));
/* One that another process image started, and that serves or drains already; child and stream are
 * its own on success. */
int server_process_adopt(struct server_process **out, struct world *w, struct group *group,
    struct child *child, struct stream *control, const struct server_start *start)
    __attribute__((warn_unused_result));
/* After its coroutine has ended. A process that still runs is killed. */
void server_process_free(struct server_process *p);

/* Sends a line, without waiting for a server that does not read. */
void server_process_tell(struct server_process *p, const char *line);
void server_process_kill(struct server_process *p);

/* Why one that has ended was never ready: what it said itself, if it did. */
void server_process_why_not_ready(const struct server_process *p, char *text, size_t size);
/* "was killed by SIGKILL", "ended with status 1", for people. */
const char *server_process_end(const struct server_process *p, char text[64]);
