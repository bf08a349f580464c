/*
 * write.c: a tree as JSON, such that libyaml reads it too.
 *
 * YAML takes some characters for line breaks or for nothing at all that JSON lets stand in a
 * string; they are escaped. {"${}": "text"} is a secret, for the next process to keep.
 */
#include "conf/internal.h"

#include "base/utf8.h"
#include "data/json.h"

#include <errno.h>

/* Of the characters after ASCII: C1 controls, U+2028, U+2029, the byte order mark, U+FFFE, U+FFFF;
 * and DEL. */
static unsigned escaped_of(const char *at, size_t len)
{
    unsigned char a = (unsigned char)at[0];
    unsigned char b = len > 1 ? (unsigned char)at[1] : 0;
    unsigned char c = len > 2 ? (unsigned char)at[2] : 0;
    if (len == 1 && a == 0x7f)
        return a;
    if (len == 2 && a == 0xc2 && b < 0xa0)
        return b;
    if (len == 3 && a == 0xe2 && b == 0x80 && (c == 0xa8 || c == 0xa9))
        return 0x2000u + (c & 0x3fu);
    if (len == 3 && a == 0xef && b == 0xbb && c == 0xbf)
        return 0xfeff;
    if (len == 3 && a == 0xef && b == 0xbf && c >= 0xbe)
        return 0xff00u + 0xc0u + (c & 0x3fu);
    return 0;
}

/* Appends a text that needs no quotes of its own: within a string that is being written. */
static int append_part(struct bytes *out, struct span part)
{
    size_t before = out->len;
    int rc = json_write_string(out, part);
    if (rc)
        return rc;
    memmove(out->ptr + before, out->ptr + before + 1, out->len - before - 2);
    out->len -= 2;
    return 0;
}

int conf_write_text(struct bytes *out, struct span text, bool dollars)
{
    size_t plain = 0;
    int rc = bytes_append_byte(out, '"');
    for (size_t i = 0; rc == 0 && i < text.len;) {
        size_t len = utf8_length(text.ptr + i, text.len - i);
        unsigned escaped = len ? escaped_of(text.ptr + i, len) : 0;
        bool dollar = dollars && text.len - i > 1 && text.ptr[i] == '$' && text.ptr[i + 1] == '{';
        if (escaped || dollar) {
            rc = append_part(out, (struct span){text.ptr + plain, i - plain});
            if (rc == 0 && dollar)
                rc = bytes_append_byte(out, '$');
            else if (rc == 0)
                rc = bytes_printf(out, "\\u%04x", escaped);
            plain = dollar ? i : i + len;
        }
        i += len ? len : 1;
    }
    if (rc == 0)
        rc = append_part(out, (struct span){text.ptr + plain, text.len - plain});
    return rc ? rc : bytes_append_byte(out, '"');
}

static int write_scalar(const struct conf_node *n, struct bytes *out, enum conf_secrets secrets)
{
    if (n->secret && secrets == CONF_SECRETS_HIDDEN)
        return bytes_append_span(out, SPAN("\"***\""));
    if (n->secret && secrets == CONF_SECRETS_WRAPPED) {
        int rc = bytes_append_span(out, SPAN("{\"${}\":"));
        if (rc == 0)
            rc = conf_write_text(out, n->text, false);
        return rc ? rc : bytes_append_byte(out, '}');
    }
    switch (conf_scalar(n, NULL, NULL, NULL)) {
    case CONF_IS_NULL:
        return bytes_append_span(out, SPAN("null"));
    case CONF_IS_TEXT:
        return conf_write_text(out, n->text, false);
    default: /* as it stood: JSON writes them so */
        return bytes_append_span(out, n->text);
    }
}

static int write_node(const struct conf_node *n, struct bytes *out, enum conf_secrets secrets)
{
    if (n->kind == CONF_NULL || n->kind == CONF_SCALAR)
        return write_scalar(n, out, secrets);
    bool map = n->kind == CONF_MAP;
    int rc = bytes_append_byte(out, map ? '{' : '[');
    for (unsigned i = 0; rc == 0 && i < n->count; i++) {
        if (i > 0)
            rc = bytes_append_byte(out, ',');
        if (rc == 0 && map)
            rc = conf_write_text(out, n->members[i].name, false);
        if (rc == 0 && map)
            rc = bytes_append_byte(out, ':');
        if (rc == 0)
            rc = write_node(map ? n->members[i].value : n->elements[i], out, secrets);
    }
    return rc ? rc : bytes_append_byte(out, map ? '}' : ']');
}

int conf_node_write(const struct conf_node *n, struct bytes *out, enum conf_secrets secrets)
{
    size_t before = out->len;
    int rc = write_node(n, out, secrets);
    if (rc)
        out->len = before;
    return rc;
}

int conf_node_write_json(const struct conf_node *n, struct bytes *out)
{
    return conf_node_write(n, out, CONF_SECRETS_PLAIN);
}
