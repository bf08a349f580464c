/*
 * utf8.c: the table of well-formed sequences (Unicode 15, table 3-7) as code.
 */
#include "base/utf8.h"

#include <stdint.h>

static bool continues(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

/* What the first byte promises: 0 if no character begins so. */
static size_t promised_length(uint8_t first)
{
    if (first < 0x80)
        return 1;
    if (first < 0xc2)
        return 0;
    if (first < 0xe0)
        return 2;
    if (first < 0xf0)
        return 3;
    return first < 0xf5 ? 4 : 0;
}

/* The second byte is where overlong forms, surrogates and what is above U+10FFFF show. */
static bool second_fits(uint8_t first, uint8_t second)
{
    switch (first) {
    case 0xe0:
        return second >= 0xa0;
    case 0xed:
        return second < 0xa0;
    case 0xf0:
        return second >= 0x90;
    case 0xf4:
        return second < 0x90;
    default:
        return true;
    }
}

size_t utf8_length(const char *text, size_t len)
{
    const uint8_t *bytes = (const uint8_t *)text;
    if (len == 0)
        return 0;
    size_t promised = promised_length(bytes[0]);
    if (promised > len)
        return 0;
    for (size_t i = 1; i < promised; i++)
        if (!continues(bytes[i]))
            return 0;
    return promised < 2 || second_fits(bytes[0], bytes[1]) ? promised : 0;
}

size_t utf8_cut(const char *text, size_t len, size_t max)
{
    if (len <= max)
        return len;
    size_t end = max;
    while (end > 0 && max - end < 3 && continues((uint8_t)text[end]))
        end--;
    /* Four continuation bytes in a row are no character: then any place is as good. */
    return continues((uint8_t)text[end]) ? max : end;
}

bool utf8_valid(const char *text, size_t len)
{
    for (size_t at = 0; at < len;) {
        size_t n = utf8_length(text + at, len - at);
        if (n == 0)
            return false;
        at += n;
    }
    return true;
}
