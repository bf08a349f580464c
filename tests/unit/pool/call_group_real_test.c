/*
 * Several calls at once, with real threads and real worker processes: crowds that ask, come too
 * late and leave, and workers that die of what is fused.
 */
#include "call_set.h"
#include "real_workers.h"

#include "base/rand.h"
#include "pool/choose.h"

/* ---- Crowds ---- */

#define CALLERS 16
#define SETS    40

struct crowd {
    struct scene *scene;
    struct rand rand;
    unsigned outcomes[POOL_OUTCOMES];
    unsigned placed[PLACEMENTS];
    unsigned calls, told;
};

static void add_some(struct crowd *c, struct call_set *set, char (*inputs)[32])
{
    unsigned count = 1 + (unsigned)rand_below(&c->rand, CALLS_MAX);
    int64_t now = world_now(w);
    for (unsigned i = 0; i < count; i++) {
        bool burns = rand_ppm(&c->rand, 300000);
        snprintf(inputs[i], sizeof(inputs[i]), burns ? "{\"us\": %u}" : "%u",
            (unsigned)rand_below(&c->rand, 200));
        add_call(set, c->scene, burns ? "burn" : "echo", inputs[i]);
        if (rand_ppm(&c->rand, 100000))
            set->calls[i].deadline = now + (int64_t)rand_below(&c->rand, 400) * NS_PER_US;
        set->calls[i].needed = rand_ppm(&c->rand, 200000);
    }
}

static void look_at(struct crowd *c, const struct call_set *set)
{
    unsigned cancelled = count_outcomes(set, POOL_CANCELLED);
    c->placed[set->placed]++;
    assert_true(set->rc == 0 || set->rc == -ECANCELED || set->rc == -ETIMEDOUT);
    assert_true(set->rc == -ECANCELED || cancelled == 0);
    for (unsigned i = 0; i < set->count; i++) {
        const struct pool_call *call = &set->calls[i];
        c->outcomes[call->outcome]++;
        c->told++;
        if (call->outcome == POOL_DONE && call->input.ptr[0] != '{')
            assert_true(span_equal(call->output, call->input));
        if (call->outcome != POOL_DONE)
            assert_true(call->output.ptr == NULL && call->error.code != 0);
    }
}

static int ask_many(void *arg)
{
    static const enum pool_dispatch dispatches[] = {
        POOL_AUTO, POOL_FUSED, POOL_FANOUT, POOL_INLINE};
    struct crowd *c = arg;
    for (unsigned i = 0; i < SETS && !coro_cancelled(coro_self()); i++) {
        char inputs[CALLS_MAX][32];
        struct call_set *set = calloc(1, sizeof(*set));
        assert_non_null(set);
        set->dispatch = dispatches[rand_below(&c->rand, 4)];
        add_some(c, set, inputs);
        c->calls += set->count;
        CORO_DEADLINE(rand_ppm(&c->rand, 200000)
                          ? world_now(w) + (int64_t)rand_below(&c->rand, 1000) * NS_PER_US
                          : DEADLINE_NEVER);
        assert_int_equal(call_set(set), 0);
        look_at(c, set);
        release_set(set);
        free(set);
    }
    return 0;
}

static void run_crowd(struct scene *s, uint64_t seed)
{
    struct crowd crowd = {.scene = s};
    rand_init(&crowd.rand, seed);
    GROUP(staying, GROUP_INDEPENDENT);
    GROUP(leaving, GROUP_INDEPENDENT);
    for (unsigned i = 0; i < CALLERS; i++) {
        assert_int_equal(group_spawn(&staying, "stays", ask_many, &crowd), 0);
        assert_int_equal(group_spawn(&leaving, "leaves", ask_many, &crowd), 0);
    }
    assert_int_equal(world_sleep(w, (int64_t)rand_below(&crowd.rand, 5000) * NS_PER_US), 0);
    group_cancel(&leaving);
    assert_int_equal(group_wait(&leaving), 0);
    assert_int_equal(group_wait(&staying), 0);
    assert_int_equal(crowd.told, crowd.calls);
    assert_true(crowd.outcomes[POOL_DONE] > 0);
    assert_int_equal(crowd.outcomes[POOL_DIED] + crowd.outcomes[POOL_FAILED], 0);
    assert_true(crowd.placed[PLACE_FUSED] > 0 && crowd.placed[PLACE_FANOUT] > 0);
}

POOL_TEST(crowds_of_threads, CONF_POOL_THREADS, 3, use_workers)
{
    for (uint64_t seed = 1; seed <= 5; seed++)
        run_crowd(s, seed);
}

static void use_a_short_queue(struct scene *s)
{
    use_workers(s);
    s->conf.queue = 12;
}

POOL_TEST(crowds_at_a_full_queue, CONF_POOL_THREADS, 3, use_a_short_queue)
{
    for (uint64_t seed = 1; seed <= 5; seed++)
        run_crowd(s, seed);
}

POOL_TEST(crowds_of_processes, CONF_POOL_PROCESSES, 2, use_workers)
{
    for (uint64_t seed = 1; seed <= 3; seed++)
        run_crowd(s, seed);
}

/* ---- Processes ---- */

#define LARGE (20 * 1024)

static void others_survive(struct scene *s, enum pool_dispatch dispatch)
{
    struct call_set set = {.dispatch = dispatch};
    add_call(&set, s, "echo", "1");
    add_call(&set, s, "crash", "{\"how\": \"segfault\"}");
    add_call(&set, s, "echo", "2");
    assert_int_equal(call_set(&set), 0);
    assert_int_equal(set.rc, 0);
    assert_true(set.placed == PLACE_FUSED || set.placed == PLACE_FANOUT);
    for (unsigned i = 0; i < 3; i += 2)
        if (set.calls[i].outcome != POOL_DONE)
            fail_msg("%s", set.calls[i].error.sentence);
    assert_int_equal(set.calls[1].outcome, POOL_DIED);
    release_set(&set);
}

POOL_TEST(who_dies_dies_alone, CONF_POOL_PROCESSES, 1, use_workers)
{
    others_survive(s, POOL_FUSED);
    others_survive(s, POOL_FANOUT);
    others_survive(s, POOL_AUTO);
    others_survive(s, POOL_INLINE); /* which cannot be there */
}

POOL_TEST(who_may_is_tried_again, CONF_POOL_PROCESSES, 2, use_workers)
{
    struct call_set set = {.dispatch = POOL_FUSED};
    for (unsigned i = 0; i < 3; i++) {
        add_call(&set, s, "crash", "{\"how\": \"segfault\"}");
        set.calls[i].retry = true;
    }
    assert_int_equal(call_set(&set), 0);
    assert_int_equal(count_outcomes(&set, POOL_DIED), 3);
    assert_true(was_said("poison"));
    release_set(&set);
}

/* Inputs that are written to a worker one after the other. */
static const char *large(char *text, const char *json)
{
    snprintf(text, LARGE, "%s%*s", json, LARGE - 1 - (int)strlen(json), "");
    return text;
}

POOL_TEST(who_is_behind_one_that_hangs_goes_elsewhere, CONF_POOL_PROCESSES, 2, use_workers)
{
    static char texts[2][LARGE];
    int64_t hangs_for_ns = 4 * NS_PER_S;
    struct call_set set = {.dispatch = POOL_FUSED};
    add_call(&set, s, "crash", large(texts[0], "{\"how\": \"hang\"}"));
    add_call(&set, s, "echo", large(texts[1], "1"));
    add_call(&set, s, "echo", texts[1]);
    set.calls[0].deadline = world_now(w) + hangs_for_ns;
    CORO_DEADLINE(world_now(w) + HANG_NS);
    assert_int_equal(call_set(&set), 0);
    assert_int_equal(set.calls[0].outcome, POOL_EXPIRED);
    for (unsigned i = 1; i < 3; i++) {
        assert_int_equal(set.calls[i].outcome, POOL_DONE);
        assert_true(set.calls[i].queue_ns < hangs_for_ns); /* time: begun before its end */
    }
    release_set(&set);
}

POOL_TEST(a_fork_each, CONF_POOL_FORK, 2, use_workers)
{
    others_survive(s, POOL_FUSED);
    others_survive(s, POOL_AUTO);
}

/* ---- Threads ---- */

/* Cheap ones run here as soon as that is known; the pool's own threads are not asked any more. */
POOL_TEST(what_is_cheap_comes_to_run_inline, CONF_POOL_THREADS, 2, use_workers)
{
    unsigned inline_runs = 0;
    for (unsigned i = 0; i < 100000 && inline_runs < 20; i++) {
        struct call_set set = {.dispatch = POOL_AUTO};
        add_call(&set, s, "echo", "true");
        add_call(&set, s, "echo", "false");
        assert_int_equal(call_set(&set), 0);
        assert_int_equal(count_outcomes(&set, POOL_DONE), 2);
        inline_runs += set.placed == PLACE_INLINE;
        release_set(&set);
    }
    assert_int_equal(inline_runs, 20);
}

static void forced_inline(struct scene *s)
{
    s->dispatch = CONF_DISPATCH_INLINE;
}

POOL_TEST(what_is_forced_inline_is_so_from_the_start, CONF_POOL_THREADS, 1, forced_inline)
{
    struct call_set set = {.dispatch = POOL_INLINE};
    add_call(&set, s, "burn", "{\"ms\": 3}");
    assert_int_equal(call_set(&set), 0);
    assert_int_equal(set.placed, PLACE_INLINE);
    assert_int_equal(set.calls[0].outcome, POOL_DONE);
    release_set(&set);
    assert_int_equal(call_set(&set), 0);
    assert_int_equal(set.placed, PLACE_INLINE);
    release_set(&set);
    assert_true(dispatch_expected(&s->pool->dispatch) > 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(crowds_of_threads),
    cmocka_unit_test(crowds_at_a_full_queue),
    cmocka_unit_test(crowds_of_processes),
    cmocka_unit_test(who_dies_dies_alone),
    cmocka_unit_test(who_may_is_tried_again),
    cmocka_unit_test(who_is_behind_one_that_hangs_goes_elsewhere),
    cmocka_unit_test(a_fork_each),
    cmocka_unit_test(what_is_cheap_comes_to_run_inline),
    cmocka_unit_test(what_is_forced_inline_is_so_from_the_start),
};

TEST_FILE(call_group_real)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
