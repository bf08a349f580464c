/*
 * target.h: the parts of a request's target, decoded once.
 *
 * A path is cut at its slashes first, then each segment is decoded, exactly once, and then "." and
 * ".." are resolved (RFC 3986, 5.2.4), also those that were written "%2e". What would mean one
 * thing here and another behind us is refused: a malformed %, an encoded zero byte, a ".." above
 * the root. An encoded slash ("%2F") or backslash is a byte of its segment like any other, and
 * never a separator: a segment may hold "../x", and is no file's name. Empty segments ("//") are
 * kept. Pure.
 */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>

/* Undoes percent-encoding: 0, or -EINVAL for '%' without two hex digits or an encoded zero byte.
 * `out` has room for in.len bytes and may be in.ptr. `plus`: '+' is a space, as in a query. */
int percent_decode(struct span in, bool plus, char *out, size_t *out_len)
    __attribute__((warn_unused_result));
/* Appends with everything encoded but unreserved characters: 0; -ENOMEM or -ENOBUFS, and then `out`
 * is as it was. */
int percent_encode(struct bytes *out, struct span in) __attribute__((warn_unused_result));

/* The path's segments, decoded, dot segments resolved: "/a/b%20c/" is "a", "b c", ""; "/a/." and
 * "/a/b/.." are "a", "". `segments` has room for `max`, and `text` for path.len bytes, in which
 * the decoded ones are written; those without '%' point into `path` itself, and a path without
 * '%' needs no text. Returns how many (at least one), -EINVAL (malformed, or does not begin with
 * '/'), or -E2BIG (more than max, be it only until a ".." takes one back). */
int target_segments(struct span path, char *text, struct span *segments, int max)
    __attribute__((warn_unused_result));

/* Whether a segment of the path is "." or ".." to anyone who resolves it behind us: however often
 * that one decodes, be "\" a slash to it or not, and also if it cuts a segment at a ';', '?', '#'
 * or zero byte first. Then `*where` is the segment as it stands in `path`, with the separator
 * behind it. `room` has path.len bytes. Takes linear time. */
bool target_climbs(struct span path, char *room, struct span *where);

/* Goes through a query, "a=1&b": the next name and value, still encoded, cut at the first '=';
 * false at the end. Nothing between two '&' is passed over; a name without '=' has an empty
 * value. */
bool query_next(struct span *query, struct span *name, struct span *value);
