/*
 * main.c: a worker process of the real world, from its start to its exit status.
 */
#include "worker/main.h"

#include "worker/io_plain.h"
#include "worker/zygote.h"
#include "world/plain.h"

int worker_main(bool unsafe)
{
    struct worker_plain plain;
    struct worker_process k;
    enum worker_exit exit;
    worker_plain_init(&plain, PLAIN_CHANNEL, true);
    int rc = plain_begin();
    if (rc) {
        plain.io.complain(&plain.io, "a worker process is started by a pool, with a channel");
        return WORKER_EXIT_FAILED;
    }
    rc = worker_process_open(&k, &plain.io, unsafe, &exit);
    if (rc == 0 && k.setup.forks)
        exit = zygote_serve(&k);
    else if (rc == 0 && worker_process_ready(&k, &exit) == 0)
        exit = worker_process_run(&k);
    worker_process_release(&k);
    return (int)exit;
}
