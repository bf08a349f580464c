/*
 * markup.h: HTML and XML, in which a stranger's text could become script: what types are, and how a
 * value is written so that it stays text. Pure.
 */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>

/* Whether a browser may take it for HTML or XML: text/html, application/xml, text/xml, what ends in
 * +xml; and what is no type at all, since it looks at the body then. */
bool media_is_markup(struct span content_type);

/* Appends with & < > " ' as references: text between tags, or in a quoted attribute. 0, -ENOMEM,
 * -ENOBUFS. */
int markup_escape(struct bytes *out, struct span text) __attribute__((warn_unused_result));
/* Appends a JSON text with those, but for the quotes that are JSON's own, as \u00XX: it is the same
 * value. */
int markup_escape_json(struct bytes *out, struct span json) __attribute__((warn_unused_result));
