/*
 * work.h: how work is timed on the thread that does it, and made up for tests and labs.
 *
 * Steps run on I/O threads, on companions and in processes of their own, in the real world and in
 * simulated ones. Each of these gives its steps one of these.
 */
#pragma once

#include <stdint.h>

struct work {
    /* The monotonic clock that deadlines are told on, in nanoseconds. */
    int64_t (*now)(struct work *work);
    /* Processor time that this thread has used so far, in nanoseconds. */
    int64_t (*processor)(struct work *work);
    /* Computes for that much of the thread's processor time. */
    void (*burn)(struct work *work, int64_t ns);
};
