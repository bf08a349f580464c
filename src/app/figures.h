/*
 * figures.h: what the connections of all workers add up to, as metrics that are read when asked
 * for.
 */
#pragma once

#include "app/worker.h"
#include "meter/meter.h"

struct figures;

/* Registers them. Workers and budget must live as long as the meter is asked. 0 or -ENOMEM. */
int figures_register(struct figures **out, struct meter *meter, struct worker *const *workers,
    unsigned count, const struct body_budget *bodies) __attribute__((warn_unused_result));
/* After the meter has gone. NULL is nothing to free. */
void figures_free(struct figures *f);
