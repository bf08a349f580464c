/*
 * router.c: random patterns and paths, against a matcher that is slow and obvious: it tries every
 * route, and among those that fit takes the one that wins segment by segment.
 *
 * Each line is a route, "METHOD pattern", or, beginning with '>', a request: ">METHOD path".
 */
#include "http/router.h"
#include "base/bug.h"
#include "wire/target.h"

#include <errno.h>
#include <stdlib.h>

#define ROUTES_MAX 40
#define LINE_MAX   300

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- The slow matcher ---- */

struct piece {
    enum { LITERAL, PARAM, REST } kind;
    struct span text; /* decoded, or the parameter's name */
};

struct slow_route {
    struct span method;
    struct piece pieces[ROUTER_SEGMENTS_MAX];
    int count;
    char text[LINE_MAX];
};

struct slow {
    struct slow_route routes[ROUTES_MAX];
    int count;
};

/* Of a pattern that the router accepted. */
static void slow_read(struct slow_route *r, struct span method, struct span pattern)
{
    char *text = r->text;
    r->method = method;
    r->count = 0;
    while (pattern.len > 0) {
        struct piece *p = &r->pieces[r->count++];
        struct span s = {pattern.ptr + 1, 0};
        while (s.len + 1 < pattern.len && s.ptr[s.len] != '/')
            s.len++;
        pattern.ptr += s.len + 1;
        pattern.len -= s.len + 1;
        bool braces = s.len > 2 && s.ptr[0] == '{';
        bool dots = braces && s.len > 5 && memcmp(s.ptr + s.len - 4, "...}", 4) == 0;
        p->kind = dots ? REST : braces ? PARAM : LITERAL;
        p->text = dots ? (struct span){s.ptr + 1, s.len - 5} : (struct span){s.ptr + 1, s.len - 2};
        if (!braces) {
            check(percent_decode(s, false, text, &s.len) == 0, "a literal that is no text");
            p->text = (struct span){text, s.len};
            text += s.len;
        }
    }
}

static bool fits(const struct slow_route *r, const struct span *segments, int count)
{
    int i = 0;
    for (; i < r->count && r->pieces[i].kind != REST; i++) {
        if (i == count)
            return false;
        if (r->pieces[i].kind == LITERAL && !span_equal(r->pieces[i].text, segments[i]))
            return false;
        if (r->pieces[i].kind == PARAM && segments[i].len == 0)
            return false;
    }
    return i < r->count ? i < count : i == count;
}

/* Negative: a before b. */
static int order(const struct slow_route *a, const struct slow_route *b)
{
    for (int i = 0; i < a->count && i < b->count; i++)
        if (a->pieces[i].kind != b->pieces[i].kind)
            return a->pieces[i].kind < b->pieces[i].kind ? -1 : 1;
    return 0;
}

/* How well the route answers the method: 0 not at all. */
static int answers(const struct slow_route *r, struct span method)
{
    if (span_equal(r->method, method) && !span_equal(method, SPAN("*")))
        return 3;
    if (span_equal(method, SPAN("HEAD")) && span_equal(r->method, SPAN("GET")))
        return 2;
    return span_equal(r->method, SPAN("*"));
}

/* The best route's number, or a negative errno. */
static int slow_find(
    const struct slow *s, struct span method, const struct span *segments, int count)
{
    int best = -ENOENT;
    for (int i = 0; i < s->count; i++) {
        const struct slow_route *r = &s->routes[i];
        if (!fits(r, segments, count))
            continue;
        if (answers(r, method) == 0) {
            best = best == -ENOENT ? -EPERM : best;
            continue;
        }
        int ordered = best < 0 ? -1 : order(r, &s->routes[best]);
        if (ordered < 0 || (ordered == 0 && answers(r, method) > answers(&s->routes[best], method)))
            best = i;
    }
    return best;
}

/* Same literals, and parameters in the same places. */
static bool same(const struct slow_route *a, const struct slow_route *b)
{
    if (a->count != b->count || !span_equal(a->method, b->method))
        return false;
    for (int i = 0; i < a->count; i++)
        if (a->pieces[i].kind != b->pieces[i].kind ||
            (a->pieces[i].kind == LITERAL && !span_equal(a->pieces[i].text, b->pieces[i].text)))
            return false;
    return true;
}

/* ---- The comparison ---- */

static void check_params(const struct router_match *m, const struct slow_route *r,
    const struct span *segments, int count)
{
    unsigned n = 0;
    for (int i = 0; i < r->count; i++) {
        if (r->pieces[i].kind == LITERAL)
            continue;
        check(n < m->param_count, "a parameter is missing");
        check(span_equal(m->params[n].name, r->pieces[i].text), "a parameter has another name");
        char joined[LINE_MAX];
        struct span expected = {joined, 0};
        int last = r->pieces[i].kind == REST ? count - 1 : i;
        for (int at = i; at <= last; at++) {
            if (at > i)
                joined[expected.len++] = '/';
            if (segments[at].len > 0)
                memcpy(joined + expected.len, segments[at].ptr, segments[at].len);
            expected.len += segments[at].len;
        }
        check(span_equal(m->params[n].value, expected), "'%.*s' and not '%.*s'",
            SPAN_ARG(m->params[n].value), SPAN_ARG(expected));
        n++;
    }
    check(n == m->param_count, "a parameter too many");
}

/* How often the method stands in the list. */
static int times_in(struct span list, struct span method)
{
    int times = 0;
    while (list.len > 0) {
        const char *comma = memchr(list.ptr, ',', list.len);
        size_t len = comma ? (size_t)(comma - list.ptr) : list.len;
        times += span_equal(method, (struct span){list.ptr, len});
        size_t taken = comma ? len + 2 : len;
        check(taken <= list.len, "a list that ends with a comma");
        list.ptr += taken;
        list.len -= taken;
    }
    return times;
}

/* All methods of the routes that fit, and what follows from them, each once. */
static void check_allow(
    struct span allow, const struct slow *s, const struct span *segments, int count)
{
    size_t len = 0;
    struct span methods[ROUTES_MAX + 2] = {SPAN("OPTIONS")};
    int method_count = 1;
    for (int i = 0; i < s->count + 1; i++) {
        bool get = i == s->count;
        struct span method = get ? SPAN("HEAD") : s->routes[i].method;
        bool there = get ? times_in(allow, SPAN("GET")) > 0 : fits(&s->routes[i], segments, count);
        for (int j = 0; j < method_count && there; j++)
            there = !span_equal(methods[j], method);
        if (there)
            methods[method_count++] = method;
    }
    for (int i = 0; i < method_count; i++) {
        check(times_in(allow, methods[i]) == 1, "%.*s stands %d times in '%.*s'",
            SPAN_ARG(methods[i]), times_in(allow, methods[i]), SPAN_ARG(allow));
        len += methods[i].len + (i > 0 ? 2 : 0);
    }
    check(len == allow.len, "'%.*s' has more than it should", SPAN_ARG(allow));
}

static enum http_method method_of(struct span name)
{
    static const struct {
        const char *name;
        enum http_method method;
    } known[] = {{"GET", HTTP_GET}, {"HEAD", HTTP_HEAD}, {"POST", HTTP_POST}, {"PUT", HTTP_PUT},
        {"DELETE", HTTP_DELETE}, {"CONNECT", HTTP_CONNECT}, {"OPTIONS", HTTP_OPTIONS},
        {"TRACE", HTTP_TRACE}, {"PATCH", HTTP_PATCH}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (span_equal(name, span_of(known[i].name)))
            return known[i].method;
    return HTTP_OTHER;
}

static void check_request(
    const struct router *router, const struct slow *s, struct span method, struct span path)
{
    struct router_match m;
    struct span allow = {NULL, 0};
    struct arena arena;
    struct span segments[ROUTER_SEGMENTS_MAX];
    char text[LINE_MAX];
    arena_init(&arena, 64 * 1024);
    int rc = router_find(router, method_of(method), method, path, &arena, &m, &allow);
    int count = target_segments(path, text, segments, ROUTER_SEGMENTS_MAX);
    int expected = count == -E2BIG ? -ENOENT
                   : count < 0     ? count
                                   : slow_find(s, method, segments, count);
    check(rc == (expected < 0 ? expected : 0), "'%.*s %.*s' gave %d, not %d", SPAN_ARG(method),
        SPAN_ARG(path), rc, expected);
    if (rc == 0) {
        const struct slow_route *r = &s->routes[expected];
        check(m.value == r, "'%.*s' found the wrong route", SPAN_ARG(path));
        check_params(&m, r, segments, count);
    }
    check((rc == -EPERM) == (allow.len > 0), "a list of methods where it does not belong");
    if (rc == -EPERM)
        check_allow(allow, s, segments, count);
    arena_release(&arena);
}

static void add_route(
    struct router *router, struct slow *s, struct span method, struct span pattern)
{
    struct error e;
    struct span names[ROUTER_PARAMS_MAX];
    struct slow_route *r = &s->routes[s->count];
    void *other = NULL;
    int rc = router_add(router, method, pattern, r, &other, &e);
    check(rc == 0 || rc == -EINVAL || rc == -EEXIST, "adding answers %d", rc);
    check(rc == 0 || e.sentence[0], "a refusal without a sentence");
    int params = router_pattern_params(pattern, names, NULL);
    check(rc == -EINVAL || params >= 0, "accepted, and its parameters are refused");
    if (rc == -EINVAL)
        return;
    slow_read(r, method, pattern);
    bool found = false;
    for (int i = 0; i < s->count; i++)
        if (same(r, &s->routes[i])) {
            check(other == &s->routes[i], "it conflicts with another one");
            found = true;
        }
    check(found == (rc == -EEXIST), "a conflict that is none, or one that was not told");
    s->count += rc == 0;
}

static void take_line(struct router *router, struct slow *s, struct span line)
{
    bool request = line.len > 0 && line.ptr[0] == '>';
    if (request) {
        line.ptr++;
        line.len--;
    }
    const char *space = line.len > 0 ? memchr(line.ptr, ' ', line.len) : NULL;
    if (!space)
        return;
    struct span method = {line.ptr, (size_t)(space - line.ptr)};
    struct span rest = {space + 1, line.len - method.len - 1};
    if (request)
        check_request(router, s, method, rest);
    else if (s->count < ROUTES_MAX)
        add_route(router, s, method, rest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct slow s;
    static const uint64_t seed[2] = {1, 2};
    struct router *router;
    s.count = 0;
    check(router_new(&router, seed) == 0, "no router");
    struct span left = {(const char *)data, size};
    while (left.len > 0) {
        const char *newline = memchr(left.ptr, '\n', left.len);
        struct span line = {left.ptr, newline ? (size_t)(newline - left.ptr) : left.len};
        size_t taken = line.len + (newline ? 1 : 0);
        left.ptr += taken;
        left.len -= taken;
        if (line.len < LINE_MAX)
            take_line(router, &s, line);
    }
    router_free(router);
    return 0;
}
