/*
 * work_test.c: pools, steps, and the nodes that use them: what is read, and that it is printed and
 * handed on. What is refused: work_bad_test.c.
 */
#include "fixture.h"

#include "base/time.h"

static const char example[] =
    "pools:\n"
    "  cpu: {kind: processes, size: 4, queue: 10, start: 5s, nice: 0, step_threads: 2, value: "
    "1MiB,\n"
    "        max_tasks: 100, memory: 1GiB, hard_timeout: 2s, on_cancel: kill}\n"
    "  here: {kind: inline}\n"
    "  new: {kind: fork, size: auto, memory: 64MiB}\n"
    "  plain:\n"
    "steps:\n"
    "  tag: {plugin: ./tagger.so, pool: cpu, retry: true,\n"
    "        options: {model: /srv/m, limit: 5, text: $body.x, more: [null, true, '5']}}\n"
    "  topic: {plugin: lib/../topic.so, step: topic_1}\n"
    "  busy: {step: burn, pool: here, options: }\n"
    "  far: {plugin: /opt/far.so, options: null}\n"
    "server_timing: false\n"
    "errors: full\n"
    "routes:\n"
    "  - route: POST /tag\n"
    "    nodes:\n"
    "      a: {step: tag}\n"
    "      b: {step: tag, input: {text: $body.text}, pool: new, deadline: 1s, optional: true, "
    "default: 5}\n"
    "      c: {step: topic, input: null}\n"
    "      d: {step: echo}\n"
    "      e: {step: busy}\n"
    "      f: {step: echo, pool: default}\n";

static void pools_are_read(void **state)
{
    struct conf *c = load_text(example);
    const struct config *g = conf_config(c);
    assert_int_equal(g->pool_count, 5);
    const struct conf_pool *p = &g->pools[0];
    assert_string_equal(p->name, "cpu");
    assert_int_equal(p->mark.line, 2);
    assert_int_equal(p->kind, CONF_POOL_PROCESSES);
    assert_int_equal(p->size, 4);
    assert_int_equal(p->queue, 10);
    assert_int_equal(p->start, 5 * NS_PER_S);
    assert_int_equal(p->nice, 0);
    assert_int_equal(p->step_threads, 2);
    assert_int_equal(p->value, 1 << 20);
    assert_int_equal(p->max_tasks, 100);
    assert_int_equal(p->memory, 1 << 30);
    assert_int_equal(p->hard_timeout, 2 * NS_PER_S);
    assert_int_equal(p->on_cancel, CONF_KILL);
    assert_int_equal(g->pools[1].kind, CONF_POOL_INLINE);
    assert_int_equal(g->pools[2].kind, CONF_POOL_FORK);
    assert_int_equal(g->pools[2].size, 0);
    assert_string_equal(g->pools[3].name, "plain");
    /* The one that nodes need and nobody gave. */
    for (int i = 3; i < 5; i++) {
        p = &g->pools[i];
        assert_int_equal(p->kind, CONF_POOL_THREADS);
        assert_int_equal(p->size, 0);
        assert_int_equal(p->queue, 4096);
        assert_int_equal(p->start, 30 * NS_PER_S);
        assert_int_equal(p->nice, 5);
        assert_int_equal(p->step_threads, 0);
        assert_int_equal(p->value, 16 << 20);
        assert_int_equal(p->max_tasks, 0);
        assert_int_equal(p->memory, 0);
        assert_int_equal(p->hard_timeout, 0);
        assert_int_equal(p->on_cancel, CONF_LEAVE);
    }
    assert_string_equal(p->name, "default");
    assert_int_equal(p->mark.line, 20);
    assert_false(g->server_timing);
    assert_int_equal(g->errors, CONF_ERRORS_FULL);
    conf_free(c);
}

static void steps_are_read(void **state)
{
    struct conf *c = load_text(example);
    const struct config *g = conf_config(c);
    assert_int_equal(g->step_count, 4);
    const struct conf_step *s = g->steps;
    assert_string_equal(s[0].name, "tag");
    assert_int_equal(s[0].mark.line, 8);
    assert_string_equal(s[0].plugin, "./tagger.so");
    assert_string_equal(s[0].step, "tag");
    assert_string_equal(s[0].pool, "cpu");
    assert_true(s[0].retry);
    struct bytes out;
    bytes_init(&out, 4096);
    assert_int_equal(conf_node_write_json(s[0].options, &out), 0);
    assert_true(
        span_equal(bytes_span(&out), SPAN("{\"model\":\"/srv/m\",\"limit\":5,\"text\":\"$body.x\","
                                          "\"more\":[null,true,\"5\"]}")));
    bytes_release(&out);
    assert_string_equal(s[1].plugin, "./topic.so");
    assert_string_equal(s[1].step, "topic_1");
    assert_string_equal(s[1].pool, "default");
    assert_false(s[1].retry);
    assert_null(s[1].options);
    assert_null(s[2].plugin);
    assert_string_equal(s[2].step, "burn");
    assert_int_equal(s[2].options->kind, CONF_NULL);
    assert_string_equal(s[3].plugin, "/opt/far.so");
    conf_free(c);
}

static void nodes_take_what_their_step_says(void **state)
{
    static const struct {
        const char *step;
        const char *pool;
        bool retry;
    } expected[] = {{"tag", "cpu", true}, {"tag", "new", true}, {"topic", "default", false},
        {"echo", "default", false}, {"busy", "here", false}, {"echo", "default", false}};
    struct conf *c = load_text(example);
    const struct conf_route *r = &conf_config(c)->routes[0];
    assert_int_equal(r->node_count, COUNT(expected));
    for (size_t i = 0; i < COUNT(expected); i++) {
        assert_string_equal(r->nodes[i].kind->keys[0].name, "step");
        assert_string_equal(r->nodes[i].work.step, expected[i].step);
        assert_string_equal(r->nodes[i].work.pool, expected[i].pool);
        assert_int_equal(r->nodes[i].work.retry, expected[i].retry);
    }
    assert_shown(c, "\"step\":\"tag\",\"pool\":\"cpu\"");
    assert_shown(c, "\"input\":{\"text\":\"$body.text\"}");
    assert_int_equal(r->nodes[1].deadline, NS_PER_S);
    assert_true(r->nodes[1].optional);
    assert_shown(c, "\"step\":\"topic\",\"input\":null");
    conf_free(c);
}

/* Only if some node needs it, and as it is given if it is. */
static void the_default_pool_is_there_when_it_is_needed(void **state)
{
    static const struct {
        const char *text;
        unsigned pools;
        enum conf_pool_kind kind; /* of the last */
    } cases[] = {
        {"pools: {a: {kind: fork}}\nsteps: {x: {step: burn}}\n", 1, CONF_POOL_FORK},
        {"routes: [{route: /x, nodes: {a: {step: echo}, b: {step: echo}}}]", 1, CONF_POOL_THREADS},
        {"pools:\nroutes: [{route: /x, nodes: {a: {step: echo}}}]", 1, CONF_POOL_THREADS},
        {"pools: {}\nroutes: [{route: /x, nodes: {a: {step: echo}}}]", 1, CONF_POOL_THREADS},
        {"pools: {default: {kind: inline}}\nroutes: [{route: /x, nodes: {a: {step: echo}}}]", 1,
            CONF_POOL_INLINE},
        {"pools: {a: {}, b: {kind: fork}}\nroutes: [{route: /x, nodes: {a: {step: echo, pool: "
         "b}}}]",
            2, CONF_POOL_FORK},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct conf *c = load_text(cases[i].text);
        const struct config *g = conf_config(c);
        assert_int_equal(g->pool_count, cases[i].pools);
        assert_int_equal(g->pools[g->pool_count - 1].kind, cases[i].kind);
        conf_free(c);
    }
}

/* ---- Plugins' paths ---- */

static int in_srv(void *ctx, char **path)
{
    *path = mem_alloc(5);
    if (!*path)
        return -ENOMEM;
    memcpy(*path, "/srv", 5);
    return 0;
}

static int in_root(void *ctx, char **path)
{
    *path = mem_zalloc(2);
    if (!*path)
        return -ENOMEM;
    **path = '/';
    return 0;
}

static int nowhere(void *ctx, char **path)
{
    return -ENOENT;
}

static const struct file parts[] = {
    {"weir.yaml", "include: more/steps.yaml\nsteps: {a: {plugin: a.so}}\n", 0},
    {"more/steps.yaml", "steps: {b: {plugin: ../b.so}, c: {plugin: '${DIR}/c.so'}}\n", 0},
    {"/etc/weir.yaml", "steps: {a: {plugin: a.so}, b: {plugin: ../b.so}, c: {plugin: //c.so}}", 0},
};
static const struct variable variables[] = {{"DIR", "lib"}, {"SECRET", "hunter2"}};

static void plugins_are_beside_the_file_that_names_them(void **state)
{
    static const struct {
        const char *path;
        int (*folder)(void *ctx, char **path);
        const char *plugins[3];
    } cases[] = {
        {"weir.yaml", NULL, {"./a.so", "./b.so", "more/lib/c.so"}},
        {"weir.yaml", nowhere, {"./a.so", "./b.so", "more/lib/c.so"}},
        {"weir.yaml", in_srv, {"/srv/a.so", "/srv/b.so", "/srv/more/lib/c.so"}},
        {"weir.yaml", in_root, {"/a.so", "/b.so", "/more/lib/c.so"}},
        {"/etc/weir.yaml", in_srv, {"/etc/a.so", "/b.so", "/c.so"}},
    };
    struct disk disk = {parts, COUNT(parts), variables, COUNT(variables)};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct conf_source source = source_of(&disk);
        struct conf_errors *errors = conf_errors_new();
        struct conf *c;
        struct conf *back;
        struct bytes out;
        source.folder = cases[i].folder;
        bytes_init(&out, 1 << 20);
        assert_non_null(errors);
        assert_int_equal(conf_load(&c, cases[i].path, &source, &flow_kinds, errors), 0);
        assert_int_equal(conf_write(c, &out), 0);
        assert_int_equal(conf_parse(&back, bytes_span(&out), &flow_kinds, errors), 0);
        for (int k = 0; k < 3; k++) {
            assert_string_equal(conf_config(c)->steps[k].plugin, cases[i].plugins[k]);
            assert_string_equal(conf_config(back)->steps[k].plugin, cases[i].plugins[k]);
        }
        conf_free(back);
        conf_free(c);
        bytes_release(&out);
        conf_errors_free(errors);
    }
}

/* ---- Printed and handed on ---- */

static struct bytes printed(const struct conf *c, bool json)
{
    struct bytes out;
    bytes_init(&out, 1 << 20);
    assert_int_equal(json ? conf_print_json(c, &out) : conf_print(c, &out), 0);
    assert_int_equal(bytes_append_byte(&out, '\0'), 0);
    return out;
}

static void it_is_printed_and_loads_again(void **state)
{
    struct conf *c = load_text(example);
    struct bytes once = printed(c, false);
    struct conf *back = load_text(once.ptr);
    struct bytes twice = printed(back, false);
    assert_string_equal(once.ptr, twice.ptr);
    assert_non_null(strstr(once.ptr, "  here:\n"
                                     "    kind: inline\n"
                                     "    step_threads: auto\n"
                                     "    value: 16MiB\n"
                                     "  new:\n"
                                     "    kind: fork\n"
                                     "    size: auto\n"
                                     "    queue: 4096\n"
                                     "    start: 30s\n"
                                     "    nice: 5\n"
                                     "    step_threads: auto\n"
                                     "    value: 16MiB\n"
                                     "    memory: 64MiB\n"
                                     "    hard_timeout: 0\n"
                                     "    on_cancel: leave\n"));
    assert_non_null(strstr(once.ptr, "  default:\n"
                                     "    kind: threads\n"));
    assert_non_null(strstr(once.ptr, "  topic:\n"
                                     "    plugin: ./topic.so\n"
                                     "    step: topic_1\n"
                                     "    pool: default\n"
                                     "    retry: false\n"
                                     "    batch:\n"
                                     "      max: 1\n"
                                     "      wait: 0\n"
                                     "  busy:\n"
                                     "    step: burn\n"
                                     "    pool: here\n"
                                     "    retry: false\n"
                                     "    options: null\n"));
    assert_non_null(strstr(once.ptr, "      a:\n"
                                     "        step: tag\n"
                                     "        pool: cpu\n"
                                     "        optional: false\n"));
    conf_free(back);
    conf_free(c);
    bytes_release(&once);
    bytes_release(&twice);
}

static const char secretive[] =
    "pools: {cpu: {kind: '${X:-processes}', size: '${X:-3}', memory: '${X:-1GiB}'}}\n"
    "steps: {tag: {plugin: '${SECRET}/a.so', step: '${SECRET}', pool: '${X:-cpu}',\n"
    "              options: {key: '${SECRET}', open: '$${a} $b'}}}\n"
    "routes: [{route: /x, nodes: {a: {step: tag, input: {key: '${SECRET}'}}}}]\n";

static void secrets_are_hidden_and_handed_on(void **state)
{
    struct file file = {"weir.yaml", secretive, 0};
    struct disk disk = {&file, 1, variables, COUNT(variables)};
    struct bytes told;
    struct bytes once;
    struct bytes twice;
    struct conf *back;
    struct conf *c = load_from(&disk, "weir.yaml", &told);
    struct conf_errors *errors = conf_errors_new();
    assert_string_equal(told.ptr, "");
    assert_non_null(errors);
    bytes_init(&once, 1 << 20);
    bytes_init(&twice, 1 << 20);
    assert_int_equal(conf_config(c)->pools[0].size, 3);
    assert_string_equal(conf_config(c)->routes[0].nodes[0].work.pool, "cpu");
    assert_int_equal(conf_write(c, &once), 0);
    assert_int_equal(conf_parse(&back, bytes_span(&once), &flow_kinds, errors), 0);
    assert_int_equal(conf_write(back, &twice), 0);
    assert_true(span_equal(bytes_span(&once), bytes_span(&twice)));
    assert_string_equal(conf_config(back)->steps[0].plugin, "hunter2/a.so");
    assert_string_equal(
        conf_member(conf_config(back)->steps[0].options, "key")->text.ptr, "hunter2");
    for (int json = 0; json < 2; json++) {
        struct bytes here = printed(c, json);
        struct bytes there = printed(back, json);
        assert_string_equal(here.ptr, there.ptr);
        assert_null(strstr(here.ptr, "hunter2"));
        assert_non_null(strstr(here.ptr, json ? "\"key\":\"***\"" : "key: \"***\""));
        assert_non_null(strstr(here.ptr, json ? "\"plugin\":\"***\"" : "plugin: \"***\""));
        assert_non_null(strstr(here.ptr, "{a} $b"));
        bytes_release(&here);
        bytes_release(&there);
    }
    conf_free(back);
    conf_free(c);
    conf_errors_free(errors);
    bytes_release(&once);
    bytes_release(&twice);
    bytes_release(&told);
}

/* ---- Memory ---- */

static bool life(const char *text)
{
    struct file files[] = {{"weir.yaml", text, 0}, parts[1], parts[2]};
    struct disk disk = {files, COUNT(files), variables, COUNT(variables)};
    struct conf_source source = source_of(&disk);
    struct conf *c = NULL;
    struct conf *back = NULL;
    struct bytes out;
    source.folder = in_srv;
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

static bool life_of_all(void)
{
    return life(example);
}

static bool life_of_secrets(void)
{
    return life(secretive);
}

static bool life_of_parts(void)
{
    return life(parts[0].text);
}

static void it_survives_the_loss_of_memory(void **state)
{
    torture(life_of_all);
    torture(life_of_secrets);
    torture(life_of_parts);
}

TEST_FILE(work)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pools_are_read),
        cmocka_unit_test(steps_are_read),
        cmocka_unit_test(nodes_take_what_their_step_says),
        cmocka_unit_test(the_default_pool_is_there_when_it_is_needed),
        cmocka_unit_test(plugins_are_beside_the_file_that_names_them),
        cmocka_unit_test(it_is_printed_and_loads_again),
        cmocka_unit_test(secrets_are_hidden_and_handed_on),
        cmocka_unit_test(it_survives_the_loss_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
