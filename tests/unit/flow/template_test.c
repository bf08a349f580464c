/*
 * Templates as users write them, and what they become.
 */
#include "fixture.h"

#include "flow/template.h"

/* ---- What there is to refer to ---- */

static struct http_field request_fields[] = {
    {SPAN("X-Team"), SPAN("red")},
    {SPAN("Quoted"), SPAN("say \"hi\"")},
    {SPAN("Accept"), SPAN("a")},
    {SPAN("Cookie"), SPAN("c=1")},
    {SPAN("accept"), SPAN("b")},
    {SPAN("cookie"), SPAN("d=2")},
};
static const struct http1_head request_head = {
    .method_name = SPAN("POST"),
    .path = SPAN("/a%20b"),
    .query = SPAN("n=1&s=a%20b+c&empty=&n=2&ctl=a%0d%0aX:+y&ut=%ff&up=..&dot=.&half=2e"
                  "&in=x/../y&back=..%5Cx&twice=%252e%252E%252Fx&param=..;x&none=%2500"
                  "&tag=%3Ci%20onload=%27x%27%3E%26"),
    .fields = request_fields,
    .field_count = 6,
};
static struct http_field answer_fields[] = {
    {SPAN("Content-Type"), SPAN("application/json")},
    {SPAN("X-Two"), SPAN("a")},
    {SPAN("x-two"), SPAN("b")},
    {SPAN("Set-Cookie"), SPAN("a=1; Expires=Wed, 21 Oct 2026")},
    {SPAN("set-cookie"), SPAN("b=2")},
};
static const struct http1_head answer_head = {
    .status = 200, .fields = answer_fields, .field_count = 5};
static const struct flow_param params[] = {
    {SPAN("id"), SPAN("x/y \"z\"")},
    {SPAN("rest"), SPAN("1/2 3//")},
};
static const struct span cut[] = {{"a/b", 3}, {"", 0}, {"c", 1}};
static const struct flow_param slashed[] = {
    {SPAN("id"), SPAN("x")},
    {SPAN("rest"), SPAN("a/b//c"), cut, 3},
};
static const struct flow_param climbing[] = {
    {SPAN("id"), SPAN("x")},
    {SPAN("rest"), SPAN("a/../b")},
};

static const char request_body[] = "{\"user\":{\"name\":\"Ann\",\"age\":41,\"big\":"
                                   "12345678901234567890,\"f\":1.5},\"items\":[{\"id\":7},"
                                   "null,[1,2]],\"t\":true,\"a.b\":1,\"quote\":\"a\\\"b\\n\"}";

static const char yaml[] = "routes:\n"
                           "  - route: POST /x/{id}/{rest...}\n"
                           "    nodes:\n"
                           "      pause: {sleep: 1ms}\n"
                           "      user: {http: 'http://a/'}\n"
                           "      text: {http: 'http://a/'}\n"
                           "      many: {http: {url: 'http://a/', times: 2}}\n"
                           "      made: {reply: 1}\n"
                           "    reply: %s\n";

struct scene {
    struct arena arena;
    struct configured c;
    struct template_site site;
    struct value nodes[5];
    struct answer answers[5];
    struct flow_data data;
};

static struct json *parsed(const char *text)
{
    struct json *doc;
    assert_int_equal(json_parse(&doc, span_of(text), JSON_TEXT_MAX, NULL), 0);
    return doc;
}

static void set_nodes(struct scene *s)
{
    static const char body[] = "{ \"name\": \"Bob\", \"tags\": [\"x\", \"y\"] }";
    struct answer json = {
        .head = &answer_head, .body = span_of(body), .is_json = true, .doc = parsed(body)};
    struct answer text = {.head = &answer_head, .body = SPAN("plain \"text\"")};
    s->answers[0] = json;
    s->answers[1] = text;
    s->answers[2] = text;
    s->answers[3] = text;
    s->nodes[1] = (struct value){.kind = VALUE_ANSWER, .count = 1, .answers = &s->answers[0]};
    s->nodes[2] = (struct value){.kind = VALUE_ANSWER, .count = 1, .answers = &s->answers[1]};
    s->nodes[3] = (struct value){.kind = VALUE_ANSWERS, .count = 2, .answers = &s->answers[2]};
    s->nodes[4] = (struct value){.kind = VALUE_RAW, .text = SPAN("\"ma\\u0064e\"")};
}

static const struct conf_node *set_scene(struct scene *s, const char *template_yaml)
{
    static const char *const param_names[] = {"id", "rest"};
    static const char *const node_names[] = {"pause", "user", "text", "many", "made"};
    char text[4096];
    snprintf(text, sizeof text, yaml, template_yaml);
    *s = (struct scene){.c = configure(text)};
    const struct conf_route *route = route_at(&s->c, 0);
    arena_init(&s->arena, 1 << 20);
    s->site = (struct template_site){.arena = &s->arena,
        .errors = s->c.errors,
        .scope = {.params = param_names,
            .param_count = 2,
            .has_rest = true,
            .nodes = route->nodes,
            .node_names = node_names,
            .node_count = 5}};
    set_nodes(s);
    s->data = (struct flow_data){.head = &request_head,
        .params = params,
        .param_count = 2,
        .id = SPAN("id-1"),
        .client = SPAN("192.0.2.7"),
        .body = {.kind = VALUE_RAW, .text = span_of(request_body), .doc = parsed(request_body)},
        .nodes = s->nodes,
        .arena = &s->arena};
    return route->reply;
}

static void end_scene(struct scene *s)
{
    value_release(&s->data.body);
    for (unsigned i = 0; i < 5; i++)
        value_release(&s->nodes[i]);
    arena_release(&s->arena);
    unconfigure(&s->c);
}

/* ---- The table ---- */

struct row {
    enum template_form form;
    const char *yaml;
    const char *expected; /* NULL: refused, with `type` */
    const char *type;
    const char *sentence; /* how it begins; NULL: not looked at */
};

static const struct row table[] = {
    /* Literals keep their types. */
    {TEMPLATE_JSON, "{a: 1, b: 1.50, c: true, d: null, e: text, f: '1', g: [], h: {}}",
        "{\"a\":1,\"b\":1.50,\"c\":true,\"d\":null,\"e\":\"text\",\"f\":\"1\",\"g\":[],\"h\":{}}"},
    {TEMPLATE_JSON, "'a \"b\" \\ c'", "\"a \\\"b\\\" \\\\ c\""},
    {TEMPLATE_JSON, "'$$5 and $$path.id'", "\"$5 and $path.id\""},
    {TEMPLATE_JSON, "$$", "\"$\""},
    /* One reference alone keeps its type. */
    {TEMPLATE_JSON, "$body.user.age", "41"},
    {TEMPLATE_JSON, "$body.user.big", "12345678901234567890"},
    {TEMPLATE_JSON, "$body.user.f", "1.5"},
    {TEMPLATE_JSON, "'$body.t'", "true"},
    {TEMPLATE_JSON, "$body.user.name", "\"Ann\""},
    {TEMPLATE_JSON, "$body.quote", "\"a\\\"b\\n\""},
    {TEMPLATE_JSON, "'$body.items[0]'", "{\"id\":7}"},
    {TEMPLATE_JSON, "'$body.items[2][1]'", "2"},
    {TEMPLATE_JSON, "'$body[\"a.b\"]'", "1"},
    {TEMPLATE_JSON, "$(body.user.age)", "41"},
    {TEMPLATE_JSON, "$path.id", "\"x/y \\\"z\\\"\""},
    {TEMPLATE_JSON, "$query.n", "\"1\""},
    {TEMPLATE_JSON, "$query.s", "\"a b c\""},
    {TEMPLATE_JSON, "$query.empty", "\"\""},
    {TEMPLATE_JSON, "$query.ut", "\"\xef\xbf\xbd\""},
    {TEMPLATE_JSON, "$header.x-team", "\"red\""},
    {TEMPLATE_JSON, "$header.X-TEAM", "\"red\""},
    {TEMPLATE_JSON, "$request.id", "\"id-1\""},
    {TEMPLATE_JSON, "$request.method", "\"POST\""},
    {TEMPLATE_JSON, "$request.path", "\"/a%20b\""},
    {TEMPLATE_JSON, "$request.client", "\"192.0.2.7\""},
    /* What is not there is null. */
    {TEMPLATE_JSON, "{a: $body.nobody, b: $query.no, c: $header.no}",
        "{\"a\":null,\"b\":null,\"c\":null}"},
    {TEMPLATE_JSON, "['$body.items[9]', $body.items.x, '$body.user[0]', $body.user.name.first]",
        "[null,null,null,null]"},
    {TEMPLATE_JSON, "$node.pause", "null"},
    {TEMPLATE_JSON, "$node.made.x", "null"},
    /* Within text they are text. */
    {TEMPLATE_JSON, "hello $body.user.name, you are $body.user.age.", "\"hello Ann, you are 41.\""},
    {TEMPLATE_JSON, "$body.user.name-$body.user.age", "\"Ann-41\""},
    {TEMPLATE_JSON, "$(body.user.name)s", "\"Anns\""},
    {TEMPLATE_JSON, "<$body.nobody>", "\"<>\""},
    {TEMPLATE_JSON, "<$body.quote>", "\"<a\\\"b\\n>\""},
    {TEMPLATE_JSON, "'<$body.items>'", "\"<[{\\\"id\\\":7},null,[1,2]]>\""},
    {TEMPLATE_JSON, "'<$node.made>'", "\"<made>\""},
    {TEMPLATE_JSON, "'$body.t $body.user.f'", "\"true 1.5\""},
    {TEMPLATE_JSON, "'a$(path.rest)b$(path.rest)'", "\"a1/2 3//b1/2 3//\""},
    /* Nodes. */
    {TEMPLATE_JSON, "$node.user.status", "200"},
    {TEMPLATE_JSON, "$node.user.body", "{ \"name\": \"Bob\", \"tags\": [\"x\", \"y\"] }"},
    {TEMPLATE_JSON, "'$node.user.body.tags[1]'", "\"y\""},
    {TEMPLATE_JSON, "$node.user.headers.content-type", "\"application/json\""},
    {TEMPLATE_JSON, "$node.user.headers",
        "{\"content-type\":\"application/json\",\"x-two\":\"a, b\",\"set-cookie\":[\"a=1; "
        "Expires=Wed, "
        "21 Oct 2026\",\"b=2\"]}"},
    /* Fields of one name are one, but for cookies. */
    {TEMPLATE_JSON, "[$node.user.headers.x-two, $header.accept, $header.cookie]",
        "[\"a, b\",\"a, b\",\"c=1; d=2\"]"},
    {TEMPLATE_JSON, "$node.user.headers.Set-Cookie", "[\"a=1; Expires=Wed, 21 Oct 2026\",\"b=2\"]"},
    {TEMPLATE_JSON, "['$node.user.headers.set-cookie[1]', '$node.user.headers.set-cookie[2]']",
        "[\"b=2\",null]"},
    {TEMPLATE_TEXT, "'$node.user.headers.set-cookie[1]'", "b=2"},
    {TEMPLATE_JSON, "$node.text.body", "\"plain \\\"text\\\"\""},
    {TEMPLATE_JSON, "'$node.many[1].status'", "200"},
    {TEMPLATE_JSON, "['$node.many[0].body']", "[\"plain \\\"text\\\"\"]"},
    {TEMPLATE_JSON, "$node.made", "\"ma\\u0064e\""},
    {TEMPLATE_JSON, "{n: $node.text}",
        "{\"n\":{\"status\":200,\"headers\":{\"content-type\":\"application/json\",\"x-two\":\"a, "
        "b\",\"set-cookie\":[\"a=1; Expires=Wed, 21 Oct 2026\",\"b=2\"]},"
        "\"body\":\"plain \\\"text\\\"\"}}"},
    /* Keys are no templates. */
    {TEMPLATE_JSON, "{$path.id: 1}", "{\"$path.id\":1}"},
    /* Text. */
    {TEMPLATE_TEXT, "'$body.quote|$body.user.age|$body.nobody|$node.made'", "a\"b\n|41||made"},
    {TEMPLATE_TEXT, "'$body.items'", "[{\"id\":7},null,[1,2]]"},
    {TEMPLATE_TEXT, "12", "12"},
    /* HTML. */
    {TEMPLATE_HTML, "'<p title=\"$path.id\">$body.quote & $body.user.age</p>'",
        "<p title=\"x/y &quot;z&quot;\">a&quot;b\n & 41</p>"},
    {TEMPLATE_HTML, "'<b>$query.tag$body.nobody'", "<b>&lt;i onload=&#39;x&#39;&gt;&amp;"},
    {TEMPLATE_HTML, "'$node.text.body'", "plain &quot;text&quot;"},
    /* URLs. */
    {TEMPLATE_URL, "'/u/$path.id?q=$query.s&e=$header.quoted'",
        "/u/x%2Fy%20%22z%22?q=a%20b%20c&e=say%20%22hi%22"},
    {TEMPLATE_URL, "'/$query.ctl'", "/a%0D%0AX%3A%20y"},
    /* A path that climbs for anyone who resolves it is refused, and the reference named. */
    {TEMPLATE_URL, "'/a/$query.up'", NULL, "invalid-target", "$query.up would"},
    {TEMPLATE_URL, "'/$path.id/$query.up/b?x=$query.n'", NULL, "invalid-target", "$query.up would"},
    {TEMPLATE_URL, "'/a/$query.dot/b'", NULL, "invalid-target", "$query.dot would"},
    {TEMPLATE_URL, "'/a/.$query.dot'", NULL, "invalid-target", "$query.dot would"},
    {TEMPLATE_URL, "'/a/$(query.dot).'", NULL, "invalid-target", "$(query.dot) would"},
    {TEMPLATE_URL, "'/a/$(query.dot)$query.dot'", NULL, "invalid-target", "$(query.dot) would"},
    {TEMPLATE_URL, "'/a/%$(query.half)'", NULL, "invalid-target", "$(query.half) would"},
    {TEMPLATE_URL, "'/a/$query.in'", NULL, "invalid-target", "$query.in would"},
    {TEMPLATE_URL, "'/a/$query.back'", NULL, "invalid-target", "$query.back would"},
    {TEMPLATE_URL, "'/a/$query.twice'", NULL, "invalid-target", "$query.twice would"},
    {TEMPLATE_URL, "'/a/$query.param'", NULL, "invalid-target", "$query.param would"},
    {TEMPLATE_URL, "'/a/..$query.none'", NULL, "invalid-target", "$query.none would"},
    {TEMPLATE_URL, "'/a/..$query.n'", "/a/..1"},
    {TEMPLATE_URL, "'/a/$(query.n)..'", "/a/1.."},
    {TEMPLATE_URL, "'/a?b=$query.up/$query.in'", "/a?b=../x%2F..%2Fy"},
    /* The rest of a path is its segments; in a query it is a value as any. */
    {TEMPLATE_URL, "'/f/$path.rest'", "/f/1/2%203//"},
    {TEMPLATE_URL, "'/f/x$(path.rest)y?a=$path.rest'", "/f/x1/2%203//y?a=1%2F2%203%2F%2F"},
    /* The whole query. */
    {TEMPLATE_URL, "'/f?$query'",
        "/f?n=1&s=a%20b%20c&empty=&n=2&ctl=a%0D%0AX%3A%20y&ut=%FF&up=..&dot=.&half=2e"
        "&in=x%2F..%2Fy&back=..%5Cx&twice=%252e%252E%252Fx&param=..%3Bx&none=%2500"
        "&tag=%3Ci%20onload%3D%27x%27%3E%26"},
    /* A path needs its values, a query does not. */
    {TEMPLATE_URL, "'/users/$query.no'", NULL, "invalid-target", "$query.no is missing or empty"},
    {TEMPLATE_URL, "'/users/$query.empty/x'", NULL, "invalid-target", "$query.empty is missing"},
    {TEMPLATE_URL, "'/users/x$body.nobody'", NULL, "invalid-target", "$body.nobody is missing"},
    {TEMPLATE_URL, "'/x?a=$query.no&b=$query.empty&c=$body.nobody'", "/x?a=&b=&c="},
    /* Header fields. */
    {TEMPLATE_FIELD, "'Bearer $header.x-team'", "Bearer red"},
    {TEMPLATE_FIELD, "$query.ctl", NULL, "invalid-header"},
    {TEMPLATE_FIELD, "'a $body.quote'", NULL, "invalid-header"},
};

static void check_row(const struct row *row)
{
    struct scene s;
    struct template t;
    struct bytes out;
    struct error e;
    const struct conf_node *node = set_scene(&s, row->yaml);
    assert_int_equal(template_compile(&t, node, row->form, &s.site), 0);
    bytes_init(&out, 1 << 20);
    int rc = template_render(&t, &s.data, &out, &e);
    if (row->expected) {
        assert_int_equal(rc, 0);
        if (!span_equal(bytes_span(&out), span_of(row->expected)))
            fail_msg(
                "%s became %.*s, not %s", row->yaml, SPAN_ARG(bytes_span(&out)), row->expected);
    } else {
        assert_int_equal(rc, -EINVAL);
        assert_string_equal(e.type, row->type);
        if (row->sentence && strncmp(e.sentence, row->sentence, strlen(row->sentence)) != 0)
            fail_msg("%s: %s", row->yaml, e.sentence);
    }
    bytes_release(&out);
    end_scene(&s);
}

static void test_table(void **state)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        check_row(&table[i]);
}

static void test_a_template_without_references_is_one_piece(void **state)
{
    struct scene s;
    struct template t;
    const struct conf_node *node = set_scene(&s, "{a: [1, {b: two}], c: '$$'}");
    assert_int_equal(template_compile(&t, node, TEMPLATE_JSON, &s.site), 0);
    assert_true(template_is_literal(&t));
    assert_null(t.first->next);
    assert_true(span_equal(t.first->literal, SPAN("{\"a\":[1,{\"b\":\"two\"}],\"c\":\"$\"}")));
    end_scene(&s);
}

static void test_a_query_that_cannot_be_decoded_is_said_so(void **state)
{
    struct scene s;
    struct template t;
    struct bytes out;
    struct error e;
    struct http1_head head = request_head;
    const struct conf_node *node = set_scene(&s, "$query.n");
    head.query = SPAN("x=%zz&n=1");
    s.data.head = &head;
    bytes_init(&out, 1 << 20);
    assert_int_equal(template_compile(&t, node, TEMPLATE_JSON, &s.site), 0);
    assert_int_equal(
        template_render(&t, &s.data, &out, &e), 0); /* of another's value nobody asks */
    bytes_reset(&out);
    head.query = SPAN("n=%zz");
    assert_int_equal(template_render(&t, &s.data, &out, &e), -EINVAL);
    assert_string_equal(e.type, "invalid-query");
    bytes_release(&out);
    end_scene(&s);
}

static void assert_url(
    const char *written, const struct flow_param *route, const char *query, const char *expected)
{
    struct scene s;
    struct template t;
    struct bytes out;
    struct error e;
    struct http1_head head = request_head;
    const struct conf_node *node = set_scene(&s, written);
    head.query = span_of(query);
    s.data.head = &head;
    s.data.params = route;
    bytes_init(&out, 1 << 20);
    assert_int_equal(template_compile(&t, node, TEMPLATE_URL, &s.site), 0);
    int rc = template_render(&t, &s.data, &out, &e);
    assert_int_equal(rc, expected ? 0 : -EINVAL);
    if (expected && !span_equal(bytes_span(&out), span_of(expected)))
        fail_msg("%s became %.*s, not %s", written, SPAN_ARG(bytes_span(&out)), expected);
    bytes_release(&out);
    end_scene(&s);
}

static void test_a_slash_that_was_encoded_stays_so(void **state)
{
    assert_url("'/f/$path.rest'", slashed, "", "/f/a%2Fb//c");
}

static void test_the_rest_of_a_path_cannot_climb(void **state)
{
    assert_url("'/f/$path.rest'", climbing, "", NULL);
}

static void test_a_query_is_handed_on_whole(void **state)
{
    static const char template[] = "'/f?$query'";
    assert_url(template, params, "", "/f");
    assert_url(template, params, "a&b=&a=1&&=&c==%3d", "/f?a&b=&a=1&=&c=%3D%3D");
    assert_url(template, params, "a=1#x&b=/?@", "/f?a=1%23x&b=%2F%3F%40");
    assert_url(template, params, "a=%zz", NULL);
    assert_url("'/f?key=x&$query'", params, "", "/f?key=x");
    assert_url("'/f?$query&key=x'", params, "", "/f?&key=x");
    assert_url("'/f?$query&key=x'", params, "a=1", "/f?a=1&key=x");
}

static void test_what_would_be_too_long_is_refused(void **state)
{
    struct scene s;
    struct template t;
    struct bytes out;
    struct error e;
    const struct conf_node *node = set_scene(&s, "{a: $node.user, b: '<$node.user>'}");
    assert_int_equal(template_compile(&t, node, TEMPLATE_JSON, &s.site), 0);
    for (size_t max = 1; max < 300; max++) {
        bytes_init(&out, max);
        int rc = template_render(&t, &s.data, &out, &e);
        if (rc) {
            assert_int_equal(rc, -ENOBUFS);
            assert_string_equal(e.type, "too-large");
        }
        bytes_release(&out);
    }
    end_scene(&s);
}

/* ---- Without memory ---- */

static struct scene tortured;
static const struct conf_node *tortured_node;

static bool render_once(void)
{
    struct template t;
    struct bytes out;
    struct error e;
    bytes_init(&out, 1 << 20);
    struct arena arena;
    arena_init(&arena, 1 << 20);
    tortured.site.arena = &arena;
    tortured.data.arena = &arena;
    int rc = template_compile(&t, tortured_node, TEMPLATE_JSON, &tortured.site);
    if (rc == 0)
        rc = template_render(&t, &tortured.data, &out, &e);
    assert_true(rc == 0 || rc == -ENOMEM);
    arena_release(&arena);
    bytes_release(&out);
    return rc == 0;
}

static void test_memory_may_run_out_anywhere(void **state)
{
    tortured_node = set_scene(
        &tortured, "{a: $node.user, b: '<$node.made $body.items $query.s>', c: $body.user}");
    torture(render_once);
    end_scene(&tortured);
}

TEST_FILE(template)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_a_template_without_references_is_one_piece),
        cmocka_unit_test(test_a_query_that_cannot_be_decoded_is_said_so),
        cmocka_unit_test(test_a_slash_that_was_encoded_stays_so),
        cmocka_unit_test(test_the_rest_of_a_path_cannot_climb),
        cmocka_unit_test(test_a_query_is_handed_on_whole),
        cmocka_unit_test(test_what_would_be_too_long_is_refused),
        cmocka_unit_test(test_memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
