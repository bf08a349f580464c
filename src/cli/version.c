/*
 * version.c: weir version.
 */
#include "cli/cli.h"

#include <stdio.h>

static int run(int argc, char **argv)
{
    if (parse_arguments("version", NULL, 0, argc, argv, NULL, 0) < 0)
        return EXIT_STATUS_USAGE;
    /* WEIR_LIBRARIES: what it was built with, by the build. */
    printf("weir %s\nbuilt with %s\n", WEIR_VERSION, WEIR_LIBRARIES);
    return EXIT_STATUS_OK;
}

const struct verb verb_version = {
    .name = "version",
    .summary = "say which weir this is, and what it was built with",
    .help = "usage: weir version\n"
            "\n"
            "Prints the version, and the versions of the libraries that it was built with.\n",
    .run = run,
};
