/*
 * cli.h: shared by the verbs of the command line.
 *
 * Only this folder reads the environment, chooses the real world, and prints.
 */
#pragma once

#include "app/loaded_config.h"
#include "app/supervisor.h"

#include <stdbool.h>
#include <stddef.h>

/* ---- Verbs and their options: the parser, --help and completion are made from these ---- */

enum value_kind { VALUE_NONE, VALUE_WORD, VALUE_FILE, VALUE_FOLDER, VALUE_CHOICE };

struct option {
    char letter; /* or 0 */
    const char *name;
    size_t at; /* where in the verb's struct: a bool, or a const char * if it has a value */
    enum value_kind kind;
    const char *value;          /* the value's name in the help */
    const char *const *choices; /* ends with NULL */
    const char *help;           /* lines, of which completion shows the first; NULL: hidden */
};

/* One file a verb. */
struct verb {
    const char *name;
    const char *summary; /* NULL: hidden */
    const char *usage;   /* what may follow `weir NAME`; a line for each way */
    const char *about;   /* before the options; paragraphs, each ends with a newline */
    const char *notes;   /* after the options, likewise; or NULL */
    const struct option *options;
    size_t option_count;
    enum value_kind operand; /* of its operands: for completion */
    const char *const *operand_choices;
    /* Gets the arguments after the verb's name. Returns an exit status. */
    int (*run)(int argc, char **argv);
};

#define VERB_OPTIONS(table) .options = (table), .option_count = sizeof(table) / sizeof((table)[0])

extern const struct verb verb_serve;
extern const struct verb verb_check;
extern const struct verb verb_init;
extern const struct verb verb_completion;
extern const struct verb verb_version;
extern const struct verb verb_help;
extern const struct verb verb_worker_process;

/* All verbs in the order of the help; ends with NULL. */
extern const struct verb *const verbs[];
const struct verb *find_verb(const char *name); /* or NULL */

#define CONFIG_DEFAULT "weir.yaml"

/* ---- Arguments ---- */

/* Parses options into the verb's struct at `into`, and collects operands ("--" ends the options).
 * Returns the number of operands, or -1 after an error message on standard error. */
int parse_arguments(const struct verb *verb, void *into, int argc, char **argv,
    const char **operands, int operands_max);

void print_help(const struct verb *verb);

/* Prints "weir: SENTENCE" on standard error, and returns the status. */
int complain(enum exit_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Returns the file given by -c or as an operand; NULL after an error message if both are given. */
const char *config_path(
    const char *verb, const char *option, const char *const *operands, int operand_count);

/* ---- The real world ---- */

/* Reads a configuration's files and variables on this machine, in a coroutine of the world. */
struct conf_source real_source(struct world *w);

/* Opens a world, runs fn(w, arg) in it, and returns its exit status. `log` may be NULL. */
struct in_world {
    struct world *world;
    int (*fn)(struct world *w, void *arg);
    void *arg;
};
int run_in_world(struct log *log, int (*fn)(struct world *w, void *arg), void *arg);
