/*
 * tries.h: tests on a machine that may stand still at any moment, for half a second or several
 * times that: CONTRIBUTING.md, "Time in tests".
 */
#pragma once

#include "base/time.h"

/* Nothing that works takes as long, on whatever machine: who meets it hangs. */
#define HANG_NS (30 * NS_PER_S)

#define TRIES 10

/* Whether `shown` holds once in several tries. For what a machine that stands still hides: that
 * something is prompt, or that two things come at the same moment. Each try stands alone. */
#define one_of_tries(shown)                                \
    ({                                                     \
        bool is_shown = false;                             \
        for (int nth = 0; nth < TRIES && !is_shown; nth++) \
            is_shown = (shown);                            \
        is_shown;                                          \
    })

/* Waits in `world` for what nobody is told of; false: in vain. */
#define eventually(world, condition)                                  \
    ({                                                                \
        int64_t hangs_at = world_now(world) + HANG_NS;                \
        bool holds;                                                   \
        while (!(holds = (condition)) && world_now(world) < hangs_at) \
            assert_int_equal(world_sleep(world, NS_PER_MS), 0);       \
        holds;                                                        \
    })
