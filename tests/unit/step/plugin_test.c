/*
 * plugin_test.c: plugins are loaded, or refused with a sentence that helps; their inits and
 * teardowns come in pairs.
 */
#include "fixture.h"

#include "base/bug.h"
#include "weir/step.h"

#include <dlfcn.h>
#include <unistd.h>

struct good_counts {
    int inits;
    int teardowns;
    int64_t last_teardown;
};

/* What tests/plugins/good.c counts in this process. */
static struct good_counts *good_counts(void)
{
    void *handle = dlopen(plugin_path("good"), RTLD_NOW | RTLD_NODELETE);
    assert_non_null(handle);
    struct good_counts *counts = dlsym(handle, "good_counts");
    assert_non_null(counts);
    dlclose(handle);
    *counts = (struct good_counts){0};
    return counts;
}

static void refused(const struct step_spec *specs, unsigned count, int rc, const char *sentence)
{
    struct fixture f;
    assert_int_equal(fixture_try(&f, specs, count, false), rc);
    if (!strstr(f.error.sentence, sentence))
        fail_msg("said: %s\nand not: %s", f.error.sentence, sentence);
}

static void refused_file(const char *file, int rc, const char *sentence)
{
    struct step_spec spec = {.name = "one", .plugin = file};
    refused(&spec, 1, rc, sentence);
}

static void a_plugin_is_called(void **state)
{
    struct step_spec specs[] = {
        {.name = "hello", .plugin = plugin_path("good"), .step = "greet"},
        {.name = "sum", .plugin = plugin_path("good")},
        {.name = "echo"},
    };
    struct fixture f;
    fixture_open(&f, specs, 3, false);
    assert_int_equal(step_set_count(f.set), 3);
    assert_string_equal(step_set_name(f.set, 0), "hello");
    fixture_call(&f, 0, SPAN("{\"name\": \"J\\u00fcrgen\"}"));
    check_output(&f, "{\"greeting\":\"Hello, J\xc3\xbcrgen!\"}");
    fixture_call(&f, 1, SPAN("[1, 2.5, null, 3]"));
    check_output(&f, "6.5");
    fixture_call(&f, 2, SPAN("[1, 2.5]"));
    check_output(&f, "[1,2.5]");
    fixture_close(&f);
}

static void each_worker_has_its_own_state(void **state)
{
    struct good_counts *counts = good_counts();
    struct step_spec spec = {.name = "count",
        .plugin = plugin_path("good"),
        .options = SPAN("{\"from\": 10, \"by\": 5}")};
    struct fixture f;
    struct step_worker *other;
    fixture_open(&f, &spec, 1, false);
    assert_string_equal(f.log, "step 'count': counts from 10 with 2 threads");
    assert_int_equal(f.log_level, LOG_INFO);
    assert_int_equal(step_worker_new(&other, f.set, &f.place, &f.error), 0);
    fixture_call(&f, 0, SPAN("null"));
    fixture_call(&f, 0, SPAN("null"));
    check_output(&f, "15");
    struct step_worker *first = f.worker;
    f.worker = other;
    fixture_call(&f, 0, SPAN("null"));
    check_output(&f, "10");
    f.worker = first;
    assert_int_equal(counts->inits, 2);
    assert_int_equal(counts->teardowns, 0);
    step_worker_free(other);
    assert_int_equal(counts->last_teardown, 15);
    fixture_close(&f);
    assert_int_equal(counts->teardowns, 2);
    assert_int_equal(counts->last_teardown, 20);
}

static void when_an_init_fails_those_before_are_torn_down(void **state)
{
    struct good_counts *counts = good_counts();
    struct step_spec specs[] = {
        {.name = "a",
            .plugin = plugin_path("good"),
            .step = "count",
            .options = SPAN("{\"from\":1}")},
        {.name = "b",
            .plugin = plugin_path("good"),
            .step = "count",
            .options = SPAN("{\"from\":2}")},
        {.name = "c", .plugin = plugin_path("bad_init"), .step = "fails"},
        {.name = "d", .plugin = plugin_path("good"), .step = "count"},
    };
    refused(specs, 4, -EINVAL, "step 'c': cannot read model.bin");
    assert_int_equal(counts->inits, 2);
    assert_int_equal(counts->teardowns, 2);
    assert_int_equal(counts->last_teardown, 1); /* the first came up first, and goes last */

    specs[2].step = "silent";
    refused(specs, 4, -EINVAL, "step 'c': its init failed, and did not say why");
    specs[0].options = SPAN("{\"refuse\": \"/models/x\"}");
    refused(specs, 1, -EINVAL, "step 'a': there is no model at /models/x");
    specs[0].options = SPAN("{from: 1}");
    refused(specs, 1, -EINVAL, "step 'a': its options: line 1, column 2: ");
    assert_int_equal(counts->inits, counts->teardowns);
}

static void a_bad_file_is_refused_with_a_reason(void **state)
{
    refused_file("./no/such.so", -ENOENT,
        "step 'one': the plugin ./no/such.so cannot be read: no such file or directory");
    refused_file("nosuch.so", -ENOENT, "the plugin nosuch.so cannot be read");
    refused_file(
        "/proc/self/status", -EINVAL, "/proc/self/status is no shared object for this machine");
    refused_file("/proc/self/exe", -EINVAL, "build it with cc -fPIC -shared");
    refused_file("/", -EINVAL, "the plugin / cannot be loaded: ");
    refused_file(plugin_path("no_table"), -EINVAL,
        "no_table.so is a shared object, but no plugin of Weir: it shows no 'weir_plugin'");
    refused_file(
        plugin_path("other_abi"), -EINVAL, "other_abi.so was built for ABI 2 of weir/step.h");
    refused_file(plugin_path("other_abi"), -EINVAL, "with ABI 1; rebuild it");
    refused_file(
        plugin_path("undefined"), -EINVAL, "needs 'cblas_dgemm_batch', which is neither in");
    refused_file(plugin_path("future"), -EINVAL, "calls weir_out_of_this_world, which Weir ");
}

static void a_bare_name_is_a_file_here(void **state)
{
    char before[1024];
    const char *plugins = getenv("PLUGINS");
    check(plugins && getcwd(before, sizeof before), "the tests' runner sets PLUGINS");
    assert_int_equal(chdir(plugins), 0);
    struct step_spec spec = {.name = "sum", .plugin = "good.so"};
    struct fixture f;
    int rc = fixture_try(&f, &spec, 1, false);
    assert_int_equal(chdir(before), 0);
    assert_int_equal(rc, 0);
    fixture_close(&f);
    refused_file("libm.so.6", -ENOENT, "the plugin libm.so.6 cannot be read");
}

static void an_odd_table_is_refused(void **state)
{
    refused_file(plugin_path("odd_table_1"), -EINVAL, "it has two steps named 'one'");
    refused_file(plugin_path("odd_table_2"), -EINVAL, "its step number 1 is not 1 to 63 letters");
    refused_file(plugin_path("odd_table_3"), -EINVAL, "its step 'idle' has no 'run'");
    refused_file(plugin_path("odd_table_4"), -EINVAL, "has 0 steps");
    refused_file(plugin_path("odd_table_5"), -EINVAL, "says that a step has 7 bytes");
    refused_file(plugin_path("odd_table_6"), -EINVAL, "its step 'two' uses what a newer Weir has");

    struct step_spec spec = {.name = "two", .plugin = plugin_path("odd_table_7")};
    struct fixture f;
    fixture_open(&f, &spec, 1, false);
    fixture_call(&f, 0, SPAN("{}"));
    check_output(&f, "null");
    fixture_close(&f);
}

static void a_bad_name_is_refused_with_a_better_one(void **state)
{
    struct step_spec specs[] = {
        {.name = "greet", .plugin = plugin_path("good"), .step = "grete"}, {.name = "echo"}};
    refused(specs, 1, -EINVAL, "good.so has no step 'grete'; did you mean 'greet'?");
    specs[0].step = "xyzzyxyzzy";
    refused(specs, 1, -EINVAL, "has no step 'xyzzyxyzzy'; it has greet, count, sum, reverse, odd");
    refused(&(struct step_spec){.name = "brun"}, 1, -EINVAL,
        "there is no built-in step 'brun'; did you mean 'burn'?; one of your own needs 'plugin:");
    refused(&(struct step_spec){.name = "a b"}, 1, -EINVAL, "'a b' is no name for a step");
    refused(&(struct step_spec){.name = ""}, 1, -EINVAL, "'' is no name for a step");
    refused(&(struct step_spec){.name = "x", .step = "../x"}, 1, -EINVAL, "'../x' is no name");
    specs[0] = specs[1];
    refused(specs, 2, -EINVAL, "there are two steps named 'echo'");
    refused(&(struct step_spec){.name = "crash"}, 1, -EINVAL,
        "the built-in step 'crash' does harm on purpose");
}

static void built_in_ones_are_known(void **state)
{
    bool unsafe = true;
    assert_true(step_is_builtin("echo", &unsafe));
    assert_false(unsafe);
    assert_true(step_is_builtin("crash", &unsafe));
    assert_true(unsafe);
    assert_true(step_is_builtin("burn", NULL));
    assert_false(step_is_builtin("greet", &unsafe));
}

static int answer_own(struct weir_task *t)
{
    weir_out_text(t, "own");
    return 0;
}

/* Also of those that may do harm only where that is allowed; but never a plugin's. */
static void overrides_replace_built_in_steps(void **state)
{
    static const struct weir_step own[] = {{.name = "echo", .run = answer_own},
        {.name = "crash", .run = answer_own}, {.name = "reverse", .run = answer_own}};
    static const struct weir_plugin overrides = {
        WEIR_STEP_ABI, sizeof(struct weir_step), "own", own, 3};
    struct step_spec specs[] = {{.name = "e", .step = "echo"}, {.name = "crash"},
        {.name = "reverse", .plugin = plugin_path("good")},
        {.name = "burn", .options = SPAN("{\"base\":0}")}};
    struct fixture f;
    assert_int_equal(fixture_try_with(&f, specs, 4, &overrides, false), 0);
    fixture_call(&f, 0, SPAN("1"));
    check_output(&f, "\"own\"");
    fixture_call(&f, 1, SPAN("1"));
    check_output(&f, "\"own\"");
    fixture_call(&f, 2, SPAN("\"abc\""));
    check_output(&f, "\"cba\"");
    fixture_call(&f, 3, SPAN("0"));
    check_output(&f, "{\"burned_ms\":0}");
    fixture_close(&f);
}

/* The plugin has no WEIR_MEM_FAIL of its own: what fails is Weir's. */
static bool load_and_call(void)
{
    struct step_spec specs[] = {
        {.name = "count", .plugin = plugin_path("good"), .options = SPAN("{\"from\":3}")},
        {.name = "reverse", .plugin = plugin_path("good")}};
    struct fixture f;
    int rc = fixture_try(&f, specs, 2, false);
    if (rc) {
        assert_int_equal(rc, -ENOMEM);
        return false;
    }
    enum step_outcome outcome = fixture_call(&f, 1, SPAN("\"abc\""));
    if (outcome == STEP_DONE)
        check_output(&f, "\"cba\"");
    else
        assert_int_equal(outcome, STEP_OUT_OF_MEMORY);
    fixture_close(&f);
    return outcome == STEP_DONE;
}

static void the_loss_of_memory_is_survived(void **state)
{
    struct good_counts *counts = good_counts();
    torture(load_and_call);
    assert_true(counts->inits > 3);
    assert_int_equal(counts->inits, counts->teardowns);
}

TEST_FILE(plugin)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plugin_is_called),
        cmocka_unit_test(each_worker_has_its_own_state),
        cmocka_unit_test(when_an_init_fails_those_before_are_torn_down),
        cmocka_unit_test(a_bad_file_is_refused_with_a_reason),
        cmocka_unit_test(a_bare_name_is_a_file_here),
        cmocka_unit_test(an_odd_table_is_refused),
        cmocka_unit_test(a_bad_name_is_refused_with_a_better_one),
        cmocka_unit_test(built_in_ones_are_known),
        cmocka_unit_test(overrides_replace_built_in_steps),
        cmocka_unit_test(the_loss_of_memory_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
