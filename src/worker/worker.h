/*
 * worker.h: what a worker process does: is set up, makes its steps ready, and then runs the tasks
 * that come, until there are no more. doc/internals/worker-protocol.md has the conversation.
 *
 * How it reads and writes is given to it, so that the same code is a process of the real world
 * (worker_plain.h), and a program in a simulated one (worker_stream.h).
 *
 * Several tasks may come at once. Their results are written together, as long as nobody waits for
 * his because of another's task.
 */
#pragma once

#include "base/arena.h"
#include "base/bytes.h"
#include "step/step.h"
#include "wire/worker.h"

#include <sys/types.h>
#include <sys/uio.h>

/* Calls may wait, by blocking or as a coroutine's do. Negative errno as everywhere. */
struct worker_io {
    /* At least one byte; 0 at the end of the stream. */
    ssize_t (*read)(struct worker_io *io, void *buffer, size_t size);
    /* All of it. */
    int (*write)(struct worker_io *io, const struct iovec *parts, int count);
    /* The memory that is shared with the server, at most `max` bytes; NULL: there is none. Of it
     * the first shared_size bytes may be touched; it can be made larger, and never gets smaller. */
    int (*share)(struct worker_io *io, size_t max, char **base);
    int64_t (*shared_size)(struct worker_io *io);
    int (*shared_grow)(struct worker_io *io, size_t size);
    /* See plain_forbid_processes; NULL: there are none to forbid. */
    int (*forbid_processes)(struct worker_io *io);
    /* A sentence for who looks after the process, when it can say nothing to its server. */
    void (*complain)(struct worker_io *io, const char *sentence);
    struct work *work;
    int64_t pid;
};

/* How it ends: exit statuses. */
enum worker_exit {
    WORKER_EXIT_DONE,    /* it was told to stop, or its server is gone */
    WORKER_EXIT_REFUSED, /* it could not be set up, and said why */
    WORKER_EXIT_GARBAGE, /* what it was sent is no frame, or not for it */
    WORKER_EXIT_FAILED   /* no memory to go on, or no way to wait */
};

/* The whole of it: from SETUP to the end. */
enum worker_exit worker_serve(struct worker_io *io, bool unsafe);

/* ---- The same in parts, for who forks between them ---- */

/* Where a call's output is put: first in `scratch`, when it gets large in shared memory, and where
 * that is full on the heap. */
struct worker_output {
    struct step_output to; /* the first, so that `grow` finds the rest */
    struct worker_process *worker;
    enum { OUTPUT_SCRATCH, OUTPUT_SHARED, OUTPUT_HEAP } where;
};

struct worker_batch;

struct worker_process {
    struct worker_io *io;
    struct arena arena; /* of the set-up */
    struct worker_setup setup;
    /* See step_set_new; may be set between worker_process_open and worker_process_ready. */
    const struct weir_plugin *overrides;
    struct step_set *set;
    struct step_place place;
    struct step_worker *steps;
    struct bytes in; /* what came, of which `in_used` bytes are done with */
    size_t in_used;
    struct bytes out;      /* what is to be written */
    bool gone;             /* the server is: nothing can be written */
    bool lost;             /* there was no memory to tell it a result */
    char *scratch;         /* WORKER_INLINE_MAX bytes */
    char *shared;          /* NULL: there is none */
    size_t shared_size;    /* that may be touched, at least */
    uint64_t outputs_at;   /* the next output in shared memory */
    uint64_t outputs_last; /* id of the last result there that the server may still read; or 0 */
    uint64_t running;      /* id of the task, or 0 */
    struct worker_output output;
    struct worker_batch *batch; /* NULL before the first */
};

/* Reads the SETUP: 0; or 1 and `exit` if there is nothing more to do. Released either way. */
int worker_process_open(struct worker_process *k, struct worker_io *io, bool unsafe,
    enum worker_exit *exit) __attribute__((warn_unused_result));
/* Loads the steps, calls their inits, and says READY: 0; or as above. */
int worker_process_ready(struct worker_process *k, enum worker_exit *exit)
    __attribute__((warn_unused_result));
/* Serves until the end. */
enum worker_exit worker_process_run(struct worker_process *k);
/* By a fork of the process: serves exactly one task, which comes over another channel; nothing is
 * shared, and nothing torn down. */
enum worker_exit worker_process_once(struct worker_process *k, struct worker_io *io);
/* Tears down. */
void worker_process_release(struct worker_process *k);

/* The next frame: 1; 0 if more must be read (into worker_process_room, then worker_process_got);
 * or a negative errno, and `exit`. The frame borrows until the next call. */
int worker_process_next(struct worker_process *k, struct worker_frame *f, enum worker_exit *exit)
    __attribute__((warn_unused_result));
struct iovec worker_process_room(struct worker_process *k);
void worker_process_got(struct worker_process *k, size_t size);
/* Puts the frame to what is to be written: 0, -ENOMEM, -ENOBUFS. And writes it all. */
int worker_process_say(struct worker_process *k, const struct worker_frame *f)
    __attribute__((warn_unused_result));
void worker_process_flush(struct worker_process *k);
/* Runs the task, and puts its result to what is to be written; or keeps it until the last of its
 * batch is there. False: there can be no such task. */
bool worker_process_task(struct worker_process *k, const struct worker_task *task)
    __attribute__((warn_unused_result));
/* It was sent what it cannot take: says so. */
enum worker_exit worker_process_garbage(struct worker_process *k, const char *sentence);
