/*
 * reference.c: the tables as a page: doc/guide/configuration.md is this and nothing else.
 */
#include "conf/internal.h"
#include "conf/schema.h"

static const char opening[] =
    "# Configuration\n"
    "\n"
    "<!-- Written by Weir from the tables in src/conf/schema.c and src/flow/node_*.c;\n"
    "     tests/unit/conf/reference_test compares. To write it anew:\n"
    "     WEIR_WRITE_REFERENCE=1 ./test conf/reference -->\n"
    "\n"
    "A configuration is a YAML file.\n"
    "\n"
    "```yaml\n"
    "listen: 127.0.0.1:8080\n"
    "routes:\n"
    "  - route: GET /hello/{name}\n"
    "    nodes:\n"
    "      user: {http: \"http://127.0.0.1:9001/users/$path.name\"}\n"
    "      pause: {sleep: 70ms}\n"
    "    reply: {hello: $path.name, user: $node.user.body}\n"
    "```\n"
    "\n"
    "`weir check FILE` says all that is wrong with one; `weir check --print FILE` prints it with\n"
    "every default.\n"
    "\n"
    "**Durations** have a unit: `ns`, `us`, `ms`, `s`, `m` or `h`, and may have decimals: "
    "`250ms`,\n"
    "`1.5s`. **Sizes** are bytes, or have one of `B`, `kB`, `KiB`, `MB`, `MiB`, `GB`, `GiB`: "
    "`512`,\n"
    "`64KiB`. **Booleans** are `true` and `false`.\n"
    "\n"
    "**From outside**: in any value, `${NAME}` is a variable of the environment,\n"
    "`${NAME:-default}` has a default in case that it is not set or empty, and\n"
    "`${file:/run/secrets/x}` is a file's text without the line break at its end. What comes from\n"
    "there is text, is never read as YAML and never shown. `$${` is a `${` of your own.\n"
    "\n"
    "**Templates** are any YAML value in which `$body`, `$path.x`, `$query.x`, `$header.x` and\n"
    "`$node.x` are replaced.\n"
    "\n"
    "**YAML** here is what JSON has, and comments, anchors and aliases: text needs no quotes "
    "unless\n"
    "it would be a number, `true`, `false` or `null`. Within `{ }` and `[ ]` a text that has "
    "braces,\n"
    "as `${NAME}` and `GET /hello/{name}` do, needs quotes too. Keys that stand twice, merge keys\n"
    "(`<<`), tags of one's own and several documents in a file are refused.\n";

static int write_choices(struct bytes *out, const struct conf_key *key)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && key->choices[i]; i++)
        rc = bytes_printf(out, "%s`%s`", i ? ", " : "", key->choices[i]);
    return rc;
}

static int write_type(struct bytes *out, const struct conf_key *key)
{
    const char *words = key->unit ? key->unit : key->type->words;
    int rc = key->choices ? write_choices(out, key) : bytes_append_span(out, span_of(words));
    return rc || !key->type->bounds ? rc : key->type->bounds(out, key);
}

static int write_default(struct bytes *out, const struct conf_key *key)
{
    if (key->required)
        return bytes_append_span(out, SPAN("required"));
    if (key->default_)
        return bytes_printf(out, "`%s`", key->default_);
    return bytes_append_span(out, span_of(key->default_words ? key->default_words : ""));
}

/* " Only where `kind` is `processes` or `fork`." */
static int write_kinds(struct bytes *out, const struct conf_key *key)
{
    unsigned left = (unsigned)__builtin_popcount(key->pools);
    int rc = left ? bytes_append_span(out, SPAN(" Only where `kind` is ")) : 0;
    for (unsigned i = 0; rc == 0 && left; i++) {
        if (!(key->pools >> i & 1))
            continue;
        left--;
        rc = bytes_printf(out, "`%s`%s", conf_pool_kinds[i],
            left == 0   ? "."
            : left == 1 ? " or "
                        : ", ");
    }
    return rc;
}

static int write_key(struct bytes *out, const struct conf_key *key)
{
    int rc = bytes_printf(out, "| `%s` | ", key->name);
    if (rc == 0)
        rc = write_type(out, key);
    if (rc == 0)
        rc = bytes_append_span(out, SPAN(" | "));
    if (rc == 0)
        rc = write_default(out, key);
    if (rc == 0)
        rc = bytes_printf(out, " | %s", key->description);
    if (rc == 0)
        rc = write_kinds(out, key);
    if (rc == 0 && key->example)
        rc = bytes_printf(out, " Example: `%s: %s`", key->name, key->example);
    return rc ? rc : bytes_append_span(out, SPAN(" |\n"));
}

static int write_keys(struct bytes *out, const struct conf_section *section)
{
    int rc = bytes_append_span(
        out, SPAN("\n\n| key | type | default | meaning |\n| --- | --- | --- | --- |\n"));
    for (unsigned i = 0; rc == 0 && i < section->count; i++)
        rc = write_key(out, &section->keys[i]);
    return rc;
}

static int write_section(struct bytes *out, const struct conf_section *section)
{
    int rc = bytes_printf(out, "\n## %s\n\n%s", section->title, section->description);
    if (rc == 0 && section->short_form)
        rc = bytes_printf(out, " Short: %s.", section->short_form);
    return rc ? rc : write_keys(out, section);
}

static int write_nodes(struct bytes *out, const struct conf_flow_kinds *kinds)
{
    struct conf_key keys[CONF_KEYS_MAX];
    struct conf_section all = conf_flow_section(kinds, keys);
    char names[CONF_FLOW_KINDS_TEXT_MAX];
    int rc = bytes_printf(out, "\n## %s\n\n%s %s.", all.title, all.description,
        conf_flow_kinds_text(kinds, "`", names));
    if (rc == 0)
        rc = write_keys(out, &all);
    for (unsigned i = 0; rc == 0 && i < kinds->count; i++) {
        const struct conf_section *const *s = kinds->list[i]->sections;
        for (; rc == 0 && s && *s; s++)
            rc = write_section(out, *s);
    }
    return rc;
}

int conf_reference_write(const struct conf_flow_kinds *kinds, struct bytes *out)
{
    size_t before = out->len;
    int rc = bytes_append_span(out, span_of(opening));
    for (unsigned i = 0; rc == 0 && conf_sections[i]; i++)
        rc = write_section(out, conf_sections[i]);
    if (rc == 0)
        rc = write_nodes(out, kinds);
    if (rc)
        out->len = before;
    return rc;
}
