/*
 * figures.h: what the connections of all I/O threads add up to, as metrics that are read when asked
 * for.
 */
#pragma once

#include "app/io_thread.h"
#include "meter/meter.h"

struct figures;

/* Registers them. The I/O threads and the budget must live as long as the meter is asked. 0 or
 * -ENOMEM. */
int figures_register(struct figures **out, struct meter *meter, struct io_thread *const *io_threads,
    unsigned count, const struct body_budget *bodies) __attribute__((warn_unused_result));
/* After the meter has gone. NULL is nothing to free. */
void figures_free(struct figures *f);
