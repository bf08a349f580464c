/*
 * main.c: finds the verb.
 */
#include "cli/cli.h"

#include "conf/node.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

const struct verb *const verbs[] = {&verb_serve, &verb_check, &verb_init, &verb_completion,
    &verb_version, &verb_help, &verb_worker_process, NULL};

#define VERBS (sizeof(verbs) / sizeof(verbs[0]) - 1)

static void print_usage(FILE *to)
{
    fputs("usage: weir VERB [ARGUMENT]...\n\n", to);
    for (size_t i = 0; i < VERBS; i++)
        if (verbs[i]->summary)
            fprintf(to, "    %-10s  %s\n", verbs[i]->name, verbs[i]->summary);
    fputs("\n"
          "'weir VERB --help' lists a verb's options; 'man weir' is the manual page.\n"
          "A first server: weir init hello && cd hello && weir serve\n"
          "\n"
          "Exit status: 0 success; 1 the configuration is wrong, or a file exists already; 2 the\n"
          "command line is wrong; 3 the system refused (an address in use, no memory, ...).\n",
        to);
}

const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < VERBS; i++)
        if (strcmp(verbs[i]->name, name) == 0)
            return verbs[i];
    return NULL;
}

static int unknown_verb(const char *name)
{
    const char *names[VERBS];
    size_t count = 0;
    for (size_t i = 0; i < VERBS; i++)
        if (verbs[i]->summary)
            names[count++] = verbs[i]->name;
    const char *near = conf_nearest(span_of(name), names, count);
    if (near)
        return complain(EXIT_STATUS_USAGE, "there is no verb '%s'; did you mean '%s'?", name, near);
    return complain(EXIT_STATUS_USAGE, "there is no verb '%s'; see 'weir help'", name);
}

static int help(int argc, char **argv)
{
    const char *operands[1];
    int count = parse_arguments(&verb_help, NULL, argc, argv, operands, 1);
    if (count < 0)
        return EXIT_STATUS_USAGE;
    if (count == 0) {
        print_usage(stdout);
        return EXIT_STATUS_OK;
    }
    const struct verb *verb = find_verb(operands[0]);
    if (!verb || !verb->summary)
        return unknown_verb(operands[0]);
    print_help(verb);
    return EXIT_STATUS_OK;
}

const struct verb verb_help = {
    .name = "help",
    .summary = "describe a verb and its options",
    .usage = "[VERB]\n",
    .about = "Lists the verbs, or describes one, as does weir VERB --help.\n",
    .run = help,
};

static bool wants_help(int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

static int dispatch(int argc, char **argv)
{
    if (argc == 0) {
        print_usage(stderr);
        return EXIT_STATUS_USAGE;
    }
    const char *name = argv[0];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    else if (strcmp(name, "--version") == 0)
        name = "version";
    const struct verb *verb = find_verb(name);
    if (!verb)
        return unknown_verb(name);
    if (!verb->summary || !wants_help(argc - 1, argv + 1))
        return verb->run(argc - 1, argv + 1);
    print_help(verb);
    return EXIT_STATUS_OK;
}

int main(int argc, char **argv)
{
    /* A closed pipe is an error to report, like a full disk. */
    sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    int status = dispatch(argc - 1, argv + 1);
    if (fflush(stdout) != 0 || ferror(stdout))
        return complain(
            EXIT_STATUS_ENVIRONMENT, "cannot write to standard output: %s", error_text(-errno));
    return status;
}
