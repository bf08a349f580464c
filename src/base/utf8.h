/*
 * utf8.h: where the characters of a text begin and end, for all who cut, escape or check it.
 *
 * Well-formed is what Unicode says (RFC 3629): shortest forms only, no surrogates, nothing above
 * U+10FFFF.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the well-formed character that `text` begins with; 0: it does not begin with one. */
size_t utf8_length(const char *text, size_t len);
/* The most of `len` bytes, at most `max`, that do not end in the middle of a character. */
size_t utf8_cut(const char *text, size_t len, size_t max);
bool utf8_valid(const char *text, size_t len);
