/*
 * version.c: weir version.
 */
#include "cli/cli.h"

#include <stdio.h>

static int run(int argc, char **argv)
{
    if (parse_arguments(&verb_version, NULL, argc, argv, NULL, 0) < 0)
        return EXIT_STATUS_USAGE;
    /* WEIR_LIBRARIES: what it was built with, by the build. */
    printf("weir %s\nbuilt with %s\n", WEIR_VERSION, WEIR_LIBRARIES);
    return EXIT_STATUS_OK;
}

const struct verb verb_version = {
    .name = "version",
    .summary = "print the version, and those of the libraries",
    .usage = "\n",
    .about = "Prints the version, and the versions of the libraries that it was built with.\n",
    .run = run,
};
