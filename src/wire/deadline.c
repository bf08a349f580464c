/*
 * deadline.c: see deadline.h.
 */
#include "wire/deadline.h"

#include "base/time.h"

#include <errno.h>

int deadline_read(struct span text, int64_t *ns)
{
    int64_t ms = 0;
    if (text.len == 0)
        return -EINVAL;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c < '0' || c > '9')
            return -EINVAL;
        if (ms <= INT64_MAX / NS_PER_MS) /* beyond, more digits make no difference */
            ms = ms * 10 + (c - '0');
    }
    *ns = ms > INT64_MAX / NS_PER_MS ? INT64_MAX : ms * NS_PER_MS;
    return 0;
}

struct span deadline_write(char out[DEADLINE_TEXT_MAX], int64_t ns)
{
    char *first = out + DEADLINE_TEXT_MAX;
    uint64_t ms = ns > 0 ? (uint64_t)ns / NS_PER_MS : 0;
    do
        *--first = (char)('0' + ms % 10);
    while (ms /= 10);
    return (struct span){.ptr = first, .len = (size_t)(out + DEADLINE_TEXT_MAX - first)};
}
