/*
 * error.h: the first voice. An operating error is a value: a negative errno where the number says
 * it all, and a `struct error` where a person will read it.
 *
 * The sentence says what failed, where, and what to do; it is fit to be shown to a user. The type
 * is stable and short ("overloaded", "worker-died"): the last part of a problem's type URI. Both
 * live inside the value: nothing to free.
 */
#pragma once

#include <stdbool.h>

#define ERROR_TYPE_MAX     32
#define ERROR_SENTENCE_MAX 480

struct error {
    int code; /* negative errno; 0: no error */
    char type[ERROR_TYPE_MAX];
    char sentence[ERROR_SENTENCE_MAX];
};

static inline void error_clear(struct error *e)
{
    e->code = 0;
    e->type[0] = e->sentence[0] = '\0';
}

/* Fills in the value and returns `code`, so that one line does both: return error_set(e, -EINVAL,
 * ...). `e` may be NULL for callers who want the number only. What is too long is cut at a
 * character. */
int error_set(struct error *e, int code, const char *type, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#ifdef __clang_analyzer__
/* Who sees only the declaration would follow paths on which an error returns 0. */
#    define error_set(e, code, ...) (error_set(e, code, __VA_ARGS__), (code))
#endif

/* Puts "format...: " before the sentence that is there, on the way up. `e` may be NULL. */
void error_prefix(struct error *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The sentence for a negative errno alone: "connection refused". Never NULL. */
const char *error_text(int code);
/* The same for a thread or process that cannot be made, where -EAGAIN is a limit. */
const char *error_text_task(int code);
