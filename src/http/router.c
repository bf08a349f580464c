/*
 * router.c: shapes, leaves, routes.
 *
 * All patterns with literals in the same places have one shape: a set of bits for the literals and
 * one for the parameters. A path fits a pattern if it fits the shape and has the pattern's
 * literals, so one look-up of their hash in the shape's table finds the leaf that holds the
 * pattern's routes, a method each. The shapes that fit a path
 * of n segments stand in a row, ordered as the header says who wins: segment by segment, a literal
 * before a parameter before the rest. The first that knows path and method is the best.
 *
 * A segment is hashed at most once a match, and only if some shape has a literal there.
 */
#include "http/router.h"

#include "base/bug.h"
#include "base/mem.h"
#include "base/siphash.h"
#include "http/router_pattern.h"
#include "wire/target.h"

#include <errno.h>

#define TABLE_FIRST 8
#define METHOD_MAX  32
#define ALLOW_MAX   4096

/* How a route was written. It stands apart from what matching reads. */
struct title {
    struct span method; /* "GET" */
    struct span pattern;
};

/* What answers a method. */
struct route {
    struct route *next; /* of the same leaf, in the order of adding */
    void *value;
    const struct span *params; /* their names; shared with the shape's route before, if the same */
    const struct title *title;
    enum http_method method; /* HTTP_OTHER: the title says which */
    bool any;
};

/* The routes of patterns with the same literals, and those: each its length, then its bytes. */
struct leaf {
    struct route *routes;
    char literals[];
};

struct slot {
    uint64_t hash;
    struct leaf *leaf; /* NULL: free */
};

struct shape {
    uint64_t literals; /* bit i: segment i is one */
    uint64_t params;
    unsigned segments; /* of both; the rest begins behind them */
    bool rest;
    unsigned count;
    unsigned size; /* of the table: a power of two, a quarter of it free */
    struct slot *slots;
    const struct span *names; /* of the parameters of the route that was added last */
    struct shape *older;
};

/* The shapes that fit paths of one number of segments, best first. */
struct row {
    struct shape *shapes[ROUTER_SHAPES_MAX];
    unsigned count;
};

struct router {
    struct arena memory; /* what matching reads, close together */
    struct arena texts;  /* what it does not */
    uint64_t seed[2];
    size_t literal_max; /* the longest literal's length: what is longer need not be hashed */
    struct shape *shapes;
    struct row *rows[ROUTER_SEGMENTS_MAX + 1]; /* by number of segments; NULL: none yet */
};

int router_new(struct router **out, const uint64_t seed[2])
{
    struct router *r = mem_zalloc(sizeof *r);
    if (!r)
        return -ENOMEM;
    arena_init(&r->memory, ROUTER_MEMORY_MAX);
    arena_init(&r->texts, ROUTER_MEMORY_MAX);
    memcpy(r->seed, seed, sizeof r->seed);
    *out = r;
    return 0;
}

void router_free(struct router *r)
{
    if (!r)
        return;
    for (struct shape *s = r->shapes; s; s = s->older)
        mem_free(s->slots);
    arena_release(&r->memory);
    arena_release(&r->texts);
    mem_free(r);
}

/* ---- Methods ---- */

static struct route *route_of(
    const struct leaf *p, bool any, enum http_method method, struct span name)
{
    for (struct route *route = p->routes; route; route = route->next)
        if (route->any == any && (any || route->method == method) &&
            (any || method != HTTP_OTHER || span_equal(route->title->method, name)))
            return route;
    return NULL;
}

/* ---- Looking up: a path's segments and their hashes ---- */

struct path {
    struct span segments[ROUTER_SEGMENTS_MAX];
    uint64_t hashes[ROUTER_SEGMENTS_MAX];
    uint64_t hashed;   /* bit i: hashes[i] is there */
    uint64_t empty;    /* bit i: segment i is empty, so no parameter */
    uint64_t too_long; /* bit i: segment i is longer than every literal */
    unsigned count;
};

static void path_look(struct path *p, unsigned count, size_t literal_max)
{
    p->count = count;
    p->hashed = p->empty = p->too_long = 0;
    uint64_t here = 1;
    for (unsigned i = 0; i < count; i++, here <<= 1) {
        p->empty |= p->segments[i].len == 0 ? here : 0;
        p->too_long |= p->segments[i].len > literal_max ? here : 0;
    }
}

/* One hash of the segments that the shape has literals for. */
static uint64_t path_hash(struct path *p, const struct shape *s, const uint64_t seed[2])
{
    uint64_t hash = 0;
    for (uint64_t left = s->literals; left; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);
        if (!(p->hashed & router_bit(i))) {
            p->hashes[i] = siphash(seed, p->segments[i]);
            p->hashed |= router_bit(i);
        }
        /* The segments' hashes are secret: whoever does not know them finds no collision. */
        hash = (siphash_turn(hash, 27) ^ p->hashes[i]) * UINT64_C(0x9e3779b97f4a7c15);
    }
    return hash ^ hash >> 32;
}

static bool has_literals(const struct leaf *leaf, const struct shape *s, const struct path *p)
{
    const char *at = leaf->literals;
    for (uint64_t left = s->literals; left; left &= left - 1) {
        uint16_t len;
        memcpy(&len, at, sizeof len);
        at += sizeof len;
        if (!span_equal((struct span){at, len}, p->segments[__builtin_ctzll(left)]))
            return false;
        at += len;
    }
    return true;
}

static struct leaf *shape_find(const struct shape *s, struct path *p, const uint64_t seed[2])
{
    if (s->count == 0 || s->params & p->empty || s->literals & p->too_long)
        return NULL;
    uint64_t hash = path_hash(p, s, seed);
    unsigned mask = s->size - 1;
    for (unsigned at = (unsigned)hash & mask; s->slots[at].leaf; at = (at + 1) & mask)
        if (s->slots[at].hash == hash && has_literals(s->slots[at].leaf, s, p))
            return s->slots[at].leaf;
    return NULL;
}

/* ---- Adding ---- */

enum kind { LITERAL, PARAM, REST };

static enum kind kind_at(const struct shape *s, unsigned i)
{
    return s->literals & router_bit(i) ? LITERAL : s->params & router_bit(i) ? PARAM : REST;
}

/* Whether paths that fit both are rather `a`'s. */
static bool wins(const struct shape *a, const struct shape *b)
{
    for (unsigned i = 0; i < ROUTER_SEGMENTS_MAX; i++)
        if (kind_at(a, i) != kind_at(b, i))
            return kind_at(a, i) < kind_at(b, i);
    return false;
}

static void row_insert(struct row *row, struct shape *s)
{
    unsigned at = row->count++;
    for (; at > 0 && wins(s, row->shapes[at - 1]); at--)
        row->shapes[at] = row->shapes[at - 1];
    row->shapes[at] = s;
}

/* Makes sure that the shape has a place in each row of paths that fit it: from `first` segments to
 * `last`. */
static int reserve_rows(struct router *r, unsigned first, unsigned last)
{
    for (unsigned i = first; i <= last; i++) {
        if (!r->rows[i])
            r->rows[i] = arena_zalloc(&r->memory, sizeof *r->rows[i]);
        if (!r->rows[i])
            return -ENOMEM;
        if (r->rows[i]->count == ROUTER_SHAPES_MAX)
            return -ENOBUFS;
    }
    return 0;
}

static int shape_of(struct router *r, const struct router_pattern *written, struct shape **out)
{
    unsigned segments = written->segment_count - written->rest;
    for (struct shape *s = r->shapes; s; s = s->older)
        if (s->literals == written->literals && s->params == written->params &&
            s->segments == segments && s->rest == written->rest) {
            *out = s;
            return 0;
        }
    unsigned last = written->rest ? ROUTER_SEGMENTS_MAX : segments;
    int rc = reserve_rows(r, written->segment_count, last);
    struct shape *s = rc == 0 ? arena_zalloc(&r->memory, sizeof *s) : NULL;
    if (!s)
        return rc ? rc : -ENOMEM;
    s->literals = written->literals;
    s->params = written->params;
    s->segments = segments;
    s->rest = written->rest;
    s->older = r->shapes;
    r->shapes = s;
    for (unsigned i = written->segment_count; i <= last; i++)
        row_insert(r->rows[i], s);
    *out = s;
    return 0;
}

static void slots_put(struct slot *slots, unsigned size, struct slot slot)
{
    unsigned at = (unsigned)slot.hash & (size - 1);
    while (slots[at].leaf)
        at = (at + 1) & (size - 1);
    slots[at] = slot;
}

static int shape_make_room(struct shape *s)
{
    if (s->count + 1 <= s->size / 4 * 3)
        return 0;
    unsigned size = s->size ? s->size * 2 : TABLE_FIRST;
    struct slot *slots = mem_zalloc(size * sizeof *slots);
    if (!slots)
        return -ENOMEM;
    for (unsigned i = 0; i < s->size; i++)
        if (s->slots[i].leaf)
            slots_put(slots, size, s->slots[i]);
    mem_free(s->slots);
    s->slots = slots;
    s->size = size;
    return 0;
}

static struct leaf *leaf_new(
    struct router *r, struct shape *s, const struct router_pattern *written, uint64_t hash)
{
    _Static_assert(ROUTER_PATTERN_MAX <= UINT16_MAX, "a literal's length has 16 bits");
    size_t size =
        written->text_len + sizeof(uint16_t) * (unsigned)__builtin_popcountll(written->literals);
    struct leaf *leaf = arena_zalloc(&r->memory, sizeof *leaf + size);
    if (!leaf || shape_make_room(s) != 0)
        return NULL;
    char *at = leaf->literals;
    for (uint64_t left = s->literals; left; left &= left - 1) {
        struct span literal = written->segments[__builtin_ctzll(left)];
        uint16_t len = (uint16_t)literal.len;
        memcpy(at, &len, sizeof len);
        memcpy(at + sizeof len, literal.ptr, len);
        at += sizeof len + len;
        if (len > r->literal_max)
            r->literal_max = len;
    }
    slots_put(s->slots, s->size, (struct slot){hash, leaf});
    s->count++;
    return leaf;
}

static struct title *title_new(struct router *r, struct span method, struct span pattern)
{
    struct title *title = arena_alloc(&r->texts, sizeof *title);
    const char *method_text = arena_copy(&r->texts, method);
    const char *pattern_text = arena_copy(&r->texts, pattern);
    if (!title || !method_text || !pattern_text)
        return NULL;
    title->method = (struct span){method_text, method.len};
    title->pattern = (struct span){pattern_text, pattern.len};
    return title;
}

/* The names of the route's parameters. Most routes of a shape have the same. */
static const struct span *names_of(struct router *r, struct shape *s,
    const struct router_pattern *written, struct span pattern, const struct title *title)
{
    bool same = s->names != NULL;
    for (unsigned i = 0; i < written->name_count && same; i++)
        same = span_equal(s->names[i], written->names[i]);
    if (same)
        return s->names;
    struct span *names = arena_zalloc(&r->memory, written->name_count * sizeof *names + 1);
    if (!names)
        return NULL;
    for (unsigned i = 0; i < written->name_count; i++) {
        size_t at = (size_t)(written->names[i].ptr - pattern.ptr);
        names[i] = (struct span){title->pattern.ptr + at, written->names[i].len};
    }
    s->names = names;
    return names;
}

static struct route *route_new(struct router *r, struct shape *s,
    const struct router_pattern *written, struct span method, struct span pattern)
{
    struct route *route = arena_zalloc(&r->memory, sizeof *route);
    struct title *title = title_new(r, method, pattern);
    if (!route || !title)
        return NULL;
    route->title = title;
    route->params = names_of(r, s, written, pattern, title);
    (void)http_method_find(method, &route->method); /* an unknown one is HTTP_OTHER */
    route->any = span_equal(method, SPAN("*"));
    return route->params ? route : NULL;
}

/* A token in upper case. */
static bool is_method(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] >= 'a' && s.ptr[i] <= 'z')
            return false;
    return s.len <= METHOD_MAX && http_token_valid(s);
}

static int refuse_shape(struct error *e, struct span pattern, int rc)
{
    if (rc == -ENOBUFS)
        return router_pattern_refuse(e, pattern,
            "there are patterns with literals and parameters in 64 different orders already that "
            "fit paths of as many segments");
    return error_set(e, rc, "out-of-memory", "no memory for a route");
}

/* The leaf with these literals: the shape's, or a new one. */
static struct leaf *leaf_of(struct router *r, struct shape *s, const struct router_pattern *written)
{
    struct path p;
    memcpy(p.segments, written->segments, written->segment_count * sizeof *p.segments);
    path_look(&p, written->segment_count, SIZE_MAX);
    p.empty = 0; /* where a parameter stands */
    struct leaf *leaf = shape_find(s, &p, r->seed);
    return leaf ? leaf : leaf_new(r, s, written, path_hash(&p, s, r->seed));
}

int router_add(struct router *r, struct span method, struct span pattern, void *value, void **other,
    struct error *e)
{
    check(value, "a route without a value could not be told from none");
    struct router_pattern written;
    int rc = router_pattern_read(&written, pattern, e);
    if (rc)
        return rc;
    if (!is_method(method))
        return router_pattern_refuse(
            e, pattern, "a method is a name in upper case (at most 32 letters), or '*' for any");
    struct shape *shape;
    rc = shape_of(r, &written, &shape);
    if (rc)
        return refuse_shape(e, pattern, rc);
    struct leaf *leaf = leaf_of(r, shape, &written);
    if (!leaf)
        return refuse_shape(e, pattern, -ENOMEM);

    struct route **at = &leaf->routes;
    for (; *at && !span_equal((*at)->title->method, method); at = &(*at)->next)
        continue;
    if (*at) {
        if (other)
            *other = (*at)->value;
        return error_set(e, -EEXIST, "route-conflict",
            "route '%.*s %.*s' is there already, as '%.*s'", SPAN_ARG(method),
            SPAN_ARG(router_pattern_shown(pattern)),
            SPAN_ARG(router_pattern_shown((*at)->title->pattern)));
    }
    *at = route_new(r, shape, &written, method, pattern);
    if (!*at)
        return refuse_shape(e, pattern, -ENOMEM);
    (*at)->value = value;
    return 0;
}

/* ---- Finding ---- */

/* Joined: as they stand in the path, or copied together. */
static int join(
    const struct span *first, const struct span *last, struct arena *arena, struct span *out)
{
    size_t len = first->len;
    bool together = true;
    for (const struct span *at = first; at < last; at++) {
        together &= at->ptr + at->len + 1 == at[1].ptr && at->ptr[at->len] == '/';
        len += 1 + at[1].len;
    }
    *out = (struct span){first->ptr, len};
    if (together)
        return 0;
    char *text = arena_alloc(arena, len);
    if (!text)
        return -ENOMEM;
    out->ptr = text;
    for (const struct span *at = first; at <= last; at++) {
        if (at > first)
            *text++ = '/';
        if (at->len > 0)
            memcpy(text, at->ptr, at->len);
        text += at->len;
    }
    return 0;
}

static bool has_slash(const struct span *first, const struct span *last)
{
    for (const struct span *at = first; at <= last; at++)
        if (at->len > 0 && memchr(at->ptr, '/', at->len))
            return true;
    return false;
}

/* The segments from the shape's last on. */
static int rest_of(const struct shape *s, const struct path *p, struct arena *arena,
    struct router_match *match, unsigned at)
{
    const struct span *first = &p->segments[s->segments];
    const struct span *last = &p->segments[p->count - 1];
    if (has_slash(first, last)) {
        unsigned count = p->count - s->segments;
        struct span *copy = arena_alloc(arena, count * sizeof *copy);
        if (!copy)
            return -ENOMEM;
        memcpy(copy, first, count * sizeof *copy);
        match->params[at].segments = copy;
        match->params[at].segment_count = count;
    }
    return join(first, last, arena, &match->params[at].value);
}

static int fill(struct router_match *match, const struct route *route, const struct shape *s,
    const struct path *p, struct arena *arena)
{
    unsigned count = 0;
    match->value = route->value;
    for (uint64_t left = s->params; left; left &= left - 1, count++) {
        match->params[count].name = route->params[count];
        match->params[count].value = p->segments[__builtin_ctzll(left)];
        match->params[count].segments = NULL;
        match->params[count].segment_count = 0;
    }
    int rc = 0;
    if (s->rest) {
        match->params[count].name = route->params[count];
        match->params[count].segments = NULL;
        match->params[count].segment_count = 0;
        rc = rest_of(s, p, arena, match, count);
        count++;
    }
    match->param_count = count;
    return rc;
}

/* What the pattern answers the method with, or NULL. */
static struct route *answer_of(const struct leaf *p, enum http_method method, struct span name)
{
    struct route *route = route_of(p, false, method, name);
    if (!route && method == HTTP_HEAD)
        route = route_of(p, false, HTTP_GET, name);
    return route ? route : route_of(p, true, method, name);
}

static int allow_add(struct bytes *list, struct span method)
{
    for (size_t at = 0; at < list->len;) {
        const char *comma = memchr(list->ptr + at, ',', list->len - at);
        size_t end = comma ? (size_t)(comma - list->ptr) : list->len;
        if (span_equal(method, (struct span){list->ptr + at, end - at}))
            return 0;
        at = end + 2;
    }
    int rc = list->len > 0 ? bytes_append_span(list, SPAN(", ")) : 0;
    return rc ? rc : bytes_append_span(list, method);
}

static int allow_list(struct bytes *list, const struct router *r, struct path *p)
{
    const struct row *row = r->rows[p->count];
    int rc = 0;
    for (unsigned i = 0; i < row->count; i++) {
        const struct leaf *leaf = shape_find(row->shapes[i], p, r->seed);
        for (struct route *at = leaf ? leaf->routes : NULL; at && rc == 0; at = at->next) {
            rc = allow_add(list, at->title->method);
            if (rc == 0 && at->method == HTTP_GET)
                rc = allow_add(list, SPAN("HEAD"));
        }
    }
    return rc ? rc : allow_add(list, SPAN("OPTIONS"));
}

/* The path has routes, but none for the method. */
static int refuse_method(
    const struct router *r, struct path *p, struct arena *arena, struct span *allow)
{
    if (!allow)
        return -EPERM;
    struct bytes list;
    bytes_init(&list, ALLOW_MAX);
    int rc = allow_list(&list, r, p);
    /* A list that is too long is cut: Allow is help, not law. */
    char *copy = rc != -ENOMEM ? arena_copy(arena, bytes_span(&list)) : NULL;
    *allow = (struct span){copy, list.len};
    bytes_release(&list);
    return copy ? -EPERM : -ENOMEM;
}

int router_find(const struct router *r, enum http_method method, struct span method_name,
    struct span path, struct arena *arena, struct router_match *match, struct span *allow)
{
    struct path p;
    char *text = NULL;
    if (path.len > 0 && memchr(path.ptr, '%', path.len)) {
        text = arena_alloc(arena, path.len);
        if (!text)
            return -ENOMEM;
    }
    int count = target_segments(path, text, p.segments, ROUTER_SEGMENTS_MAX);
    if (count < 0)
        return count == -E2BIG ? -ENOENT : count;
    const struct row *row = r->rows[count];
    if (!row)
        return -ENOENT;
    path_look(&p, (unsigned)count, r->literal_max);
    bool known = false;
    for (unsigned i = 0; i < row->count; i++) {
        const struct leaf *leaf = shape_find(row->shapes[i], &p, r->seed);
        const struct route *route = leaf ? answer_of(leaf, method, method_name) : NULL;
        if (route)
            return fill(match, route, row->shapes[i], &p, arena);
        known |= leaf && leaf->routes; /* one without is what a failed addition left */
    }
    return known ? refuse_method(r, &p, arena, allow) : -ENOENT;
}
