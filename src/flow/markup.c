/*
 * markup.c: see markup.h.
 */
#include "flow/markup.h"

#include "wire/field.h"

/* ---- Types ---- */

static bool ends_in_xml(struct span type)
{
    static const size_t len = sizeof "+xml" - 1;
    return type.len > len && http_same(type.ptr + type.len - len, "+xml", len);
}

bool media_is_markup(struct span type)
{
    /* Those of which browsers find out by themselves what they are, as the last three. */
    static const char *const names[] = {"text/html", "text/xml", "application/xml", "text/xsl",
        "*/*", "unknown/unknown", "application/unknown"};
    size_t len = 0;
    while (len < type.len && type.ptr[len] != ';' && type.ptr[len] != ',')
        len++;
    type = http_trim((struct span){type.ptr, len});
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (http_name_equal(type, names[i]))
            return true;
    return ends_in_xml(type) || type.len == 0 || !memchr(type.ptr, '/', type.len);
}

/* ---- Escaping ---- */

static const char *reference_of(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

/* In a JSON text they stand in strings only. */
static const char *json_escape_of(char c)
{
    switch (c) {
    case '&':
        return "\\u0026";
    case '<':
        return "\\u003c";
    case '>':
        return "\\u003e";
    case '\'':
        return "\\u0027";
    default:
        return NULL;
    }
}

static int escape(struct bytes *out, struct span text, const char *(*instead_of)(char c))
{
    size_t plain = 0; /* start of what can be copied as it is */
    for (size_t i = 0; i < text.len; i++) {
        const char *instead = instead_of(text.ptr[i]);
        if (!instead)
            continue;
        int rc = bytes_append(out, text.ptr + plain, i - plain);
        if (rc == 0)
            rc = bytes_append_span(out, span_of(instead));
        if (rc)
            return rc;
        plain = i + 1;
    }
    return text.len > plain ? bytes_append(out, text.ptr + plain, text.len - plain) : 0;
}

int markup_escape(struct bytes *out, struct span text)
{
    return escape(out, text, reference_of);
}

int markup_escape_json(struct bytes *out, struct span json)
{
    return escape(out, json, json_escape_of);
}
