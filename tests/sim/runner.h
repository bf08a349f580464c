/*
 * runner.h: runs scenarios, each with many seeds.
 *
 *     ./echo [NAME...]        all scenarios, or those named, with 200 seeds each
 *     SEED=7 ./echo NAME      one seed, every event as text
 *
 * SEEDS=N how many seeds; SEED_FROM=N: the first of them, instead of 1 SEED=N only this one; its
 * events go to standard error SIM_LOG=PATH or to this file SIM_ABORT=1 a failure aborts there and
 * then, for debuggers
 *
 * Every tenth seed is run twice and must give the same events both times; none may compute for a
 * minute. The first failure ends the program with status 1, after it has said what, with which
 * seed, and how to run it again.
 */
#pragma once

#include "world/sim/sim.h"

struct scenario {
    const char *name;
    /* Builds the hosts, runs the universe, and looks at what came of it, with sim_check, which, if
     * it fails, says so and goes on. */
    void (*run)(struct sim *sim);
    struct sim_options options; /* the runner sets where text goes */
};

/* The program's exit status. */
int run_scenarios(int argc, char **argv, const struct scenario *scenarios, size_t count);
