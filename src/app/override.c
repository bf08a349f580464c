/*
 * override.c: a configuration does not change once it is loaded; so it is written, what is
 * overridden is put in place of what stood there, and it is read again.
 *
 * What is written is JSON without white space, of which everything else is copied as it stands:
 * json_parse and json_write would undo what has been escaped for a reader of YAML.
 */
#include "app/override.h"

#include "data/json.h"
#include "flow/flow.h"

#include <errno.h>

#define TEXT_MAX (16u << 20) /* of a configuration, written out */

struct member {
    struct span name; /* in its quotes */
    struct span value;
};

/* How long the value at the start of the text is. */
static size_t value_length(struct span text)
{
    unsigned depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '{' || c == '['))
            depth++;
        else if (!quoted && depth == 0 && (c == ',' || c == ':' || c == '}'))
            return i;
        else if (!quoted && (c == '}' || c == ']'))
            depth--;
    }
    return text.len;
}

static struct span take_value(struct span *text)
{
    size_t len = value_length(*text);
    struct span value = {text->ptr, len};
    size_t skip = len < text->len ? len + 1 : len;
    text->ptr += skip;
    text->len -= skip;
    return value;
}

/* The next of an object's members; `rest` begins behind the object's brace. */
static bool next_member(struct span *rest, struct member *m)
{
    if (rest->len == 0 || rest->ptr[0] != '"')
        return false;
    m->name = take_value(rest);
    m->value = take_value(rest);
    return true;
}

/* What stands behind an object's first brace, or nothing if it is none. */
static struct span members_of(struct span object)
{
    if (object.len == 0 || object.ptr[0] != '{')
        return (struct span){NULL, 0};
    return (struct span){object.ptr + 1, object.len - 1};
}

/* The object with `value` under `name`, if there is a value, instead of what was there. `name` is
 * in quotes. */
static int put(struct bytes *out, struct span object, const char *name, struct span value)
{
    struct span rest = members_of(object);
    struct member m;
    int rc = bytes_append_byte(out, '{');
    while (rc == 0 && next_member(&rest, &m))
        if (!span_equal(m.name, span_of(name)))
            rc = bytes_printf(out, "%.*s:%.*s,", SPAN_ARG(m.name), SPAN_ARG(m.value));
    if (rc == 0)
        rc = bytes_printf(out, "%s:%.*s}", name, SPAN_ARG(value));
    return rc;
}

static struct span find(struct span object, const char *name)
{
    struct span rest = members_of(object);
    struct member m;
    while (next_member(&rest, &m))
        if (span_equal(m.name, span_of(name)))
            return m.value;
    return (struct span){NULL, 0};
}

/* Replaces the text by one with `value` as a string under `name`, or under `name` of `within`. */
static int override(struct bytes *text, const char *within, const char *name, const char *value)
{
    struct bytes string;
    struct bytes inner;
    struct bytes whole;
    if (!value)
        return 0;
    bytes_init(&string, 1024);
    bytes_init(&inner, TEXT_MAX);
    bytes_init(&whole, TEXT_MAX);
    int rc = json_write_string(&string, span_of(value));
    if (rc == 0 && within) {
        rc = put(&inner, find(bytes_span(text), within), name, bytes_span(&string));
        if (rc == 0)
            rc = put(&whole, bytes_span(text), within, bytes_span(&inner));
    } else if (rc == 0) {
        rc = put(&whole, bytes_span(text), name, bytes_span(&string));
    }
    bytes_release(&string);
    bytes_release(&inner);
    if (rc) {
        bytes_release(&whole);
        return rc;
    }
    bytes_release(text);
    *text = whole;
    return 0;
}

int override_conf(struct conf **conf, const struct overrides *o, struct conf_errors *errors)
{
    struct conf *changed = NULL;
    struct bytes text;
    bytes_init(&text, TEXT_MAX);
    int rc = conf_write(*conf, &text);
    if (rc == 0)
        rc = override(&text, NULL, "\"listen\"", o->listen);
    if (rc == 0)
        rc = override(&text, NULL, "\"admin\"", o->admin);
    if (rc == 0)
        rc = override(&text, "\"log\"", "\"level\"", o->log_level);
    if (rc == 0)
        rc = override(&text, "\"log\"", "\"format\"", o->log_format);
    if (rc == 0)
        rc = conf_parse(&changed, bytes_span(&text), &flow_kinds, errors);
    bytes_release(&text);
    if (rc) {
        conf_free(changed);
        return rc;
    }
    conf_free(*conf);
    *conf = changed;
    return 0;
}
