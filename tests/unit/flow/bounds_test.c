/*
 * bounds_test.c: how many and how long: deadlines of callers, turns of routes, calls that an
 * upstream bears, steps that are run together: a whole weir and its clients, simulated.
 */
#include "world.h"

/* ---- Several at once ---- */

#define CLIENTS_MAX 48

struct one {
    struct world *w;
    const char *method;
    const char *target;
    const char *body;
    const struct http_field *field; /* NULL: none */
    int64_t after;                  /* begins so many milliseconds later */
    struct told told;
    int64_t ended; /* in milliseconds */
};

static int ask_one(void *arg)
{
    struct one *one = arg;
    must_sleep(one->w, one->after * NS_PER_MS);
    ask(one->w, one->method, one->target, one->field, one->field ? 1 : 0, one->body, &one->told);
    one->ended = world_now(one->w) / NS_PER_MS;
    return 0;
}

/* `told` is large: they stand in static memory, as only one test runs. */
static struct one ones[CLIENTS_MAX];

static void ask_many(struct world *w, unsigned count, const char *target, const char *body)
{
    GROUP(all, GROUP_FAIL_FAST);
    for (unsigned i = 0; i < count; i++) {
        ones[i] = (struct one){
            .w = w, .method = "POST", .target = target, .body = body, .after = (int64_t)i};
        must(group_spawn(&all, "a client", ask_one, &ones[i]) == 0);
    }
    must(group_wait(&all) == 0);
}

/* ---- Turns ---- */

static int ask_in_turn(struct world *w, struct weir *weir)
{
    ask_many(w, 6, "/one", NULL);
    for (unsigned i = 0; i < 6; i++) {
        check(ones[i].told.status == 200, "%u: %s", i, ones[i].told.body);
        check(i == 0 || ones[i].ended - ones[i - 1].ended >= 20, "%u and %u overlap", i - 1, i);
        check(ones[i].told.ms <= 20 * (i + 1) + 10, "%u: %d ms", i, (int)ones[i].told.ms);
    }
    double queue, cpu, wait, io;
    must(sscanf(ones[5].told.timing, "queue;dur=%lf, cpu;dur=%lf, wait;dur=%lf, io;dur=%lf", &queue,
             &cpu, &wait, &io) == 4);
    check(
        queue > 85 && queue < 105 && wait >= 20 && wait < 25 && io < 5, "%s", ones[5].told.timing);
    ask_many(w, 6, "/two", NULL);
    check(ones[5].told.ms >= 55 && ones[5].told.ms < 75, "%d ms", (int)ones[5].told.ms);
    ask_many(w, 6, "/all", NULL);
    check(ones[5].told.ms < 30, "%d ms", (int)ones[5].told.ms);
    return 0;
}

static void only_so_many_are_in_flight(void **state)
{
    struct weir weir;
    with_weir(&weir,
        "  - {route: POST /one, max_in_flight: 1, nodes: {a: {sleep: 20ms}}}\n"
        "  - {route: POST /two, max_in_flight: 2, nodes: {a: {sleep: 20ms}}}\n"
        "  - {route: POST /all, nodes: {a: {sleep: 20ms}}}\n",
        ask_in_turn);
}

static int ask_too_much(struct world *w, struct weir *weir)
{
    struct told told;
    ask(w, "POST", "/one", NULL, 0, NULL, &told); /* so that it is known how long one takes */
    ask_many(w, 6, "/one", NULL);
    unsigned refused = 0;
    for (unsigned i = 0; i < 6; i++) {
        const struct told *t = &ones[i].told;
        if (t->status == 200)
            continue;
        refused++;
        check(t->status == 503 && strcmp(t->problem, "overloaded") == 0, "%s", t->body);
        check(t->retry_after == 2, "Retry-After: %d", t->retry_after);
        check(t->ms < 5, "a refusal took %d ms", (int)t->ms);
    }
    check(refused == 4, "%u were refused", refused); /* one runs, one waits: 1.8 s of 2 */
    return 0;
}

static void who_would_wait_in_vain_is_refused_at_once(void **state)
{
    struct weir weir;
    with_weir(&weir,
        "  - {route: POST /one, deadline: 1999ms, max_in_flight: 1, nodes: {a: {sleep: 900ms}}}\n",
        ask_too_much);
}

/* Connects, asks, and leaves before its turn. */
static int leave_the_line(struct world *w, struct weir *weir)
{
    struct address to;
    struct stream *first, *second;
    struct told told;
    must(world_resolve(w, "here", WEIR_PORT, &to, 1) == 1);
    must(world_connect(w, &to, &first) == 0);
    must(world_connect(w, &to, &second) == 0);
    must(send_text(first, "POST /one HTTP/1.1\r\nHost: here\r\n\r\n") == 0);
    must_sleep(w, 20 * NS_PER_MS);
    must(send_text(second, "POST /one HTTP/1.1\r\nHost: here\r\n\r\n") == 0);
    must_sleep(w, 20 * NS_PER_MS);
    must(weir->under_way == 2);
    stream_close(second);
    must_sleep(w, 20 * NS_PER_MS);
    must(weir->under_way == 1);
    stream_close(first); /* whose turn is over with it */
    must_sleep(w, 20 * NS_PER_MS);
    must(weir->under_way == 0);
    ask(w, "POST", "/one", NULL, 0, NULL, &told);
    check(told.status == 504 && told.ms >= 200 && told.ms < 215, "%d ms: %s", (int)told.ms,
        told.body);
    check(strstr(told.body, "it waited for node 'a'"), "it had no turn: %s", told.body);
    return 0;
}

static void who_leaves_the_line_is_forgotten(void **state)
{
    struct weir weir;
    with_weir(&weir,
        "  - {route: POST /one, deadline: 200ms, max_in_flight: 1, nodes: {a: {sleep: 2s}}}\n",
        leave_the_line);
}

/* ---- Deadlines of callers ---- */

static const struct {
    const char *says[2];
    int status;
    const char *reply; /* a part of it */
    int64_t ms;
} callers[] = {
    {{NULL, NULL}, 504, "the route's deadline of 200 ms; it waited for node 'a'", 200},
    {{"50", NULL}, 504, "the caller's deadline of 50 ms; it waited for node 'a'", 50},
    {{"200", NULL}, 504, "the route's deadline of 200 ms", 200},
    {{"100000", NULL}, 504, "the route's deadline of 200 ms", 200},
    {{"99999999999999999999999999", NULL}, 504, "the route's deadline of 200 ms", 200},
    {{"0", NULL}, 408, "the caller's time is over already", 0},
    {{"-1", NULL}, 400, "whole milliseconds", 0},
    {{"1.5", NULL}, 400, "whole milliseconds", 0},
    {{"", NULL}, 400, "whole milliseconds", 0},
    {{"soon", NULL}, 400, "whole milliseconds", 0},
    {{"50", "50"}, 400, "once", 0},
};

static int ask_in_a_hurry(struct world *w, struct weir *weir)
{
    for (size_t i = 0; i < sizeof callers / sizeof *callers; i++) {
        struct told told;
        struct http_field fields[2];
        unsigned count = 0;
        for (; count < 2 && callers[i].says[count]; count++)
            fields[count] =
                (struct http_field){SPAN("weir-DEADLINE"), span_of(callers[i].says[count])};
        ask(w, "GET", "/slow", fields, count, NULL, &told);
        check(told.status == callers[i].status && strstr(told.body, callers[i].reply), "%zu: %d %s",
            i, told.status, told.body);
        check(told.ms >= callers[i].ms && told.ms < callers[i].ms + 10, "%zu: %d ms", i,
            (int)told.ms);
        check(strcmp(told.problem, told.status == 400 ? "invalid-deadline" : "deadline") == 0, "%s",
            told.problem);
    }
    return 0;
}

static void a_callers_deadline_is_obeyed(void **state)
{
    struct weir weir;
    with_weir(&weir, "  - {route: GET /slow, deadline: 200ms, nodes: {a: {sleep: 10s}}}\n",
        ask_in_a_hurry);
}

/* Behind one that has the only worker, the second of two hurries. */
static void ask_in_line(struct world *w, const char *target)
{
    static const struct http_field hurry = {SPAN("Weir-Deadline"), SPAN("900")};
    GROUP(all, GROUP_FAIL_FAST);
    for (unsigned i = 0; i < 3; i++) {
        ones[i] = (struct one){.w = w,
            .method = "POST",
            .target = target,
            .field = i == 2 ? &hurry : NULL,
            .after = (int64_t)i};
        must(group_spawn(&all, "a client", ask_one, &ones[i]) == 0);
    }
    must(group_wait(&all) == 0);
    for (unsigned i = 0; i < 3; i++)
        check(ones[i].told.status == 200 && ones[i].told.ms >= 95 * (i + 1), "%s: %u: %s", target,
            i, ones[i].told.body);
}

static int ask_in_lines(struct world *w, struct weir *weir)
{
    ask_in_line(w, "/needed");
    ask_in_line(w, "/optional");
    ask_in_line(w, "/hurried");
    return 0;
}

static void who_hurries_waits_like_others(void **state)
{
    struct weir weir;
    with_weir(&weir,
        "  - {route: POST /needed, deadline: 2s, nodes: {a: {step: burn, pool: cpu, input: 100}}}\n"
        "  - {route: POST /optional, deadline: 2s, nodes: {a: {step: burn, pool: cpu, input: 100, "
        "optional: true}}}\n"
        "  - {route: POST /hurried, deadline: 2s, nodes: {a: {step: burn, pool: cpu, input: 100, "
        "deadline: 1s}}}\n",
        ask_in_lines);
}

/* What the upstream was told, in milliseconds; -1: nothing. */
static int said_in(const struct told *told, const char *from)
{
    int ms = -1;
    const char *at = strstr(from ? strstr(told->body, from) : told->body, "Weir-Deadline\":\"");
    if (at)
        must(sscanf(at, "Weir-Deadline\":\"%d\"", &ms) == 1);
    return ms;
}

static int ask_what_is_said(struct world *w, struct weir *weir)
{
    struct told told;
    const struct http_field hurry = {SPAN("Weir-Deadline"), SPAN("70")};
    ask(w, "GET", "/said", NULL, 0, NULL, &told);
    check(told.status == 200 && said_in(&told, NULL) > 470 && said_in(&told, NULL) < 480, "%s",
        told.body);
    ask(w, "GET", "/said", &hurry, 1, NULL, &told);
    check(told.status == 200 && said_in(&told, NULL) > 40 && said_in(&told, NULL) < 50, "%s",
        told.body);
    ask(w, "GET", "/node", NULL, 0, NULL, &told);
    check(said_in(&told, NULL) > 90 && said_in(&told, NULL) <= 100, "%s", told.body);
    ask(w, "GET", "/unsaid", NULL, 0, NULL, &told);
    check(told.status == 200 && said_in(&told, NULL) == -1, "%s", told.body);
    ask(w, "GET", "/own", NULL, 0, NULL, &told);
    check(told.status == 200 && said_in(&told, NULL) == 7, "%s", told.body);
    ask(w, "GET", "/several", NULL, 0, NULL, &told);
    check(told.status == 200 && said_in(&told, NULL) > 490, "%s", told.body);
    return 0;
}

static void the_time_that_is_left_is_sent_on(void **state)
{
    struct weir weir;
    with_weir_and(&weir, "client: {send_deadline: true}\n",
        "  - {route: GET /said, deadline: 500ms, nodes: {z: {sleep: 21ms}, a: {http: "
        "'http://there:9001/echo?$node.z'}}, reply: $node.a.body}\n"
        "  - {route: GET /node, deadline: 500ms, nodes: {a: {deadline: 100ms, http: "
        "'http://there:9001/echo'}}, reply: $node.a.body}\n"
        "  - {route: GET /unsaid, nodes: {a: {http: {url: 'http://there:9001/echo', send_deadline: "
        "false}}}, reply: $node.a.body}\n"
        "  - {route: GET /own, nodes: {a: {http: {url: 'http://there:9001/echo', headers: "
        "{Weir-Deadline: 7}}}}, reply: $node.a.body}\n"
        "  - {route: GET /several, deadline: 500ms, nodes: {a: {http: {url: "
        "'http://there:9001/echo', times: 3}}}, reply: '$node.a[2].body'}\n",
        ask_what_is_said);
}

/* ---- What an upstream bears ---- */

static int ask_more_than_it_bears(struct world *w, struct weir *weir)
{
    ask_many(w, 6, "/slow", NULL);
    for (unsigned i = 0; i < 6; i++) {
        const struct told *t = &ones[i].told;
        if (i < 4) {
            check(t->status == 200, "%u: %s", i, t->body);
            check(t->ms >= (i < 2 ? 100 : 195) && t->ms < (i < 2 ? 120 : 220), "%u: %d ms", i,
                (int)t->ms);
        } else {
            check(t->status == 503 && strcmp(t->problem, "overloaded") == 0, "%u: %s", i, t->body);
            check(strstr(t->body, "node 'a': 2 calls to http://there:9001"), "%s", t->body);
            check(t->retry_after == 1 && t->ms < 5, "%d s, %d ms", t->retry_after, (int)t->ms);
        }
    }
    ask_many(w, 6, "/maybe", NULL);
    for (unsigned i = 0; i < 6; i++)
        check(ones[i].told.status == 200, "%u: %s", i, ones[i].told.body);
    check(strstr(ones[5].told.body, "later"), "%s", ones[5].told.body);
    return 0;
}

static void calls_beyond_the_limit_wait_and_are_refused(void **state)
{
    struct weir weir;
    with_weir_and(&weir, "client: {in_use: 2, waiting: 2}\n",
        "  - {route: POST /slow, nodes: {a: {http: 'http://there:9001/slow/100'}}}\n"
        "  - {route: POST /maybe, nodes: {a: {http: 'http://there:9001/slow/100', optional: true, "
        "default: later}}}\n",
        ask_more_than_it_bears);
}

static int ask_without_a_bound(struct world *w, struct weir *weir)
{
    ask_many(w, 6, "/slow", NULL);
    for (unsigned i = 0; i < 6; i++)
        check(ones[i].told.status == 200, "%u: %s", i, ones[i].told.body);
    return 0;
}

static void the_limit_can_be_switched_off(void **state)
{
    struct weir weir;
    with_weir_and(&weir, "client: {in_use: 2, waiting: 0, adaptive: false}\n",
        "  - {route: POST /slow, nodes: {a: {http: 'http://there:9001/slow/100'}}}\n",
        ask_without_a_bound);
}

/* Calls that take 100 ms, then many that are told 404 at once: how long the former take then, many
 * at a time. */
static int64_t ask_after_quick_ones(struct world *w, const char *path, int quick_status)
{
    char slow[64];
    char fast[64];
    struct told told;
    snprintf(slow, sizeof(slow), "%s?kind=slow&n=100", path);
    snprintf(fast, sizeof(fast), "%s?kind=status&n=404", path);
    for (unsigned i = 0; i < 50; i++)
        ask(w, "GET", slow, NULL, 0, NULL, &told);
    for (unsigned i = 0; i < 500; i++) {
        ask(w, "GET", fast, NULL, 0, NULL, &told);
        check(told.status == quick_status, "%d %s", told.status, told.body);
        must_sleep(w, 5 * NS_PER_MS);
    }
    int64_t longest = 0;
    for (unsigned round = 0; round < 4; round++) {
        ask_many(w, CLIENTS_MAX, slow, NULL);
        for (unsigned i = 0; i < CLIENTS_MAX; i++)
            longest = ones[i].told.ms > longest ? ones[i].told.ms : longest;
    }
    return longest;
}

/* A failure that comes at once says nothing of what the upstream bears; an answer that is expected
 * does: what takes much longer than that usually takes is held back. */
static int ask_what_tells(struct world *w, struct weir *weir)
{
    int64_t unexpected = ask_after_quick_ones(w, "/usual", 502);
    int64_t expected = ask_after_quick_ones(w, "/expects", 200);
    check(unexpected < 120, "%d ms: quick failures count", (int)unexpected);
    check(expected > 180, "%d ms: expected answers do not count", (int)expected);
    return 0;
}

static void quick_failures_do_not_tell_what_an_upstream_bears(void **state)
{
    struct weir weir;
    with_weir(&weir,
        "  - {route: /usual, nodes: {a: {http: 'http://there:9001/$query.kind/$query.n'}}}\n"
        "  - {route: /expects, nodes: {a: {http: {url: 'http://there:9001/$query.kind/$query.n', "
        "expect: [200, 404]}}}}\n",
        ask_what_tells);
}

/* ---- Steps together ---- */

static const struct {
    const char *nodes;
    const char *body;
    int status;
    const char *reply; /* a part of it */
    int64_t ms;
} together[] = {
    /* One that is late has its default, the others answer. */
    {"nodes: {slow: {step: burn, pool: two, input: 900, deadline: 50ms, optional: true, default: "
     "late}, fast: {step: echo, pool: two}}",
        "[1]", 200, "{\"slow\":\"late\",\"fast\":[1]}", 50},
    {"nodes: {slow: {step: burn, pool: two, input: 900, deadline: 50ms, optional: true}, fast: "
     "{step: echo, pool: two}, wait: {sleep: 60ms}}",
        "[1]", 200, "{\"slow\":null,\"fast\":[1],\"wait\":null}", 60},
    /* Several fail: each has its own default; the first that may not fail is told. */
    {"nodes: {a: {step: burn, pool: two, optional: true, default: A}, b: {step: burn, pool: two, "
     "optional: true, default: B}, c: {step: echo, pool: two}}",
        "-1", 200, "{\"a\":\"A\",\"b\":\"B\",\"c\":-1}", 0},
    {"nodes: {a: {step: burn, pool: two, optional: true}, b: {step: burn, pool: two}, c: {step: "
     "burn, pool: two}}",
        "-1", 422, "node 'b': burn wants", 0},
    {"nodes: {a: {step: echo, pool: two}, b: {step: burn, pool: two, deadline: 30ms, input: 900}}",
        "1", 504, "node 'b' had no value within its deadline of 30 ms", 30},
    {"deadline: 40ms, nodes: {a: {step: echo, pool: two}, b: {step: burn, pool: two, input: 900, "
     "optional: true}}",
        "1", 200, "{\"a\":1,\"b\":null}", 36},
    {"deadline: 40ms, nodes: {a: {step: echo, pool: two, optional: true}, b: {step: burn, pool: "
     "two, input: 900}}",
        "1", 504, "the route's deadline of 40 ms", 40},
    /* What one of them is given cannot be made. */
    {"nodes: {a: {step: echo, pool: two, input: $query.q}, b: {step: echo, pool: two}}", "1", 400,
        "invalid-query", 0},
    {"nodes: {a: {step: echo, pool: two, input: $query.q, optional: true}, b: {step: echo, pool: "
     "two}}",
        "1", 200, "{\"a\":null,\"b\":1}", 0},
    /* A value that others look into; dependents of all of them. */
    {"nodes: {a: {step: echo, pool: two, input: {n: 1}}, b: {step: echo, pool: two, input: {n: "
     "2}}, "
     "c: {step: echo, pool: two, input: [$node.a.n, $node.b.n]}, d: {reply: [$node.a, $node.b]}}",
        NULL, 200, "\"c\":[1,2],\"d\":[{\"n\":1},{\"n\":2}]}", 0},
    /* Two pools, and what waits, at once. */
    {"nodes: {a: {step: burn, pool: two, input: 30}, b: {step: burn, pool: cpu, input: 30}, w: "
     "{sleep: 30ms}}",
        NULL, 200, "\"w\":null}", 30},
};

static const char *const dispatches[] = {"auto", "fanout", "fused"};
static size_t current;

static int ask_together(struct world *w, struct weir *weir)
{
    struct told told;
    ask(w, "POST", "/t?q=%zz", NULL, 0, together[current].body, &told);
    check(told.status == together[current].status && strstr(told.body, together[current].reply),
        "%s: %d %s", together[current].nodes, told.status, told.body);
    check(told.ms >= together[current].ms && told.ms < together[current].ms + 15, "%s: %d ms",
        together[current].nodes, (int)told.ms);
    return 0;
}

static void steps_are_run_together(void **state)
{
    for (size_t k = 0; k < sizeof dispatches / sizeof *dispatches; k++)
        for (current = 0; current < sizeof together / sizeof *together; current++) {
            struct weir weir;
            char routes[2048];
            snprintf(routes, sizeof routes, "  - {route: POST /t, dispatch: %s, %s}\n",
                dispatches[k], together[current].nodes);
            with_weir(&weir, routes, ask_together);
        }
}

/* The chain behind the fast one is not held up by the slow one that it does not need. */
static int ask_for_a_chain(struct world *w, struct weir *weir)
{
    struct told told;
    ask(w, "POST", "/chain", NULL, 0, NULL, &told);
    check(
        told.status == 200 && told.ms >= 60 && told.ms < 75, "%d ms: %s", (int)told.ms, told.body);
    return 0;
}

static void nobody_waits_for_a_step_that_it_does_not_need(void **state)
{
    struct weir weir;
    with_weir(&weir,
        "  - {route: POST /chain, dispatch: fanout, nodes: {slow: {step: burn, pool: two, input: "
        "60}, fast: {step: burn, pool: two, input: 10}, next: {step: burn, pool: two, input: {ms: "
        "40, of: $node.fast}}}}\n",
        ask_for_a_chain);
}

/* ---- Made and counted ---- */

static const char bounded[] =
    "upstreams: {two: {servers: ['127.0.0.1:1', '127.0.0.1:2']}}\n"
    "routes:\n"
    "  - {route: /a, max_in_flight: 3, nodes: {a: {http: 'http://x/'}, b: {sleep: 1s}}}\n"
    "  - {route: /b, nodes: {a: {http: 'http://x/'}, b: {http: 'http://x/'}}}\n";

static struct configured tortured;

static void check_figures(const char *text)
{
    assert_non_null(strstr(text, "weir_route_in_flight{route=\"/a\"} 0\n"));
    assert_null(strstr(text, "weir_route_in_flight{route=\"/b\"}"));
    assert_non_null(strstr(text, "weir_upstream_limit{upstream=\"http://x\"} 0\n"));
    assert_non_null(strstr(
        text, "weir_upstream_server_calls_total{upstream=\"two\",server=\"127.0.0.1:2\"} 0\n"));
}

static bool life_of_locals(void)
{
    const struct config *config = conf_config(tortured.conf);
    struct flow *flows[2] = {NULL, NULL};
    struct flow_metrics *metrics = NULL;
    struct flow_locals *locals = NULL;
    struct meter *meter = NULL;
    struct upstreams *upstreams = NULL;
    struct flow_links links = {.config = config};
    int rc = meter_new(&meter, 2);
    if (rc == 0)
        rc = upstreams_new(&upstreams, config);
    links.upstreams = upstreams;
    for (unsigned i = 0; rc == 0 && i < 2; i++)
        rc = flow_compile(&flows[i], &config->routes[i], &links, tortured.errors);
    const struct flow *const *all = (const struct flow *const *)flows;
    if (rc == 0)
        rc = flow_metrics_new(&metrics, meter, all, 2);
    if (rc == 0)
        rc = upstreams_register(upstreams, meter);
    if (rc == 0)
        rc = flow_locals_new(&locals, all, 2, metrics, 1);
    struct bytes text;
    bytes_init(&text, 1 << 20);
    if (rc == 0) {
        meter_seal(meter);
        rc = meter_write(meter, &text);
    }
    if (rc == 0)
        rc = bytes_append_byte(&text, '\0');
    if (rc == 0)
        check_figures(text.ptr);
    assert_true(rc == 0 || rc == -ENOMEM);
    bytes_release(&text);
    flow_locals_free(locals);
    flow_metrics_free(metrics);
    meter_free(meter);
    flow_free(flows[0]);
    flow_free(flows[1]);
    upstreams_free(upstreams);
    return rc == 0;
}

static void what_is_bounded_is_counted(void **state)
{
    tortured = configure(bounded);
    assert_true(life_of_locals());
    torture(life_of_locals);
    unconfigure(&tortured);
}

TEST_FILE(bounds)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_bounded_is_counted),
        cmocka_unit_test(only_so_many_are_in_flight),
        cmocka_unit_test(who_would_wait_in_vain_is_refused_at_once),
        cmocka_unit_test(who_leaves_the_line_is_forgotten),
        cmocka_unit_test(a_callers_deadline_is_obeyed),
        cmocka_unit_test(who_hurries_waits_like_others),
        cmocka_unit_test(the_time_that_is_left_is_sent_on),
        cmocka_unit_test(calls_beyond_the_limit_wait_and_are_refused),
        cmocka_unit_test(the_limit_can_be_switched_off),
        cmocka_unit_test(quick_failures_do_not_tell_what_an_upstream_bears),
        cmocka_unit_test(steps_are_run_together),
        cmocka_unit_test(nobody_waits_for_a_step_that_it_does_not_need),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
