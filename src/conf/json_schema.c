/*
 * json_schema.c: the tables as a JSON Schema, for editors: they complete keys, show what each means
 * and underline what is wrong while it is written.
 *
 * It says what a schema can say; bounds of amounts with units, and references, are checked by Weir
 * alone.
 */
#include "conf/internal.h"
#include "conf/schema.h"
#include "conf/type.h"

#include "data/json.h"

#include <errno.h>

static const char definitions[] =
    "\"outside\":{\"type\":\"string\",\"pattern\":\"\\\\$\\\\{[^}]+\\\\}\"},"
    "\"duration\":{\"type\":\"string\","
    "\"pattern\":\"^[0-9]+(\\\\.[0-9]+)?(ns|us|ms|s|m|h)$\"},"
    "\"address\":{\"anyOf\":[{\"type\":\"integer\",\"minimum\":0,\"maximum\":65535},"
    "{\"type\":\"string\",\"pattern\":\"^(:?[0-9]{1,5}|([*0-9.]+|[0-9.-]*[A-Za-z][0-9A-Za-z.-]*|"
    "\\\\[[^]]+\\\\]):[0-9]{1,5}|unix:."
    "+)$\"}," CONF_SCHEMA_OUTSIDE "]},"
    "\"fields\":{\"type\":[\"object\",\"null\"],"
    "\"propertyNames\":{\"pattern\":\"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$\"}},"
    "\"status\":{\"anyOf\":[{\"type\":\"integer\",\"minimum\":100,\"maximum\":599},"
    "{\"type\":\"string\",\"pattern\":\"^[1-5][0-9][0-9]-[1-5][0-9][0-9]$\"}," CONF_SCHEMA_OUTSIDE
    "]}";

/* A default or example, which the table has as YAML. */
static int put_yaml(struct bytes *out, const char *text)
{
    struct arena arena;
    struct conf_node *n = NULL;
    struct conf_errors *errors = conf_errors_new();
    if (!errors)
        return -ENOMEM;
    arena_init(&arena, 64 * 1024);
    struct conf_reading reading = {.arena = &arena,
        .errors = errors,
        .bounds = {.file = 1024, .text = 1024, .nodes = 100, .depth = 10}};
    int rc = conf_yaml_read(&reading, "schema.c", span_of(text), &n);
    if (rc == 0)
        rc = conf_node_write_json(n, out);
    arena_release(&arena);
    conf_errors_free(errors);
    return rc;
}

static int put_key(struct bytes *out, const struct conf_key *key)
{
    int rc = bytes_printf(out, "\"%s\":{\"description\":", key->name);
    if (rc == 0)
        rc = json_write_string(out, span_of(key->description));
    if (rc == 0 && key->default_)
        rc = conf_schema_put(out, ",\"default\":");
    if (rc == 0 && key->default_)
        rc = put_yaml(out, key->default_);
    if (rc == 0 && key->example)
        rc = conf_schema_put(out, ",\"examples\":[");
    if (rc == 0 && key->example)
        rc = put_yaml(out, key->example);
    if (rc == 0 && key->example)
        rc = conf_schema_put(out, "]");
    if (rc)
        return rc;
    if (key->type->schema) {
        rc = conf_schema_put(out, ",");
        if (rc == 0)
            rc = key->type->schema(out, key);
    }
    return rc ? rc : conf_schema_put(out, "}");
}

/* Keys that are not for every kind of pool: "size":{"properties":{"kind":{"not":{"enum":[...]}}}}.
 * Where the kind that a pool has unless it says so is not among them, it must say so. */
static int put_kinds(struct bytes *out)
{
    int rc = conf_schema_put(out, ",\"dependentSchemas\":{");
    bool first = true;
    for (unsigned i = 0; rc == 0 && i < conf_section_pool.count; i++) {
        const struct conf_key *key = &conf_section_pool.keys[i];
        const char *comma = "";
        if (!key->pools)
            continue;
        bool usual = key->pools >> CONF_POOL_THREADS & 1;
        rc = bytes_printf(out, "%s\"%s\":{%s\"properties\":{\"kind\":{\"not\":{\"enum\":[",
            first ? "" : ",", key->name, usual ? "" : "\"required\":[\"kind\"],");
        first = false;
        for (unsigned k = 0; rc == 0 && conf_pool_kinds[k]; k++)
            if (!(key->pools >> k & 1)) {
                rc = bytes_printf(out, "%s\"%s\"", comma, conf_pool_kinds[k]);
                comma = ",";
            }
        if (rc == 0)
            rc = conf_schema_put(out, "]}}}}");
    }
    return rc ? rc : conf_schema_put(out, "}");
}

/* What only this section asks for. */
static int put_more(struct bytes *out, const struct conf_section *section)
{
    if (section == &conf_section_pool)
        return put_kinds(out);
    if (section->schema)
        return bytes_printf(out, ",%s", section->schema);
    return 0;
}

static int put_required(struct bytes *out, const struct conf_section *section)
{
    bool first = true;
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < section->count; i++) {
        if (!section->keys[i].required)
            continue;
        rc = bytes_printf(out, "%s\"%s\"", first ? ",\"required\":[" : ",", section->keys[i].name);
        first = false;
    }
    return rc || first ? rc : conf_schema_put(out, "]");
}

static int put_section(struct bytes *out, const struct conf_section *section)
{
    int rc = conf_schema_put(out, "\"additionalProperties\":false,\"properties\":{");
    for (unsigned i = 0; rc == 0 && i < section->count; i++) {
        if (i > 0)
            rc = conf_schema_put(out, ",");
        if (rc == 0)
            rc = put_key(out, &section->keys[i]);
    }
    if (rc == 0)
        rc = conf_schema_put(out, "}");
    if (rc == 0)
        rc = put_required(out, section);
    return rc ? rc : put_more(out, section);
}

static int put_definition(struct bytes *out, const struct conf_section *section)
{
    int rc = bytes_printf(out, ",\"%s\":{\"type\":\"object\",", section->name);
    if (rc == 0)
        rc = put_section(out, section);
    return rc ? rc : conf_schema_put(out, "}");
}

/* A node is of exactly one kind, and keys beside a kind's name need it. */
static int put_node(struct bytes *out, const struct conf_flow_kinds *kinds)
{
    struct conf_key keys[CONF_KEYS_MAX];
    struct conf_section all = conf_flow_section(kinds, keys);
    int rc = bytes_printf(out, ",\"%s\":{\"type\":\"object\",", all.name);
    if (rc == 0)
        rc = put_section(out, &all);
    if (rc == 0)
        rc = conf_schema_put(out, ",\"oneOf\":[");
    for (unsigned i = 0; rc == 0 && i < kinds->count; i++)
        rc = bytes_printf(
            out, "%s{\"required\":[\"%s\"]}", i ? "," : "", kinds->list[i]->keys[0].name);
    if (rc == 0)
        rc =
            conf_schema_put(out, "],\"dependentSchemas\":{\"default\":{\"required\":[\"optional\"],"
                                 "\"properties\":{\"optional\":{\"not\":{\"const\":false}}}}");
    for (unsigned i = 0; rc == 0 && i < kinds->count; i++)
        for (unsigned k = 1; rc == 0 && k < kinds->list[i]->key_count; k++)
            rc = bytes_printf(out, ",\"%s\":{\"required\":[\"%s\"]}", kinds->list[i]->keys[k].name,
                kinds->list[i]->keys[0].name);
    return rc ? rc : conf_schema_put(out, "}}");
}

static int put_definitions(struct bytes *out, const struct conf_flow_kinds *kinds)
{
    int rc = conf_schema_put(out, definitions);
    for (unsigned i = 1; rc == 0 && conf_sections[i]; i++)
        rc = put_definition(out, conf_sections[i]);
    if (rc == 0)
        rc = put_node(out, kinds);
    for (unsigned i = 0; rc == 0 && i < kinds->count; i++) {
        const struct conf_section *const *s = kinds->list[i]->sections;
        for (; rc == 0 && s && *s; s++)
            rc = put_definition(out, *s);
    }
    return rc;
}

int conf_schema_write(const struct conf_flow_kinds *kinds, struct bytes *out)
{
    size_t before = out->len;
    int rc = conf_schema_put(out,
        "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\","
        "\"title\":\"A configuration of Weir\",\"type\":[\"object\",\"null\"],");
    if (rc == 0)
        rc = put_section(out, &conf_section_root);
    if (rc == 0)
        rc = conf_schema_put(out, ",\"$defs\":{");
    if (rc == 0)
        rc = put_definitions(out, kinds);
    if (rc == 0)
        rc = conf_schema_put(out, "}}\n");
    if (rc)
        out->len = before;
    return rc;
}
