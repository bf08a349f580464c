/*
 * type_amount.c: numbers, durations, sizes and booleans.
 */
#include "conf/internal.h"
#include "conf/show.h"
#include "conf/type.h"

#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

static bool read_integer(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, uint64_t *value)
{
    char expected[CONF_EXPECTED_MAX];
    if (conf_integer(n, key->min, key->max, value))
        return true;
    snprintf(expected, sizeof expected, "a whole number from %" PRIu64 " to %" PRIu64, key->min,
        key->max);
    conf_tell(r, n, where, expected, conf_in_quotes(n));
    return false;
}

static int read_count(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at)
{
    uint64_t value;
    if (read_integer(r, key, n, where, &value))
        *(unsigned *)at = (unsigned)value;
    return 0;
}

static int read_seed(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at)
{
    uint64_t value;
    if (read_integer(r, key, n, where, &value))
        *(uint64_t *)at = value;
    return 0;
}

static int read_threads(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at)
{
    uint64_t value;
    unsigned *threads = at;
    char expected[CONF_EXPECTED_MAX];
    if (n->kind == CONF_SCALAR && span_equal(n->text, SPAN("auto"))) {
        *threads = 0;
    } else if (conf_integer(n, 1, key->max, &value)) {
        *threads = (unsigned)value;
    } else {
        snprintf(
            expected, sizeof expected, "'auto' or a whole number from 1 to %" PRIu64, key->max);
        conf_tell(r, n, where, expected, conf_in_quotes(n));
    }
    return 0;
}

/* Tells what conf_duration or conf_size said, unless it would show a secret. */
static void tell_amount(struct conf_reader *r, const struct conf_node *n,
    const struct conf_where *where, const char *expected, const struct error *e)
{
    char place[CONF_WHERE_MAX];
    if (n->secret || n->told)
        conf_tell(r, n, where, expected, "");
    else
        conf_error(r->errors, &n->mark, "%s: %s", conf_where_text(where, place), e->sentence);
}

static int read_duration(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at)
{
    struct error e;
    int64_t ns;
    char least[CONF_AMOUNT_MAX];
    char most[CONF_AMOUNT_MAX];
    char expected[CONF_EXPECTED_MAX];
    if (n->kind != CONF_SCALAR) {
        conf_tell(r, n, where, "a duration such as 250ms, 1.5s or 2m", "");
    } else if (conf_duration(n->text, &ns, &e)) {
        tell_amount(r, n, where, "a duration such as 250ms, 1.5s or 2m", &e);
    } else if ((uint64_t)ns < key->min || (uint64_t)ns > key->max) {
        snprintf(expected, sizeof expected, "a duration from %s to %s",
            conf_duration_text((int64_t)key->min, least),
            conf_duration_text((int64_t)key->max, most));
        conf_tell(r, n, where, expected, "");
    } else {
        *(int64_t *)at = ns;
    }
    return 0;
}

static int read_size(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at)
{
    struct error e;
    uint64_t bytes;
    char least[CONF_AMOUNT_MAX];
    char most[CONF_AMOUNT_MAX];
    char expected[CONF_EXPECTED_MAX];
    if (n->kind != CONF_SCALAR) {
        conf_tell(r, n, where, "a size such as 64KiB or 1MiB", "");
    } else if (conf_size(n->text, &bytes, &e)) {
        tell_amount(r, n, where, "a size such as 64KiB or 1MiB", &e);
    } else if (bytes < key->min || bytes > key->max) {
        snprintf(expected, sizeof expected, "a size from %s to %s", conf_size_text(key->min, least),
            conf_size_text(key->max, most));
        conf_tell(r, n, where, expected, "");
    } else {
        *(uint64_t *)at = bytes;
    }
    return 0;
}

static int read_bool(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at)
{
    static const char *const yes[] = {"yes", "on", "true", "y", "1"};
    static const char *const no[] = {"no", "off", "false", "n", "0"};
    if (n->kind == CONF_SCALAR && conf_scalar_meant(n, at, NULL) == CONF_IS_BOOL) {
        conf_take_plain(n);
        return 0;
    }
    const char *hint = conf_in_quotes(n);
    for (size_t i = 0; i < 5 && n->kind == CONF_SCALAR && !n->quoted; i++) {
        if (strcasecmp(n->text.ptr, yes[i]) == 0)
            hint = "; write true";
        if (strcasecmp(n->text.ptr, no[i]) == 0)
            hint = "; write false";
    }
    conf_tell(r, n, where, "true or false", hint);
    return 0;
}

/* ---- Showing ---- */

static struct conf_node *show_duration(
    struct conf_show *s, const struct conf_key *key, const void *at, const struct conf_node *origin)
{
    int64_t ns = *(const int64_t *)at;
    return ns == CONF_NO_DEADLINE ? NULL : conf_show_duration(s, ns);
}

static struct conf_node *show_size(
    struct conf_show *s, const struct conf_key *key, const void *at, const struct conf_node *origin)
{
    char text[CONF_AMOUNT_MAX];
    return conf_show_text(s, conf_size_text(*(const uint64_t *)at, text), false);
}

static struct conf_node *show_count(
    struct conf_show *s, const struct conf_key *key, const void *at, const struct conf_node *origin)
{
    unsigned count = *(const unsigned *)at;
    return count < key->min ? NULL : conf_show_number(s, count);
}

static struct conf_node *show_seed(
    struct conf_show *s, const struct conf_key *key, const void *at, const struct conf_node *origin)
{
    return conf_show_number(s, *(const uint64_t *)at);
}

static struct conf_node *show_threads(
    struct conf_show *s, const struct conf_key *key, const void *at, const struct conf_node *origin)
{
    unsigned threads = *(const unsigned *)at;
    return threads ? conf_show_number(s, threads) : conf_show_text(s, "auto", false);
}

static struct conf_node *show_bool(
    struct conf_show *s, const struct conf_key *key, const void *at, const struct conf_node *origin)
{
    return conf_show_text(s, *(const bool *)at ? "true" : "false", false);
}

/* ---- The JSON Schema, the reference ---- */

static int put_duration(struct bytes *out, const struct conf_key *key)
{
    return conf_schema_put(
        out, key->min ? "\"anyOf\":[{\"$ref\":\"#/$defs/duration\"}," CONF_SCHEMA_OUTSIDE "]"
                      : "\"anyOf\":[" CONF_SCHEMA_DURATION "]");
}

static int put_integer(struct bytes *out, const struct conf_key *key, const char *also)
{
    return bytes_printf(out,
        "\"anyOf\":[{\"type\":\"integer\",\"minimum\":%" PRIu64 ",\"maximum\":%" PRIu64
        "}%s," CONF_SCHEMA_OUTSIDE "]",
        key->min, key->max, also);
}

static int put_size(struct bytes *out, const struct conf_key *key)
{
    return put_integer(out, key,
        ",{\"type\":\"string\",\"pattern\":\"^[0-9]+(\\\\.[0-9]+)?(B|kB|KiB|MB|MiB|GB|GiB)?$\"}");
}

static int put_count(struct bytes *out, const struct conf_key *key)
{
    return put_integer(out, key, "");
}

static int put_threads(struct bytes *out, const struct conf_key *key)
{
    return bytes_printf(out,
        "\"anyOf\":[{\"const\":\"auto\"},{\"type\":\"integer\",\"minimum\":1,"
        "\"maximum\":%" PRIu64 "}," CONF_SCHEMA_OUTSIDE "]",
        key->max);
}

static int put_bool(struct bytes *out, const struct conf_key *key)
{
    return conf_schema_put(out, "\"anyOf\":[{\"type\":\"boolean\"}," CONF_SCHEMA_OUTSIDE "]");
}

static int bounds_of_duration(struct bytes *out, const struct conf_key *key)
{
    char least[CONF_AMOUNT_MAX];
    char most[CONF_AMOUNT_MAX];
    return bytes_printf(out, ", %s to %s", conf_duration_text((int64_t)key->min, least),
        conf_duration_text((int64_t)key->max, most));
}

static int bounds_of_size(struct bytes *out, const struct conf_key *key)
{
    char least[CONF_AMOUNT_MAX];
    char most[CONF_AMOUNT_MAX];
    return bytes_printf(
        out, ", %s to %s", conf_size_text(key->min, least), conf_size_text(key->max, most));
}

static int bounds_of_count(struct bytes *out, const struct conf_key *key)
{
    return bytes_printf(out, ", %" PRIu64 " to %" PRIu64, key->min, key->max);
}

static int bounds_of_threads(struct bytes *out, const struct conf_key *key)
{
    return bytes_printf(out, ", 1 to %" PRIu64, key->max);
}

/* ---- The types ---- */

const struct conf_type conf_type_duration = {.words = "duration",
    .size = sizeof(int64_t),
    .is_setting = true,
    .read = read_duration,
    .show = show_duration,
    .schema = put_duration,
    .bounds = bounds_of_duration};
const struct conf_type conf_type_size = {.words = "size",
    .size = sizeof(uint64_t),
    .is_setting = true,
    .read = read_size,
    .show = show_size,
    .schema = put_size,
    .bounds = bounds_of_size};
const struct conf_type conf_type_count = {.words = "number",
    .is_setting = true,
    .read = read_count,
    .show = show_count,
    .schema = put_count,
    .bounds = bounds_of_count};
const struct conf_type conf_type_seed = {.words = "number",
    .is_setting = true,
    .read = read_seed,
    .show = show_seed,
    .schema = put_count};
const struct conf_type conf_type_threads = {.words = "`auto` or a number",
    .is_setting = true,
    .read = read_threads,
    .show = show_threads,
    .schema = put_threads,
    .bounds = bounds_of_threads};
const struct conf_type conf_type_bool = {.words = "boolean",
    .size = sizeof(bool),
    .is_setting = true,
    .read = read_bool,
    .show = show_bool,
    .schema = put_bool};
