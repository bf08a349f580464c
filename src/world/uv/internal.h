/*
 * internal.h: what the files of uv/ know of each other: the loop, how a coroutine waits for a
 * descriptor or for a call that blocks, and how things leave.
 */
#pragma once

#include "base/bug.h"
#include "base/list.h"
#include "world/ops.h"
#include "world/uv/uv_world.h"

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

struct watchdog;

/* What a world hands out and counts, so that closing it can say what was left open. */
enum kind {
    KIND_STREAM,
    KIND_LISTENER,
    KIND_CHILD,
    KIND_SHARED,
    KIND_SIGNALS,
    KIND_FILE,
    KIND_WATCH,
    KIND_THREAD,
    KIND_COMPANION,
    KIND_COUNT
};

/* mailbox.c */
struct mailbox {
    _Atomic(struct message *) posted; /* the latest first; any thread pushes */
    _Atomic bool asleep;              /* the loop: whoever posts next must ring */
    struct message *taken;            /* the earliest first; the loop's alone */
    int bell_fd;
    uv_poll_t bell;
};

/* job.c: a world's threads for calls that block. */
#define JOB_THREADS_MAX 4
struct jobs {
    pthread_mutex_t lock; /* for all below but the threads, which are the loop's */
    pthread_cond_t more;
    struct list queue;
    unsigned queued;
    unsigned count; /* threads */
    unsigned busy;  /* of them, in a call */
    bool over;
    pthread_t threads[JOB_THREADS_MAX];
};

struct uv_world {
    struct world world;
    struct work work;
    uv_loop_t loop;
    uv_prepare_t before_poll;
    uv_check_t after_poll;
    uv_idle_t busy; /* active: the next poll does not wait, someone is ready */
    uv_timer_t timer;
    int64_t time;     /* when the clock was last read: what deadlines are compared with */
    int64_t timer_at; /* the moment the timer is set for, or DEADLINE_NEVER */
    bool running;     /* in uv_world_run */
    bool in_turn;     /* between a poll and the next */
    unsigned woken;   /* coroutines made ready since they last ran */
    size_t leaving;   /* handles being closed, abandoned requests: what the loop still waits for */
    size_t open[KIND_COUNT];
    struct mailbox mailbox;
    struct jobs jobs;
    struct uv_world_options options; /* as given: what further threads get */
    const char *name;
    int64_t watchdog_ns;       /* negative: nobody watches */
    struct watchdog *watchdog; /* while running */
};

static inline struct uv_world *uv_world_of(struct world *w)
{
    return container_of(w, struct uv_world, world);
}

static inline struct uv_world *uv_world_of_handle(const struct handle *h)
{
    return uv_world_of(h->world);
}

/* Of libuv's calls that fail only if they are used wrongly. */
#define uv_sure(call)                                                            \
    do {                                                                         \
        int uv_sure_rc = (call);                                                 \
        check(uv_sure_rc == 0, "libuv: %s: %s", #call, uv_strerror(uv_sure_rc)); \
    } while (0)

/* ---- loop.c ---- */

/* Someone was woken by the loop's event. They run when the poll's events have all been seen, or now
 * if they are many. */
void loop_woke(struct uv_world *w);
/* The poll has ended: begins the tick and delivers messages. */
void loop_deliver(struct uv_world *w);

/* A new handle of this world, and one that is being closed. */
static inline void kind_opened(struct uv_world *w, enum kind kind, struct handle *h)
{
    handle_init(h, &w->world);
    w->open[kind]++;
}
static inline void kind_closed(enum kind kind, struct handle *h)
{
    uv_world_of_handle(h)->open[kind]--;
}

/* Closes a libuv handle that lives inside the memory of `owner`, and keeps that memory until libuv
 * has let go. The handle's data must point at the owner. */
void handle_leave(struct handle *owner, uv_handle_t *uv);

/* ---- mailbox.c ---- */

/* After a failure its handle may still be on its way out of the loop. */
int mailbox_open(struct mailbox *m, uv_loop_t *loop);
void mailbox_close(struct mailbox *m);
void mailbox_post(struct world *w, struct message *m);
/* Delivers a bounded number of messages. */
void mailbox_deliver(struct mailbox *m);
bool mailbox_waiting(const struct mailbox *m);
/* Before a poll that would wait. False: something is waiting to be delivered. */
bool mailbox_may_sleep(struct mailbox *m);
/* After the poll. */
void mailbox_awake(struct mailbox *m);

/* ---- ready.c: until a descriptor is readable or writable ---- */

struct ready {
    struct handle *owner; /* whose memory this is part of */
    struct coro *reader;
    struct coro *writer; /* may be the same */
    struct coro *on_end; /* cancelled when the other side has left and nobody reads; or NULL */
    int fd;
    bool polled;       /* `poll` is libuv's; made at the first wait */
    uint8_t armed;     /* UV_READABLE | UV_WRITABLE | UV_DISCONNECT: what libuv is asked for now */
    uint8_t seen;      /* what has come since the wait began */
    unsigned unwaited; /* calls in a row that did not have to wait */
    uv_poll_t poll;
};

void ready_init(struct ready *r, struct handle *owner, int fd);
/* Makes the poll handle now rather than at the first wait. Libuv makes the descriptor
 * non-blocking. */
int ready_poll(struct ready *r);
/* Parks until one of `events` (UV_READABLE, UV_WRITABLE) has been seen. 0, or a negative errno:
 * -EBADF if the owner was closed meanwhile, and then the descriptor may be another's already. */
int ready_wait(struct ready *r, int events, const char *why);
/* Before a call that may find its descriptor ready: one that always is must not keep others from
 * running, so now and then it lets them go first. 0, or what a wait would say. */
int ready_be_fair(struct ready *r);
/* See stream_cancel_on_end. */
void ready_cancel_on_end(struct ready *r, struct coro *c);
/* Forgets the descriptor, which the caller may close after; those who wait get -EBADF. */
void ready_close(struct ready *r);

/* ---- job.c: calls that block, on threads for them ---- */

/* Part of a larger block that holds all that the call needs. A coroutine whose wait ends early
 * leaves the block behind, and `discard` frees it when the call has returned. */
struct job {
    struct uv_world *w;
    void (*run)(struct job *job); /* on a thread */
    void (*discard)(struct job *job);
    struct list link; /* in the queue, until a thread takes it */
    struct message done;
    struct coro *waiter;
    bool answered;
    bool abandoned;
};

/* 0; or a negative errno and it will not run: -EAGAIN if there is no thread and none can be
 * started. */
int job_start(struct job *job) __attribute__((warn_unused_result));
/* Waits for one that has been started. True: it has run, and the block is the caller's, even if the
 * wait failed, which `rc` says. False: the block is the job's own, or gone. */
bool job_wait(struct job *job, const char *why, int *rc) __attribute__((warn_unused_result));
/* Nobody waits for one that has been started; the world stays open until it is done. */
void job_forget(struct job *job);

void jobs_init(struct jobs *j);
/* Nothing may be asked for. */
void jobs_end(struct jobs *j);

/* ---- stream.c, listener.c, connect.c ---- */

struct uv_stream {
    struct stream stream;
    struct ready ready;
    bool try_read; /* there may be something to read: try before waiting */
    bool is_pipe;  /* no socket */
    struct address peer;
};

/* A stream on a connected, non-blocking socket; NULL: no memory. */
struct uv_stream *stream_on(struct uv_world *w, int fd, const struct address *peer);
/* The same, and it owns the socket even if this fails. */
int stream_adopt(struct uv_world *w, int fd, const struct address *peer, struct uv_stream **out);

ssize_t uv_stream_read(struct stream *s, void *buffer, size_t size);
ssize_t uv_stream_write_some(struct stream *s, const struct iovec *parts, int count);
int uv_stream_shutdown(struct stream *s);
bool uv_stream_quiet(struct stream *s);
void uv_stream_cancel_on_end(struct stream *s, struct coro *c);
void uv_stream_peer(const struct stream *s, struct address *out);
void uv_stream_close(struct stream *s);

/* pair.c: a socket pair: a stream on one end, and the other, which blocks and is the caller's. */
int pair_with(struct uv_world *w, struct uv_stream **ours, int *theirs);
int uv_world_stream_pair(struct world *w, struct stream **a, struct stream **b);
ssize_t uv_stream_write_passing(
    struct stream *s, const void *data, size_t size, struct stream *passed);

int uv_world_listen(struct world *w, const struct address *at, const struct listen_options *options,
    struct listener **out);
int uv_listener_accept(struct listener *l, struct stream **out);
int uv_listener_try_accept(struct listener *l, struct stream **out);
int uv_world_share_listener(struct world *w, struct listener *l, struct listener **out);
void uv_listener_address(const struct listener *l, struct address *out);
void uv_listener_close(struct listener *l);

int uv_world_connect(struct world *w, const struct address *to, struct stream **out);

/* ---- child.c, adopted_child.c, limit.c, cgroup.c ---- */

struct uv_child {
    struct child child;
    /* One of the two, libuv's until the child has ended. */
    uv_process_t process;
    uv_poll_t poll;
    int pidfd; /* of one that was adopted; -1 */
    bool leads_group;
    int group_fd; /* a pidfd of one that leads a process group, until it has ended; -1 */
    int pid;
    struct coro *waiter;
    bool ended;
    bool ran_out_of_memory; /* known when it has ended */
    struct cgroup *cgroup;  /* its own, or NULL */
    struct child_exit exit;
};

/* It has been reaped; `uv` is its handle. */
void child_has_ended(struct uv_child *c, uv_handle_t *uv);
/* pidfd_send_signal. */
int adopted_child_signal(const struct uv_child *c, int signal);

/* cgroup.c: a control group of memory, which holds one child. */
struct cgroup;
/* Makes one and moves the process into it. NULL: none can be made here. */
struct cgroup *cgroup_for(struct uv_world *w, int pid, uint64_t memory);
/* Another limit. */
int cgroup_limit(const struct cgroup *g, uint64_t memory);
/* Whether the kernel has killed somebody in it for want of memory. */
bool cgroup_ran_out(const struct cgroup *g);
/* Kills who is left in it, where the kernel does that at once. */
void cgroup_kill(const struct cgroup *g);
/* Removes it when nobody is left in it. It is gone for the caller; NULL is nothing to remove. */
void cgroup_leave(struct cgroup *g);

int uv_child_limit(struct child *c, const struct child_limits *limits, enum child_memory *memory);
int64_t uv_child_resident(struct child *c);
bool uv_child_ran_out_of_memory(const struct child *c);

/* ---- shared.c ---- */

/* The descriptor, which stays the memory's. */
int shared_fd(const struct shared *s);
int uv_world_shared(struct world *w, size_t max, struct shared **out);
char *uv_shared_base(const struct shared *s);
int uv_shared_grow(struct shared *s, size_t size);
size_t uv_shared_size(const struct shared *s);
void uv_shared_trim(struct shared *s, size_t from);
void uv_shared_close(struct shared *s);

/* ---- The other calls of ops.h ---- */

unsigned uv_world_cores(struct world *w);

int uv_world_inherited_listener(struct world *w, unsigned index, struct listener **out);
int uv_world_inherited_stream(struct world *w, int which, struct stream **out);

int uv_world_thread(struct world *w, const char *name, int (*fn)(struct world *w, void *arg),
    void *arg, struct thread **out);
int uv_thread_wait(struct thread *t, int *result);
void uv_thread_close(struct thread *t);
/* Starts a thread that takes no signals but those of its own faults, SIGURG and SIGPROF. */
int thread_start(pthread_t *thread, void *(*run_it)(void *arg), void *arg)
    __attribute__((warn_unused_result));

/* How long it (0: the caller) runs before others are looked at; it hands that on to threads and
 * processes that it starts. */
#define SLICE_OF_LOOPS_NS (100 * NS_PER_US) /* the shortest that the kernel knows */
#define SLICE_AS_USUAL_NS 0
void thread_slice(pid_t thread, int64_t ns);

int uv_world_companion(
    struct world *w, const struct companion_options *options, struct companion **out);
int uv_companion_wait(struct companion *c);
void uv_companion_close(struct companion *c);
int uv_companion_park(struct companion *self, int64_t until);
void uv_companion_wake(struct companion *c);

int uv_world_resolve(
    struct world *w, const char *host, uint16_t port, struct address *out, int max);

int uv_world_spawn(struct world *w, const struct spawn_options *options, struct child **out);
int uv_child_pid(const struct child *c);
int uv_child_wait(struct child *c, struct child_exit *out);
int uv_child_signal(struct child *c, int signal);
void uv_child_close(struct child *c);

int uv_world_signals(struct world *w, const int *numbers, int count, struct signals **out);
int uv_signals_next(struct signals *s);
void uv_signals_close(struct signals *s);

int uv_world_open_file(
    struct world *w, const char *path, int flags, unsigned mode, struct file **out);
ssize_t uv_file_read(struct file *f, void *buffer, size_t size, uint64_t offset);
int uv_file_write(struct file *f, const void *data, size_t size, uint64_t offset);
int uv_file_sync(struct file *f);
int64_t uv_file_size(struct file *f);
int uv_file_truncate(struct file *f, uint64_t size);
void uv_file_close(struct file *f);
int uv_world_rename(struct world *w, const char *from, const char *to);
int uv_world_unlink(struct world *w, const char *path);
int uv_world_sync_directory(struct world *w, const char *path);

int uv_world_watch(struct world *w, int fd, struct watch **out);
int uv_watch_wait(struct watch *watch, int events);
void uv_watch_close(struct watch *watch);

/* ---- watchdog.c ---- */

/* Watches the ticks of the calling thread's loop. NULL if that is not possible, which the log
 * says. */
struct watchdog *watchdog_start(const char *loop, int64_t limit_ns, struct log *log);
/* From the same thread. NULL is nobody to stop. */
void watchdog_stop(struct watchdog *d);
void watchdog_turn_begins(struct watchdog *d, int64_t now);
void watchdog_turn_ends(struct watchdog *d);
