/*
 * template.c: see template.h.
 */
#include "flow/template.h"

#include "flow/markup.h"
#include "flow/url.h"
#include "wire/field.h"

#include <errno.h>

/* ---- Compiling ---- */

struct maker {
    const struct template_site *site;
    enum template_form form;
    struct bytes text; /* literal, since the last reference */
    struct template_piece *first;
    struct template_piece **last;
    const struct conf_mark *mark; /* of the text that is looked at */
    bool wrong;                   /* errors were added: what comes out is of no use */
};

static int end_piece(struct maker *m, const struct reference *reference, bool within)
{
    struct template_piece *p = arena_zalloc(m->site->arena, sizeof *p);
    char *literal = p ? arena_copy(m->site->arena, bytes_span(&m->text)) : NULL;
    if (!literal)
        return -ENOMEM;
    p->literal = (struct span){.ptr = literal, .len = m->text.len};
    p->reference = reference;
    p->within = within;
    *m->last = p;
    m->last = &p->next;
    bytes_reset(&m->text);
    return 0;
}

/* Whether a URL has come to where parameters of its query begin. */
static bool takes_query(const struct maker *m)
{
    bool begun = m->text.len > 0 && memchr(m->text.ptr, '?', m->text.len);
    for (const struct template_piece *p = m->first; p && !begun; p = p->next)
        begun = p->literal.len > 0 && memchr(p->literal.ptr, '?', p->literal.len);
    char last = m->text.len > 0 ? m->text.ptr[m->text.len - 1] : '\0';
    return m->form == TEMPLATE_URL && begun && (last == '?' || last == '&');
}

/* The reference that `text` begins with. A mistake is noted, and passed over by its first two
 * bytes. */
static int take_reference(
    struct maker *m, struct span text, size_t *used, const struct reference **out)
{
    struct error e;
    struct reference *r = arena_alloc(m->site->arena, sizeof *r);
    *out = NULL;
    *used = 2;
    if (!r)
        return -ENOMEM;
    int rc = reference_parse(r, text, used, &m->site->scope, m->site->arena, &e);
    if (rc == -EINVAL) {
        conf_error(m->site->errors, m->mark, "%s", e.sentence);
        m->wrong = true;
        return 0;
    }
    if (rc)
        return rc;
    if (r->root == REFERENCE_QUERY && !r->name && !takes_query(m)) {
        conf_error(m->site->errors, m->mark,
            "%.*s: the whole query can stand in a URL only, behind its '?' or a '&'; name a "
            "parameter: $query.NAME",
            SPAN_ARG(r->text));
        m->wrong = true;
        return 0;
    }
    *out = r;
    return m->site->refers ? m->site->refers(m->site->ctx, r, m->mark) : 0;
}

static int add_literal(struct maker *m, struct span text)
{
    if (m->form != TEMPLATE_JSON)
        return bytes_append_span(&m->text, text);
    size_t before = m->text.len;
    int rc = json_write_string(&m->text, text);
    if (rc)
        return rc;
    /* Without its quotes. */
    m->text.len -= 2;
    if (m->text.len > before)
        memmove(m->text.ptr + before, m->text.ptr + before + 1, m->text.len - before);
    return 0;
}

/* The length of what has no "$". */
static size_t plain_length(struct span text)
{
    const char *dollar = text.len ? memchr(text.ptr, '$', text.len) : NULL;
    return dollar ? (size_t)(dollar - text.ptr) : text.len;
}

/* Literals and references in turn, to the end. */
static int add_text(struct maker *m, struct span text)
{
    int rc = 0;
    while (rc == 0 && text.len > 0) {
        size_t used = plain_length(text);
        if (used > 0) {
            rc = add_literal(m, (struct span){.ptr = text.ptr, .len = used});
        } else if (text.len > 1 && text.ptr[1] == '$') {
            used = 2;
            rc = bytes_append_byte(&m->text, '$');
        } else {
            const struct reference *r;
            rc = take_reference(m, text, &used, &r);
            if (rc == 0 && r)
                rc = end_piece(m, r, true);
        }
        if (used > text.len)
            used = text.len;
        text.ptr += used;
        text.len -= used;
    }
    return rc;
}

/* A text of a JSON template: one reference alone keeps its type; else a string. */
static int add_string(struct maker *m, struct span text)
{
    if (text.len > 1 && text.ptr[0] == '$' && reference_begins(text.ptr[1])) {
        const struct reference *r;
        size_t used;
        struct reference alone;
        int rc = reference_parse(&alone, text, &used, &m->site->scope, m->site->arena, NULL);
        if (rc == -ENOMEM)
            return rc;
        if (rc == 0 && used == text.len) {
            rc = take_reference(m, text, &used, &r);
            return rc == 0 && r ? end_piece(m, r, false) : rc;
        }
    }
    int rc = bytes_append_byte(&m->text, '"');
    if (rc == 0)
        rc = add_text(m, text);
    return rc ? rc : bytes_append_byte(&m->text, '"');
}

static int add_node(struct maker *m, const struct conf_node *node, unsigned depth);

static int add_list(struct maker *m, const struct conf_node *node, unsigned depth)
{
    int rc = bytes_append_byte(&m->text, '[');
    for (unsigned i = 0; rc == 0 && i < node->count; i++) {
        if (i > 0)
            rc = bytes_append_byte(&m->text, ',');
        if (rc == 0)
            rc = add_node(m, node->elements[i], depth + 1);
    }
    return rc ? rc : bytes_append_byte(&m->text, ']');
}

static int add_map(struct maker *m, const struct conf_node *node, unsigned depth)
{
    int rc = bytes_append_byte(&m->text, '{');
    for (unsigned i = 0; rc == 0 && i < node->count; i++) {
        if (i > 0)
            rc = bytes_append_byte(&m->text, ',');
        if (rc == 0)
            rc = json_write_string(&m->text, node->members[i].name);
        if (rc == 0)
            rc = bytes_append_byte(&m->text, ':');
        if (rc == 0)
            rc = add_node(m, node->members[i].value, depth + 1);
    }
    return rc ? rc : bytes_append_byte(&m->text, '}');
}

static bool is_text(const struct conf_node *node)
{
    bool b;
    int64_t i;
    double d;
    return node->kind == CONF_SCALAR &&
           (node->quoted || conf_scalar(node, &b, &i, &d) == CONF_IS_TEXT);
}

static int add_node(struct maker *m, const struct conf_node *node, unsigned depth)
{
    m->mark = &node->mark;
    if (depth >= JSON_DEPTH_MAX) {
        conf_error(m->site->errors, m->mark, "lists and maps stand in each other deeper than %d",
            JSON_DEPTH_MAX);
        m->wrong = true;
        return 0;
    }
    if (node->kind == CONF_LIST)
        return add_list(m, node, depth);
    if (node->kind == CONF_MAP)
        return add_map(m, node, depth);
    return is_text(node) ? add_string(m, node->text) : conf_node_write_json(node, &m->text);
}

static struct maker maker_for(const struct template_site *site, enum template_form form)
{
    struct maker m = {.site = site, .form = form};
    bytes_init(&m.text, TEMPLATE_TEXT_MAX);
    return m;
}

/* Makes the last piece, unless a reference was last, and hands the chain over. */
static int finish(struct maker *m, struct template *out, int rc)
{
    if (rc == 0 && (m->text.len > 0 || !m->first))
        rc = end_piece(m, NULL, false);
    bytes_release(&m->text);
    if (rc == -ENOBUFS) {
        conf_error(m->site->errors, m->mark, "the template is too long");
        m->wrong = true;
        rc = 0;
    }
    *out = (struct template){.first = m->first, .form = m->form};
    return rc ? rc : (m->wrong ? -EINVAL : 0);
}

int template_compile_text(struct template *out, struct span text, const struct conf_mark *mark,
    enum template_form form, const struct template_site *site)
{
    struct maker m = maker_for(site, form);
    m.last = &m.first;
    m.mark = mark;
    return finish(&m, out, form == TEMPLATE_JSON ? add_string(&m, text) : add_text(&m, text));
}

int template_compile(struct template *out, const struct conf_node *node, enum template_form form,
    const struct template_site *site)
{
    if (form != TEMPLATE_JSON && node->kind != CONF_SCALAR) {
        conf_error(site->errors, &node->mark, "a text is expected here, not %s",
            node->kind == CONF_LIST  ? "a list"
            : node->kind == CONF_MAP ? "a map"
                                     : "nothing");
        *out = (struct template){.form = form};
        return -EINVAL;
    }
    if (form != TEMPLATE_JSON)
        return template_compile_text(out, node->text, &node->mark, form, site);
    struct maker m = maker_for(site, form);
    m.last = &m.first;
    return finish(&m, out, add_node(&m, node, 0));
}

static int add_member(struct maker *m, unsigned index)
{
    struct reference *r = arena_zalloc(m->site->arena, sizeof *r);
    if (!r)
        return -ENOMEM;
    *r = (struct reference){.root = REFERENCE_NODE, .index = index, .text = SPAN("$node")};
    int rc = bytes_append_byte(&m->text, index > 0 ? ',' : '{');
    if (rc == 0)
        rc = json_write_string(&m->text, span_of(m->site->scope.node_names[index]));
    if (rc == 0)
        rc = bytes_append_byte(&m->text, ':');
    if (rc == 0)
        rc = end_piece(m, r, false);
    if (rc == 0 && m->site->refers)
        rc = m->site->refers(m->site->ctx, r, NULL);
    return rc;
}

int template_of_nodes(struct template *out, const struct template_site *site)
{
    struct maker m = maker_for(site, TEMPLATE_JSON);
    m.last = &m.first;
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < site->scope.node_count; i++)
        rc = add_member(&m, i);
    if (rc == 0)
        rc = bytes_append_span(&m.text, m.first ? SPAN("}") : SPAN("{}"));
    return finish(&m, out, rc);
}

const struct reference *template_whole(const struct template *t)
{
    const struct template_piece *p = t->first;
    bool whole =
        !p->next && p->literal.len == 0 && p->reference && (t->form != TEMPLATE_JSON || !p->within);
    return whole ? p->reference : NULL;
}

int template_end_line(struct template *t, struct arena *arena)
{
    struct template_piece *last = t->first;
    struct bytes text;
    if (template_whole(t))
        return 0;
    while (last->next)
        last = last->next;
    if (last->reference) {
        last->next = arena_zalloc(arena, sizeof *last);
        if (!last->next)
            return -ENOMEM;
        last = last->next;
    }
    bytes_init(&text, last->literal.len + 1);
    int rc = bytes_append_span(&text, last->literal);
    if (rc == 0)
        rc = bytes_append_byte(&text, '\n');
    const char *literal = rc == 0 ? arena_copy(arena, bytes_span(&text)) : NULL;
    if (literal)
        last->literal = (struct span){.ptr = literal, .len = text.len};
    bytes_release(&text);
    return literal ? 0 : -ENOMEM;
}

/* ---- Rendering ---- */

/* The inside of a JSON string. */
static int append_within(struct bytes *out, struct span text)
{
    size_t before = out->len;
    int rc = json_write_string(out, text);
    if (rc)
        return rc;
    out->len -= 2;
    if (out->len > before)
        memmove(out->ptr + before, out->ptr + before + 1, out->len - before);
    return 0;
}

int template_check_field(const struct reference *r, struct span text, struct error *e)
{
    if (http_value_valid(text))
        return 0;
    bool theirs = r->root == REFERENCE_NODE;
    return error_set(e, theirs ? -EPROTO : -EINVAL, "invalid-header",
        "%.*s has a control byte, and cannot stand in a header field", SPAN_ARG(r->text));
}

static int append_text(const struct template_piece *p, enum template_form form,
    const struct value *v, struct bytes *out, struct error *e)
{
    struct bytes scratch;
    struct span text;
    bytes_init(&scratch, TEMPLATE_TEXT_MAX);
    int rc = value_text(v, &scratch, &text);
    if (rc == 0 && form == TEMPLATE_FIELD)
        rc = template_check_field(p->reference, text, e);
    if (rc == 0 && form == TEMPLATE_JSON)
        rc = append_within(out, text);
    else if (rc == 0 && form == TEMPLATE_HTML)
        rc = markup_escape(out, text);
    else if (rc == 0)
        rc = bytes_append_span(out, text);
    bytes_release(&scratch);
    return rc;
}

static int append_reference(const struct template_piece *p, enum template_form form,
    const struct flow_data *data, struct bytes *out, struct error *e)
{
    struct value v;
    int rc = value_of(&v, p->reference, data, e);
    if (rc)
        return rc;
    if (form == TEMPLATE_JSON && !p->within)
        return value_write_json(&v, out);
    return append_text(p, form, &v, out, e);
}

static int render(
    const struct template *t, const struct flow_data *data, struct bytes *out, struct error *e)
{
    int rc = 0;
    for (const struct template_piece *p = t->first; rc == 0 && p; p = p->next) {
        rc = bytes_append_span(out, p->literal);
        if (rc == 0 && p->reference)
            rc = append_reference(p, t->form, data, out, e);
    }
    return rc;
}

int template_render(
    const struct template *t, const struct flow_data *data, struct bytes *out, struct error *e)
{
    error_clear(e);
    int rc = t->form == TEMPLATE_URL ? url_render(t, data, out, e) : render(t, data, out, e);
    if (rc == -ENOMEM)
        return error_set(e, rc, "out-of-memory", "no memory to write a template's text");
    if (rc == -ENOBUFS)
        return error_set(e, rc, "too-large", "a template's text would be longer than %d bytes",
            TEMPLATE_TEXT_MAX);
    return rc;
}
