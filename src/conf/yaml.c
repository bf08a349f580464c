/*
 * yaml.c: from text to a tree, on libyaml's events.
 *
 * We read what configurations need of YAML: one document of maps, lists and scalars, anchors and
 * aliases. Refused with a sentence, because each has surprised somebody: keys that stand twice,
 * merge keys, tags beyond the core ones, several documents, keys that are no text.
 *
 * Nothing recurses, and everything is counted: an alias is a copy of what it names, and costs its
 * nodes like anything else, so that nine lines cannot become a billion nodes.
 *
 * The text is checked to be clean UTF-8 before libyaml sees it. What libyaml allocates is its own.
 */
#include "conf/internal.h"

#include "base/bug.h"
#include "base/map.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <yaml.h>

#define ANCHORS_MAX 256
#define PENDING_MAX (16u * 1024 * 1024) /* far above any bound on nodes: one each */
#define FEW_MEMBERS 16
#define SECRET_NAME "${}"
#define CORE_TAGS   "tag:yaml.org,2002:"

/* A map or list whose end has not come. */
struct open {
    struct conf_node *node;
    unsigned first; /* its first entry in `pending` */
    int anchor;     /* -1: none */
    bool has_name;  /* a member's name has come, its value not */
    bool bad_name;  /* ... which was told; the value is dropped */
    struct span name;
    struct conf_mark name_mark;
};

struct anchor {
    struct span name;
    struct conf_node *node;
    struct conf_mark mark;
    bool ended; /* a thing may not hold itself */
};

struct builder {
    struct conf_reading *r;
    const char *file;
    struct conf_node *root;
    struct conf_member *pending; /* entries of what is open, outermost first */
    unsigned pending_count;
    unsigned pending_size;
    struct open *open;
    unsigned depth;
    struct anchor *anchors;
    int anchor_count;
    bool document; /* one has begun */
};

static struct conf_mark mark_of(const struct builder *b, const yaml_mark_t *m)
{
    return (struct conf_mark){b->file, (unsigned)m->line + 1, (unsigned)m->column + 1};
}

static struct span span_of_theirs(const yaml_char_t *ptr, size_t len)
{
    return (struct span){(const char *)ptr, len};
}

/* ---- The nodes ---- */

/* NULL without memory or, with an error, at the bound. */
static struct conf_node *new_node(
    struct builder *b, enum conf_kind kind, const struct conf_mark *mark, int *rc)
{
    if (b->r->nodes >= b->r->bounds.nodes) {
        conf_error(b->r->errors, mark,
            "found more than %u values, aliases included; expected fewer", b->r->bounds.nodes);
        *rc = -EINVAL;
        return NULL;
    }
    struct conf_node *n = arena_zalloc(b->r->arena, sizeof *n);
    *rc = n ? 0 : -ENOMEM;
    if (!n)
        return NULL;
    b->r->nodes++;
    n->kind = kind;
    n->mark = *mark;
    n->text = SPAN("");
    return n;
}

static int count_text(struct builder *b, size_t len, const struct conf_mark *mark)
{
    b->r->text += len;
    if (b->r->text <= b->r->bounds.text)
        return 0;
    conf_error(b->r->errors, mark,
        "found more than %zu bytes of text, aliases included; expected fewer", b->r->bounds.text);
    return -EINVAL;
}

static int push(struct builder *b, struct conf_member member)
{
    if (b->pending_count == b->pending_size) {
        unsigned size = b->pending_size ? b->pending_size * 2 : 64;
        if (size > PENDING_MAX)
            return -ENOMEM;
        struct conf_member *bigger = mem_realloc(b->pending, size * sizeof *bigger);
        if (!bigger)
            return -ENOMEM;
        b->pending = bigger;
        b->pending_size = size;
    }
    b->pending[b->pending_count++] = member;
    return 0;
}

/* Puts a whole node where the text has come to. */
static int place(struct builder *b, struct conf_node *n)
{
    struct conf_member member = {.value = n};
    if (b->depth == 0) {
        b->root = n;
        return 0;
    }
    struct open *o = &b->open[b->depth - 1];
    if (o->node->kind == CONF_MAP) {
        member.name = o->name;
        member.mark = o->name_mark;
        o->has_name = false;
        if (o->bad_name)
            return 0;
    }
    return push(b, member);
}

/* ---- Keys ---- */

static bool awaits_name(const struct builder *b)
{
    const struct open *o = b->depth ? &b->open[b->depth - 1] : NULL;
    return o && o->node->kind == CONF_MAP && !o->has_name;
}

static int name_is_no_text(struct builder *b, const struct conf_mark *mark, const char *what)
{
    conf_error(b->r->errors, mark, "found %s, expected a key: a short text, then ':'", what);
    return -EINVAL;
}

static bool has_controls(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
            return true;
    return false;
}

/* Whether the name may stand in a tree; if not, the sentence is told. */
static bool check_name(
    struct builder *b, struct span name, bool plain, const struct conf_mark *mark)
{
    char found[CONF_FOUND_MAX];
    if (plain && name.len == 0)
        conf_error(b->r->errors, mark, "found nothing, expected a key before the ':'");
    else if (plain && span_equal(name, SPAN("<<")))
        conf_error(b->r->errors, mark,
            "found a merge key ('<<'), which is not read; expected each key written out");
    else if (name.len > CONF_NAME_MAX || has_controls(name))
        conf_error(b->r->errors, mark,
            "found the key %s, expected at most %d bytes without control characters",
            conf_quoted(name, found), CONF_NAME_MAX);
    else if (memmem(name.ptr, name.len, "${", 2) &&
             (b->r->source || !span_equal(name, SPAN(SECRET_NAME))))
        conf_error(b->r->errors, mark, "found the key %s; '${...}' is replaced in values only",
            conf_quoted(name, found));
    else
        return true;
    return false;
}

static int take_name(struct builder *b, const yaml_event_t *event, const struct conf_mark *mark)
{
    struct span text = span_of_theirs(event->data.scalar.value, event->data.scalar.length);
    struct open *o = &b->open[b->depth - 1];
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (event->data.scalar.anchor)
        return name_is_no_text(b, mark, "an anchor at a key");
    o->bad_name = !check_name(b, text, plain, mark);
    char *name = arena_copy(b->r->arena, text);
    if (!name)
        return -ENOMEM;
    o->has_name = true;
    o->name = (struct span){name, text.len};
    o->name_mark = *mark;
    return 0;
}

/* ---- Anchors and aliases ---- */

/* Gives the node the event's name, if it has one. */
static int take_anchor(
    struct builder *b, const yaml_char_t *theirs, struct conf_node *n, int *index)
{
    *index = -1;
    if (!theirs)
        return 0;
    struct span name = span_of((const char *)theirs);
    if (b->anchor_count == ANCHORS_MAX) {
        conf_error(
            b->r->errors, &n->mark, "found more than %d anchors, expected fewer", ANCHORS_MAX);
        return -EINVAL;
    }
    if (!b->anchors)
        b->anchors = mem_alloc(ANCHORS_MAX * sizeof *b->anchors);
    char *copy = b->anchors ? arena_copy(b->r->arena, name) : NULL;
    if (!copy)
        return -ENOMEM;
    *index = b->anchor_count++;
    b->anchors[*index] = (struct anchor){{copy, name.len}, n, n->mark, n->kind <= CONF_SCALAR};
    return 0;
}

static struct anchor *find_anchor(struct builder *b, struct span name)
{
    for (int i = b->anchor_count - 1; i >= 0; i--) /* a later one hides an earlier one */
        if (span_equal(b->anchors[i].name, name))
            return &b->anchors[i];
    return NULL;
}

static int too_deep(struct builder *b, const struct conf_mark *mark)
{
    conf_error(b->r->errors, mark,
        "found maps and lists in each other deeper than %u, expected fewer", b->r->bounds.depth);
    return -EINVAL;
}

/* A copy of all that is below `from`; recursion is bounded by the depth. */
static struct conf_node *copy_node(struct builder *b, const struct conf_node *from, unsigned depth,
    const struct conf_mark *alias, int *rc)
{
    if (from->kind >= CONF_LIST && depth >= b->r->bounds.depth) {
        *rc = too_deep(b, alias);
        return NULL;
    }
    struct conf_node *n = new_node(b, from->kind, alias, rc);
    if (!n)
        return NULL;
    *n = *from;
    *rc = count_text(b, n->text.len + n->escaped.len, alias);
    if (*rc)
        return NULL;
    if (from->count == 0)
        return n;
    size_t size = from->kind == CONF_MAP ? sizeof *n->members : sizeof(struct conf_node *);
    void *children = arena_alloc(b->r->arena, from->count * size);
    if (!children) {
        *rc = -ENOMEM;
        return NULL;
    }
    if (from->kind == CONF_MAP)
        n->members = children;
    else
        n->elements = children;
    for (unsigned i = 0; i < from->count; i++) {
        const struct conf_node *child =
            from->kind == CONF_MAP ? from->members[i].value : from->elements[i];
        struct conf_node *copy = copy_node(b, child, depth + 1, alias, rc);
        if (!copy)
            return NULL;
        if (from->kind == CONF_MAP) {
            n->members[i] = from->members[i];
            n->members[i].value = copy;
        } else {
            n->elements[i] = copy;
        }
    }
    return n;
}

static int on_alias(struct builder *b, const yaml_event_t *event, const struct conf_mark *mark)
{
    char found[CONF_FOUND_MAX];
    struct span name = span_of((const char *)event->data.alias.anchor);
    if (awaits_name(b))
        return name_is_no_text(b, mark, "an alias");
    struct anchor *anchor = find_anchor(b, name);
    if (!anchor || !anchor->ended) {
        conf_error(b->r->errors, mark,
            anchor ? "the alias %s stands inside what it names, expected it after"
                   : "found the alias %s, expected its anchor before it",
            conf_quoted(name, found));
        return -EINVAL;
    }
    int rc = 0;
    struct conf_node *n = copy_node(b, anchor->node, b->depth, mark, &rc);
    return n ? place(b, n) : rc;
}

/* ---- Tags ---- */

/* The core tags mean something only where the text could be read otherwise: "!!str 5". */
static int take_tag(struct builder *b, struct conf_node *n, const yaml_char_t *theirs)
{
    static const struct {
        const char *name;
        enum conf_kind kind;
        int scalar; /* -1: text */
    } tags[] = {
        {"str", CONF_SCALAR, -1},
        {"null", CONF_SCALAR, CONF_IS_NULL},
        {"bool", CONF_SCALAR, CONF_IS_BOOL},
        {"int", CONF_SCALAR, CONF_IS_INTEGER},
        {"float", CONF_SCALAR, CONF_IS_NUMBER},
        {"map", CONF_MAP, 0},
        {"seq", CONF_LIST, 0},
    };
    const char *tag = (const char *)theirs;
    char found[CONF_FOUND_MAX];
    if (!tag)
        return 0;
    if (strcmp(tag, "!") == 0) {
        n->quoted = true;
        return 0;
    }
    size_t prefix = strlen(CORE_TAGS);
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        if (strncmp(tag, CORE_TAGS, prefix) != 0 || strcmp(tag + prefix, tags[i].name) != 0)
            continue;
        n->quoted = n->kind == CONF_SCALAR && tags[i].scalar < 0;
        if (n->kind == tags[i].kind &&
            (n->kind != CONF_SCALAR || tags[i].scalar < 0 ||
                conf_scalar(n, NULL, NULL, NULL) == (enum conf_scalar)tags[i].scalar))
            return 0;
        conf_error(b->r->errors, &n->mark, "found %s, expected what its tag !!%s says",
            conf_found(n, found), tags[i].name);
        return 0;
    }
    conf_error(b->r->errors, &n->mark, "found the tag %s, expected none",
        conf_quoted(span_of(tag), found));
    return 0;
}

/* ---- Events ---- */

static int on_scalar(struct builder *b, const yaml_event_t *event, const struct conf_mark *mark)
{
    int rc;
    int anchor;
    if (awaits_name(b))
        return take_name(b, event, mark);
    struct conf_node *n = new_node(b, CONF_SCALAR, mark, &rc);
    if (!n)
        return rc;
    struct span text = span_of_theirs(event->data.scalar.value, event->data.scalar.length);
    n->text = (struct span){arena_copy(b->r->arena, text), text.len};
    if (!n->text.ptr)
        return -ENOMEM;
    n->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    rc = take_tag(b, n, event->data.scalar.tag);
    if (conf_scalar(n, NULL, NULL, NULL) == CONF_IS_NULL)
        n->kind = CONF_NULL;
    else if (rc == 0 && b->r->source)
        rc = conf_expand(b->r, n);
    if (rc == 0)
        rc = count_text(b, n->text.len, mark);
    if (rc == 0)
        rc = take_anchor(b, event->data.scalar.anchor, n, &anchor);
    return rc ? rc : place(b, n);
}

static int on_start(struct builder *b, enum conf_kind kind, const yaml_char_t *anchor,
    const yaml_char_t *tag, const struct conf_mark *mark)
{
    int rc;
    if (awaits_name(b))
        return name_is_no_text(b, mark, kind == CONF_MAP ? "a map" : "a list");
    if (b->depth == b->r->bounds.depth)
        return too_deep(b, mark);
    struct conf_node *n = new_node(b, kind, mark, &rc);
    if (!n)
        return rc;
    struct open *o = &b->open[b->depth];
    *o = (struct open){.node = n, .first = b->pending_count, .anchor = -1};
    rc = take_tag(b, n, tag);
    if (rc == 0)
        rc = take_anchor(b, anchor, n, &o->anchor);
    b->depth++;
    return rc;
}

static void tell_twice(
    struct builder *b, const struct conf_member *first, const struct conf_member *again)
{
    char found[CONF_FOUND_MAX];
    conf_error(b->r->errors, &again->mark, "the key %s stands twice; the first is in line %u",
        conf_quoted(again->name, found), first->mark.line);
}

/* Tells of names that stand twice and keeps the first of each. */
static int without_twins(struct builder *b, struct conf_member *members, unsigned *count)
{
    static const uint64_t seed[2] = {0x77656972, 0x636f6e66}; /* who writes it harms himself only */
    struct map seen;
    unsigned kept = 0;
    int rc = 0;
    map_init(&seen, seed, PENDING_MAX);
    for (unsigned i = 0; rc == 0 && i < *count; i++) {
        struct conf_member *first = NULL;
        if (*count > FEW_MEMBERS)
            first = map_get(&seen, members[i].name);
        for (unsigned j = 0; *count <= FEW_MEMBERS && !first && j < kept; j++)
            if (span_equal(members[j].name, members[i].name))
                first = &members[j];
        if (first) {
            tell_twice(b, first, &members[i]);
            continue;
        }
        members[kept] = members[i];
        if (*count > FEW_MEMBERS)
            rc = map_put(&seen, members[kept].name, &members[kept]);
        kept++;
    }
    map_release(&seen);
    *count = kept;
    return rc;
}

/* {"${}": text}: how a secret is handed to another process. */
static void unwrap_secret(struct builder *b, struct conf_node *n)
{
    if (b->r->source)
        return;
    for (unsigned i = 0; i < n->count; i++) {
        if (!span_equal(n->members[i].name, SPAN(SECRET_NAME)))
            continue;
        struct conf_node *value = n->members[i].value;
        if (n->count != 1 || value->kind != CONF_SCALAR || !value->quoted) {
            conf_error(b->r->errors, &n->members[i].mark,
                "found '" SECRET_NAME "', expected a text alone");
            return;
        }
        *n = (struct conf_node){.kind = CONF_SCALAR,
            .mark = n->mark,
            .text = value->text,
            .quoted = true,
            .secret = true,
            .expanded = true};
        return;
    }
}

static int on_end(struct builder *b)
{
    struct open *o = &b->open[--b->depth];
    struct conf_node *n = o->node;
    n->count = b->pending_count - o->first;
    b->pending_count = o->first;
    dcheck(b->pending || n->count == 0, "%u entries were counted that stand nowhere", n->count);
    dcheck(b->anchors || o->anchor < 0, "an anchor was counted that stands nowhere");
    if (o->anchor >= 0)
        b->anchors[o->anchor].ended = true;
    if (n->count > 0 && n->kind == CONF_MAP) {
        n->members = arena_alloc(b->r->arena, n->count * sizeof *n->members);
        if (!n->members)
            return -ENOMEM;
        memcpy(n->members, b->pending + o->first, n->count * sizeof *n->members);
        int rc = without_twins(b, n->members, &n->count);
        if (rc)
            return rc;
        unwrap_secret(b, n);
    } else if (n->count > 0) {
        n->elements = arena_alloc(b->r->arena, n->count * sizeof *n->elements);
        if (!n->elements)
            return -ENOMEM;
        for (unsigned i = 0; i < n->count; i++)
            n->elements[i] = b->pending[o->first + i].value;
    }
    return place(b, n);
}

static int on_event(struct builder *b, const yaml_event_t *event)
{
    struct conf_mark mark = mark_of(b, &event->start_mark);
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (b->document) {
            conf_error(b->r->errors, &mark, "found a second document, expected one in a file");
            return -EINVAL;
        }
        b->document = true;
        return 0;
    case YAML_ALIAS_EVENT:
        return on_alias(b, event, &mark);
    case YAML_SCALAR_EVENT:
        return on_scalar(b, event, &mark);
    case YAML_SEQUENCE_START_EVENT:
        return on_start(
            b, CONF_LIST, event->data.sequence_start.anchor, event->data.sequence_start.tag, &mark);
    case YAML_MAPPING_START_EVENT:
        return on_start(
            b, CONF_MAP, event->data.mapping_start.anchor, event->data.mapping_start.tag, &mark);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return on_end(b);
    default:
        return 0;
    }
}

static int read_events(struct builder *b, yaml_parser_t *parser, struct span text)
{
    for (;;) {
        yaml_event_t event;
        if (!yaml_parser_parse(parser, &event)) {
            if (parser->error == YAML_MEMORY_ERROR)
                return -ENOMEM;
            conf_yaml_explain(b->r->errors, b->file, text, parser);
            return -EINVAL;
        }
        bool end = event.type == YAML_STREAM_END_EVENT;
        int rc = on_event(b, &event);
        yaml_event_delete(&event);
        if (rc || end)
            return rc;
    }
}

/* ---- A file ---- */

int conf_yaml_read(
    struct conf_reading *r, const char *file, struct span text, struct conf_node **root)
{
    yaml_parser_t parser;
    struct builder b = {.r = r, .file = file};
    *root = NULL;
    if (text.len >= 3 && memcmp(text.ptr, "\xef\xbb\xbf", 3) == 0)
        text = (struct span){text.ptr + 3, text.len - 3};
    int rc = conf_text_check(r, file, text);
    if (rc)
        return rc;
    b.open = mem_alloc((r->bounds.depth + 1) * sizeof *b.open);
    if (!b.open)
        return -ENOMEM;
    rc = yaml_parser_initialize(&parser) ? 0 : -ENOMEM;
    if (rc == 0) {
        yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
        yaml_parser_set_input_string(&parser, (const unsigned char *)text.ptr, text.len);
        rc = read_events(&b, &parser, text);
        yaml_parser_delete(&parser);
    }
    mem_free(b.open);
    mem_free(b.pending);
    mem_free(b.anchors);
    if (rc == 0)
        *root = b.root;
    return rc;
}
