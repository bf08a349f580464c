/*
 * worker_process.c: weir worker-process: what a pool starts to run steps in. Not for people.
 */
#include "cli/cli.h"

#include "worker/main.h"
#include "world/process_title.h"

struct worker_process {
    bool unsafe;
};

static const struct option options[] = {
    {.name = "unsafe-steps", .at = offsetof(struct worker_process, unsafe)}};

static int run(int argc, char **argv)
{
    struct worker_process w = {0};
    if (parse_arguments(&verb_worker_process, &w, argc, argv, NULL, 0) < 0)
        return EXIT_STATUS_USAGE;
    /* The verb's arguments are the last of the process's; the first is the title. */
    process_title(argv[-2], "weir-worker");
    return worker_main(w.unsafe);
}

const struct verb verb_worker_process = {
    .name = "worker-process", VERB_OPTIONS(options), .run = run};
