/*
 * url.c: see url.h.
 */
#include "flow/url.h"

#include "wire/target.h"

#include <errno.h>

static bool begins_query(struct span literal)
{
    return literal.len > 0 && memchr(literal.ptr, '?', literal.len);
}

/* A value of a node is an upstream's, and all others are the client's. */
static int refuse(const struct reference *r, const char *what, struct error *e)
{
    return error_set(e, r->root == REFERENCE_NODE ? -EPROTO : -EINVAL, "invalid-target", "%.*s %s",
        SPAN_ARG(r->text), what);
}

static int append_value(const struct reference *r, bool in_query, const struct flow_data *data,
    struct bytes *out, struct error *e)
{
    struct value v;
    struct bytes scratch;
    struct span text;
    int rc = value_of(&v, r, data, e);
    if (rc)
        return rc;
    bytes_init(&scratch, TEMPLATE_TEXT_MAX);
    rc = value_text(&v, &scratch, &text);
    if (rc == 0 && text.len == 0 && !in_query)
        rc = refuse(r, "is missing or empty, and the path of an upstream's URL needs it", e);
    if (rc == 0)
        rc = percent_encode(out, text);
    bytes_release(&scratch);
    return rc;
}

/* The rest of a path stays that: its slashes are slashes, and one that was encoded is encoded. */
static int append_rest(const struct reference *r, const struct flow_data *data, struct bytes *out)
{
    const struct flow_param *param = NULL;
    for (unsigned i = 0; i < data->param_count && !param; i++)
        if (span_equal(data->params[i].name, span_of(r->name)))
            param = &data->params[i];
    int rc = 0;
    for (unsigned i = 0; param && rc == 0 && i < param->segment_count; i++) {
        rc = i > 0 ? bytes_append_byte(out, '/') : 0;
        if (rc == 0)
            rc = percent_encode(out, param->segments[i]);
    }
    struct span left = param && !param->segments ? param->value : SPAN("");
    while (rc == 0 && left.len > 0) {
        const char *slash = memchr(left.ptr, '/', left.len);
        size_t len = slash ? (size_t)(slash - left.ptr) : left.len;
        rc = percent_encode(out, (struct span){left.ptr, len});
        if (rc == 0 && slash)
            rc = bytes_append_byte(out, '/');
        len += slash != NULL;
        left = (struct span){left.ptr + len, left.len - len};
    }
    return rc;
}

/* Decoded and encoded again: so nothing comes through but names and values. */
static int append_recoded(
    struct span text, const struct flow_data *data, struct bytes *out, struct error *e)
{
    if (text.len == 0)
        return 0;
    char *decoded = arena_alloc(data->arena, text.len);
    if (!decoded)
        return -ENOMEM;
    if (percent_decode(text, true, decoded, &text.len))
        return error_set(e, -EINVAL, "invalid-query",
            "the query has a '%%' that two hexadecimal digits other than 00 do not follow");
    return percent_encode(out, (struct span){decoded, text.len});
}

/* The request's query, with every parameter in its place, also those that come twice. */
static int append_query(const struct flow_data *data, struct bytes *out, struct error *e)
{
    struct span query = data->head->query;
    struct span name;
    struct span value;
    bool first = true;
    int rc = 0;
    while (rc == 0 && query_next(&query, &name, &value)) {
        rc = first ? 0 : bytes_append_byte(out, '&');
        first = false;
        if (rc == 0)
            rc = append_recoded(name, data, out, e);
        if (rc == 0 && value.ptr > name.ptr + name.len)
            rc = bytes_append_byte(out, '=');
        if (rc == 0)
            rc = append_recoded(value, data, out, e);
    }
    return rc;
}

static bool takes_whole_query(const struct reference *r)
{
    return r->root == REFERENCE_QUERY && !r->name;
}

static int append_reference(const struct reference *r, bool in_query, const struct flow_data *data,
    struct bytes *out, struct error *e)
{
    if (takes_whole_query(r))
        return append_query(data, out, e);
    if (r->rest && !in_query)
        return append_rest(r, data, out);
    return append_value(r, in_query, data, out, e);
}

/* ---- Segments "." and ".." ---- */

static struct span before_query(struct span target)
{
    const char *query = target.len ? memchr(target.ptr, '?', target.len) : NULL;
    return (struct span){target.ptr, query ? (size_t)(query - target.ptr) : target.len};
}

/* Names the first reference whose text is in the segment: the path is written once more for it. */
static int blame(
    const struct template *t, const struct flow_data *data, size_t from, size_t to, struct error *e)
{
    const struct reference *found = t->first->reference;
    struct bytes again;
    bytes_init(&again, TEMPLATE_TEXT_MAX);
    int rc = 0;
    for (const struct template_piece *p = t->first; rc == 0 && p && p->reference; p = p->next) {
        if (begins_query(p->literal)) /* the literals climb by themselves */
            break;
        rc = bytes_append_span(&again, p->literal);
        size_t begins = again.len;
        if (rc == 0)
            rc = append_reference(p->reference, false, data, &again, NULL);
        found = p->reference;
        if (begins < to && again.len > from)
            break;
    }
    bytes_release(&again);
    return rc ? rc
              : refuse(
                    found, "would make a segment '.' or '..' of the path of an upstream's URL", e);
}

static int check_path(
    const struct template *t, const struct flow_data *data, struct span path, struct error *e)
{
    struct span where;
    if (path.len == 0 || (!memchr(path.ptr, '.', path.len) && !memchr(path.ptr, '%', path.len)))
        return 0;
    char *room = arena_alloc(data->arena, path.len);
    if (!room)
        return -ENOMEM;
    if (!target_climbs(path, room, &where))
        return 0;
    size_t from = (size_t)(where.ptr - path.ptr);
    return blame(t, data, from, from + where.len, e);
}

int url_climbs(const struct template *t, struct arena *arena, bool *climbs)
{
    struct bytes path;
    struct span where;
    bytes_init(&path, TEMPLATE_TEXT_MAX);
    int rc = 0;
    for (const struct template_piece *p = t->first; rc == 0 && p; p = p->next) {
        rc = bytes_append_span(&path, p->literal);
        if (rc == 0 && p->reference)
            rc = bytes_append_byte(&path, 'x');
    }
    struct span text = before_query(bytes_span(&path));
    char *room = rc == 0 ? arena_alloc(arena, text.len + 1) : NULL;
    *climbs = room && target_climbs(text, room, &where);
    bytes_release(&path);
    return room ? 0 : -ENOMEM;
}

/* ---- The whole ---- */

int url_render(
    const struct template *t, const struct flow_data *data, struct bytes *out, struct error *e)
{
    size_t begins = out->len;
    bool in_query = false;
    int rc = 0;
    for (const struct template_piece *p = t->first; rc == 0 && p; p = p->next) {
        rc = bytes_append_span(out, p->literal);
        in_query |= begins_query(p->literal);
        size_t before = out->len;
        if (rc == 0 && p->reference)
            rc = append_reference(p->reference, in_query, data, out, e);
        bool nothing = rc == 0 && p->reference && out->len == before;
        if (nothing && !p->next && takes_whole_query(p->reference))
            out->len--; /* the '?' or '&' before it */
    }
    if (rc || template_is_literal(t))
        return rc;
    struct span target = {out->ptr + begins, out->len - begins};
    return check_path(t, data, before_query(target), e);
}
