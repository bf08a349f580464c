/*
 * work_bad_test.c: what is wrong with pools, steps and the nodes that use them is said.
 */
#include "fixture.h"

static const struct {
    const char *text;
    const char *told;
} bad[] = {
    {"pools:\n"
     "  cpu: {kind: process, size: 0, queue: 0, nice: 20, step_threads: many}\n"
     "  1st: {}\n"
     "  big: {kind: inline, size: 4, start: 1s}\n"
     "  run: {max_tasks: 5, memory: 1GiB, on_cancel: kill}\n"
     "  new: {kind: fork, max_tasks: 5, memory: 1GiB, on_cancel: stop}\n"
     "  odd: {sise: 4, value: 5GiB}\n"
     "  list: []",
        "weir.yaml:2:15: pools.cpu.kind: found 'process', expected inline, threads, "
        "processes or fork; did you mean 'processes'?\n"
        "weir.yaml:2:30: pools.cpu.size: found '0', expected 'auto' or a whole "
        "number from 1 to 1024\n"
        "weir.yaml:2:40: pools.cpu.queue: found '0', expected a whole number from 1 "
        "to 1000000\n"
        "weir.yaml:2:49: pools.cpu.nice: found '20', expected a whole number from 0 "
        "to 19\n"
        "weir.yaml:2:67: pools.cpu.step_threads: found 'many', expected 'auto' or a "
        "whole number from 1 to 1024\n"
        "weir.yaml:3:3: pools: found the name '1st', expected at most 63 letters, "
        "digits, '_' and '-', a letter first\n"
        "weir.yaml:4:23: pools.big.size: found in a pool of kind inline, expected "
        "only where the kind is threads, processes or fork; take it out, or choose "
        "such a kind\n"
        "weir.yaml:4:32: pools.big.start: found in a pool of kind inline, expected "
        "only where the kind is threads, processes or fork; take it out, or choose "
        "such a kind\n"
        "weir.yaml:5:9: pools.run.max_tasks: found in a pool of kind threads, "
        "expected only where the kind is processes; take it out, or choose such a "
        "kind\n"
        "weir.yaml:5:23: pools.run.memory: found in a pool of kind threads, expected "
        "only where the kind is processes or fork; take it out, or choose such a kind\n"
        "weir.yaml:5:37: pools.run.on_cancel: found in a pool of kind threads, "
        "expected only where the kind is processes or fork; take it out, or choose "
        "such a kind\n"
        "weir.yaml:6:21: pools.new.max_tasks: found in a pool of kind fork, expected "
        "only where the kind is processes; take it out, or choose such a kind\n"
        "weir.yaml:6:60: pools.new.on_cancel: found 'stop', expected leave or kill\n"
        "weir.yaml:7:9: unknown key 'sise' in pools.odd; did you mean 'size'?\n"
        "weir.yaml:7:25: pools.odd.value: found '5GiB', expected a size from 1KiB to "
        "1GiB\n"
        "weir.yaml:8:9: pools.list: found a list, expected a map with any of the "
        "keys 'kind', 'size', 'queue', 'start', 'nice', 'step_threads', 'value', "
        "'max_tasks', 'memory', 'hard_timeout' or 'on_cancel'\n"},
    {"pools: [cpu]\n"
     "steps: 5\n"
     "routes:\n"
     "- route: /x\n"
     "  nodes: {a: {step: tag, pool: cpu}}",
        "weir.yaml:1:8: pools: found a list, expected a map of at most 64 pools such "
        "as {cpu: {kind: processes}}\n"
        "weir.yaml:2:8: steps: found '5', expected a map of at most 1000 steps such "
        "as {tag: {plugin: ./tagger.so}}\n"},
    {"steps:\n"
     "  echo: {step: burn}\n"
     "  a b: {plugin: x.so}\n"
     "  none: {}\n"
     "  empty:\n"
     "  more: {plugin: 5, step: a b, pool: 1st, retry: yes, option: 1}\n"
     "  less: {plugin: '', step: true, pool: [a]}",
        "weir.yaml:2:3: steps.echo: found the name of a built-in step, expected "
        "another; nodes run built-in steps without an entry, or by one of another "
        "name whose 'step' is that\n"
        "weir.yaml:3:3: steps: found the name 'a b', expected at most 63 letters, "
        "digits, '_' and '-', a letter first\n"
        "weir.yaml:4:3: steps.none: found neither 'plugin' nor 'step', expected the "
        "file that has it, or the name of a built-in step\n"
        "weir.yaml:5:9: steps.empty: found nothing, expected a map with any of the "
        "keys 'plugin', 'step', 'pool', 'retry', 'options' or 'batch'\n"
        "weir.yaml:6:18: steps.more.plugin: found '5', expected the path of a file; "
        "put it in quotes\n"
        "weir.yaml:6:27: steps.more.step: found 'a b', expected a name: at most 63 "
        "letters, digits, '_' and '-', a letter first\n"
        "weir.yaml:6:38: steps.more.pool: found '1st', expected a name: at most 63 "
        "letters, digits, '_' and '-', a letter first\n"
        "weir.yaml:6:50: steps.more.retry: found 'yes', expected true or false; "
        "write true\n"
        "weir.yaml:6:55: unknown key 'option' in steps.more; did you mean 'options'?\n"
        "weir.yaml:7:18: steps.less.plugin: found '', expected the path of a file\n"
        "weir.yaml:7:28: steps.less.step: found 'true', expected a name: at most 63 "
        "letters, digits, '_' and '-', a letter first; put it in quotes\n"
        "weir.yaml:7:40: steps.less.pool: found a list, expected a name: at most 63 "
        "letters, digits, '_' and '-', a letter first\n"},
    {"pools:\n"
     "  cpu: {kind: processes}\n"
     "  ${X}: {}\n"
     "steps:\n"
     "  tag: {plugin: ./tagger.so, pool: cpuu}\n"
     "  top: {plugin: ./tagger.so, pool: disk}",
        "weir.yaml:3:3: found the key '${X}'; '${...}' is replaced in values only\n"
        "weir.yaml:5:36: steps.tag.pool: found 'cpuu', expected the name of one of "
        "'pools', or default; did you mean 'cpu'?\n"
        "weir.yaml:6:36: steps.top.pool: found 'disk', expected the name of one of "
        "'pools', or default\n"},
    {"pools: {cpu: , gpu: {}}\n"
     "routes:\n"
     "- route: /x\n"
     "  nodes:\n"
     "    a: {step: echo, pool: cqu}\n"
     "    b: {step: echo, pool: '${SECRET}'}\n"
     "    c: {step: [], pool: a b}\n"
     "    d: {step: echo, http: x, pool: cpu}\n"
     "    e: {sleep: 1s, input: $body, pool: cpu}\n"
     "    f: {input: $body}\n"
     "    g: {stpe: echo, input: $body}\n"
     "    h: {step: '${X}'}\n"
     "    i: {step: echo, inputs: 5}\n"
     "    j: {step: echo, pool: defalt}",
        "weir.yaml:5:27: routes[0].nodes.a.pool: found 'cqu', expected the name of "
        "one of 'pools', or default; did you mean 'cpu'?\n"
        "weir.yaml:6:27: routes[0].nodes.b.pool: found a value from outside, which "
        "is not shown, expected the name of one of 'pools', or default\n"
        "weir.yaml:7:15: routes[0].nodes.c.step: found a list, expected a name: at "
        "most 63 letters, digits, '_' and '-', a letter first\n"
        "weir.yaml:7:25: routes[0].nodes.c.pool: found 'a b', expected a name: at "
        "most 63 letters, digits, '_' and '-', a letter first\n"
        "weir.yaml:8:8: routes[0].nodes.d: found both 'http' and 'step', expected "
        "exactly one of sleep, http, reply and step\n"
        "weir.yaml:9:20: routes[0].nodes.e.input: found in a node without 'step', "
        "expected 'step' beside it\n"
        "weir.yaml:9:34: routes[0].nodes.e.pool: found in a node without 'step', "
        "expected 'step' beside it\n"
        "weir.yaml:10:8: routes[0].nodes.f: found no kind of node, expected exactly "
        "one of sleep, http, reply and step\n"
        "weir.yaml:11:9: unknown key 'stpe' in routes[0].nodes.g; did you mean "
        "'step'?\n"
        "weir.yaml:12:15: '${X}' is not set, expected it in the environment; "
        "'${NAME:-default}' gives one for that case\n"
        "weir.yaml:13:21: unknown key 'inputs' in routes[0].nodes.i; did you mean "
        "'input'?\n"
        "weir.yaml:14:27: routes[0].nodes.j.pool: found 'defalt', expected the name "
        "of one of 'pools', or default; did you mean 'default'?\n"},
    {"server_timing: on\n"
     "pools: {cpu: {kind: '${SECRET}', max_tasks: 1}}\n"
     "steps: {tag: {plugin: '${X}/a.so'}, tug: {plugin: \"a\\nb\"}}",
        "weir.yaml:1:16: server_timing: found 'on', expected true or false; write "
        "true\n"
        "weir.yaml:2:21: pools.cpu.kind: found a value from outside, which is not "
        "shown, expected inline, threads, processes or fork\n"
        "weir.yaml:3:23: '${X}' is not set, expected it in the environment; "
        "'${NAME:-default}' gives one for that case\n"
        "weir.yaml:3:51: steps.tug.plugin: found 'a?b', expected the path of a file\n"},
};

static const struct variable variables[] = {{"SECRET", "hunter2"}};

static void each_mistake_has_its_sentence(void **state)
{
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct file file = {"weir.yaml", bad[i].text, 0};
        struct disk disk = {&file, 1, variables, COUNT(variables)};
        struct bytes told;
        assert_null(load_from(&disk, "weir.yaml", &told));
        assert_string_equal(told.ptr, bad[i].told);
        bytes_release(&told);
    }
}

/* Which keys say something in a pool of which kind. */
static void keys_are_for_kinds(void **state)
{
    static const char *const kinds[] = {"inline", "threads", "processes", "fork"};
    static const struct {
        const char *key;
        bool good[4];
    } keys[] = {
        {"size: 2", {false, true, true, true}},
        {"queue: 5", {false, true, true, true}},
        {"start: 1s", {false, true, true, true}},
        {"nice: 1", {false, true, true, true}},
        {"step_threads: auto", {true, true, true, true}},
        {"value: 1KiB", {true, true, true, true}},
        {"max_tasks: 1", {false, false, true, false}},
        {"memory: 1GiB", {false, false, true, true}},
        {"hard_timeout: 1s", {false, false, true, true}},
        {"on_cancel: leave", {false, false, true, true}},
    };
    for (size_t i = 0; i < COUNT(keys); i++)
        for (size_t k = 0; k < COUNT(kinds); k++) {
            char text[100];
            struct bytes told;
            snprintf(text, sizeof text, "pools: {x: {%s, kind: %s}}", keys[i].key, kinds[k]);
            struct file file = {"weir.yaml", text, 0};
            struct disk disk = {&file, 1, NULL, 0};
            struct conf *c = load_from(&disk, "weir.yaml", &told);
            assert_int_equal(c != NULL, keys[i].good[k]);
            conf_free(c);
            bytes_release(&told);
        }
}

/* A pool may be in the file that could not be read: only that file is told of. */
static void what_a_broken_file_may_say_is_not_missed(void **state)
{
    static const struct file files[] = {
        {"weir.yaml",
            "include: pools.yaml\nroutes: [{route: /x, nodes: {a: {step: x, pool: cpu}}}]\n", 0},
        {"pools.yaml", "pools: {cpu: {}\n", 0},
    };
    struct disk disk = {files, COUNT(files), NULL, 0};
    struct bytes told;
    assert_null(load_from(&disk, "weir.yaml", &told));
    assert_null(strstr(told.ptr, "weir.yaml:"));
    assert_non_null(strstr(told.ptr, "pools.yaml:"));
    bytes_release(&told);
}

static void pools_and_steps_are_bounded(void **state)
{
    static const struct {
        const char *of;
        int most;
        const char *told;
    } cases[] = {
        {"pools", 64,
            "w:2:2: pools: found a map, expected a map of at most 64 pools such as {cpu: {kind: "
            "processes}}\n"},
        {"steps", 1000,
            "w:2:2: steps: found a map, expected a map of at most 1000 steps such as {tag: "
            "{plugin: ./tagger.so}}\n"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        for (int more = 0; more < 2; more++) {
            struct bytes text;
            struct bytes told;
            bytes_init(&text, 1 << 20);
            assert_int_equal(bytes_printf(&text, "%s:\n", cases[i].of), 0);
            for (int k = 0; k < cases[i].most + more; k++)
                assert_int_equal(bytes_printf(&text, " n%d: {%s}\n", k, i ? "step: burn" : ""), 0);
            struct file file = {"w", text.ptr, text.len};
            struct disk disk = {&file, 1, NULL, 0};
            struct conf *c = load_from(&disk, "w", &told);
            assert_string_equal(told.ptr, more ? cases[i].told : "");
            conf_free(c);
            bytes_release(&told);
            bytes_release(&text);
        }
}

TEST_FILE(work_bad)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_mistake_has_its_sentence),
        cmocka_unit_test(keys_are_for_kinds),
        cmocka_unit_test(what_a_broken_file_may_say_is_not_missed),
        cmocka_unit_test(pools_and_steps_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
