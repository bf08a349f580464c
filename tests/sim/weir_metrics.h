/*
 * weir_metrics.h: reads a weir's /metrics again and again, as Prometheus does, only more often, and
 * tells the scenario each sample: so it sees what users see of bounds and queues.
 */
#pragma once

#include "base/bytes.h"
#include "world/sim/sim.h"

#define WEIR_ADMIN_PORT 9900

struct weir_metrics {
    struct sim *sim;
    const char *host; /* whose; its `admin` is "*:9900" */
    int64_t every_ns; /* at most, between two readings */
    /* `labels`: what stands between the braces, or empty. */
    void (*see)(void *ctx, struct span name, struct span labels, double value);
    void *ctx;
    bool over; /* the scenario sets it when it is to end */
    unsigned readings;
    struct sim_process *process;
};

/* When the weir is ready, on a host of its own. `m` must live as long as the universe. */
void weir_metrics_start(struct weir_metrics *m);
/* By a director: ends it, before the weir ends. */
int weir_metrics_stop(struct weir_metrics *m) __attribute__((warn_unused_result));
