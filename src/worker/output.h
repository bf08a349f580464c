/*
 * output.h: where a worker process has its steps write.
 */
#pragma once

#include "worker/worker.h"

/* Before a call. */
struct step_output *worker_output_begin(struct worker_process *k);
/* After it, done: where the server finds it. What is shared is the server's from then on, until it
 * says that it has taken it. */
struct worker_text worker_output_text(struct worker_process *k);
/* After the result was put where it is written from. */
void worker_output_end(struct worker_process *k);
