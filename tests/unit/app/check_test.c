/*
 * check_test.c: what is refused beyond a configuration's text, and what the command line overrides.
 */
#include "../check.h"

#include "app/check.h"
#include "app/override.h"
#include "flow/flow.h"

#include <errno.h>
#include <string.h>

static struct conf *must_parse(const char *text)
{
    struct conf_errors *errors = conf_errors_new();
    struct conf *conf = NULL;
    assert_non_null(errors);
    assert_int_equal(conf_parse(&conf, span_of(text), &flow_kinds, errors), 0);
    conf_errors_free(errors);
    return conf;
}

/* ---- Checks ---- */

/* Whether the one error says this; NULL: there is none. */
static void assert_says(const char *text, const char *sentence)
{
    struct conf *conf = must_parse(text);
    struct conf_errors *errors = conf_errors_new();
    struct bytes said;
    bytes_init(&said, 4096);
    int rc = app_check(conf, false, errors);
    assert_int_equal(rc, sentence ? -EINVAL : 0);
    assert_int_equal(conf_errors_count(errors), sentence != NULL);
    assert_int_equal(conf_errors_write(errors, &said), 0);
    assert_int_equal(bytes_append_byte(&said, '\0'), 0);
    if (sentence && !strstr(said.ptr, sentence))
        fail_msg("'%s' does not say '%s'", said.ptr, sentence);
    bytes_release(&said);
    conf_errors_free(errors);
    conf_free(conf);
}

#define ROUTE ", routes: [{route: GET /, reply: 1}]}"

static void addresses_are_checked(void **state)
{
    assert_says("{listen: [\"127.0.0.1:80\", \"[::1]:80\", \"unix:/run/a\"]" ROUTE, NULL);
    assert_says("{listen: [\"127.0.0.1:0\", \"[::1]:0\"]" ROUTE, NULL);
    assert_says("{listen: \"127.0.0.1:99\", admin: \"127.0.0.1:99\"" ROUTE, "the admin's address");
    assert_says("{listen: \"127.0.0.1:0\", admin: \"127.0.0.1:0\"" ROUTE, NULL);
    assert_says("{listen: [\"*:80\", \"[::]:80\"]" ROUTE, "twice");
}

static void a_configuration_without_routes_is_a_mistake(void **state)
{
    assert_says("{}", "configuration: no routes: every request would get a 404; 'weir init'");
    assert_says("{routes: []}", "no routes");
    assert_says("{listen: 8080}", "no routes");
}

/* What is told of a text, whatever is wrong with it; in lines. */
static void assert_told(const char *text, const char *told)
{
    struct conf_errors *errors = conf_errors_new();
    struct conf *conf;
    struct bytes said;
    assert_non_null(errors);
    bytes_init(&said, 64 * 1024);
    int rc = conf_parse(&conf, span_of(text), &flow_kinds, errors);
    assert_true(rc == 0 || rc == -EINVAL);
    if (conf) {
        rc = app_check(conf, false, errors);
        assert_int_equal(rc, -EINVAL);
    }
    conf_free(conf);
    assert_int_equal(conf_errors_write(errors, &said), 0);
    assert_int_equal(bytes_append_byte(&said, '\0'), 0);
    conf_errors_free(errors);
    assert_string_equal(said.ptr, told);
    bytes_release(&said);
}

#define AT "configuration:"

static void all_stages_tell_at_once(void **state)
{
    assert_told("lisen: 8080\n"
                "limits: {body: lots}\n"
                "routes:\n"
                "- {route: GET /a, reply: $node.x.body}\n"
                "- {route: GET /b, deadline: soon, reply: $node.y.body}\n"
                "- {route: GET /c/:id, reply: 1}\n"
                "- {route: GET /d, frobnicate: 1, deadlin: 1s, reply: $node.z}\n",
        AT
        "1:1: unknown key 'lisen' in the configuration; did you mean 'listen'?\n" AT
        "2:16: limits.body: found 'lots', expected a size such as 64KiB or 1MiB\n" AT
        "4:26: $node.x.body: there is no node 'x': the route has none\n" AT
        "5:29: routes[1].deadline: found 'soon', expected a duration such as 250ms, 1.5s or "
        "2m\n" AT "5:42: $node.y.body: there is no node 'y': the route has none\n" AT
        "6:11: route '/c/:id': found a segment that begins with ':', expected a text or a "
        "parameter; did you mean '{id}'? In a text ':' is %3A\n" AT
        "7:19: unknown key 'frobnicate' in routes[3]; expected one of 'route', 'name', "
        "'deadline', 'body', 'order', 'dispatch', 'retry', 'priority', 'max_in_flight', 'nodes', "
        "'reply', 'status' or 'headers'\n" AT
        "7:34: unknown key 'deadlin' in routes[3]; did you mean 'deadline'?\n" AT
        "7:54: $node.z: there is no node 'z': the route has none\n");
}

/* What follows from a mistake that was told is not told. */
static void a_mistake_is_told_once(void **state)
{
    assert_told("routes: [{route: GET /a, node: {x: {sleep: 1s}}, reply: $node.x}]",
        AT "1:26: unknown key 'node' in routes[0]; did you mean 'nodes'?\n");
    assert_told("routes: [{route: GET /a, nodes: {x: {slep: 1s}}, reply: $node.x}]",
        AT "1:38: unknown key 'slep' in routes[0].nodes.x; did you mean 'sleep'?\n");
    assert_told("routes: [{route: GET /a, nodes: {x: {frob: 1s}}, reply: $node.x}]",
        AT "1:38: unknown key 'frob' in routes[0].nodes.x; expected one of 'sleep', 'http', "
           "'reply', 'step', 'input', 'pool', 'deadline', 'optional' or 'default'\n");
    assert_told("{steps: [a], routes: [{route: GET /a, nodes: {x: {step: a}}}]}",
        AT "1:9: steps: found a list, expected a map of at most 1000 steps such as {tag: {plugin: "
           "./tagger.so}}\n");
    assert_told("{steps: {a: {pool: default}}, routes: [{route: GET /a, nodes: {x: {step: a}}}]}",
        AT "1:10: steps.a: found neither 'plugin' nor 'step', expected the file that has it, or "
           "the name of a built-in step\n");
    assert_told("routes: 5",
        AT "1:9: routes: found '5', expected a list of routes, each with '- ' before it\n");
    assert_told("listen: nowhere else\nroutes: [{reply: $node.x}, 7]", AT
        "1:9: listen: found 'nowhere else', expected an address such as 127.0.0.1:8080, "
        "localhost:8080, "
        "[::1]:8080, *:8080 or unix:/run/weir.sock, or a port\n" AT
        "2:10: routes[0]: the key 'route' is missing, expected one such as 'route: GET "
        "/hello/{name}'\n" AT
        "2:28: routes[1]: found '7', expected a map with any of the keys 'route', 'name', "
        "'deadline', 'body', 'order', 'dispatch', 'retry', 'priority', 'max_in_flight', 'nodes', "
        "'reply', 'status' or 'headers'\n");
}

static void foreign_parameters_get_a_hint(void **state)
{
    assert_says("{routes: [{route: '/<int:id>', reply: 1}]}", "did you mean '{id}'?");
    assert_says("{routes: [{route: '/<id>', reply: 1}]}", "did you mean '{id}'?");
    assert_says("{routes: [{route: '/files/*', reply: 1}]}", "'{rest...}'");
    assert_says("{routes: [{route: '/%3Aid/%2A/%3Cid>', reply: 1}]}", NULL);
    assert_says("{routes: [{route: '/a:b/<b/c>/:/:8', reply: 1}]}", NULL);
}

static void routes_are_checked(void **state)
{
    assert_says("{routes: [{route: \"GET /{a}\", reply: $path.a}]}", NULL);
    assert_says("{routes: [{route: \"GET /{a}\", reply: $path.b}]}", "b");
    assert_says(
        "{routes: [{route: \"GET /{a}\", reply: 1}, {route: \"GET /{b}\", reply: 2}]}", "/{a}");
    assert_says(
        "{routes: [{route: \"GET /{a}\", reply: 1}, {route: \"PUT /{b}\", reply: 2}]}", NULL);
}

static bool check_some(void)
{
    struct conf_errors *errors = conf_errors_new();
    struct conf *conf = NULL;
    int rc = errors ? conf_parse(&conf,
                          SPAN("{routes: [{route: \"GET /{a}\", nodes: {n: {sleep: 1s}}, "
                               "reply: {a: $path.a, n: $node.n}}]}"),
                          &flow_kinds, errors)
                    : -ENOMEM;
    if (rc == 0) {
        rc = app_check(conf, false, errors);
        conf_free(conf);
    }
    conf_errors_free(errors);
    return rc == 0;
}

static void checks_lose_nothing_without_memory(void **state)
{
    torture(check_some);
}

/* ---- Overrides ---- */

static const char all[] =
    "{\"listen\":[\"127.0.0.1:80\",\"127.0.0.1:81\"],\"threads\":3,"
    "\"log\":{\"level\":\"warn\",\"access\":false},"
    "\"routes\":[{\"route\":\"GET /\",\"reply\":{\"listen\":\"a,}\\\"\\\\\",\"log\":[1,{}]}}]}";

static int override_with(struct conf **conf, const struct overrides *o)
{
    struct conf_errors *errors = conf_errors_new();
    int rc = errors ? override_conf(conf, o, errors) : -ENOMEM;
    conf_errors_free(errors);
    return rc;
}

static void what_is_overridden_changes_and_nothing_else(void **state)
{
    struct conf *conf = must_parse(all);
    struct bytes before;
    struct bytes after;
    bytes_init(&before, 64 * 1024);
    bytes_init(&after, 64 * 1024);
    assert_int_equal(conf_node_write_json(conf_config(conf)->routes[0].reply, &before), 0);
    assert_int_equal(
        override_with(&conf, &(struct overrides){.listen = "[::1]:9", .log_level = "debug"}), 0);
    const struct config *c = conf_config(conf);
    assert_int_equal(c->listen_count, 1);
    assert_string_equal(c->listen[0].address, "[::1]:9");
    assert_int_equal(c->threads, 3);
    assert_int_equal(c->log.level, LOG_DEBUG);
    assert_int_equal(c->log.format, CONF_LOG_AUTO);
    assert_false(c->log.access);
    assert_int_equal(c->route_count, 1);
    assert_int_equal(conf_node_write_json(c->routes[0].reply, &after), 0);
    assert_true(span_equal(bytes_span(&before), bytes_span(&after)));
    bytes_release(&before);
    bytes_release(&after);
    conf_free(conf);
}

static void what_was_not_said_can_be_overridden(void **state)
{
    struct conf *conf = must_parse("{}");
    assert_int_equal(
        override_with(&conf, &(struct overrides){.listen = "*:1", .log_format = "json"}), 0);
    assert_string_equal(conf_config(conf)->listen[0].address, "*:1");
    assert_int_equal(conf_config(conf)->log.format, CONF_LOG_JSON);
    conf_free(conf);
}

static void a_bad_override_leaves_the_configuration(void **state)
{
    struct conf *conf = must_parse(all);
    assert_int_equal(override_with(&conf, &(struct overrides){.log_level = "loud"}), -EINVAL);
    assert_int_equal(conf_config(conf)->log.level, LOG_WARN);
    conf_free(conf);
}

static bool override_some(void)
{
    struct conf_errors *errors = conf_errors_new();
    struct conf *conf = NULL;
    int rc = errors ? conf_parse(&conf, span_of(all), &flow_kinds, errors) : -ENOMEM;
    if (rc == 0) {
        rc = override_with(&conf, &(struct overrides){"*:1", "off", "info", "json"});
        conf_free(conf);
    }
    conf_errors_free(errors);
    return rc == 0;
}

static void overriding_loses_nothing_without_memory(void **state)
{
    torture(override_some);
}

TEST_FILE(check)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_checked),
        cmocka_unit_test(a_configuration_without_routes_is_a_mistake),
        cmocka_unit_test(all_stages_tell_at_once),
        cmocka_unit_test(a_mistake_is_told_once),
        cmocka_unit_test(foreign_parameters_get_a_hint),
        cmocka_unit_test(routes_are_checked),
        cmocka_unit_test(checks_lose_nothing_without_memory),
        cmocka_unit_test(what_is_overridden_changes_and_nothing_else),
        cmocka_unit_test(what_was_not_said_can_be_overridden),
        cmocka_unit_test(a_bad_override_leaves_the_configuration),
        cmocka_unit_test(overriding_loses_nothing_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
