/*
 * work.c: pools, steps, and what nodes take from them.
 *
 * Pools are read first, then steps, then routes (by the table's order), so that each is held
 * against those that it names. Whether a step exists is not known here: step/ is above.
 */
#include "conf/internal.h"
#include "conf/read.h"
#include "conf/show.h"
#include "conf/type.h"

#include <errno.h>
#include <stdio.h>

#define DEFAULT_POOL "default"

/* Tells of a key, at its name: "pools.cpu.memory: ..." */
static void tell_key(struct conf_reader *r, const struct conf_member *m,
    const struct conf_where *where, const char *sentence)
{
    struct conf_where here = {.up = where, .name = m->name};
    char place[CONF_WHERE_MAX];
    conf_error(r->errors, &m->mark, "%s: %s", conf_where_text(&here, place), sentence);
}

void conf_check_name(
    struct conf_reader *r, const struct conf_member *m, const struct conf_where *where)
{
    char place[CONF_WHERE_MAX];
    char found[CONF_FOUND_MAX];
    if (!conf_is_name(m->name, CONF_WORD_MAX))
        conf_error(r->errors, &m->mark,
            "%s: found the name %s, expected at most %d letters, digits, '_' and '-', a letter "
            "first",
            conf_where_text(where, place), conf_quoted(m->name, found), CONF_WORD_MAX);
}

/* ---- pools ---- */

static struct conf_pool *find_pool(const struct config *config, struct span name)
{
    for (unsigned i = 0; i < config->pool_count; i++)
        if (span_equal(span_of(config->pools[i].name), name))
            return &config->pools[i];
    return NULL;
}

/* "processes or fork" */
static void list_kinds(unsigned pools, char *out, size_t size)
{
    size_t len = 0;
    unsigned left = (unsigned)__builtin_popcount(pools);
    out[0] = '\0';
    for (unsigned i = 0; conf_pool_kinds[i] && len < size; i++) {
        if (!(pools >> i & 1))
            continue;
        left--;
        int printed = snprintf(out + len, size - len, "%s%s", conf_pool_kinds[i],
            left == 0   ? ""
            : left == 1 ? " or "
                        : ", ");
        len += printed < 0 ? 0 : (size_t)printed;
    }
}

/* Keys that say nothing in a pool of this kind: somebody believes that they do. */
static void check_keys(struct conf_reader *r, const struct conf_node *n,
    const struct conf_where *where, const struct conf_pool *pool)
{
    const char *kind = conf_pool_kinds[pool->kind];
    const struct conf_node *given = conf_member(n, "kind");
    if (given && !span_equal(given->text, span_of(kind)))
        return; /* it is none, and that was told */
    for (unsigned i = 0; i < n->count; i++) {
        const struct conf_member *m = &n->members[i];
        const struct conf_key *key = conf_section_key(&conf_section_pool, m->name.ptr);
        char kinds[64];
        char sentence[192];
        if (!key || !key->pools || key->pools >> pool->kind & 1)
            continue;
        list_kinds(key->pools, kinds, sizeof kinds);
        snprintf(sentence, sizeof sentence,
            "found in a pool of kind %s, expected only where the kind is %s; take it out, or "
            "choose such a kind",
            kind, kinds);
        tell_key(r, m, where, sentence);
    }
}

static int read_pool(struct conf_reader *r, struct conf_member *m, const struct conf_where *where,
    struct conf_pool *pool)
{
    struct conf_where here = {.up = where, .name = m->name};
    struct conf_node *n = m->value->kind == CONF_NULL ? NULL : m->value;
    pool->mark = m->mark;
    pool->name = m->name.ptr;
    conf_check_name(r, m, where);
    int rc = conf_read_section(r, &conf_section_pool, n, &here, pool);
    if (rc == 0 && n && n->kind == CONF_MAP)
        check_keys(r, n, &here, pool);
    return rc;
}

static int read_pools(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at)
{
    struct config *config = r->config;
    if (n->kind != CONF_MAP || n->count > CONF_POOLS_MAX) {
        conf_tell(r, n, where, "a map of at most 64 pools such as {cpu: {kind: processes}}", "");
        config->partial = true;
        return 0;
    }
    config->pools = arena_zalloc(r->arena, (n->count + 1) * sizeof *config->pools);
    if (!config->pools)
        return -ENOMEM;
    for (unsigned i = 0; i < n->count; i++) {
        int rc = read_pool(r, &n->members[i], where, &config->pools[i]);
        if (rc)
            return rc;
        config->pool_count++;
    }
    return 0;
}

/* A pool that was not given comes behind those that were. */
static struct conf_node *show_pools(
    struct conf_show *s, const struct conf_key *key, const void *at, const struct conf_node *origin)
{
    unsigned count = s->config->pool_count;
    if (count == 0)
        return NULL;
    struct conf_node *map = conf_show_map(s, count);
    for (unsigned i = 0; i < count && !s->failed; i++) {
        const struct conf_pool *pool = &s->config->pools[i];
        const struct conf_node *from =
            origin && i < origin->count ? origin->members[i].value : NULL;
        conf_show_member(map, pool->name, conf_show_section(s, &conf_section_pool, pool, from));
    }
    return map;
}

static int put_pools(struct bytes *out, const struct conf_key *key)
{
    return bytes_printf(out,
        "\"type\":[\"object\",\"null\"],\"propertyNames\":{" CONF_SCHEMA_WORD "},"
        "\"maxProperties\":%d,\"additionalProperties\":{\"anyOf\":["
        "{\"$ref\":\"#/$defs/pools\"},{\"type\":\"null\"}]}",
        CONF_POOLS_MAX);
}

const struct conf_type conf_type_pools = {.words = "map",
    .may_be_empty = true,
    .read = read_pools,
    .show = show_pools,
    .schema = put_pools};

/* Behind the others, where read_pools left room for it. */
static int add_default_pool(struct conf_reader *r, const struct conf_node *n)
{
    struct config *config = r->config;
    if (find_pool(config, SPAN(DEFAULT_POOL)))
        return 0;
    if (!config->pools)
        config->pools = arena_zalloc(r->arena, sizeof *config->pools);
    if (!config->pools)
        return -ENOMEM;
    struct conf_pool *pool = &config->pools[config->pool_count];
    pool->mark = n->mark;
    pool->name = DEFAULT_POOL;
    int rc = conf_read_section(r, &conf_section_pool, NULL, NULL, pool);
    config->pool_count += rc == 0;
    return rc;
}

/* Whether all pools there may be were read. */
static bool knows_pools(const struct conf_reader *r)
{
    const struct conf_node *given = conf_member(r->root, "pools");
    return !r->config->partial && (!given || given->kind == CONF_NULL || r->config->pools);
}

/* That the pool which the map names is one. */
static void check_pool(
    struct conf_reader *r, const struct conf_node *map, const struct conf_where *where)
{
    const struct config *config = r->config;
    struct conf_where here = {.up = where, .name = SPAN("pool")};
    const char *names[CONF_POOLS_MAX + 2];
    char hint[CONF_WORD_MAX + 32] = "";
    unsigned count = 0;
    const struct conf_node *n = conf_member(map, "pool");
    if (!n || n->kind != CONF_SCALAR || !conf_is_name(n->text, CONF_WORD_MAX) || !knows_pools(r) ||
        span_equal(n->text, SPAN(DEFAULT_POOL)) || find_pool(config, n->text))
        return;
    for (; count < config->pool_count; count++)
        names[count] = config->pools[count].name;
    names[count++] = DEFAULT_POOL;
    const char *near = n->secret ? NULL : conf_nearest(n->text, names, count);
    if (near)
        snprintf(hint, sizeof hint, "; did you mean '%s'?", near);
    conf_tell(r, n, &here, "the name of one of 'pools', or default", hint);
}

/* ---- steps ---- */

static bool is_builtin(struct span name)
{
    for (unsigned i = 0; conf_builtin_steps[i]; i++)
        if (span_equal(name, span_of(conf_builtin_steps[i])))
            return true;
    return false;
}

static int read_step(struct conf_reader *r, struct conf_member *m, const struct conf_where *where,
    struct conf_step *step)
{
    struct conf_where here = {.up = where, .name = m->name};
    struct conf_node *n = m->value;
    unsigned before = conf_errors_count(r->errors);
    step->mark = m->mark;
    step->name = m->name.ptr;
    conf_check_name(r, m, where);
    int rc = conf_read_section(r, &conf_section_step, n, &here, step);
    if (rc)
        return rc;
    if (is_builtin(m->name))
        tell_key(r, m, where,
            "found the name of a built-in step, expected another; nodes run built-in steps without "
            "an entry, or by one of another name whose 'step' is that");
    else if (n->kind == CONF_MAP && !conf_member(n, "plugin") && !conf_member(n, "step"))
        tell_key(r, m, where,
            "found neither 'plugin' nor 'step', expected the file that has it, or the name of a "
            "built-in step");
    check_pool(r, n, &here);
    if (!step->step)
        step->step = step->name;
    step->broken = conf_errors_count(r->errors) > before || conf_was_told(n);
    return 0;
}

static int read_steps(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at)
{
    struct config *config = r->config;
    if (n->kind != CONF_MAP || n->count > CONF_STEPS_MAX) {
        conf_tell(
            r, n, where, "a map of at most 1000 steps such as {tag: {plugin: ./tagger.so}}", "");
        config->partial = true;
        return 0;
    }
    if (n->count == 0)
        return 0;
    config->steps = arena_zalloc(r->arena, n->count * sizeof *config->steps);
    if (!config->steps)
        return -ENOMEM;
    for (unsigned i = 0; i < n->count; i++) {
        int rc = read_step(r, &n->members[i], where, &config->steps[i]);
        if (rc)
            return rc;
        config->step_count++;
    }
    return 0;
}

static struct conf_node *show_steps(
    struct conf_show *s, const struct conf_key *key, const void *at, const struct conf_node *origin)
{
    unsigned count = s->config->step_count;
    if (count == 0)
        return NULL;
    struct conf_node *map = conf_show_map(s, count);
    for (unsigned i = 0; i < count && !s->failed; i++) {
        const struct conf_step *step = &s->config->steps[i];
        conf_show_member(map, step->name,
            conf_show_section(s, &conf_section_step, step, origin->members[i].value));
    }
    return map;
}

static int put_steps(struct bytes *out, const struct conf_key *key)
{
    int rc =
        conf_schema_put(out, "\"type\":[\"object\",\"null\"],\"propertyNames\":{" CONF_SCHEMA_WORD
                             ",\"not\":{\"enum\":[");
    for (size_t i = 0; rc == 0 && conf_builtin_steps[i]; i++)
        rc = bytes_printf(out, "%s\"%s\"", i ? "," : "", conf_builtin_steps[i]);
    return rc ? rc
              : bytes_printf(out,
                    "]}},\"maxProperties\":%d,"
                    "\"additionalProperties\":{\"$ref\":\"#/$defs/steps\"}",
                    CONF_STEPS_MAX);
}

const struct conf_type conf_type_steps = {.words = "map",
    .may_be_empty = true,
    .read = read_steps,
    .show = show_steps,
    .schema = put_steps};

/* ---- Nodes ---- */

int conf_read_work(struct conf_reader *r, const struct conf_node *map,
    const struct conf_where *where, struct conf_work *work)
{
    const struct config *config = r->config;
    check_pool(r, map, where);
    for (unsigned i = 0; i < config->step_count && work->step; i++) {
        if (strcmp(config->steps[i].name, work->step) != 0)
            continue;
        work->retry = config->steps[i].retry;
        if (!work->pool)
            work->pool = config->steps[i].pool;
    }
    if (!work->pool)
        work->pool = DEFAULT_POOL;
    return strcmp(work->pool, DEFAULT_POOL) == 0 ? add_default_pool(r, map) : 0;
}

/* ---- Routes ---- */

/* Worker processes have the steps' code; this one has not. */
void conf_check_dispatch(struct conf_reader *r, const struct conf_node *n,
    const struct conf_where *where, const struct conf_route *route)
{
    const struct conf_node *given = conf_member(n, "dispatch");
    struct conf_where here = {.up = where, .name = SPAN("dispatch")};
    char place[CONF_WHERE_MAX];
    if (!given || route->dispatch != CONF_DISPATCH_INLINE)
        return;
    for (unsigned i = 0; i < route->node_count; i++) {
        const struct conf_flow_node *node = &route->nodes[i];
        const struct conf_pool *pool =
            node->work.pool ? find_pool(r->config, span_of(node->work.pool)) : NULL;
        if (!pool || pool->kind == CONF_POOL_INLINE || pool->kind == CONF_POOL_THREADS)
            continue;
        conf_error(r->errors, &given->mark,
            "%s: found inline, but node '%s' runs in pool '%s' of kind %s, expected auto, fused or "
            "fanout; or a pool of kind inline or threads",
            conf_where_text(&here, place), node->name, pool->name, conf_pool_kinds[pool->kind]);
        return;
    }
}
