/*
 * step.h: steps by name, from this program and from plugins, and their calls.
 *
 * A *set* maps each name to a step of a plugin. It does not change, and any thread may read it. A
 * *worker* calls steps: it has the states that their inits made, and belongs to one thread at a
 * time. A *call* is one task's: input text in, output text out.
 *
 * Nothing here waits, or depends on where it runs: time comes from struct step_place.
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

/* One name. All borrowed, for the set's life. */
struct step_spec {
    const char *name;    /* used in flows */
    const char *plugin;  /* a file; NULL: built in */
    const char *step;    /* its name in the plugin */
    struct span options; /* a JSON text for init; empty: none */
};

struct step_set;
struct weir_plugin;

/* Loads plugins. -EINVAL (-ENOENT...) with a sentence that names the file and the remedy: for a
 * missing file, one that is no plugin or has another ABI, a step that it lacks, two steps of one
 * name. `overrides`: steps that replace built-in ones of the same name, for programs that watch
 * steps, such as simulations; NULL: none. Borrowed for the set's life. `unsafe`: allows built-in
 * steps that do harm on purpose (crash). */
int step_set_new(struct step_set **out, const struct step_spec *specs, unsigned count,
    const struct weir_plugin *overrides, bool unsafe, struct error *e)
    __attribute__((warn_unused_result));
/* After all its workers. Ignores NULL. */
void step_set_free(struct step_set *set);
unsigned step_set_count(const struct step_set *set);
const char *step_set_name(const struct step_set *set, unsigned step);
/* Whether there is a built-in step of that name, and whether it is for `unsafe` sets only. */
bool step_is_builtin(const char *name, bool *unsafe);

/* A worker's surroundings. Borrowed for its life. */
struct step_place {
    struct work *work;
    unsigned threads; /* that a step may use of its own */
    /* A step's log line, without newline. From the worker's thread. */
    void (*log)(void *ctx, enum log_level level, const char *line);
    void *log_ctx;
};

struct step_worker;

/* Calls every step's init, in order. If one fails, tears down those before: -EINVAL with a sentence
 * that names the step; -ENOMEM. */
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
    STEP_FAILED,       /* by weir_fail: 500 */
    STEP_REJECTED,     /* by weir_reject, for a wrong input: 422 */
    STEP_OUT_OF_MEMORY /* for input, output or weir_alloc */
};

struct step_call {
    unsigned step;
    struct span input;    /* a JSON text */
    char *input_in_place; /* the same, if it may be destroyed in reading, with
                               JSON_PARSE_PADDING writable bytes behind; NULL: copy it */
    int64_t deadline;     /* DEADLINE_NEVER: none */
    bool (*cancelled)(
        void *ctx); /* the result is not needed any more; NULL: only after the deadline */
    void *cancelled_ctx;
    struct step_output *output;
    /* Set by step_worker_call: */
    enum step_outcome outcome;
    struct error error; /* unless STEP_DONE: type is the step's code */
    int64_t wall_ns;    /* of parsing, running and writing */
    int64_t processor_ns;
};

/* Runs the call to its end. */
void step_worker_call(struct step_worker *k, struct step_call *call);

/* Returns true if the step has a run_batch. */
bool step_worker_batches(const struct step_worker *k, unsigned step);
/* Runs calls of one step to their ends by one run_batch; one by one if the step has none. Each has
 * its own outcome. If run_batch fails as a whole, it is called again with each half, down to each
 * call alone by `run`: at most 2 * count - 1 calls. Cancelled calls are not run again, and fail.
 * The times of a call are its share of the whole. */
void step_worker_call_batch(struct step_worker *k, struct step_call *const *calls, unsigned count);
