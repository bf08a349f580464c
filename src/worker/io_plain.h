/*
 * io_plain.h: a worker's conversation by blocking calls: in a process of its own.
 */
#pragma once

#include "worker/worker.h"

struct worker_plain {
    struct worker_io io;
    int channel;
};

/* Shares what PLAIN_SHARED is, if the SETUP says so and `share`. */
void worker_plain_init(struct worker_plain *p, int channel, bool share);
