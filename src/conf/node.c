/*
 * node.c: looking into a tree, and what an unquoted scalar means.
 *
 * A number is what JSON takes for one, so that it can be written as it stood; "010", "0x1f",
 * "1_000" and "yes" are text.
 */
#include "conf/internal.h"

#include <math.h>
#include <stdlib.h>

const struct conf_node *conf_member(const struct conf_node *map, const char *name)
{
    if (!map || map->kind != CONF_MAP)
        return NULL;
    struct span wanted = span_of(name);
    for (unsigned i = 0; i < map->count; i++)
        if (span_equal(map->members[i].name, wanted))
            return map->members[i].value;
    return NULL;
}

static size_t digits(struct span s, size_t at)
{
    size_t from = at;
    while (at < s.len && s.ptr[at] >= '0' && s.ptr[at] <= '9')
        at++;
    return at - from;
}

/* -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)? */
static bool is_number(struct span s, bool *whole)
{
    size_t at = s.len > 0 && s.ptr[0] == '-';
    size_t count = digits(s, at);
    *whole = true;
    if (count == 0 || (count > 1 && s.ptr[at] == '0'))
        return false;
    at += count;
    if (at < s.len && s.ptr[at] == '.') {
        *whole = false;
        count = digits(s, at + 1);
        if (count == 0)
            return false;
        at += 1 + count;
    }
    if (at < s.len && (s.ptr[at] == 'e' || s.ptr[at] == 'E')) {
        *whole = false;
        at++;
        at += at < s.len && (s.ptr[at] == '-' || s.ptr[at] == '+');
        count = digits(s, at);
        if (count == 0)
            return false;
        at += count;
    }
    return at == s.len;
}

static bool to_integer(struct span s, int64_t *out)
{
    bool negative = s.ptr[0] == '-';
    int64_t value = 0;
    for (size_t i = negative; i < s.len; i++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(
                value, s.ptr[i] - '0', &value)) /* below zero: it reaches further */
            return false;
    if (!negative && __builtin_sub_overflow(0, value, &value))
        return false;
    *out = value;
    return true;
}

static enum conf_scalar number(struct span s, int64_t *i, double *d)
{
    bool whole;
    int64_t integer;
    if (!is_number(s, &whole))
        return CONF_IS_TEXT;
    if (whole && to_integer(s, &integer)) {
        if (i)
            *i = integer;
        if (d)
            *d = (double)integer;
        return CONF_IS_INTEGER;
    }
    double value = strtod(s.ptr, NULL); /* a scalar ends with a zero byte */
    if (!isfinite(value))
        return CONF_IS_TEXT; /* JSON has no infinity */
    if (d)
        *d = value;
    return CONF_IS_NUMBER;
}

enum conf_scalar conf_scalar(const struct conf_node *n, bool *b, int64_t *i, double *d)
{
    if (n->kind == CONF_NULL)
        return CONF_IS_NULL;
    if (n->kind != CONF_SCALAR || n->quoted)
        return CONF_IS_TEXT;
    struct span s = n->text;
    if (s.len == 0 || span_equal(s, SPAN("~")) || span_equal(s, SPAN("null")))
        return CONF_IS_NULL;
    bool yes = span_equal(s, SPAN("true"));
    if (yes || span_equal(s, SPAN("false"))) {
        if (b)
            *b = yes;
        return CONF_IS_BOOL;
    }
    return number(s, i, d);
}
