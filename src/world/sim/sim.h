/*
 * sim.h: a small universe in one thread: hosts with cores, disks and clocks, links between them,
 * processes on them; all in virtual time and decided by one seed.
 *
 * What runs in it is real code: a process is a `struct world` like any other, and components cannot
 * tell. The same seed gives the same events, byte for byte, in every build: nothing here depends on
 * addresses, real time or the C library's arithmetic.
 *
 *     struct sim *sim;
 *     int rc = sim_open(&sim, seed, NULL);
 *     struct sim_host *a = sim_host(sim, &(struct sim_host_options){.name = "server"});
 *     struct sim_host *b = sim_host(sim, &(struct sim_host_options){.name = "client"});
 *     sim_process_daemon(sim_start(a, "server", serve, NULL));
 *     sim_start(b, "client", ask, NULL);
 *     rc = sim_run(sim, 60 * NS_PER_S);
 *     sim_close(sim);
 *
 * Time passes only while everybody waits: computing takes no virtual time, unless it is told with
 * sim_burn or sim_block, or by the host's kernel_ns and wake_ns. *Universe time* counts from 0 at
 * sim_open; each host's monotonic clock starts anywhere, and anew at each restart, so that a
 * deadline carried to another host is plainly wrong.
 *
 * A universe is used by one thread. What it hands out (hosts, processes) is its own and lives until
 * sim_close. Calls that return a pointer return NULL if there is no memory.
 */
#pragma once

#include "base/log.h"
#include "world/world.h"

struct sim;
struct sim_host;
struct sim_process;

/* What a process or thread runs. For a process: its exit status, or a negative errno (status 1). */
typedef int sim_main(struct world *w, void *arg);

/* ---- Links ---- */

enum sim_jitter { SIM_UNIFORM, SIM_EXPONENTIAL };

/* One direction between two hosts. */
struct sim_link {
    int64_t latency_ns;
    int64_t jitter_ns; /* added: uniform in [0, jitter_ns], or exponential with this mean */
    enum sim_jitter jitter;
    /* A lost segment is sent again after 200 ms, 400 ms, ... (a connect after 1 s, 2 s, ...); those
     * behind it wait for it. */
    uint32_t loss_ppm;
    uint64_t bytes_per_second; /* 0: unlimited */
};

/* What two hosts have between them unless told otherwise: a quiet data centre. */
#define SIM_LINK_DEFAULT                                                                   \
    (struct sim_link)                                                                      \
    {                                                                                      \
        .latency_ns = 200 * NS_PER_US, .jitter_ns = 50 * NS_PER_US, .jitter = SIM_UNIFORM, \
        .loss_ppm = 0, .bytes_per_second = 1250 * 1000000                                  \
    }

/* ---- A universe ---- */

struct sim_options {
    const struct sim_link *link; /* between all hosts; NULL: SIM_LINK_DEFAULT */
    /* After this long a segment that does not get through fails its connection with -ECONNRESET, a
     * connect with -EHOSTUNREACH. 0: 60 s. */
    int64_t give_up_ns;
    /* Bytes that may be on the way or unread in one direction of a connection. 0: 256 KiB. */
    uint32_t window;
    /* How often a read returns less than is there, and a write takes less than it could or travels
     * in several pieces. */
    uint32_t short_reads_ppm;
    uint32_t short_writes_ppm;
    size_t stack_size; /* of each coroutine; 0: coro.h's default */
    /* Each event, and each line that a world logs, as a line of text without its newline. */
    void (*text)(void *ctx, const char *line);
    enum log_level log_level; /* of what worlds log, if there is a `text` */
    /* Lines of the report of a failure; NULL: to standard error. */
    void (*report)(void *ctx, const char *line);
    void *ctx; /* for both */
    /* A failure ends sim_run with an error rather than the process. */
    bool survive;
};

int sim_open(struct sim **out, uint64_t seed, const struct sim_options *options)
    __attribute__((warn_unused_result));
/* Ends whatever still runs, as a crash of all hosts would. Not inside a coroutine. */
void sim_close(struct sim *sim);

/* Lets time pass until every process that is no daemon and every director has ended, or until
 * universe time `until`: 0. If nothing can ever happen although they have not ended, that is a dead
 * end, which fails with the names of all who wait: -EDEADLK where failures are survived, and
 * -ENOTRECOVERABLE after any other failure. Not inside a coroutine. */
int sim_run(struct sim *sim, int64_t until) __attribute__((warn_unused_result));

int64_t sim_now(const struct sim *sim);
uint64_t sim_seed(const struct sim *sim);
/* Events so far, and a hash of all they were: equal for equal runs. */
uint64_t sim_events(const struct sim *sim);
uint64_t sim_hash(const struct sim *sim);
/* The generator that decides everything, for scripts that want to leave a choice to the seed. */
struct rand *sim_rand(struct sim *sim);

/* Says the sentence, seed, time and the last events, and how to run it again; then aborts (or,
 * where failures are survived, ends the sim_run). */
void sim_fail(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3), cold));
#define sim_check(sim, condition, ...)         \
    do {                                       \
        if (__builtin_expect(!(condition), 0)) \
            sim_fail(sim, __VA_ARGS__);        \
    } while (0)
/* The sentence of the first failure, or NULL. */
const char *sim_failed(const struct sim *sim);
/* An entry of the scenario's own in the event log. `text` must live as long as the universe. */
void sim_note(struct sim *sim, const char *text, int64_t value);

/* ---- Hosts ---- */

/* A host's disk. Directories need not be made: every one exists. */
struct sim_disk {
    uint64_t bytes;     /* beyond: -ENOSPC. 0: 1 GiB */
    int64_t op_ns;      /* how long an operation takes, about; 0: 50 us */
    int64_t sync_ns;    /* how long a sync takes, on average; 0: 2 ms */
    uint32_t error_ppm; /* how often an operation fails with -EIO */
};

struct sim_host_options {
    const char *name;       /* others resolve it; copied */
    unsigned cores;         /* 0: 4 */
    struct sim_disk disk;   /* zero: the defaults above */
    int64_t wall_offset_ns; /* of its wall clock from the true time; 0: some ms, by the seed */
    unsigned slow_percent;  /* burns take this many hundredths of their time; 0: 100 */
    /* What the kernel takes of a thread that writes to a stream or wakes a companion; and what a
     * companion takes to wake up. 0: nothing. */
    int64_t kernel_ns;
    int64_t wake_ns;
    sim_main *boot; /* started now and at each restart, as a daemon called `name` */
    void *boot_arg;
    bool spared; /* sim_chaos does nothing to it */
};

struct sim_host *sim_host(struct sim *sim, const struct sim_host_options *options);
const char *sim_host_name(const struct sim_host *host);
/* 10.x.y.z; its own processes reach it at 127.0.0.1 too. */
void sim_host_address(const struct sim_host *host, uint16_t port, struct address *out);
bool sim_host_up(const struct sim_host *host);

/* ---- Processes ---- */

enum sim_state { SIM_RUNNING, SIM_EXITED, SIM_KILLED, SIM_CRASHED };

struct sim_end {
    enum sim_state state;
    int result; /* of main, if it exited */
    int signal; /* that killed it */
};

/* Starts a process: one world, in which `main` runs. It ends when `main` returns: what it left open
 * is closed, as by the kernel. NULL too if the host is down. */
struct sim_process *sim_start(struct sim_host *host, const char *name, sim_main *main, void *arg);
/* Another world in the same process, as a thread that has a loop: world_post reaches it from the
 * process's other worlds. It ends when `main` returns, or with the process. */
int sim_thread(struct sim_process *p, const char *name, sim_main *main, void *arg,
    struct world **out) __attribute__((warn_unused_result));
/* sim_run does not wait for its end. */
void sim_process_daemon(struct sim_process *p);

struct sim_end sim_process_end(const struct sim_process *p);
/* Called outside any coroutine, when the process has ended and its memory is gone. */
void sim_process_on_end(
    struct sim_process *p, void (*ended)(void *ctx, struct sim_process *p), void *ctx);
struct sim_host *sim_process_host(const struct sim_process *p);
int sim_process_pid(const struct sim_process *p);
/* Of its first thread. */
struct world *sim_process_world(const struct sim_process *p);
/* Streams, files and so on that it had not closed when it ended. */
unsigned sim_process_unclosed(const struct sim_process *p);
/* As kill(2): 0, or -ESRCH once it has ended. */
int sim_signal(struct sim_process *p, int signal);

/* What world_spawn finds under this name, on every host. `name` must live as long as the
 * universe. */
int sim_program(struct sim *sim, const char *name, sim_main *main, void *arg)
    __attribute__((warn_unused_result));

/* ---- Inside a process: for programs and stand-ins ---- */

struct sim *sim_of(struct world *w);
struct sim_process *sim_self(struct world *w);
/* What it was spawned with; NULL if it was not, or for env, neither given one nor its parent. */
const char *const *sim_argv(struct world *w);
const char *const *sim_env(struct world *w);
/* Its end of the standard stream that its parent asked for, or NULL: /dev/null. It closes it
 * itself; or takes it over with world_inherited_stream, and then this is NULL. */
struct stream *sim_standard(struct world *w, int which);
/* The same for its end of the channel (spawn_options.channel), and for the memory that its parent
 * shares with it (spawn_options.shared); it closes them itself. NULL if it was not given one. */
struct stream *sim_channel(struct world *w);
struct shared *sim_shared(struct world *w);
/* The stream that came with the bytes that were read from `s` last (stream_write_passing), or NULL:
 * none did, or it was taken, or there is no memory. Bytes with which another one comes are not read
 * before that; and one that was not asked for by then is closed. */
struct stream *sim_take_passed(struct stream *s);
/* The process has so many bytes resident from now on. With more than its child_limit the kernel
 * kills it. */
void sim_resident(struct world *w, uint64_t bytes);
/* What its parent limits it to; zeros: nothing. */
struct child_limits sim_limits(const struct sim_process *p);

/* Computes for `ns` on one of the host's cores: waits, at first for a core if all are busy. */
int sim_burn(struct world *w, int64_t ns) __attribute__((warn_unused_result));
/* The same, on the loop's own thread: nothing else of this world runs meanwhile. */
int sim_block(struct world *w, int64_t ns) __attribute__((warn_unused_result));

/* A made-up file descriptor for world_watch, ready for nothing until it is set; or -ENOMEM. */
int sim_fd(struct world *w);
void sim_fd_set(struct world *w, int fd, int events);

/* ---- What happens to hosts, links and disks: for directors and for the test itself ---- */

/* Stops all its processes at this instant. Others hear nothing of it. What was not synced to the
 * disk is kept, lost or torn as the seed decides. */
void sim_crash(struct sim_host *host);
/* Starts it again after a crash: 0 or -ENOMEM. */
int sim_restart(struct sim_host *host) __attribute__((warn_unused_result));
/* Freezes it, as a virtual machine that is moved: nothing runs there for `ns`, then everything at
 * once. What is sent to it waits in its buffers. */
void sim_pause(struct sim_host *host, int64_t ns);
/* Burns that begin from now on take `percent` hundredths of their time. */
void sim_slow(struct sim_host *host, unsigned percent);
void sim_wall_jump(struct sim_host *host, int64_t delta_ns);

/* Changes the disk's behaviour; zeros are the defaults. */
void sim_disk(struct sim_host *host, const struct sim_disk *disk);
/* Puts a file there, synced: 0, -ENOMEM, -ENOSPC. */
int sim_file_put(struct sim_host *host, const char *path, const void *data, size_t size)
    __attribute__((warn_unused_result));
/* What is in it now: up to `size` bytes from the start; the whole size, or -ENOENT. */
int64_t sim_file_get(struct sim_host *host, const char *path, void *buffer, size_t size);

/* How often the host's kernel makes no more threads, companions and processes: the call that asks
 * for one fails with -EAGAIN, as at a limit on tasks. Processes that a test or a host itself starts
 * are not counted. */
struct sim_tasks {
    uint32_t fail_nth; /* the Nth from now on, counted from 1; 0: none */
    uint32_t fail_ppm; /* each, this often */
};
/* From now on; the count begins anew. */
void sim_tasks(struct sim_host *host, const struct sim_tasks *tasks);
/* How many have failed, since the universe began. */
uint32_t sim_tasks_failed(const struct sim_host *host);

/* Links are changed in one direction, or both with `_both`; what is on the way already arrives
 * as it would have. NULL: the universe's default again. */
int sim_link(struct sim_host *from, struct sim_host *to, const struct sim_link *link)
    __attribute__((warn_unused_result));
int sim_link_both(struct sim_host *a, struct sim_host *b, const struct sim_link *link)
    __attribute__((warn_unused_result));
/* Nothing gets through any more, until healed. */
int sim_cut(struct sim_host *from, struct sim_host *to) __attribute__((warn_unused_result));
int sim_cut_both(struct sim_host *a, struct sim_host *b) __attribute__((warn_unused_result));
void sim_heal(struct sim_host *from, struct sim_host *to);
void sim_heal_both(struct sim_host *a, struct sim_host *b);

/* ---- Names ---- */

/* One more address for the name; a host's own name is made with it. */
int sim_name(struct sim *sim, const char *name, struct sim_host *host)
    __attribute__((warn_unused_result));
/* The name exists no more. */
void sim_name_drop(struct sim *sim, const char *name);

struct sim_resolver {
    int64_t latency_ns;   /* how long an answer takes, about; 0: 500 us */
    uint32_t missing_ppm; /* how often a name is said not to exist */
    uint32_t silent_ppm;  /* how often there is no answer: -EAGAIN after 5 s */
};
void sim_resolver(struct sim *sim, const struct sim_resolver *resolver);

/* ---- Directors: scripts outside all hosts ---- */

/* Runs `fn` as a coroutine that may sleep and do things to hosts. sim_run waits for its end; a
 * negative result other than -ECANCELED is a failure. `name` must live as long. */
int sim_direct(struct sim *sim, const char *name, int (*fn)(struct sim *sim, void *arg), void *arg)
    __attribute__((warn_unused_result));
/* By a director only. */
int sim_sleep(struct sim *sim, int64_t ns) __attribute__((warn_unused_result));
int sim_sleep_until(struct sim *sim, int64_t when) __attribute__((warn_unused_result));
/* Waits for the end of a process. */
int sim_wait(struct sim_process *p) __attribute__((warn_unused_result));

/* Faults drawn from the seed. For each kind: the mean time between one and the next, 0 for
 * never. */
struct sim_chaos {
    int64_t until;    /* universe time at which everything is healed and the chaos ends */
    int64_t lasts_ns; /* how long a fault lasts, on average; 0: 1 s */
    int64_t crash_ns;
    int64_t partition_ns; /* of two hosts, or one direction, or one host from all others */
    int64_t degrade_ns;   /* a link becomes slow and lossy */
    int64_t slow_ns;      /* a host computes slowly */
    int64_t pause_ns;
    int64_t wall_jump_ns; /* up to a minute forth or back; jumps are not taken back */
    int64_t disk_ns;      /* a disk becomes slow and fails sometimes */
    int64_t resolver_ns;  /* names are slow, missing or unanswered */
    int64_t kill_ns;      /* a spawned process is killed */
    int64_t tasks_ns;     /* a host makes no threads and processes, or not always */
};

/* Starts them: 0 or -ENOMEM. sim_run does not wait for the end of the chaos. */
int sim_chaos(struct sim *sim, const struct sim_chaos *chaos) __attribute__((warn_unused_result));
