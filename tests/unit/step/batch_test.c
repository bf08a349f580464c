/*
 * batch_test.c: several calls of a step at once: each has its own end, and the one that spoils a
 * batch is found.
 */
#include "fixture.h"

#include "data/json.h"

#include <dlfcn.h>

#define MOST 64

struct batch_counts {
    _Atomic int batches;
    _Atomic int tasks;
    _Atomic int runs;
};

/* What tests/plugins/batch.c counts in this process. */
static struct batch_counts *counts(void)
{
    void *handle = dlopen(plugin_path("batch"), RTLD_NOW | RTLD_NODELETE);
    assert_non_null(handle);
    struct batch_counts *c = dlsym(handle, "batch_counts");
    assert_non_null(c);
    dlclose(handle);
    return c;
}

struct one {
    struct growing out;
    struct step_call call;
    char input[64];
    bool cancelled;
    unsigned asked; /* whether it is */
    unsigned cancelled_after;
};

static struct one ones[MOST];
static struct step_call *refs[MOST];
static struct fixture f;

static bool is_cancelled(void *ctx)
{
    struct one *o = ctx;
    o->asked++;
    return o->cancelled || (o->cancelled_after && o->asked > o->cancelled_after);
}

static void add(unsigned i, const char *what)
{
    struct one *o = &ones[i];
    mem_free(o->out.output.base);
    memset(o, 0, sizeof *o);
    o->out = (struct growing){.output.grow = growing_grow, .max = 1 << 20};
    int len = snprintf(o->input, sizeof o->input, "{\"n\":%u,\"what\":\"%s\"}", i, what);
    o->call = (struct step_call){.input = {o->input, (size_t)len},
        .input_in_place = o->input, /* so a second reading would find nothing */
        .deadline = DEADLINE_NEVER,
        .cancelled = is_cancelled,
        .cancelled_ctx = o,
        .output = &o->out.output};
    refs[i] = &o->call;
}

static void open_plugin(const char *name, const char *step, unsigned count)
{
    struct step_spec spec = {.name = step, .plugin = plugin_path(name)};
    *counts() = (struct batch_counts){0};
    fixture_open(&f, &spec, 1, false);
    for (unsigned i = 0; i < count; i++)
        add(i, "");
}

static void close_plugin(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        mem_free(ones[i].out.output.base);
        ones[i].out.output.base = NULL;
    }
    fixture_close(&f);
}

static void gave(unsigned i, const char *text)
{
    const struct one *o = &ones[i];
    struct span is = {o->out.output.base, o->out.output.len};
    if (o->call.outcome != STEP_DONE || !span_equal(is, span_of(text)))
        fail_msg("%u: outcome %d, %.*s: %s", i, (int)o->call.outcome, SPAN_ARG(is),
            o->call.error.sentence);
}

static void gave_twice(unsigned i)
{
    char text[16];
    snprintf(text, sizeof text, "%u", 2 * i);
    gave(i, text);
}

static void failed(unsigned i, enum step_outcome outcome, const char *code)
{
    const struct one *o = &ones[i];
    if (o->call.outcome != outcome || strcmp(o->call.error.type, code) != 0)
        fail_msg("%u: outcome %d, %s", i, (int)o->call.outcome, o->call.error.type);
    assert_int_equal(o->out.output.len, 0);
}

static void called(int batches, int tasks, int runs)
{
    struct batch_counts *c = counts();
    assert_int_equal(c->batches, batches);
    assert_int_equal(c->tasks, tasks);
    assert_int_equal(c->runs, runs);
}

static void several_are_called_at_once(void **state)
{
    open_plugin("batch", "twice", 5);
    assert_true(step_worker_batches(f.worker, 0));
    step_worker_call_batch(f.worker, refs, 5);
    for (unsigned i = 0; i < 5; i++)
        gave_twice(i);
    called(1, 5, 0);
    step_worker_call_batch(f.worker, refs, 0);
    called(1, 5, 0);
    add(0, "");
    add(1, "");
    step_worker_call_batch(f.worker, refs, 1);
    called(1, 5, 1);
    gave_twice(0);
    close_plugin(5);
}

static void each_may_fail_alone(void **state)
{
    open_plugin("batch", "twice", 8);
    add(1, "refused");
    add(2, "silent");
    add(3, "wordy");
    add(4, "greedy");
    memcpy(ones[5].input, "{{", 2);
    add(6, "asks");
    add(7, "asks");
    ones[7].cancelled = true;
    step_worker_call_batch(f.worker, refs, 8);
    gave_twice(0);
    failed(1, STEP_REJECTED, "bad");
    failed(2, STEP_FAILED, "invalid-output");
    failed(3, STEP_FAILED, "invalid-output");
    failed(4, STEP_OUT_OF_MEMORY, "out-of-memory");
    failed(5, STEP_REJECTED, "invalid-input");
    gave(6, "false");
    gave(7, "true");
    called(1, 8, 0);
    close_plugin(8);
}

static void the_bad_one_is_found(void **state)
{
    static const unsigned places[] = {0, 1, 31, 32, 63};
    for (size_t p = 0; p < sizeof places / sizeof *places; p++) {
        open_plugin("batch", "twice", MOST);
        add(places[p], "bad");
        step_worker_call_batch(f.worker, refs, MOST);
        for (unsigned i = 0; i < MOST; i++)
            if (i != places[p])
                gave_twice(i);
        failed(places[p], STEP_REJECTED, "bad");
        /* All, and then at each level both halves of what has it. */
        called(1 + 2 * 5, 64 + 64 + 32 + 16 + 8 + 4, 2);
        close_plugin(MOST);
    }
}

static void odd_numbers_are_halved_too(void **state)
{
    for (unsigned count = 2; count < 20; count++) {
        open_plugin("batch", "twice", count);
        add(count / 3, "bad");
        step_worker_call_batch(f.worker, refs, count);
        for (unsigned i = 0; i < count; i++)
            if (i != count / 3)
                gave_twice(i);
        failed(count / 3, STEP_REJECTED, "bad");
        close_plugin(count);
    }
}

static void the_work_is_bounded(void **state)
{
    open_plugin("batch", "twice", MOST);
    for (unsigned i = 0; i < MOST; i++)
        add(i, "bad");
    step_worker_call_batch(f.worker, refs, MOST);
    for (unsigned i = 0; i < MOST; i++)
        failed(i, STEP_REJECTED, "bad");
    called(MOST - 1, 6 * MOST, MOST);
    close_plugin(MOST);
}

static void what_nobody_waits_for_is_not_run_again(void **state)
{
    open_plugin("batch", "twice", 4);
    add(0, "bad");
    ones[1].cancelled = true;
    ones[3].call.deadline = f.work.now; /* has come */
    step_worker_call_batch(f.worker, refs, 4);
    failed(0, STEP_REJECTED, "bad");
    failed(1, STEP_FAILED, "cancelled");
    gave_twice(2);
    failed(3, STEP_FAILED, "cancelled");
    called(1, 4, 2);
    close_plugin(4);
}

/* Built against the header as it was before there were batches. */
static void an_older_plugin_is_called_one_by_one(void **state)
{
    open_plugin("odd_table_8", "two", 3);
    assert_false(step_worker_batches(f.worker, 0));
    ones[2].cancelled = true;
    step_worker_call_batch(f.worker, refs, 3);
    gave(0, "null");
    gave(1, "null");
    failed(2, STEP_FAILED, "cancelled");
    close_plugin(3);
}

/* ---- burn ---- */

static void open_burn(const char *options)
{
    struct step_spec spec = {.name = "burn", .options = span_of(options)};
    fixture_open(&f, &spec, 1, false);
    for (unsigned i = 0; i < MOST; i++)
        add(i, "");
}

static void a_batch_burns_its_base_once(void **state)
{
    open_burn("{\"base\":\"1ms\",\"item\":\"50us\"}");
    int64_t began = f.work.now;
    step_worker_call_batch(f.worker, refs, MOST);
    int64_t took = f.work.now - began;
    assert_int_equal(took, NS_PER_MS + MOST * 50 * NS_PER_US);
    for (unsigned i = 0; i < MOST; i++) {
        gave(i, "{\"burned_ms\":4.2}");
        assert_int_equal(ones[i].call.wall_ns, took / MOST);
        assert_int_equal(ones[i].call.processor_ns, took / MOST);
    }
    add(MOST - 1, "");
    began = f.work.now;
    step_worker_call(f.worker, refs[MOST - 1]);
    assert_int_equal(f.work.now - began, 1050 * NS_PER_US);
    close_plugin(MOST);
}

static void a_burning_batch_sees_that_nobody_waits(void **state)
{
    open_burn("{\"base\":\"1s\"}");
    for (unsigned i = 0; i < MOST; i++)
        ones[i].cancelled = i != 40;
    ones[40].cancelled_after = 3;
    int64_t began = f.work.now;
    step_worker_call_batch(f.worker, refs, MOST);
    assert_int_equal(f.work.now - began, 4 * NS_PER_MS);
    for (unsigned i = 0; i < MOST; i++)
        failed(i, STEP_FAILED, "cancelled");
    close_plugin(MOST);
}

static void burn_without_options_wants_its_input(void **state)
{
    struct step_spec spec = {.name = "burn"};
    fixture_open(&f, &spec, 1, false);
    add(0, "");
    add(1, "");
    snprintf(ones[1].input, sizeof ones[1].input, "{\"ms\":2}");
    ones[1].call.input.len = strlen(ones[1].input);
    step_worker_call_batch(f.worker, refs, 2);
    failed(0, STEP_REJECTED, "invalid-input");
    gave(1, "{\"burned_ms\":2}");
    close_plugin(2);
}

static void burn_refuses_odd_options(void **state)
{
    static const char *const odd[] = {"{\"base\":\"soon\"}", "{\"item\":7}", "{\"base\":\"2h\"}",
        "{\"base\":-1}", "{\"item\":[]}"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        struct step_spec spec = {.name = "burn", .options = span_of(odd[i])};
        assert_int_equal(fixture_try(&f, &spec, 1, false), -EINVAL);
        if (!strstr(f.error.sentence, "is no duration"))
            fail_msg("%s", f.error.sentence);
    }
}

/* ---- Without memory ---- */

static bool call_with_little_memory(void)
{
    struct step_spec spec = {.name = "twice", .plugin = plugin_path("batch")};
    int rc = fixture_try(&f, &spec, 1, false);
    if (rc) {
        assert_int_equal(rc, -ENOMEM);
        return false;
    }
    for (unsigned i = 0; i < 4; i++)
        add(i, i == 2 ? "bad" : "");
    step_worker_call_batch(f.worker, refs, 4);
    bool done = true;
    for (unsigned i = 0; i < 4; i++) {
        if (ones[i].call.outcome == STEP_OUT_OF_MEMORY)
            done = false;
        else if (i == 2)
            failed(i, STEP_REJECTED, "bad");
        else
            gave_twice(i);
    }
    close_plugin(4);
    return done;
}

static void the_loss_of_memory_is_survived(void **state)
{
    torture(call_with_little_memory);
}

TEST_FILE(batch)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(several_are_called_at_once),
        cmocka_unit_test(each_may_fail_alone),
        cmocka_unit_test(the_bad_one_is_found),
        cmocka_unit_test(odd_numbers_are_halved_too),
        cmocka_unit_test(the_work_is_bounded),
        cmocka_unit_test(what_nobody_waits_for_is_not_run_again),
        cmocka_unit_test(an_older_plugin_is_called_one_by_one),
        cmocka_unit_test(a_batch_burns_its_base_once),
        cmocka_unit_test(a_burning_batch_sees_that_nobody_waits),
        cmocka_unit_test(burn_without_options_wants_its_input),
        cmocka_unit_test(burn_refuses_odd_options),
        cmocka_unit_test(the_loss_of_memory_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
