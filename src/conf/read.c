/*
 * read.c: from a tree to struct config, by the tables.
 */
#include "conf/read.h"
#include "conf/internal.h"
#include "conf/show.h"
#include "conf/type.h"

#include "base/bug.h"
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>

#define WHERE_DEPTH_MAX 16
#define KEYS_TEXT_MAX   320

/* ---- Sentences ---- */

const char *conf_where_text(const struct conf_where *where, char out[CONF_WHERE_MAX])
{
    const struct conf_where *chain[WHERE_DEPTH_MAX];
    char name[CONF_FOUND_MAX];
    unsigned depth = 0;
    size_t len = 0;
    for (; where && depth < WHERE_DEPTH_MAX; where = where->up)
        chain[depth++] = where;
    out[0] = '\0';
    while (depth-- > 0 && len < CONF_WHERE_MAX - 1) {
        const struct conf_where *w = chain[depth];
        struct span shown = span_of(conf_quoted(w->name, name)); /* cut, and without its quotes */
        int printed = w->name.len == 0 ? snprintf(out + len, CONF_WHERE_MAX - len, "[%d]", w->index)
                                       : snprintf(out + len, CONF_WHERE_MAX - len, "%s%.*s",
                                             len ? "." : "", (int)shown.len - 2, shown.ptr + 1);
        len += printed < 0 ? 0 : (size_t)printed;
    }
    return out;
}

void conf_tell(struct conf_reader *r, const struct conf_node *n, const struct conf_where *where,
    const char *expected, const char *hint)
{
    char place[CONF_WHERE_MAX];
    char found[CONF_FOUND_MAX];
    if (n->told)
        return;
    conf_error(r->errors, &n->mark, "%s: found %s, expected %s%s", conf_where_text(where, place),
        conf_found(n, found), expected, hint);
}

/* "'a', 'b' or 'c'" */
static void list_keys(const struct conf_section *section, char *out, size_t size)
{
    size_t len = 0;
    out[0] = '\0';
    for (unsigned i = 0; i < section->count && len < size; i++) {
        const char *before = i == 0 ? "" : i + 1 == section->count ? " or " : ", ";
        int printed = snprintf(out + len, size - len, "%s'%s'", before, section->keys[i].name);
        len += printed < 0 ? 0 : (size_t)printed;
    }
}

static void tell_unknown(struct conf_reader *r, const struct conf_section *section,
    const struct conf_member *m, const struct conf_where *where)
{
    const char *names[CONF_KEYS_MAX];
    char found[CONF_FOUND_MAX];
    char place[CONF_WHERE_MAX];
    char known[KEYS_TEXT_MAX];
    for (unsigned i = 0; i < section->count; i++)
        names[i] = section->keys[i].name;
    const char *near = conf_nearest(m->name, names, section->count);
    const char *in = where ? conf_where_text(where, place) : section->name;
    list_keys(section, known, sizeof known);
    if (!near || conf_section_key(section, near)->type->is_setting)
        r->setting_mistakes++; /* whatever was meant, the flow is the same */
    if (near)
        conf_error(r->errors, &m->mark, "unknown key %s in %s; did you mean '%s'?",
            conf_quoted(m->name, found), in, near);
    else
        conf_error(r->errors, &m->mark, "unknown key %s in %s; expected one of %s",
            conf_quoted(m->name, found), in, known);
}

void conf_check_keys(struct conf_reader *r, const struct conf_section *section,
    const struct conf_node *map, const struct conf_where *where)
{
    check(section->count <= CONF_KEYS_MAX, "a section has %u keys", section->count);
    for (unsigned i = 0; i < map->count; i++)
        if (!conf_section_key(section, map->members[i].name.ptr)) /* names have no zero byte */
            tell_unknown(r, section, &map->members[i], where);
}

static void tell_missing(struct conf_reader *r, const struct conf_key *key,
    const struct conf_node *n, const struct conf_where *where)
{
    char place[CONF_WHERE_MAX];
    conf_error(r->errors, &n->mark, "%s: the key '%s' is missing, expected one such as '%s: %s'",
        conf_where_text(where, place), key->name, key->name, key->example);
}

/* ---- Values ---- */

struct conf_node *conf_new_scalar(
    struct arena *arena, const char *text, const struct conf_node *like)
{
    struct conf_node *n = arena_zalloc(arena, sizeof *n);
    if (!n)
        return NULL;
    n->kind = CONF_SCALAR;
    n->text = span_of(text);
    n->mark = like ? like->mark : (struct conf_mark){.file = ""};
    return n;
}

static int read_default(struct conf_reader *r, const struct conf_key *key,
    const struct conf_node *map, const struct conf_where *where, void *at)
{
    struct conf_node once = {.kind = CONF_SCALAR, .text = SPAN("")};
    struct conf_node *n = &once;
    if (key->inherits) {
        check(key->type->size > 0, "the key '%s' inherits what has no size", key->name);
        memcpy(at, (const char *)r->config + key->inherits, key->type->size);
    }
    if (key->type == &conf_type_section)
        return conf_read_section(r, key->section, NULL, where, at);
    if (!key->default_)
        return 0;
    if (key->type->keeps_default) {
        n = conf_new_scalar(r->arena, key->default_, map);
        if (!n)
            return -ENOMEM;
    } else {
        once.text = span_of(key->default_);
        once.mark = map ? map->mark : (struct conf_mark){.file = ""};
    }
    return key->type->read(r, key, n, where, at);
}

static struct conf_node *find_value(const struct conf_node *map, const char *name)
{
    for (unsigned i = 0; map && i < map->count; i++)
        if (map->members[i].name.ptr[0] == name[0] && strcmp(map->members[i].name.ptr, name) == 0)
            return map->members[i].value;
    return NULL;
}

static int read_key(struct conf_reader *r, const struct conf_key *key, const struct conf_node *map,
    const struct conf_where *where, void *at)
{
    struct conf_where here = {.up = where, .name = span_of(key->name)};
    struct conf_node *value = find_value(map, key->name);
    unsigned mistakes = conf_errors_count(r->errors);
    unsigned of_settings = r->setting_mistakes;
    if (!value || (value->kind == CONF_NULL && key->type->may_be_empty)) {
        if (key->required && map)
            tell_missing(r, key, map, where);
        return read_default(r, key, map, &here, at);
    }
    int rc = key->type->read(r, key, value, &here, at);
    if (key->type->is_setting) /* those in parts of it are counted once */
        r->setting_mistakes = of_settings + conf_errors_count(r->errors) - mistakes;
    return rc;
}

int conf_read_keys(struct conf_reader *r, const struct conf_key *keys, unsigned count,
    const struct conf_node *map, const struct conf_where *where, void *base)
{
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < count; i++)
        rc = read_key(r, &keys[i], map, where, (char *)base + keys[i].offset);
    return rc;
}

int conf_read_section(struct conf_reader *r, const struct conf_section *section,
    const struct conf_node *n, const struct conf_where *where, void *base)
{
    if (n && n->kind != CONF_MAP) {
        char expected[KEYS_TEXT_MAX + 40];
        char known[KEYS_TEXT_MAX];
        list_keys(section, known, sizeof known);
        snprintf(expected, sizeof expected, "a map with any of the keys %s", known);
        conf_tell(r, n, where, expected, "");
        n = NULL;
    } else if (n) {
        conf_check_keys(r, section, n, where);
    }
    return conf_read_keys(r, section->keys, section->count, n, where, base);
}

/* ---- The types that are read here ---- */

static int read_section(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at)
{
    return conf_read_section(r, key->section, n, where, at);
}

static struct conf_node *show_section(
    struct conf_show *s, const struct conf_key *key, const void *at, const struct conf_node *origin)
{
    return conf_show_section(s, key->section, at, origin);
}

static int put_section(struct bytes *out, const struct conf_key *key)
{
    return bytes_printf(
        out, "\"anyOf\":[{\"$ref\":\"#/$defs/%s\"},{\"type\":\"null\"}]", key->section->name);
}

static int read_include(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at)
{
    conf_error(r->errors, &n->mark, "include: nothing can be included here");
    return 0;
}

static struct conf_node *show_include(
    struct conf_show *s, const struct conf_key *key, const void *at, const struct conf_node *origin)
{
    return NULL;
}

static int put_include(struct bytes *out, const struct conf_key *key)
{
    return conf_schema_put(out,
        "\"anyOf\":[{\"type\":\"string\",\"minLength\":1},{\"type\":\"array\","
        "\"items\":{\"type\":\"string\",\"minLength\":1}}]");
}

const struct conf_type conf_type_section = {.words = "map",
    .may_be_empty = true,
    .read = read_section,
    .show = show_section,
    .schema = put_section};
const struct conf_type conf_type_include = {.words = "path, or list of paths",
    .read = read_include,
    .show = show_include,
    .schema = put_include};

/* ---- Loading ---- */

/* A configuration that is handed on has all files and aliases written out, escapes in its text, and
 * the secrets' wrappings, which are a level and a value more. */
static const struct conf_bounds file_bounds = {
    .file = 16 * 1024 * 1024,
    .text = 64 * 1024 * 1024,
    .nodes = 1000000,
    .depth = CONF_DEPTH_MAX,
};
static const struct conf_bounds handed_bounds = {
    .file = 512 * 1024 * 1024,
    .text = 512 * 1024 * 1024,
    .nodes = 2000000,
    .depth = CONF_DEPTH_MAX + 1,
};

#define ARENA_MAX ((size_t)4 * 1024 * 1024 * 1024)

static int read_config(struct conf *c, const struct conf_reading *reading)
{
    struct conf_key keys[CONF_KEYS_MAX];
    struct conf_reader r = {.config = &c->config,
        .root = c->root,
        .kinds = c->kinds,
        .node = conf_flow_section(c->kinds, keys),
        .arena = &c->arena,
        .errors = reading->errors,
        .source = reading->source};
    return conf_read_section(&r, &conf_section_root, c->root, NULL, &c->config);
}

/* By `path`, or from `text`. */
static int load(struct conf **out, const char *path, struct span text,
    const struct conf_source *source, const struct conf_flow_kinds *kinds,
    struct conf_errors *errors)
{
    unsigned before = conf_errors_count(errors);
    struct conf *c = mem_zalloc(sizeof *c);
    *out = NULL;
    if (!c)
        return -ENOMEM;
    c->kinds = kinds;
    arena_init(&c->arena, ARENA_MAX);
    struct conf_reading reading = {.arena = &c->arena,
        .source = source,
        .errors = errors,
        .bounds = source ? file_bounds : handed_bounds};
    char *name = arena_copy(&c->arena, span_of(path));
    int rc = !name    ? -ENOMEM
             : source ? conf_include(&reading, name, &c->root)
                      : conf_yaml_read(&reading, name, text, &c->root);
    if (c->root && c->root->kind == CONF_NULL)
        c->root = NULL;
    c->config.mark = (struct conf_mark){.file = name};
    c->config.partial = rc != 0;
    bool understood = rc == 0 || (rc == -EINVAL && c->root);
    if (understood) {
        int read = read_config(c, &reading);
        rc = read ? read : rc;
    }
    if (rc == 0 && conf_errors_count(errors) > before)
        rc = -EINVAL;
    if (rc == -EINVAL && conf_errors_starved(errors))
        rc = -ENOMEM;
    bool kept = rc == 0 || (rc == -EINVAL && understood);
    if (!kept)
        conf_free(c);
    *out = kept ? c : NULL;
    return rc;
}

int conf_load(struct conf **out, const char *path, const struct conf_source *source,
    const struct conf_flow_kinds *kinds, struct conf_errors *errors)
{
    return load(out, path, (struct span){0}, source, kinds, errors);
}

int conf_parse(struct conf **out, struct span text, const struct conf_flow_kinds *kinds,
    struct conf_errors *errors)
{
    return load(out, "configuration", text, NULL, kinds, errors);
}

void conf_free(struct conf *c)
{
    if (!c)
        return;
    arena_release(&c->arena);
    mem_free(c);
}

const struct config *conf_config(const struct conf *c)
{
    return &c->config;
}
