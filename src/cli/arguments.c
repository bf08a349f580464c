/*
 * arguments.c: parses options and operands, and prints help.
 *
 * Not getopt, which has global state and no suggestions for misspelt options.
 */
#include "cli/cli.h"

#include "conf/node.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define OPTIONS_MAX 16

int complain(enum exit_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("weir: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return (int)status;
}

struct parser {
    const struct verb *verb;
    char *into;
    int argc;
    char **argv;
    int at;
};

static const struct option *find_name(const struct parser *p, struct span name)
{
    for (size_t i = 0; i < p->verb->option_count; i++)
        if (span_equal(name, span_of(p->verb->options[i].name)))
            return &p->verb->options[i];
    return NULL;
}

static const struct option *find_letter(const struct parser *p, char letter)
{
    for (size_t i = 0; i < p->verb->option_count; i++)
        if (p->verb->options[i].letter == letter)
            return &p->verb->options[i];
    return NULL;
}

static int unknown(const struct parser *p, struct span name)
{
    const char *names[OPTIONS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < p->verb->option_count && count < OPTIONS_MAX; i++)
        if (p->verb->options[i].help)
            names[count++] = p->verb->options[i].name;
    const char *near = conf_nearest(name, names, count);
    if (near)
        complain(EXIT_STATUS_USAGE, "'%s' has no option '--%.*s'; did you mean '--%s'?",
            p->verb->name, SPAN_ARG(name), near);
    else
        complain(EXIT_STATUS_USAGE, "'%s' has no option '--%.*s'; see 'weir help %s'",
            p->verb->name, SPAN_ARG(name), p->verb->name);
    return -1;
}

/* `value` is what stands behind the '=' or the letter, or NULL. */
static int apply(struct parser *p, const struct option *o, const char *value)
{
    if (o->kind == VALUE_NONE) {
        if (value) {
            complain(EXIT_STATUS_USAGE, "'--%s' takes no value", o->name);
            return -1;
        }
        *(bool *)(void *)(p->into + o->at) = true;
        return 0;
    }
    if (!value && p->at < p->argc)
        value = p->argv[p->at++];
    if (!value || !*value) {
        complain(
            EXIT_STATUS_USAGE, "'--%s' needs a value; see 'weir help %s'", o->name, p->verb->name);
        return -1;
    }
    *(const char **)(void *)(p->into + o->at) = value;
    return 0;
}

static int parse_option(struct parser *p, const char *argument)
{
    if (argument[1] != '-') {
        const struct option *o = find_letter(p, argument[1]);
        if (!o) {
            complain(EXIT_STATUS_USAGE, "'%s' has no option '-%c'; see 'weir help %s'",
                p->verb->name, argument[1], p->verb->name);
            return -1;
        }
        return apply(p, o, argument[2] ? argument + 2 : NULL);
    }
    const char *equals = strchr(argument, '=');
    struct span name = {
        argument + 2, equals ? (size_t)(equals - argument) - 2 : strlen(argument) - 2};
    const struct option *o = find_name(p, name);
    return o ? apply(p, o, equals ? equals + 1 : NULL) : unknown(p, name);
}

int parse_arguments(const struct verb *verb, void *into, int argc, char **argv,
    const char **operands, int operands_max)
{
    struct parser p = {verb, into, argc, argv, 0};
    bool only_operands = false;
    int count = 0;
    while (p.at < argc) {
        const char *argument = argv[p.at++];
        if (!only_operands && strcmp(argument, "--") == 0) {
            only_operands = true;
        } else if (!only_operands && argument[0] == '-' && argument[1]) {
            if (parse_option(&p, argument))
                return -1;
        } else if (count == operands_max) {
            complain(EXIT_STATUS_USAGE, "unexpected argument '%s'; see 'weir help %s'", argument,
                verb->name);
            return -1;
        } else {
            operands[count++] = argument;
        }
    }
    return count;
}

const char *config_path(
    const char *verb, const char *option, const char *const *operands, int operand_count)
{
    if (option && operand_count > 0) {
        complain(EXIT_STATUS_USAGE, "'%s' takes one configuration, not '%s' and '%s'", verb, option,
            operands[0]);
        return NULL;
    }
    if (operand_count > 0)
        return operands[0];
    return option ? option : CONFIG_DEFAULT;
}

/* ---- Help ---- */

/* "-c, --config FILE", as wide as it is. */
static int print_names(const struct option *o, FILE *to)
{
    int width = o->letter ? fprintf(to, "-%c, ", o->letter) : fprintf(to, "    ");
    width += fprintf(to, "--%s", o->name);
    return o->value ? width + fprintf(to, " %s", o->value) : width;
}

static int names_width(const struct option *o)
{
    return (int)(strlen("-x, --") + strlen(o->name) + (o->value ? 1 + strlen(o->value) : 0));
}

/* Lines, the first of which stands behind what is `width` wide already. */
static void print_lines(const char *lines, int width, int column)
{
    for (const char *at = lines; *at;) {
        int len = (int)strcspn(at, "\n");
        printf("%*s%.*s\n", column - width, "", len, at);
        width = 0;
        at += len + (at[len] == '\n');
    }
}

static void print_options(const struct verb *verb)
{
    static const struct option help = {.letter = 'h', .name = "help", .help = "print this help"};
    const int margin = 4;
    const int gap = 2;
    int widest = names_width(&help);
    for (size_t i = 0; i < verb->option_count; i++)
        if (verb->options[i].help && names_width(&verb->options[i]) > widest)
            widest = names_width(&verb->options[i]);
    putchar('\n');
    for (size_t i = 0; i <= verb->option_count; i++) {
        const struct option *o = i < verb->option_count ? &verb->options[i] : &help;
        if (!o->help)
            continue;
        int width = printf("%*s", margin, "") + print_names(o, stdout);
        print_lines(o->help, width, margin + widest + gap);
    }
}

void print_help(const struct verb *verb)
{
    const char *lead = "usage:";
    for (const char *at = verb->usage; *at;) {
        int len = (int)strcspn(at, "\n");
        printf("%-6s weir %s%s%.*s\n", lead, verb->name, len ? " " : "", len, at);
        lead = "";
        at += len + (at[len] == '\n');
    }
    printf("\n%s", verb->about);
    print_options(verb);
    if (verb->notes)
        printf("\n%s", verb->notes);
}
