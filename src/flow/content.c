/*
 * content.c: see content.h.
 */
#include "flow/content.h"

#include "flow/markup.h"

#include <errno.h>

static const struct http_field json_type_field = {
    .name = {.ptr = "Content-Type", .len = 12}, .value = {.ptr = "application/json", .len = 16}};

/* ---- Compiling ---- */

static bool check_name(
    const struct conf_member *member, const char *const *reserved, const struct template_site *site)
{
    if (!http_token_valid(member->name)) {
        conf_error(site->errors, &member->mark, "'%.*s' cannot be the name of a header field",
            SPAN_ARG(member->name));
        return false;
    }
    for (const char *const *name = reserved; *name; name++)
        if (http_name_equal(member->name, *name)) {
            conf_error(site->errors, &member->mark, "'%.*s' is written by weir itself",
                SPAN_ARG(member->name));
            return false;
        }
    return true;
}

static int compile_field(struct content_field *field, struct span name,
    const struct conf_node *value, const struct template_site *site)
{
    field->name = name;
    int rc = template_compile(&field->value, value, TEMPLATE_FIELD, site);
    if (rc)
        return rc;
    for (const struct template_piece *p = field->value.first; p; p = p->next)
        if (!http_value_valid(p->literal)) {
            conf_error(site->errors, &value->mark,
                "the value has a control byte, and cannot stand in a header field");
            return -EINVAL;
        }
    return 0;
}

/* A list is as many fields of the name. */
static int compile_values(
    struct content *m, const struct conf_member *member, const struct template_site *site)
{
    const struct conf_node *value = member->value;
    int worst = 0;
    if (value->kind != CONF_LIST)
        return compile_field(&m->fields[m->field_count++], member->name, value, site);
    for (unsigned i = 0; i < value->count && worst != -ENOMEM; i++) {
        int rc =
            compile_field(&m->fields[m->field_count++], member->name, value->elements[i], site);
        worst = rc ? rc : worst;
    }
    return worst;
}

static size_t count_fields(const struct conf_node *headers)
{
    size_t count = 0;
    for (unsigned i = 0; i < headers->count; i++) {
        const struct conf_node *value = headers->members[i].value;
        count += value->kind == CONF_LIST ? value->count : 1;
    }
    return count;
}

static int compile_fields(struct content *m, const struct conf_node *headers,
    const char *const *reserved, const struct template_site *site)
{
    int worst = 0;
    if (headers->kind != CONF_MAP) {
        conf_error(site->errors, &headers->mark, "a map of header fields is expected here");
        return -EINVAL;
    }
    m->fields = arena_zalloc(site->arena, (count_fields(headers) + 1) * sizeof *m->fields);
    if (!m->fields)
        return -ENOMEM;
    for (unsigned i = 0; i < headers->count; i++) {
        if (!check_name(&headers->members[i], reserved, site)) {
            worst = -EINVAL;
            continue;
        }
        int rc = compile_values(m, &headers->members[i], site);
        if (rc == -ENOMEM)
            return rc;
        worst = rc ? rc : worst;
    }
    m->has_type = content_has_field(m, "content-type");
    return worst;
}

bool content_has_field(const struct content *m, const char *lower)
{
    for (unsigned i = 0; i < m->field_count; i++)
        if (http_name_equal(m->fields[i].name, lower))
            return true;
    return false;
}

static enum content_kind kind_of(struct span type)
{
    if (media_is_json(type))
        return CONTENT_JSON;
    return media_is_markup(type) ? CONTENT_MARKUP : CONTENT_TEXT;
}

static int literal_fields(struct content *m, struct arena *arena)
{
    for (unsigned i = 0; i < m->field_count; i++)
        if (!template_is_literal(&m->fields[i].value))
            return 0;
    struct http_field *list = arena_alloc(arena, (m->field_count + 1) * sizeof *list);
    if (!list)
        return -ENOMEM;
    m->literal_kind = CONTENT_JSON;
    for (unsigned i = 0; i < m->field_count; i++) {
        list[i] = (struct http_field){
            .name = m->fields[i].name, .value = http_trim(m->fields[i].value.first->literal)};
        if (http_name_equal(list[i].name, "content-type"))
            m->literal_kind = kind_of(list[i].value);
    }
    m->literal_count = m->field_count;
    if (m->has_body && !m->has_type)
        list[m->literal_count++] = json_type_field;
    m->literal = list;
    return 0;
}

/* Whether the body may become a text: it is one in the configuration. What a number or a list
 * becomes is JSON whatever its type is called. */
static int compile_body(
    struct content *m, const struct conf_node *body, const struct template_site *site)
{
    m->has_body = true;
    int rc = template_compile(&m->json, body, TEMPLATE_JSON, site);
    if (rc || !m->has_type || body->kind != CONF_SCALAR)
        return rc;
    const struct template_piece *p = m->json.first;
    m->may_be_text = template_whole(&m->json) || p->reference ||
                     (p->literal.len > 0 && p->literal.ptr[0] == '"');
    return m->may_be_text ? template_compile(&m->text, body, TEMPLATE_TEXT, site) : 0;
}

int content_compile(struct content *m, const struct conf_node *headers,
    const struct conf_node *body, const char *const *reserved, const struct template_site *site)
{
    *m = (struct content){0};
    int rc = headers ? compile_fields(m, headers, reserved, site) : 0;
    if (rc == -ENOMEM)
        return rc;
    int body_rc = body ? compile_body(m, body, site) : 0;
    if (rc == 0 || body_rc == -ENOMEM)
        rc = body_rc;
    return rc ? rc : literal_fields(m, site->arena);
}

int content_compile_json(struct content *m, const struct conf_node *headers,
    const struct template *body, const char *const *reserved, const struct template_site *site)
{
    *m = (struct content){.has_body = true, .json = *body};
    int rc = headers ? compile_fields(m, headers, reserved, site) : 0;
    return rc ? rc : literal_fields(m, site->arena);
}

bool content_is_literal(const struct content *m)
{
    return m->literal && (!m->has_body || template_is_literal(&m->json));
}

/* ---- Rendering ---- */

static int render_text(
    const struct template *t, const struct flow_data *data, struct span *out, struct error *e)
{
    struct bytes text;
    bytes_init(&text, TEMPLATE_TEXT_MAX);
    int rc = template_render(t, data, &text, e);
    if (rc == 0) {
        const char *copy = arena_copy(data->arena, bytes_span(&text));
        *out = (struct span){.ptr = copy, .len = text.len};
        if (!copy)
            rc = error_set(e, -ENOMEM, "out-of-memory", "no memory for a header field");
    }
    bytes_release(&text);
    return rc;
}

/* Fields so far, in the arena. */
struct field_list {
    struct http_field *list;
    unsigned count;
    unsigned room;
    enum content_kind kind;
    bool typed;
};

static int no_room(struct error *e)
{
    return error_set(e, -ENOMEM, "out-of-memory", "no memory for header fields");
}

/* A list that is longer than the one reference that it stands for takes more room. */
static int make_room(
    struct field_list *out, unsigned more, const struct flow_data *data, struct error *e)
{
    struct http_field *list = arena_alloc(data->arena, (out->room + more) * sizeof *list);
    if (!list)
        return no_room(e);
    if (out->count > 0)
        memcpy(list, out->list, out->count * sizeof *list);
    out->list = list;
    out->room += more;
    return 0;
}

static void add_field(struct field_list *out, struct span name, struct span value)
{
    out->list[out->count++] = (struct http_field){.name = name, .value = http_trim(value)};
    if (!http_name_equal(name, "content-type"))
        return;
    out->typed = true;
    out->kind = kind_of(http_trim(value));
}

/* One field for each element. */
static int add_list(struct field_list *out, const struct content_field *f, const struct value *v,
    const struct flow_data *data, struct error *e)
{
    struct span *texts;
    unsigned count;
    int rc = value_texts(v, data->arena, &texts, &count);
    if (rc == -ENOBUFS)
        return error_set(e, rc, "too-large", "a list of header fields has more than %d elements",
            VALUE_TEXTS_MAX);
    if (rc)
        return no_room(e);
    rc = make_room(out, count, data, e);
    for (unsigned i = 0; rc == 0 && i < count; i++) {
        rc = template_check_field(template_whole(&f->value), texts[i], e);
        if (rc == 0)
            add_field(out, f->name, texts[i]);
    }
    return rc;
}

/* If its value is one reference, what that is decides: null is no field, a list several. */
static int render_field(struct field_list *out, const struct content_field *f,
    const struct flow_data *data, struct error *e)
{
    const struct reference *r = template_whole(&f->value);
    struct value v = {.kind = VALUE_TEXT};
    struct span text;
    int rc = r ? value_of(&v, r, data, e) : 0;
    if (rc || value_is_null(&v))
        return rc;
    if (value_is_list(&v))
        return add_list(out, f, &v, data, e);
    rc = render_text(&f->value, data, &text, e);
    if (rc == 0)
        add_field(out, f->name, text);
    return rc;
}

static int render_fields(const struct content *m, unsigned more, const struct flow_data *data,
    struct content_parts *out, enum content_kind *kind, struct error *e)
{
    struct field_list fields = {.kind = CONTENT_JSON};
    int rc = make_room(&fields, m->field_count + 1 + more, data, e);
    for (unsigned i = 0; rc == 0 && i < m->field_count; i++)
        rc = render_field(&fields, &m->fields[i], data, e);
    if (rc == 0 && m->has_body && !fields.typed)
        fields.list[fields.count++] = json_type_field;
    *kind = fields.kind;
    out->fields = fields.list;
    out->field_count = fields.count;
    return rc;
}

static int give_fields(const struct content *m, unsigned more, const struct flow_data *data,
    struct content_parts *out, enum content_kind *kind, struct error *e)
{
    if (!m->literal)
        return render_fields(m, more, data, out, kind, e);
    *kind = m->literal_kind;
    out->fields = m->literal;
    out->field_count = m->literal_count;
    if (more == 0)
        return 0;
    struct http_field *list = arena_alloc(data->arena, (m->literal_count + more) * sizeof *list);
    if (!list)
        return no_room(e);
    if (m->literal_count > 0)
        memcpy(list, m->literal, m->literal_count * sizeof *list);
    out->fields = list;
    return 0;
}

/* Without a copy, where the template is a literal, or passes on a JSON text. */
static int render_body(const struct template *t, const struct flow_data *data,
    struct content_parts *out, struct error *e)
{
    if (template_is_literal(t)) {
        out->body = t->first->literal;
        return 0;
    }
    const struct reference *r = t->form == TEMPLATE_JSON ? template_whole(t) : NULL;
    struct value v;
    int rc = r ? value_of(&v, r, data, e) : 0;
    if (rc)
        return rc;
    if (r && v.kind == VALUE_RAW) {
        out->body = v.text;
        return 0;
    }
    rc = template_render(t, data, &out->buffer, e);
    out->body = bytes_span(&out->buffer);
    return rc;
}

/* Whether the body is one reference to what another server or a step has made. */
static bool is_document(const struct content *m, const struct flow_data *data)
{
    const struct reference *r = template_whole(&m->json);
    return r && r->root == REFERENCE_NODE && data->nodes[r->index].document;
}

static int render_markup(const struct content *m, const struct flow_data *data,
    struct content_parts *out, struct error *e)
{
    struct template t = m->text;
    t.form = TEMPLATE_HTML;
    int rc = template_render(&t, data, &out->buffer, e);
    out->body = bytes_span(&out->buffer);
    return rc;
}

static int render_json_in_markup(const struct content *m, const struct flow_data *data,
    struct content_parts *out, struct error *e)
{
    struct bytes plain;
    bytes_init(&plain, TEMPLATE_TEXT_MAX);
    int rc = template_render(&m->json, data, &plain, e);
    if (rc == 0) {
        rc = markup_escape_json(&out->buffer, bytes_span(&plain));
        if (rc)
            error_set(e, rc, rc == -ENOMEM ? "out-of-memory" : "too-large",
                "no room to escape a body for its content type");
    }
    out->body = bytes_span(&out->buffer);
    bytes_release(&plain);
    return rc;
}

/* A text stays one, of whatever type; what one reference brought decides by what it is. */
static int is_text(
    const struct content *m, const struct flow_data *data, bool *out, struct error *e)
{
    const struct reference *r = template_whole(&m->json);
    struct value v;
    *out = true;
    if (!r)
        return 0;
    int rc = value_of(&v, r, data, e);
    *out = rc == 0 && (value_is_text(&v) || value_is_null(&v));
    return rc;
}

int content_render(const struct content *m, unsigned more, const struct flow_data *data,
    struct content_parts *out, struct error *e)
{
    enum content_kind kind;
    bool text = false;
    *out = (struct content_parts){0};
    bytes_init(&out->buffer, TEMPLATE_TEXT_MAX);
    int rc = give_fields(m, more, data, out, &kind, e);
    if (rc || !m->has_body)
        return rc;
    if (kind != CONTENT_JSON && m->may_be_text)
        rc = is_text(m, data, &text, e);
    if (rc)
        return rc;
    if (kind == CONTENT_MARKUP && !content_is_literal(m) && !is_document(m, data))
        return text ? render_markup(m, data, out, e) : render_json_in_markup(m, data, out, e);
    return render_body(text ? &m->text : &m->json, data, out, e);
}

void content_parts_release(struct content_parts *parts)
{
    bytes_release(&parts->buffer);
}
