/*
 * worker_values_test.c: where a worker finds inputs and puts outputs, and what it does without
 * memory.
 */
#include "talk.h"

/* ---- Large values ---- */

static void hear_shared(uint64_t id, uint64_t offset, size_t length)
{
    struct worker_result r = hear(WORKER_RESULT).result;
    assert_int_equal(r.id, id);
    assert_int_equal(r.outcome, WORKER_DONE);
    assert_true(r.output.shared);
    assert_int_equal(r.output.offset, offset);
    assert_int_equal(r.output.length, length);
    char *text = large_text(length);
    assert_memory_equal(talk->shared + offset, text, length);
    free(text);
}

static void hear_inside(uint64_t id, size_t length)
{
    struct worker_result r = hear(WORKER_RESULT).result;
    assert_int_equal(r.id, id);
    assert_int_equal(r.outcome, WORKER_DONE);
    assert_false(r.output.shared);
    assert_int_equal(r.output.inside.len, length);
    char *text = large_text(length);
    assert_memory_equal(r.output.inside.ptr, text, length);
    free(text);
}

static void large_outputs_are_shared_one_behind_the_other(void **state)
{
    ask_setup(&a_setup);
    then();
    ask_large(1, WORKER_INLINE_MAX);
    ask_large(2, 100000);
    ask_large(3, 50001);
    ask_large(4, 60000); /* for which there is no room */
    ask_large(5, 17000); /* for which there is */
    assert_int_equal(serve(), WORKER_EXIT_DONE);
    hear_ready();
    hear_inside(1, WORKER_INLINE_MAX);
    hear_shared(2, OUTPUTS, 100000);
    hear_shared(3, OUTPUTS + 100032, 50001);
    hear_inside(4, 60000);
    hear_shared(5, OUTPUTS + 100032 + 50048, 17000);
    hear_nothing();
}

static void take_all(struct talk *t)
{
    if (t->chunk == 2)
        atomic_store(&control()->taken, 1); /* not the last */
    if (t->chunk == 3)
        atomic_store(&control()->taken, 3);
}

static void what_is_taken_is_used_again(void **state)
{
    ask_setup(&a_setup);
    then();
    ask_large(1, 20000);
    ask_large(2, 20000);
    then();
    ask_large(3, 20000);
    then();
    ask_large(4, 20000);
    talk->on_read = take_all;
    assert_int_equal(serve(), WORKER_EXIT_DONE);
    hear_ready();
    /* Before they are overwritten nobody has looked: so by place alone. */
    assert_int_equal(hear(WORKER_RESULT).result.output.offset, OUTPUTS);
    assert_int_equal(hear(WORKER_RESULT).result.output.offset, OUTPUTS + 20032);
    assert_int_equal(hear(WORKER_RESULT).result.output.offset, OUTPUTS + 2 * 20032);
    hear_shared(4, OUTPUTS, 20000);
}

static void the_longest_output_and_one_byte_more(void **state)
{
    ask_setup(&a_setup);
    then();
    ask_large(1, VALUE + 1);
    ask_large(2, VALUE);
    assert_int_equal(serve(), WORKER_EXIT_DONE);
    hear_ready();
    hear_failed(1, WORKER_FAILED, "output-too-large");
    hear_shared(2, OUTPUTS, VALUE);
}

static void small_values_have_a_limit_too(void **state)
{
    struct worker_setup s = a_setup;
    s.value = 10;
    ask_setup(&s);
    then();
    ask_large(1, 11);
    ask_large(2, 10);
    assert_int_equal(serve(), WORKER_EXIT_DONE);
    hear_ready();
    hear_failed(1, WORKER_FAILED, "output-too-large");
    hear_inside(2, 10);
}

static void without_shared_memory_frames_are_long(void **state)
{
    struct worker_setup s = a_setup;
    s.shared = s.outputs = 0;
    talk->io.share = NULL;
    ask_setup(&s);
    then();
    ask_large(1, VALUE);
    ask_large(2, VALUE + 1);
    ask_task(3, ECHO, "1");
    assert_int_equal(serve(), WORKER_EXIT_DONE);
    hear_ready();
    hear_inside(1, VALUE);
    hear_failed(2, WORKER_FAILED, "output-too-large");
    hear_done(3, "1");
}

static void inputs_are_read_where_they_are(void **state)
{
    static const char text[] = "[\"a\\n\",{\"b\":2}]";
    size_t len = sizeof text - 1;
    size_t last = OUTPUTS - len - 4; /* the last place for that */
    ask_setup(&a_setup);
    then();
    struct worker_frame f = shared_task(WORKER_CONTROL_SIZE, len);
    ask(&f);
    f = shared_task(last, len);
    f.task.id = 2;
    ask(&f);
    memcpy(talk->shared + WORKER_CONTROL_SIZE, text, len);
    memcpy(talk->shared + last, text, len);
    assert_int_equal(serve(), WORKER_EXIT_DONE);
    hear_ready();
    hear_done(1, text);
    hear_done(2, text);
    assert_memory_not_equal(talk->shared + WORKER_CONTROL_SIZE, text, len);
    assert_memory_not_equal(talk->shared + last, text, len);
}

static void inputs_at_the_very_end_are_copied(void **state)
{
    static const char text[] = "[\"a\\n\",{\"b\":2}]";
    size_t len = sizeof text - 1;
    ask_setup(&a_setup);
    then();
    struct worker_frame f = shared_task(OUTPUTS - len - 3, len);
    ask(&f);
    memcpy(talk->shared + OUTPUTS - len - 3, text, len);
    assert_int_equal(serve(), WORKER_EXIT_DONE);
    hear_ready();
    hear_done(1, text);
    assert_memory_equal(talk->shared + OUTPUTS - len - 3, text, len);
}

/* ---- Without memory ---- */

static bool serve_with_little_memory(void)
{
    static const enum worker_exit ends[] = {
        WORKER_EXIT_DONE, WORKER_EXIT_REFUSED, WORKER_EXIT_FAILED};
    bool met = false;
    talk->chunk = 0;
    talk->chunk_at = talk->heard = 0;
    talk->write_count = 0;
    talk->shared_size = OUTPUTS;
    memset(talk->shared, 0, WORKER_CONTROL_SIZE);
    bytes_reset(&talk->said);
    enum worker_exit exit = serve();
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        met = met || exit == ends[i];
    assert_true(met);
    if (exit != WORKER_EXIT_DONE)
        return false;
    /* Every task has one result, in order. */
    hear(WORKER_READY);
    bool through = true;
    for (uint64_t id = 1; id < 4; id++) {
        struct worker_result r = hear(WORKER_RESULT).result;
        assert_int_equal(r.id, id);
        assert_true(r.outcome == WORKER_DONE || r.outcome == WORKER_OUT_OF_MEMORY);
        through = through && r.outcome == WORKER_DONE;
    }
    hear_nothing();
    return through;
}

static void memory_may_run_out(void **state)
{
    struct worker_setup s = a_setup;
    s.outputs = SHARED - 20000; /* so that the heap is needed, too */
    ask_setup(&s);
    then();
    ask_task(1, ECHO, "[1]");
    ask_large(2, 100000);
    ask_task(3, BURN, "0");
    ask_stop();
    assert_int_equal(bytes_reserve(&talk->said, 1024 * 1024), 0);
    torture(serve_with_little_memory);
}

TEST_FILE(values)
{
    const struct CMUnitTest tests[] = {
        TEST(large_outputs_are_shared_one_behind_the_other),
        TEST(what_is_taken_is_used_again),
        TEST(the_longest_output_and_one_byte_more),
        TEST(small_values_have_a_limit_too),
        TEST(without_shared_memory_frames_are_long),
        TEST(inputs_are_read_where_they_are),
        TEST(inputs_at_the_very_end_are_copied),
        TEST(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
