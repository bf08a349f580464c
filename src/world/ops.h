/*
 * ops.h: what a world is made of; for guard.h and the worlds themselves (uv/, sim/), not for
 * components.
 *
 * guard.h checks misuse once for all worlds, then calls these. Each of them behaves as world.h says
 * of the call of the same name; `out` parameters are set on success only.
 *
 * Every handle begins with `struct handle`, made by handle_init in the world's own, larger struct.
 * A close call gives up what the handle stands for and wakes who waits on it with -EBADF; it does
 * not free. The memory goes when the last hold does: the owner's, one for each coroutine that is
 * still on its way out of a wait, and those that a world takes itself (libuv's handles outlive
 * their close by a tick).
 */
#pragma once

#include "world/world.h"

struct world_ops {
    int64_t (*now)(struct world *w);
    int64_t (*wall)(struct world *w);
    void (*random)(struct world *w, void *buffer, size_t size);
    unsigned (*cores)(struct world *w);

    int (*listen)(struct world *w, const struct address *at, const struct listen_options *options,
        struct listener **out);
    int (*accept)(struct listener *l, struct stream **out);
    int (*try_accept)(struct listener *l, struct stream **out);
    void (*listener_address)(const struct listener *l, struct address *out);
    void (*listener_close)(struct listener *l);
    int (*share_listener)(struct world *w, struct listener *l, struct listener **out);
    int (*inherited_listener)(struct world *w, unsigned index, struct listener **out);

    int (*connect)(struct world *w, const struct address *to, struct stream **out);
    ssize_t (*read)(struct stream *s, void *buffer, size_t size);
    ssize_t (*write_some)(struct stream *s, const struct iovec *parts, int count);
    int (*shutdown)(struct stream *s);
    void (*peer)(const struct stream *s, struct address *out);
    void (*cancel_on_end)(struct stream *s, struct coro *c);
    bool (*quiet)(struct stream *s);
    void (*stream_close)(struct stream *s);
    int (*stream_pair)(struct world *w, struct stream **a, struct stream **b);
    /* How much of it was written, with `passed` if anything was. Does not close it. */
    ssize_t (*write_passing)(
        struct stream *s, const void *data, size_t size, struct stream *passed);

    int (*resolve)(struct world *w, const char *host, uint16_t port, struct address *out, int max);

    int (*spawn)(struct world *w, const struct spawn_options *options, struct child **out);
    int (*child_pid)(const struct child *c);
    int (*child_wait)(struct child *c, struct child_exit *out);
    int (*child_signal)(struct child *c, int signal);
    void (*child_close)(struct child *c);
    int (*child_limit)(
        struct child *c, const struct child_limits *limits, enum child_memory *memory);
    int64_t (*child_resident)(struct child *c);
    bool (*child_ran_out_of_memory)(const struct child *c);

    int (*shared)(struct world *w, size_t max, struct shared **out);
    char *(*shared_base)(const struct shared *s);
    int (*shared_grow)(struct shared *s, size_t size);
    size_t (*shared_size)(const struct shared *s);
    void (*shared_trim)(struct shared *s, size_t from);
    void (*shared_close)(struct shared *s);
    int (*inherited_stream)(struct world *w, int which, struct stream **out);

    int (*signals)(struct world *w, const int *numbers, int count, struct signals **out);
    int (*signals_next)(struct signals *s);
    void (*signals_close)(struct signals *s);

    int (*open)(struct world *w, const char *path, int flags, unsigned mode, struct file **out);
    ssize_t (*file_read)(struct file *f, void *buffer, size_t size, uint64_t offset);
    int (*file_write)(struct file *f, const void *data, size_t size, uint64_t offset);
    int (*file_sync)(struct file *f);
    int64_t (*file_size)(struct file *f);
    int (*file_truncate)(struct file *f, uint64_t size);
    void (*file_close)(struct file *f);
    int (*rename)(struct world *w, const char *from, const char *to);
    int (*unlink)(struct world *w, const char *path);
    int (*sync_directory)(struct world *w, const char *path);

    int (*thread)(struct world *w, const char *name, int (*fn)(struct world *w, void *arg),
        void *arg, struct thread **out);
    int (*thread_wait)(struct thread *t, int *result);
    void (*thread_close)(struct thread *t);

    int (*companion)(
        struct world *w, const struct companion_options *options, struct companion **out);
    int (*companion_wait)(struct companion *c);
    void (*companion_close)(struct companion *c);
    int (*companion_park)(struct companion *self, int64_t until);
    void (*companion_wake)(struct companion *c);

    void (*call_deep)(struct world *w, void (*fn)(void *arg), void *arg);

    void (*post)(struct world *w, struct message *m);

    int (*watch)(struct world *w, int fd, struct watch **out);
    int (*watch_wait)(struct watch *watch, int events);
    void (*watch_close)(struct watch *watch);
};

struct world {
    const struct world_ops *ops;
    struct sched *sched;
    struct log *log;
    struct work *work; /* of its own thread */
    uint64_t tick;
};

struct handle {
    struct world *world;
    uint32_t holds;
    bool closed;
    uint8_t busy; /* who waits on it now: enum handle_wait; kept by guard.h */
};

/* Handles with one wait (the end of a child, thread or companion, a signal, a watch) mark it as
 * HANDLE_READ. Files have no marks: any number of coroutines may be in a call on one. */
enum handle_wait { HANDLE_SHARED = 0, HANDLE_READ = 1, HANDLE_WRITE = 2 };

static inline void handle_init(struct handle *h, struct world *w)
{
    *h = (struct handle){.world = w, .holds = 1};
}
static inline void handle_hold(struct handle *h)
{
    h->holds++;
}
/* The last one retires the memory (mem_retire), which must be one block that begins with the
 * handle. */
void handle_release(struct handle *h);

struct stream {
    struct handle handle;
};
struct listener {
    struct handle handle;
};
struct child {
    struct handle handle;
};
struct shared {
    struct handle handle;
};
struct signals {
    struct handle handle;
};
struct file {
    struct handle handle;
};
struct watch {
    struct handle handle;
};
/* Its world keeps these two. */
struct thread {
    struct handle handle;
    struct world *own; /* the thread's */
    bool ended;        /* so that it may be closed */
};
/* Its world keeps these two. */
struct companion {
    struct handle handle;
    struct work *work;
    bool ended; /* so that it may be closed */
};
