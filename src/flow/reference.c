/*
 * reference.c: first the text becomes names and indices, then their meaning is looked up.
 */
#include "flow/reference.h"

#include "base/bug.h"
#include "base/utf8.h"

#include <errno.h>

struct steps {
    struct span text; /* the reference, for sentences */
    struct reference_step list[REFERENCE_STEPS_MAX];
    unsigned count;
};

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

static int add(struct steps *s, struct reference_step step, struct error *e)
{
    if (s->count == REFERENCE_STEPS_MAX)
        return error_set(e, -EINVAL, "invalid-reference", "a reference has more than %d parts",
            REFERENCE_STEPS_MAX);
    s->list[s->count++] = step;
    return 0;
}

static int add_name(struct steps *s, struct span name, struct arena *arena, struct error *e)
{
    char *copy = arena_copy(arena, name);
    return copy ? add(s, (struct reference_step){.name = copy}, e) : out_of_memory(e);
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
static int take_index(struct steps *s, struct span text, size_t *at, struct error *e)
{
    size_t i = *at + 1;
    uint32_t index = 0;
    while (i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9' && index < 100000000)
        index = index * 10 + (uint32_t)(text.ptr[i++] - '0');
    if (i == *at + 1 || i == text.len || text.ptr[i] != ']')
        return bad_bracket(text, *at, e);
    *at = i + 1;
    return add(s, (struct reference_step){.index = index}, e);
}

/* "["a b"]" at `*at`. */
static int take_quoted(
    struct steps *s, struct span text, size_t *at, struct arena *arena, struct error *e)
{
    size_t from = *at + 2;
    const char *end = memchr(text.ptr + from, '"', text.len - from);
    if (!end || end + 1 == text.ptr + text.len || end[1] != ']' ||
        memchr(text.ptr + from, '\0', (size_t)(end - text.ptr) - from))
        return bad_bracket(text, *at, e);
    struct span name = {.ptr = text.ptr + from, .len = (size_t)(end - text.ptr) - from};
    *at = from + name.len + 2;
    return add_name(s, name, arena, e);
}

/* All steps from `*at` on. */
static int take_steps(
    struct steps *s, struct span text, size_t *at, struct arena *arena, struct error *e)
{
    int rc = 0;
    while (rc == 0 && *at < text.len) {
        char c = text.ptr[*at];
        size_t len = c == '.' ? name_length(text, *at + 1) : 0;
        if (c == '[') {
            bool quoted = *at + 1 < text.len && text.ptr[*at + 1] == '"';
            rc = quoted ? take_quoted(s, text, at, arena, e) : take_index(s, text, at, e);
        } else if (len > 0) {
            struct span name = {.ptr = text.ptr + *at + 1, .len = len};
            *at += 1 + len;
            rc = add_name(s, name, arena, e);
        } else {
            break;
        }
    }
    return rc;
}

static int split(
    struct steps *s, struct span text, size_t *used, struct arena *arena, struct error *e)
{
    bool enclosed = text.len > 1 && text.ptr[1] == '(';
    size_t at = enclosed ? 2 : 1;
    size_t len = name_length(text, at);
    s->count = 0;
    if (len == 0) {
        size_t shown = at < text.len ? at + utf8_length(text.ptr + at, text.len - at) : text.len;
        return error_set(e, -EINVAL, "invalid-reference",
            "'%.*s' begins no reference; write '$$' for a dollar", (int)shown, text.ptr);
    }
    int rc = add_name(s, (struct span){.ptr = text.ptr + at, .len = len}, arena, e);
    at += len;
    if (rc == 0)
        rc = take_steps(s, text, &at, arena, e);
    if (rc)
        return rc;
    s->text = (struct span){.ptr = text.ptr, .len = at};
    if (enclosed && (at == text.len || text.ptr[at] != ')'))
        return error_set(
            e, -EINVAL, "invalid-reference", "%.*s: a ')' is expected after it", SPAN_ARG(s->text));
    *used = enclosed ? at + 1 : at;
    s->text.len = *used;
    return 0;
}

/* ---- Its meaning ---- */

/* "...; did you mean 'x'?", or "...; `otherwise`" */
static int unknown(struct error *e, const struct steps *s, const char *what, const char *found,
    const char *const *candidates, unsigned count, const char *otherwise)
{
    const char *nearest = count ? conf_nearest(span_of(found), candidates, count) : NULL;
    if (nearest)
        return error_set(e, -EINVAL, "invalid-reference", "%.*s: %s '%s'; did you mean '%s'?",
            SPAN_ARG(s->text), what, found, nearest);
    return error_set(e, -EINVAL, "invalid-reference", "%.*s: %s '%s'%s", SPAN_ARG(s->text), what,
        found, otherwise);
}

static int wrong(struct error *e, const struct steps *s, const char *what)
{
    return error_set(e, -EINVAL, "invalid-reference", "%.*s: %s", SPAN_ARG(s->text), what);
}

/* $path.x, $query.x, $header.x, $request.x: one name, and nothing in it. */
static int check_one_name(const struct steps *s, struct error *e)
{
    const char *root = s->list[0].name;
    if (s->count == 1 && strcmp(root, "query") == 0)
        return 0;
    if (s->count < 2 || !s->list[1].name)
        return error_set(e, -EINVAL, "invalid-reference", "%.*s: a name is expected: $%s.NAME",
            SPAN_ARG(s->text), root);
    if (s->count > 2)
        return error_set(e, -EINVAL, "invalid-reference", "%.*s: $%s.%s is text: nothing is in it",
            SPAN_ARG(s->text), root, s->list[1].name);
    return 0;
}

static int look_up_param(struct reference *out, const struct steps *s,
    const struct reference_scope *scope, struct error *e)
{
    dcheck(s->count == 2, "%u steps: check_one_name lets two through", s->count);
    out->name = s->list[1].name;
    for (unsigned i = 0; i < scope->param_count; i++)
        if (strcmp(scope->params[i], out->name) == 0) {
            out->rest = scope->has_rest && i + 1 == scope->param_count;
            return 0;
        }
    return unknown(e, s, "the route's path has no parameter", out->name, scope->params,
        scope->param_count, scope->param_count ? "" : ": it has none");
}

static int look_up_request(struct reference *out, const struct steps *s, struct error *e)
{
    static const char *const names[] = {[REQUEST_ID] = "id",
        [REQUEST_METHOD] = "method",
        [REQUEST_PATH] = "path",
        [REQUEST_CLIENT] = "client"};
    dcheck(s->count == 2, "%u steps: check_one_name lets two through", s->count);
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], s->list[1].name) == 0) {
            out->index = i;
            return 0;
        }
    return unknown(e, s, "a request has no", s->list[1].name, names, sizeof names / sizeof *names,
        "; it has id, method, path and client");
}

static int look_up_header(
    struct reference *out, const struct steps *s, struct arena *arena, struct error *e)
{
    dcheck(s->count == 2, "%u steps: check_one_name lets two through", s->count);
    char *name = arena_copy(arena, span_of(s->list[1].name));
    if (!name)
        return out_of_memory(e);
    for (char *c = name; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    out->name = name;
    return 0;
}

static int check_in_answer(const struct steps *s, unsigned at, struct error *e)
{
    static const char *const parts[] = {"status", "headers", "body"};
    if (at == s->count)
        return 0;
    const char *name = s->list[at].name;
    if (!name)
        return wrong(e, s, "an http node's value is no list without 'times'");
    if (strcmp(name, "body") == 0)
        return 0;
    if (strcmp(name, "status") == 0)
        return s->count == at + 1 ? 0 : wrong(e, s, "a status is a number: nothing is in it");
    if (strcmp(name, "headers") == 0) {
        if (s->count > at + 1 && !s->list[at + 1].name)
            return wrong(e, s, "headers are found by name");
        bool cookie = s->count == at + 3 && !s->list[at + 2].name &&
                      strcasecmp(s->list[at + 1].name, "set-cookie") == 0;
        return s->count <= at + 2 || cookie ? 0 : wrong(e, s, "a header is text: nothing is in it");
    }
    return unknown(e, s, "an http node's value has no", name, parts, sizeof parts / sizeof *parts,
        "; it has status, headers and body");
}

/* What is known of a node's value before it runs. */
static int check_in_node(const struct steps *s, const struct conf_flow_node *n, struct error *e)
{
    if (n->kind == CONF_NODE_SLEEP && s->count > 2)
        return wrong(e, s, "the value of a sleep is null: nothing is in it");
    if (n->kind != CONF_NODE_HTTP)
        return 0;
    if (!n->http.times_given)
        return check_in_answer(s, 2, e);
    if (s->count == 2)
        return 0;
    if (s->list[2].name)
        return error_set(e, -EINVAL, "invalid-reference",
            "%.*s: with 'times' the value is a list; say which: $node.%s[0].%s", SPAN_ARG(s->text),
            n->name, s->list[2].name);
    if (s->list[2].index >= n->http.times)
        return error_set(e, -EINVAL, "invalid-reference",
            "%.*s: the list has %u elements, and the first is [0]", SPAN_ARG(s->text),
            n->http.times);
    return check_in_answer(s, 3, e);
}

static int look_up_node(struct reference *out, const struct steps *s,
    const struct reference_scope *scope, struct error *e)
{
    if (s->count < 2 || !s->list[1].name)
        return wrong(e, s, "a name is expected: $node.NAME");
    const char *name = s->list[1].name;
    for (unsigned i = 0; i < scope->node_count; i++)
        if (strcmp(scope->node_names[i], name) == 0) {
            out->index = i;
            return check_in_node(s, &scope->nodes[i], e);
        }
    return unknown(e, s, "there is no node", name, scope->node_names, scope->node_count,
        scope->node_count ? "" : ": the route has none");
}

static int look_up_root(struct reference *out, const struct steps *s, struct error *e)
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
        if (strcmp(roots[i], s->list[0].name) == 0) {
            out->root = (enum reference_root)i;
            return 0;
        }
    return unknown(e, s, "nothing is called", s->list[0].name, roots, sizeof roots / sizeof *roots,
        "; there are $body, $path, $query, $header, $node and $request; write '$$' for a dollar");
}

static int keep_steps(struct reference *out, const struct steps *s, unsigned from,
    struct arena *arena, struct error *e)
{
    out->step_count = s->count - from;
    if (out->step_count == 0)
        return 0;
    struct reference_step *kept = arena_alloc(arena, out->step_count * sizeof *kept);
    if (!kept)
        return out_of_memory(e);
    memcpy(kept, s->list + from, out->step_count * sizeof *kept);
    out->steps = kept;
    return 0;
}

static int look_up(struct reference *out, const struct steps *s,
    const struct reference_scope *scope, struct arena *arena, struct error *e)
{
    int rc = look_up_root(out, s, e);
    if (rc)
        return rc;
    if (out->root == REFERENCE_BODY)
        return keep_steps(out, s, 1, arena, e);
    if (out->root == REFERENCE_NODE) {
        rc = look_up_node(out, s, scope, e);
        return rc ? rc : keep_steps(out, s, 2, arena, e);
    }
    rc = check_one_name(s, e);
    if (rc)
        return rc;
    out->name = s->count > 1 ? s->list[1].name : NULL;
    if (out->root == REFERENCE_PATH)
        return look_up_param(out, s, scope, e);
    if (out->root == REFERENCE_REQUEST)
        return look_up_request(out, s, e);
    return out->root == REFERENCE_HEADER ? look_up_header(out, s, arena, e) : 0;
}

int reference_parse(struct reference *out, struct span text, size_t *used,
    const struct reference_scope *scope, struct arena *arena, struct error *e)
{
    struct steps s;
    *out = (struct reference){0};
    int rc = split(&s, text, used, arena, e);
    if (rc)
        return rc;
    char *written = arena_copy(arena, s.text);
    if (!written)
        return out_of_memory(e);
    out->text = (struct span){.ptr = written, .len = s.text.len};
    return look_up(out, &s, scope, arena, e);
}
