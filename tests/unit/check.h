/*
 * check.h: what every unit test includes: cmocka, with what it wants included before it, the names
 * by which main.c finds a file's tests, and the torture of memory.
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

/* ---- A file's tests, and what they start themselves as ---- */

struct test_entry {
    const char *name;
    int (*file)(void); /* exactly one of the two */
    int (*role)(int argc, char **argv);
    struct test_entry *next;
};

/* Called before main. */
void test_enter(struct test_entry *entry);

#define TEST_ENTRY_(entry_name, member, function)                                            \
    static struct test_entry entry_name##_entry = {.name = #entry_name, .member = function}; \
    __attribute__((constructor)) static void entry_name##_enter(void)                        \
    {                                                                                        \
        test_enter(&entry_name##_entry);                                                     \
    }

/* TEST_FILE(queue) { ... return cmocka_run_group_tests(tests, NULL, NULL); } in queue_test.c. */
#define TEST_FILE(name)                           \
    static int name##_file_of_tests(void);        \
    TEST_ENTRY_(name, file, name##_file_of_tests) \
    static int name##_file_of_tests(void)

/* TEST_ROLE(worker) { ... } is run by {"/proc/self/exe", "worker", ...}: argv[0] is its name. */
#define TEST_ROLE(name)                            \
    static int name##_role(int argc, char **argv); \
    TEST_ENTRY_(name, role, name##_role)           \
    static int name##_role(int argc, char **argv)

/* ---- Memory ---- */

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
