/*
 * main.c: finds the verb.
 */
#include "cli/cli.h"

#include "conf/node.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static const struct verb *const verbs[] = {
    &verb_serve, &verb_check, &verb_init, &verb_version, &verb_worker_process};

#define VERBS (sizeof(verbs) / sizeof(verbs[0]))

static void print_usage(FILE *to)
{
    fputs("usage: weir VERB [ARGUMENT]...\n\n", to);
    for (size_t i = 0; i < VERBS; i++)
        if (verbs[i]->help)
            fprintf(to, "    %-10s %s\n", verbs[i]->name, verbs[i]->summary);
    fputs("    help       say more about a verb: weir help VERB, or weir VERB --help\n"
          "\n"
          "A first one: weir init hello && cd hello && weir serve\n"
          "\n"
          "Exit status: 0 done; 1 the configuration is bad, or the work was refused;\n"
          "2 the command line is wrong; 3 the machine says no (an address in use, ...).\n",
        to);
}

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < VERBS; i++)
        if (strcmp(verbs[i]->name, name) == 0)
            return verbs[i];
    return NULL;
}

static int unknown_verb(const char *name)
{
    const char *names[VERBS + 1];
    size_t count = 0;
    for (size_t i = 0; i < VERBS; i++)
        if (verbs[i]->help)
            names[count++] = verbs[i]->name;
    names[count++] = "help";
    const char *near = conf_nearest(span_of(name), names, count);
    if (near)
        return complain(EXIT_STATUS_USAGE, "there is no verb '%s'; did you mean '%s'?", name, near);
    return complain(EXIT_STATUS_USAGE, "there is no verb '%s'; see 'weir help'", name);
}

static int help(int argc, char **argv)
{
    if (argc > 1)
        return complain(EXIT_STATUS_USAGE, "'help' takes one verb");
    if (argc == 0) {
        print_usage(stdout);
        return EXIT_STATUS_OK;
    }
    const struct verb *verb = find_verb(argv[0]);
    if ((!verb || !verb->help) && strcmp(argv[0], "help") != 0)
        return unknown_verb(argv[0]);
    if (verb)
        fputs(verb->help, stdout);
    else
        print_usage(stdout);
    return EXIT_STATUS_OK;
}

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
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return help(argc - 1, argv + 1);
    if (strcmp(name, "--version") == 0)
        name = "version";
    const struct verb *verb = find_verb(name);
    if (!verb)
        return unknown_verb(name);
    if (wants_help(argc - 1, argv + 1))
        return help(1, (char *[]){argv[0]});
    return verb->run(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    /* A reader that has gone is an error to report, like a full disk. */
    sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    int status = dispatch(argc - 1, argv + 1);
    if (fflush(stdout) != 0 || ferror(stdout))
        return complain(
            EXIT_STATUS_ENVIRONMENT, "cannot write to standard output: %s", error_text(-errno));
    return status;
}
