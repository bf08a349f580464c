/*
 * coro_test.c: one sched: order, parking, waking, deadlines, cancellation, defers, memory running
 * out.
 */
#include "fixture.h"

#include <fenv.h>

/* ---- Order and budget ---- */

struct note {
    char text[64];
    size_t len;
};

static void note(struct note *n, char c)
{
    assert_true(n->len + 1 < sizeof n->text);
    n->text[n->len++] = c;
    n->text[n->len] = '\0';
}

struct writer {
    struct note *to;
    char letter;
    int times;
};

static int write_letters(void *arg)
{
    struct writer *w = arg;
    for (int i = 0; i < w->times; i++) {
        note(w->to, w->letter);
        assert_int_equal(coro_yield(), 0);
    }
    return 0;
}

static void ready_coroutines_take_turns(void **state)
{
    struct fixture f;
    fixture_open(&f);
    struct note n = {0};
    struct writer a = {&n, 'a', 3};
    struct writer b = {&n, 'b', 2};
    assert_int_equal(sched_spawn(f.sched, "a", write_letters, &a), 0);
    assert_int_equal(sched_spawn(f.sched, "b", write_letters, &b), 0);
    assert_int_equal(sched_count(f.sched), 2);
    assert_int_equal(sched_run(f.sched), 2); /* those that yielded are for the next run */
    assert_string_equal(n.text, "ab");
    assert_true(sched_run_one(f.sched));
    assert_string_equal(n.text, "aba");
    fixture_drain(&f);
    assert_string_equal(n.text, "ababa");
    assert_false(sched_run_one(f.sched));
    fixture_close(&f);
}

/* So that a loop may ask its sockets before it goes on with them. */
static void who_yields_does_not_press(void **state)
{
    struct fixture f;
    fixture_open(&f);
    struct note n = {0};
    struct writer a = {&n, 'a', 3};
    struct writer b = {&n, 'b', 1};
    assert_int_equal(sched_spawn(f.sched, "a", write_letters, &a), 0);
    assert_true(sched_pressing(f.sched));
    sched_run(f.sched);
    assert_true(sched_ready(f.sched));
    assert_false(sched_pressing(f.sched));
    assert_int_equal(sched_spawn(f.sched, "b", write_letters, &b), 0);
    assert_true(sched_pressing(f.sched));
    fixture_drain(&f);
    assert_false(sched_pressing(f.sched));
    fixture_close(&f);
}

static size_t pick_last(void *ctx, size_t count)
{
    return count - 1;
}

static void pick_decides_who_goes_next(void **state)
{
    struct fixture f;
    fixture_open_with(&f, (struct sched_options){.pick = pick_last});
    struct note n = {0};
    struct writer writers[] = {{&n, 'a', 1}, {&n, 'b', 1}, {&n, 'c', 1}};
    for (int i = 0; i < 3; i++)
        assert_int_equal(sched_spawn(f.sched, "w", write_letters, &writers[i]), 0);
    fixture_drain(&f);
    /* c is last, and last again once it has yielded; so is b after it. */
    assert_string_equal(n.text, "cba");
    fixture_close(&f);
}

/* ---- Parking and waking ---- */

struct parked {
    struct coro *self;
    int result;
    bool done;
};

static int park_once(void *arg)
{
    struct parked *p = arg;
    p->self = coro_self();
    p->result = coro_park("something");
    p->done = true;
    return p->result;
}

static void a_wake_carries_its_result_once(void **state)
{
    struct fixture f;
    fixture_open(&f);
    struct parked p = {0};
    assert_int_equal(sched_spawn(f.sched, "p", park_once, &p), 0);
    sched_run(f.sched);
    assert_false(p.done);
    assert_null(coro_self());
    assert_true(coro_wake(p.self, 42));
    assert_false(coro_wake(p.self, 43)); /* not parked any more */
    coro_cancel(p.self);                 /* does not take the result back */
    sched_run(f.sched);
    assert_true(p.done);
    assert_int_equal(p.result, 42);
    fixture_close(&f);
}

static void collect_line(void *ctx, const char *text)
{
    strncat(ctx, text, 255 - strlen(ctx));
}

static void describe_says_who_waits_for_what(void **state)
{
    struct fixture f;
    fixture_open(&f);
    struct parked p = {0};
    assert_int_equal(sched_spawn(f.sched, "p", park_once, &p), 0);
    sched_run(f.sched);
    char text[256] = "";
    sched_describe(f.sched, collect_line, text);
    assert_string_equal(text, "coroutine 'p' waits in something");
    sched_cancel_all(f.sched);
    sched_run(f.sched);
    assert_int_equal(p.result, -ECANCELED);
    fixture_close(&f);
}

/* ---- Deadlines ---- */

static int deadlines(void *arg)
{
    struct fixture *f = arg;
    assert_int_equal(coro_deadline(), DEADLINE_NEVER);
    {
        CORO_DEADLINE(f->now + 100);
        assert_int_equal(coro_sleep("nap", f->now + 40), 0);
        assert_int_equal(f->now, 1040);
        {
            CORO_DEADLINE(f->now + 1000); /* cannot become later */
            assert_int_equal(coro_deadline(), 1100);
            assert_int_equal(coro_park("never"), -ETIMEDOUT);
            assert_int_equal(f->now, 1100);
        }
        /* Passed: every wait says so at once. */
        assert_int_equal(coro_poll(), -ETIMEDOUT);
        assert_int_equal(coro_sleep("nap", f->now + 1), -ETIMEDOUT);
        assert_int_equal(coro_sleep("nap", f->now - 1), -ETIMEDOUT);
        assert_int_equal(coro_yield(), -ETIMEDOUT);
        assert_int_equal(coro_park("never"), -ETIMEDOUT);
        assert_int_equal(f->now, 1100);
    }
    assert_int_equal(coro_sleep("nap", f->now - 1), 0); /* a moment that is over is no wait */
    assert_int_equal(coro_sleep("nap", f->now + 1), 0);
    return 0;
}

static void deadlines_nest_and_only_shrink(void **state)
{
    struct fixture f;
    run_coroutine(&f, deadlines);
    assert_int_equal(f.now, 1101);
}

/* A sleep that ends exactly at the deadline has ended in time. */
static int sleep_to_the_deadline(void *arg)
{
    struct fixture *f = arg;
    CORO_DEADLINE(f->now + 10);
    assert_int_equal(coro_sleep("nap", f->now + 10), 0);
    assert_int_equal(coro_sleep("nap", f->now + 1), -ETIMEDOUT);
    return 0;
}

static void a_sleep_may_last_to_the_deadline(void **state)
{
    struct fixture f;
    run_coroutine(&f, sleep_to_the_deadline);
}

/* The alarm of an early wait is left standing; it must neither end a later wait too early nor be
 * lost. */
static int waits_with_moving_deadlines(void *arg)
{
    struct fixture *f = arg;
    for (int i = 0; i < 5; i++) {
        int64_t start = f->now;
        CORO_DEADLINE(start + 100);
        assert_int_equal(coro_sleep("nap", start + 10), 0);
        assert_int_equal(coro_park("never"), -ETIMEDOUT);
        assert_int_equal(f->now, start + 100);
    }
    int64_t start = f->now;
    {
        CORO_DEADLINE(start + 1000);
        assert_int_equal(coro_yield(), 0);
        {
            CORO_DEADLINE(start + 5);
            assert_int_equal(coro_park("never"), -ETIMEDOUT);
            assert_int_equal(f->now, start + 5);
        }
        assert_int_equal(coro_park("never"), -ETIMEDOUT);
        assert_int_equal(f->now, start + 1000);
    }
    return 0;
}

static void lazy_alarms_are_exact(void **state)
{
    struct fixture f;
    run_coroutine(&f, waits_with_moving_deadlines);
}

static int sleep_for(void *arg)
{
    return coro_sleep("nap", 1000 + (int64_t)(intptr_t)arg);
}

static void sleepers_wake_in_order_of_time(void **state)
{
    struct fixture f;
    fixture_open(&f);
    for (intptr_t i = 0; i < 200; i++)
        assert_int_equal(sched_spawn(f.sched, "s", sleep_for, (void *)(i * 7919 % 200)), 0);
    sched_run(f.sched);
    for (int64_t t = 1001; t < 1200; t++) { /* the one that slept no time has ended */
        assert_int_equal(sched_next_deadline(f.sched), t);
        assert_int_equal(sched_count(f.sched), 1200 - t);
        f.now = t;
        sched_expire(f.sched, t);
        assert_int_equal(sched_run(f.sched), 1);
    }
    fixture_close(&f);
}

/* ---- Cancellation ---- */

static int park_until_deadline(void *arg)
{
    struct parked *p = arg;
    p->self = coro_self();
    CORO_DEADLINE(1100);
    p->result = coro_park("never");
    assert_int_equal(coro_park("again"), p->result);
    p->done = true;
    return 0;
}

static void cancellation_wins_over_timeout(void **state)
{
    struct fixture f;
    fixture_open(&f);
    struct parked p = {0};
    assert_int_equal(sched_spawn(f.sched, "p", park_until_deadline, &p), 0);
    sched_run(f.sched);
    f.now = 1100;
    sched_expire(f.sched, f.now); /* has timed out, but has not heard of it yet */
    coro_cancel(p.self);
    sched_run(f.sched);
    assert_true(p.done);
    assert_int_equal(p.result, -ECANCELED);
    fixture_close(&f);
}

static int every_wait_is_cancelled(void *arg)
{
    coro_cancel(coro_self());
    assert_true(coro_cancelled(coro_self()));
    assert_int_equal(coro_poll(), -ECANCELED);
    assert_int_equal(coro_yield(), -ECANCELED);
    assert_int_equal(coro_park("x"), -ECANCELED);
    assert_int_equal(coro_sleep("x", 0), -ECANCELED);
    CORO_DEADLINE(0);
    assert_int_equal(coro_park("x"), -ECANCELED);
    return 0;
}

static void a_cancelled_coroutine_waits_no_more(void **state)
{
    struct fixture f;
    run_coroutine(&f, every_wait_is_cancelled);
}

/* ---- Defers ---- */

static struct note defers;

static void defer_note(void *arg)
{
    note(&defers, *(const char *)arg);
}

static int with_defers(void *arg)
{
    static char letters[] = "abcdefghijklmnopqrst";
    for (int i = 0; i < 20; i++)
        assert_int_equal(coro_defer(defer_note, &letters[i]), 0);
    assert_true(coro_defer_drop(defer_note, &letters[1]));
    assert_true(coro_defer_drop(defer_note, &letters[19]));
    assert_false(coro_defer_drop(defer_note, &letters[1]));
    int rc = coro_park("never");
    note(&defers, '-');
    return rc;
}

static int defer_without_memory(void *arg)
{
    static char dot = '.';
    static char bang = '!';
    defers.len = 0;
    for (int i = 0; i < 4; i++)
        assert_int_equal(coro_defer(defer_note, &dot), 0);
    mem_fail_at(1, true);
    int rc = coro_defer(defer_note, &bang);
    mem_fail_at(0, false);
    assert_int_equal(rc, -ENOMEM);
    assert_string_equal(defers.text, "!");
    return 0;
}

static void a_defer_that_finds_no_memory_has_run(void **state)
{
    struct fixture f;
    run_coroutine(&f, defer_without_memory);
    assert_string_equal(defers.text, "!....");
}

static void defers_run_in_reverse_however_it_ends(void **state)
{
    struct fixture f;
    fixture_open(&f);
    defers.len = 0;
    assert_int_equal(sched_spawn(f.sched, "d", with_defers, NULL), 0);
    sched_run(f.sched);
    sched_cancel_all(f.sched);
    sched_run(f.sched);
    assert_string_equal(defers.text, "-srqponmlkjihgfedca");
    fixture_close(&f);
}

/* ---- The machine ---- */

static int keep_rounding(void *arg)
{
    int mode = *(int *)arg;
    fesetround(mode);
    for (int i = 0; i < 10; i++) {
        volatile double third = 1.0;
        third /= 3.0;
        volatile double product = third * 3.0;
        assert_int_equal(fegetround(), mode);
        assert_true(mode == FE_UPWARD ? product > 1.0 : product < 1.0);
        assert_int_equal(coro_yield(), 0);
    }
    return 0;
}

static void rounding_modes_do_not_leak_between_coroutines(void **state)
{
    struct fixture f;
    fixture_open(&f);
    int up = FE_UPWARD;
    int down = FE_DOWNWARD;
    assert_int_equal(sched_spawn(f.sched, "up", keep_rounding, &up), 0);
    assert_int_equal(sched_spawn(f.sched, "down", keep_rounding, &down), 0);
    fixture_drain(&f);
    assert_int_equal(fegetround(), FE_TONEAREST);
    fixture_close(&f);
}

static int stack_is_aligned(void *arg)
{
    _Alignas(16) volatile char buffer[16];
    char text[64];
    assert_int_equal((uintptr_t)buffer % 16, 0);
    snprintf(text, sizeof text, "%.3f", 1.5); /* libc uses aligned SSE stores */
    assert_string_equal(text, "1.500");
    return 0;
}

static void stacks_are_aligned(void **state)
{
    struct fixture f;
    run_coroutine(&f, stack_is_aligned);
}

/* ---- Memory ---- */

static int nothing(void *arg)
{
    return 0;
}

/* ---- The thread's own stack ---- */

#define DEEP (1024 * 1024) /* a coroutine has 64 KiB */

static void fill_stack(void *arg)
{
    volatile char deep[DEEP];
    for (size_t i = 0; i < sizeof deep; i += 512)
        deep[i] = (char)i;
    *(int *)arg += 1 + deep[DEEP - 512] - (char)(DEEP - 512);
}

static int call_deep_and_yield(void *arg)
{
    struct writer *w = arg;
    int calls = 0;
    for (int i = 0; i < w->times; i++) {
        coro_call_deep(fill_stack, &calls);
        assert_int_equal(calls, i + 1);
        assert_int_equal(coro_name(coro_self())[0], w->letter);
        note(w->to, w->letter);
        assert_int_equal(coro_yield(), 0);
    }
    return 0;
}

static void deep_calls_have_the_threads_stack(void **state)
{
    struct fixture f;
    fixture_open(&f);
    struct note n = {0};
    struct writer a = {&n, 'a', 3};
    struct writer b = {&n, 'b', 2};
    assert_int_equal(sched_spawn(f.sched, "a", call_deep_and_yield, &a), 0);
    assert_int_equal(sched_spawn(f.sched, "b", call_deep_and_yield, &b), 0);
    assert_true(sched_run_one(f.sched));
    assert_string_equal(n.text, "a");
    fixture_drain(&f);
    assert_string_equal(n.text, "ababa");
    fixture_close(&f);
}

static void running_out_of_memory_is_an_answer(void **state)
{
    for (uint64_t nth = 1;; nth++) {
        struct fixture f = {.now = 1};
        struct sched_options options = {.now = fixture_now, .now_ctx = &f};
        mem_fail_at(nth, false);
        int rc = sched_open(&f.sched, &options);
        bool failed = rc != 0;
        int started = 0;
        for (int i = 0; i < 200 && !rc; i++) {
            rc = sched_spawn(f.sched, "n", nothing, NULL);
            started += rc == 0;
            failed |= rc != 0;
        }
        mem_fail_at(0, false);
        assert_true(rc == 0 || rc == -ENOMEM);
        if (f.sched) {
            assert_int_equal(sched_count(f.sched), started);
            fixture_drain(&f);
            fixture_close(&f);
        }
        if (!failed)
            return;
    }
}

TEST_FILE(coro)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ready_coroutines_take_turns),
        cmocka_unit_test(who_yields_does_not_press),
        cmocka_unit_test(pick_decides_who_goes_next),
        cmocka_unit_test(a_wake_carries_its_result_once),
        cmocka_unit_test(describe_says_who_waits_for_what),
        cmocka_unit_test(deadlines_nest_and_only_shrink),
        cmocka_unit_test(a_sleep_may_last_to_the_deadline),
        cmocka_unit_test(lazy_alarms_are_exact),
        cmocka_unit_test(sleepers_wake_in_order_of_time),
        cmocka_unit_test(cancellation_wins_over_timeout),
        cmocka_unit_test(a_cancelled_coroutine_waits_no_more),
        cmocka_unit_test(defers_run_in_reverse_however_it_ends),
        cmocka_unit_test(a_defer_that_finds_no_memory_has_run),
        cmocka_unit_test(rounding_modes_do_not_leak_between_coroutines),
        cmocka_unit_test(stacks_are_aligned),
        cmocka_unit_test(deep_calls_have_the_threads_stack),
        cmocka_unit_test(running_out_of_memory_is_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
