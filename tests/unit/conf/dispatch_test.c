/*
 * dispatch_test.c: keys that say where, in which order and how many at once: dispatch, priority,
 * max_in_flight, batch, and what bounds calls to other servers.
 */
#include "fixture.h"

#include <errno.h>

static const char example[] =
    "client: {adaptive: false, waiting: 7, send_deadline: true}\n"
    "pools: {cpu: {kind: processes}, here: {kind: inline}}\n"
    "steps:\n"
    "  tag: {plugin: ./tagger.so, batch: {max: 32, wait: 2ms}}\n"
    "  top: {plugin: ./tagger.so, batch: null}\n"
    "routes:\n"
    "- {route: /a, dispatch: fused, priority: -2, max_in_flight: 1, nodes: {a: {step: tag, pool: "
    "cpu}}}\n"
    "- {route: /b, dispatch: inline, priority: 2, nodes: {a: {step: top}, b: {step: tag, pool: "
    "here}, c: {http: 'http://a/'}, d: {http: {url: 'http://a/', send_deadline: false}}}}\n"
    "- {route: /c, dispatch: fanout, priority: $header.weir-priority, nodes: {a: {step: tag, pool: "
    "cpu}}}\n"
    "- {route: /d}\n";

static void check_example(const struct config *g)
{
    assert_false(g->client.adaptive);
    assert_int_equal(g->client.waiting, 7);
    assert_true(g->client.send_deadline);
    assert_int_equal(g->steps[0].batch.max, 32);
    assert_int_equal(g->steps[0].batch.wait, 2000000);
    assert_int_equal(g->steps[1].batch.max, 1);
    assert_int_equal(g->steps[1].batch.wait, 0);
    const struct conf_route *r = g->routes;
    assert_int_equal(r[0].dispatch, CONF_DISPATCH_FUSED);
    assert_true(span_equal(r[0].priority->text, SPAN("-2")));
    assert_int_equal(r[0].max_in_flight, 1);
    assert_int_equal(r[1].dispatch, CONF_DISPATCH_INLINE);
    assert_true(span_equal(r[1].priority->text, SPAN("2")));
    assert_int_equal(r[2].dispatch, CONF_DISPATCH_FANOUT);
    assert_int_equal(r[3].dispatch, CONF_DISPATCH_AUTO);
    assert_true(span_equal(r[2].priority->text, SPAN("$header.weir-priority")));
    assert_true(span_equal(r[3].priority->text, SPAN("0")));
    assert_int_equal(r[3].max_in_flight, 0);
    for (unsigned i = 0; i < g->route_count; i++)
        assert_int_equal(r[i].index, i);
}

static void they_are_read_printed_and_handed_on(void **state)
{
    struct conf *c = load_text(example);
    struct conf *back;
    struct conf_errors *errors = conf_errors_new();
    struct bytes out;
    check_example(conf_config(c));
    assert_shown(c, "\"send_deadline\":true},\"optional\"");
    assert_shown(c, "\"send_deadline\":false},\"optional\"");
    assert_non_null(errors);
    bytes_init(&out, 1 << 20);
    assert_int_equal(conf_write(c, &out), 0);
    assert_int_equal(conf_parse(&back, bytes_span(&out), &flow_kinds, errors), 0);
    check_example(conf_config(back));
    conf_free(back);
    bytes_reset(&out);
    assert_int_equal(conf_print(c, &out), 0);
    assert_int_equal(bytes_append_byte(&out, '\0'), 0);
    assert_non_null(strstr(out.ptr, "    batch:\n      max: 32\n      wait: 2ms\n"));
    assert_non_null(strstr(out.ptr, "    batch:\n      max: 1\n      wait: 0\n"));
    assert_non_null(strstr(out.ptr, "    dispatch: fused\n"
                                    "    retry: idempotent\n"
                                    "    priority: -2\n"
                                    "    max_in_flight: 1\n"));
    assert_non_null(strstr(out.ptr, "  adaptive: false\n  waiting: 7\n  send_deadline: true\n"));
    back = load_text(out.ptr);
    check_example(conf_config(back));
    conf_free(back);
    conf_free(c);
    conf_errors_free(errors);
    bytes_release(&out);
}

static void unless_they_are_given(void **state)
{
    struct conf *c = load_text("steps: {x: {step: burn}}\n"
                               "routes: [{route: /a, nodes: {a: {http: 'http://a/'}}}]");
    const struct config *g = conf_config(c);
    assert_true(g->client.adaptive);
    assert_int_equal(g->client.waiting, 1024);
    assert_false(g->client.send_deadline);
    assert_shown(c, "\"expect\":\"200-299\",\"send_deadline\":false}");
    assert_int_equal(g->steps[0].batch.max, 1);
    conf_free(c);
}

static const struct {
    const char *text;
    const char *told;
} bad[] = {
    {"routes:\n"
     "- {route: /a, dispatch: fusd, priority: 3, max_in_flight: -1}\n"
     "- {route: /b, dispatch: 1, priority: -3, max_in_flight: many}\n"
     "- {route: /c, priority: '1'}\n"
     "- {route: /d, priority: 1.0}",
        "weir.yaml:2:25: routes[0].dispatch: found 'fusd', expected auto, fused, fanout or "
        "inline; did you mean 'fused'?\n"
        "weir.yaml:2:41: routes[0].priority: found '3', expected a whole number from -2 to 2 or a "
        "reference such as $header.weir-priority\n"
        "weir.yaml:2:59: routes[0].max_in_flight: found '-1', expected a whole number from 0 to "
        "1000000\n"
        "weir.yaml:3:25: routes[1].dispatch: found '1', expected auto, fused, fanout or inline\n"
        "weir.yaml:3:38: routes[1].priority: found '-3', expected a whole number from -2 to 2 or a "
        "reference such as $header.weir-priority\n"
        "weir.yaml:3:57: routes[1].max_in_flight: found 'many', expected a whole number from 0 to "
        "1000000\n"
        "weir.yaml:4:25: routes[2].priority: found '1', expected a whole number from -2 to 2 or a "
        "reference such as $header.weir-priority; "
        "without the quotes it is one\n"
        "weir.yaml:5:25: routes[3].priority: found '1.0', expected a whole number from -2 to 2 or "
        "a reference such as $header.weir-priority\n"},
    {"steps:\n"
     "  a: {step: burn, batch: {max: 0, wait: 2}}\n"
     "  b: {step: burn, batch: 5}\n"
     "  c: {step: burn, batch: {size: 5, wait: 2s}}\n"
     "  d: {step: burn, batch: {max: 65}}",
        "weir.yaml:2:32: steps.a.batch.max: found '0', expected a whole number from 1 to 64\n"
        "weir.yaml:2:41: steps.a.batch.wait: found '2', expected a duration such as 250ms, 1.5s "
        "or 2m; the unit is missing: ns, us, ms, s, m or h\n"
        "weir.yaml:3:26: steps.b.batch: found '5', expected a map with any of the keys 'max' or "
        "'wait'\n"
        "weir.yaml:4:27: unknown key 'size' in steps.c.batch; expected one of 'max' or 'wait'\n"
        "weir.yaml:4:42: steps.c.batch.wait: found '2s', expected a duration from 0 to 1s\n"
        "weir.yaml:5:32: steps.d.batch.max: found '65', expected a whole number from 1 to 64\n"},
    {"pools: {cpu: {kind: processes}, new: {kind: fork}, here: {kind: inline}}\n"
     "routes:\n"
     "- route: /a\n"
     "  dispatch: inline\n"
     "  nodes: {a: {sleep: 1s}, b: {step: burn, pool: here}, c: {step: burn, pool: cpu}}\n"
     "- route: /b\n"
     "  nodes: {a: {step: burn, pool: new}, b: {step: burn, pool: cpu}}\n"
     "  dispatch: inline",
        "weir.yaml:4:13: routes[0].dispatch: found inline, but node 'c' runs in pool 'cpu' of "
        "kind processes, expected auto, fused or fanout; or a pool of kind inline or threads\n"
        "weir.yaml:8:13: routes[1].dispatch: found inline, but node 'a' runs in pool 'new' of "
        "kind fork, expected auto, fused or fanout; or a pool of kind inline or threads\n"},
    {"pools: {default: {kind: fork}}\n"
     "routes: [{route: /a, dispatch: inline, nodes: {a: {step: burn}}}]",
        "weir.yaml:2:32: routes[0].dispatch: found inline, but node 'a' runs in pool 'default' of "
        "kind fork, expected auto, fused or fanout; or a pool of kind inline or threads\n"},
};

static void each_mistake_has_its_sentence(void **state)
{
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct file file = {"weir.yaml", bad[i].text, 0};
        struct disk disk = {&file, 1, NULL, 0};
        struct bytes told;
        assert_null(load_from(&disk, "weir.yaml", &told));
        assert_string_equal(told.ptr, bad[i].told);
        bytes_release(&told);
    }
}

static bool life(void)
{
    struct conf_errors *errors = conf_errors_new();
    struct conf *c = NULL;
    struct bytes out;
    bytes_init(&out, 1 << 20);
    int rc = errors ? conf_parse(&c, span_of(example), &flow_kinds, errors) : -ENOMEM;
    if (rc == 0)
        rc = conf_print(c, &out);
    assert_true(rc == 0 || rc == -ENOMEM);
    bytes_release(&out);
    conf_free(c);
    conf_errors_free(errors);
    return rc == 0;
}

static void it_survives_the_loss_of_memory(void **state)
{
    torture(life);
}

TEST_FILE(dispatch)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_are_read_printed_and_handed_on),
        cmocka_unit_test(unless_they_are_given),
        cmocka_unit_test(each_mistake_has_its_sentence),
        cmocka_unit_test(it_survives_the_loss_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
