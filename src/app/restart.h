/*
 * restart.h: when to start the next server after one died or did not start.
 *
 * A server that was ready is replaced at once, several times in a row: each death may be the fault
 * of one bad request. One that did not become ready is likely to fail again, so that the delay
 * grows from the second failure on. A server that ran for a while ends the row.
 */
#pragma once

#include "base/time.h"

#include <stdbool.h>

struct restart {
    unsigned failures; /* in a row */
    int64_t at;        /* the earliest moment of the next start */
};

/* Notes a failure at `now` of a server that lived for lived_ns and was_ready or not. Returns the
 * delay until the next start. */
int64_t restart_after_failure(struct restart *r, int64_t now, int64_t lived_ns, bool was_ready);
