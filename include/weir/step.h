/*
 * weir/step.h: what a step is to who writes one: a function from JSON to JSON, in a shared object.
 *
 *     #include <weir/step.h>
 *
 *     static int greet(struct weir_task *t)
 *     {
 *         const char *name = weir_text(weir_member(weir_input(t), "name"), NULL);
 *         if (!name)
 *             return weir_reject(t, "no-name", "the input has no text 'name'");
 *         weir_out_object(t);
 *         weir_out_key(t, "greeting");
 *         weir_out_textf(t, "Hello, %s!", name);
 *         weir_out_end(t);
 *         return 0;
 *     }
 *
 *     static const struct weir_step steps[] = {{.name = "greet", .run = greet}};
 *     WEIR_PLUGIN("greetings", steps);
 *
 *     cc $(pkg-config --cflags weir-step) -fPIC -shared -o greetings.so greetings.c
 *
 * A step is pure: its output depends on its input and its options alone, so that it may run on any
 * worker, and again on another after a worker died. It may keep a worker's own state (a model,
 * buffers), made by `init`; a worker runs one task at a time, so that state needs no lock. What
 * all workers of one process share (globals, libraries) does.
 *
 * The functions below are the host's, found when the plugin is loaded: nothing is linked. They are
 * for the thread that runs the task, while it runs.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_STEP_ABI 1

struct weir_task;   /* one call of a step */
struct weir_worker; /* who makes the calls: a thread, or a process */
struct weir_value;  /* a JSON value of the input, or of the options */

struct weir_step {
    const char *name; /* letters, digits, '-' and '_' */
    /* 0 and the output is the task's; or what weir_fail or weir_reject gave. */
    int (*run)(struct weir_task *t);
    /* Once for each worker, before its first task; what it stores is the tasks' weir_state. 0, or
     * what weir_init_fail gave. NULL: none needed. */
    int (*init)(struct weir_worker *w, void **state);
    void (*teardown)(void *state); /* once, if init was 0; NULL: none needed */
    /* Two or more tasks at once, where the configuration says `batch`: each has its own input and
     * output, and may fail alone by weir_fail or weir_reject. 0: they have what they are to have.
     * Anything else: all have failed, and are tried again in halves, and the last alone by `run`,
     * to find the one that is to blame. NULL: they are run one by one. */
    int (*run_batch)(struct weir_task *const *tasks, size_t count);
};

/* What a plugin shows: one object of this name. Its head never changes; what follows `abi` is as
 * that number says. */
struct weir_plugin {
    uint32_t abi;  /* WEIR_STEP_ABI */
    uint32_t size; /* of one struct weir_step */
    const char *name;
    const struct weir_step *steps;
    size_t step_count;
};

#define WEIR_EXPORT __attribute__((visibility("default")))
#define WEIR_PLUGIN(plugin_name, plugin_steps)                                                    \
    extern WEIR_EXPORT const struct weir_plugin weir_plugin;                                      \
    const struct weir_plugin weir_plugin = {WEIR_STEP_ABI, sizeof(struct weir_step), plugin_name, \
        plugin_steps, sizeof(plugin_steps) / sizeof((plugin_steps)[0])}

/* ---- The input: values live until the task ends; NULL is a value that is not there ---- */

enum weir_type {
    WEIR_NULL, /* also of NULL */
    WEIR_BOOL,
    WEIR_NUMBER,
    WEIR_TEXT,
    WEIR_ARRAY,
    WEIR_OBJECT
};

WEIR_EXPORT const struct weir_value *weir_input(struct weir_task *t);
WEIR_EXPORT enum weir_type weir_type(const struct weir_value *v);
/* The value, or `otherwise` if it is of another type or does not fit: 1e400 is no double, and
 * neither 1.5 nor 2^63 is an int64_t. */
WEIR_EXPORT bool weir_bool(const struct weir_value *v, bool otherwise);
WEIR_EXPORT double weir_number(const struct weir_value *v, double otherwise);
WEIR_EXPORT int64_t weir_integer(const struct weir_value *v, int64_t otherwise);
/* UTF-8 that ends with a zero byte, beside which it may hold others: `length` (may be NULL) counts.
 * NULL if it is no text. */
WEIR_EXPORT const char *weir_text(const struct weir_value *v, size_t *length);
/* Elements of an array, members of an object; 0 for anything else. */
WEIR_EXPORT size_t weir_count(const struct weir_value *v);
/* The member of that name, or NULL. */
WEIR_EXPORT const struct weir_value *weir_member(const struct weir_value *v, const char *name);
/* The element, or NULL. It is found by counting: go through long arrays by weir_next. */
WEIR_EXPORT const struct weir_value *weir_element(const struct weir_value *v, size_t index);

/* Goes through an array or an object, in order:
 *
 *     struct weir_each each = weir_each(v);
 *     while (weir_next(&each))
 *         sum += weir_number(each.value, 0);
 */
struct weir_each {
    const struct weir_value *value;
    const char *name; /* of a member; ends with a zero byte */
    size_t name_length;
    size_t index;     /* from 0 */
    const void *next; /* the host's */
    size_t left;
};
WEIR_EXPORT struct weir_each weir_each(const struct weir_value *v);
WEIR_EXPORT bool weir_next(struct weir_each *each);

/* ---- The output: exactly one value, written from front to back ----
 *
 * A mistake (a key in an array, a second value, something left open, a number that JSON has not,
 * text that is not UTF-8) is remembered, and fails the task when `run` returns. */

WEIR_EXPORT void weir_out_null(struct weir_task *t);
WEIR_EXPORT void weir_out_bool(struct weir_task *t, bool b);
WEIR_EXPORT void weir_out_integer(struct weir_task *t, int64_t n);
/* In the fewest digits that read back as the same number. */
WEIR_EXPORT void weir_out_number(struct weir_task *t, double n);
WEIR_EXPORT void weir_out_text(struct weir_task *t, const char *text);
WEIR_EXPORT void weir_out_text_n(struct weir_task *t, const char *text, size_t length);
WEIR_EXPORT void weir_out_textf(struct weir_task *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A value of the input, as it is. */
WEIR_EXPORT void weir_out_value(struct weir_task *t, const struct weir_value *v);
WEIR_EXPORT void weir_out_array(struct weir_task *t);
WEIR_EXPORT void weir_out_object(struct weir_task *t);
/* Within an object, before each value. */
WEIR_EXPORT void weir_out_key(struct weir_task *t, const char *name);
WEIR_EXPORT void weir_out_key_n(struct weir_task *t, const char *name, size_t length);
/* Ends the innermost array or object. */
WEIR_EXPORT void weir_out_end(struct weir_task *t);

/* ---- The task ---- */

/* `return weir_fail(t, "no-model", "...")`: the step cannot do it; its caller gets a 500 with this
 * code (letters, digits and '-', at most 31) and sentence. The code "out-of-memory" is as if Weir
 * had found none: a 503. Of several calls the first counts. */
WEIR_EXPORT int weir_fail(struct weir_task *t, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same where the input is to blame: a 422. */
WEIR_EXPORT int weir_reject(struct weir_task *t, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Memory that ends with the task, aligned for anything; NULL if there is none. */
WEIR_EXPORT void *weir_alloc(struct weir_task *t, size_t size);
/* Whether nobody waits for the output any more: its caller left, or its deadline has passed. A
 * long step asks now and then (it costs some 30 ns), and returns weir_fail(t, "cancelled", ...). */
WEIR_EXPORT bool weir_cancelled(const struct weir_task *t);
/* Nanoseconds until the deadline, at least 0; INT64_MAX: none. */
WEIR_EXPORT int64_t weir_time_left(const struct weir_task *t);
/* What init stored. */
WEIR_EXPORT void *weir_state(const struct weir_task *t);
WEIR_EXPORT struct weir_worker *weir_task_worker(const struct weir_task *t);

enum weir_level { WEIR_LOG_DEBUG, WEIR_LOG_INFO, WEIR_LOG_WARNING, WEIR_LOG_ERROR };

/* A line in the server's log, with the step's name. */
WEIR_EXPORT void weir_log(struct weir_worker *w, enum weir_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- The worker ---- */

/* The step's `options` in the configuration; NULL: none. During init. */
WEIR_EXPORT const struct weir_value *weir_options(const struct weir_worker *w);
/* How many threads of its own a step may use, so that all workers together use the machine once. */
WEIR_EXPORT unsigned weir_threads(const struct weir_worker *w);
/* `return weir_init_fail(w, "cannot read %s", path)`: the server does not start, and says so. */
WEIR_EXPORT int weir_init_fail(struct weir_worker *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#ifdef __cplusplus
}
#endif
