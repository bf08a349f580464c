/*
 * environment.c: "NAME=value" strings beside and over others.
 */
#include "world/environment.h"

#include "base/mem.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static size_t count_of(const char *const *strings)
{
    size_t count = 0;
    while (strings && strings[count])
        count++;
    return count;
}

static bool same_name(const char *a, const char *b)
{
    size_t len = strcspn(a, "=");
    return strcspn(b, "=") == len && memcmp(a, b, len) == 0;
}

static bool has_name_of(const char *const *strings, const char *string)
{
    for (; *strings; strings++)
        if (same_name(*strings, string))
            return true;
    return false;
}

/* Those of `from` that no later one overrides, neither of `from` itself nor of `over`. */
static size_t take(
    const char **to, size_t n, const char *const *from, const char *const *over, bool unique)
{
    for (; from && *from; from++)
        if (!(over && has_name_of(over, *from)) && !(unique && has_name_of(from + 1, *from)))
            to[n++] = *from;
    return n;
}

const char **environment_merge(const char *const *base, const char *const *add)
{
    const char **merged = mem_alloc((count_of(base) + count_of(add) + 1) * sizeof(*merged));
    if (!merged)
        return NULL;
    size_t n = take(merged, 0, base, add, false);
    n = take(merged, n, add, NULL, true);
    merged[n] = NULL;
    return merged;
}

const char **arguments_titled(const char *const *argv, const char *title)
{
    const char **titled = mem_alloc((count_of(argv) + 1) * sizeof(*titled));
    if (!titled)
        return NULL;
    titled[0] = title ? title : argv[0];
    for (size_t i = 1; titled[i - 1]; i++)
        titled[i] = argv[i];
    return titled;
}
