/*
 * uv_world.h: the real world: one libuv loop, the coroutines it drives, and a mailbox.
 *
 *     struct log log;
 *     stderr_log_init(&log, LOG_INFO);
 *     struct world *w;
 *     int rc = uv_world_open(&w, &(struct uv_world_options){.log = &log});
 *     if (rc == 0) {
 *         rc = uv_world_run(w, "main", serve, &server);
 *         uv_world_close(w);
 *     }
 *
 * A thread that does I/O has a world of its own; worlds share nothing but libuv's small pool of
 * threads for files and names, and talk by world_post. A world is opened anywhere, run by one
 * thread at a time, and closed when nobody runs it.
 *
 * Time: world_now is CLOCK_MONOTONIC to the nanosecond. Sleeps and deadlines end at the first
 * millisecond tick of libuv's clock after their moment: never early, and on an idle loop up to
 * about 2 ms late.
 */
#pragma once

#include "base/log.h"
#include "world/world.h"

struct uv_world_options {
    /* What its log lines call this loop; NULL: "loop". Must live as long as the world. */
    const char *name;
    /* Of each coroutine, and of idle stacks kept warm, in bytes; 0: coro.h's defaults. */
    size_t stack_size;
    size_t stacks_idle_max;
    /* Must live as long as the world, and its sink take lines from any thread; NULL: silent. */
    struct log *log;
    /* A tick of the loop that takes longer is reported with the stack that it is in; 0:
     * WATCHDOG_DEFAULT_NS; negative: nobody watches. */
    int64_t watchdog_ns;
    /* The directory of a control group below which it may make groups to limit its children's
     * memory; must live as long as the world. NULL: below this process's own group, where that is
     * this process's to divide (cgroup.c). */
    const char *cgroup;
};

#define WATCHDOG_DEFAULT_NS (50 * NS_PER_MS)

int uv_world_open(struct world **out, const struct uv_world_options *options)
    __attribute__((warn_unused_result));

/* Runs the loop on the calling thread, outside any coroutine, until the coroutine that runs `fn`
 * has ended and what it closed is gone. Returns fn's result, or -ENOMEM or -EAGAIN if it could not
 * start. May be called again after. */
int uv_world_run(struct world *w, const char *name, coro_fn *fn, void *arg)
    __attribute__((warn_unused_result));

/* Everything that the world handed out must have been closed, every coroutine have ended, and no
 * other thread post any more; messages that are still in the mailbox are delivered first. Waits for
 * calls on threads that were abandoned (files, names), since those cannot be called back. */
void uv_world_close(struct world *w);

/* ---- Listening sockets that come from elsewhere, or go there ---- */

/* Accepts from a socket that is bound and listening already: handed over by a supervisor, or a
 * dup(2) of another loop's. It is made non-blocking, and on success it is the listener's. -EINVAL
 * if it does not listen. */
int uv_world_adopt_listener(struct world *w, int fd, struct listener **out)
    __attribute__((warn_unused_result));
/* The descriptor, which stays the listener's. */
int uv_world_listener_fd(const struct listener *l);

/* ---- Streams and children that come from elsewhere ---- */

/* A stream on a connected socket or a pipe's end. It is made non-blocking, and on success it is the
 * stream's. -EINVAL if it is neither. */
int uv_world_adopt_stream(struct world *w, int fd, struct stream **out)
    __attribute__((warn_unused_result));
/* The descriptor, which stays the stream's. */
int uv_world_stream_fd(const struct stream *s);

/* A child that this process has without having spawned it: one that its own image had before an
 * exec. Everything can be asked of it that can be asked of others. -ESRCH or -ECHILD if there is no
 * such child. */
int uv_world_adopt_child(struct world *w, int pid, struct child **out)
    __attribute__((warn_unused_result));

/* ---- The init that started us ---- */

/* One datagram to NOTIFY_SOCKET's path ('@': abstract): "READY=1" and the like. Does not wait. 0 or
 * a negative errno. */
int uv_notify(const char *socket_path, const char *text);

/* ---- A log to standard error ---- */

/* Lines go to standard error, each by one write(2), with the wall clock's time; any thread. */
void stderr_log_init(struct log *log, enum log_level level);
