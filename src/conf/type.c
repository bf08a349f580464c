/*
 * type.c: what types of values have in common.
 */
#include "conf/type.h"

enum conf_scalar conf_scalar_meant(const struct conf_node *n, bool *b, int64_t *i)
{
    struct conf_node plain = *n;
    plain.quoted = n->quoted && !n->expanded;
    return conf_scalar(&plain, b, i, NULL);
}

const char *conf_in_quotes(const struct conf_node *n)
{
    struct conf_node plain = *n;
    plain.quoted = false;
    bool other = n->kind == CONF_SCALAR && n->quoted && !n->expanded &&
                 conf_scalar(&plain, NULL, NULL, NULL) != CONF_IS_TEXT;
    return other ? "; without the quotes it is one" : "";
}

void conf_take_plain(struct conf_node *n)
{
    n->quoted = n->quoted && (!n->expanded || n->secret);
}

bool conf_integer(struct conf_node *n, uint64_t least, uint64_t most, uint64_t *out)
{
    int64_t i;
    if (n->kind != CONF_SCALAR || conf_scalar_meant(n, NULL, &i) != CONF_IS_INTEGER || i < 0 ||
        (uint64_t)i < least || (uint64_t)i > most)
        return false;
    *out = (uint64_t)i;
    conf_take_plain(n);
    return true;
}

const char *conf_needs_quotes(const struct conf_node *n)
{
    bool braces = n->kind == CONF_MAP && n->count == 1 && n->members[0].value->kind == CONF_NULL;
    return braces ? "; a text that begins with '{' needs quotes" : "";
}

bool conf_has_controls(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
            return true;
    return false;
}

bool conf_is_text(const struct conf_node *n)
{
    return n->kind == CONF_SCALAR && conf_scalar(n, NULL, NULL, NULL) == CONF_IS_TEXT;
}

int conf_schema_put(struct bytes *out, const char *text)
{
    return bytes_append_span(out, span_of(text));
}
