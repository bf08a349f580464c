/*
 * json.h: JSON values: read from text, looked into, and written.
 *
 * Reading is strict (RFC 8259): one value, UTF-8, no comments, no trailing commas. A number is kept
 * as its text, so that none of its digits is lost where it is only passed on, whatever its size. A
 * document owns its values; they live until json_free. Where an object names a member twice the
 * first is found: who cares asks json_twins. Nothing here is another library's type; how it is
 * parsed is this folder's secret.
 *
 * Writing appends to a `struct bytes`, whose maximum bounds it. Text that is not UTF-8 is written
 * with U+FFFD in place of what is wrong, so that what Weir writes can always be read.
 */
#pragma once

#include "base/bytes.h"
#include "base/error.h"
#include "base/limits.h"

#include <stdbool.h>
#include <stdint.h>

struct json;       /* a document */
struct json_value; /* a value in a document */

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/* ---- Reading ---- */

/* 0; or -EINVAL with the line and column of what is wrong, -EMSGSIZE if it is longer than `max`
 * bytes (usually JSON_TEXT_MAX) or deeper than JSON_DEPTH_MAX, -ENOMEM. `e` may be NULL. */
int json_parse(struct json **out, struct span text, size_t max, struct error *e)
    __attribute__((warn_unused_result));
/* The same without a copy of the text, which is destroyed and must live as long as the document:
 * `text` has JSON_PARSE_PADDING writable bytes behind its `len`. */
#define JSON_PARSE_PADDING 4
int json_parse_in_place(struct json **out, char *text, size_t len, size_t max, struct error *e)
    __attribute__((warn_unused_result));
/* NULL is nothing to free. */
void json_free(struct json *j);

const struct json_value *json_root(const struct json *j);
/* NULL has type JSON_NULL, so that a lookup's answer can be asked directly. */
enum json_type json_type(const struct json_value *v);
/* The value as it is, or `otherwise` if it is of another type, or a number that is too large for a
 * double. */
bool json_bool(const struct json_value *v, bool otherwise);
double json_number(const struct json_value *v, double otherwise);
/* Whether it is a number without fraction that fits; and then which. */
bool json_integer(const struct json_value *v, int64_t *out);
/* The text, which borrows from the document, or {NULL, 0}. It ends with a zero byte that is not
 * counted, and may hold others. So does a member's name. */
struct span json_string(const struct json_value *v);

/* Elements of an array or members of an object; 0 for anything else. */
size_t json_count(const struct json_value *v);
/* The member of an object, or NULL. */
const struct json_value *json_member(const struct json_value *v, const char *name);

/* Goes through an array or object, in order: the next value, its name if it is a member, or NULL at
 * the end. */
struct json_iter {
    const struct json_value *next;
    size_t left;
    bool members;
};
struct json_iter json_iter(const struct json_value *v);
const struct json_value *json_next(struct json_iter *it, struct span *name);

/* Whether some object names a member twice, and then `*name` is one such: 0 or 1; -ENOMEM. Takes
 * linear time: `seed`, which keys a hash, is nothing that the text's writer knows. */
int json_twins(const struct json *j, const uint64_t seed[2], struct span *name)
    __attribute__((warn_unused_result));

/* ---- Writing ---- */

/* All: 0, -ENOMEM or -ENOBUFS. */
int json_write_string(struct bytes *out, struct span s) __attribute__((warn_unused_result));
int json_write_integer(struct bytes *out, int64_t n) __attribute__((warn_unused_result));
/* In the fewest digits that read back as the same number; -EINVAL for what JSON has not (NaN). */
int json_write_number(struct bytes *out, double n) __attribute__((warn_unused_result));
/* A document's value, without white space. */
int json_write(struct bytes *out, const struct json_value *v) __attribute__((warn_unused_result));

/* The same two for those who write elsewhere. How many bytes the number has, or 0: JSON has it
 * not. */
#define JSON_NUMBER_MAX 40
size_t json_format_number(char text[JSON_NUMBER_MAX], double n);
/* 0, -ENOMEM. You now own the text, which mem_free frees. */
int json_text(const struct json_value *v, char **text, size_t *len)
    __attribute__((warn_unused_result));
