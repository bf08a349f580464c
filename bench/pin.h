/*
 * pin.h: keeps a thread on one processor, where a figure depends on which.
 */
#pragma once

#include <sched.h>
#include <stddef.h>

/* The calling thread runs on the nth processor of `among` (NULL: those it may use now), or on the
 * last. */
static inline void bench_pin(const cpu_set_t *among, int nth)
{
    cpu_set_t may;
    if (among)
        may = *among;
    else if (sched_getaffinity(0, sizeof may, &may) != 0)
        return;
    int chosen = 0;
    for (int cpu = 0, seen = 0; cpu < CPU_SETSIZE && seen <= nth; cpu++)
        if (CPU_ISSET(cpu, &may)) {
            chosen = cpu;
            seen++;
        }
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(chosen, &only);
    sched_setaffinity(0, sizeof only, &only);
}
