/*
 * Calls of an upstream: a whole weir before servers of which one works, one breaks connections and
 * one is not there, simulated.
 */
#include "world.h"

#include <stdio.h>

#define ALL  "'there:9003', 'there:9002', 'there:9001'"
#define MANY 40

static const char upstreams[] =
    "upstreams:\n"
    "  all: {servers: [" ALL "], eject: {failures: 0}}\n"
    "  in_turn: {servers: [" ALL "], balance: round_robin, eject: {failures: 0}}\n"
    "  breaking: {servers: ['there:9002', 'there:9001'], balance: round_robin, eject: {failures: "
    "0}}\n"
    "  refusing: {servers: ['there:9003', 'there:9001'], balance: round_robin, eject: {failures: "
    "0}}\n"
    "  ejecting: {servers: [" ALL
    "], balance: round_robin, retry: {attempts: 1}, eject: {failures: "
    "3, time: 10s}}\n"
    "  good: {servers: ['there:9001']}\n"
    "  slow: {servers: ['there:9001'], retry: {attempts: 2, per_try: 100ms, backoff: 0}}\n"
    "  gone: {servers: ['there:9003']}\n"
    "  checked: {servers: [" ALL "], retry: {attempts: 1}, eject: {failures: 0}, health: {path: "
    "/ok, interval: 100ms, fall: 1, rise: 1}}\n";

static const char routes[] =
    "  - {route: 'GET /get/{u}', nodes: {a: {http: {upstream: all, path: '/echo?$path.u'}}}}\n"
    "  - {route: GET /in_turn, nodes: {a: {http: {upstream: in_turn, path: /echo}}}}\n"
    "  - {route: POST /breaking, nodes: {a: {http: {upstream: breaking, path: /echo, body: x}}}}\n"
    "  - {route: POST /safe, retry: safe, nodes: {a: {http: {upstream: breaking, path: /echo, "
    "body: "
    "x}}}}\n"
    "  - {route: POST /keyed, nodes: {a: {http: {upstream: breaking, path: /echo, body: x, "
    "headers: "
    "{Idempotency-Key: 7}}}}}\n"
    "  - {route: POST /refusing, nodes: {a: {http: {upstream: refusing, path: /echo, body: x}}}}\n"
    "  - {route: GET /ejecting, nodes: {a: {http: {upstream: ejecting, path: /echo}}}}\n"
    "  - {route: 'GET /status/{s}', nodes: {a: {http: {upstream: good, path: /status/$path.s}}}}\n"
    "  - {route: GET /slow, deadline: 5s, nodes: {a: {http: {upstream: slow, path: /slow/1000}}}}\n"
    "  - {route: GET /hurry, deadline: 150ms, nodes: {a: {http: {upstream: slow, path: "
    "/slow/1000}}}}\n"
    "  - {route: GET /gone, nodes: {a: {http: {upstream: gone, path: /}}}}\n"
    "  - {route: GET /checked, nodes: {a: {http: {upstream: checked, path: /echo}}}}\n";

static const char counted[] =
    "  - {route: GET /counted, nodes: {a: {http: {upstream: refusing, path: /}}}, reply: "
    "[$node.a.attempts, $node.a.server], headers: {Weir-Attempts: $node.a.attempts}}\n";

/* How many of so many requests are answered with 200. */
static unsigned good_of(struct world *w, const char *method, const char *target, unsigned count)
{
    struct told told;
    unsigned good = 0;
    for (unsigned i = 0; i < count; i++) {
        ask(w, method, target, NULL, 0, NULL, &told);
        good += told.status == 200;
        check(
            told.status == 200 || told.status == 502, "%s: %d %s", target, told.status, told.body);
    }
    return good;
}

static int ask_before_broken_servers(struct world *w, struct weir *weir)
{
    check(good_of(w, "GET", "/get/x", MANY) == MANY, "a GET was not tried again");
    check(good_of(w, "GET", "/in_turn", MANY) == MANY, "nor by round robin");
    /* Each second one meets the server that breaks the connection when it has read. */
    unsigned good = good_of(w, "POST", "/breaking", MANY);
    check(good == MANY / 2, "%u of %u, though a POST is not tried again", good, MANY);
    check(good_of(w, "POST", "/safe", MANY) == MANY, "a POST that is safe was not tried again");
    check(good_of(w, "POST", "/keyed", MANY) == MANY, "nor one with an Idempotency-Key");
    check(good_of(w, "POST", "/refusing", MANY) == MANY, "nor one that was never sent");
    return 0;
}

static void a_call_is_tried_again_where_it_can_be(void **state)
{
    struct weir weir;
    with_weir_and(&weir, upstreams, routes, ask_before_broken_servers);
}

static int ask_how_often(struct world *w, struct weir *weir)
{
    struct told told;
    ask(w, "GET", "/counted", NULL, 0, NULL, &told); /* in turn: the first is not there */
    check(strcmp(told.body, "[2,\"there:9001\"]") == 0, "%s", told.body);
    ask(w, "GET", "/counted", NULL, 0, NULL, &told);
    check(strcmp(told.body, "[2,\"there:9001\"]") == 0, "%s", told.body);
    return 0;
}

static void attempts_can_be_told(void **state)
{
    struct weir weir;
    with_weir_and(&weir, upstreams, counted, ask_how_often);
}

static int ask_until_ejected(struct world *w, struct weir *weir)
{
    good_of(w, "GET", "/ejecting", 9);
    check(good_of(w, "GET", "/ejecting", MANY) == MANY, "servers that fail are not ejected");
    must_sleep(w, 60 * NS_PER_S);
    check(good_of(w, "GET", "/ejecting", MANY) < MANY, "they are never tried again");
    check(good_of(w, "GET", "/ejecting", MANY) == MANY, "nor ejected again");
    return 0;
}

static void servers_that_fail_are_ejected_for_a_time(void **state)
{
    struct weir weir;
    with_weir_and(&weir, upstreams, routes, ask_until_ejected);
}

static int ask_for_failures(struct world *w, struct weir *weir)
{
    struct told told;
    ask(w, "GET", "/status/503", NULL, 0, NULL, &told);
    check(told.status == 502 && strstr(told.body, "upstream 'good' answered with 503"), "%s",
        told.body);
    ask(w, "GET", "/status/404", NULL, 0, NULL, &told);
    check(told.status == 502 && told.ms < 10, "%d ms: %s", (int)told.ms, told.body);
    ask(w, "GET", "/slow", NULL, 0, NULL, &told);
    check(told.status == 504 && told.ms >= 200 && told.ms < 220, "%d ms: %s", (int)told.ms,
        told.body);
    ask(w, "GET", "/hurry", NULL, 0, NULL, &told);
    check(told.status == 504 && told.ms >= 150 && told.ms < 160, "%d ms: %s", (int)told.ms,
        told.body);
    ask(w, "GET", "/gone", NULL, 0, NULL, &told);
    check(told.status == 502 && strstr(told.body, "cannot connect"), "%s", told.body);
    return 0;
}

static void the_last_attempts_outcome_counts(void **state)
{
    struct weir weir;
    with_weir_and(&weir, upstreams, routes, ask_for_failures);
}

static int ask_the_checked(struct world *w, struct weir *weir)
{
    must_sleep(w, NS_PER_S);
    check(good_of(w, "GET", "/checked", MANY) == MANY, "a server that is down gets calls");
    return 0;
}

static void health_checks_find_who_is_down(void **state)
{
    struct weir weir;
    with_weir_and(&weir, upstreams, routes, ask_the_checked);
}

TEST_FILE(upstream)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_is_tried_again_where_it_can_be),
        cmocka_unit_test(attempts_can_be_told),
        cmocka_unit_test(servers_that_fail_are_ejected_for_a_time),
        cmocka_unit_test(the_last_attempts_outcome_counts),
        cmocka_unit_test(health_checks_find_who_is_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
