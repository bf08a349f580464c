/*
 * bytes.h: text and bytes as (pointer, length), and a buffer that grows up to a stated maximum.
 *
 * A `struct span` borrows. A `struct bytes` owns its memory, which moves when it grows; no buffer
 * in Weir is without a maximum, so none can be grown by a stranger until memory is gone. After a
 * failed append (-ENOMEM, or -ENOBUFS at the maximum) the buffer is unchanged.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
    const char *ptr;
    size_t len;
};

#define SPAN(literal)                                 \
    (struct span)                                     \
    {                                                 \
        .ptr = "" literal, .len = sizeof(literal) - 1 \
    }
/* For printf: printf("%.*s", SPAN_ARG(s)) */
#define SPAN_ARG(s) (int)(s).len, (s).ptr

static inline struct span span_of(const char *s)
{
    return (struct span){.ptr = s, .len = strlen(s)};
}

static inline bool span_equal(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

struct bytes {
    char *ptr;
    size_t len;
    size_t size;
    size_t max;
};

void bytes_init(struct bytes *b, size_t max);
void bytes_release(struct bytes *b);
/* Empties it and keeps the memory. */
void bytes_reset(struct bytes *b);

/* Room for `more` bytes after the end: 0, -ENOMEM or -ENOBUFS. */
int bytes_reserve(struct bytes *b, size_t more) __attribute__((warn_unused_result));
int bytes_append(struct bytes *b, const void *data, size_t len) __attribute__((warn_unused_result));
int bytes_append_span(struct bytes *b, struct span s) __attribute__((warn_unused_result));
int bytes_append_byte(struct bytes *b, char c) __attribute__((warn_unused_result));
/* Needs room for one byte more than it appends: a zero byte ends what is printed, and is not
 * kept. */
int bytes_printf(struct bytes *b, const char *format, ...)
    __attribute__((format(printf, 2, 3), warn_unused_result));
/* Drops the first `count` bytes and moves the rest to the front. */
void bytes_consume(struct bytes *b, size_t count);

static inline struct span bytes_span(const struct bytes *b)
{
    return (struct span){.ptr = b->ptr, .len = b->len};
}
