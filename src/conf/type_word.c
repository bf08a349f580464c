/*
 * type_word.c: choices, texts, names, paths of files, methods and URLs.
 */
#include "conf/internal.h"
#include "conf/show.h"
#include "conf/type.h"

#include "base/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

static int read_choice(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at)
{
    size_t count = 0;
    size_t len = 0;
    char expected[CONF_EXPECTED_MAX] = "";
    char hint[64] = "";
    for (; key->choices[count]; count++) {
        if (n->kind == CONF_SCALAR && span_equal(n->text, span_of(key->choices[count]))) {
            *(unsigned *)at = (unsigned)count; /* an enum without negative values */
            return 0;
        }
        const char *before = count == 0 ? "" : key->choices[count + 1] ? ", " : " or ";
        int printed =
            snprintf(expected + len, sizeof expected - len, "%s%s", before, key->choices[count]);
        len += printed < 0 ? 0 : (size_t)printed;
    }
    const char *near =
        n->kind == CONF_SCALAR && !n->secret ? conf_nearest(n->text, key->choices, count) : NULL;
    if (near)
        snprintf(hint, sizeof hint, "; did you mean '%s'?", near);
    conf_tell(r, n, where, expected, hint);
    return 0;
}

static bool is_text_for(const struct conf_node *n, const struct conf_key *key)
{
    return conf_is_text(n) && n->text.len >= key->min && n->text.len <= key->max &&
           !conf_has_controls(n->text);
}

static int read_text(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at)
{
    char expected[CONF_EXPECTED_MAX];
    if (is_text_for(n, key)) {
        *(const char **)at = n->text.ptr;
        return 0;
    }
    bool is_other = n->kind == CONF_SCALAR && !conf_is_text(n);
    snprintf(expected, sizeof expected,
        "a text of %" PRIu64 " to %" PRIu64 " bytes without control characters", key->min,
        key->max);
    conf_tell(r, n, where, expected, is_other ? "; put it in quotes" : "");
    return 0;
}

/* One text, or a list of them. */
static int read_texts(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at)
{
    bool list = n->kind == CONF_LIST;
    unsigned count = list ? n->count : 1;
    char expected[CONF_EXPECTED_MAX];
    snprintf(expected, sizeof expected,
        "a text of %" PRIu64 " to %" PRIu64 " bytes without control characters, or a list of them",
        key->min, key->max);
    const char **texts = arena_zalloc(r->arena, (count + 1) * sizeof *texts);
    if (!texts)
        return -ENOMEM;
    if (count == 0)
        conf_tell(r, n, where, expected, "");
    for (unsigned i = 0, good = 0; i < count; i++) {
        struct conf_where element = {.up = where, .index = (int)i};
        const struct conf_node *text = list ? n->elements[i] : n;
        if (is_text_for(text, key))
            texts[good++] = text->text.ptr;
        else
            conf_tell(r, text, list ? &element : where, expected, "");
    }
    *(const char *const **)at = texts;
    return 0;
}

/* ---- Names and paths ---- */

bool conf_is_name(struct span s, size_t max)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && !(i > 0 && ((c >= '0' && c <= '9') || c == '-')))
            return false;
    }
    return s.len > 0 && s.len <= max;
}

static int read_name(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at)
{
    bool is_other =
        n->kind == CONF_SCALAR && !conf_is_text(n) && conf_is_name(n->text, CONF_WORD_MAX);
    if (conf_is_text(n) && conf_is_name(n->text, CONF_WORD_MAX))
        *(const char **)at = n->text.ptr;
    else
        conf_tell(r, n, where, "a name: at most 63 letters, digits, '_' and '-', a letter first",
            is_other ? "; put it in quotes" : "");
    return 0;
}

/* "/srv/weir/tagger.so". The tree has it too, so that it is handed on like that: who is handed a
 * configuration may be elsewhere. It has a slash, without which the linker would search its own
 * folders for it. */
static int complete_path(struct conf_reader *r, struct conf_node *n)
{
    char *folder = NULL;
    char *path = conf_path_beside(r->arena, n->mark.file, n->text);
    if (!path)
        return -ENOMEM;
    if (path[0] != '/' && r->source && r->source->folder) {
        int rc = r->source->folder(r->source->ctx, &folder);
        if (rc == -ENOMEM)
            return rc;
    }
    if (folder)
        path = arena_printf(r->arena, "%s/%s", strcmp(folder, "/") == 0 ? "" : folder, path);
    else if (!strchr(path, '/'))
        path = arena_printf(r->arena, "./%s", path);
    mem_free(folder);
    if (!path)
        return -ENOMEM;
    n->text = span_of(path);
    n->quoted = true;
    return 0;
}

static int read_path(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at)
{
    bool is_other = n->kind == CONF_SCALAR && !conf_is_text(n);
    if (!conf_is_text(n) || n->text.len == 0 || conf_has_controls(n->text)) {
        conf_tell(r, n, where, "the path of a file", is_other ? "; put it in quotes" : "");
        return 0;
    }
    int rc = n->told ? 0 : complete_path(r, n);
    *(const char **)at = n->text.ptr;
    return rc;
}

bool conf_is_method(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!(s.ptr[i] >= 'A' && s.ptr[i] <= 'Z') && !strchr("-_", s.ptr[i]))
            return false;
    return s.len > 0 && s.len <= 32;
}

/* Literal; what comes from outside has no references either. */
static int keep_text(struct conf_node *n, void *at)
{
    conf_take_template(n);
    *(const struct conf_node **)at = n;
    return 0;
}

static int read_method(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at)
{
    if (conf_is_text(n) && conf_is_method(n->text))
        return keep_text(n, at);
    conf_tell(r, n, where, "a method in capitals such as GET", conf_needs_quotes(n));
    return 0;
}

static int read_url(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at)
{
    if (conf_is_text(n) && n->text.len > 0)
        return keep_text(n, at);
    conf_tell(r, n, where, "a URL such as http://127.0.0.1:9001/users", conf_needs_quotes(n));
    return 0;
}

static int read_target(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at)
{
    bool good = conf_is_text(n) && n->text.len > 0 && n->text.ptr[0] == '/';
    for (size_t i = 0; good && i < n->text.len; i++)
        good = n->text.ptr[i] > ' ' && n->text.ptr[i] <= '~' && n->text.ptr[i] != '#';
    if (good)
        *(const char **)at = n->text.ptr;
    else
        conf_tell(r, n, where, "a path such as /readyz", "");
    return 0;
}

/* ---- Showing ---- */

static struct conf_node *show_choice(
    struct conf_show *s, const struct conf_key *key, const void *at, const struct conf_node *origin)
{
    return conf_show_text(s, key->choices[*(const unsigned *)at], false);
}

static struct conf_node *show_texts(
    struct conf_show *s, const struct conf_key *key, const void *at, const struct conf_node *origin)
{
    const char *const *texts = *(const char *const *const *)at;
    unsigned count = 0;
    while (texts[count])
        count++;
    struct conf_node *list = conf_show_list(s, count);
    for (unsigned i = 0; i < count; i++)
        conf_show_element(list, conf_show_text(s, texts[i], true));
    return list;
}

/* ---- The JSON Schema ---- */

static int put_choices(struct bytes *out, const struct conf_key *key)
{
    int rc = conf_schema_put(out, "\"anyOf\":[{\"enum\":[");
    for (size_t i = 0; rc == 0 && key->choices[i]; i++)
        rc = bytes_printf(out, "%s\"%s\"", i ? "," : "", key->choices[i]);
    return rc ? rc : conf_schema_put(out, "]}," CONF_SCHEMA_OUTSIDE "]");
}

static int put_text(struct bytes *out, const struct conf_key *key)
{
    return bytes_printf(out, "\"type\":\"string\",\"minLength\":%" PRIu64 ",\"maxLength\":%" PRIu64,
        key->min, key->max);
}

static int put_texts(struct bytes *out, const struct conf_key *key)
{
    int rc = conf_schema_put(out, "\"anyOf\":[{");
    if (rc == 0)
        rc = put_text(out, key);
    if (rc == 0)
        rc = conf_schema_put(out, "},{\"type\":\"array\",\"minItems\":1,\"items\":{");
    if (rc == 0)
        rc = put_text(out, key);
    return rc ? rc : conf_schema_put(out, "}}]");
}

static int put_name(struct bytes *out, const struct conf_key *key)
{
    return conf_schema_put(
        out, "\"anyOf\":[{\"type\":\"string\"," CONF_SCHEMA_WORD "}," CONF_SCHEMA_OUTSIDE "]");
}

static int put_any_text(struct bytes *out, const struct conf_key *key)
{
    return conf_schema_put(out, "\"type\":\"string\",\"minLength\":1");
}

static int put_target(struct bytes *out, const struct conf_key *key)
{
    return conf_schema_put(out,
        "\"anyOf\":[{\"type\":\"string\",\"pattern\":\"^/[!\\\"$-~]*$\"}," CONF_SCHEMA_OUTSIDE "]");
}

static int put_method(struct bytes *out, const struct conf_key *key)
{
    return conf_schema_put(out,
        "\"anyOf\":[{\"type\":\"string\",\"pattern\":\"^[A-Z_-]{1,32}$\"}," CONF_SCHEMA_OUTSIDE
        "]");
}

/* ---- The types ---- */

const struct conf_type conf_type_choice = {
    .is_setting = true, .read = read_choice, .show = show_choice, .schema = put_choices};
const struct conf_type conf_type_text = {.words = "text",
    .is_setting = true,
    .read = read_text,
    .show = conf_show_string,
    .schema = put_text};
const struct conf_type conf_type_texts = {.words = "text, or list of texts",
    .is_setting = true,
    .read = read_texts,
    .show = show_texts,
    .schema = put_texts};
const struct conf_type conf_type_name = {
    .words = "name", .read = read_name, .show = conf_show_string, .schema = put_name};
const struct conf_type conf_type_path = {
    .words = "path", .read = read_path, .show = conf_show_string, .schema = put_any_text};
const struct conf_type conf_type_method = {
    .words = "method", .read = read_method, .show = conf_show_tree, .schema = put_method};
const struct conf_type conf_type_url = {
    .words = "URL", .read = read_url, .show = conf_show_tree, .schema = put_any_text};
const struct conf_type conf_type_target = {
    .words = "path", .read = read_target, .show = conf_show_string, .schema = put_target};
