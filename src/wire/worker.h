/*
 * worker.h: the conversation between a server and a worker process, as bytes:
 * doc/internals/worker-protocol.md.
 *
 * Pure. Both speak frames on a stream socket: a head of 8 bytes (length of the rest, kind, three
 * zeros; all numbers little-endian), then a body by kind. Texts of the set-up are JSON. Large
 * inputs and outputs are not in the frame, but in memory that both share, and the frame says
 * where.
 *
 *     server to worker                        worker to server
 *     SETUP   struct worker_setup, as JSON    READY    JSON: {"protocol":1,"pid":...}
 *     TASK    struct worker_task, input       REFUSED  a sentence: an init failed
 *     FORK    id (to a forking worker, with   RESULT   struct worker_result, output
 *             a descriptor: its child's       LOG      level, line
 *             channel)                        FORKED   id, pid
 *     KILL    id                              ENDED    id, status, signal, out of memory
 *     STOP
 *
 * Ids are never 0. Sentences and lines are UTF-8. Whoever is sent what is no frame, or a frame that
 * is not for it, has nothing more to do with the other.
 */
#pragma once

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define WORKER_PROTOCOL 1

#define WORKER_HEAD_SIZE  8
#define WORKER_CODE_MAX   31                         /* = ERROR_TYPE_MAX - 1 */
#define WORKER_LINE_MAX   4096                       /* of a log line */
#define WORKER_FRAME_MAX  ((size_t)64 * 1024 * 1024) /* of a body: what a length may say at all */
/* Inputs and outputs that are longer go through shared memory, where there is some. */
#define WORKER_INLINE_MAX ((size_t)16 * 1024)

/* Tasks that are to be run together. */
#define WORKER_BATCH_MAX 64

enum worker_kind {
    WORKER_SETUP = 1,
    WORKER_TASK,
    WORKER_FORK,
    WORKER_KILL,
    WORKER_STOP,
    WORKER_READY = 65,
    WORKER_REFUSED,
    WORKER_RESULT,
    WORKER_LOG,
    WORKER_FORKED,
    WORKER_ENDED
};

/* Codes of FAILED that mean something to the server, too. */
#define WORKER_CODE_TOO_LARGE "output-too-large"
#define WORKER_CODE_RECALLED  "recalled" /* it was not started: see struct worker_control */

/* Where a text is: in the frame itself, or in shared memory, behind its control words. */
struct worker_text {
    struct span inside;
    uint64_t offset, length; /* where `shared` */
    bool shared;
};

struct worker_task {
    uint64_t id;
    uint32_t step;    /* its place in the set-up's list */
    int64_t deadline; /* DEADLINE_NEVER, or of CLOCK_MONOTONIC; less than 0 is written as 0 */
    bool more;        /* the next frame is a TASK of the same step, to be run together with it */
    struct worker_text input;
};

enum worker_outcome {
    WORKER_DONE, /* as enum step_outcome */
    WORKER_FAILED,
    WORKER_REJECTED,
    WORKER_OUT_OF_MEMORY
};

struct worker_result {
    uint64_t id;
    enum worker_outcome outcome;
    int64_t wall_ns, processor_ns;
    struct span code;          /* of what is not done: letters, digits, '-', '_'; may be empty */
    struct worker_text output; /* or the sentence, which is never `shared` */
};

struct worker_frame {
    enum worker_kind kind;
    union {
        struct span text; /* SETUP, READY, REFUSED */
        struct worker_task task;
        struct worker_result result;
        struct {
            uint8_t level; /* as enum log_level */
            struct span line;
        } log;
        struct {
            uint64_t id;
            int64_t pid;
        } fork; /* FORK, KILL, FORKED: pid only in the last */
        struct {
            uint64_t id;
            int32_t status, signal;
            bool out_of_memory;
        } ended;
    };
};

/* Appends the frame: 0, -ENOMEM, -ENOBUFS (and then `out` is as it was). */
int worker_encode(struct bytes *out, const struct worker_frame *f)
    __attribute__((warn_unused_result));
/* The TASK that was written at that place of `out` gets `more`. */
void worker_encode_more(struct bytes *out, size_t at);
/* Reads the frame at the beginning of `in`: how many bytes it has, and its parts, which borrow from
 * `in`; 0: it is not all there yet; -EBADMSG and a sentence: this is no frame. `e` may be NULL. */
ssize_t worker_decode(struct worker_frame *f, struct span in, struct error *e)
    __attribute__((warn_unused_result));

/* ---- The texts of the set-up ---- */

struct worker_setup_step {
    const char *name;    /* as flows say it */
    const char *plugin;  /* a file; NULL: built in */
    const char *step;    /* its name there */
    struct span options; /* a JSON text; empty: none */
};

struct worker_setup {
    const char *pool;
    bool forks; /* kind: fork. It is sent FORKs, otherwise TASKs */
    const struct worker_setup_step *steps;
    unsigned step_count;
    unsigned threads; /* that a step may use of its own, at least 1 */
    uint64_t value;   /* the longest input, and the longest output */
    uint64_t memory;  /* of a fork's child; 0: no limit */
    bool unsafe;
    uint64_t shared;  /* bytes of addresses that the shared memory may have; 0: there is none */
    uint64_t outputs; /* the offset from which on it is the worker's; before that, the server's */
};

/* Appends its JSON: 0, -ENOMEM, -ENOBUFS (and then `out` is as it was). */
int worker_setup_write(struct bytes *out, const struct worker_setup *s)
    __attribute__((warn_unused_result));
/* What it holds lives in the arena. 0, -ENOMEM; -EINVAL (-EMSGSIZE) and a sentence for what is no
 * set-up, -EPROTONOSUPPORT for one of another protocol. Members it does not know are ignored. */
int worker_setup_read(struct worker_setup *s, struct arena *a, struct span text, struct error *e)
    __attribute__((warn_unused_result));

/* READY's. */
int worker_ready_write(struct bytes *out, int64_t pid) __attribute__((warn_unused_result));
int worker_ready_read(int64_t *pid, struct span text, struct error *e)
    __attribute__((warn_unused_result));

/* ---- Shared memory ---- */

/* What the first WORKER_CONTROL_SIZE bytes of the shared memory are. Each word is written by one
 * side and read by the other, at any time. */
#define WORKER_CONTROL_SIZE 4096
struct worker_control {
    _Atomic uint64_t running;   /* the worker: id of the task it is running, 0: none */
    _Atomic uint64_t cancelled; /* the server: nobody waits for this one any more */
    _Atomic uint64_t taken;     /* the server: id of the last result whose shared output it has
                                   copied: that output's memory is the worker's again */
    /* The server: tasks from this id on are not to be started, but answered as failed, with code
     * WORKER_CODE_RECALLED; 0: none. The worker writes `running` before it reads this, the server
     * the other way round, all in one order: so that one of them sees the other. */
    _Atomic uint64_t recalled;
    uint64_t reserved[60];
    /* The server: of each task of a batch that nobody waits for any more, at its id modulo
     * WORKER_BATCH_MAX, the id. */
    _Atomic uint64_t left[WORKER_BATCH_MAX];
};
