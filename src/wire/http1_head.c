/*
 * http1_head.c: what a head means, and all that is refused in it.
 *
 * RFC 9112 lets a reader forgive much; we forgive nothing that two readers could forgive in two
 * ways. Refused though a reading of the RFC would allow it:
 *
 *   - Content-Length more than once, even with equal values, and longer than a number of 63 bits;
 *   - Content-Length beside Transfer-Encoding; any coding but chunked; codings in HTTP/1.0;
 *   - a Host that is empty, since no http URI has an empty host (RFC 9110, 4.2.1); one with
 *     percent-encoding or sub-delimiters, which no host on the internet has;
 *   - a target with an authority of its own that is not, but for case, the one in Host;
 *   - HTTP/1.2 and above, which nobody has defined;
 *   - a body of CONNECT: what follows it would be the tunnel's.
 */
#include "wire/http1_internal.h"

/* ---- Start lines ---- */

/* What the IANA registry knows and llhttp too; the commonest first. */
static const struct {
    struct span name;
    enum http_method method;
} methods[] = {
#define METHOD(text, method)            \
    {                                   \
        {text, sizeof text - 1}, method \
    }
    METHOD("GET", HTTP_GET),
    METHOD("POST", HTTP_POST),
    METHOD("HEAD", HTTP_HEAD),
    METHOD("PUT", HTTP_PUT),
    METHOD("DELETE", HTTP_DELETE),
    METHOD("PATCH", HTTP_PATCH),
    METHOD("OPTIONS", HTTP_OPTIONS),
    METHOD("CONNECT", HTTP_CONNECT),
    METHOD("TRACE", HTTP_TRACE),
    METHOD("ACL", HTTP_OTHER),
    METHOD("BIND", HTTP_OTHER),
    METHOD("CHECKOUT", HTTP_OTHER),
    METHOD("COPY", HTTP_OTHER),
    METHOD("LINK", HTTP_OTHER),
    METHOD("LOCK", HTTP_OTHER),
    METHOD("MERGE", HTTP_OTHER),
    METHOD("MKACTIVITY", HTTP_OTHER),
    METHOD("MKCALENDAR", HTTP_OTHER),
    METHOD("MKCOL", HTTP_OTHER),
    METHOD("MOVE", HTTP_OTHER),
    METHOD("PROPFIND", HTTP_OTHER),
    METHOD("PROPPATCH", HTTP_OTHER),
    METHOD("QUERY", HTTP_OTHER),
    METHOD("REBIND", HTTP_OTHER),
    METHOD("REPORT", HTTP_OTHER),
    METHOD("SEARCH", HTTP_OTHER),
    METHOD("UNBIND", HTTP_OTHER),
    METHOD("UNLINK", HTTP_OTHER),
    METHOD("UNLOCK", HTTP_OTHER),
#undef METHOD
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "HTTP/1.1", of which `len` bytes are there at least. */
static bool read_version(struct http1 *p, const char *text)
{
    if (memcmp(text, "HTTP/", 5) != 0 || !is_digit(text[5]) || text[6] != '.' || !is_digit(text[7]))
        return http1_refuse(p, 400, "a start line without a version of HTTP");
    if (text[5] != '1' || text[7] > '1')
        return http1_refuse(p, 505, "a version of HTTP other than 1.1 and 1.0");
    p->head.minor = text[7] - '0';
    return true;
}

bool http_method_find(struct span name, enum http_method *method)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (methods[i].name.len == name.len && !memcmp(methods[i].name.ptr, name.ptr, name.len)) {
            *method = methods[i].method;
            return true;
        }
    }
    *method = HTTP_OTHER;
    return false;
}

static bool read_method(struct http1 *p, struct span name)
{
    p->head.method_name = name;
    if (http_method_find(name, &p->head.method))
        return true;
    if (!http_token_valid(name))
        return http1_refuse(p, 400, "a method that is no word");
    return http1_refuse(p, 501, "a method that is not known");
}

#define VERSION_LEN 8

static bool read_request_line(struct http1 *p, struct span line)
{
    const char *end = line.ptr + line.len - VERSION_LEN - 1; /* the space before the version */
    if (line.len < VERSION_LEN + 1 || *end != ' ')
        return http1_refuse(p, 400, "a start line without a version of HTTP");
    if (!read_version(p, end + 1))
        return false;
    const char *space = memchr(line.ptr, ' ', (size_t)(end - line.ptr));
    if (!space)
        return http1_refuse(p, 400, "a request line without a target");
    if (!read_method(p, (struct span){.ptr = line.ptr, .len = (size_t)(space - line.ptr)}))
        return false;
    p->head.target = (struct span){.ptr = space + 1, .len = (size_t)(end - space - 1)};
    return http1_split_target(p);
}

static bool read_status_line(struct http1 *p, struct span line)
{
    const char *code = line.ptr + VERSION_LEN + 1;
    if (line.len < VERSION_LEN + 4)
        return http1_refuse(p, 400, "a status line that is cut off");
    if (!read_version(p, line.ptr))
        return false;
    if (code[-1] != ' ' || !is_digit(code[0]) || !is_digit(code[1]) || !is_digit(code[2]))
        return http1_refuse(p, 400, "a status line without a status");
    p->head.status = (code[0] - '0') * 100 + (code[1] - '0') * 10 + (code[2] - '0');
    if (p->head.status < 100 || p->head.status > 599)
        return http1_refuse(p, 400, "a status that does not exist");
    if (p->head.status == 101)
        return http1_refuse(p, 400, "another protocol, which nobody has asked for");
    if (p->head.status < 300 && p->head.status >= 200 && p->answers == HTTP_CONNECT)
        return http1_refuse(p, 400, "a tunnel, which we do not speak through");

    struct span reason = {.ptr = code + 3, .len = line.len - VERSION_LEN - 4};
    if (reason.len > 0) { /* many servers leave out the space before an empty reason */
        if (reason.ptr[0] != ' ')
            return http1_refuse(p, 400, "a status line without a status");
        reason.ptr++;
        reason.len--;
    }
    if (!http_value_valid(reason))
        return http1_refuse(p, 400, "a reason with control bytes");
    p->head.reason = reason;
    return true;
}

bool http1_start_line(struct http1 *p, struct span line)
{
    return p->kind == HTTP1_REPLY ? read_status_line(p, line) : read_request_line(p, line);
}

/* ---- Fields ---- */

/* What was found on the way through the fields. */
struct findings {
    const struct http_field *length;
    const struct http_field *coding;
    const struct http_field *host;
    bool close;
    bool keep;
    bool upgrade_named;
    bool upgrade;
    bool expect;
    bool expect_other;
};

static bool find_once(struct http1 *p, const struct http_field **slot,
    const struct http_field *field, const char *why)
{
    if (*slot)
        return http1_refuse(p, 400, why);
    *slot = field;
    return true;
}

static void look_at_connection(struct findings *f, struct span value)
{
    while (value.ptr) {
        struct span option = http_list_take(&value);
        if (option.len == 5 && http_same(option.ptr, "close", 5))
            f->close = true;
        else if (option.len == 10 && http_same(option.ptr, "keep-alive", 10))
            f->keep = true;
        else if (option.len == 7 && http_same(option.ptr, "upgrade", 7))
            f->upgrade_named = true;
    }
}

static bool look_at_field(struct http1 *p, const struct http_field *field, struct findings *f)
{
    const char *name = field->name.ptr;
    switch (field->name.len) {
    case 4:
        if (p->kind == HTTP1_REQUEST && http_same(name, "host", 4))
            return find_once(p, &f->host, field, "two Host fields");
        break;
    case 6:
        if (p->kind == HTTP1_REQUEST && http_same(name, "expect", 6)) {
            f->expect = true;
            if (!http_name_equal(field->value, "100-continue"))
                f->expect_other = true;
        }
        break;
    case 7:
        if (http_same(name, "upgrade", 7))
            f->upgrade = true;
        break;
    case 10:
        if (http_same(name, "connection", 10))
            look_at_connection(f, field->value);
        break;
    case 14:
        if (http_same(name, "content-length", 14))
            return find_once(p, &f->length, field, "two Content-Length fields");
        break;
    case 17:
        if (http_same(name, "transfer-encoding", 17))
            return find_once(p, &f->coding, field, "two Transfer-Encoding fields");
        break;
    default:
        break;
    }
    return true;
}

/* ---- Framing ---- */

static bool read_length(struct http1 *p, struct span value)
{
    uint64_t length = 0;
    if (value.len == 0 || value.len > 19) /* so many digits do not overflow */
        return http1_refuse(p, 400, "a Content-Length that is no number of bytes");
    for (size_t i = 0; i < value.len; i++) {
        if (!is_digit(value.ptr[i]))
            return http1_refuse(p, 400, "a Content-Length that is no number of bytes");
        length = length * 10 + (uint64_t)(value.ptr[i] - '0');
    }
    if (length > INT64_MAX)
        return http1_refuse(p, 400, "a Content-Length that is no number of bytes");
    p->head.framing = HTTP1_LENGTH;
    p->head.length = length;
    return true;
}

static bool read_coding(struct http1 *p, struct span value)
{
    unsigned count = 0;
    unsigned chunked = 0;
    bool last = false;
    bool words = true;
    while (value.ptr) {
        struct span coding = http_list_take(&value);
        count++;
        last = http_name_equal(coding, "chunked");
        chunked += last;
        words = words && http_token_valid(coding);
    }
    if (!words || !last || chunked > 1)
        return http1_refuse(p, 400, "a Transfer-Encoding that does not end with one chunked");
    if (count > 1)
        return http1_refuse(p, 501, "a transfer coding other than chunked");
    p->head.framing = HTTP1_CHUNKED;
    return true;
}

static bool is_bodyless(const struct http1 *p)
{
    int status = p->head.status;
    return p->kind == HTTP1_REPLY &&
           (status < 200 || status == 204 || status == 304 || p->answers == HTTP_HEAD);
}

static bool decide_framing(struct http1 *p, const struct findings *f)
{
    p->head.framing = p->kind == HTTP1_REPLY ? HTTP1_UNTIL_CLOSE : HTTP1_NO_BODY;
    if (f->coding && f->length)
        return http1_refuse(p, 400, "a Content-Length beside a Transfer-Encoding");
    if (f->coding && p->head.minor == 0)
        return http1_refuse(p, 400, "a Transfer-Encoding in HTTP/1.0");
    if (f->length && !read_length(p, f->length->value))
        return false;
    if (f->coding && !read_coding(p, f->coding->value))
        return false;
    if (is_bodyless(p)) {
        p->head.framing = HTTP1_NO_BODY;
        p->head.length = 0;
    }
    if (p->head.method == HTTP_CONNECT && (f->coding || p->head.length > 0))
        return http1_refuse(p, 400, "a CONNECT with a body");
    return true;
}

/* ---- The rest ---- */

static bool decide_host(struct http1 *p, const struct findings *f)
{
    if (!f->host)
        return p->head.minor == 0 || http1_refuse(p, 400, "no Host field");
    struct span host = f->host->value;
    if (!http1_host_valid(host))
        return http1_refuse(p, 400, "a Host that is no name or address");
    if (!p->head.host.ptr) {
        p->head.host = host;
        return true;
    }
    if (!http_span_same(p->head.host, host))
        return http1_refuse(p, 400, "a Host that differs from the target's");
    return true;
}

static bool decide_expectation(struct http1 *p, const struct findings *f)
{
    if (!f->expect || p->head.minor == 0)
        return true;
    if (f->expect_other)
        return http1_refuse(p, 417, "an expectation other than 100-continue");
    p->head.expect_continue = p->head.framing == HTTP1_CHUNKED || p->head.length > 0;
    return true;
}

bool http1_understand(struct http1 *p)
{
    struct findings f = {0};
    for (unsigned i = 0; i < p->head.field_count; i++)
        if (!look_at_field(p, &p->head.fields[i], &f))
            return false;
    if (!decide_framing(p, &f))
        return false;
    if (p->kind == HTTP1_REQUEST && (!decide_host(p, &f) || !decide_expectation(p, &f)))
        return false;
    p->head.keep_alive =
        !f.close && (p->head.minor == 1 || f.keep) && p->head.framing != HTTP1_UNTIL_CLOSE;
    p->head.upgrade = f.upgrade && f.upgrade_named && p->head.minor == 1;
    return true;
}
