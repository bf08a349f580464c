/*
 * router.h: finds the route of a method and a path.
 *
 * A pattern is a path whose segments are literals, "{name}" (any one segment, not empty), or, at
 * the end only, "{name...}" (the rest of the path, at least one segment, be it empty, joined by
 * '/'). Literals are written percent-decoded ("/a b") or encoded ("/a%20b"); both mean the same. At
 * each segment a literal wins over a parameter and a parameter over the rest; if the better way
 * leads nowhere, or to other methods only, the next is tried. A trailing slash is a segment of its
 * own: "/a/" is not "/a".
 *
 * Routers are built once, at start, then only read: any thread may match. Conflicts (the same
 * method and pattern twice, whatever the parameters are called) are reported when added. GET
 * answers HEAD too, unless HEAD has a route of its own for the pattern. What a parameter holds is
 * untrusted: a decoded segment may contain slashes, and "..".
 *
 * Matching costs the same with 10 routes as with 10,000, and is bounded whatever the table and the
 * path: patterns are told apart by their *shape* (which of their segments are literal), a shape's
 * patterns are in one hash table, and a path is looked up once in each shape that fits its
 * number of segments, of which there are at most ROUTER_SHAPES_MAX.
 */
#pragma once

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"
#include "wire/http1.h"

struct router;

#define ROUTER_PARAMS_MAX   16
#define ROUTER_SEGMENTS_MAX 64 /* a path that has more has no route */
#define ROUTER_SHAPES_MAX   64 /* for each number of segments; APIs have a handful */
#define ROUTER_PATTERN_MAX  1024
#define ROUTER_MEMORY_MAX   (256 * 1024 * 1024)

/* `seed` keys the hashes, so that clients cannot choose paths that collide. */
int router_new(struct router **out, const uint64_t seed[2]) __attribute__((warn_unused_result));
void router_free(struct router *r);

/* `method` is a token in upper case, or "*" for any that has no route of its own. `value` is
 * found again by matching, and not NULL. 0; -EINVAL with a sentence (malformed method or pattern;
 * more than 16 parameters or 64 segments; the same name twice; too many shapes), -EEXIST with a
 * sentence that names the pattern it conflicts with and `*other` that one's value; -ENOMEM. */
int router_add(struct router *r, struct span method, struct span pattern, void *value, void **other,
    struct error *e) __attribute__((warn_unused_result));
/* The pattern's parameter names, in order: how many, or -EINVAL if it is malformed. They point into
 * `pattern`. For checking references. */
int router_pattern_params(struct span pattern, struct span names[ROUTER_PARAMS_MAX],
    struct error *e) __attribute__((warn_unused_result));

struct router_match {
    void *value;
    unsigned param_count;
    struct {
        struct span name;
        struct span value; /* decoded */
        /* The rest's segments, if one contains a slash, so that the value is ambiguous; else NULL.
         * */
        const struct span *segments;
        unsigned segment_count;
    } params[ROUTER_PARAMS_MAX];
};

/* 0 and the match; -ENOENT: no route has this path; -EPERM: some have, but not with this method,
 * and `allow` (if not NULL) gets a list for the Allow field ("GET, HEAD, POST, OPTIONS") in the
 * arena's memory: with OPTIONS, unless it has a route, the caller answers with it. -EINVAL: the
 * path is malformed; -ENOMEM. `method_name` is looked at only for HTTP_OTHER. Names live as long
 * as the router; values point into `path` or, decoded, into the arena: for a path without '%' and
 * dot segments a match allocates nothing. */
int router_find(const struct router *r, enum http_method method, struct span method_name,
    struct span path, struct arena *arena, struct router_match *match, struct span *allow)
    __attribute__((warn_unused_result));
