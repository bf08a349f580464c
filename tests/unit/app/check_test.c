/*
 * check_test.c: what is refused beyond a configuration's text, and what the command line overrides.
 */
#include "../check.h"

#include "app/check.h"
#include "app/override.h"

#include <errno.h>
#include <string.h>

static struct conf *must_parse(const char *text)
{
    struct conf_errors *errors = conf_errors_new();
    struct conf *conf = NULL;
    assert_non_null(errors);
    assert_int_equal(conf_parse(&conf, span_of(text), errors), 0);
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

static void addresses_are_checked(void **state)
{
    assert_says("{listen: [\"127.0.0.1:80\", \"[::1]:80\", \"unix:/run/a\"]}", NULL);
    assert_says("{listen: [\"127.0.0.1:0\", \"[::1]:0\"]}", NULL);
    assert_says("{listen: \"127.0.0.1:99\", admin: \"127.0.0.1:99\"}", "the admin's address");
    assert_says("{listen: \"127.0.0.1:0\", admin: \"127.0.0.1:0\"}", NULL);
    assert_says("{listen: [\"*:80\", \"[::]:80\"]}", "twice");
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
                          errors)
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
    int rc = errors ? conf_parse(&conf, span_of(all), errors) : -ENOMEM;
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
        cmocka_unit_test(routes_are_checked),
        cmocka_unit_test(checks_lose_nothing_without_memory),
        cmocka_unit_test(what_is_overridden_changes_and_nothing_else),
        cmocka_unit_test(what_was_not_said_can_be_overridden),
        cmocka_unit_test(a_bad_override_leaves_the_configuration),
        cmocka_unit_test(overriding_loses_nothing_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
