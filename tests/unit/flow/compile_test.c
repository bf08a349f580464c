/*
 * What is wrong with a flow is said at compile time: where, what, and what was perhaps meant.
 */
#include "fixture.h"
#include "flow/flow.h"

struct row {
    const char *yaml; /* of a route, after "- route: GET /u/{id}/{name}" */
    const char *errors;
};

#define AT(line, column) "configuration:" #line ":" #column ": "

static const struct row table[] = {
    /* References. */
    {"reply: $path.nmae",
        AT(3, 12) "$path.nmae: the route's path has no parameter 'nmae'; did you mean 'name'?\n"},
    {"reply: $path.other", AT(3, 12) "$path.other: the route's path has no parameter 'other'\n"},
    {"reply: $path", AT(3, 12) "$path: a name is expected: $path.NAME\n"},
    {"reply: $path.id.x", AT(3, 12) "$path.id.x: $path.id is text: nothing is in it\n"},
    {"reply: '$query[0]'", AT(3, 12) "$query[0]: a name is expected: $query.NAME\n"},
    {"reply: $bdy.x", AT(3, 12) "$bdy.x: nothing is called 'bdy'; did you mean 'body'?\n"},
    {"reply: $PATH.id", AT(3, 12) "$PATH.id: nothing is called 'PATH'; there are $body, $path, "
                                  "$query, $header, $node "
                                  "and $request; write '$$' for a dollar\n"},
    {"reply: $request.methd",
        AT(3, 12) "$request.methd: a request has no 'methd'; did you mean 'method'?\n"},
    {"reply: $request.body",
        AT(3, 12) "$request.body: a request has no 'body'; it has id, method, path and client\n"},
    {"reply: it costs $ 5", AT(3, 12) "'$ ' begins no reference; write '$$' for a dollar\n"},
    {"reply: 5$", AT(3, 12) "'$' begins no reference; write '$$' for a dollar\n"},
    {"reply: $é", AT(3, 12) "'$é' begins no reference; write '$$' for a dollar\n"},
    {"reply: $(path.id", AT(3, 12) "$(path.id: a ')' is expected after it\n"},
    {"reply: '$body[x]'",
        AT(3, 12) "$body[: an index is expected, as in '[0]', or a name, as in '[\"a b\"]'; "
                  "write $(...) around a reference that a '[' follows\n"},
    {"reply: {a: [1, $path.x]}", AT(3, 20) "$path.x: the route's path has no parameter 'x'\n"},
    /* Nodes. */
    {"reply: $node.user", AT(3, 12) "$node.user: there is no node 'user': the route has none\n"},
    {"{nodes: {user: {sleep: 1ms}}, reply: $node.usr}", NULL},
    {"nodes: {user: {sleep: 1ms}}\n    reply: $node.usr",
        AT(4, 12) "$node.usr: there is no node 'usr'; did you mean 'user'?\n"},
    {"nodes: {user: {sleep: 1ms}}\n    reply: $node",
        AT(4, 12) "$node: a name is expected: $node.NAME\n"},
    {"nodes: {s: {sleep: 1ms}}\n    reply: $node.s.body",
        AT(4, 12) "$node.s.body: the value of a sleep is null: nothing is in it\n"},
    {"nodes: {h: {http: 'http://a/'}}\n    reply: $node.h.boddy",
        AT(4, 12) "$node.h.boddy: an http node's value has no 'boddy'; did you mean 'body'?\n"},
    {"nodes: {h: {http: 'http://a/'}}\n    reply: $node.h.x",
        AT(4, 12) "$node.h.x: an http node's value has no 'x'; it has status, headers, body, "
                  "attempts "
                  "and server\n"},
    {"nodes: {h: {http: 'http://a/'}}\n    reply: $node.h.status.x",
        AT(4, 12) "$node.h.status.x: a status is a number: nothing is in it\n"},
    {"nodes: {h: {http: 'http://a/'}}\n    reply: $node.h.headers.a.b",
        AT(4, 12) "$node.h.headers.a.b: a header is text: nothing is in it\n"},
    {"nodes: {h: {http: 'http://a/'}}\n    reply: '$node.h.headers.set-cookie.b'",
        AT(4, 12) "$node.h.headers.set-cookie.b: a header is text: nothing is in it\n"},
    {"nodes: {h: {http: 'http://a/'}}\n    reply: '$node.h[0]'",
        AT(4, 12) "$node.h[0]: an http node's value is no list without 'times'\n"},
    {"nodes: {h: {http: {url: 'http://a/', times: 3}}}\n    reply: $node.h.body",
        AT(4, 12) "$node.h.body: with 'times' the value is a list; say which: $node.h[0].body\n"},
    {"nodes: {h: {http: {url: 'http://a/', times: 3}}}\n    reply: '$node.h[3].body'",
        AT(4, 12) "$node.h[3].body: the list has 3 elements, and the first is [0]\n"},
    /* Steps. */
    {"nodes: {s: {step: ehco}}", AT(3, 13) "there is no step 'ehco'; did you mean 'echo'?\n"},
    {"nodes: {a: {sleep: 1s}, s: {step: tag}}",
        AT(3, 29) "there is no step 'tag': 'steps' has none of that name, and none is built in\n"},
    {"nodes: {s: {step: crash}}",
        AT(3, 13) "the step 'crash' is made to do harm, and runs only with --unsafe-steps\n"},
    {"nodes: {s: {step: echo, input: {a: $path.x}}}",
        AT(3, 40) "$path.x: the route's path has no parameter 'x'\n"},
    {"reply: $query", AT(3, 12) "$query: the whole query can stand in a URL only, behind its '?' "
                                "or a '&'; name a parameter: $query.NAME\n"},
    {"nodes: {h: {http: 'http://a/$query'}}",
        AT(3,
            23) "$query: the whole query can stand in a URL only, behind its '?' or a '&'; name a "
                "parameter: $query.NAME\n"},
    {"nodes: {h: {http: 'http://a/?a=$query'}}",
        AT(3,
            23) "$query: the whole query can stand in a URL only, behind its '?' or a '&'; name a "
                "parameter: $query.NAME\n"},
    {"nodes: {h: {http: 'http://a/x/../$query.q'}}",
        AT(3, 23) "a segment of the URL's path is '.' or '..'; write the path that is meant\n"},
    {"nodes: {h: {http: 'http://a/%2e/$query.q'}}",
        AT(3, 23) "a segment of the URL's path is '.' or '..'; write the path that is meant\n"},
    {"nodes: {s: {step: echo, input: $node.s}}", AT(3, 13) "node 's' needs its own value\n"},
    /* Priorities. */
    {"reply: 1\n    priority: $hedder.x",
        AT(4, 15) "$hedder.x: nothing is called 'hedder'; did you mean 'header'?\n"},
    {"reply: 1\n    priority: $(query.p)$(query.q)",
        AT(4, 15) "a priority is a number from -2 to 2, or a reference to one\n"},
    {"nodes: {s: {sleep: 1ms}}\n    priority: $node.s",
        AT(4, 15) "a priority is known before anything is read or run: it can refer to $path, "
                  "$query and $header, and to nothing else\n"},
    {"reply: 1\n    priority: $body.urgency",
        AT(4, 15) "a priority is known before anything is read or run: it can refer to $path, "
                  "$query and $header, and to nothing else\n"},
    {"name: silent", AT(2, 5) "the route says nothing: give it 'nodes' or a 'reply'; for an empty "
                              "one say 'status: 204'\n"},
    /* Order. */
    {"nodes: {a: {reply: $node.b}, b: {reply: $node.a}}",
        AT(3, 13) "nodes a → b → a need each other\n"},
    {"nodes: {a: {reply: $node.b}, b: {reply: $node.a}}\n    reply: $node.c",
        AT(3, 13) "nodes a → b → a need each other\n" AT(4, 12) "$node.c: there is no node 'c'\n"},
    {"nodes: {x: {reply: $node.a}, a: {reply: '$node.b'}, b: {reply: '<$node.c>'}, c: {reply: "
     "[$node.a]}}",
        AT(3, 34) "nodes a → b → c → a need each other\n"},
    {"nodes: {a: {reply: $node.a}}", AT(3, 13) "node 'a' needs its own value\n"},
    {"nodes: {a: {reply: $node.b}, b: {reply: 1}}\n    order: sequential",
        AT(3, 24) "$node.b: in sequential order node 'a' runs before 'b', and cannot know its "
                  "value\n"},
    /* Calls. */
    {"nodes: {h: {http: 'http://$path.id/'}}", NULL},
    {"nodes: {h: {http: 'http://a$path.id'}}", NULL},
    {"nodes: {h: {http: '$path.id'}}", NULL},
    {"nodes: {h: {http: 'http://a/\xc3\xa9/$path.id'}}", NULL},
    {"nodes: {h: {http: 'http://a/$path.id \xc3\xa9'}}",
        AT(3, 23) "a URL's bytes are visible ASCII without '#'; encode others as in '%20'\n"},
    {"nodes: {h: {http: 'http://a/$path.id#x'}}",
        AT(3, 23) "a URL's bytes are visible ASCII without '#'; encode others as in '%20'\n"},
    {"nodes: {h: {http: {url: 'http://a/', headers: {host: x, Content-Length: 1}}}}", NULL},
    {"nodes: {h: {http: {url: 'http://a/', body: {a: $body.x, b: $path.x}}}}",
        AT(3, 64) "$path.x: the route's path has no parameter 'x'\n"},
    /* Replies. */
    {"headers: {date: x}\n    reply: 1", NULL},
    {"status: $path.x\n    reply: 1", AT(3, 13) "$path.x: the route's path has no parameter 'x'\n"},
    {"status: 2$path.id\n    reply: 1", NULL},
    {"status: $$\n    reply: 1", NULL},
    {"headers: {a: $path.x}\n    reply: $path.y",
        AT(3, 18) "$path.x: the route's path has no parameter 'x'\n" AT(
            4, 12) "$path.y: the route's path has no parameter 'y'\n"},
};

static struct configured configure_route(const char *yaml)
{
    char text[4096];
    snprintf(text, sizeof text, "routes:\n  - route: GET /u/{id}/{name}\n    %s\n", yaml);
    return configure(text);
}

static void check_row(const struct row *row)
{
    struct configured c = {.errors = conf_errors_new()};
    struct bytes text;
    struct flow *f = NULL;
    char yaml[4096];
    bytes_init(&text, 1 << 20);
    snprintf(yaml, sizeof yaml, "routes:\n  - route: GET /u/{id}/{name}\n    %s\n", row->yaml);
    int rc = conf_parse(&c.conf, span_of(yaml), &flow_kinds, c.errors);
    if (rc == 0) {
        rc = flow_compile(&f, route_at(&c, 0), NULL, c.errors);
        flow_free(rc == 0 ? f : NULL);
    }
    assert_int_equal(conf_errors_write(c.errors, &text), 0);
    if (rc == 0)
        fail_msg("'%s' was compiled", row->yaml);
    assert_int_equal(rc, -EINVAL);
    if (row->errors && !span_equal(bytes_span(&text), span_of(row->errors)))
        fail_msg("'%s' gave\n%.*sand not\n%s", row->yaml, SPAN_ARG(text), row->errors);
    assert_true(text.len > 0);
    bytes_release(&text);
    if (c.conf)
        unconfigure(&c);
    else
        conf_errors_free(c.errors);
}

static void test_mistakes(void **state)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        check_row(&table[i]);
}

static const char *const right[] = {
    "reply: {a: $path.id, b: $path.name, c: '$$', d: $query.x, e: $header.x-y, f: $request.id}",
    "reply: $node.a.body.b\n    nodes: {a: {http: 'http://a/$path.id?x=$query.x'}}",
    "nodes: {a: {reply: 1}, b: {reply: $node.a}}\n    order: sequential",
    "nodes: {h: {http: {url: 'http://a/', times: 3}}}\n    reply: '$node.h[2].body.x[4]'",
    "nodes: {h: {http: {url: 'http://unix:/x.sock:/p/$path.id', method: PUT, expect: [200, 404]}}}",
    "status: $node.a.status\n    nodes: {a: {http: 'http://a/'}}",
    "nodes: {a: {http: 'http://a/', optional: true, default: {x: $path.id}}}",
    "headers: {content-type: text/plain, x: $path.id}\n    reply: hello",
    "nodes: {}\n    status: 204",
};

static void test_what_is_right_compiles(void **state)
{
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        struct configured c = configure_route(right[i]);
        struct flow *f;
        if (flow_compile(&f, route_at(&c, 0), NULL, c.errors))
            fail_msg("'%s' was not compiled", right[i]);
        assert_int_equal(conf_errors_count(c.errors), 0);
        flow_free(f);
        unconfigure(&c);
    }
}

static struct configured tortured;

static bool compile_once(void)
{
    struct flow *f;
    int rc = flow_compile(&f, route_at(&tortured, 0), NULL, tortured.errors);
    if (rc == 0)
        flow_free(f);
    assert_true(rc == 0 || rc == -ENOMEM);
    return rc == 0;
}

static void test_memory_may_run_out_anywhere(void **state)
{
    tortured = configure_route(
        "status: $node.a.status\n"
        "    headers: {x: 'a $path.id'}\n"
        "    nodes:\n"
        "      a: {http: {url: 'http://a/$path.id', headers: {y: $query.q}, body: [$body], expect: "
        "200}}\n"
        "      b: {sleep: {exponential: 1ms, seed: 3}, optional: true, default: [$node.a]}\n"
        "    reply: {a: $node.a.body, b: '$node.b.'}");
    torture(compile_once);
    unconfigure(&tortured);
}

TEST_FILE(compile)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_what_is_right_compiles),
        cmocka_unit_test(test_memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
