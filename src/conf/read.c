/*
 * read.c: from a tree to struct config, by the table.
 */
#include "conf/read.h"

#include "base/bug.h"
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>

#define WHERE_DEPTH_MAX 16
#define KEYS_TEXT_MAX   256

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
    if (near)
        conf_error(r->errors, &m->mark, "unknown key %s in %s; did you mean '%s'?",
            conf_quoted(m->name, found), in, near);
    else
        conf_error(r->errors, &m->mark, "unknown key %s in %s; expected one of %s",
            conf_quoted(m->name, found), in, known);
}

static void tell_missing(struct conf_reader *r, const struct conf_section *section,
    const struct conf_key *key, const struct conf_node *n, const struct conf_where *where)
{
    char place[CONF_WHERE_MAX];
    conf_error(r->errors, &n->mark, "%s: the key '%s' is missing, expected one such as '%s: %s'",
        where ? conf_where_text(where, place) : section->name, key->name, key->name, key->example);
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

/* Those that may be written without a value: "limits:" and nothing. */
static bool may_be_empty(enum conf_type type)
{
    return type == CONF_SECTION || type == CONF_ROUTES || type == CONF_NODES ||
           type == CONF_FIELDS || type == CONF_POOLS || type == CONF_STEPS;
}

static size_t inherited_size(const struct conf_key *key)
{
    return key->type == CONF_BOOL ? sizeof(bool) : sizeof(uint64_t); /* a duration, a size */
}

static int read_default(struct conf_reader *r, const struct conf_key *key,
    const struct conf_node *map, const struct conf_where *where, void *at)
{
    if (key->inherits)
        memcpy(at, (const char *)&r->conf->config + key->inherits, inherited_size(key));
    if (key->type == CONF_SECTION)
        return conf_read_section(r, key->section, NULL, where, at);
    if (!key->default_)
        return 0;
    if (key->type == CONF_STATUS || key->type == CONF_STATUSES || key->type == CONF_PRIORITY) {
        struct conf_node *kept = conf_new_scalar(r->arena, key->default_, map);
        return kept ? conf_read_value(r, key, kept, where, at) : -ENOMEM;
    }
    struct conf_node n = {.kind = CONF_SCALAR, .text = span_of(key->default_)};
    n.mark = map ? map->mark : (struct conf_mark){.file = ""};
    return conf_read_value(r, key, &n, where, at);
}

/* Values by which a flow is run, but which do not change what it is. */
static bool is_setting(enum conf_type type)
{
    return type == CONF_DURATION || type == CONF_SIZE || type == CONF_COUNT || type == CONF_SEED ||
           type == CONF_BOOL || type == CONF_CHOICE || type == CONF_ORDER || type == CONF_TEXT ||
           type == CONF_THREADS || type == CONF_SLEEP || type == CONF_RANGE;
}

/* The map's values by the section's keys. Names have no zero byte, so they can be compared as they
 * are. */
static void sort_members(struct conf_reader *r, const struct conf_section *section,
    const struct conf_node *n, const struct conf_where *where,
    struct conf_node *values[CONF_KEYS_MAX])
{
    for (unsigned i = 0; i < n->count; i++) {
        const struct conf_member *m = &n->members[i];
        unsigned k = 0;
        while (k < section->count && (section->keys[k].name[0] != m->name.ptr[0] ||
                                         strcmp(section->keys[k].name, m->name.ptr) != 0))
            k++;
        if (k < section->count)
            values[k] = m->value;
        else
            tell_unknown(r, section, m, where);
    }
}

int conf_read_section(struct conf_reader *r, const struct conf_section *section,
    struct conf_node *n, const struct conf_where *where, void *base)
{
    struct conf_node *values[CONF_KEYS_MAX] = {0};
    check(section->count <= CONF_KEYS_MAX, "a section has %u keys", section->count);
    if (n && n->kind != CONF_MAP) {
        char expected[KEYS_TEXT_MAX + 40];
        char known[KEYS_TEXT_MAX];
        list_keys(section, known, sizeof known);
        snprintf(expected, sizeof expected, "a map with any of the keys %s", known);
        conf_tell(r, n, where, expected, "");
        n = NULL;
    } else if (n) {
        sort_members(r, section, n, where, values);
    }
    for (unsigned i = 0; i < section->count; i++) {
        const struct conf_key *key = &section->keys[i];
        struct conf_where here = {.up = where, .name = span_of(key->name)};
        void *at = (char *)base + key->offset;
        int rc;
        unsigned mistakes = conf_errors_count(r->errors);
        unsigned of_settings = r->setting_mistakes;
        if (values[i] && !(values[i]->kind == CONF_NULL && may_be_empty(key->type))) {
            rc = conf_read_value(r, key, values[i], &here, at);
            if (is_setting(key->type)) /* those in parts of it are counted once */
                r->setting_mistakes = of_settings + conf_errors_count(r->errors) - mistakes;
        } else {
            if (key->required && n)
                tell_missing(r, section, key, n, where);
            rc = read_default(r, key, n, &here, at);
        }
        if (rc)
            return rc;
    }
    return 0;
}

int conf_read_value(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at)
{
    switch (key->type) {
    case CONF_SECTION:
        return conf_read_section(r, key->section, n, where, at);
    case CONF_LISTENERS:
        return conf_read_listeners(r, n, where);
    case CONF_ROUTES:
        return conf_read_routes(r, n, where);
    case CONF_NODES:
        return conf_read_nodes(r, n, where, at);
    case CONF_SLEEP:
        return conf_read_sleep(r, key, n, where, at);
    case CONF_RANGE:
        return conf_read_range(r, key, n, where, at);
    case CONF_HTTP:
        return conf_read_http(r, n, where, at);
    case CONF_STATUSES:
        return conf_read_statuses(r, n, where, at);
    case CONF_POOLS:
        return conf_read_pools(r, n, where);
    case CONF_STEPS:
        return conf_read_steps(r, n, where);
    case CONF_INCLUDE:
        conf_error(r->errors, &n->mark, "include: nothing can be included here");
        return 0;
    default:
        return conf_read_scalar(r, key, n, where, at);
    }
}

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
    struct conf_reader r = {
        .conf = c, .arena = &c->arena, .errors = reading->errors, .source = reading->source};
    return conf_read_section(&r, &conf_section_root, c->root, NULL, &c->config);
}

/* By `path`, or from `text`. */
static int load(struct conf **out, const char *path, struct span text,
    const struct conf_source *source, struct conf_errors *errors)
{
    unsigned before = conf_errors_count(errors);
    struct conf *c = mem_zalloc(sizeof *c);
    *out = NULL;
    if (!c)
        return -ENOMEM;
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
    struct conf_errors *errors)
{
    return load(out, path, (struct span){0}, source, errors);
}

int conf_parse(struct conf **out, struct span text, struct conf_errors *errors)
{
    return load(out, "configuration", text, NULL, errors);
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
