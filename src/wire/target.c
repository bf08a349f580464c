/*
 * target.c: see target.h.
 */
#include "wire/target.h"

#include <errno.h>

/* ---- Percent-encoding ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int percent_decode(struct span in, bool plus, char *out, size_t *out_len)
{
    size_t len = 0;
    for (size_t i = 0; i < in.len; i++) {
        char c = in.ptr[i];
        if (c == '+' && plus) {
            c = ' ';
        } else if (c == '%') {
            if (in.len - i < 3)
                return -EINVAL;
            int high = hex_digit(in.ptr[i + 1]);
            int low = hex_digit(in.ptr[i + 2]);
            if (high < 0 || low < 0 || (high == 0 && low == 0))
                return -EINVAL;
            c = (char)(high << 4 | low);
            i += 2;
        }
        out[len++] = c; /* never ahead of what was read */
    }
    *out_len = len;
    return 0;
}

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

int percent_encode(struct bytes *out, struct span in)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t before = out->len;
    for (size_t i = 0; i < in.len; i++) {
        unsigned char c = (unsigned char)in.ptr[i];
        char encoded[3] = {'%', digits[c >> 4], digits[c & 15]};
        int rc = is_unreserved(in.ptr[i]) ? bytes_append_byte(out, in.ptr[i])
                                          : bytes_append(out, encoded, sizeof encoded);
        if (rc) {
            out->len = before;
            return rc;
        }
    }
    return 0;
}

/* ---- Paths ---- */

/* How many dots the segment consists of, if it is a dot segment: 1 or 2; otherwise 0. */
static int dots(struct span segment)
{
    if (segment.len == 0 || segment.len > 2 || segment.ptr[0] != '.')
        return 0;
    return segment.len == 1 ? 1 : segment.ptr[1] == '.' ? 2 : 0;
}

int target_segments(struct span path, char *text, struct span *segments, int max)
{
    if (path.len == 0 || path.ptr[0] != '/')
        return -EINVAL;
    bool encoded = memchr(path.ptr, '%', path.len);
    const char *end = path.ptr + path.len;
    const char *at = path.ptr;
    int count = 0;
    while (at < end) {
        const char *start = at + 1; /* behind the slash */
        const char *slash = start < end ? memchr(start, '/', (size_t)(end - start)) : NULL;
        at = slash ? slash : end;
        struct span segment = {start, (size_t)(at - start)};
        if (encoded && segment.len > 0 && memchr(segment.ptr, '%', segment.len)) {
            if (percent_decode(segment, false, text, &segment.len) != 0)
                return -EINVAL;
            segment.ptr = text;
            text += segment.len;
        }
        int dotted = dots(segment);
        if (dotted == 2 && count-- == 0)
            return -EINVAL;
        if (dotted && at < end)
            continue;
        if (dotted)
            segment.len = 0; /* what it names is a folder: "/a/." is "/a/" */
        if (count == max)
            return -E2BIG;
        segments[count++] = segment;
    }
    return count;
}

/* ---- Paths that others will resolve ---- */

/* The byte that "%XX" stands for, or -1. */
static int encoded_byte(const char text[3])
{
    int high = text[0] == '%' ? hex_digit(text[1]) : -1;
    int low = high < 0 ? -1 : hex_digit(text[2]);
    return low < 0 ? -1 : high << 4 | low;
}

/* Whether "." or ".." is all of it up to where some cut a segment. */
static bool is_dotted(const char *text, size_t len)
{
    size_t count = 0;
    while (count < len && count < 2 && text[count] == '.')
        count++;
    return count > 0 && (count == len || memchr(";?#", text[count], sizeof ";?#"));
}

/* Each byte is put behind those of its segment, and there an encoding is undone as soon as it is
 * complete, as often as one comes out: so all that any number of decodings would make is seen in
 * one pass. A separator is final: no encoding has one in it. */
bool target_climbs(struct span path, char *room, struct span *where)
{
    size_t len = 0;  /* of the segment in `room` */
    size_t from = 0; /* where it begins in the path */
    for (size_t i = 0; i < path.len; i++) {
        room[len++] = path.ptr[i];
        int byte;
        while (len >= 3 && (byte = encoded_byte(room + len - 3)) >= 0) {
            len -= 2;
            room[len - 1] = (char)byte;
        }
        bool last = i + 1 == path.len;
        bool separator = room[len - 1] == '/' || room[len - 1] == '\\';
        if (!last && !separator)
            continue;
        if (is_dotted(room, len - separator)) {
            *where = (struct span){path.ptr + from, i + 1 - from};
            return true;
        }
        len = 0;
        from = i + 1;
    }
    return false;
}

/* ---- Queries ---- */

bool query_next(struct span *query, struct span *name, struct span *value)
{
    while (query->len > 0) {
        const char *start = query->ptr;
        const char *and = memchr(start, '&', query->len);
        struct span pair = {start, and? (size_t)(and-start) : query->len};
        size_t taken = pair.len + (and? 1 : 0);
        query->ptr += taken;
        query->len -= taken;
        if (pair.len == 0)
            continue;
        const char *equals = memchr(pair.ptr, '=', pair.len);
        *name = (struct span){pair.ptr, equals ? (size_t)(equals - pair.ptr) : pair.len};
        const char *behind = pair.ptr + name->len + (equals ? 1 : 0);
        *value = (struct span){behind, (size_t)(pair.ptr + pair.len - behind)};
        return true;
    }
    return false;
}
