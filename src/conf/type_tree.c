/*
 * type_tree.c: values that stay trees: templates, literals, header fields, statuses.
 */
#include "conf/internal.h"
#include "conf/show.h"
#include "conf/type.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void conf_take_template(struct conf_node *n)
{
    if (n->escaped.ptr) {
        n->text = n->escaped;
        n->escaped = (struct span){0};
    }
    for (unsigned i = 0; i < n->count; i++)
        conf_take_template(n->kind == CONF_MAP ? n->members[i].value : n->elements[i]);
}

static int read_fields(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at)
{
    static const char token[] =
        "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    char place[CONF_WHERE_MAX];
    char found[CONF_FOUND_MAX];
    if (n->kind != CONF_MAP) {
        conf_tell(r, n, where, "a map of header fields such as {cache-control: no-store}", "");
        return 0;
    }
    for (unsigned i = 0; i < n->count; i++) {
        struct span name = n->members[i].name;
        if (name.len == 0 || strspn(name.ptr, token) != name.len)
            conf_error(r->errors, &n->members[i].mark,
                "%s: found the name %s, expected letters, digits and '-'",
                conf_where_text(where, place), conf_quoted(name, found));
    }
    conf_take_template(n);
    *(const struct conf_node **)at = n;
    return 0;
}

static bool has_dollar(const struct conf_node *n)
{
    return conf_is_text(n) && memchr(n->text.ptr, '$', n->text.len);
}

static int read_status(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at)
{
    uint64_t value;
    bool number = conf_integer(n, 200, 599, &value);
    if (!number && !has_dollar(n)) {
        conf_tell(r, n, where, "a number from 200 to 599 or a reference such as $node.x.status",
            conf_in_quotes(n));
        return 0;
    }
    conf_take_template(n);
    if (number)
        n->quoted = false; /* also one from a variable */
    *(const struct conf_node **)at = n;
    return 0;
}

static bool is_signed(struct conf_node *n, int64_t most)
{
    int64_t i;
    return n->kind == CONF_SCALAR && conf_scalar_meant(n, NULL, &i) == CONF_IS_INTEGER &&
           i >= -most && i <= most;
}

static int read_priority(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at)
{
    char expected[CONF_EXPECTED_MAX];
    bool number = is_signed(n, (int64_t)key->max);
    if (number) {
        conf_take_plain(n);
    } else if (!has_dollar(n)) {
        snprintf(expected, sizeof expected,
            "a whole number from -%" PRIu64 " to %" PRIu64
            " or a reference such as $header.weir-priority",
            key->max, key->max);
        conf_tell(r, n, where, expected, conf_in_quotes(n));
        return 0;
    }
    conf_take_template(n);
    if (number)
        n->quoted = false; /* also one from a variable */
    *(const struct conf_node **)at = n;
    return 0;
}

/* ---- Statuses ---- */

static bool status_at(const char *text)
{
    return text[0] >= '1' && text[0] <= '5' && text[1] >= '0' && text[1] <= '9' && text[2] >= '0' &&
           text[2] <= '9';
}

static int status_of(const char *text)
{
    return (text[0] - '0') * 100 + (text[1] - '0') * 10 + (text[2] - '0');
}

/* "200" or "200-299" */
static bool read_status_range(struct conf_node *n, struct conf_status_range *range)
{
    if (n->kind != CONF_SCALAR || n->text.len < 3 || !status_at(n->text.ptr))
        return false;
    n->quoted = n->quoted && !n->expanded; /* a number from a variable is a number */
    range->low = range->high = status_of(n->text.ptr);
    if (n->text.len == 3)
        return !n->quoted;
    if (n->text.len != 7 || n->text.ptr[3] != '-' || !status_at(n->text.ptr + 4))
        return false;
    range->high = status_of(n->text.ptr + 4);
    return range->low <= range->high;
}

static int read_statuses(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at)
{
    static const char expected[] =
        "a status such as 200, a range such as 200-299, or a list of them";
    struct conf_statuses *statuses = at;
    bool list = n->kind == CONF_LIST && n->count > 0;
    unsigned count = list ? n->count : 1;
    struct conf_status_range *ranges = arena_zalloc(r->arena, count * sizeof *ranges);
    if (!ranges)
        return -ENOMEM;
    for (unsigned i = 0; i < count; i++) {
        struct conf_where here = {.up = where, .index = (int)i};
        struct conf_node *one = list ? n->elements[i] : n;
        if (!read_status_range(one, &ranges[i]))
            conf_tell(r, one, list ? &here : where, expected, "");
    }
    *statuses = (struct conf_statuses){.as_written = n, .ranges = ranges, .count = count};
    return 0;
}

bool conf_statuses_have(const struct conf_statuses *s, int status)
{
    for (unsigned i = 0; i < s->count; i++)
        if (status >= s->ranges[i].low && status <= s->ranges[i].high)
            return true;
    return false;
}

static int read_literal(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at)
{
    *(const struct conf_node **)at = n;
    return 0;
}

static int read_template(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at)
{
    conf_take_template(n);
    *(const struct conf_node **)at = n;
    return 0;
}

/* ---- The JSON Schema, the reference ---- */

static int put_fields(struct bytes *out, const struct conf_key *key)
{
    return conf_schema_put(out, "\"$ref\":\"#/$defs/fields\"");
}

static int put_status(struct bytes *out, const struct conf_key *key)
{
    return conf_schema_put(out, "\"anyOf\":[{\"type\":\"integer\",\"minimum\":200,\"maximum\":599},"
                                "{\"type\":\"string\",\"pattern\":\"\\\\$\"}]");
}

static int put_statuses(struct bytes *out, const struct conf_key *key)
{
    return conf_schema_put(out,
        "\"anyOf\":[{\"$ref\":\"#/$defs/status\"},{\"type\":\"array\",\"minItems\":1,"
        "\"items\":{\"$ref\":\"#/$defs/status\"}}]");
}

static int put_priority(struct bytes *out, const struct conf_key *key)
{
    return bytes_printf(out,
        "\"anyOf\":[{\"type\":\"integer\",\"minimum\":-%" PRIu64 ",\"maximum\":%" PRIu64
        "},{\"type\":\"string\",\"pattern\":\"\\\\$\"}]",
        key->max, key->max);
}

static int bounds_of_priority(struct bytes *out, const struct conf_key *key)
{
    return bytes_printf(out, ", -%" PRIu64 " to %" PRIu64, key->max, key->max);
}

/* ---- The types ---- */

const struct conf_type conf_type_template = {
    .words = "template", .read = read_template, .show = conf_show_tree};
const struct conf_type conf_type_literal = {
    .words = "any value", .read = read_literal, .show = conf_show_tree};
const struct conf_type conf_type_fields = {.words = "map of templates",
    .may_be_empty = true,
    .read = read_fields,
    .show = conf_show_tree,
    .schema = put_fields};
const struct conf_type conf_type_status = {.words = "status or template",
    .keeps_default = true,
    .read = read_status,
    .show = conf_show_tree,
    .schema = put_status};
const struct conf_type conf_type_statuses = {.words = "statuses",
    .keeps_default = true,
    .read = read_statuses,
    .show = conf_show_tree,
    .schema = put_statuses};
const struct conf_type conf_type_priority = {.words = "number or reference",
    .keeps_default = true,
    .read = read_priority,
    .show = conf_show_tree,
    .schema = put_priority,
    .bounds = bounds_of_priority};
