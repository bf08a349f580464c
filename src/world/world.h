/*
 * world.h: the platform interface: time, randomness, sockets, names, processes, signals, files, and
 * messages from other threads.
 *
 * A `struct world` is one event loop on one host: a real one (uv/) or a simulated one (sim/). A
 * component gets its world from its maker and uses nothing else from outside, so that the same code
 * runs in both.
 *
 * Rules:
 *  - Calls that wait are made by a coroutine of this world's sched; they end at the coroutine's
 *    deadline with -ETIMEDOUT, at its cancellation with -ECANCELED, and report failures as negative
 *    errno. -ETIMEDOUT is always the coroutine's own deadline, be it in the past: when TCP gives up
 *    on a silent peer, a connect is -EHOSTUNREACH, a read or write -ECONNRESET.
 *  - What a world hands out (stream, listener, file, ...) belongs to who asked for it, is used on
 *    this world's thread, and is closed once. Debug builds check this.
 *  - Only world_post and companion_wake may be called from other threads; a companion itself parks
 *    and works; and world_share_listener lends its listener to one.
 */
#pragma once

#include "base/bytes.h"
#include "coro/coro.h"
#include "world/address.h"
#include "world/work.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct world;
struct log;

/* ---- Time and chance ---- */

/* This host's monotonic clock, in nanoseconds: the clock of deadlines. */
int64_t world_now(struct world *w);
/* Nanoseconds since 1970 in UTC; may jump. For logs and people, never for measuring. */
int64_t world_wall(struct world *w);
/* Waits until the moment `when`: 0, -ETIMEDOUT if the deadline was sooner, -ECANCELED. */
int world_sleep_until(struct world *w, int64_t when) __attribute__((warn_unused_result));
int world_sleep(struct world *w, int64_t span_ns) __attribute__((warn_unused_result));
/* Unpredictable bytes; in a simulation they depend on the seed. */
void world_random(struct world *w, void *buffer, size_t size);

/* The number of loop ticks so far: input from outside arrives only between ticks. */
uint64_t world_tick(const struct world *w);

/* Runs fn(arg) on the thread's own stack, which is deeper than a coroutine's. It must not wait. */
void world_call_deep(struct world *w, void (*fn)(void *arg), void *arg);

struct sched *world_sched(struct world *w);
struct log *world_log(struct world *w);
/* How many of the host's cores this process may use at once, by affinity and cgroup quotas: at
 * least 1. */
unsigned world_cores(struct world *w);

/* ---- Streams: TCP and Unix sockets, pipes ---- */

struct stream;
struct listener;

struct listen_options {
    int backlog;
    bool shared_port; /* SO_REUSEPORT: several listeners, one a thread, on one address */
};
#define WORLD_BACKLOG_DEFAULT 4096

/* Does not wait. -EADDRINUSE, -EACCES, ... NULL `options`: the default backlog, a port of its own.
 * Port 0 takes a free one. */
int world_listen(struct world *w, const struct address *at, const struct listen_options *options,
    struct listener **out) __attribute__((warn_unused_result));
/* Waits for the next connection. One coroutine at a time a listener. */
int listener_accept(struct listener *l, struct stream **out) __attribute__((warn_unused_result));
/* The same without waiting, for who takes several at once: -EAGAIN if nobody is in the queue. */
int listener_try_accept(struct listener *l, struct stream **out)
    __attribute__((warn_unused_result));
void listener_address(const struct listener *l, struct address *out);
/* A coroutine that waits in listener_accept gets -EBADF. Connections in the queue stay there while
 * the socket has other holders: shared listeners, processes that inherited it. */
void listener_close(struct listener *l);
/* A listener of `w` on the same socket as `l`, which another world of this process has: so several
 * threads accept from one queue. Called on the thread of `w`, while the other keeps `l` open. */
int world_share_listener(struct world *w, struct listener *l, struct listener **out)
    __attribute__((warn_unused_result));
/* Takes over the listening socket that this process was given as descriptor 3 + `index`, by
 * spawn_options.listeners or by a socket-activating init. Each can be taken once: -EBADF where
 * there is none any more or never was; -EINVAL for something else than a listening socket. */
int world_inherited_listener(struct world *w, unsigned index, struct listener **out)
    __attribute__((warn_unused_result));

int world_connect(struct world *w, const struct address *to, struct stream **out)
    __attribute__((warn_unused_result));

/* Up to `size` bytes, at least one; 0 at the end of the stream. At most one coroutine reads and one
 * writes at a time. The buffer is touched only while the calling coroutine runs, never while it
 * waits: so any number of coroutines of a world may wait in reads with one buffer, provided each
 * uses up what it got before it waits again. */
ssize_t stream_read(struct stream *s, void *buffer, size_t size)
    __attribute__((warn_unused_result));
/* The same, to the end of a growing buffer, for which at first `first` bytes are taken, and twice
 * as many whenever it is full; also -ENOMEM, or -ENOBUFS when it has reached its maximum. */
ssize_t stream_read_into(struct stream *s, struct bytes *buffer, size_t first)
    __attribute__((warn_unused_result));
/* Writes some of it, at least one byte if there is any in the first 64 parts, waiting until it
 * can. */
ssize_t stream_write_some(struct stream *s, const struct iovec *parts, int count)
    __attribute__((warn_unused_result));
/* Writes all of it: 0, or a negative errno, after which the stream is good for nothing but closing.
 */
int stream_write(struct stream *s, const struct iovec *parts, int count)
    __attribute__((warn_unused_result));
/* Ends writing; the peer reads to the end. */
int stream_shutdown(struct stream *s) __attribute__((warn_unused_result));
void stream_peer(const struct stream *s, struct address *out);
/* From now on, while nobody reads from `s`: its end, once nothing is left to read before it, or its
 * failure cancels the coroutine `c`, once; for work that is pointless when the other side has left.
 * An end behind data that nobody reads is not seen. An end that a read has told already cancels
 * nobody until this is called again. NULL: no more, which must be said before `c` ends. */
void stream_cancel_on_end(struct stream *s, struct coro *c);
/* Whether, as far as this host knows, the other side has sent nothing that was not read, and has
 * neither ended nor failed: a look before a kept connection is used again. Does not wait. */
bool stream_quiet(struct stream *s);
/* Does not wait; what was written is still delivered, as by close(2). Coroutines that wait on it
 * get -EBADF. */
void stream_close(struct stream *s);

/* Two connected streams, of a socket pair. Does not wait. */
int world_stream_pair(struct world *w, struct stream **a, struct stream **b)
    __attribute__((warn_unused_result));
/* Writes `size` bytes, at least one, to `s`, a Unix socket, and with their first the socket of
 * `passed`, for the process at the other end. `passed` is closed here, also after a failure. */
int stream_write_passing(struct stream *s, const void *data, size_t size, struct stream *passed)
    __attribute__((warn_unused_result));

/* ---- Names ---- */

/* Addresses of `host` (a name or a literal), with `port`, in the order to try them. Returns how
 * many were stored, at least one and at most `max`, or a negative errno: -ENOENT if there is no
 * such name, -EAGAIN if nobody could be asked. */
int world_resolve(struct world *w, const char *host, uint16_t port, struct address *out, int max)
    __attribute__((warn_unused_result));

/* ---- Processes and signals ---- */

struct child;

struct spawn_options {
    const char *const *argv; /* ends with NULL; argv[0] is looked up in PATH */
    const char *title;       /* what the child gets as its argv[0]: ps shows it; NULL: the same */
    const char *const *env;  /* ends with NULL; NULL: this process's own */
    const char *const *env_add; /* "NAME=value" beside or instead of those in env; NULL: none */
    const char *directory;      /* NULL: this process's own */
    /* The child gets their sockets as descriptors 3, 4, ... in this order
     * (world_inherited_listener); the listeners stay open here. */
    struct listener *const *listeners;
    unsigned listener_count; /* at most SPAWN_LISTENERS_MAX: -E2BIG */
    /* Standard input, output and error: NULL is /dev/null, for error the parent's own. Otherwise a
     * stream is made and stored: the parent's end of a socket pair. */
    struct stream **standard[3];
    /* If not NULL, made and stored: the parent's end of a socket pair, whose other end is the
     * child's next descriptor after the listeners. */
    struct stream **channel;
    struct shared *shared; /* the child's next descriptor after that; NULL: none */
    /* It leads a process group, which goes with it: child_close and child_signal(SIGKILL) reach
     * all of it. */
    bool leads_group;
};

#define SPAWN_LISTENERS_MAX 64

struct child_exit {
    int status; /* exit status, or 0 */
    int signal; /* the signal that ended it, or 0 */
};

int world_spawn(struct world *w, const struct spawn_options *options, struct child **out)
    __attribute__((warn_unused_result));
int child_pid(const struct child *c);
/* Waits for its end; may be asked again after. */
int child_wait(struct child *c, struct child_exit *out) __attribute__((warn_unused_result));
/* 0, or -ESRCH once it has ended. Never reaches a stranger that was given the same pid. */
int child_signal(struct child *c, int signal);
/* Forgets it. A child that still runs is killed, and reaped by the world. */
void child_close(struct child *c);

/* How it shares the processor and what memory it may have, from now on. */
struct child_limits {
    int nice;        /* 0 to 19: how much it yields to others */
    uint64_t memory; /* bytes; 0: no limit */
};

/* What holds a child within its memory: */
enum child_memory {
    CHILD_MEMORY_FREE,   /* nothing */
    CHILD_MEMORY_CGROUP, /* the kernel, which kills it beyond */
    /* The kernel refuses it addresses beyond what it had at this call and `memory` more: its
     * allocations fail. What it has resident is for its parent to look at (child_resident). */
    CHILD_MEMORY_ADDRESSES
};

/* 0, and in `memory` what holds it; or a negative errno. Does not wait. */
int child_limit(struct child *c, const struct child_limits *limits, enum child_memory *memory)
    __attribute__((warn_unused_result));
/* Bytes it has resident now, or a negative errno. Does not wait. */
int64_t child_resident(struct child *c);
/* Whether, after its end, the kernel says it was killed for its memory (by its cgroup). */
bool child_ran_out_of_memory(const struct child *c);

/* ---- Memory that this process and a child both see ---- */

struct shared;

/* Reserves addresses for `max` bytes, of which none can be touched yet. */
int world_shared(struct world *w, size_t max, struct shared **out)
    __attribute__((warn_unused_result));
char *shared_base(const struct shared *s);
/* From now on the first `size` bytes can be touched, here and there; those not touched yet are
 * zeros. It never shrinks: whoever has it cannot take it from under the others. 0, -ENOMEM,
 * -ENOSPC (beyond `max`). A child may have made it larger: shared_size asks. */
int shared_grow(struct shared *s, size_t size) __attribute__((warn_unused_result));
size_t shared_size(const struct shared *s);
/* Gives the memory from `from` on back to the kernel: its bytes are zeros again. */
void shared_trim(struct shared *s, size_t from);
/* Children that have it keep it. */
void shared_close(struct shared *s);

/* This process's own standard input, output or error (`which`: 0, 1, 2) as a stream, if it is a
 * socket or a pipe: what a parent gave it. The descriptor itself is /dev/null from then on, so
 * that each can be taken once: -EINVAL. */
int world_inherited_stream(struct world *w, int which, struct stream **out)
    __attribute__((warn_unused_result));

struct signals;

/* From now until signals_close, these signals come here and not to their default action. */
int world_signals(struct world *w, const int *numbers, int count, struct signals **out)
    __attribute__((warn_unused_result));
/* Waits for one: its number. The same signal twice before it is asked for may come once. */
int signals_next(struct signals *s) __attribute__((warn_unused_result));
void signals_close(struct signals *s);

/* ---- Files ---- */

struct file;

/* `flags` and `mode` as in open(2); O_CLOEXEC is implied. */
int world_open(struct world *w, const char *path, int flags, unsigned mode, struct file **out)
    __attribute__((warn_unused_result));
/* Up to `size` bytes from `offset`; 0 at the end. */
ssize_t file_read(struct file *f, void *buffer, size_t size, uint64_t offset)
    __attribute__((warn_unused_result));
/* All of it, or a negative errno; how much of it then stands in the file is unknown. */
int file_write(struct file *f, const void *data, size_t size, uint64_t offset)
    __attribute__((warn_unused_result));
/* What was written before is on the disk after 0. (fdatasync, with the size.) */
int file_sync(struct file *f) __attribute__((warn_unused_result));
int64_t file_size(struct file *f);
int file_truncate(struct file *f, uint64_t size) __attribute__((warn_unused_result));
void file_close(struct file *f);

int world_rename(struct world *w, const char *from, const char *to)
    __attribute__((warn_unused_result));
int world_unlink(struct world *w, const char *path) __attribute__((warn_unused_result));
/* Names made, renamed and removed in the directory are on the disk after 0. */
int world_sync_directory(struct world *w, const char *path) __attribute__((warn_unused_result));

/* ---- Threads ---- */

struct thread;

/* Starts another thread of this process with a loop and a world of its own, in which fn(world, arg)
 * runs as the first coroutine. Its world has the options of `w`, and `name` (copied) in its log. It
 * takes no signals: they are for the first thread, and for worlds that ask for them. It must have
 * ended and been closed before `w` is closed. */
int world_thread(struct world *w, const char *name, int (*fn)(struct world *w, void *arg),
    void *arg, struct thread **out) __attribute__((warn_unused_result));
/* For world_post, also when the thread has ended: until thread_close, which delivers what was not
 * delivered yet. Any thread may ask. */
struct world *thread_world(struct thread *t);
/* Waits for its end: 0, and in `result` what fn returned; may be asked again after. */
int thread_wait(struct thread *t, int *result) __attribute__((warn_unused_result));
/* After it has ended; what was opened in its world must have been closed there. */
void thread_close(struct thread *t);

/* ---- Companions: threads that work, where an I/O thread would have others wait ---- */

struct companion;

struct companion_options {
    const char *name; /* of the thread, copied; 15 bytes of it are seen by ps */
    void (*run)(struct companion *self, void *arg);
    void *arg;
    int nice; /* 0 to 19, beyond this thread's own: how much it yields the processor to others */
};

/* Starts a thread that has no loop: it may compute for as long as it likes, and wait by blocking.
 * It takes no signals. It must have ended and been closed before `w` is closed. */
int world_companion(struct world *w, const struct companion_options *options,
    struct companion **out) __attribute__((warn_unused_result));
/* Waits, as a coroutine of `w`, until `run` has returned, and what it posted to `w` has been
 * delivered: 0, -ETIMEDOUT, -ECANCELED. */
int companion_wait(struct companion *c) __attribute__((warn_unused_result));
/* After companion_wait was 0. */
void companion_close(struct companion *c);

/* By the companion itself: blocks until companion_wake, which may have come before: 0; or until
 * the moment `until`: -ETIMEDOUT. (A simulated process that ends: -ECANCELED, and `run` is to
 * return.) */
int companion_park(struct companion *self, int64_t until) __attribute__((warn_unused_result));
struct work *companion_work(struct companion *self);
/* From any thread, until companion_wait was 0: ends its present companion_park, or the next. Costs
 * a system call only if it is parked. */
void companion_wake(struct companion *c);

/* The same for what computes on this world's own thread, where nothing else runs meanwhile. */
struct work *world_work(struct world *w);

/* ---- Messages from other threads ---- */

/* Embedded in what is sent; the world calls `deliver` on its own thread, in the order of posting,
 * outside any coroutine. The message is the receiver's from then on. */
struct message {
    struct message *next;
    void (*deliver)(struct message *m);
};

/* From any thread; never waits, never fails, and rings the loop only if the mailbox was empty. The
 * world must be open until it returns: who closes a world first joins those who post to it. */
void world_post(struct world *w, struct message *m);

/* ---- File descriptors of libraries that speak a protocol of their own ---- */

enum watch_events { WATCH_READ = 1, WATCH_WRITE = 2 };

struct watch;

/* The descriptor stays the library's: it is neither made non-blocking nor closed. */
int world_watch(struct world *w, int fd, struct watch **out) __attribute__((warn_unused_result));
/* Waits until one of `events` (WATCH_READ, WATCH_WRITE, or both) holds: which, or a negative errno.
 * An error on the descriptor counts as both. One coroutine at a time. */
int watch_wait(struct watch *watch, int events) __attribute__((warn_unused_result));
/* Before the descriptor is closed. A coroutine that waits gets -EBADF. */
void watch_close(struct watch *watch);
