/*
 * check.h: what every unit test includes: cmocka, with what it wants included before it, and the
 * torture of memory.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"

#include <signal.h>
#include <stdbool.h>

/* Runs `scenario` with its first allocation failing, then its second, and so on, until none fails
 * any more. The scenario says whether it got through; it must leave nothing behind either way,
 * which the sanitizers see to. Each round once with one failure, once with all from there on
 * failing. */
static inline void torture(bool (*scenario)(void))
{
    for (int onwards = 0; onwards < 2; onwards++) {
        for (uint64_t nth = 1;; nth++) {
            mem_fail_at(nth, onwards);
            bool through = scenario();
            bool met = mem_count() >= nth;
            mem_fail_at(0, false);
            assert_true(through || met); /* it gives up for want of memory only */
            if (!met)
                break;
            assert_true(nth < 100000);
        }
    }
}

/* In a forked child that is expected to die: cmocka would take its end for a failed test and go on
 * with the next. */
static inline void die_for_real(void)
{
    static const int numbers[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaction(numbers[i], &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
}
