/*
 * bug.h: the third voice. Operating errors are returned (error.h), a user's mistakes are told to
 * the user; what is said here is about *our own* mistakes: a sentence, where, and the process ends.
 *
 * check() stays on in production: it stands where going on would corrupt or mislead. dcheck() is
 * for what is too expensive to ask each time, and is compiled only into debug builds (WEIR_DEBUG).
 */
#pragma once

#include <stdbool.h>

/* Says "bug: FILE:LINE: FUNCTION: sentence" on standard error, calls the hook, aborts. */
_Noreturn void bug_at(const char *file, int line, const char *function, const char *format, ...)
    __attribute__((format(printf, 4, 5), cold));

/* Called once before the abort, on the thread that found the bug: the simulator prints its seed
 * there. It is the thread's own; NULL removes it. */
void bug_hook(void (*hook)(void *arg), void *arg);

#define bug(...) bug_at(__FILE__, __LINE__, __func__, __VA_ARGS__)

#define check(condition, ...)                  \
    do {                                       \
        if (__builtin_expect(!(condition), 0)) \
            bug(__VA_ARGS__);                  \
    } while (0)

#ifdef WEIR_DEBUG
#    define dcheck(condition, ...) check(condition, __VA_ARGS__)
#else
#    define dcheck(condition, ...)             \
        do {                                   \
            if (false)                         \
                check(condition, __VA_ARGS__); \
        } while (0)
#endif
