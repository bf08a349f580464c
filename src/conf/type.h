/*
 * type.h: what types of values are made of: sentences, texts and pieces of JSON Schema. schema.h
 * says what a type is.
 */
#pragma once

#include "conf/read.h"

#include "base/bytes.h"

#define CONF_EXPECTED_MAX 192

/* What the text means as a value: a `${...}` means what it would mean if it were there itself. */
enum conf_scalar conf_scalar_meant(const struct conf_node *n, bool *b, int64_t *i);
/* A hint for a value that would be right without its quotes; "" for others. */
const char *conf_in_quotes(const struct conf_node *n);
/* A hint for "{id}", which without quotes is a map whose one key has no value; "" for others. */
const char *conf_needs_quotes(const struct conf_node *n);
/* A number or boolean from a default in `${...}` is handed on as what it was taken for. */
void conf_take_plain(struct conf_node *n);
/* Returns true if it is a whole number from `least` to `most`. */
bool conf_integer(struct conf_node *n, uint64_t least, uint64_t most, uint64_t *out);
bool conf_is_text(const struct conf_node *n);
bool conf_has_controls(struct span s);
bool conf_is_method(struct span s);
/* Makes it what flows take for a template: dollars from outside are no references. */
void conf_take_template(struct conf_node *n);

/* "1.5s", "64MiB": the shortest that reads back as the same. */
#define CONF_AMOUNT_MAX 32
const char *conf_duration_text(int64_t ns, char out[CONF_AMOUNT_MAX]);
const char *conf_size_text(uint64_t bytes, char out[CONF_AMOUNT_MAX]);

/* ---- JSON Schema ---- */

/* Any value may be left to the environment. */
#define CONF_SCHEMA_OUTSIDE "{\"$ref\":\"#/$defs/outside\"}"
#define CONF_SCHEMA_DURATION \
    "{\"$ref\":\"#/$defs/duration\"},{\"enum\":[0,\"0\"]}," CONF_SCHEMA_OUTSIDE
#define CONF_SCHEMA_WORD "\"pattern\":\"^[A-Za-z_][A-Za-z0-9_-]{0,62}$\""

int conf_schema_put(struct bytes *out, const char *text) __attribute__((warn_unused_result));
