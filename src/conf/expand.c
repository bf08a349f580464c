/*
 * expand.c: `${NAME}`, `${NAME:-default}` and `${file:PATH}` inside a scalar.
 *
 *     password: ${file:/run/secrets/db}    listen: "0.0.0.0:${PORT:-8080}"    price: 5 $${a}
 *
 * What is put in is text and nothing else: it is not read as YAML again, so no value can add a key,
 * and its dollars are no references to a flow (`escaped` doubles them for templates). What came
 * from outside makes the whole scalar a secret. "$${" is "${"; a dollar before anything else is
 * left alone.
 */
#include "conf/internal.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <errno.h>

#define FORMS "${NAME}, ${NAME:-default} or ${file:PATH}; a '${' of your own is written '$${'"

struct expansion {
    struct conf_reading *r;
    struct conf_node *n;
    struct bytes text;
    struct bytes escaped;
    bool outside; /* something came from there */
    bool told;    /* something is wrong, and was told */
};

static int append(struct expansion *x, struct span s)
{
    int rc = bytes_append_span(&x->text, s);
    return rc ? rc : bytes_append_span(&x->escaped, s);
}

static int append_outside(struct expansion *x, struct span s)
{
    x->outside = true;
    int rc = bytes_append_span(&x->text, s);
    for (size_t i = 0; rc == 0 && i < s.len; i++)
        rc = bytes_append(&x->escaped, s.ptr[i] == '$' ? "$$" : s.ptr + i, s.ptr[i] == '$' ? 2 : 1);
    return rc;
}

/* Tells it; the rest of the scalar is still looked at. */
static int fail(struct expansion *x, const char *why, struct span what)
{
    char quoted[CONF_FOUND_MAX];
    x->told = true;
    conf_error(x->r->errors, &x->n->mark, "%s%s", conf_quoted(what, quoted), why);
    return 0;
}

static bool is_name(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && !(i > 0 && c >= '0' && c <= '9'))
            return false;
    }
    return s.len > 0;
}

static bool is_text(struct span s)
{
    return utf8_valid(s.ptr, s.len) && (s.len == 0 || !memchr(s.ptr, '\0', s.len));
}

/* ${file:PATH}: the file's text, but for one line break at its end. */
static int put_file(struct expansion *x, struct span whole, struct span path)
{
    const struct conf_source *source = x->r->source;
    char *name = conf_path_beside(x->r->arena, x->n->mark.file, path);
    char *content = NULL;
    size_t len = 0;
    if (!name)
        return -ENOMEM;
    if (path.len == 0 || memchr(path.ptr, '\0', path.len))
        return fail(x, " names no file", whole);
    int rc = source->file(source->ctx, name, CONF_TEXT_MAX, &content, &len);
    if (rc == -ENOMEM)
        return rc;
    if (rc == -ENOENT)
        return fail(x, ": there is no such file", whole);
    if (rc) {
        char quoted[CONF_FOUND_MAX];
        x->told = true;
        conf_error(x->r->errors, &x->n->mark, "%s cannot be read: %s", conf_quoted(whole, quoted),
            conf_file_text(rc));
        return 0;
    }
    struct span s = {content, len};
    if (s.len > 0 && s.ptr[s.len - 1] == '\n')
        s.len -= s.len > 1 && s.ptr[s.len - 2] == '\r' ? 2 : 1;
    rc = is_text(s) ? append_outside(x, s) : fail(x, ": the file is no UTF-8 text", whole);
    mem_free(content);
    return rc;
}

/* ${NAME} or ${NAME:-default}: the default if it is not set, or empty, as in a shell. */
static int put_variable(
    struct expansion *x, struct span whole, struct span name, struct span otherwise)
{
    const struct conf_source *source = x->r->source;
    bool has_default = otherwise.ptr != NULL;
    if (!is_name(name))
        return fail(x, " is none of " FORMS, whole);
    char *text = arena_copy(x->r->arena, name);
    if (!text)
        return -ENOMEM;
    const char *value = source->env(source->ctx, text);
    if (has_default && (!value || !value[0]))
        return append(x, otherwise);
    if (!value)
        return fail(x,
            " is not set, expected it in the environment; '${NAME:-default}' gives one for that "
            "case",
            whole);
    if (!is_text(span_of(value)))
        return fail(x, ": the variable's value is no UTF-8 text", whole);
    return append_outside(x, span_of(value));
}

/* `whole` is from '${' to '}'. */
static int put(struct expansion *x, struct span whole)
{
    struct span inside = {whole.ptr + 2, whole.len - 3};
    if (inside.len >= 5 && memcmp(inside.ptr, "file:", 5) == 0)
        return put_file(x, whole, (struct span){inside.ptr + 5, inside.len - 5});
    const char *sign = memmem(inside.ptr, inside.len, ":-", 2);
    if (!sign)
        return put_variable(x, whole, inside, (struct span){0});
    struct span name = {inside.ptr, (size_t)(sign - inside.ptr)};
    return put_variable(x, whole, name, (struct span){sign + 2, inside.len - name.len - 2});
}

static int expand(struct expansion *x)
{
    struct span s = x->n->text;
    int rc = 0;
    while (rc == 0 && s.len > 0) {
        const char *dollar = memmem(s.ptr, s.len, "${", 2);
        size_t own = dollar ? (size_t)(dollar - s.ptr) : s.len;
        bool literal = dollar && own > 0 && dollar[-1] == '$';
        rc = append(x, (struct span){s.ptr, own - literal});
        if (rc || !dollar)
            return rc;
        struct span rest = {dollar, s.len - own};
        const char *end = memchr(rest.ptr, '}', rest.len);
        size_t len = end ? (size_t)(end - rest.ptr) + 1 : rest.len;
        if (literal) {
            len = 2;
            rc = append(x, SPAN("${"));
        } else if (!end) {
            rc = fail(x, " has no '}', expected " FORMS, rest);
        } else {
            rc = put(x, (struct span){rest.ptr, len});
        }
        s = (struct span){rest.ptr + len, rest.len - len};
    }
    return rc;
}

static int take(struct expansion *x)
{
    struct arena *arena = x->r->arena;
    struct conf_node *n = x->n;
    n->text = (struct span){arena_copy(arena, bytes_span(&x->text)), x->text.len};
    n->quoted = true;
    n->expanded = true;
    n->secret = x->outside;
    n->told = x->told;
    if (!n->text.ptr)
        return -ENOMEM;
    if (x->escaped.len == x->text.len)
        return 0;
    n->escaped = (struct span){arena_copy(arena, bytes_span(&x->escaped)), x->escaped.len};
    return n->escaped.ptr ? 0 : -ENOMEM;
}

int conf_expand(struct conf_reading *r, struct conf_node *n)
{
    struct expansion x = {.r = r, .n = n};
    if (!memchr(n->text.ptr, '$', n->text.len) || !memmem(n->text.ptr, n->text.len, "${", 2))
        return 0;
    bytes_init(&x.text, CONF_TEXT_MAX);
    bytes_init(&x.escaped, 2 * CONF_TEXT_MAX);
    int rc = expand(&x);
    if (rc == -ENOBUFS) {
        conf_error(r->errors, &n->mark,
            "found more than %d bytes with '${...}' replaced, expected fewer", CONF_TEXT_MAX);
        x.told = true;
        rc = 0;
    }
    if (rc == 0)
        rc = take(&x);
    bytes_release(&x.text);
    bytes_release(&x.escaped);
    return rc;
}
