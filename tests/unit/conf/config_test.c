/*
 * config_test.c: what a good configuration says, and that it can be printed, handed on and read
 * again.
 */
#include "fixture.h"

#include "base/time.h"

static void an_empty_file_is_all_defaults(void **state)
{
    static const char *const texts[] = {
        "", "# nothing\n", "---\n", "limits:\nroutes:\n", "\xef\xbb\xbf{}"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct conf *c = load_text(texts[i]);
        const struct config *g = conf_config(c);
        assert_int_equal(g->listen_count, 1);
        assert_string_equal(g->listen[0].address, "127.0.0.1:8080");
        assert_int_equal(g->listen[0].backlog, 4096);
        assert_string_equal(g->admin, "127.0.0.1:9900");
        assert_int_equal(g->threads, 0);
        assert_true(g->date);
        assert_string_equal(g->server, "weir");
        assert_true(g->server_timing);
        assert_int_equal(g->errors, CONF_ERRORS_SHORT);
        assert_int_equal(g->limits.line, 8192);
        assert_int_equal(g->limits.head, 32768);
        assert_int_equal(g->limits.fields, 100);
        assert_int_equal(g->limits.body, 1048576);
        assert_true(g->limits.bodies == (uint64_t)256 * 1024 * 1024);
        assert_int_equal(g->limits.requests_per_connection, 0);
        assert_int_equal(g->limits.connections, 65536);
        assert_int_equal(g->timeouts.headers, 10 * NS_PER_S);
        assert_int_equal(g->timeouts.body, 10 * NS_PER_S);
        assert_int_equal(g->timeouts.body_rate, 100);
        assert_int_equal(g->timeouts.idle, 75 * NS_PER_S);
        assert_int_equal(g->timeouts.write, 30 * NS_PER_S);
        assert_int_equal(g->timeouts.request, 60 * NS_PER_S);
        assert_int_equal(g->timeouts.linger, 2 * NS_PER_S);
        assert_int_equal(g->timeouts.drain, 30 * NS_PER_S);
        assert_int_equal(g->log.level, LOG_INFO);
        assert_int_equal(g->log.format, CONF_LOG_AUTO);
        assert_true(g->log.access);
        assert_int_equal(g->client.connections, 64);
        assert_int_equal(g->client.in_use, 1024);
        assert_int_equal(g->client.idle, 30 * NS_PER_S);
        assert_int_equal(g->client.connect, 5 * NS_PER_S);
        assert_int_equal(g->client.first_byte, 30 * NS_PER_S);
        assert_int_equal(g->client.reply_head, 32768);
        assert_int_equal(g->client.reply_body, 16777216);
        assert_int_equal(g->pool_count, 0);
        assert_int_equal(g->step_count, 0);
        assert_int_equal(g->route_count, 0);
        conf_free(c);
    }
}

static const char example[] =
    "listen: [8081, ':8082', '*:80', '[::1]:8083', unix:/run/w.sock, {address: 0.0.0.0:1, backlog: "
    "7}]\n"
    "admin: off\n"
    "threads: 3\n"
    "date: false\n"
    "server: ''\n"
    "limits: {line: 1KiB, body: 10MB, fields: 7}\n"
    "timeouts: {request: 1.5s, drain: 0}\n"
    "log: {level: debug, format: json, access: false}\n"
    "routes:\n"
    "  - route: GET /hello/{name}\n"
    "    nodes:\n"
    "      user: {http: \"http://127.0.0.1:9001/users/$path.name\", deadline: 200ms}\n"
    "      pause: {sleep: 70ms}\n"
    "      even: {sleep: {uniform: [10ms, 20ms], seed: 9}}\n"
    "      exp:\n"
    "        sleep: {exponential: 70ms}\n"
    "        optional: true\n"
    "        default: [null, ~, 'null', 5, '5', true, 'off', 1.50, -0, 1e3, '', 'a: b', "
    "\"\\u2028\\x7f\\uFEFF\\0\"]\n"
    "      many:\n"
    "        http: {url: 'http://b/', method: PUT, headers: {X-A: $header.a}, body: {a: [$body]},\n"
    "               expect: [200, 300-399], times: 1}\n"
    "      posted: {http: {url: 'http://b/', body: x}}\n"
    "      said: {reply: null}\n"
    "    reply: {hello: $path.name, user: $node.user.body, money: '5 $${a}', 'odd: key': "
    "\"two\\nlines\",\n"
    "      empty: {}, none: []}\n"
    "    status: 201\n"
    "    headers: {cache-control: no-store}\n"
    "  - route: /any/{rest...}\n"
    "    name: any\n"
    "    deadline: 5s\n"
    "    body: 0\n"
    "    order: sequential\n"
    "    status: $node.x.status\n"
    "  - {route: '* /x'}\n";

static void everything_is_read(void **state)
{
    struct conf *c = load_text(example);
    const struct config *g = conf_config(c);
    static const char *const addresses[] = {
        "127.0.0.1:8081", "127.0.0.1:8082", "*:80", "[::1]:8083", "unix:/run/w.sock", "0.0.0.0:1"};
    assert_int_equal(g->listen_count, COUNT(addresses));
    for (size_t i = 0; i < COUNT(addresses); i++) {
        assert_string_equal(g->listen[i].address, addresses[i]);
        assert_int_equal(g->listen[i].backlog, i == 5 ? 7 : 4096);
        assert_int_equal(g->listen[i].mark.line, 1);
    }
    assert_null(g->admin);
    assert_int_equal(g->admin_mark.line, 2);
    assert_int_equal(g->admin_mark.column, 8);
    assert_int_equal(g->threads, 3);
    assert_false(g->date);
    assert_string_equal(g->server, "");
    assert_int_equal(g->limits.line, 1024);
    assert_int_equal(g->limits.body, 10000000);
    assert_int_equal(g->limits.fields, 7);
    assert_int_equal(g->timeouts.drain, 0);
    assert_int_equal(g->log.level, LOG_DEBUG);
    assert_int_equal(g->log.format, CONF_LOG_JSON);
    assert_int_equal(g->route_count, 3);

    const struct conf_route *r = &g->routes[0];
    assert_int_equal(r->mark.line, 10);
    assert_int_equal(r->mark.column, 5);
    assert_string_equal(r->mark.file, "weir.yaml");
    assert_int_equal(r->route_mark.column, 12);
    assert_string_equal(r->method, "GET");
    assert_string_equal(r->pattern, "/hello/{name}");
    assert_string_equal(r->name, "GET /hello/{name}");
    assert_int_equal(r->deadline, 1500 * NS_PER_MS);
    assert_int_equal(r->body, 10000000);
    assert_int_equal(r->order, CONF_PARALLEL);
    assert_int_equal(r->node_count, 7);
    static const char *const kinds[] = {"http", "sleep", "sleep", "sleep", "http", "http", "reply"};
    for (size_t i = 0; i < COUNT(kinds); i++)
        assert_string_equal(r->nodes[i].kind->keys[0].name, kinds[i]);
    assert_string_equal(r->nodes[0].name, "user");
    assert_int_equal(r->nodes[0].deadline, 200 * NS_PER_MS);
    assert_true(r->nodes[3].optional);
    assert_int_equal(r->nodes[3].fallback->count, 13);
    assert_shown(c, "\"method\":\"GET\",\"expect\":\"200-299\",\"send_deadline\":false}");
    assert_shown(c, "\"sleep\":\"70ms\"");
    assert_shown(c, "\"sleep\":{\"uniform\":[\"10ms\",\"20ms\"],\"seed\":9}");
    assert_shown(c, "\"sleep\":{\"exponential\":");
    assert_shown(c, "\"method\":\"PUT\"");
    assert_shown(c, "\"expect\":[200,\"300-399\"],\"times\":1,");
    assert_shown(c, "\"method\":\"POST\",\"body\":\"x\"");
    assert_shown(c, "\"reply\":null");
    assert_string_equal(conf_member(r->reply, "money")->text.ptr, "5 ${a}");
    assert_string_equal(r->status->text.ptr, "201");

    assert_string_equal(g->routes[1].method, "*");
    assert_string_equal(g->routes[1].name, "any");
    assert_int_equal(g->routes[1].order, CONF_SEQUENTIAL);
    assert_int_equal(g->routes[1].body, 0);
    assert_null(g->routes[1].reply);
    assert_string_equal(g->routes[2].pattern, "/x");
    assert_string_equal(g->routes[2].name, "/x");
    conf_free(c);
}

static void what_scalars_mean(void **state)
{
    struct conf *c = load_text(example);
    const struct conf_node *n = conf_config(c)->routes[0].nodes[3].fallback;
    static const enum conf_scalar kinds[] = {CONF_IS_NULL, CONF_IS_NULL, CONF_IS_TEXT,
        CONF_IS_INTEGER, CONF_IS_TEXT, CONF_IS_BOOL, CONF_IS_TEXT, CONF_IS_NUMBER, CONF_IS_INTEGER,
        CONF_IS_NUMBER, CONF_IS_TEXT, CONF_IS_TEXT, CONF_IS_TEXT};
    bool b = false;
    int64_t i = 0;
    double d = 0;
    for (size_t k = 0; k < COUNT(kinds); k++)
        assert_int_equal(conf_scalar(n->elements[k], &b, &i, &d), kinds[k]);
    assert_true(b);
    assert_true(d == 1000);
    struct bytes out;
    bytes_init(&out, 4096);
    assert_int_equal(conf_node_write_json(n, &out), 0);
    assert_true(span_equal(
        bytes_span(&out), SPAN("[null,null,\"null\",5,\"5\",true,\"off\",1.50,-0,1e3,\"\",\"a: b\","
                               "\"\\u2028\\u007f\\ufeff\\u0000\"]")));
    bytes_release(&out);
    conf_free(c);
}

static struct conf *parse(struct span text)
{
    struct conf *c = NULL;
    struct bytes told;
    struct conf_errors *errors = conf_errors_new();
    assert_non_null(errors);
    bytes_init(&told, 1024 * 1024);
    int rc = conf_parse(&c, text, &flow_kinds, errors);
    assert_int_equal(conf_errors_write(errors, &told), 0);
    if (rc)
        fail_msg("refused: %.*s", (int)told.len, told.ptr);
    bytes_release(&told);
    conf_errors_free(errors);
    return c;
}

static const char *const good[] = {
    "",
    example,
    "threads: auto\nadmin: 1234\n",
    "listen: ${PORT}\nadmin: ${EMPTY:-off}\nserver: ${TOKEN}\nthreads: ${NUMBER}\nlog: {access: "
    "'${X:-true}'}\n",
    "routes:\n- route: GET /${TOKEN}\n  status: ${X:-204}\n  headers: {a: 'x ${TOKEN} $body.y'}\n"
    "  nodes: {a: {http: {url: 'http://h/?${TOKEN}', expect: '${X:-404}'}}}\n",
    "timeouts: {idle: 1ms, write: 720h, body_rate: 1kB}\nlimits: {head: 16MiB, body: 0}\n",
};

static void it_is_handed_on_whole(void **state)
{
    for (size_t i = 0; i < COUNT(good); i++) {
        struct conf *c = load_text(good[i]);
        struct bytes once, twice, shown, shown_twice;
        bytes_init(&once, 1 << 20);
        bytes_init(&twice, 1 << 20);
        bytes_init(&shown, 1 << 20);
        bytes_init(&shown_twice, 1 << 20);
        assert_int_equal(conf_write(c, &once), 0);
        struct conf *back = parse(bytes_span(&once));
        assert_int_equal(conf_write(back, &twice), 0);
        assert_true(span_equal(bytes_span(&once), bytes_span(&twice)));
        /* The other process hides the same secrets. */
        assert_int_equal(conf_print_json(c, &shown), 0);
        assert_int_equal(conf_print_json(back, &shown_twice), 0);
        assert_true(span_equal(bytes_span(&shown), bytes_span(&shown_twice)));
        assert_int_equal(conf_config(c)->listen_count, conf_config(back)->listen_count);
        assert_string_equal(conf_config(c)->server, conf_config(back)->server);
        conf_free(back);
        conf_free(c);
        bytes_release(&once);
        bytes_release(&twice);
        bytes_release(&shown);
        bytes_release(&shown_twice);
    }
}

static void what_is_printed_can_be_loaded(void **state)
{
    for (size_t i = 0; i < 3; i++) { /* those without secrets */
        struct conf *c = load_text(good[i]);
        struct bytes once, twice, json, json_twice;
        bytes_init(&once, 1 << 20);
        bytes_init(&twice, 1 << 20);
        bytes_init(&json, 1 << 20);
        bytes_init(&json_twice, 1 << 20);
        assert_int_equal(conf_print(c, &once), 0);
        assert_int_equal(conf_print_json(c, &json), 0);
        assert_int_equal(bytes_append_byte(&once, '\0'), 0);
        struct conf *back = load_text(once.ptr);
        once.len--;
        assert_int_equal(conf_print(back, &twice), 0);
        assert_int_equal(conf_print_json(back, &json_twice), 0);
        assert_true(span_equal(bytes_span(&once), bytes_span(&twice)));
        assert_true(span_equal(bytes_span(&json), bytes_span(&json_twice)));
        conf_free(back);
        conf_free(c);
        bytes_release(&once);
        bytes_release(&twice);
        bytes_release(&json);
        bytes_release(&json_twice);
    }
}

static const char printed[] = "listen:\n"
                              "  - address: 127.0.0.1:8080\n"
                              "    backlog: 4096\n"
                              "admin: 127.0.0.1:9900\n"
                              "admin_hosts:\n"
                              "  - localhost\n"
                              "threads: auto\n"
                              "date: true\n"
                              "server: weir\n"
                              "server_timing: true\n"
                              "errors: short\n"
                              "limits:\n"
                              "  line: 8KiB\n"
                              "  head: 32KiB\n"
                              "  fields: 100\n"
                              "  body: 1MiB\n"
                              "  bodies: 256MiB\n"
                              "  requests_per_connection: 0\n"
                              "  connections: 65536\n"
                              "timeouts:\n"
                              "  headers: 10s\n"
                              "  body: 10s\n"
                              "  body_rate: 100\n"
                              "  idle: 75s\n"
                              "  write: 30s\n"
                              "  request: 1m\n"
                              "  linger: 2s\n"
                              "  drain: 30s\n"
                              "log:\n"
                              "  level: info\n"
                              "  format: auto\n"
                              "  access: true\n"
                              "client:\n"
                              "  connections: 64\n"
                              "  in_use: 1024\n"
                              "  idle: 30s\n"
                              "  connect: 5s\n"
                              "  first_byte: 30s\n"
                              "  reply_head: 32KiB\n"
                              "  reply_body: 16MiB\n"
                              "  adaptive: true\n"
                              "  waiting: 1024\n"
                              "  send_deadline: false\n"
                              "routes:\n"
                              "  - route: GET /a/{b}\n"
                              "    name: GET /a/{b}\n"
                              "    deadline: 1m\n"
                              "    body: 1MiB\n"
                              "    order: parallel\n"
                              "    dispatch: auto\n"
                              "    retry: idempotent\n"
                              "    priority: 0\n"
                              "    max_in_flight: 0\n"
                              "    nodes:\n"
                              "      n:\n"
                              "        http:\n"
                              "          url: http://h/\n"
                              "          method: GET\n"
                              "          expect: 200-299\n"
                              "          send_deadline: false\n"
                              "        optional: false\n"
                              "      s:\n"
                              "        sleep: 1s\n"
                              "        optional: false\n"
                              "    reply:\n"
                              "      text: \"5\"\n"
                              "      \"yes\": \"yes\"\n"
                              "      list:\n"
                              "        - a\n"
                              "        - b: c\n"
                              "        - []\n"
                              "    status: 200\n";

static void it_is_printed_for_people(void **state)
{
    struct conf *c = load_text("routes:\n"
                               "- route: GET /a/{b}\n"
                               "  nodes: {n: {http: http://h/}, s: {sleep: 1000ms}}\n"
                               "  reply: {text: '5', yes: 'yes', list: [a, {b: c}, []]}\n");
    struct bytes out;
    bytes_init(&out, 1 << 20);
    assert_int_equal(conf_print(c, &out), 0);
    assert_int_equal(bytes_append_byte(&out, '\0'), 0);
    assert_string_equal(out.ptr, printed);
    bytes_release(&out);
    conf_free(c);
}

/* ---- From outside ---- */

static void the_environment_is_text(void **state)
{
    struct conf *c = load_text(
        "listen: ${PORT}\n"
        "threads: ${NUMBER}\n"
        "limits: {fields: '${X:-12}', body: '${NUMBER}MiB'}\n"
        "log: {access: '${X:-false}', level: '${EMPTY:-warn}'}\n"
        "routes:\n"
        "- route: GET /x\n"
        "  reply: {n: '${NUMBER}', own: '${X:-$body.y}', t: '$body.a ${TOKEN}', m: '$$${a}'}\n");
    const struct config *g = conf_config(c);
    assert_string_equal(g->listen[0].address, "127.0.0.1:7000");
    assert_int_equal(g->threads, 5);
    assert_int_equal(g->limits.fields, 12);
    assert_int_equal(g->limits.body, 5 * 1024 * 1024);
    assert_false(g->log.access);
    assert_int_equal(g->log.level, LOG_WARN);
    const struct conf_node *reply = g->routes[0].reply;
    assert_int_equal(conf_scalar(conf_member(reply, "n"), NULL, NULL, NULL), CONF_IS_TEXT);
    assert_true(conf_member(reply, "n")->secret);
    assert_string_equal(conf_member(reply, "own")->text.ptr, "$body.y");
    assert_false(conf_member(reply, "own")->secret);
    /* A dollar from outside is no reference: in a template it is doubled. */
    assert_string_equal(conf_member(reply, "t")->text.ptr, "$body.a s3cr3t-$$body.x");
    assert_string_equal(conf_member(reply, "m")->text.ptr, "$${a}");
    conf_free(c);
}

static void secrets_are_not_shown(void **state)
{
    struct conf *c =
        load_text("listen: ['${PORT}', {address: '0.0.0.0:${PORT}'}]\n"
                  "server: ${TOKEN}\n"
                  "threads: ${NUMBER}\n"
                  "routes:\n"
                  "- route: GET /${TOKEN}\n"
                  "  nodes: {a: {http: {url: 'http://h/?${TOKEN}', headers: {a: 'B ${TOKEN}'}}}}\n"
                  "  reply: ['${TOKEN}']\n");
    struct bytes out;
    for (int json = 0; json < 2; json++) {
        bytes_init(&out, 1 << 20);
        assert_int_equal(json ? conf_print_json(c, &out) : conf_print(c, &out), 0);
        assert_int_equal(bytes_append_byte(&out, '\0'), 0);
        assert_null(strstr(out.ptr, "s3cr3t"));
        assert_null(strstr(out.ptr, "7000"));
        assert_non_null(strstr(out.ptr, json ? "\"server\":\"***\"" : "server: \"***\""));
        assert_non_null(strstr(out.ptr, json ? "\"threads\":\"***\"" : "threads: \"***\""));
        assert_non_null(
            strstr(out.ptr, json ? "\"route\":\"***\"" : "- route: \"***\"\n    name: \"***\""));
        assert_non_null(strstr(out.ptr, json ? "\"reply\":[\"***\"]" : "- \"***\""));
        bytes_release(&out);
    }
    bytes_init(&out, 1 << 20);
    assert_int_equal(conf_write(c, &out), 0);
    assert_int_equal(bytes_append_byte(&out, '\0'), 0);
    assert_non_null(strstr(out.ptr, "\"server\":{\"${}\":\"s3cr3t-$body.x\"}"));
    bytes_release(&out);
    conf_free(c);
}

static void files_are_secrets_too(void **state)
{
    static const struct file files[] = {
        {"etc/weir.yaml",
            "routes:\n- route: /x\n  reply: ['${file:key}', '${file:../crlf}', '${file:/abs}', "
            "'${file:two}']\n",
            0},
        {"etc/key", "abc\n", 0},
        {"crlf", "abc\r\n", 0},
        {"/abs", "", 0},
        {"etc/two", "a\n\n", 0},
    };
    struct disk disk = {files, COUNT(files), NULL, 0};
    struct bytes told;
    struct conf *c = load_from(&disk, "etc/weir.yaml", &told);
    assert_string_equal(told.ptr, "");
    const struct conf_node *reply = conf_config(c)->routes[0].reply;
    assert_string_equal(reply->elements[0]->text.ptr, "abc");
    assert_string_equal(reply->elements[1]->text.ptr, "abc");
    assert_string_equal(reply->elements[2]->text.ptr, "");
    assert_string_equal(reply->elements[3]->text.ptr, "a\n");
    assert_true(reply->elements[2]->secret);
    conf_free(c);
    bytes_release(&told);
}

/* ---- Includes ---- */

static void files_are_joined(void **state)
{
    static const struct file files[] = {
        {"etc/weir.yaml",
            "include: [more/a.yaml, ./b.yaml]\nlisten: 1\nlimits: {line: 1KiB}\n"
            "routes:\n- route: GET /1\n",
            0},
        {"etc/more/a.yaml",
            "include: ../c.yaml\nlisten: [2, {address: '3'}]\nlimits: {head: 2KiB}\n"
            "routes:\n- route: GET /2\n- route: GET /3\n",
            0},
        {"etc/b.yaml", "# nothing\n", 0},
        {"etc/c.yaml", "threads: 2\nroutes:\n- route: GET /4\nlimits:\n", 0},
    };
    struct disk disk = {files, COUNT(files), NULL, 0};
    struct bytes told;
    struct conf *c = load_from(&disk, "etc/weir.yaml", &told);
    assert_string_equal(told.ptr, "");
    const struct config *g = conf_config(c);
    assert_int_equal(g->listen_count, 3);
    assert_string_equal(g->listen[2].address, "127.0.0.1:3");
    assert_int_equal(g->limits.line, 1024);
    assert_int_equal(g->limits.head, 2048);
    assert_int_equal(g->threads, 2);
    assert_int_equal(g->route_count, 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(g->routes[i].pattern[1], '1' + i);
    assert_string_equal(g->routes[1].mark.file, "etc/more/a.yaml");
    assert_string_equal(g->routes[3].mark.file, "etc/c.yaml");
    conf_free(c);
    bytes_release(&told);
}

/* ---- Memory ---- */

static bool life(void)
{
    static const struct file files[] = {
        {"weir.yaml",
            "include: b.yaml\nserver: ${TOKEN}\nlisten: 80\nroutes:\n- &r\n  route: GET /x/{y}\n"
            "  nodes: {a: {http: http://h/}, b: {sleep: {uniform: [1s, 2s]}}}\n"
            "  reply: [&s '${TOKEN}', *s, '${file:key}']\n",
            0},
        {"b.yaml", "listen: 81\nlimits: {line: 1KiB}\nroutes:\n- route: /y\n", 0},
        {"key", "abc\n", 0},
    };
    static const struct variable variables[] = {{"TOKEN", "a$b"}};
    struct disk disk = {files, COUNT(files), variables, 1};
    struct conf_source source = source_of(&disk);
    struct conf *c = NULL;
    struct conf *back = NULL;
    struct bytes out;
    bytes_init(&out, 1 << 20);
    struct conf_errors *errors = conf_errors_new();
    int rc = errors ? conf_load(&c, "weir.yaml", &source, &flow_kinds, errors) : -ENOMEM;
    if (rc == 0)
        rc = conf_write(c, &out);
    if (rc == 0)
        rc = conf_parse(&back, bytes_span(&out), &flow_kinds, errors);
    bytes_reset(&out);
    if (rc == 0)
        rc = conf_print(c, &out);
    assert_true(rc == 0 || rc == -ENOMEM);
    if (errors)
        assert_int_equal(conf_errors_count(errors), 0);
    bytes_release(&out);
    conf_free(back);
    conf_free(c);
    conf_errors_free(errors);
    return rc == 0;
}

static bool bad_life(void)
{
    struct file file = {"weir.yaml", "lisen: 1\na: *b\n", 0};
    struct disk disk = {&file, 1, NULL, 0};
    struct conf_source source = source_of(&disk);
    struct conf *c = NULL;
    struct bytes out;
    bytes_init(&out, 1 << 20);
    struct conf_errors *errors = conf_errors_new();
    int rc = errors ? conf_load(&c, "weir.yaml", &source, &flow_kinds, errors) : -ENOMEM;
    assert_true(rc == -EINVAL || rc == -ENOMEM);
    int written = errors ? conf_errors_write(errors, &out) : -ENOMEM;
    bytes_release(&out);
    conf_errors_free(errors);
    return rc == -EINVAL && written == 0;
}

static bool pages(void)
{
    struct bytes out;
    bytes_init(&out, 1 << 20);
    int rc = conf_schema_write(&flow_kinds, &out);
    if (rc == 0)
        rc = conf_reference_write(&flow_kinds, &out);
    assert_true(rc == 0 || rc == -ENOMEM);
    bytes_release(&out);
    return rc == 0;
}

static void it_survives_the_loss_of_memory(void **state)
{
    torture(life);
    torture(bad_life);
    torture(pages);
}

/* Bounds of what is written are kept, and then nothing is. */
static void what_does_not_fit_is_not_written(void **state)
{
    struct conf *c = load_text(example);
    for (size_t max = 0; max < 700; max += 7) {
        struct bytes out;
        bytes_init(&out, max);
        assert_int_equal(conf_write(c, &out), -ENOBUFS);
        assert_int_equal(conf_print(c, &out), -ENOBUFS);
        assert_int_equal(conf_print_json(c, &out), -ENOBUFS);
        assert_int_equal(out.len, 0);
        bytes_release(&out);
    }
    conf_free(c);
}

TEST_FILE(config)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_file_is_all_defaults),
        cmocka_unit_test(everything_is_read),
        cmocka_unit_test(what_scalars_mean),
        cmocka_unit_test(it_is_handed_on_whole),
        cmocka_unit_test(what_is_printed_can_be_loaded),
        cmocka_unit_test(it_is_printed_for_people),
        cmocka_unit_test(the_environment_is_text),
        cmocka_unit_test(secrets_are_not_shown),
        cmocka_unit_test(files_are_secrets_too),
        cmocka_unit_test(files_are_joined),
        cmocka_unit_test(it_survives_the_loss_of_memory),
        cmocka_unit_test(what_does_not_fit_is_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
