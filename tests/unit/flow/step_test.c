/*
 * Nodes that compute: a whole weir with its pools and a client, simulated.
 */
#include "world.h"

struct row {
    const char *nodes; /* YAML of the route, after "  - route: POST /t" */
    const char *body;
    int status;
    const char *reply;   /* the body, or a part of it after "..." */
    const char *problem; /* its type */
    int64_t ms;          /* how long it takes, at least; 0: not looked at */
};

#define TEN     "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

static const struct row table[] = {
    /* The input is the body as it came, or a template. */
    {"nodes: {s: {step: echo, pool: cpu}}\n    reply: $node.s", "{ \"a\" : [1] }", 200,
        "{\"a\":[1]}"},
    {"nodes: {s: {step: echo, pool: here}}\n    reply: $node.s", "{ \"a\" : [1] }", 200,
        "{\"a\":[1]}"},
    {"nodes: {s: {step: echo, pool: cpu}}\n    reply: $node.s", NULL, 200, "null"},
    {"nodes: {s: {step: echo, pool: cpu, input: [$body.a, 'x $body.a']}}\n    reply: $node.s",
        "{\"a\":[1]}", 200, "[[1],\"x [1]\"]"},
    {"nodes: {s: {step: echo, pool: cpu, input: {literal: [1, x]}}}\n    reply: $node.s", NULL, 200,
        "{\"literal\":[1,\"x\"]}"},
    {"nodes: {s: {step: echo, pool: cpu, input: $request.method}}\n    reply: $node.s", NULL, 200,
        "\"POST\""},
    {"nodes: {s: {step: echo, pool: cpu, input: $body.no}}\n    reply: $node.s", "{}", 200, "null"},
    /* The output is a value as any other. */
    {"nodes: {s: {step: echo, pool: cpu}}\n    reply: {in: '$node.s.a[1]', all: $node.s}",
        "{\"a\":[1,\"t\"]}", 200, "{\"in\":\"t\",\"all\":{\"a\":[1,\"t\"]}}"},
    {"nodes: {a: {step: echo, pool: cpu}, b: {step: echo, pool: here, input: $node.a}, c: {step: "
     "echo, pool: cpu, input: {b: $node.b, a1: '$node.a[0]'}}}\n    reply: $node.c",
        "[7]", 200, "{\"b\":[7],\"a1\":7}"},
    {"nodes: {h: {http: 'http://there:9001/json'}, s: {step: echo, pool: cpu, input: "
     "$node.h.body}}\n    reply: $node.s.who",
        NULL, 200, "\"there\""},
    {"nodes: {s: {step: burn, pool: cpu, input: {ms: 30}}}\n    reply: 'took $node.s.burned_ms'",
        NULL, 200, "\"took 30\"", NULL, 30},
    /* What fails names the node. */
    {"nodes: {s: {step: burn, pool: cpu}}\n    reply: $node.s", "{\"ms\":-1}", 422,
        "...node 's': burn wants", "invalid-input"},
    {"nodes: {s: {step: burn, pool: here}}\n    reply: $node.s", "{\"ms\":-1}", 422,
        "...node 's': burn wants", "invalid-input"},
    {"nodes: {s: {step: burn, pool: cpu, optional: true, default: {n: $body.ms}}}\n    reply: "
     "$node.s.n",
        "{\"ms\":-1}", 200, "-1"},
    {"nodes: {s: {step: burn, pool: cpu, optional: true, default: $query.q}}\n    reply: $node.s",
        "{\"ms\":-1}", 400, NULL, "invalid-query"},
    {"nodes: {s: {step: burn, pool: cpu, deadline: 50ms}}\n    reply: $node.s", "{\"ms\":900}", 504,
        "...node 's' had no value within its deadline of 50 ms", "deadline", 50},
    {"deadline: 40ms\n    nodes: {s: {step: burn, pool: cpu}}\n    reply: $node.s", "{\"ms\":900}",
        504, "...it waited for node 's'", "deadline", 40},
    {"nodes: {s: {step: burn, pool: cpu, deadline: 50ms, optional: true}}\n    reply: [$node.s]",
        "{\"ms\":900}", 200, "[null]", NULL, 50},
    {"nodes: {s: {step: echo, pool: cpu}}\n    reply: $node.s", "{", 400, NULL, "invalid-json"},
    {"nodes: {s: {step: echo, pool: small, input: ['$body', '$body', '$body', '$body']}}",
        "\"" HUNDRED HUNDRED HUNDRED "\"", 413, "...node 's': the input of step 'echo' has",
        "input-too-large"},
    /* One worker, two that wait; the fourth is one too many. */
    {"dispatch: fanout\n    nodes: {a: {step: burn, pool: cpu}, b: {step: burn, pool: cpu}, c: "
     "{step: burn, pool: cpu}, "
     "d: {step: burn, pool: cpu}, e: {step: burn, pool: cpu}}",
        "{\"ms\":20}", 503, "...the pool's queue is full", "overloaded"},
};

static const struct row *current;

static int ask_row(struct world *w, struct weir *weir)
{
    const struct row *row = current;
    struct told told;
    ask(w, "POST", "/t?q=%zz", NULL, 0, row->body, &told);
    check(told.status == row->status, "%s: %d %s", row->nodes, told.status, told.body);
    if (row->reply && strncmp(row->reply, "...", 3) == 0)
        check(strstr(told.body, row->reply + 3), "%s: %s", row->nodes, told.body);
    else if (row->reply)
        check(strcmp(told.body, row->reply) == 0, "%s: %s", row->nodes, told.body);
    check(strcmp(told.problem, row->problem ? row->problem : "") == 0, "%s: %s", row->nodes,
        told.body);
    if (row->ms)
        check(told.ms >= row->ms && told.ms < row->ms + 15, "%s: %d ms", row->nodes, (int)told.ms);
    return 0;
}

static void test_table(void **state)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct weir weir;
        char routes[2048];
        current = &table[i];
        snprintf(routes, sizeof routes, "  - route: POST /t\n    %s\n", current->nodes);
        with_weir(&weir, routes, ask_row);
    }
}

/* ---- Where the time went ---- */

static int ask_how_long(struct world *w, struct weir *weir)
{
    struct told told;
    double queue, cpu, wait, io;
    ask(w, "POST", "/t", NULL, 0, "{\"ms\":30}", &told);
    must(told.status == 200);
    check(sscanf(told.timing, "queue;dur=%lf, cpu;dur=%lf, wait;dur=%lf, io;dur=%lf", &queue, &cpu,
              &wait, &io) == 4,
        "Server-Timing: %s", told.timing);
    /* Two steps of 30 ms on one worker beside a sleep of 70 ms: one of them waits. */
    check(cpu >= 60 && cpu < 65, "%s", told.timing);
    check(wait >= 70 && wait < 75, "%s", told.timing);
    check(queue >= 30 && queue < 35, "%s", told.timing);
    check(io >= 0 && io < 10, "%s", told.timing);
    check(told.ms >= 70 && told.ms < 85, "%d ms", (int)told.ms);
    return 0;
}

static void test_time_is_accounted_for(void **state)
{
    struct weir weir;
    with_weir(&weir,
        "  - route: POST /t\n    dispatch: fanout\n    nodes: {a: {step: burn, pool: cpu}, b: "
        "{step: burn, pool: cpu}, c: "
        "{sleep: 70ms}}\n",
        ask_how_long);
}

/* ---- The client leaves ---- */

static int ask_and_leave(struct world *w, struct weir *weir)
{
    struct address to;
    struct stream *s;
    struct told told;
    must(world_resolve(w, "here", WEIR_PORT, &to, 1) == 1);
    must(world_connect(w, &to, &s) == 0);
    must(send_text(s, "GET /a HTTP/1.1\r\nHost: here\r\n\r\n") == 0);
    must_sleep(w, 100 * NS_PER_MS);
    must(weir->under_way == 1);
    stream_close(s);
    must_sleep(w, 10 * NS_PER_MS);
    must(weir->under_way == 0);
    /* `burn` sees that nobody waits, between two milliseconds. */
    ask(w, "GET", "/echo", NULL, 0, NULL, &told);
    check(told.status == 200 && told.ms < 20, "%d after %d ms", told.status, (int)told.ms);
    return 0;
}

static void test_a_client_that_leaves_ends_the_work(void **state)
{
    struct weir weir;
    with_weir(&weir,
        "  - route: GET /a\n    nodes: {a: {step: burn, pool: cpu, input: 10000}, b: {step: burn, "
        "pool: cpu, input: 1000, optional: true}}\n"
        "  - route: GET /echo\n    nodes: {a: {step: echo, pool: cpu}}\n",
        ask_and_leave);
    assert_int_equal(weir.observed.rc, 0); /* the last that was told is the echo's */
}

/* ---- Without memory ---- */

static int ask_without_memory(struct world *w, struct weir *weir)
{
    struct told told;
    unsigned refused = 0;
    weir->failed = true;
    for (weir->fail_nth = 1; weir->failed; weir->fail_nth++) {
        must(weir->fail_nth < 1000);
        if (try_ask(w, "POST", "/a", NULL, 0, "{\"x\":[1,\"two\"]}", &told))
            continue; /* there was none for the reply */
        check(told.status == 200 || told.status == 503, "%d %s", told.status, told.body);
        refused += told.status == 503;
    }
    check(told.status == 200 &&
              strcmp(told.body, "{\"a\":{\"x\":[1,\"two\"]},\"c\":[1],\"b\":[\"two\"]}") == 0,
        "%d %s", told.status, told.body);
    must(refused > 5);
    return 0;
}

/* Inline: what a flow that waits allocates, others allocate as well. */
static void test_memory_may_run_out_anywhere(void **state)
{
    struct weir weir;
    with_weir(&weir,
        "  - route: POST /a\n"
        "    dispatch: inline\n"
        "    nodes: {a: {step: echo, pool: here}, c: {step: echo, pool: here, input: "
        "['$body.x[0]']}, b: {step: echo, pool: here, input: ['$node.a.x[1]']}}\n",
        ask_without_memory);
}

TEST_FILE(step)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_time_is_accounted_for),
        cmocka_unit_test(test_a_client_that_leaves_ends_the_work),
        cmocka_unit_test(test_memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
