/*
 * metrics.h: the metrics of all connections and bodies, summed over the I/O threads when read.
 */
#pragma once

#include "app/io_thread.h"
#include "meter/meter.h"

/* Must live as long as the meter is written, with all it points to. */
struct app_metrics {
    struct io_thread *const *io_threads;
    unsigned count;
    const struct body_budget *bodies;
};

/* 0 or -ENOMEM. */
int app_metrics_register(struct app_metrics *m, struct meter *meter)
    __attribute__((warn_unused_result));
