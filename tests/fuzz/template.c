/*
 * template.c: any text as a template (up to the first newline), and anything as the data (the
 * rest): what comes out as JSON can be read as JSON, HTML gets no tags but the template's, a header
 * field no control bytes, and a URL no more parts than the template has, and no segment "." or
 * "..", however often it is decoded.
 */
#include "flow/template.h"
#include "base/bug.h"
#include "base/mem.h"
#include "flow/flow.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { JSON_NODE, TEXT_NODE, MANY_NODE, SLEEP_NODE, MADE_NODE, NODES };

static const char *const node_names[NODES] = {"json", "text", "many", "sleep", "made"};
static const char *const param_names[] = {"id", "rest"};
static const char example[] = "routes: [{route: /, nodes: {json: {http: 'http://a/'}, text: {http: "
                              "'http://a/'}, many: {http: {url: 'http://a/', times: 2}}, sleep: "
                              "{sleep: 1s}, made: {reply: 1}}}]";

/* As long as the process: the nodes that templates can refer to. */
static const struct conf_flow_node *conf_nodes(void)
{
    static struct conf *conf;
    if (!conf) {
        struct conf_errors *errors = conf_errors_new();
        check(errors && conf_parse(&conf, span_of(example), &flow_kinds, errors) == 0, "no nodes");
        conf_errors_free(errors);
        check(conf_config(conf)->routes[0].node_count == NODES, "other nodes");
    }
    return conf_config(conf)->routes[0].nodes;
}

struct scene {
    struct arena arena;
    struct conf_errors *errors;
    struct http_field field;
    struct http1_head head;
    struct flow_param params[2];
    struct answer answers[2];
    struct value nodes[NODES];
    struct json *doc;
    struct flow_data data;
};

/* What is no JSON comes as text: as a parameter, a query, a field, the body of a reply. */
static void set(struct scene *s, struct span data)
{
    *s = (struct scene){.field = {.name = SPAN("X-Any"), .value = data}};
    arena_init(&s->arena, 64 << 20);
    s->head = (struct http1_head){.status = 200,
        .method_name = SPAN("GET"),
        .path = SPAN("/"),
        .query = data,
        .fields = &s->field,
        .field_count = 1};
    s->params[0] = (struct flow_param){.name = SPAN("id"), .value = data};
    s->params[1] = (struct flow_param){.name = SPAN("rest"), .value = data};
    bool json = json_parse(&s->doc, data, JSON_TEXT_MAX, NULL) == 0;
    s->answers[0] = (struct answer){
        .head = &s->head, .body = data, .is_json = json, .doc = json ? s->doc : NULL};
    s->answers[1] = (struct answer){.head = &s->head, .body = data};
    s->nodes[JSON_NODE] = (struct value){.kind = VALUE_ANSWER, .count = 1, .answers = s->answers};
    s->nodes[TEXT_NODE] =
        (struct value){.kind = VALUE_ANSWER, .count = 1, .answers = s->answers + 1};
    s->nodes[MANY_NODE] = (struct value){.kind = VALUE_ANSWERS, .count = 2, .answers = s->answers};
    if (json)
        s->nodes[MADE_NODE] = (struct value){.kind = VALUE_RAW, .text = data};
    s->data = (struct flow_data){.head = &s->head,
        .params = s->params,
        .param_count = 2,
        .id = SPAN("id"),
        .nodes = s->nodes,
        .arena = &s->arena};
    if (json)
        s->data.body = (struct value){.kind = VALUE_RAW, .text = data, .doc = s->doc};
    s->errors = conf_errors_new();
    check(s->errors, "no memory");
}

static void clear(struct scene *s)
{
    json_free(s->doc);
    conf_errors_free(s->errors);
    arena_release(&s->arena);
}

static void check_json(struct span out)
{
    struct json *doc;
    int rc = json_parse(&doc, out, out.len + 1, NULL);
    check(rc == 0 || rc == -EMSGSIZE, "a template became what is no JSON: %.*s", SPAN_ARG(out));
    if (rc == 0)
        json_free(doc);
}

static bool literals_fit(const struct template *t, bool (*fits)(struct span s))
{
    for (const struct template_piece *p = t->first; p; p = p->next)
        if (!fits(p->literal))
            return false;
    return true;
}

static bool is_visible(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] <= ' ' || s.ptr[i] > '~')
            return false;
    return true;
}

static size_t count_of(struct span s, const char *these)
{
    size_t count = 0;
    for (size_t i = 0; i < s.len; i++)
        count += memchr(these, s.ptr[i], strlen(these)) != NULL;
    return count;
}

static size_t count_in_literals(const struct template *t, const char *these)
{
    size_t count = 0;
    for (const struct template_piece *p = t->first; p; p = p->next)
        count += count_of(p->literal, these);
    return count;
}

static int digit(char c)
{
    const char *all = "0123456789abcdef";
    const char *at = c ? strchr(all, c >= 'A' && c <= 'F' ? c + 32 : c) : NULL;
    return at ? (int)(at - all) : -1;
}

/* One decoding more, of what can be decoded; whether that was anything. */
static bool decode_again(char *text, size_t *len)
{
    size_t to = 0;
    for (size_t i = 0; i < *len; i++) {
        bool encoded =
            text[i] == '%' && *len - i > 2 && digit(text[i + 1]) >= 0 && digit(text[i + 2]) >= 0;
        text[to++] = encoded ? (char)(digit(text[i + 1]) * 16 + digit(text[i + 2])) : text[i];
        i += encoded ? 2 : 0;
    }
    bool changed = to < *len;
    *len = to;
    return changed;
}

static bool has_dot_segment(const char *text, size_t len)
{
    size_t from = 0;
    for (size_t i = 0; i <= len; i++) {
        if (i < len && text[i] != '/' && text[i] != '\\')
            continue;
        if ((i - from == 1 || i - from == 2) && memcmp(text + from, "..", i - from) == 0)
            return true;
        from = i + 1;
    }
    return false;
}

/* As slow as it is simple: decoded once, and once more, and looked at each time. */
static void check_path(struct span out)
{
    const char *query = out.len ? memchr(out.ptr, '?', out.len) : NULL;
    size_t len = query ? (size_t)(query - out.ptr) : out.len;
    char *text = mem_alloc(len + 1);
    check(text, "no memory");
    if (len > 0)
        memcpy(text, out.ptr, len);
    do
        check(!has_dot_segment(text, len), "a URL's path climbs: %.*s", SPAN_ARG(out));
    while (decode_again(text, &len));
    mem_free(text);
}

static void check_url(const struct template *t, struct span out)
{
    static const char separators[] = "?#:@;";
    bool whole_query = false; /* has parameters of its own, and may take a '?' along */
    bool rest = false;        /* has segments of its own */
    for (const struct template_piece *p = t->first; p && p->reference; p = p->next) {
        whole_query |= p->reference->root == REFERENCE_QUERY && !p->reference->name;
        rest |= p->reference->rest;
    }
    size_t count = count_of(out, separators);
    size_t expected = count_in_literals(t, separators);
    check(count == expected || (whole_query && count + 1 == expected),
        "a URL has parts that its template has not: %.*s", SPAN_ARG(out));
    check(whole_query || count_of(out, "&=") == count_in_literals(t, "&="),
        "a URL has parameters that its template has not: %.*s", SPAN_ARG(out));
    check(rest || count_of(out, "/") == count_in_literals(t, "/"),
        "a URL has segments that its template has not: %.*s", SPAN_ARG(out));
    check(!literals_fit(t, is_visible) || is_visible(out), "a URL has bytes that are not visible");
    if (!template_is_literal(t))
        check_path(out);
}

static void check_form(struct scene *s, struct span text, enum template_form form)
{
    struct template t;
    struct bytes out;
    struct error e;
    const struct conf_node node = {
        .kind = CONF_SCALAR, .mark = {.file = "f"}, .text = text, .quoted = true};
    const struct template_site site = {.arena = &s->arena,
        .errors = s->errors,
        .scope = {.params = param_names,
            .param_count = 2,
            .has_rest = true,
            .nodes = conf_nodes(),
            .node_names = node_names,
            .node_count = NODES}};
    unsigned before = conf_errors_count(s->errors);
    int rc = template_compile(&t, &node, form, &site);
    check((rc == -EINVAL) == (conf_errors_count(s->errors) > before), "a mistake is not told");
    if (rc)
        return;
    bytes_init(&out, 64 << 20);
    rc = template_render(&t, &s->data, &out, &e);
    check(rc == 0 || e.sentence[0], "a failure without a sentence");
    if (rc == 0 && form == TEMPLATE_JSON)
        check_json(bytes_span(&out));
    if (rc == 0 && form == TEMPLATE_FIELD && literals_fit(&t, http_value_valid))
        check(http_value_valid(bytes_span(&out)), "a header field has a control byte");
    if (rc == 0 && form == TEMPLATE_HTML)
        check(count_of(bytes_span(&out), "<>\"'") == count_in_literals(&t, "<>\"'"),
            "a value becomes markup");
    if (rc == 0 && form == TEMPLATE_URL)
        check_url(&t, bytes_span(&out));
    bytes_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *line = (const char *)data;
    const char *end = size ? memchr(line, '\n', size) : NULL;
    size_t len = end ? (size_t)(end - line) : size;
    char *template = mem_zalloc(len + 1);
    check(template, "no memory");
    if (len > 0)
        memcpy(template, line, len);
    struct scene s;
    set(&s, end ? (struct span){.ptr = end + 1, .len = size - len - 1} : SPAN("{\"a\":[1,\"b\"]}"));
    for (int form = TEMPLATE_JSON; form <= TEMPLATE_FIELD; form++)
        check_form(&s, (struct span){.ptr = template, .len = len}, (enum template_form)form);
    clear(&s);
    mem_free(template);
    return 0;
}
