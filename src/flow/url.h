/*
 * url.h: the target of an upstream's URL, with values in it. For flow/'s templates only.
 *
 * A value fills in a part of a segment of the path, or of a value of the query, and can be nothing
 * else: it is percent-encoded, a path is refused in which a segment would be "." or ".." to anyone
 * who resolves it, and so is one that lacks a value. Two references are more: the rest of a path
 * ("{name...}") is its segments, in the path, and "$query" all parameters of the request's query.
 */
#pragma once

#include "flow/template.h"

/* 0; or a negative errno with a sentence that names the reference: "invalid-target", or what
 * value_of says. -ENOMEM and -ENOBUFS may come without. */
int url_render(const struct template *t, const struct flow_data *data, struct bytes *out,
    struct error *e) __attribute__((warn_unused_result));

/* Whether the path climbs whatever the values are: that is a mistake of who wrote it. 0 or -ENOMEM.
 */
int url_climbs(const struct template *t, struct arena *arena, bool *climbs)
    __attribute__((warn_unused_result));
