/*
 * What requests are answered with, and when: a whole weir, its upstream and a client, simulated.
 */
#include "world.h"

struct row {
    const char *route; /* YAML, after "  - route: POST /t/{id}" */
    const char *target;
    const char *type; /* of the body */
    const char *body;
    int status;
    const char *reply;   /* the body, or a part of it after "..."; NULL: not looked at */
    const char *problem; /* its type */
    int64_t ms;          /* how long it takes, but for some for the way; 0: not looked at */
};

#define JSON "application/json"

static const struct row table[] = {
    /* Static ones. */
    {"reply: {hello: world}", "/t/1", NULL, NULL, 200, "{\"hello\":\"world\"}"},
    {"{reply: plain, headers: {content-type: text/plain}, status: 201}", "/t/1", NULL, NULL, 201,
        "plain"},
    {"{reply: [1], headers: {content-type: text/plain}}", "/t/1", NULL, NULL, 200, "[1]"},
    {"status: 200", "/t/1", NULL, NULL, 200, ""},
    {"status: 204", "/t/1", NULL, NULL, 204, ""},
    /* Of the request. */
    {"reply: {id: $path.id, q: $query.q}", "/t/a%20b?q=1%2B1", NULL, NULL, 200,
        "{\"id\":\"a b\",\"q\":\"1+1\"}"},
    {"reply: $path.id", "/t/a%20b", NULL, NULL, 200, "\"a b\""},
    {"{reply: $path.id, headers: {content-type: text/plain}}", "/t/a%20b", NULL, NULL, 200, "a b"},
    {"{reply: 'hi $path.id', headers: {content-type: '$query.t'}}", "/t/a?t=text/plain", NULL, NULL,
        200, "hi a"},
    {"{reply: 'hi $path.id', headers: {content-type: '$query.t'}}", "/t/a?t=application/x%2Bjson",
        NULL, NULL, 200, "\"hi a\""},
    {"{reply: 'hi $path.id', headers: {content-type: '$query.t'}}", "/t/a", NULL, NULL, 200,
        "\"hi a\""},
    /* What a stranger sends is no markup. */
    {"{reply: '<p>$query.q</p>', headers: {content-type: text/html}}", "/t/a?q=%3Cscript%3E%26",
        NULL, NULL, 200, "<p>&lt;script&gt;&amp;</p>"},
    {"{reply: $query.q, headers: {content-type: text/html}}", "/t/a?q=%3Cscript%3E", NULL, NULL,
        200, "&lt;script&gt;"},
    {"{reply: [$query.q], headers: {content-type: text/html; charset=utf-8}}",
        "/t/a?q=%3Cscript%20a='%22'%3E%26", NULL, NULL, 200,
        "[\"\\u003cscript a=\\u0027\\\"\\u0027\\u003e\\u0026\"]"},
    {"{reply: $body.a, headers: {content-type: image/svg+xml}}", "/t/a", JSON, "{\"a\":{\"<\":1}}",
        200, "{\"\\u003c\":1}"},
    {"{reply: '<p>$query.q</p>', headers: {content-type: $query.t}}", "/t/a?q=%3C&t=TEXT/HTML%20;x",
        NULL, NULL, 200, "<p>&lt;</p>"},
    {"{reply: '<p>$query.q</p>', headers: {content-type: $query.t}}", "/t/a?q=%3C&t=x", NULL, NULL,
        200, "<p>&lt;</p>"},
    {"{reply: '<p>$query.q</p>', headers: {content-type: text/plain}}", "/t/a?q=%3C", NULL, NULL,
        200, "<p><</p>"},
    {"nodes: {n: {reply: $query.q}}\n    reply: $node.n\n    headers: {content-type: text/html}",
        "/t/a?q=%3C", NULL, NULL, 200, "&lt;"},
    {"nodes: {n: {http: 'http://there:9003/', optional: true, default: {body: $query.q}}}\n"
     "    reply: $node.n.body\n    headers: {content-type: text/html}",
        "/t/a?q=%3C", NULL, NULL, 200, "&lt;"},
    {"nodes: {n: {http: 'http://there:9001/text'}}\n"
     "    reply: $node.n.body\n    headers: {content-type: text/html}",
        "/t/a", NULL, NULL, 200, "plain \"text\""},
    {"nodes: {n: {http: 'http://there:9001/text'}}\n"
     "    reply: '<p>$node.n.body</p>'\n    headers: {content-type: text/html}",
        "/t/a", NULL, NULL, 200, "<p>plain &quot;text&quot;</p>"},
    {"nodes: {n: {http: {url: 'http://there:9001/echo', headers: {content-type: text/xml}, body: "
     "'<a>$query.q</a>'}}}\n    reply: $node.n.body.body",
        "/t/a?q=%3C", NULL, NULL, 200, "\"<a>&lt;</a>\""},
    {"{reply: 1, headers: {x: 'a $query.q'}}", "/t/a?q=%0d%0aSet-Cookie:1", NULL, NULL, 400, NULL,
        "invalid-header"},
    {"reply: $query.q", "/t/a?q=%zz", NULL, NULL, 400, NULL, "invalid-query"},
    {"{reply: 1, status: $query.s}", "/t/a?s=418", NULL, NULL, 418, "1"},
    {"{reply: 1, status: $query.s}", "/t/a?s=99", NULL, NULL, 400, NULL, "invalid-status"},
    {"{reply: 1, status: $query.s}", "/t/a", NULL, NULL, 400, NULL, "invalid-status"},
    {"reply: $body", "/t/1", JSON, "{ \"a\" : 1 }", 200, "{ \"a\" : 1 }"},
    {"reply: {b: $body.a}", "/t/1", JSON, "{\"a\":[1]}", 200, "{\"b\":[1]}"},
    {"reply: $body.a", "/t/1", "application/x+json; charset=utf-8", "{\"a\":[1]}", 200, "[1]"},
    {"reply: {b: $body.a}", "/t/1", NULL, "{\"a\":[1]}", 200, "{\"b\":[1]}"},
    {"reply: [$body.a, $body.b, '$body.a']", "/t/1", NULL,
        "{\"a\":18446744073709551616,\"b\":1e400}", 200,
        "[18446744073709551616,1e400,18446744073709551616]"},
    {"reply: 'n=$body.a'", "/t/1", NULL, "{\"a\":1.50}", 200, "\"n=1.50\""},
    {"reply: $body.a", "/t/1", NULL, "{\"a\":1,\"b\":{\"c\":1,\"c\":2}}", 400,
        "...the key 'c' twice", "duplicate-key"},
    {"reply: $body", "/t/1", NULL, "{\"\\u0061\":1,\"a\":2}", 400, "...the key 'a' twice",
        "duplicate-key"},
    {"reply: 1", "/t/1", NULL, "{\"a\":1,\"a\":2}", 200, "1"},
    {"reply: {b: $body}", "/t/1", NULL, NULL, 200, "{\"b\":null}"},
    {"reply: {b: $body}", "/t/1", JSON, "{\n \"a\":}", 400,
        "...JSON: line 2, column 6: ", "invalid-json"},
    {"reply: {b: $body}", "/t/1", "text/plain", "{}", 415, NULL, "unsupported-media-type"},
    {"reply: {b: 1}", "/t/1", "text/plain", "no JSON at all", 200, "{\"b\":1}"},
    {"{reply: $body, body: 8}", "/t/1", JSON, "[1,2,3,4,5,6]", 413, NULL, "content-too-large"},
    /* Order. */
    {"nodes: {a: {sleep: 70ms}, b: {sleep: 70ms}}", "/t/1", NULL, NULL, 200,
        "{\"a\":null,\"b\":null}", NULL, 70},
    {"{nodes: {a: {sleep: 70ms}, b: {sleep: 70ms}}, order: sequential}", "/t/1", NULL, NULL, 200,
        "{\"a\":null,\"b\":null}", NULL, 140},
    {"nodes: {a: {sleep: 70ms}, b: {http: 'http://there:9001/json?$node.a'}, c: {sleep: 100ms}, "
     "d: {reply: [$node.b.status, $node.c]}, e: {sleep: 30ms}}\n    reply: $node.d",
        "/t/1", NULL, NULL, 200, "[200,null]", NULL, 100},
    {"nodes: {a: {reply: 1}, b: {reply: [$node.a]}, c: {reply: [$node.a]}, d: {reply: [$node.b, "
     "$node.c]}}\n"
     "    reply: {d: $node.d, x: '$node.d[1][0]'}",
        "/t/1", NULL, NULL, 200, "{\"d\":[[1],[1]],\"x\":1}"},
    /* Calls. */
    {"nodes: {h: {http: 'http://there:9001/json'}}\n    reply: $node.h.body", "/t/1", NULL, NULL,
        200, "{\"a\":[1,2],\"who\":\"there\"}"},
    {"nodes: {h: {http: 'http://there:9001/json'}}\n    reply: {a: '$node.h.body.a[1]', t: "
     "$node.h.headers.content-type}",
        "/t/1", NULL, NULL, 200, "{\"a\":2,\"t\":\"application/json; charset=utf-8\"}"},
    {"nodes: {h: {http: 'http://there:9001/text'}}\n    reply: $node.h.body", "/t/1", NULL, NULL,
        200, "\"plain \\\"text\\\"\""},
    {"nodes: {h: {http: 'http://there:9001/text'}}\n    reply: $node.h.body\n    headers: "
     "{content-type: $node.h.headers.content-type}",
        "/t/1", NULL, NULL, 200, "plain \"text\""},
    {"nodes: {h: {http: 'http://there:9001/coded/identity'}}\n    reply: $node.h.body", "/t/1",
        NULL, NULL, 200, "[]"},
    {"nodes: {h: {http: 'http://there:9001/coded/identity,GZIP'}}\n    reply: $node.h.body", "/t/1",
        NULL, NULL, 502, "...the content coding 'GZIP'", "upstream-encoding"},
    {"nodes: {h: {http: 'http://there:9001/coded/br'}}\n    reply: $node.h.status", "/t/1", NULL,
        NULL, 200, "200"},
    {"nodes: {h: {http: 'http://there:9001/echo'}}\n"
     "    reply: $node.h.body.headers.Accept-Encoding",
        "/t/1", NULL, NULL, 200, "\"identity\""},
    {"nodes: {h: {http: {url: 'http://there:9001/echo', headers: {accept-encoding: $query.a}}}}\n"
     "    reply: [$node.h.body.headers.accept-encoding, $node.h.body.headers.Accept-Encoding]",
        "/t/1?a=gzip", NULL, NULL, 200, "[\"gzip\",null]"},
    {"nodes: {h: {http: {url: 'http://there:9001/echo', headers: {accept-encoding: $query.a}}}}\n"
     "    reply: [$node.h.body.headers.accept-encoding, $node.h.body.headers.Accept-Encoding]",
        "/t/1", NULL, NULL, 200, "[null,\"identity\"]"},
    {"nodes: {h: {http: 'http://there:9001/status/404'}}\n    reply: 1", "/t/1", NULL, NULL, 502,
        "...node 'h': http://there:9001 answered with 404 Not Found; expected was 200-299",
        "upstream-status"},
    {"nodes: {h: {http: {url: 'http://there:9001/status/404', expect: [200, 400-499]}}}\n"
     "    reply: $node.h.body\n    status: $node.h.status",
        "/t/1", NULL, NULL, 404, "{\"error\":true}"},
    {"nodes: {h: {http: 'http://there:9001/garbage'}}\n    reply: $node.h.body", "/t/1", NULL, NULL,
        502, NULL, "upstream-json"},
    {"nodes: {h: {http: 'http://there:9001/garbage'}}\n    reply: $node.h.status", "/t/1", NULL,
        NULL, 200, "200"},
    {"nodes: {h: {http: 'http://there:9002/'}}", "/t/1", NULL, NULL, 502,
        "...node 'h': ", "upstream-failed"},
    {"nodes: {h: {http: 'http://there:9003/'}}", "/t/1", NULL, NULL, 502,
        "...node 'h': ", "upstream-failed"},
    {"nodes: {h: {http: 'http://nowhere:9003/'}}", "/t/1", NULL, NULL, 502,
        "...node 'h': ", "upstream-failed"},
    {"nodes: {h: {http: {url: 'http://there:9001/slow/50', times: 3}}}\n"
     "    reply: {all: ['$node.h[0].body.slow', '$node.h[2].status']}",
        "/t/1", NULL, NULL, 200, "{\"all\":[true,200]}", NULL, 50},
    {"nodes: {h: {http: {url: 'http://there:9001/status/404', times: 3}}}", "/t/1", NULL, NULL, 502,
        NULL, "upstream-status"},
    {"nodes: {h: {http: {url: 'http://there:9001/slow/50', times: 1}}}\n    reply: "
     "'$node.h[0].status'",
        "/t/1", NULL, NULL, 200, "200", NULL, 50},
    /* What is asked. */
    {"nodes: {h: {http: 'http://there:9001/echo/$path.id?q=$query.q'}}\n    reply: "
     "$node.h.body.target",
        "/t/a%2Fb%3Fc?q=%26x%3D1", NULL, NULL, 200, "\"/echo/a%2Fb%3Fc?q=%26x%3D1\""},
    {"nodes: {h: {http: 'http://there:9001/echo/$query.q/x'}}", "/t/1?q=..", NULL, NULL, 400, NULL,
        "invalid-target"},
    {"nodes: {h: {http: {url: 'http://there:9001/echo', body: {x: $body.a}}}}\n"
     "    reply: {m: $node.h.body.method, b: $node.h.body.body, t: "
     "$node.h.body.headers.Content-Type}",
        "/t/1", JSON, "{\"a\":[1]}", 200,
        "{\"m\":\"POST\",\"b\":\"{\\\"x\\\":[1]}\",\"t\":\"application/json\"}"},
    {"nodes: {h: {http: {url: 'http://there:9001/echo', body: 'hi $path.id', method: PUT, headers: "
     "{content-type: text/x}}}}\n"
     "    reply: {m: $node.h.body.method, b: $node.h.body.body, t: "
     "$node.h.body.headers.content-type}",
        "/t/1", NULL, NULL, 200, "{\"m\":\"PUT\",\"b\":\"hi 1\",\"t\":\"text/x\"}"},
    {"nodes: {h: {http: {url: 'http://there:9001/echo', headers: {a: 'x $path.id', b: $header.no, "
     "c: $header.x-team}}}}\n"
     "    reply: {m: $node.h.body.method, a: $node.h.body.headers.a, b: $node.h.body.headers.b, c: "
     "$node.h.body.headers.c}",
        "/t/1", NULL, NULL, 200, "{\"m\":\"GET\",\"a\":\"x 1\",\"b\":null,\"c\":\"red\"}"},
    {"nodes: {h: {http: {url: 'http://there:9001/echo', headers: {a: '$query.a'}}}}",
        "/t/1?a=x%0d%0ab:c", NULL, NULL, 400, NULL, "invalid-header"},
    {"nodes: {h: {http: 'http://there:9001/echo'}}\n    reply: $node.h.body.headers.X-Request-Id",
        "/t/1", NULL, NULL, 200, "\"id-of-test\""},
    /* Deadlines. */
    {"{nodes: {a: {sleep: 1s}}, deadline: 100ms}", "/t/1", NULL, NULL, 504,
        "...within the route's deadline of 100 ms; it waited for node 'a'", "deadline", 100},
    {"{nodes: {a: {sleep: 1s}, b: {sleep: 2s, optional: true}}, deadline: 100ms}", "/t/1", NULL,
        NULL, 504, NULL, "deadline", 100},
    {"nodes: {a: {sleep: 1s, deadline: 50ms}, b: {sleep: 2s}}", "/t/1", NULL, NULL, 504,
        "...node 'a' had no value within its deadline of 50 ms", "deadline", 50},
    {"{nodes: {a: {http: 'http://there:9001/slow/1000'}}, deadline: 100ms}", "/t/1", NULL, NULL,
        504, NULL, "deadline", 100},
    {"nodes: {a: {http: 'http://there:9001/slow/1000', deadline: 60ms}}", "/t/1", NULL, NULL, 504,
        NULL, "deadline", 60},
    {"nodes: {a: {http: {url: 'http://there:9001/slow/1000', times: 3}, deadline: 60ms}}", "/t/1",
        NULL, NULL, 504, NULL, "deadline", 60},
    /* Optional nodes. */
    {"nodes: {a: {sleep: 1s, deadline: 50ms, optional: true}, b: {sleep: 60ms}}", "/t/1", NULL,
        NULL, 200, "{\"a\":null,\"b\":null}", NULL, 60},
    {"{nodes: {a: {sleep: 1s, optional: true}, b: {sleep: 60ms}}, deadline: 100ms}", "/t/1", NULL,
        NULL, 200, "{\"a\":null,\"b\":null}", NULL, 90},
    {"{nodes: {a: {http: 'http://there:9001/slow/5000', optional: true}, b: {sleep: 60ms}}, "
     "deadline: 2s}",
        "/t/1", NULL, NULL, 200, "{\"a\":null,\"b\":null}", NULL, 1950},
    {"{nodes: {a: {sleep: 1s, deadline: 30ms, optional: true}, b: {sleep: 60ms}}, deadline: 100ms}",
        "/t/1", NULL, NULL, 200, "{\"a\":null,\"b\":null}", NULL, 60},
    {"{nodes: {a: {sleep: 60ms, optional: true}, b: {sleep: 1s, optional: true, default: "
     "$node.a}}, "
     "deadline: 100ms}",
        "/t/1", NULL, NULL, 200, "{\"a\":null,\"b\":null}", NULL, 96},
    {"nodes: {a: {http: 'http://there:9003/', optional: true, default: {body: {n: [$path.id]}}}}\n"
     "    reply: {a: '$node.a.body.n[0]', all: $node.a}",
        "/t/1", NULL, NULL, 200, "{\"a\":\"1\",\"all\":{\"body\":{\"n\":[\"1\"]}}}"},
    {"nodes: {a: {http: 'http://there:9001/garbage', optional: true}}\n    reply: [$node.a.body]",
        "/t/1", NULL, NULL, 200, "[null]"},
    {"nodes: {a: {http: {url: 'http://there:9001/status/500', times: 4}, optional: true, default: "
     "none}}",
        "/t/1", NULL, NULL, 200, "{\"a\":\"none\"}"},
    /* A failure is the answer at once. */
    {"nodes: {a: {sleep: 1s}, b: {http: 'http://there:9003/'}}", "/t/1", NULL, NULL, 502, NULL,
        "upstream-failed", 5},
    {"nodes: {a: {sleep: 20ms}, b: {sleep: 1s}, c: {http: 'http://there:9001/status/500?$node.a'}, "
     "d: {http: 'http://there:9001/slow/1000?$node.a'}}",
        "/t/1", NULL, NULL, 502, NULL, "upstream-status", 22},
};

/* What is inside is nobody's business. */
static const struct row shown[] = {
    {"nodes: {h: {http: 'http://there:9003/'}}", "/t/1", NULL, NULL, 502,
        "...\"detail\":\"a server behind this one did not answer as it should\"",
        "upstream-failed"},
    {"nodes: {h: {http: 'http://there:9001/status/404'}}", "/t/1", NULL, NULL, 502,
        "...\"detail\":\"a server behind this one did not answer as it should\"",
        "upstream-status"},
    {"{nodes: {a: {sleep: 1s}}, deadline: 100ms}", "/t/1", NULL, NULL, 504,
        "...\"detail\":\"the request was not answered in time\"", "deadline", 100},
    {"nodes: {a: {sleep: 1s, deadline: 50ms}}", "/t/1", NULL, NULL, 504,
        "...\"detail\":\"the request was not answered in time\"", "deadline", 50},
    {"nodes: {s: {step: burn, pool: cpu}}", "/t/1", JSON, "{}", 422, "...\"detail\":\"burn wants",
        "invalid-input"},
    {"nodes: {h: {http: 'http://there:9001/$query.q'}}", "/t/1", NULL, NULL, 400,
        "...\"detail\":\"$query.q is missing", "invalid-target"},
};

static const struct row *current;

static int ask_row(struct world *w, struct weir *weir)
{
    const struct row *row = current;
    struct told told;
    weir->short_errors = row >= shown && row < shown + sizeof shown / sizeof *shown;
    struct http_field fields[3] = {
        {SPAN("X-Request-Id"), SPAN("id-of-test")}, {SPAN("X-Team"), SPAN("red")}};
    if (row->type)
        fields[2] = (struct http_field){SPAN("Content-Type"), span_of(row->type)};
    ask(w, "POST", row->target, fields, row->type ? 3 : 2, row->body, &told);
    check(told.status == row->status, "%s: %d %s", row->route, told.status, told.body);
    if (row->reply && strncmp(row->reply, "...", 3) == 0)
        check(strstr(told.body, row->reply + 3), "%s: %s", row->route, told.body);
    else if (row->reply)
        check(strcmp(told.body, row->reply) == 0, "%s: %s", row->route, told.body);
    check(strcmp(told.problem, row->problem ? row->problem : "") == 0, "%s: %s", row->route,
        told.body);
    if (row->ms)
        check(told.ms >= row->ms && told.ms < row->ms + 15, "%s: %d ms", row->route, (int)told.ms);
    return 0;
}

static void check_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct weir weir;
        char routes[4096];
        current = &rows[i];
        bool flow_style = current->route[0] == '{';
        if (flow_style)
            snprintf(routes, sizeof routes, "  - {route: 'POST /t/{id}', %s\n", current->route + 1);
        else
            snprintf(routes, sizeof routes, "  - route: POST /t/{id}\n    %s\n", current->route);
        with_weir(&weir, routes, ask_row);
    }
}

static void test_table(void **state)
{
    check_rows(table, sizeof table / sizeof *table);
}

static void test_what_strangers_are_shown(void **state)
{
    check_rows(shown, sizeof shown / sizeof *shown);
}

/* ---- The last line ---- */

/* For a terminal: what Weir writes ends in a line break; what it passes on ends as it did. */
static int ask_for_lines(struct world *w, struct weir *weir)
{
    static const struct {
        const char *target, *type, *body, *reply;
        bool ends_line;
    } asked[] = {
        {"/fixed", NULL, NULL, "{\"a\":1}", true},
        {"/made", NULL, NULL, "{\"m\":\"POST\"}", true},
        {"/last", NULL, NULL, "\"it is POST\"", true},
        {"/text", NULL, NULL, "plain", false},
        {"/whole", JSON, "[1]", "[1]", false},
        {"/whole", JSON, " [1]\n", " [1]", true},
        {"/part", JSON, " [1]\n", "{\"b\":[1]}", true},
        {"/nodes", NULL, NULL, "{\"a\":{\"x\":1}}", true},
    };
    struct told told;
    (void)weir;
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        struct http_field type = {SPAN("Content-Type"), SPAN(JSON)};
        ask(w, "POST", asked[i].target, &type, asked[i].type != NULL, asked[i].body, &told);
        check(told.status == 200 && strcmp(told.body, asked[i].reply) == 0, "%s: %d %s",
            asked[i].target, told.status, told.body);
        check(told.ends_line == asked[i].ends_line, "%s", asked[i].target);
    }
    ask(w, "POST", "/nowhere", NULL, 0, NULL, &told);
    must(told.status == 404 && told.ends_line);
    return 0;
}

static void test_what_weir_writes_ends_in_a_line_break(void **state)
{
    struct weir weir;
    with_weir(&weir,
        "  - {route: POST /fixed, reply: {a: 1}}\n"
        "  - {route: POST /made, reply: {m: $request.method}}\n"
        "  - {route: POST /last, reply: 'it is $request.method'}\n"
        "  - {route: POST /text, reply: plain, headers: {content-type: text/plain}}\n"
        "  - {route: POST /whole, reply: $body}\n"
        "  - {route: POST /part, reply: {b: $body}}\n"
        "  - {route: POST /nodes, nodes: {a: {reply: {x: 1}}}}\n",
        ask_for_lines);
}

/* ---- The client leaves ---- */

static int ask_and_leave(struct world *w, struct weir *weir)
{
    struct address to;
    struct stream *s;
    must(world_resolve(w, "here", WEIR_PORT, &to, 1) == 1);
    must(world_connect(w, &to, &s) == 0);
    must(send_text(s, "GET /a HTTP/1.1\r\nHost: here\r\n\r\n") == 0);
    must_sleep(w, 100 * NS_PER_MS);
    must(weir->under_way == 1);
    stream_close(s);
    must_sleep(w, 10 * NS_PER_MS);
    must(weir->under_way == 0);
    return 0;
}

static void test_a_client_that_leaves_ends_the_work(void **state)
{
    static const char *const routes[] = {
        "  - route: GET /a\n    nodes: {a: {sleep: 10s}}\n",
        "  - route: GET /a\n    nodes: {a: {sleep: 10s}, b: {sleep: 20s, optional: true}}\n",
        "  - route: GET /a\n    nodes: {a: {http: 'http://there:9001/slow/10000', optional: "
        "true}}\n",
        "  - route: GET /a\n    nodes: {a: {http: {url: 'http://there:9001/slow/10000', times: "
        "9}}}\n",
    };
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        struct weir weir;
        with_weir(&weir, routes[i], ask_and_leave);
        assert_true(weir.observed.count > 0);
        assert_int_equal(weir.observed.rc, -ECANCELED);
    }
}

/* ---- Sleeps by chance ---- */

#define SLEEPS 20
static int64_t spans[2][SLEEPS];
static unsigned run_number;

static int ask_for_sleeps(struct world *w, struct weir *weir)
{
    struct told told;
    for (unsigned i = 0; i < SLEEPS; i++) {
        ask(w, "GET", "/a", NULL, 0, NULL, &told);
        must(told.status == 200);
        spans[run_number][i] = weir->observed.ns;
    }
    return 0;
}

static void test_a_seed_decides_what_sleeps_take(void **state)
{
    struct weir weir;
    for (run_number = 0; run_number < 2; run_number++)
        with_weir(&weir,
            "  - route: GET /a\n    nodes: {a: {sleep: {uniform: [10ms, 20ms], seed: 7}}}\n",
            ask_for_sleeps);
    assert_memory_equal(spans[0], spans[1], sizeof spans[0]);
    int64_t sum = 0;
    for (unsigned i = 0; i < SLEEPS; i++) {
        assert_in_range(spans[0][i], 10 * NS_PER_MS, 20 * NS_PER_MS);
        assert_true(i == 0 || spans[0][i] != spans[0][i - 1]);
        sum += spans[0][i];
    }
    assert_in_range(sum / SLEEPS, 13 * NS_PER_MS, 17 * NS_PER_MS);
    run_number = 1;
    with_weir(&weir, "  - route: GET /a\n    nodes: {a: {sleep: {exponential: 10ms, seed: 8}}}\n",
        ask_for_sleeps);
    assert_memory_not_equal(spans[0], spans[1], sizeof spans[0]);
    run_number = 0;
    with_weir(
        &weir, "  - route: GET /a\n    nodes: {a: {sleep: {exponential: 10ms}}}\n", ask_for_sleeps);
}

/* ---- Without memory ---- */

static int ask_without_memory(struct world *w, struct weir *weir)
{
    struct told told;
    unsigned refused = 0;
    weir->failed = true;
    for (weir->fail_nth = 1; weir->failed; weir->fail_nth++) {
        must(weir->fail_nth < 1000);
        if (try_ask(w, "POST", "/a/1", NULL, 0, "{\"x\":[1,\"two\"]}", &told))
            continue; /* there was none for the reply */
        must(told.status == 200 || told.status == 503);
        must(told.status == 200 || strcmp(told.problem, "out-of-memory") == 0);
        refused += told.status == 503;
    }
    must(told.status == 200);
    must(strcmp(told.body, "{\"a\":[{\"x\":[1,\"two\"]}],\"d\":\"1 two\",\"x\":1}") == 0);
    must(refused > 5);
    return 0;
}

static void test_memory_may_run_out_anywhere(void **state)
{
    struct weir weir;
    with_weir(&weir,
        "  - route: POST /a/{id}\n"
        "    nodes: {b: {reply: [$body]}, c: {reply: $node.b}, d: {reply: '$path.id "
        "$node.b[0].x[1]'}}\n"
        "    headers: {y: $path.id}\n"
        "    reply: {a: $node.c, d: $node.d, x: '$body.x[0]'}\n",
        ask_without_memory);
}

TEST_FILE(run)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_what_strangers_are_shown),
        cmocka_unit_test(test_what_weir_writes_ends_in_a_line_break),
        cmocka_unit_test(test_a_client_that_leaves_ends_the_work),
        cmocka_unit_test(test_a_seed_decides_what_sleeps_take),
        cmocka_unit_test(test_memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
