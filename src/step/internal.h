/*
 * internal.h: sets, workers and tasks. For this folder only.
 */
#pragma once

#include "base/limits.h"
#include "data/json.h"
#include "step/step.h"
#include "weir/step.h"

/* Of weir_alloc, for each task. */
#define STEP_ARENA_MAX ((size_t)1024 * 1024 * 1024)

/* ---- Sets ---- */

struct step_entry {
    const struct step_spec *spec; /* NULL in a test of a plugin */
    const char *name;
    struct span options;
    struct weir_step code;
    void *plugin; /* of step_plugin_open, or NULL */
};

struct step_set {
    unsigned count;
    struct step_entry *entries;
};

/* ---- Plugins ---- */

/* Whether this is a name for a step: 1 to STEP_NAME_MAX letters, digits, '-' and '_'. */
bool step_name_valid(const char *name);
/* Whether what a plugin shows is of this ABI and makes sense: 0, or -EINVAL and a sentence that
 * begins with `where`. */
int step_table_check(const struct weir_plugin *p, const char *where, struct error *e)
    __attribute__((warn_unused_result));
/* How many steps it has; the one at a place, as this Weir's struct. */
size_t step_table_count(const struct weir_plugin *p);
struct weir_step step_table_at(const struct weir_plugin *p, size_t index);
/* 0, or -ENOENT. */
int step_table_find(const struct weir_plugin *p, const char *name, struct weir_step *out)
    __attribute__((warn_unused_result));

/* Loads a file and checks its table: 0 and a handle, or a negative errno and a sentence. */
int step_plugin_open(const char *file, void **handle, const struct weir_plugin **table,
    struct error *e) __attribute__((warn_unused_result));
void step_plugin_close(void *handle);

/* ---- Output ---- */

enum step_mistake {
    MISTAKE_NONE,
    MISTAKE_NO_VALUE,
    MISTAKE_SECOND_VALUE,
    MISTAKE_LEFT_OPEN,
    MISTAKE_END_OF_NOTHING,
    MISTAKE_KEY_OUTSIDE,
    MISTAKE_KEY_MISSING,
    MISTAKE_KEY_WITHOUT_VALUE,
    MISTAKE_TOO_DEEP,
    MISTAKE_NO_NUMBER,
    MISTAKE_NO_TEXT,
    MISTAKE_NO_UTF8
};

/* One value, as it is being written. After the first mistake, or without room, nothing is written
 * any more. */
struct output {
    struct step_output *to;
    uint64_t objects[(JSON_DEPTH_MAX + 63) / 64]; /* a bit a level: it is an object */
    unsigned depth;
    bool empty;    /* the innermost array or object has nothing in it yet */
    bool keyed;    /* a key stands there, and its value does not */
    bool complete; /* the value has ended */
    enum step_mistake mistake;
    int rc; /* -ENOMEM, -ENOBUFS */
};

void output_init(struct output *o, struct step_output *to);
/* The last look: something must be there, and nothing open. */
void output_finish(struct output *o);
/* What the mistake was, as the end of "the step ...". */
const char *output_mistake_text(enum step_mistake mistake);

/* ---- Workers and tasks ---- */

/* What a step sees of its worker: one for each step, since options and state are the step's. */
struct weir_worker {
    const struct step_entry *step;
    const struct step_place *place;
    struct json *options; /* NULL: none */
    void *state;
    struct error refusal; /* by weir_init_fail */
    bool up;              /* init was 0, and teardown is due */
};

struct step_worker {
    const struct step_set *set;
    const struct step_place *place;
    struct arena arena;       /* the task's */
    int64_t processor_last;   /* the last reading of the thread's processor time */
    int64_t processor_at;     /* when that was */
    struct step_batch *batch; /* NULL before the first */
    struct weir_worker steps[];
};

struct weir_task {
    struct weir_worker *worker;
    struct step_call *call;
    struct arena *arena;
    struct output output;
    struct json *input; /* NULL: not read yet, or it cannot be */
    bool input_read;
    struct error unread; /* why it cannot be */
    bool no_memory;      /* weir_alloc had none */
    bool said;           /* weir_fail or weir_reject was called: */
    enum step_outcome outcome;
    struct error error;
};

/* ---- A call in its parts ---- */

/* When it began. */
int64_t step_time_begin(struct step_worker *k);
/* What passed since then, given to each of the calls in equal shares. */
void step_time_end(
    struct step_worker *k, struct step_call *const *calls, unsigned count, int64_t start);
void step_task_init(
    struct weir_task *t, struct weir_worker *w, struct step_call *c, struct arena *a);
/* What became of it, from what `run` returned and what it was denied. */
void step_task_judge(struct weir_task *t, int returned);
int step_task_refuse(struct step_call *c, enum step_outcome outcome, const char *code,
    const char *format, ...) __attribute__((format(printf, 4, 5)));

void step_batch_free(struct step_batch *b);
