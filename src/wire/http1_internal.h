/*
 * http1_internal.h: what the parts of the HTTP/1 codec know of each other.
 *
 *     http1.c         what comes next: stages, limits, bodies
 *     http1_head.c    what a head means, and all that is refused in it
 *     http1_target.c  a request's target and its host
 *     http1_parser.c  llhttp: the syntax of fields and of chunks
 *     http1_write.c   writing
 */
#pragma once

#include "wire/http1.h"

/* Remembers why, and returns false, so that one line does both. */
static inline bool http1_refuse(struct http1 *p, int status, const char *why)
{
    p->fault = (struct http1_fault){.status = status, .why = why};
    return false;
}

/* The start line, without its CR LF. */
bool http1_start_line(struct http1 *p, struct span line) __attribute__((warn_unused_result));
/* What the fields say, once head.fields are there: framing, host, keep-alive ... */
bool http1_understand(struct http1 *p) __attribute__((warn_unused_result));

/* Splits head.target into its parts, by its form. */
bool http1_split_target(struct http1 *p) __attribute__((warn_unused_result));
/* uri-host [":" port], narrower than RFC 3986: no user, no percent, no sub-delimiters. */
bool http1_host_valid(struct span host);
