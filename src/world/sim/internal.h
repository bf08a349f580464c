/*
 * internal.h: what the files of the simulator know of each other.
 *
 * The universe (sim.c) turns a queue of *events*. An event is embedded in what it belongs to and
 * has a place in the queue reserved from its init to its release, so that arming it cannot fail.
 * Events wake coroutines; the worlds that have ready ones stand in `active`, from which the seed
 * chooses who runs next. Nothing of what happens once per message looks at all hosts, worlds or
 * processes.
 *
 * Death is in two steps, since it may be decided in the middle of someone's coroutine: at once the
 * dead are cut off from everything outside (sim_world_cut_off), so that nothing they do counts any
 * more; and before anything else runs, their coroutines, all cancelled, are driven to their end and
 * their memory is reclaimed (sim_world_bury).
 */
#pragma once

#include "base/bug.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/rand.h"
#include "coro/sync.h"
#include "world/ops.h"
#include "world/sim/sim.h"
#include "world/sim/trace.h"

#include <arpa/inet.h>
#include <errno.h>

struct segment;
struct conn;
struct sim_socket;
struct sim_thread;
struct strings;

/* ---- Events ---- */

struct event {
    struct heap_link link; /* in sim.events, while armed */
    void (*fire)(struct sim *sim, struct event *e);
};

/* 0 or -ENOMEM. */
int event_init(struct sim *sim, struct event *e, void (*fire)(struct sim *sim, struct event *e));
void event_release(struct sim *sim, struct event *e);
/* Arms it, or moves it, to universe time `when`. */
void event_at(struct sim *sim, struct event *e, int64_t when);
void event_stop(struct sim *sim, struct event *e);

static inline bool event_armed(const struct event *e)
{
    return heap_linked(&e->link);
}

/* ---- The universe ---- */

#define NAME_MAX_LEN 63
#define NAME_BUCKETS 256

struct sim {
    int64_t now;
    uint64_t seed;
    struct rand rand;
    struct heap events;
    uint32_t event_places; /* events initialized, armed or not */
    uint64_t steps;
    uint64_t steps_here; /* without time passing */
    struct sim_options options;
    struct sim_link default_link;
    struct trace trace;

    struct sim_world **active; /* worlds with ready coroutines */
    uint32_t active_count;
    uint32_t active_size;
    uint32_t worlds;       /* that active must have room for */
    struct list dying;     /* worlds to be buried */
    struct list processes; /* through process.everyone */
    struct sim_world *running;

    struct sim_host **hosts; /* by the low bits of their address */
    uint32_t host_count;
    uint32_t host_size;
    struct list programs;
    struct list names[NAME_BUCKETS];
    struct sim_resolver resolver;

    struct list conns;
    uint64_t next_conn;
    struct segment *spare_segments; /* small ones */

    struct sim_world *directors; /* the world outside all hosts */
    uint32_t root_work; /* processes that are no daemons, and directors, that have not ended */
    bool failed;
    char failure[512];
};

/* ---- Hosts ---- */

/* One direction between two hosts. */
struct link {
    const struct sim_link *options; /* own, or the universe's default */
    struct sim_link own;
    bool cut;
    int64_t free_at; /* when all that was sent before has left */
};

struct disk {
    struct sim_disk options;
    struct list inodes;
    struct list names;
    struct list changes; /* of names, not synced, in order */
    uint64_t used;
    uint64_t next_serial;
};

struct sim_host {
    struct sim *sim;
    char name[NAME_MAX_LEN + 1];
    uint32_t index;
    uint32_t address; /* in host byte order */
    uint32_t boots;   /* what was connected under an earlier count is forgotten */
    bool up;
    bool spared;
    int64_t clock_base; /* monotonic clock = universe time + this */
    int64_t wall_base;
    sim_main *boot;
    void *boot_arg;

    unsigned cores;
    unsigned slow_percent;
    int64_t kernel_ns;
    int64_t wake_ns;
    struct list burning; /* burns on a core */
    struct list queued;  /* burns that wait for one */
    unsigned cores_busy;
    int64_t paused_until;
    struct event resume;

    struct list processes; /* that run */
    int next_pid;
    struct sim_tasks tasks;
    uint32_t tasks_asked; /* since `tasks` was set */
    uint32_t tasks_failed;

    struct link **links; /* to other hosts, by index; NULL: as the default */
    uint32_t link_count;
    struct link loopback;
    struct list listeners; /* struct sim_socket */
    uint16_t next_port;
    struct disk disk;
};

/* ---- Worlds and processes ---- */

/* What a world's own thread computes with. */
struct sim_work {
    struct work work;
    struct sim_world *world;
    int64_t burnt; /* on a core */
};

struct sim_world {
    struct world world;
    struct sim_work work;
    struct log log;
    struct sim *sim;
    struct sim_process *process; /* NULL: the directors' */
    struct list link;            /* in process.worlds */
    struct list dying;           /* in sim.dying */
    char name[NAME_MAX_LEN + 1];
    sim_main *main;
    void *arg;
    int result; /* of main */
    int64_t clock_base;
    struct list handles; /* struct owned */
    struct list fds;
    int next_fd;
    struct event alarm; /* at its sched's next deadline, or sooner */
    int64_t alarm_at;
    struct event mail;
    struct message *mail_first;
    struct message **mail_last;
    struct event unblock;
    struct burn *blocking; /* what blocks it, once that has a core; NULL: its own birth */
    uint32_t place;        /* index + 1 in sim.active; 0: not there */
    uint32_t blocked;      /* it may not run while this is not 0 */
    size_t tick_left;      /* coroutines that run in this tick yet */
    size_t resumes; /* index + 1, among the ready, of who was blocked and goes on first; 0: none */
    bool dead;      /* its calls fail with -ECANCELED and have no effect */
    bool open;      /* it has a sched */
    struct sim_thread *thread; /* the handle by which another world waits for its end, or NULL */
    bool has_handle; /* of a thread, not closed yet: it is posted to, though it has ended */
};

struct sim_process {
    struct sim *sim;
    struct sim_host *host;
    struct list everyone; /* in sim.processes */
    struct list link;     /* in host.processes, while it runs */
    char name[NAME_MAX_LEN + 1];
    int pid;
    struct list worlds;
    uint32_t worlds_open;
    struct sim_end end;
    bool daemon;
    bool stopped; /* by SIGSTOP */
    bool spawned;
    bool settled; /* its end has been told */
    uint32_t refs;
    struct list signals;     /* struct sim_signals */
    struct sim_child *child; /* its parent's handle, or NULL */
    struct future ended;
    void (*on_end)(void *ctx, struct sim_process *p);
    void *on_end_ctx;
    struct strings *argv;
    struct strings *env;
    struct stream *standard[3];
    struct stream *channel;
    struct shared *shared;
    struct list mappings; /* of memory that it shares */
    int group;            /* the pid of the process that leads its group, or 0 */
    bool leads_group;
    struct child_limits limits;
    uint64_t resident;             /* bytes, as it says itself (sim_resident) */
    bool ran_out;                  /* it was killed for having more than its limit */
    struct sim_socket **inherited; /* NULL where it was taken */
    unsigned inherited_count;
    unsigned unclosed;
};

static inline struct sim_world *sim_world_of(struct world *w)
{
    return container_of(w, struct sim_world, world);
}

static inline struct sim_host *host_of(const struct sim_world *w)
{
    return w->process->host;
}

/* A world without anything to run yet: 0 or -ENOMEM. It is the process's, or the directors'. */
int sim_world_open(
    struct sim *sim, struct sim_process *p, const char *name, struct sim_world **out);
int sim_world_start(struct sim_world *w, sim_main *main, void *arg);
/* Puts it among the active if it has something to run and may. */
void sim_world_active(struct sim_world *w);
void sim_world_inactive(struct sim_world *w);
/* After its coroutines ran: sees to it that the sched's next deadline is met. */
void sim_world_arm(struct sim_world *w);
/* It may run again: whatever came or was missed meanwhile. */
void sim_world_released(struct sim_world *w);
bool sim_world_held(const struct sim_world *w);
/* From this instant nothing it does has an effect; what it had open is closed, of which others hear
 * only if its host is up. */
void sim_world_cut_off(struct sim_world *w);
/* Frozen in time and cut off, its coroutines run to their ends. False: there was nothing left to
 * run, nor to deliver. */
bool sim_world_drive_to_end(struct sim_world *w);
/* Reclaims all but the struct itself. */
void sim_world_bury(struct sim_world *w);
void sim_world_free(struct sim_world *w);
/* Delivers the messages that came after its end. */
void sim_world_deliver_rest(struct sim_world *w);

/* Takes a message back, if it was posted and not delivered yet. */
void sim_world_unpost(struct sim_world *w, const struct message *m);

/* Wakes a coroutine of this world. */
static inline void sim_world_wake(struct sim_world *w, struct coro *c, int result)
{
    if (c && coro_wake(c, result))
        sim_world_active(w);
}

/* Parks the running coroutine of this world, which `waiter` names meanwhile. */
int sim_world_park(struct sim_world *w, const char *why, struct coro **waiter);
/* Sleeps for a span; 0, or why not. */
int sim_world_pause(struct sim_world *w, const char *why, int64_t ns);

/* With one world that has nothing to run yet. NULL: no memory. */
struct sim_process *process_open(struct sim_host *host, const char *name);
void processes_free(struct sim *sim);
void process_ends(struct sim_process *p, enum sim_state state, int result_or_signal);
/* A world of it has been buried; the last one settles its end. */
void process_world_buried(struct sim_process *p);
void process_release(struct sim_process *p);
/* child.c: tells the parent's handle that its process has ended. */
void child_ended(struct sim_child *c, const struct sim_process *p);

/* ---- Handles ---- */

/* In each handle that a world hands out, after the handle itself: how it is given up when its world
 * ends. */
struct owned {
    struct list link; /* in world.handles */
    struct handle *handle;
    void (*give_up)(struct owned *o); /* what the handle stands for */
};

static inline void owned_init(
    struct owned *o, struct handle *h, struct sim_world *w, void (*give_up)(struct owned *o))
{
    handle_init(h, &w->world);
    o->handle = h;
    o->give_up = give_up;
    list_push_back(&w->handles, &o->link);
}

static inline void owned_closed(struct owned *o)
{
    list_del(&o->link);
}

/* ---- Each file's part ---- */

extern const struct world_ops sim_world_ops;

/* sim.c */
int64_t sim_draw(struct sim *sim, int64_t about_ns); /* uniform in [half, one and a half] */
void sim_say(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The array of pointers, moved if it must be to hold `count`, new places NULL; NULL: no memory, and
 * the array is as it was. */
void *pointers_grown(void *array, uint32_t *size, uint32_t count);

/* host.c */
void host_free(struct sim_host *host);
/* The host that answers to this address from `from`, itself for loopback; or NULL. */
struct sim_host *host_find(struct sim_host *from, uint32_t address);
struct link *host_link(struct sim_host *from, struct sim_host *to); /* NULL: no memory */
uint64_t text_hash(const char *text);
/* Before a thread, companion or process is made: 0, or -EAGAIN. */
int host_take_task(struct sim_host *host);

static inline void address_of_ip(uint32_t ip, uint16_t port, struct address *out)
{
    *out = (struct address){.len = sizeof out->in4,
        .in4 = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(ip)}};
}

/* thread.c: the world of a thread is no more. */
void thread_has_ended(struct sim_thread *t, int result);

/* listener.c: sockets for a process to take: 0 or -ENOMEM. */
int sockets_give(struct sim_process *p, struct listener *const *listeners, unsigned count);
/* Lets go of those that it has not taken. */
void sockets_drop(struct sim_process *p);

/* shared.c: the same memory for another process: 0 or -ENOMEM. */
int shared_give(struct sim_world *to, const struct shared *given, struct shared **out);
void mappings_free(struct sim_process *p);

/* signals.c: whether someone asked for it; then it is told. */
#define SIGNAL_MAX 63
bool signals_take(struct sim_process *p, int signal);

/* cpu.c */
void host_resume(struct sim *sim, struct event *e);
void cpu_unblock(struct sim *sim, struct event *e);
/* How long a burn of `ns` that begins now has a core. */
int64_t cpu_takes(const struct sim_host *host, int64_t ns);
/* The running thread calls its host's kernel, which takes its time. */
void cpu_call_kernel(struct sim *sim);

/* companion.c: also sets the world's work. */
void sim_work_init(struct sim_work *work, struct sim_world *w);

/* disk.c, file.c */
void disk_init(struct disk *d, const struct sim_disk *options);
void disk_release(struct disk *d);
void disk_crash(struct sim_host *host);

/* conn.c */
void conns_free(struct sim *sim);
int conn_pair(
    struct sim_world *a, struct sim_world *b, struct stream **a_end, struct stream **b_end);

/* name.c */
void names_init(struct sim *sim);
void names_free(struct sim *sim);

/* director.c */
int director_start(struct sim *sim, const char *name, int (*fn)(struct sim *sim, void *arg),
    void *arg, bool waited_for);

/* child.c */
void programs_free(struct sim *sim);
void strings_free(struct strings *s);

/* world_ops, by the file that has them */
int sim_op_listen(struct world *w, const struct address *at, const struct listen_options *options,
    struct listener **out);
int sim_op_accept(struct listener *l, struct stream **out);
int sim_op_try_accept(struct listener *l, struct stream **out);
int sim_op_share_listener(struct world *w, struct listener *l, struct listener **out);
int sim_op_inherited_listener(struct world *w, unsigned index, struct listener **out);
void sim_op_listener_address(const struct listener *l, struct address *out);
void sim_op_listener_close(struct listener *l);
int sim_op_connect(struct world *w, const struct address *to, struct stream **out);
ssize_t sim_op_read(struct stream *s, void *buffer, size_t size);
ssize_t sim_op_write_some(struct stream *s, const struct iovec *parts, int count);
int sim_op_shutdown(struct stream *s);
bool sim_op_quiet(struct stream *s);
void sim_op_cancel_on_end(struct stream *s, struct coro *c);
void sim_op_peer(const struct stream *s, struct address *out);
void sim_op_stream_close(struct stream *s);
int sim_op_stream_pair(struct world *w, struct stream **a, struct stream **b);
ssize_t sim_op_write_passing(
    struct stream *s, const void *data, size_t size, struct stream *passed);
int sim_op_resolve(struct world *w, const char *host, uint16_t port, struct address *out, int max);
int sim_op_spawn(struct world *w, const struct spawn_options *options, struct child **out);
int sim_op_child_pid(const struct child *c);
int sim_op_child_wait(struct child *c, struct child_exit *out);
int sim_op_child_signal(struct child *c, int signal);
void sim_op_child_close(struct child *c);
int sim_op_child_limit(
    struct child *c, const struct child_limits *limits, enum child_memory *memory);
int64_t sim_op_child_resident(struct child *c);
bool sim_op_child_ran_out_of_memory(const struct child *c);
int sim_op_shared(struct world *w, size_t max, struct shared **out);
char *sim_op_shared_base(const struct shared *s);
int sim_op_shared_grow(struct shared *s, size_t size);
size_t sim_op_shared_size(const struct shared *s);
void sim_op_shared_trim(struct shared *s, size_t from);
void sim_op_shared_close(struct shared *s);
int sim_op_inherited_stream(struct world *w, int which, struct stream **out);
int sim_op_thread(struct world *w, const char *name, int (*fn)(struct world *w, void *arg),
    void *arg, struct thread **out);
int sim_op_thread_wait(struct thread *t, int *result);
void sim_op_thread_close(struct thread *t);
int sim_op_companion(
    struct world *w, const struct companion_options *options, struct companion **out);
int sim_op_companion_wait(struct companion *c);
void sim_op_companion_close(struct companion *c);
int sim_op_companion_park(struct companion *self, int64_t until);
void sim_op_companion_wake(struct companion *c);
int sim_op_signals(struct world *w, const int *numbers, int count, struct signals **out);
int sim_op_signals_next(struct signals *s);
void sim_op_signals_close(struct signals *s);
int sim_op_open(struct world *w, const char *path, int flags, unsigned mode, struct file **out);
ssize_t sim_op_file_read(struct file *f, void *buffer, size_t size, uint64_t offset);
int sim_op_file_write(struct file *f, const void *data, size_t size, uint64_t offset);
int sim_op_file_sync(struct file *f);
int64_t sim_op_file_size(struct file *f);
int sim_op_file_truncate(struct file *f, uint64_t size);
void sim_op_file_close(struct file *f);
int sim_op_rename(struct world *w, const char *from, const char *to);
int sim_op_unlink(struct world *w, const char *path);
int sim_op_sync_directory(struct world *w, const char *path);
void sim_op_post(struct world *w, struct message *m);
int sim_op_watch(struct world *w, int fd, struct watch **out);
int sim_op_watch_wait(struct watch *watch, int events);
void sim_op_watch_close(struct watch *watch);
void fds_free(struct sim_world *w);
