/*
 * worker_test.c: the frames between a server and a worker, byte by byte as
 * doc/internals/worker-protocol.md has them, and what is none.
 */
#include "../check.h"

#include "data/json.h"
#include "wire/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct bytes out;

static int set_up(void **state)
{
    bytes_init(&out, 2 * WORKER_FRAME_MAX);
    return 0;
}

static int tear_down(void **state)
{
    bytes_release(&out);
    return 0;
}

#define FRAME(...) ((const struct worker_frame){__VA_ARGS__})
#define IS(f, hex) is(&(f), hex, __LINE__)

/* "01 02": what `out` holds now. */
static void holds(const char *hex, int line)
{
    struct bytes want;
    bytes_init(&want, 4096);
    for (const char *at = hex; *at;) {
        char *end;
        assert_int_equal(bytes_append_byte(&want, (char)strtol(at, &end, 16)), 0);
        at = end + strspn(end, " ");
    }
    if (!span_equal(bytes_span(&want), bytes_span(&out)))
        fail_msg("line %d: other bytes", line);
    bytes_release(&want);
}

/* It is written so, read the same from any number of bytes more, and from no fewer. */
static void is(const struct worker_frame *f, const char *hex, int line)
{
    struct worker_frame back;
    bytes_reset(&out);
    assert_int_equal(worker_encode(&out, f), 0);
    holds(hex, line);
    size_t size = out.len;
    for (size_t len = 0; len < size; len++)
        assert_int_equal(worker_decode(&back, (struct span){out.ptr, len}, NULL), 0);
    assert_int_equal(bytes_append(&out, "\xff\xff", 2), 0);
    assert_int_equal(worker_decode(&back, bytes_span(&out), NULL), size);
    assert_int_equal(back.kind, f->kind);
    struct bytes again;
    bytes_init(&again, 4096);
    assert_int_equal(worker_encode(&again, &back), 0);
    assert_int_equal(again.len, size);
    assert_memory_equal(again.ptr, out.ptr, size);
    bytes_release(&again);
}

static void frames_are_these_bytes(void **state)
{
    struct worker_frame task = FRAME(.kind = WORKER_TASK,
        .task = {.id = 7, .deadline = 1500000000, .step = 2, .input.inside = SPAN("{\"n\":1}")});
    IS(task, "2f 00 00 00 02 00 00 00 07 00 00 00 00 00 00 00 00 2f 68 59 00 00 00 00 02 00 00 00 "
             "00 00 00 00 00 00 00 00 00 00 00 00 07 00 00 00 00 00 00 00 7b 22 6e 22 3a 31 7d");
    struct worker_frame large = FRAME(.kind = WORKER_TASK,
        .task = {.id = 8,
            .deadline = INT64_MAX,
            .input = {.shared = true, .offset = 4096, .length = 1048576}});
    IS(large, "28 00 00 00 02 00 00 00 08 00 00 00 00 00 00 00 ff ff ff ff ff ff ff 7f 00 00 00 00 "
              "01 00 00 00 00 10 00 00 00 00 00 00 00 00 10 00 00 00 00 00");
    struct worker_frame joined = FRAME(.kind = WORKER_TASK,
        .task = {.id = 9, .deadline = INT64_MAX, .more = true, .input.inside = SPAN("1")});
    IS(joined,
        "29 00 00 00 02 00 00 00 09 00 00 00 00 00 00 00 ff ff ff ff ff ff ff 7f 00 00 00 00 "
        "00 01 00 00 00 00 00 00 00 00 00 00 01 00 00 00 00 00 00 00 31");
    struct worker_frame done = FRAME(.kind = WORKER_RESULT,
        .result = {.id = 7, .wall_ns = 1000, .processor_ns = 900, .output.inside = SPAN("2")});
    IS(done, "31 00 00 00 43 00 00 00 07 00 00 00 00 00 00 00 e8 03 00 00 00 00 00 00 84 03 00 00 "
             "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01 00 00 00 00 00 00 00 "
             "32");
    struct worker_frame failed = FRAME(.kind = WORKER_RESULT, .result = {.id = 9,
                                                                  .outcome = WORKER_REJECTED,
                                                                  .code = SPAN("no-n"),
                                                                  .output.inside = SPAN("no n")});
    IS(failed, "38 00 00 00 43 00 00 00 09 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 "
               "00 00 00 00 00 02 04 00 00 00 00 00 00 00 00 00 00 00 00 00 00 04 00 00 00 00 00 "
               "00 00 6e 6f 2d 6e 6e 6f 20 6e");
    struct worker_frame log = FRAME(.kind = WORKER_LOG, .log = {.level = 1, .line = SPAN("hot")});
    IS(log, "0b 00 00 00 44 00 00 00 01 00 00 00 00 00 00 00 68 6f 74");
}

static void short_frames_are_these_bytes(void **state)
{
    struct worker_frame setup = FRAME(.kind = WORKER_SETUP, .text = SPAN("{}"));
    IS(setup, "02 00 00 00 01 00 00 00 7b 7d");
    struct worker_frame ready =
        FRAME(.kind = WORKER_READY, .text = SPAN("{\"protocol\":1,\"pid\":4242}"));
    IS(ready, "19 00 00 00 41 00 00 00 7b 22 70 72 6f 74 6f 63 6f 6c 22 3a 31 2c 22 70 69 64 22 3a "
              "34 32 34 32 7d");
    struct worker_frame refused = FRAME(.kind = WORKER_REFUSED, .text = SPAN("no"));
    IS(refused, "02 00 00 00 42 00 00 00 6e 6f");
    struct worker_frame stop = FRAME(.kind = WORKER_STOP);
    IS(stop, "00 00 00 00 05 00 00 00");
    struct worker_frame fork = FRAME(.kind = WORKER_FORK, .fork.id = 3);
    IS(fork, "08 00 00 00 03 00 00 00 03 00 00 00 00 00 00 00");
    struct worker_frame kill = FRAME(.kind = WORKER_KILL, .fork.id = 3);
    IS(kill, "08 00 00 00 04 00 00 00 03 00 00 00 00 00 00 00");
    struct worker_frame forked = FRAME(.kind = WORKER_FORKED, .fork = {.id = 3, .pid = 4242});
    IS(forked, "10 00 00 00 45 00 00 00 03 00 00 00 00 00 00 00 92 10 00 00 00 00 00 00");
    struct worker_frame ended =
        FRAME(.kind = WORKER_ENDED, .ended = {.id = 3, .signal = 9, .out_of_memory = true});
    IS(ended, "18 00 00 00 46 00 00 00 03 00 00 00 00 00 00 00 00 00 00 00 09 00 00 00 01 00 00 "
              "00 00 00 00 00");
}

/* ---- What is none ---- */

/* The frame with the byte at `at` made `byte` is none, and the sentence has `why` in it. */
static void spoilt(const struct worker_frame *f, size_t at, int byte, const char *why)
{
    struct worker_frame back;
    struct error e;
    bytes_reset(&out);
    assert_int_equal(worker_encode(&out, f), 0);
    assert_in_range(at, 0, out.len - 1);
    out.ptr[at] = (char)byte;
    assert_int_equal(worker_decode(&back, bytes_span(&out), &e), -EBADMSG);
    if (!strstr(e.sentence, why))
        fail_msg("byte %zu: '%s', not '%s'", at, e.sentence, why);
}

static const struct worker_frame a_task = {
    .kind = WORKER_TASK, .task = {.id = 1, .deadline = 5, .input.inside = {"1", 1}}};
static const struct worker_frame a_shared_task = {.kind = WORKER_TASK,
    .task = {.id = 1, .input = {.shared = true, .offset = WORKER_CONTROL_SIZE, .length = 9}}};
static const struct worker_frame a_result = {
    .kind = WORKER_RESULT, .result = {.id = 1, .output.inside = {"1", 1}}};
static const struct worker_frame a_failure = {.kind = WORKER_RESULT,
    .result = {.id = 1, .outcome = WORKER_FAILED, .code = {"a-b", 3}, .output.inside = {"why", 3}}};

static void heads_are_strict(void **state)
{
    static const int kinds[] = {0, 6, 64, 71, 255};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        spoilt(&a_task, 4, kinds[i], "its head");
    for (size_t at = 5; at < 8; at++)
        spoilt(&a_task, at, 1, "its head");
    spoilt(&a_task, 3, 5, "its head"); /* longer than any */
}

static void tasks_are_strict(void **state)
{
    spoilt(&a_task, 8, 0, "its id is 0");
    spoilt(&a_task, 23, 0x80, "its deadline");
    spoilt(&a_task, 29, 2, "more neither");
    spoilt(&a_task, 29, 0xff, "more neither");
    for (size_t at = 30; at < 32; at++)
        spoilt(&a_task, at, 1, "reserved");
    spoilt(&a_task, 28, 2, "neither inside nor shared");
    spoilt(&a_task, 32, 1, "length");
    spoilt(&a_task, 40, 2, "length");
    spoilt(&a_task, 28, 1, "followed");
    spoilt(&a_shared_task, 33, 0, "where none can be"); /* in the control words */
    spoilt(&a_shared_task, 39, 0x80, "where none can be");
    spoilt(&a_shared_task, 47, 0x80, "where none can be");
    spoilt(&a_shared_task, 47, 0xff, "where none can be");
    struct worker_frame edge = a_shared_task;
    edge.task.input.length = INT64_MAX - WORKER_CONTROL_SIZE;
    bytes_reset(&out);
    assert_int_equal(worker_encode(&out, &edge), 0);
    assert_int_equal(worker_decode(&edge, bytes_span(&out), NULL), out.len);
    edge.task.input.length++;
    bytes_reset(&out);
    assert_int_equal(worker_encode(&out, &edge), 0);
    assert_int_equal(worker_decode(&edge, bytes_span(&out), NULL), -EBADMSG);
}

static void a_task_says_whether_more_follow(void **state)
{
    struct worker_frame f = a_task;
    f.task.more = true;
    bytes_reset(&out);
    assert_int_equal(worker_encode(&out, &a_task), 0);
    size_t at = out.len;
    assert_int_equal(worker_encode(&out, &a_task), 0);
    worker_encode_more(&out, at);
    struct span second = {out.ptr + at, out.len - at};
    assert_int_equal(worker_decode(&f, bytes_span(&out), NULL), at);
    assert_false(f.task.more);
    assert_int_equal(worker_decode(&f, second, NULL), second.len);
    assert_true(f.task.more);
    bytes_reset(&out);
    assert_int_equal(worker_encode(&out, &f), 0);
    assert_int_equal(out.ptr[WORKER_HEAD_SIZE + 21], 1);
}

static void results_are_strict(void **state)
{
    spoilt(&a_result, 8, 0, "its id is 0");
    spoilt(&a_result, 23, 0x80, "a time is negative");
    spoilt(&a_result, 31, 0x80, "a time is negative");
    spoilt(&a_result, 32, 4, "its outcome");
    spoilt(&a_result, 32, 0xff, "its outcome");
    spoilt(&a_result, 33, 2, "its code is too long"); /* than the frame */
    spoilt(&a_result, 33, 32, "its code is too long");
    spoilt(&a_result, 34, 2, "neither inside nor shared");
    for (size_t at = 35; at < 40; at++)
        spoilt(&a_result, at, 1, "reserved");
    spoilt(&a_result, 48, 0, "length");
    spoilt(&a_failure, 32, WORKER_DONE, "what is done has a code");
    spoilt(&a_failure, 56, ' ', "its code has other");
    spoilt(&a_failure, 60, 0xff, "a sentence is not UTF-8");
    struct worker_frame shared = a_failure;
    shared.result.output = (struct worker_text){.shared = true, .offset = 4096, .length = 3};
    bytes_reset(&out);
    assert_int_equal(worker_encode(&out, &shared), 0);
    assert_int_equal(worker_decode(&shared, bytes_span(&out), NULL), -EBADMSG);
}

static void the_rest_is_strict(void **state)
{
    struct worker_frame log = FRAME(.kind = WORKER_LOG, .log = {.level = 3, .line = SPAN("hot")});
    spoilt(&log, 8, 4, "its level");
    for (size_t at = 9; at < 16; at++)
        spoilt(&log, at, 1, "reserved");
    spoilt(&log, 17, 0xff, "not UTF-8");
    struct worker_frame refused = FRAME(.kind = WORKER_REFUSED, .text = SPAN("no"));
    spoilt(&refused, 8, 0xff, "not UTF-8");
    struct worker_frame forked = FRAME(.kind = WORKER_FORKED, .fork = {.id = 3, .pid = 42});
    spoilt(&forked, 8, 0, "its id is 0");
    spoilt(&forked, 16, 0, "its pid");
    spoilt(&forked, 23, 0xff, "its pid");
    struct worker_frame ended = FRAME(.kind = WORKER_ENDED, .ended = {.id = 3, .status = 1});
    spoilt(&ended, 8, 0, "its id is 0");
    spoilt(&ended, 17, 1, "status or signal");
    spoilt(&ended, 19, 0x80, "status or signal");
    spoilt(&ended, 20, 0x80, "status or signal");
    for (size_t at = 24; at < 32; at++)
        spoilt(&ended, at, 2, "reserved");
}

/* Each fixed part, one byte shorter; and what has a fixed length, one byte longer. */
static void lengths_are_checked(void **state)
{
    static const struct {
        int kind;
        size_t length;
        bool exact;
    } bodies[] = {{WORKER_TASK, 40, false}, {WORKER_RESULT, 48, false}, {WORKER_LOG, 8, false},
        {WORKER_FORK, 8, true}, {WORKER_KILL, 8, true}, {WORKER_STOP, 0, true},
        {WORKER_FORKED, 16, true}, {WORKER_ENDED, 24, true}};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        for (int more = -1; more <= 1; more++) {
            char frame[64] = {0};
            struct worker_frame f;
            size_t length = bodies[i].length + (size_t)more;
            if (length > 63 || more == 0 || (more == 1 && !bodies[i].exact))
                continue;
            frame[0] = (char)length;
            frame[4] = (char)bodies[i].kind;
            frame[8] = 1;
            frame[16] = 1;
            assert_int_equal(worker_decode(&f, (struct span){frame, sizeof frame}, NULL), -EBADMSG);
        }
    }
}

static void what_has_no_room_changes_nothing(void **state)
{
    struct bytes small;
    bytes_init(&small, 60);
    assert_int_equal(bytes_append_span(&small, SPAN("before")), 0);
    assert_int_equal(worker_encode(&small, &a_failure), -ENOBUFS);
    assert_true(span_equal(bytes_span(&small), SPAN("before")));
    bytes_release(&small);
    struct worker_frame huge = a_task;
    huge.task.input.inside.len = WORKER_FRAME_MAX; /* which is not there: nobody looks */
    assert_int_equal(worker_encode(&out, &huge), -ENOBUFS);
    huge.task.input.inside.len = SIZE_MAX - 8;
    assert_int_equal(worker_encode(&out, &huge), -ENOBUFS);
    assert_int_equal(out.len, 0);
}

static void a_deadline_is_never_negative(void **state)
{
    struct worker_frame f = a_task;
    f.task.deadline = -1;
    assert_int_equal(worker_encode(&out, &f), 0);
    assert_int_equal(worker_decode(&f, bytes_span(&out), NULL), out.len);
    assert_int_equal(f.task.deadline, 0);
}

static void long_lines_are_cut_at_a_character(void **state)
{
    static char line[WORKER_LINE_MAX + 2];
    memset(line, 'x', sizeof line);
    memcpy(line + WORKER_LINE_MAX - 1, "\xe2\x82\xac", 3);
    struct worker_frame f =
        FRAME(.kind = WORKER_LOG, .log = {.level = 0, .line = {line, sizeof line}});
    assert_int_equal(worker_encode(&out, &f), 0);
    assert_int_equal(worker_decode(&f, bytes_span(&out), NULL), out.len);
    assert_int_equal(f.log.line.len, WORKER_LINE_MAX - 1);
}

/* ---- The texts of the set-up ---- */

static const struct worker_setup_step steps[] = {
    {.name = "tag", .plugin = "./a \"b\".so", .step = "t", .options = {"{\"m\":[1,2.5]}", 13}},
    {.name = "echo", .step = "echo"},
};
static const struct worker_setup a_setup = {.pool = "cpu",
    .steps = steps,
    .step_count = 2,
    .threads = 3,
    .value = 16777216,
    .memory = 1,
    .unsafe = true,
    .shared = 8192,
    .outputs = 4096};

static bool same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static void a_setup_comes_back(void **state)
{
    struct worker_setup s;
    struct arena a;
    struct error e;
    arena_init(&a, 65536);
    assert_int_equal(worker_setup_write(&out, &a_setup), 0);
    assert_true(span_equal(bytes_span(&out),
        SPAN("{\"protocol\":1,\"pool\":\"cpu\",\"kind\":\"processes\",\"threads\":3,"
             "\"value\":16777216,\"memory\":1,\"unsafe\":true,\"shared\":8192,\"outputs\":4096,"
             "\"steps\":[{\"name\":\"tag\",\"plugin\":\"./a \\\"b\\\".so\",\"step\":\"t\","
             "\"options\":{\"m\":[1,2.5]}},{\"name\":\"echo\",\"plugin\":null,\"step\":\"echo\","
             "\"options\":null}]}")));
    assert_int_equal(worker_setup_read(&s, &a, bytes_span(&out), &e), 0);
    assert_string_equal(s.pool, "cpu");
    assert_false(s.forks);
    assert_int_equal(s.step_count, 2);
    for (unsigned i = 0; i < 2; i++) {
        assert_string_equal(s.steps[i].name, steps[i].name);
        assert_true(same(s.steps[i].plugin, steps[i].plugin));
        assert_string_equal(s.steps[i].step, steps[i].step);
        assert_true(span_equal(s.steps[i].options, steps[i].options));
    }
    assert_int_equal(s.threads, 3);
    assert_int_equal(s.value, 16777216);
    assert_int_equal(s.memory, 1);
    assert_true(s.unsafe);
    assert_int_equal(s.shared, 8192);
    assert_int_equal(s.outputs, 4096);
    arena_release(&a);
}

#define HEAD \
    "{\"protocol\":1,\"pool\":\"p\",\"kind\":\"fork\",\"threads\":1,\"value\":1,\"memory\":0,"
#define SHARE "\"unsafe\":false,\"shared\":0,\"outputs\":0,"

static void setups_are_strict(void **state)
{
    static const struct {
        const char *text;
        int code;
        const char *why;
    } cases[] = {
        {HEAD SHARE "\"steps\":[],\"later\":[{}]}", 0, ""},
        {"", -EINVAL, ""},
        {"[]", -EINVAL, "no JSON object"},
        {"{}", -EINVAL, "'protocol'"},
        {"{\"protocol\":2}", -EPROTONOSUPPORT, "speaks version 2"},
        {"{\"protocol\":1}", -EINVAL, "'pool'"},
        {"{\"protocol\":1,\"pool\":\"a\\u0000b\"}", -EINVAL, "'pool'"},
        {"{\"protocol\":1,\"pool\":\"p\",\"kind\":\"threads\"}", -EINVAL, "'kind'"},
        {"{\"protocol\":1,\"pool\":\"p\",\"kind\":\"fork\",\"threads\":0}", -EINVAL, "'threads'"},
        {"{\"protocol\":1,\"pool\":\"p\",\"kind\":\"fork\",\"threads\":1,\"value\":-1}", -EINVAL,
            "'value'"},
        {HEAD "\"unsafe\":1,\"shared\":0,\"outputs\":0,\"steps\":[]}", -EINVAL, "'unsafe'"},
        {HEAD "\"unsafe\":false,\"shared\":8192,\"outputs\":0,\"steps\":[]}", -EINVAL, "'outputs'"},
        {HEAD "\"unsafe\":false,\"shared\":8192,\"outputs\":8193,\"steps\":[]}", -EINVAL,
            "'outputs'"},
        {HEAD SHARE "\"steps\":{}}", -EINVAL, "'steps'"},
        {HEAD SHARE "\"steps\":[1]}", -EINVAL, "'name'"},
        {HEAD SHARE "\"steps\":[{\"name\":\"\"}]}", -EINVAL, "'name'"},
        {HEAD SHARE "\"steps\":[{\"name\":\"a\",\"plugin\":1}]}", -EINVAL, "'plugin'"},
        {HEAD SHARE "\"steps\":[{\"name\":\"a\",\"plugin\":null}]}", -EINVAL, "'step'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct worker_setup s;
        struct arena a;
        struct error e = {0};
        arena_init(&a, 65536);
        assert_int_equal(worker_setup_read(&s, &a, span_of(cases[i].text), &e), cases[i].code);
        if (!strstr(e.sentence, cases[i].why))
            fail_msg("%s: '%s'", cases[i].text, e.sentence);
        arena_release(&a);
    }
}

static bool set_up_with_little_memory(void)
{
    struct worker_setup s;
    struct arena a;
    struct bytes text;
    struct error e = {0};
    arena_init(&a, 65536);
    bytes_init(&text, 65536);
    int rc = worker_setup_write(&text, &a_setup);
    assert_true(rc == 0 || (rc == -ENOMEM && text.len == 0));
    if (rc == 0) {
        rc = worker_setup_read(&s, &a, bytes_span(&text), &e);
        assert_true(rc == 0 || (rc == -ENOMEM && e.sentence[0]));
    }
    bytes_release(&text);
    arena_release(&a);
    return rc == 0;
}

static void a_setup_needs_memory(void **state)
{
    torture(set_up_with_little_memory);
}

static void a_worker_is_ready(void **state)
{
    int64_t pid;
    struct error e;
    assert_int_equal(worker_ready_write(&out, 4242), 0);
    assert_true(span_equal(bytes_span(&out), SPAN("{\"protocol\":1,\"pid\":4242}")));
    assert_int_equal(worker_ready_read(&pid, bytes_span(&out), &e), 0);
    assert_int_equal(pid, 4242);
    assert_int_equal(worker_ready_read(&pid, SPAN("{\"protocol\":1}"), &e), -EINVAL);
    assert_int_equal(worker_ready_read(&pid, SPAN("{\"protocol\":1,\"pid\":0}"), &e), -EINVAL);
    assert_int_equal(
        worker_ready_read(&pid, SPAN("{\"protocol\":7,\"pid\":1}"), &e), -EPROTONOSUPPORT);
    assert_int_equal(worker_ready_read(&pid, SPAN("x"), NULL), -EINVAL);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

TEST_FILE(worker)
{
    const struct CMUnitTest tests[] = {
        TEST(frames_are_these_bytes),
        TEST(short_frames_are_these_bytes),
        TEST(heads_are_strict),
        TEST(tasks_are_strict),
        TEST(a_task_says_whether_more_follow),
        TEST(results_are_strict),
        TEST(the_rest_is_strict),
        TEST(lengths_are_checked),
        TEST(what_has_no_room_changes_nothing),
        TEST(a_deadline_is_never_negative),
        TEST(long_lines_are_cut_at_a_character),
        TEST(a_setup_comes_back),
        TEST(setups_are_strict),
        TEST(a_setup_needs_memory),
        TEST(a_worker_is_ready),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
