/*
 * router_pattern.c: see router_pattern.h.
 */
#include "http/router_pattern.h"

#include "base/utf8.h"
#include "wire/target.h"

#include <errno.h>
#include <stdio.h>

struct span router_pattern_shown(struct span pattern)
{
    return (struct span){pattern.ptr, utf8_cut(pattern.ptr, pattern.len, 150)};
}

int router_pattern_refuse(struct error *e, struct span pattern, const char *what)
{
    return error_set(e, -EINVAL, "invalid-route", "route '%.*s': %s",
        SPAN_ARG(router_pattern_shown(pattern)), what);
}

static bool is_name(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        bool later = (c >= '0' && c <= '9') || c == '-';
        if (!letter && !(later && i > 0))
            return false;
    }
    return s.len > 0;
}

static bool has_one_of(struct span s, const char *these)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] && strchr(these, s.ptr[i]))
            return true;
    return false;
}

static bool has_control(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] < ' ' || s.ptr[i] == 0x7f)
            return true;
    return false;
}

/* What is wrong with it, or NULL. */
static const char *read_param(struct router_pattern *p, struct span segment)
{
    struct span name = {segment.ptr + 1, segment.len - 2};
    if (name.len > 3 && memcmp(name.ptr + name.len - 3, "...", 3) == 0) {
        p->rest = true;
        name.len -= 3;
    }
    if (!is_name(name))
        return "a parameter's name consists of letters, digits, '_' and '-' and begins with a "
               "letter or '_'";
    for (unsigned i = 0; i < p->name_count; i++)
        if (span_equal(p->names[i], name))
            return "two parameters have the same name";
    if (p->name_count == ROUTER_PARAMS_MAX)
        return "it has more than 16 parameters";
    p->names[p->name_count++] = name;
    if (!p->rest)
        p->params |= router_bit(p->segment_count);
    return NULL;
}

/* What other routers take for a parameter or a wildcard, and here would be taken as it stands: the
 * sentence for it, or NULL. */
static const char *find_foreign(struct router_pattern *p, struct span s)
{
    struct span name = {s.ptr + 1, s.len - 1};
    bool colon = s.len > 1 && s.ptr[0] == ':';
    bool angles = s.len > 2 && s.ptr[0] == '<' && s.ptr[s.len - 1] == '>';
    if (angles) { /* "<int:id>" */
        const char *type = memrchr(name.ptr, ':', --name.len);
        if (type)
            name = (struct span){type + 1, (size_t)(name.ptr + name.len - type) - 1};
    }
    if (has_one_of(s, "*"))
        return "found '*', expected a text or a parameter; did you mean '{name}', which is any one "
               "segment, or '{rest...}', which is the rest of the path? In a text '*' is %2A";
    if (!(colon || angles) || !is_name(name))
        return NULL;
    int shown = (int)utf8_cut(name.ptr, name.len, 40);
    snprintf(p->wrong, sizeof p->wrong,
        "found a segment that begins with '%c', expected a text or a parameter; did you mean "
        "'{%.*s}'? In a text '%c' is %s",
        s.ptr[0], shown, name.ptr, s.ptr[0], colon ? "%3A" : "%3C");
    return p->wrong;
}

static const char *read_literal(struct router_pattern *p, struct span segment)
{
    const char *foreign = find_foreign(p, segment);
    if (foreign)
        return foreign;
    if (has_one_of(segment, "{}"))
        return "a parameter is a whole segment, '{name}'; a brace in a text is written %7B or %7D";
    if (has_one_of(segment, "?#") || has_control(segment))
        return "a path ends before '?' and '#', and has no control characters; in a text they are "
               "written with %";
    char *decoded = p->text + p->text_len;
    size_t len;
    if (percent_decode(segment, false, decoded, &len) != 0)
        return "'%' is followed by two hexadecimal digits, and %00 stands in no path";
    if ((len == 1 && decoded[0] == '.') || (len == 2 && memcmp(decoded, "..", 2) == 0))
        return "no path has a segment '.' or '..': they are resolved before";
    p->text_len += len;
    p->segments[p->segment_count] = (struct span){decoded, len};
    p->literals |= router_bit(p->segment_count);
    return NULL;
}

static const char *read_pattern(struct router_pattern *p, struct span pattern)
{
    memset(p, 0, offsetof(struct router_pattern, text));
    p->text_len = 0;
    if (pattern.len == 0 || pattern.ptr[0] != '/')
        return "it does not begin with '/'";
    if (pattern.len > ROUTER_PATTERN_MAX)
        return "it is longer than 1024 bytes";
    const char *end = pattern.ptr + pattern.len;
    for (const char *at = pattern.ptr; at < end;) {
        const char *start = at + 1;
        const char *slash = start < end ? memchr(start, '/', (size_t)(end - start)) : NULL;
        at = slash ? slash : end;
        struct span s = {start, (size_t)(at - start)};
        if (p->rest)
            return "'{name...}' takes the rest of a path, so nothing can follow it";
        if (p->segment_count == ROUTER_SEGMENTS_MAX)
            return "it has more than 64 segments";
        bool param = s.len >= 2 && s.ptr[0] == '{' && s.ptr[s.len - 1] == '}';
        const char *wrong = param ? read_param(p, s) : read_literal(p, s);
        if (wrong)
            return wrong;
        p->segment_count++;
    }
    return NULL;
}

int router_pattern_read(struct router_pattern *p, struct span text, struct error *e)
{
    const char *wrong = read_pattern(p, text);
    return wrong ? router_pattern_refuse(e, text, wrong) : 0;
}

int router_pattern_params(
    struct span pattern, struct span names[ROUTER_PARAMS_MAX], struct error *e)
{
    struct router_pattern p;
    int rc = router_pattern_read(&p, pattern, e);
    if (rc)
        return rc;
    memcpy(names, p.names, p.name_count * sizeof *names);
    return (int)p.name_count;
}
