/*
 * zygote.h: a worker process that runs no task itself: it has everything loaded, and forks a fresh
 * child for each task, which comes over a channel of the child's own. It has one thread, since a
 * fork has no more; and it looks after its children: tells their ends, and kills those that take
 * more memory than they may.
 *
 * Of the real world only.
 */
#pragma once

#include "worker/worker.h"

/* After worker_process_open, until the end: makes the steps ready, and serves. */
enum worker_exit zygote_serve(struct worker_process *k);
