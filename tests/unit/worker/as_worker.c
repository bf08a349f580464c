/*
 * as_worker.c: the program of pool tests as a worker process of its own pools.
 */
#include "../check.h"

#include "worker/main.h"

TEST_ROLE(as_worker)
{
    return worker_main(true);
}
