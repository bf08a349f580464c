/*
 * result.h: from a worker process's RESULT to a task's outcome.
 */
#pragma once

#include "exec/client.h"
#include "wire/worker.h"

/* `output`: where the result's text was found. It is copied here, once. `from`: the client on whose
 * thread this is called. */
void result_settle(
    struct task *t, const struct worker_result *r, struct span output, struct pool_client *from);
