/*
 * http1_write.c: the writing half of http1.h.
 *
 * Each line is one reservation and some copies; nothing is appended unless all of it can be.
 */
#include "wire/http1.h"

#include "base/bug.h"
#include "wire/problem.h"

#include <errno.h>

/* The caller has seen to the room. */
static char *put(char *to, struct span text)
{
    if (text.len > 0)
        memcpy(to, text.ptr, text.len);
    return to + text.len;
}

static void end_at(struct bytes *out, const char *end)
{
    out->len = (size_t)(end - out->ptr);
}

/* ---- Start lines ---- */

static bool is_target(struct span target)
{
    for (size_t i = 0; i < target.len; i++)
        if (target.ptr[i] <= ' ' || target.ptr[i] > '~' || target.ptr[i] == '#')
            return false;
    return target.len > 0;
}

int http1_write_request_line(struct bytes *out, struct span method, struct span target)
{
    static const struct span version = {" HTTP/1.1\r\n", 11};
    if (!http_token_valid(method) || !is_target(target))
        return -EINVAL;
    int rc = bytes_reserve(out, method.len + 1 + target.len + version.len);
    if (rc)
        return rc;
    char *to = put(out->ptr + out->len, method);
    *to++ = ' ';
    end_at(out, put(put(to, target), version));
    return 0;
}

static struct span reason_of(int status)
{
    switch (status) {
    case 100:
        return SPAN("Continue");
    case 103:
        return SPAN("Early Hints");
    case 200:
        return SPAN("OK");
    case 201:
        return SPAN("Created");
    case 202:
        return SPAN("Accepted");
    case 203:
        return SPAN("Non-Authoritative Information");
    case 204:
        return SPAN("No Content");
    case 205:
        return SPAN("Reset Content");
    case 206:
        return SPAN("Partial Content");
    case 207:
        return SPAN("Multi-Status");
    case 300:
        return SPAN("Multiple Choices");
    case 301:
        return SPAN("Moved Permanently");
    case 302:
        return SPAN("Found");
    case 303:
        return SPAN("See Other");
    case 304:
        return SPAN("Not Modified");
    case 307:
        return SPAN("Temporary Redirect");
    case 308:
        return SPAN("Permanent Redirect");
    default:
        return span_of(problem_title(status));
    }
}

int http1_write_status_line(struct bytes *out, int status)
{
    if (status < 100 || status > 599 || status == 101)
        return -EINVAL;
    struct span reason = reason_of(status);
    int rc = bytes_reserve(out, sizeof "HTTP/1.1 200 \r\n" - 1 + reason.len);
    if (rc)
        return rc;
    char *to = put(out->ptr + out->len, SPAN("HTTP/1.1 "));
    *to++ = (char)('0' + status / 100);
    *to++ = (char)('0' + status / 10 % 10);
    *to++ = (char)('0' + status % 10);
    *to++ = ' ';
    end_at(out, put(put(to, reason), SPAN("\r\n")));
    return 0;
}

/* ---- Fields ---- */

int http1_write_field(struct bytes *out, struct span name, struct span value)
{
    if (!http_token_valid(name) || !http_value_valid(value))
        return -EINVAL;
    int rc = bytes_reserve(out, name.len + value.len + 4);
    if (rc)
        return rc;
    char *to = put(out->ptr + out->len, name);
    *to++ = ':';
    *to++ = ' ';
    end_at(out, put(put(to, value), SPAN("\r\n")));
    return 0;
}

int http1_write_length(struct bytes *out, uint64_t length)
{
    static const struct span name = {"Content-Length: ", 16};
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + length % 10);
        length /= 10;
    } while (length);

    struct span number = {.ptr = digits + at, .len = sizeof digits - at};
    int rc = bytes_reserve(out, name.len + number.len + 2);
    if (rc)
        return rc;
    end_at(out, put(put(put(out->ptr + out->len, name), number), SPAN("\r\n")));
    return 0;
}

int http1_write_head_end(struct bytes *out)
{
    return bytes_append(out, "\r\n", 2);
}

/* ---- Chunks ---- */

size_t http1_chunk_head(char out[HTTP1_CHUNK_HEAD_MAX], size_t size)
{
    check(size > 0, "a chunk of no bytes would end the body");
    size_t digits = (size_t)(64 - __builtin_clzll(size) + 3) / 4;
    for (size_t i = digits; i > 0; i--) {
        out[i - 1] = "0123456789abcdef"[size % 16];
        size /= 16;
    }
    out[digits] = '\r';
    out[digits + 1] = '\n';
    return digits + 2;
}

static int write_last_chunk(struct bytes *out, const struct http_field *trailers, unsigned count)
{
    int rc = bytes_append(out, "0\r\n", 3);
    for (unsigned i = 0; rc == 0 && i < count; i++)
        rc = http1_write_field(out, trailers[i].name, trailers[i].value);
    return rc ? rc : http1_write_head_end(out);
}

int http1_write_last_chunk(struct bytes *out, const struct http_field *trailers, unsigned count)
{
    size_t before = out->len;
    int rc = write_last_chunk(out, trailers, count);
    if (rc)
        out->len = before;
    return rc;
}
