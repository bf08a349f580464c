/*
 * step.h: what work is: steps by name, loaded from this program and from plugins, and called.
 *
 * A *set* is the code: which step of which plugin each name stands for. It does not change, and
 * any thread may read it. A *worker* is one who calls: it has the states that the steps' inits
 * made, and belongs to one thread at a time. A *call* is one task's: input text in, output text
 * out.
 *
 * Nothing here waits, and nothing knows where it runs: time comes from the place (struct
 * step_place).
 */
#pragma once

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/log.h"
#include "world/work.h"

#include <stdbool.h>
#include <stdint.h>

#define STEP_NAME_MAX 63
#define STEP_CODE_MAX 31 /* = ERROR_TYPE_MAX - 1 */

/* What a name stands for. All borrowed, for the set's life. */
struct step_spec {
    const char *name;    /* as flows say it */
    const char *plugin;  /* a file; NULL: built in */
    const char *step;    /* its name there */
    struct span options; /* a JSON text for init; empty: none */
};

struct step_set;
struct weir_plugin;

/* Loads plugins; a missing file, one that is no plugin, one of another ABI, a step that is not in
 * it, two steps of one name: -EINVAL (-ENOENT...) with a sentence that says which, where, what to
 * do. `overrides`: steps that replace built-in ones of the same name, for programs that watch what
 * runs, such as simulations; NULL: none. Borrowed for the set's life. `unsafe`: built-in steps that
 * are meant to do harm (crash) may be used. */
int step_set_new(struct step_set **out, const struct step_spec *specs, unsigned count,
    const struct weir_plugin *overrides, bool unsafe, struct error *e)
    __attribute__((warn_unused_result));
/* Every worker has gone. NULL is nothing to free. */
void step_set_free(struct step_set *set);
unsigned step_set_count(const struct step_set *set);
const char *step_set_name(const struct step_set *set, unsigned step);
/* Whether there is a built-in step of that name, and whether it is for `unsafe` sets only. */
bool step_is_builtin(const char *name, bool *unsafe);

/* Where a worker works. Borrowed for its life. */
struct step_place {
    struct work *work;
    unsigned threads; /* that a step may use of its own */
    /* A step's log line, without newline. From the worker's thread. */
    void (*log)(void *ctx, enum log_level level, const char *line);
    void *log_ctx;
};

struct step_worker;

/* Calls every step's init, in order. If one fails those before are torn down, and the sentence
 * names the step: -EINVAL; -ENOMEM. */
int step_worker_new(struct step_worker **out, const struct step_set *set,
    const struct step_place *place, struct error *e) __attribute__((warn_unused_result));
/* Calls every teardown. NULL is nothing to free. */
void step_worker_free(struct step_worker *k);

/* ---- A call ---- */

/* Where output is put: `base` has room for `room` bytes; `grow` (NULL: never) makes it at least
 * `room`, may move it, and keeps what is there: 0, -ENOMEM, -ENOBUFS. */
struct step_output {
    char *base;
    size_t len;
    size_t room;
    int (*grow)(struct step_output *o, size_t room);
};

enum step_outcome {
    STEP_DONE,         /* the output is there */
    STEP_FAILED,       /* the step says: 500 */
    STEP_REJECTED,     /* the step says the input is to blame: 422 */
    STEP_OUT_OF_MEMORY /* for input, output or weir_alloc */
};

struct step_call {
    unsigned step;
    struct span input;            /* a JSON text */
    char *input_in_place;         /* the same, if it may be destroyed in reading, with
                               JSON_PARSE_PADDING writable bytes behind; NULL: copy it */
    int64_t deadline;             /* DEADLINE_NEVER: none */
    bool (*cancelled)(void *ctx); /* nobody waits for it any more; NULL: only by the deadline */
    void *cancelled_ctx;
    struct step_output *output;
    /* Told by step_worker_call: */
    enum step_outcome outcome;
    struct error error; /* of what is not done: type is the step's code */
    int64_t wall_ns;    /* of parsing, running and writing */
    int64_t processor_ns;
};

/* Runs it to its end. */
void step_worker_call(struct step_worker *k, struct step_call *call);

/* Whether the step has code for several calls at once. */
bool step_worker_batches(const struct step_worker *k, unsigned step);
/* Runs them all, which are of one step, to their ends, by one run_batch; one by one if the step has
 * none. Each has its own outcome. If the code says that all have failed it is called again with one
 * half of them and then the other, down to each alone by `run`: at most 2 * count - 1 calls. What
 * nobody waits for by then is not run again, and fails. A call's times are its share of the whole.
 */
void step_worker_call_batch(struct step_worker *k, struct step_call *const *calls, unsigned count);
