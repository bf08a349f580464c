/*
 * result.h: from a worker process's RESULT to a task's outcome.
 */
#pragma once

#include "exec/client.h"
#include "wire/worker.h"

/* Gives the task its outcome; `output` is copied. `from`: the client on whose thread this is. */
void result_settle(
    struct task *t, const struct worker_result *r, struct span output, struct pool_client *from);
