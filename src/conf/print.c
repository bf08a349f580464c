/*
 * print.c: a whole configuration as text: JSON for another process or for programs, YAML for
 * people.
 *
 * The YAML reads back as the same configuration, unless it has secrets: text stands without
 * quotes only where nothing else could be read from it.
 */
#include "conf/internal.h"

#include <errno.h>
#include <strings.h>

#define SHOWN_MAX ((size_t)4 * 1024 * 1024 * 1024)

/* ---- YAML ---- */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("_./$", c));
}

/* Words that other readers of YAML take for something else. */
static bool is_other_word(struct span s)
{
    static const char *const words[] = {"yes", "no", "on", "off", "true", "false", "null"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (s.len == strlen(words[i]) && strncasecmp(s.ptr, words[i], s.len) == 0)
            return true;
    return false;
}

/* Whether it may stand without quotes, as the text that it is. */
static bool is_plain(struct span s, bool quoted)
{
    const struct conf_node n = {.kind = CONF_SCALAR, .text = s};
    if (s.len == 0 || s.len > 200 || !is_letter(s.ptr[0]) ||
        conf_scalar(&n, NULL, NULL, NULL) != CONF_IS_TEXT || (quoted && is_other_word(s)) ||
        memmem(s.ptr, s.len, "${", 2))
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        char next = i + 1 < s.len ? s.ptr[i + 1] : '\0';
        bool inner = c != '\0' && strchr(": ", c) && is_letter(next);
        if (!is_letter(c) && !inner && !(c != '\0' && strchr("-+{}()?=&;,@*", c)))
            return false;
    }
    return true;
}

static int print_text(struct bytes *out, struct span text, bool quoted)
{
    return is_plain(text, quoted) ? bytes_append_span(out, text) : conf_write_text(out, text, true);
}

static int print_scalar(const struct conf_node *n, struct bytes *out)
{
    if (n->secret)
        return bytes_append_span(out, SPAN("\"***\""));
    switch (conf_scalar(n, NULL, NULL, NULL)) {
    case CONF_IS_NULL:
        return bytes_append_span(out, SPAN("null"));
    case CONF_IS_TEXT:
        return print_text(out, n->text, n->quoted);
    default:
        return bytes_append_span(out, n->text);
    }
}

static int new_line(struct bytes *out, unsigned indent)
{
    int rc = bytes_append_byte(out, '\n');
    for (unsigned i = 0; rc == 0 && i < indent; i++)
        rc = bytes_append_byte(out, ' ');
    return rc;
}

static int print_node(const struct conf_node *n, struct bytes *out, unsigned indent);

static bool is_short(const struct conf_node *n)
{
    return n->kind <= CONF_SCALAR || n->count == 0;
}

/* After the colon: on the same line, or a block below, two further in. */
static int print_member(const struct conf_member *m, struct bytes *out, unsigned indent)
{
    int rc = print_text(out, m->name, true);
    if (rc == 0)
        rc = bytes_append_byte(out, ':');
    if (rc == 0)
        rc = is_short(m->value) ? bytes_append_byte(out, ' ') : new_line(out, indent + 2);
    return rc ? rc : print_node(m->value, out, indent + 2);
}

static int print_element(const struct conf_node *n, struct bytes *out, unsigned indent)
{
    int rc = bytes_append_span(out, SPAN("- "));
    return rc ? rc : print_node(n, out, indent + 2);
}

/* The place is in column `indent` already. */
static int print_node(const struct conf_node *n, struct bytes *out, unsigned indent)
{
    if (n->kind == CONF_NULL || n->kind == CONF_SCALAR)
        return print_scalar(n, out);
    if (n->count == 0)
        return bytes_append_span(out, n->kind == CONF_MAP ? SPAN("{}") : SPAN("[]"));
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < n->count; i++) {
        if (i > 0)
            rc = new_line(out, indent);
        if (rc == 0)
            rc = n->kind == CONF_MAP ? print_member(&n->members[i], out, indent)
                                     : print_element(n->elements[i], out, indent);
    }
    return rc;
}

/* ---- The whole ---- */

static int with_tree(const struct conf *c, struct bytes *out,
    int (*print)(const struct conf_node *n, struct bytes *out))
{
    struct arena arena;
    size_t before = out->len;
    arena_init(&arena, SHOWN_MAX);
    const struct conf_node *n = conf_show(c, &arena);
    int rc = n ? print(n, out) : -ENOMEM;
    arena_release(&arena);
    if (rc)
        out->len = before;
    return rc;
}

static int write_hidden(const struct conf_node *n, struct bytes *out)
{
    return conf_node_write(n, out, CONF_SECRETS_HIDDEN);
}

static int print_yaml(const struct conf_node *n, struct bytes *out)
{
    int rc = print_node(n, out, 0);
    return rc ? rc : bytes_append_byte(out, '\n');
}

/* What was given says it all: the other process fills in the same defaults. */
int conf_write(const struct conf *c, struct bytes *out)
{
    if (!c->root)
        return bytes_append_span(out, SPAN("{}"));
    return conf_node_write(c->root, out, CONF_SECRETS_WRAPPED);
}

int conf_print_json(const struct conf *c, struct bytes *out)
{
    return with_tree(c, out, write_hidden);
}

int conf_print(const struct conf *c, struct bytes *out)
{
    return with_tree(c, out, print_yaml);
}
