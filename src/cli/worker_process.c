/*
 * worker_process.c: weir worker-process: what a pool starts to run steps in. Not for people.
 */
#include "cli/cli.h"

#include "pool/pool.h"

static int run(int argc, char **argv)
{
    bool unsafe = false;
    const struct option options[] = {{.name = "unsafe-steps", .flag = &unsafe}};
    if (parse_arguments("worker-process", options, 1, argc, argv, NULL, 0) < 0)
        return EXIT_STATUS_USAGE;
    return pool_worker_main(unsafe);
}

const struct verb verb_worker_process = {.name = "worker-process", .run = run};
