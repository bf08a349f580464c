/*
 * cli.h: what the verbs of the command line share.
 *
 * Here alone the environment is read, the real world is chosen, and something is printed.
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
    const char *help;           /* lines; the first makes sense alone; NULL: not for people */
};

/* One file a verb. */
struct verb {
    const char *name;
    const char *summary; /* NULL: not for people */
    const char *usage;   /* what may follow `weir NAME`; a line for each way */
    const char *about;   /* before the options; paragraphs, each ends with a newline */
    const char *notes;   /* after the options, likewise; or NULL */
    const struct option *options;
    size_t option_count;
    enum value_kind operand; /* what its operands are: for completion */
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

/* Every verb, in the order in which people are told of them; ends with NULL. */
extern const struct verb *const verbs[];
const struct verb *find_verb(const char *name); /* or NULL */

#define CONFIG_DEFAULT "weir.yaml"

/* ---- Arguments ---- */

/* Sorts the arguments into options, which are written into the verb's struct at `into`, and
 * operands ("--" ends the options). Returns how many operands there are, or -1 when the command
 * line is wrong, which has been reported on standard error. */
int parse_arguments(const struct verb *verb, void *into, int argc, char **argv,
    const char **operands, int operands_max);

void print_help(const struct verb *verb);

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
