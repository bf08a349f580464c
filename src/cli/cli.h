/*
 * cli.h: what the verbs of the command line share.
 *
 * Here alone the environment is read, the real world is chosen, and something is printed.
 */
#pragma once

#include "app/plan.h"
#include "app/supervisor.h"

#include <stdbool.h>
#include <stddef.h>

/* One file a verb. `run` gets the arguments after the verb's name, and returns an exit status. */
struct verb {
    const char *name;
    const char *summary;
    const char *help; /* NULL: not for people, and not told of */
    int (*run)(int argc, char **argv);
};

extern const struct verb verb_serve;
extern const struct verb verb_check;
extern const struct verb verb_init;
extern const struct verb verb_version;
extern const struct verb verb_worker_process;

#define CONFIG_DEFAULT "weir.yaml"

/* ---- Arguments ---- */

struct option {
    char letter; /* or 0 */
    const char *name;
    const char **value; /* for an option with a value; otherwise: */
    bool *flag;
};

/* Sorts the arguments into options and operands ("--" ends the options): how many operands there
 * are, or -1, and standard error has been told what is wrong. */
int parse_arguments(const char *verb, const struct option *options, size_t option_count, int argc,
    char **argv, const char **operands, int operands_max);

/* Says "weir: SENTENCE" on standard error, and returns the status. */
int complain(enum exit_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The file that -c and an operand name, which may not both: NULL, and it has been told. */
const char *config_path(
    const char *verb, const char *option, const char *const *operands, int operand_count);

/* ---- The real world ---- */

/* A configuration's files and variables, as they are on this machine; in a coroutine of the
 * world. */
struct conf_source real_source(struct world *w);

/* Opens a world and runs fn(w, arg) in it: its exit status. `log` may be NULL. */
struct in_world {
    struct world *world;
    int (*fn)(struct world *w, void *arg);
    void *arg;
};
int run_in_world(struct log *log, int (*fn)(struct world *w, void *arg), void *arg);
