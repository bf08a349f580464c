/*
 * as_worker.c: the program of pool tests as a worker process of its own pools.
 */
#include "../check.h"

#include "pool/pool.h"

TEST_ROLE(as_worker)
{
    return pool_worker_main(true);
}
