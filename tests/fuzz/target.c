/*
 * target.c: percent-encoding, segments and queries, against a reader that is slow and obvious.
 *
 * The first line is the path, the rest the query.
 */
#include "wire/target.h"
#include "base/bug.h"

#include <errno.h>
#include <stdlib.h>

#define SEGMENTS 16
#define TEXT_MAX 1024

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct text {
    char bytes[TEXT_MAX];
    size_t len;
};

/* ---- The slow reader ---- */

static bool slow_decode(struct span in, bool plus, struct text *out)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    out->len = 0;
    while (in.len > 0) {
        size_t taken = 1;
        char c = in.ptr[0];
        if (c == '%') {
            const char *high = in.len > 2 ? memchr(digits, in.ptr[1], 32) : NULL;
            const char *low = in.len > 2 ? memchr(digits, in.ptr[2], 32) : NULL;
            if (!high || !low)
                return false;
            c = (char)((high - digits) % 16 * 16 + (low - digits) % 16);
            if (c == 0)
                return false;
            taken = 3;
        } else if (plus && c == '+') {
            c = ' ';
        }
        out->bytes[out->len++] = c;
        in.ptr += taken;
        in.len -= taken;
    }
    return true;
}

/* Cuts everything, then decodes everything, then resolves everything: how many, or -1. */
static int slow_segments(struct span path, struct text *segments)
{
    int raw = 0;
    static struct text all[TEXT_MAX + 1];
    if (path.len == 0 || path.ptr[0] != '/')
        return -1;
    for (size_t i = 0; i < path.len; i++) {
        if (path.ptr[i] != '/')
            continue;
        size_t end = i + 1;
        while (end < path.len && path.ptr[end] != '/')
            end++;
        if (!slow_decode((struct span){path.ptr + i + 1, end - i - 1}, false, &all[raw++]))
            return -1;
    }
    int count = 0;
    for (int i = 0; i < raw; i++) {
        struct span s = {all[i].bytes, all[i].len};
        bool one = span_equal(s, SPAN("."));
        bool two = span_equal(s, SPAN(".."));
        if (two && count == 0)
            return -1;
        if (two)
            count--;
        if (!one && !two)
            segments[count++] = all[i];
        else if (i == raw - 1)
            segments[count++].len = 0;
    }
    return count;
}

/* ---- The comparison ---- */

static void check_segments(struct span path)
{
    static struct text slow[TEXT_MAX + 1];
    struct span fast[SEGMENTS];
    char *text = malloc(path.len + 1);
    check(text, "no memory");
    int count = target_segments(path, text, fast, SEGMENTS);
    int expected = slow_segments(path, slow);
    if (count == -E2BIG) {
        size_t slashes = 0;
        for (size_t i = 0; i < path.len; i++)
            slashes += path.ptr[i] == '/';
        check(slashes > SEGMENTS, "%zu slashes are too many segments", slashes);
        free(text);
        return;
    }
    check((count == -EINVAL) == (expected < 0), "refused by one reader only: %d, %d", count,
        expected);
    check(count < 0 || count == expected, "%d segments, not %d", count, expected);
    for (int i = 0; i < count; i++)
        check(span_equal(fast[i], (struct span){slow[i].bytes, slow[i].len}),
            "segment %d is '%.*s', not '%.*s'", i, SPAN_ARG(fast[i]), (int)slow[i].len,
            slow[i].bytes);
    free(text);
}

static void check_decoding(struct span in, bool plus)
{
    static struct text slow;
    size_t len = 0;
    char *out = malloc(in.len + 1);
    check(out, "no memory");
    int rc = percent_decode(in, plus, out, &len);
    check((rc == 0) == slow_decode(in, plus, &slow), "one reader decodes and one does not");
    check(rc == 0 || rc == -EINVAL, "decoding answers %d", rc);
    if (rc == 0)
        check(span_equal((struct span){out, len}, (struct span){slow.bytes, slow.len}),
            "decoded otherwise");
    if (in.len > 0)
        memcpy(out, in.ptr, in.len);
    size_t again = 0; /* in place */
    check(percent_decode((struct span){out, in.len}, plus, out, &again) == rc && again == len,
        "decoded otherwise in place");
    if (rc == 0)
        check(span_equal((struct span){out, len}, (struct span){slow.bytes, slow.len}),
            "decoded to something else in place");
    free(out);
}

static void check_encoding(struct span in)
{
    struct bytes encoded;
    static struct text back;
    bytes_init(&encoded, 3 * TEXT_MAX);
    check(percent_encode(&encoded, in) == 0, "not encoded");
    for (size_t i = 0; i < encoded.len; i++)
        check(encoded.ptr[i] > ' ' && encoded.ptr[i] < 0x7f && !strchr("/?#+&=", encoded.ptr[i]),
            "'%c' was left as it was", encoded.ptr[i]);
    bool zero = in.len > 0 && memchr(in.ptr, 0, in.len);
    check(slow_decode(bytes_span(&encoded), true, &back) == !zero, "encoded wrongly");
    check(zero || span_equal((struct span){back.bytes, back.len}, in), "encoded as something else");
    bytes_release(&encoded);
}

/* Put together again, the pairs are the query but for empty ones. */
static void check_query(struct span query)
{
    struct span left = query;
    struct span name, value;
    const char *at = query.ptr;
    const char *end = query.ptr + query.len;
    while (query_next(&left, &name, &value)) {
        while (at < end && *at == '&')
            at++;
        check(name.ptr == at && !(name.len && memchr(at, '=', name.len)), "a name from elsewhere");
        at += name.len;
        if (at < end && *at == '=')
            at++;
        check(value.ptr == at && !(value.len && memchr(at, '&', value.len)), "another value");
        at += value.len;
        check(at == end || *at == '&', "a pair that ends in the middle");
        check(left.len <= (size_t)(end - at), "what was taken is there still");
    }
    for (; at < end; at++)
        check(*at == '&', "the query's end was not seen");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span all = {(const char *)data, size};
    if (size > TEXT_MAX)
        return 0;
    const char *line = size ? memchr(data, '\n', size) : NULL;
    struct span path = {all.ptr, line ? (size_t)(line - all.ptr) : size};
    struct span query = {line ? line + 1 : all.ptr + size, line ? size - path.len - 1 : 0};
    check_segments(path);
    check_decoding(path, false);
    check_decoding(query, true);
    check_encoding(all);
    check_query(query);
    return 0;
}
