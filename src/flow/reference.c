/*
 * reference.c: first the text becomes names and indices, then their meaning is looked up.
 */
#include "flow/internal.h"

#include "base/bug.h"
#include "base/utf8.h"

#include <errno.h>

/* ---- The text ---- */

static bool is_letter_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

bool reference_begins(char c)
{
    return c == '(' || (is_letter_or_digit(c) && !(c >= '0' && c <= '9'));
}

static int out_of_memory(struct error *e)
{
    return error_set(e, -ENOMEM, "out-of-memory", "no memory to read a reference");
}

static int add(struct reference_path *p, struct reference_step step, struct error *e)
{
    if (p->count == REFERENCE_STEPS_MAX)
        return error_set(e, -EINVAL, "invalid-reference", "a reference has more than %d parts",
            REFERENCE_STEPS_MAX);
    p->list[p->count++] = step;
    return 0;
}

static int add_name(
    struct reference_path *p, struct span name, struct arena *arena, struct error *e)
{
    char *copy = arena_copy(arena, name);
    return copy ? add(p, (struct reference_step){.name = copy}, e) : out_of_memory(e);
}

/* The length of the name at `at`. */
static size_t name_length(struct span text, size_t at)
{
    size_t end = at;
    while (end < text.len && (is_letter_or_digit(text.ptr[end]) || text.ptr[end] == '-'))
        end++;
    while (end > at && text.ptr[end - 1] == '-')
        end--;
    return end > at && text.ptr[at] == '-' ? 0 : end - at;
}

static int bad_bracket(struct span text, size_t at, struct error *e)
{
    return error_set(e, -EINVAL, "invalid-reference",
        "%.*s[: an index is expected, as in '[0]', or a name, as in '[\"a b\"]'; write $(...) "
        "around a reference that a '[' follows",
        (int)at, text.ptr);
}

/* "[12]" at `*at`. */
static int take_index(struct reference_path *p, struct span text, size_t *at, struct error *e)
{
    size_t i = *at + 1;
    uint32_t index = 0;
    while (i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9' && index < 100000000)
        index = index * 10 + (uint32_t)(text.ptr[i++] - '0');
    if (i == *at + 1 || i == text.len || text.ptr[i] != ']')
        return bad_bracket(text, *at, e);
    *at = i + 1;
    return add(p, (struct reference_step){.index = index}, e);
}

/* "["a b"]" at `*at`. */
static int take_quoted(
    struct reference_path *p, struct span text, size_t *at, struct arena *arena, struct error *e)
{
    size_t from = *at + 2;
    const char *end = memchr(text.ptr + from, '"', text.len - from);
    if (!end || end + 1 == text.ptr + text.len || end[1] != ']' ||
        memchr(text.ptr + from, '\0', (size_t)(end - text.ptr) - from))
        return bad_bracket(text, *at, e);
    struct span name = {.ptr = text.ptr + from, .len = (size_t)(end - text.ptr) - from};
    *at = from + name.len + 2;
    return add_name(p, name, arena, e);
}

/* All steps from `*at` on. */
static int take_steps(
    struct reference_path *p, struct span text, size_t *at, struct arena *arena, struct error *e)
{
    int rc = 0;
    while (rc == 0 && *at < text.len) {
        char c = text.ptr[*at];
        size_t len = c == '.' ? name_length(text, *at + 1) : 0;
        if (c == '[') {
            bool quoted = *at + 1 < text.len && text.ptr[*at + 1] == '"';
            rc = quoted ? take_quoted(p, text, at, arena, e) : take_index(p, text, at, e);
        } else if (len > 0) {
            struct span name = {.ptr = text.ptr + *at + 1, .len = len};
            *at += 1 + len;
            rc = add_name(p, name, arena, e);
        } else {
            break;
        }
    }
    return rc;
}

static int split(
    struct reference_path *p, struct span text, size_t *used, struct arena *arena, struct error *e)
{
    bool enclosed = text.len > 1 && text.ptr[1] == '(';
    size_t at = enclosed ? 2 : 1;
    size_t len = name_length(text, at);
    p->count = 0;
    if (len == 0) {
        size_t shown = at < text.len ? at + utf8_length(text.ptr + at, text.len - at) : text.len;
        return error_set(e, -EINVAL, "invalid-reference",
            "'%.*s' begins no reference; write '$$' for a dollar", (int)shown, text.ptr);
    }
    int rc = add_name(p, (struct span){.ptr = text.ptr + at, .len = len}, arena, e);
    at += len;
    if (rc == 0)
        rc = take_steps(p, text, &at, arena, e);
    if (rc)
        return rc;
    p->text = (struct span){.ptr = text.ptr, .len = at};
    if (enclosed && (at == text.len || text.ptr[at] != ')'))
        return error_set(
            e, -EINVAL, "invalid-reference", "%.*s: a ')' is expected after it", SPAN_ARG(p->text));
    *used = enclosed ? at + 1 : at;
    p->text.len = *used;
    return 0;
}

/* ---- Its meaning ---- */

int reference_unknown(struct error *e, const struct reference_path *p, const char *what,
    const char *found, const char *const *candidates, unsigned count, const char *otherwise)
{
    const char *nearest = count ? conf_nearest(span_of(found), candidates, count) : NULL;
    if (nearest)
        return error_set(e, -EINVAL, "invalid-reference", "%.*s: %s '%s'; did you mean '%s'?",
            SPAN_ARG(p->text), what, found, nearest);
    return error_set(e, -EINVAL, "invalid-reference", "%.*s: %s '%s'%s", SPAN_ARG(p->text), what,
        found, otherwise);
}

int reference_wrong(struct error *e, const struct reference_path *p, const char *what)
{
    return error_set(e, -EINVAL, "invalid-reference", "%.*s: %s", SPAN_ARG(p->text), what);
}

/* $path.x, $query.x, $header.x, $request.x: one name, and nothing in it. */
static int check_one_name(const struct reference_path *p, struct error *e)
{
    const char *root = p->list[0].name;
    if (p->count == 1 && strcmp(root, "query") == 0)
        return 0;
    if (p->count < 2 || !p->list[1].name)
        return error_set(e, -EINVAL, "invalid-reference", "%.*s: a name is expected: $%s.NAME",
            SPAN_ARG(p->text), root);
    if (p->count > 2)
        return error_set(e, -EINVAL, "invalid-reference", "%.*s: $%s.%s is text: nothing is in it",
            SPAN_ARG(p->text), root, p->list[1].name);
    return 0;
}

static int look_up_param(struct reference *out, const struct reference_path *p,
    const struct reference_scope *scope, struct error *e)
{
    dcheck(p->count == 2, "%u steps: check_one_name lets two through", p->count);
    out->name = p->list[1].name;
    for (unsigned i = 0; i < scope->param_count; i++)
        if (strcmp(scope->params[i], out->name) == 0) {
            out->rest = scope->has_rest && i + 1 == scope->param_count;
            return 0;
        }
    return reference_unknown(e, p, "the route's path has no parameter", out->name, scope->params,
        scope->param_count, scope->param_count ? "" : ": it has none");
}

static int look_up_request(struct reference *out, const struct reference_path *p, struct error *e)
{
    static const char *const names[] = {[REQUEST_ID] = "id",
        [REQUEST_METHOD] = "method",
        [REQUEST_PATH] = "path",
        [REQUEST_CLIENT] = "client"};
    dcheck(p->count == 2, "%u steps: check_one_name lets two through", p->count);
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], p->list[1].name) == 0) {
            out->index = i;
            return 0;
        }
    return reference_unknown(e, p, "a request has no", p->list[1].name, names,
        sizeof names / sizeof *names, "; it has id, method, path and client");
}

static int look_up_header(
    struct reference *out, const struct reference_path *p, struct arena *arena, struct error *e)
{
    dcheck(p->count == 2, "%u steps: check_one_name lets two through", p->count);
    char *name = arena_copy(arena, span_of(p->list[1].name));
    if (!name)
        return out_of_memory(e);
    for (char *c = name; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    out->name = name;
    return 0;
}

static int look_up_node(struct reference *out, const struct reference_path *p,
    const struct reference_scope *scope, struct error *e)
{
    if (p->count < 2 || !p->list[1].name)
        return reference_wrong(e, p, "a name is expected: $node.NAME");
    const char *name = p->list[1].name;
    for (unsigned i = 0; i < scope->node_count; i++)
        if (strcmp(scope->node_names[i], name) == 0) {
            out->index = i;
            const struct node_kind *kind = node_kind_of(&scope->nodes[i]);
            return kind->check_reference ? kind->check_reference(&scope->nodes[i], p, e) : 0;
        }
    return reference_unknown(e, p, "there is no node", name, scope->node_names, scope->node_count,
        scope->node_count ? "" : ": the route has none");
}

static int look_up_root(struct reference *out, const struct reference_path *p, struct error *e)
{
    static const char *const roots[] = {
        [REFERENCE_BODY] = "body",
        [REFERENCE_PATH] = "path",
        [REFERENCE_QUERY] = "query",
        [REFERENCE_HEADER] = "header",
        [REFERENCE_NODE] = "node",
        [REFERENCE_REQUEST] = "request",
    };
    for (unsigned i = 0; i < sizeof roots / sizeof *roots; i++)
        if (strcmp(roots[i], p->list[0].name) == 0) {
            out->root = (enum reference_root)i;
            return 0;
        }
    return reference_unknown(e, p, "nothing is called", p->list[0].name, roots,
        sizeof roots / sizeof *roots,
        "; there are $body, $path, $query, $header, $node and $request; write '$$' for a dollar");
}

static int keep_steps(struct reference *out, const struct reference_path *p, unsigned from,
    struct arena *arena, struct error *e)
{
    out->step_count = p->count - from;
    if (out->step_count == 0)
        return 0;
    struct reference_step *kept = arena_alloc(arena, out->step_count * sizeof *kept);
    if (!kept)
        return out_of_memory(e);
    memcpy(kept, p->list + from, out->step_count * sizeof *kept);
    out->steps = kept;
    return 0;
}

static int look_up(struct reference *out, const struct reference_path *p,
    const struct reference_scope *scope, struct arena *arena, struct error *e)
{
    int rc = look_up_root(out, p, e);
    if (rc)
        return rc;
    if (out->root == REFERENCE_BODY)
        return keep_steps(out, p, 1, arena, e);
    if (out->root == REFERENCE_NODE) {
        rc = look_up_node(out, p, scope, e);
        return rc ? rc : keep_steps(out, p, 2, arena, e);
    }
    rc = check_one_name(p, e);
    if (rc)
        return rc;
    out->name = p->count > 1 ? p->list[1].name : NULL;
    if (out->root == REFERENCE_PATH)
        return look_up_param(out, p, scope, e);
    if (out->root == REFERENCE_REQUEST)
        return look_up_request(out, p, e);
    return out->root == REFERENCE_HEADER ? look_up_header(out, p, arena, e) : 0;
}

int reference_parse(struct reference *out, struct span text, size_t *used,
    const struct reference_scope *scope, struct arena *arena, struct error *e)
{
    struct reference_path p;
    *out = (struct reference){0};
    int rc = split(&p, text, used, arena, e);
    if (rc)
        return rc;
    char *written = arena_copy(arena, p.text);
    if (!written)
        return out_of_memory(e);
    out->text = (struct span){.ptr = written, .len = p.text.len};
    return look_up(out, &p, scope, arena, e);
}
