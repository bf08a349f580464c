/*
 * field.c: see field.h.
 */
#include "wire/field.h"

static const bool is_token_byte[256] = {
    ['!'] = true,
    ['#'] = true,
    ['$'] = true,
    ['%'] = true,
    ['&'] = true,
    ['\''] = true,
    ['*'] = true,
    ['+'] = true,
    ['-'] = true,
    ['.'] = true,
    ['^'] = true,
    ['_'] = true,
    ['`'] = true,
    ['|'] = true,
    ['~'] = true,
    ['0' ... '9'] = true,
    ['A' ... 'Z'] = true,
    ['a' ... 'z'] = true,
};

static char lower_of(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool http_same(const char *text, const char *lower, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (lower_of(text[i]) != lower[i])
            return false;
    return true;
}

bool http_span_same(struct span a, struct span b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower_of(a.ptr[i]) != lower_of(b.ptr[i]))
            return false;
    return true;
}

bool http_name_equal(struct span name, const char *lower)
{
    return name.len == strlen(lower) && http_same(name.ptr, lower, name.len);
}

const struct http_field *http_field_find(
    const struct http_field *fields, unsigned count, const char *name)
{
    size_t len = strlen(name);
    for (unsigned i = 0; i < count; i++)
        if (fields[i].name.len == len && http_same(fields[i].name.ptr, name, len))
            return &fields[i];
    return NULL;
}

struct span http_trim(struct span s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

struct span http_list_take(struct span *list)
{
    struct span element = *list;
    const char *comma = list->len ? memchr(list->ptr, ',', list->len) : NULL;
    if (comma) {
        element.len = (size_t)(comma - list->ptr);
        list->ptr = comma + 1;
        list->len -= element.len + 1;
    } else {
        *list = (struct span){0};
    }
    return http_trim(element);
}

bool http_list_has(struct span value, const char *lower)
{
    size_t len = strlen(lower);
    while (value.ptr) {
        struct span element = http_list_take(&value);
        if (element.len == len && http_same(element.ptr, lower, len))
            return true;
    }
    return false;
}

struct span http_content_coding(const struct http_field *fields, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct span left = fields[i].value;
        if (!http_name_equal(fields[i].name, "content-encoding"))
            continue;
        while (left.ptr) {
            struct span coding = http_list_take(&left);
            if (coding.len > 0 && !http_name_equal(coding, "identity"))
                return coding;
        }
    }
    return (struct span){NULL, 0};
}

bool http_token_valid(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_token_byte[(unsigned char)s.ptr[i]])
            return false;
    return s.len > 0;
}

static bool is_value_byte(unsigned char c)
{
    return (c >= 0x20 && c != 0x7f) || c == '\t';
}

#define EACH_BYTE(value) (0x0101010101010101u * (value))

/* Whether one of eight bytes may be below 0x20 or be 0x7f; never no when one is. */
static bool any_control(const char *eight)
{
    uint64_t word;
    memcpy(&word, eight, sizeof word);
    uint64_t del = word ^ EACH_BYTE(0x7f);
    uint64_t low = (word - EACH_BYTE(0x20)) & ~word;
    return ((low | ((del - EACH_BYTE(1)) & ~del)) & EACH_BYTE(0x80)) != 0;
}

bool http_value_valid(struct span s)
{
    size_t i = 0;
    while (i < s.len) {
        if (s.len - i >= 8 && !any_control(s.ptr + i)) {
            i += 8;
            continue;
        }
        if (!is_value_byte((unsigned char)s.ptr[i]))
            return false;
        i++;
    }
    return true;
}
