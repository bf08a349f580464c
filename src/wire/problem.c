/*
 * problem.c: see problem.h.
 */
#include "wire/problem.h"

#include "base/limits.h"
#include "base/utf8.h"
#include "data/json.h"

#include <errno.h>
#include <stdio.h>

static const struct {
    int code;
    int status;
} statuses[] = {
    {-EINVAL, 400}, {-EPROTO, 502}, {-EACCES, 403}, {-EPERM, 403}, {-ENOENT, 404}, {-EMSGSIZE, 413},
    {-EAGAIN, 503}, {-EBUSY, 503}, {-ENOBUFS, 503}, {-ENOMEM, 503}, {-EMFILE, 503}, {-ENFILE, 503},
    {-ENOSPC, 507}, {-ETIMEDOUT, 504}, {-ECONNREFUSED, 502}, {-ECONNRESET, 502}, {-EPIPE, 502},
    {-EHOSTUNREACH, 502}, {-ENETUNREACH, 502},
    {-ECANCELED, 499}, /* nginx's: the client went away */
};

static const struct {
    int status;
    const char *title;
} titles[] = {
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {411, "Length Required"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {499, "Client Closed Request"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

int problem_status(int code)
{
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        if (statuses[i].code == code)
            return statuses[i].status;
    return 500;
}

const char *problem_title(int status)
{
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
        if (titles[i].status == status)
            return titles[i].title;
    return "";
}

/* ---- From errors ---- */

/* Copies what fits, to a whole character. */
static void put(char *to, size_t size, struct span text)
{
    size_t len = utf8_cut(text.ptr, text.len, size - 1);
    if (len > 0)
        memcpy(to, text.ptr, len);
    to[len] = '\0';
}

void problem_from_error(struct problem *p, const struct error *e, const char *request)
{
    *p = (struct problem){.status = problem_status(e->code)};
    put(p->type, sizeof p->type, span_of(e->type));
    put(p->title, sizeof p->title, span_of(problem_title(p->status)));
    put(p->detail, sizeof p->detail, span_of(e->sentence));
    put(p->instance, sizeof p->instance, span_of(request));
}

/* ---- Writing ---- */

/* A short name of Weir's own has no colon and no slash; any URI reference that names something
 * does, or begins with '#' or '?'. */
static bool is_short_name(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (strchr(":/#?", text.ptr[i])) /* no text has a zero byte here */
            return false;
    return true;
}

struct writer {
    struct bytes *out;
    bool first;
};

static int write_name(struct writer *w, const char *name)
{
    int rc = bytes_printf(w->out, "%c\"%s\":", w->first ? '{' : ',', name);
    w->first = false;
    return rc;
}

/* A text that is there, with `prefix` before it if it is a short name. */
static int write_text(struct writer *w, const char *name, const char *prefix, const char *text)
{
    if (text[0] == '\0')
        return 0;
    char whole[PROBLEM_DETAIL_MAX + sizeof PROBLEM_REQUEST_URN];
    bool prefixed = prefix && is_short_name(span_of(text));
    snprintf(whole, sizeof whole, "%s%s", prefixed ? prefix : "", text);
    int rc = write_name(w, name);
    return rc ? rc : json_write_string(w->out, span_of(whole));
}

static int write_all(struct writer *w, const struct problem *p)
{
    int rc = write_text(w, "type", PROBLEM_URN, p->type);
    if (rc == 0)
        rc = write_text(w, "title", NULL, p->title);
    if (rc == 0 && p->status)
        rc = write_name(w, "status");
    if (rc == 0 && p->status)
        rc = json_write_integer(w->out, p->status);
    if (rc == 0)
        rc = write_text(w, "detail", NULL, p->detail);
    if (rc == 0)
        rc = write_text(w, "instance", PROBLEM_REQUEST_URN, p->instance);
    if (rc == 0)
        rc = bytes_append_span(w->out, w->first ? SPAN("{}") : SPAN("}"));
    return rc;
}

int problem_encode(const struct problem *p, struct bytes *out)
{
    size_t before = out->len;
    struct writer w = {.out = out, .first = true};
    int rc = write_all(&w, p);
    if (rc)
        out->len = before;
    return rc;
}

/* ---- Reading ---- */

/* Copies a URI reference, or the short name after `prefix`. Left out is what would name something
 * else: a part of an identifier that does not fit or holds a zero byte, and a stranger's relative
 * reference that looks like a short name of ours. */
static void put_identifier(char *to, size_t size, struct span text, const char *prefix)
{
    size_t len = strlen(prefix);
    if (text.len == 0 || memchr(text.ptr, '\0', text.len) || is_short_name(text))
        return;
    if (text.len > len && memcmp(text.ptr, prefix, len) == 0) {
        struct span rest = {.ptr = text.ptr + len, .len = text.len - len};
        if (is_short_name(rest))
            text = rest;
    }
    if (text.len < size)
        put(to, size, text);
}

/* A member's text; one that holds a zero byte ends there, as C's texts do. */
static struct span text_of(const struct json_value *object, const char *name)
{
    struct span text = json_string(json_member(object, name));
    const char *zero = text.len ? memchr(text.ptr, '\0', text.len) : NULL;
    if (zero)
        text.len = (size_t)(zero - text.ptr);
    return text;
}

static void read_members(struct problem *p, const struct json_value *object)
{
    int64_t status;
    *p = (struct problem){0};
    put_identifier(p->type, sizeof p->type, json_string(json_member(object, "type")), PROBLEM_URN);
    if (p->type[0] == '\0')
        put(p->type, sizeof p->type, SPAN("about:blank"));
    put(p->title, sizeof p->title, text_of(object, "title"));
    if (json_integer(json_member(object, "status"), &status) && status >= 100 && status <= 599)
        p->status = (int)status;
    put(p->detail, sizeof p->detail, text_of(object, "detail"));
    put_identifier(p->instance, sizeof p->instance, json_string(json_member(object, "instance")),
        PROBLEM_REQUEST_URN);
}

int problem_decode(struct problem *p, struct span text, struct error *e)
{
    struct json *j;
    int rc = json_parse(&j, text, PROBLEM_TEXT_MAX, e);
    if (rc)
        return rc;
    if (json_type(json_root(j)) == JSON_OBJECT)
        read_members(p, json_root(j));
    else
        rc = error_set(e, -EINVAL, "invalid-problem", "a problem is a JSON object; this is none");
    json_free(j);
    return rc;
}
