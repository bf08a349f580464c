/*
 * field.h: header fields, as every version of HTTP has them: names without case, values, lists.
 */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>

struct http_field {
    struct span name;  /* as it was written; compare without case: http_name_equal */
    struct span value; /* without white space around it */
};

/* The first field of that name, or NULL. `name` in lower case. */
const struct http_field *http_field_find(
    const struct http_field *fields, unsigned count, const char *name);
/* Without case; `lower` is in lower case. */
bool http_name_equal(struct span name, const char *lower);
/* Whether a comma-separated value has this element, without case. `lower` is in lower case. */
bool http_list_has(struct span value, const char *lower);

/* The content coding of a body (RFC 9110, 8.4), as the fields say it: {NULL, 0} for none, and for
 * "identity", which is none. */
struct span http_content_coding(const struct http_field *fields, unsigned count);

/* tchar of RFC 9110: what names and methods are made of. */
bool http_token_valid(struct span s);
/* No control bytes but tabs: what a field's value, or a reason, may be. */
bool http_value_valid(struct span s);

/* ---- For codecs ---- */

/* Without the spaces and tabs around it. */
struct span http_trim(struct span s);
/* Takes the first element off a comma-separated list, trimmed, perhaps empty. The list is over when
 * its pointer is NULL. */
struct span http_list_take(struct span *list);
/* Exactly the `len` bytes at `lower`, without case. */
bool http_same(const char *text, const char *lower, size_t len);
/* Two values, without case. */
bool http_span_same(struct span a, struct span b);
