/*
 * bytes.c: a growing buffer. It doubles, so that appending costs a constant on average, and stops
 * at its maximum.
 */
#include "base/bytes.h"

#include "base/bug.h"
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>

#define SIZE_FIRST 64

void bytes_init(struct bytes *b, size_t max)
{
    *b = (struct bytes){.max = max};
}

void bytes_release(struct bytes *b)
{
    mem_free_sized(b->ptr, b->size);
    *b = (struct bytes){.max = b->max};
}

void bytes_reset(struct bytes *b)
{
    b->len = 0;
}

int bytes_reserve(struct bytes *b, size_t more)
{
    if (more <= b->size - b->len)
        return 0;
    if (more > b->max - b->len)
        return -ENOBUFS;
    size_t needed = b->len + more;
    size_t size = b->size > b->max / 2 ? b->max : b->size * 2;
    if (size < SIZE_FIRST)
        size = SIZE_FIRST < b->max ? SIZE_FIRST : b->max;
    if (size < needed)
        size = needed;
    char *bigger = mem_resize(b->ptr, b->size, size);
    if (!bigger)
        return -ENOMEM;
    b->ptr = bigger;
    b->size = size;
    return 0;
}

int bytes_append(struct bytes *b, const void *data, size_t len)
{
    int rc = bytes_reserve(b, len);
    if (rc || len == 0)
        return rc;
    memcpy(b->ptr + b->len, data, len);
    b->len += len;
    return 0;
}

int bytes_append_span(struct bytes *b, struct span s)
{
    return bytes_append(b, s.ptr, s.len);
}

int bytes_append_byte(struct bytes *b, char c)
{
    return bytes_append(b, &c, 1);
}

int bytes_printf(struct bytes *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    check(len >= 0, "a format that cannot be printed: %s", format);

    /* vsnprintf ends what it prints with a zero, which is not kept. */
    int rc = bytes_reserve(b, (size_t)len + 1);
    if (rc)
        return rc;
    va_start(args, format);
    vsnprintf(b->ptr + b->len, (size_t)len + 1, format, args);
    va_end(args);
    b->len += (size_t)len;
    return 0;
}

void bytes_consume(struct bytes *b, size_t count)
{
    check(count <= b->len, "%zu bytes were consumed of a buffer that holds %zu", count, b->len);
    b->len -= count;
    if (b->len > 0)
        memmove(b->ptr, b->ptr + count, b->len);
}
