/*
 * json_schema.c: the table as a JSON Schema, for editors: they complete keys, show what each means
 * and underline what is wrong while it is written.
 *
 * It says what a schema can say; bounds of amounts with units, and references, are checked by Weir
 * alone.
 */
#include "conf/internal.h"
#include "conf/schema.h"

#include "data/json.h"

#include <errno.h>
#include <inttypes.h>

/* Any value may be left to the environment. */
#define OUTSIDE "{\"$ref\":\"#/$defs/outside\"}"
#define TIMES   "{\"$ref\":\"#/$defs/duration\"}"
#define WORD    "\"pattern\":\"^[A-Za-z_][A-Za-z0-9_-]{0,62}$\""

static const char definitions[] =
    "\"outside\":{\"type\":\"string\",\"pattern\":\"\\\\$\\\\{[^}]+\\\\}\"},"
    "\"duration\":{\"type\":\"string\","
    "\"pattern\":\"^[0-9]+(\\\\.[0-9]+)?(ns|us|ms|s|m|h)$\"},"
    "\"address\":{\"anyOf\":[{\"type\":\"integer\",\"minimum\":0,\"maximum\":65535},"
    "{\"type\":\"string\",\"pattern\":\"^(:?[0-9]{1,5}|([*0-9.]+|[0-9.-]*[A-Za-z][0-9A-Za-z.-]*|"
    "\\\\[[^]]+\\\\]):[0-9]{1,5}|unix:."
    "+)$\"}," OUTSIDE "]},"
    "\"fields\":{\"type\":[\"object\",\"null\"],"
    "\"propertyNames\":{\"pattern\":\"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$\"}},"
    "\"status\":{\"anyOf\":[{\"type\":\"integer\",\"minimum\":100,\"maximum\":599},"
    "{\"type\":\"string\",\"pattern\":\"^[1-5][0-9][0-9]-[1-5][0-9][0-9]$\"}," OUTSIDE "]}";

static int put(struct bytes *out, const char *text)
{
    return bytes_append_span(out, span_of(text));
}

static int put_integer(struct bytes *out, const struct conf_key *key, const char *also)
{
    return bytes_printf(out,
        "\"anyOf\":[{\"type\":\"integer\",\"minimum\":%" PRIu64 ",\"maximum\":%" PRIu64
        "}%s," OUTSIDE "]",
        key->min, key->max, also);
}

static int put_choices(struct bytes *out, const struct conf_key *key)
{
    int rc = put(out, "\"anyOf\":[{\"enum\":[");
    for (size_t i = 0; rc == 0 && key->choices[i]; i++)
        rc = bytes_printf(out, "%s\"%s\"", i ? "," : "", key->choices[i]);
    return rc ? rc : put(out, "]}," OUTSIDE "]");
}

static int put_scalar_type(struct bytes *out, const struct conf_key *key)
{
    switch (key->type) {
    case CONF_DURATION:
        return put(out, key->min ? "\"anyOf\":[" TIMES "," OUTSIDE "]"
                                 : "\"anyOf\":[" TIMES ",{\"enum\":[0,\"0\"]}," OUTSIDE "]");
    case CONF_SIZE:
        return put_integer(out, key,
            ",{\"type\":\"string\",\"pattern\":\"^[0-9]+(\\\\.[0-9]+)?(B|kB|KiB|MB|MiB|GB|GiB)?$"
            "\"}");
    case CONF_COUNT:
    case CONF_SEED:
        return put_integer(out, key, "");
    case CONF_THREADS:
        return bytes_printf(out,
            "\"anyOf\":[{\"const\":\"auto\"},{\"type\":\"integer\",\"minimum\":1,"
            "\"maximum\":%" PRIu64 "}," OUTSIDE "]",
            key->max);
    case CONF_BOOL:
        return put(out, "\"anyOf\":[{\"type\":\"boolean\"}," OUTSIDE "]");
    case CONF_CHOICE:
    case CONF_ORDER:
        return put_choices(out, key);
    case CONF_TEXT:
        return bytes_printf(out,
            "\"type\":\"string\",\"minLength\":%" PRIu64 ",\"maxLength\":%" PRIu64, key->min,
            key->max);
    case CONF_ADDRESS:
        return put(out, "\"$ref\":\"#/$defs/address\"");
    case CONF_ADMIN:
        return put(out, "\"anyOf\":[{\"const\":\"off\"},{\"$ref\":\"#/$defs/address\"}]");
    case CONF_PATTERN:
        return put(out, "\"anyOf\":[{\"type\":\"string\",\"maxLength\":1024,\"pattern\":\"^(([A-Z_-"
                        "]+|\\\\*) +)?/\"}," OUTSIDE "]");
    case CONF_URL:
    case CONF_PATH:
        return put(out, "\"type\":\"string\",\"minLength\":1");
    case CONF_NAME:
        return put(out, "\"anyOf\":[{\"type\":\"string\"," WORD "}," OUTSIDE "]");
    case CONF_METHOD:
        return put(
            out, "\"anyOf\":[{\"type\":\"string\",\"pattern\":\"^[A-Z_-]{1,32}$\"}," OUTSIDE "]");
    case CONF_STATUS:
        return put(out, "\"anyOf\":[{\"type\":\"integer\",\"minimum\":200,\"maximum\":599},"
                        "{\"type\":\"string\",\"pattern\":\"\\\\$\"}]");
    case CONF_PRIORITY:
        return bytes_printf(out,
            "\"anyOf\":[{\"type\":\"integer\",\"minimum\":-%" PRIu64 ",\"maximum\":%" PRIu64
            "},{\"type\":\"string\",\"pattern\":\"\\\\$\"}]",
            key->max, key->max);
    default: /* a template or a literal: anything */
        return 0;
    }
}

static int put_steps(struct bytes *out)
{
    int rc =
        put(out, "\"type\":[\"object\",\"null\"],\"propertyNames\":{" WORD ",\"not\":{\"enum\":[");
    for (size_t i = 0; rc == 0 && conf_builtin_steps[i]; i++)
        rc = bytes_printf(out, "%s\"%s\"", i ? "," : "", conf_builtin_steps[i]);
    return rc ? rc
              : bytes_printf(out,
                    "]}},\"maxProperties\":%d,\"additionalProperties\":{\"$ref\":\"#/$defs/"
                    "steps\"}",
                    CONF_STEPS_MAX);
}

/* What the value must be, as members of an object that is open. */
static int put_type(struct bytes *out, const struct conf_key *key)
{
    switch (key->type) {
    case CONF_FIELDS:
        return put(out, "\"$ref\":\"#/$defs/fields\"");
    case CONF_STATUSES:
        return put(out,
            "\"anyOf\":[{\"$ref\":\"#/$defs/status\"},{\"type\":\"array\",\"minItems\":1,"
            "\"items\":{\"$ref\":\"#/$defs/status\"}}]");
    case CONF_SECTION:
        return bytes_printf(
            out, "\"anyOf\":[{\"$ref\":\"#/$defs/%s\"},{\"type\":\"null\"}]", key->section->name);
    case CONF_LISTENERS:
        return put(out, "\"anyOf\":[{\"$ref\":\"#/$defs/address\"},{\"$ref\":\"#/$defs/listen\"},"
                        "{\"type\":\"array\",\"minItems\":1,\"maxItems\":256,\"items\":{\"anyOf\":["
                        "{\"$ref\":\"#/$defs/address\"},{\"$ref\":\"#/$defs/listen\"}]}}]");
    case CONF_ROUTES:
        return put(out, "\"type\":[\"array\",\"null\"],\"items\":{\"$ref\":\"#/$defs/routes\"}");
    case CONF_NODES:
        return put(out, "\"type\":[\"object\",\"null\"],"
                        "\"propertyNames\":{\"pattern\":\"^[A-Za-z_][A-Za-z0-9_-]{0,63}$\"},"
                        "\"additionalProperties\":{\"$ref\":\"#/$defs/nodes\"}");
    case CONF_POOLS:
        return bytes_printf(out,
            "\"type\":[\"object\",\"null\"],\"propertyNames\":{" WORD "},\"maxProperties\":%d,"
            "\"additionalProperties\":{\"anyOf\":[{\"$ref\":\"#/$defs/"
            "pools\"},{\"type\":\"null\"}]}",
            CONF_POOLS_MAX);
    case CONF_STEPS:
        return put_steps(out);
    case CONF_SLEEP:
        return put(out, "\"anyOf\":[" TIMES ",{\"enum\":[0,\"0\"]}," OUTSIDE
                        ",{\"$ref\":\"#/$defs/uniform\"},{\"$ref\":\"#/$defs/exponential\"}]");
    case CONF_HTTP:
        return put(
            out, "\"anyOf\":[{\"type\":\"string\",\"minLength\":1},{\"$ref\":\"#/$defs/http\"}]");
    case CONF_RANGE:
        return put(out,
            "\"type\":\"array\",\"minItems\":2,\"maxItems\":2,\"items\":{\"anyOf\":[" TIMES
            ",{\"enum\":[0,\"0\"]}," OUTSIDE "]}");
    case CONF_INCLUDE:
        return put(out, "\"anyOf\":[{\"type\":\"string\",\"minLength\":1},{\"type\":\"array\","
                        "\"items\":{\"type\":\"string\",\"minLength\":1}}]");
    default:
        return put_scalar_type(out, key);
    }
}

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
    size_t before;
    int rc = bytes_printf(out, "\"%s\":{\"description\":", key->name);
    if (rc == 0)
        rc = json_write_string(out, span_of(key->description));
    if (rc == 0 && key->default_)
        rc = put(out, ",\"default\":");
    if (rc == 0 && key->default_)
        rc = put_yaml(out, key->default_);
    if (rc == 0 && key->example)
        rc = put(out, ",\"examples\":[");
    if (rc == 0 && key->example)
        rc = put_yaml(out, key->example);
    if (rc == 0 && key->example)
        rc = put(out, "]");
    if (rc)
        return rc;
    rc = put(out, ",");
    before = out->len;
    if (rc == 0)
        rc = put_type(out, key);
    if (rc == 0 && out->len == before)
        out->len--; /* a template: nothing to say, so no comma */
    return rc ? rc : put(out, "}");
}

/* Keys that are not for every kind of pool: "size":{"properties":{"kind":{"not":{"enum":[...]}}}}.
 * Where the kind that a pool has unless it says so is not among them, it must say so. */
static int put_kinds(struct bytes *out)
{
    int rc = put(out, ",\"dependentSchemas\":{");
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
            rc = put(out, "]}}}}");
    }
    return rc ? rc : put(out, "}");
}

/* What only this section asks for. */
static int put_more(struct bytes *out, const struct conf_section *section)
{
    if (section == &conf_section_pool)
        return put_kinds(out);
    if (section == &conf_section_step)
        return put(out, ",\"anyOf\":[{\"required\":[\"plugin\"]},{\"required\":[\"step\"]}]");
    if (section != &conf_section_node)
        return 0;
    return put(out,
        ",\"oneOf\":[{\"required\":[\"sleep\"]},{\"required\":[\"http\"]},{\"required\":["
        "\"reply\"]},{\"required\":[\"step\"]}],"
        "\"dependentSchemas\":{\"default\":{\"required\":[\"optional\"],"
        "\"properties\":{\"optional\":{\"not\":{\"const\":false}}}},"
        "\"input\":{\"required\":[\"step\"]},\"pool\":{\"required\":[\"step\"]}}");
}

static int put_section(struct bytes *out, const struct conf_section *section)
{
    int rc = put(out, "\"additionalProperties\":false,\"properties\":{");
    for (unsigned i = 0; rc == 0 && i < section->count; i++) {
        if (i > 0)
            rc = put(out, ",");
        if (rc == 0)
            rc = put_key(out, &section->keys[i]);
    }
    if (rc == 0)
        rc = put(out, "}");
    for (unsigned i = 0; rc == 0 && i < section->count; i++)
        if (section->keys[i].required)
            rc = bytes_printf(out, ",\"required\":[\"%s\"]", section->keys[i].name);
    return rc ? rc : put_more(out, section);
}

/* The distributions are both forms of `sleep`, and go by their first key. */
static const char *definition_name(const struct conf_section *section)
{
    bool sleep = section == &conf_section_uniform || section == &conf_section_exponential;
    return sleep ? section->keys[0].name : section->name;
}

int conf_schema_write(struct bytes *out)
{
    size_t before = out->len;
    int rc = put(out, "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\","
                      "\"title\":\"A configuration of Weir\",\"type\":[\"object\",\"null\"],");
    if (rc == 0)
        rc = put_section(out, &conf_section_root);
    if (rc == 0)
        rc = put(out, ",\"$defs\":{");
    if (rc == 0)
        rc = put(out, definitions);
    for (unsigned i = 1; rc == 0 && conf_sections[i]; i++) {
        rc = bytes_printf(out, ",\"%s\":{\"type\":\"object\",", definition_name(conf_sections[i]));
        if (rc == 0)
            rc = put_section(out, conf_sections[i]);
        if (rc == 0)
            rc = put(out, "}");
    }
    if (rc == 0)
        rc = put(out, "}}\n");
    if (rc)
        out->len = before;
    return rc;
}
