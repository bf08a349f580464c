/*
 * worker_batch_test.c: tasks that a worker runs together, over a conversation and a clock that are
 * made up.
 */
#include "talk.h"

/* Behind echo and burn. */
enum { MODEL = 2, TWICE };

static void begin(void)
{
    const char *dir = getenv("PLUGINS");
    char path[512];
    snprintf(path, sizeof path, "%s/batch.so", dir ? dir : ".");
    const struct worker_setup_step batching[] = {steps[0], steps[1],
        {.name = "model", .step = "burn", .options = SPAN("{\"base\":\"1ms\",\"item\":\"50us\"}")},
        {.name = "twice", .step = "twice", .plugin = path}};
    struct worker_setup s = a_setup;
    s.steps = batching;
    s.step_count = 4;
    ask_setup(&s);
    then();
}

static void ask_more(uint64_t id, uint32_t step, const char *input, int64_t deadline, bool more)
{
    ask(&(struct worker_frame){.kind = WORKER_TASK,
        .task = {.id = id,
            .step = step,
            .deadline = deadline,
            .more = more,
            .input.inside = span_of(input)}});
}

static void ask_batch(uint64_t first, unsigned count, uint32_t step, const char *input)
{
    for (unsigned i = 0; i < count; i++)
        ask_more(first + i, step, input, INT64_MAX, i + 1 < count);
}

static void it_is_done(void)
{
    assert_int_equal(serve(), WORKER_EXIT_DONE);
    assert_string_equal(talk->complaint, "");
    hear_ready();
}

static void see_running(struct talk *t)
{
    t->seen = atomic_load(&control()->running);
}

static void a_batch_is_called_at_once(void **state)
{
    begin();
    ask_batch(1, 2, MODEL, "{}");
    ask_task(3, ECHO, "3");
    ask_batch(4, 64, MODEL, "{}");
    ask_task(68, ECHO, "68");
    talk->on_burn = see_running;
    int64_t began = talk->clock;
    it_is_done();
    assert_int_equal(talk->clock - began, 2 * NS_PER_MS + 66 * 50 * NS_PER_US);
    assert_int_equal(talk->seen, 4); /* the first of those */
    assert_int_equal(atomic_load(&control()->running), 0);
    hear_done(1, "{\"burned_ms\":1.1}");
    struct worker_result r = hear(WORKER_RESULT).result;
    assert_int_equal(r.wall_ns, 550 * NS_PER_US);
    hear_done(3, "3");
    for (unsigned i = 0; i < 64; i++)
        hear_done(4 + i, "{\"burned_ms\":4.2}");
    hear_done(68, "68");
    hear_nothing();
}

static void its_frames_may_come_one_by_one(void **state)
{
    talk->read_most = 1;
    a_batch_is_called_at_once(state);
}

static void steps_without_batches_run_one_by_one(void **state)
{
    begin();
    for (unsigned i = 1; i <= 3; i++) {
        char text[8];
        snprintf(text, sizeof text, "[%u]", i);
        ask_more(i, ECHO, text, INT64_MAX, i < 3);
    }
    ask_task(4, ECHO, "4");
    it_is_done();
    hear_done(1, "[1]");
    hear_done(2, "[2]");
    hear_done(3, "[3]");
    hear_done(4, "4");
}

static void the_bad_one_is_found(void **state)
{
    begin();
    ask_more(1, TWICE, "{\"n\":1}", INT64_MAX, true);
    ask_more(2, TWICE, "{\"n\":2,\"what\":\"bad\"}", INT64_MAX, true);
    ask_more(3, TWICE, "{\"n\":3}", INT64_MAX, true);
    ask_more(4, TWICE, "{\"n\":4,\"what\":\"refused\"}", INT64_MAX, false);
    it_is_done();
    hear_done(1, "2");
    hear_failed(2, WORKER_REJECTED, "bad");
    hear_done(3, "6");
    hear_failed(4, WORKER_REJECTED, "bad");
}

static void large_values_are_shared(void **state)
{
    begin();
    ask_more(1, TWICE, "{\"n\":20000,\"what\":\"long\"}", INT64_MAX, true);
    ask_more(2, TWICE, "{\"n\":1}", INT64_MAX, true);
    ask_more(3, TWICE, "{\"n\":20000,\"what\":\"long\"}", INT64_MAX, true);
    /* Too long for what is left there, and for a value. */
    ask_more(4, TWICE, "{\"n\":131070,\"what\":\"long\"}", INT64_MAX, true);
    ask_more(5, TWICE, "{\"n\":131072,\"what\":\"long\"}", INT64_MAX, true);
    memcpy(talk->shared + 4096, "{\"n\":6}", 7);
    struct worker_frame f = shared_task(4096, 7);
    f.task.id = 6;
    f.task.step = TWICE;
    ask(&f);
    it_is_done();
    struct worker_result r = hear(WORKER_RESULT).result;
    assert_true(r.output.shared);
    assert_int_equal(r.output.length, 20002);
    uint64_t first = r.output.offset;
    hear_done(2, "2");
    r = hear(WORKER_RESULT).result;
    assert_true(r.output.shared && r.output.offset >= first + 20002);
    assert_memory_equal(talk->shared + r.output.offset, "\"xxx", 4);
    r = hear(WORKER_RESULT).result;
    assert_false(r.output.shared && r.outcome == WORKER_DONE && r.output.length != 131072);
    assert_int_equal(r.outcome, WORKER_DONE);
    hear_failed(5, WORKER_FAILED, "output-too-large");
    hear_done(6, "12");
}

/* ---- What is not started, or given up ---- */

static void what_nobody_waits_for_is_not_started(void **state)
{
    begin();
    atomic_store(&control()->left[2], 2);
    atomic_store(&control()->left[3], 67);
    talk->step_ns = 10;
    ask_more(1, MODEL, "{}", INT64_MAX, true);
    ask_more(2, MODEL, "{}", INT64_MAX, true);
    ask_more(3, MODEL, "{}", INT64_MAX, true);
    ask_more(4, MODEL, "{}", 5, false);
    it_is_done();
    hear_done(1, "{\"burned_ms\":1.1}");
    hear_failed(2, WORKER_FAILED, "cancelled");
    hear_done(3, "{\"burned_ms\":1.1}");
    hear_failed(4, WORKER_FAILED, "expired");
}

static void leave_one_by_one(struct talk *t)
{
    t->seen++;
    if (t->seen < 3)
        atomic_store(&control()->left[t->seen], t->seen);
}

static void all_must_have_left(void **state)
{
    begin();
    ask_more(1, MODEL, "{\"ms\":5}", INT64_MAX, true);
    ask_more(2, MODEL, "{\"ms\":5}", INT64_MAX, false);
    talk->on_burn = leave_one_by_one;
    it_is_done();
    assert_int_equal(talk->seen, 2);
    hear_failed(1, WORKER_FAILED, "cancelled");
    hear_failed(2, WORKER_FAILED, "cancelled");
}

static void a_recalled_batch_is_not_started(void **state)
{
    begin();
    atomic_store(&control()->recalled, 3);
    ask_batch(1, 2, MODEL, "{}");
    ask_batch(3, 2, MODEL, "{}");
    it_is_done();
    hear_done(1, "{\"burned_ms\":1.1}");
    hear_done(2, "{\"burned_ms\":1.1}");
    hear_failed(3, WORKER_FAILED, "recalled");
    hear_failed(4, WORKER_FAILED, "recalled");
}

/* ---- What is none ---- */

static void it_is_garbage(void)
{
    assert_int_equal(serve(), WORKER_EXIT_GARBAGE);
    assert_string_equal(talk->complaint, "what came is not for this worker");
    hear_ready();
    hear_nothing();
}

static void tasks_of_two_steps_are_no_batch(void **state)
{
    begin();
    ask_more(1, MODEL, "{}", INT64_MAX, true);
    ask_more(2, TWICE, "{}", INT64_MAX, false);
    it_is_garbage();
}

static void too_many_are_no_batch(void **state)
{
    begin();
    ask_batch(1, WORKER_BATCH_MAX + 1, MODEL, "{}");
    it_is_garbage();
}

static void there_must_be_such_a_step(void **state)
{
    begin();
    ask_batch(1, 2, 4, "{}");
    it_is_garbage();
}

static void half_a_batch_is_not_begun(void **state)
{
    begin();
    ask_more(1, MODEL, "{}", INT64_MAX, true);
    it_is_done();
    hear_nothing();
    tear_down(NULL);
    set_up(NULL);
    begin();
    ask_more(1, MODEL, "{}", INT64_MAX, true);
    ask_stop();
    it_is_done();
    hear_nothing();
}

static bool serve_with_little_memory(void)
{
    bool through = true;
    talk->chunk = 0;
    talk->chunk_at = talk->heard = 0;
    talk->write_count = 0;
    talk->shared_size = OUTPUTS;
    memset(talk->shared, 0, WORKER_CONTROL_SIZE);
    bytes_reset(&talk->said);
    enum worker_exit exit = serve();
    assert_true(
        exit == WORKER_EXIT_DONE || exit == WORKER_EXIT_REFUSED || exit == WORKER_EXIT_FAILED);
    if (exit != WORKER_EXIT_DONE)
        return false;
    hear(WORKER_READY);
    for (uint64_t id = 1; id < 4; id++) {
        struct worker_result r = hear(WORKER_RESULT).result;
        enum worker_outcome outcome = id == 2 ? WORKER_REJECTED : WORKER_DONE;
        assert_int_equal(r.id, id);
        assert_true(r.outcome == outcome || r.outcome == WORKER_OUT_OF_MEMORY);
        through = through && r.outcome == outcome;
    }
    hear_nothing();
    return through;
}

static void the_loss_of_memory_is_survived(void **state)
{
    begin();
    ask_more(1, TWICE, "{\"n\":1}", INT64_MAX, true);
    ask_more(2, TWICE, "{\"n\":2,\"what\":\"bad\"}", INT64_MAX, true);
    ask_more(3, TWICE, "{\"n\":20000,\"what\":\"long\"}", INT64_MAX, false);
    ask_stop();
    assert_int_equal(bytes_reserve(&talk->said, 1024 * 1024), 0);
    torture(serve_with_little_memory);
}

TEST_FILE(batch)
{
    const struct CMUnitTest tests[] = {
        TEST(a_batch_is_called_at_once),
        TEST(its_frames_may_come_one_by_one),
        TEST(steps_without_batches_run_one_by_one),
        TEST(the_bad_one_is_found),
        TEST(large_values_are_shared),
        TEST(what_nobody_waits_for_is_not_started),
        TEST(all_must_have_left),
        TEST(a_recalled_batch_is_not_started),
        TEST(tasks_of_two_steps_are_no_batch),
        TEST(too_many_are_no_batch),
        TEST(there_must_be_such_a_step),
        TEST(half_a_batch_is_not_begun),
        TEST(the_loss_of_memory_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
