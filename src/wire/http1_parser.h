/*
 * http1_parser.h: llhttp, as far as we use it: the syntax of header fields and of chunks.
 *
 * It stands apart because llhttp's names and ours collide (HTTP_GET), so nobody includes both. Each
 * call shows it a whole part of a message: a head, a chunk's size line, a piece of a chunk, a
 * trailer section. It returns NULL, or why the part was refused.
 */
#pragma once

#include "wire/field.h"

/* Of the memory at `parser`, aligned to 8. */
#define HTTP1_LLHTTP_SIZE 128

/* Where fields are put. */
struct http1_table {
    struct http_field *fields;
    unsigned count;
    unsigned max;
    bool full;    /* one more was there */
    bool chunked; /* the head says so, as llhttp understands it */
};

void http1_parser_init(void *parser, bool reply);
const char *http1_parser_head(void *parser, struct span head, struct http1_table *table)
    __attribute__((warn_unused_result));

/* After a head that says that its body is chunked. `line` is "5;ext\r\n"; a size of 0 is the last
 * chunk. */
const char *http1_parser_chunk_line(void *parser, struct span line, uint64_t *size)
    __attribute__((warn_unused_result));
/* A piece of a chunk's bytes, or of the CR LF after them. */
const char *http1_parser_chunk(void *parser, struct span piece) __attribute__((warn_unused_result));
/* All from after the last chunk's line to the empty line. */
const char *http1_parser_trailers(void *parser, struct span section, struct http1_table *table)
    __attribute__((warn_unused_result));
