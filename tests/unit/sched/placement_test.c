/*
 * The rule of placement: each of its borders, from both sides, and that it does not oscillate.
 */
#include "../check.h"

#include "base/rand.h"
#include "base/time.h"
#include "sched/placement.h"

#include <string.h>

#define US NS_PER_US

/* Three cheap steps, which two workers wait for: inline. */
static const struct placement_view usual = {.count = 3,
    .sum_ns = 30 * US,
    .most_ns = 10 * US,
    .tail_ns = 12 * US,
    .dispatch_ns = 20 * US,
    .effort_ns = 2 * US,
    .fanout_ns = 60 * US,
    .may_inline = true,
    .workers = 2,
    .idle = 2,
    .before = PLACE_UNDECIDED};

static void decides(struct placement_view v, enum placement wanted, const char *reason)
{
    const char *why = NULL;
    enum placement got = placement_decide(&v, &why);
    if (got != wanted || !strstr(why, reason))
        fail_msg("%s: %s; not %s: %s", placement_name(got), why, placement_name(wanted), reason);
    assert_int_equal(placement_decide(&v, NULL), wanted);
}

#define WITH(...)                             \
    ({                                        \
        struct placement_view v_ = usual;     \
        struct placement_view *const v = &v_; \
        __VA_ARGS__;                          \
        v_;                                   \
    })

static bool waits(struct placement_view v)
{
    return placement_waits(&v);
}

static void inline_or_not(void **state)
{
    static const char slower[] = "dispatching would make it slower";
    decides(usual, PLACE_INLINE, slower);
    decides(WITH(v->may_inline = false), PLACE_FUSED, "several workers are not faster");
    decides(WITH(v->sum_ns = 0), PLACE_FANOUT, "not known yet");
    decides(WITH(v->sum_ns = 0; v->idle = 0), PLACE_FUSED, "no two workers");
    decides(WITH(v->sum_ns = 0; v->idle = 9; v->count = 1), PLACE_FANOUT, "not known yet");
    decides(WITH(v->dispatch_ns = 0; v->count = 1), PLACE_FANOUT, "dispatch cost is not known");
    /* Only an idle worker can be measured. */
    decides(
        WITH(v->dispatch_ns = 0; v->idle = 0; v->queued = 9; v->groups = 11), PLACE_INLINE, slower);
    decides(WITH(v->batched = true), PLACE_FANOUT, "run in batches");
    decides(WITH(v->batched = true; v->idle = 0; v->queued = 9), PLACE_FANOUT, "run in batches");
    /* Ten dispatches. */
    decides(WITH(v->dispatch_ns = 3001), PLACE_INLINE, slower);
    decides(WITH(v->dispatch_ns = 3000), PLACE_FUSED, "not faster");
    decides(WITH(v->dispatch_ns = 3000; v->count = 1), PLACE_FANOUT, "adds little");
    /* What blocks. */
    decides(WITH(v->sum_ns = 200 * US; v->fanout_ns *= 10), PLACE_FUSED, "not faster");
    decides(WITH(v->sum_ns = 200 * US - 1; v->fanout_ns *= 10), PLACE_INLINE, slower);
    decides(WITH(v->dispatch_ns *= 9; v->count = 1; v->sum_ns = PLACEMENT_ALONE_NS - 1),
        PLACE_INLINE, slower);
    decides(WITH(v->dispatch_ns *= 9; v->count = 1; v->sum_ns = PLACEMENT_ALONE_NS), PLACE_FANOUT,
        "block");
    decides(WITH(v->tail_ns = PLACEMENT_ALONE_NS - 1), PLACE_INLINE, slower);
    decides(WITH(v->tail_ns = PLACEMENT_ALONE_NS; v->count = 1), PLACE_FANOUT, "block");
}

static void a_tick_has_a_budget(void **state)
{
    int64_t left = PLACEMENT_TICK_NS - 30 * US;
    decides(WITH(v->tick_ns = left), PLACE_INLINE, "slower");
    decides(WITH(v->tick_ns = left + 1; v->count = 1), PLACE_FANOUT, "enough");
    assert_true(waits(WITH(v->tick_ns = left + 1)));
    assert_false(waits(WITH(v->tick_ns = left)));
    assert_false(waits(WITH(v->sum_ns = PLACEMENT_TICK_NS + 1)));
    /* What is cheap waits for the next one. */
    decides(WITH(v->tick_ns = PLACEMENT_TICK_NS; v->sum_ns = 6999), PLACE_INLINE, "slower");
    decides(WITH(v->tick_ns = PLACEMENT_TICK_NS; v->sum_ns = 7000), PLACE_FUSED, "not faster");
}

/* Others want this thread, too. */
static void competing_requests_count(void **state)
{
    /* 30 us each, beside a dispatch of 20 and 7 of this thread. */
    decides(WITH(v->competing = 1; v->count = 1), PLACE_INLINE, "slower");
    decides(WITH(v->competing = 2; v->count = 1), PLACE_FANOUT, "would delay other requests");
    decides(WITH(v->competing = 2; v->count = 1; v->dispatch_ns = 24 * US), PLACE_INLINE, "slower");
    decides(WITH(v->competing = 2), PLACE_FUSED, "not faster");
    /* Nobody is held up by what takes this thread as long to hand over. */
    decides(WITH(v->competing = 99; v->sum_ns = 6999), PLACE_INLINE, "slower");
    decides(WITH(v->competing = 99; v->sum_ns = 9000), PLACE_FUSED, "not");
    decides(WITH(v->competing = 99; v->sum_ns = PLACEMENT_PUT_NS + PLACEMENT_BACK_NS - 1;
                 v->effort_ns = 0),
        PLACE_INLINE, "slower");
    decides(WITH(v->competing = 99; v->sum_ns = PLACEMENT_PUT_NS + PLACEMENT_BACK_NS + 3000;
                 v->effort_ns = 0; v->count = 1),
        PLACE_FANOUT, "would delay other requests");
    /* Who is handed over has to wait for a worker, too: of four sets, two at a time. */
    decides(WITH(v->competing = 2; v->groups = 3; v->idle = 0), PLACE_INLINE, "slower");
}

static void waiting_tasks_are_overtaken_without_harm(void **state)
{
    /* Until this thread is back the workers have enough to do. */
    decides(WITH(v->idle = 0; v->groups = 4; v->queued = 2), PLACE_INLINE, "slower");
    decides(WITH(v->idle = 0; v->groups = 4; v->queued = 1), PLACE_FUSED, "other tasks wait");
    decides(WITH(v->idle = 0; v->groups = 4; v->queued = 2; v->tick_ns = 1), PLACE_FUSED, "wait");
    decides(
        WITH(v->idle = 0; v->groups = 6; v->queued = 4; v->tick_ns = 30 * US), PLACE_INLINE, "s");
    /* But for what is short this takes a core away from them, if all are theirs. */
    struct placement_view many = usual;
    many.idle = 0;
    many.groups = many.queued = 9;
    many.sum_ns = PLACEMENT_SHORT_NS - 1;
    decides(many, PLACE_INLINE, "slower");
    many.sum_ns = PLACEMENT_SHORT_NS;
    decides(many, PLACE_FUSED, "other tasks wait");
    many.cores_left = true;
    decides(many, PLACE_INLINE, "slower");
    /* What is cheap may, always. */
    decides(WITH(v->idle = 0; v->queued = 1; v->sum_ns = 6999), PLACE_INLINE, "slower");
}

/* Three of 10 ms. */
static struct placement_view dear(void)
{
    return WITH(v->sum_ns = 30000 * US; v->most_ns = v->tail_ns = 10000 * US; v->fanout_ns = 0);
}

static void fanned_out_or_fused(void **state)
{
    struct placement_view v = dear();
    decides(v, PLACE_FANOUT, "faster together");
    v.idle = 1;
    decides(v, PLACE_FUSED, "no two workers");
    v.idle = 2;
    v.queued = 1;
    decides(v, PLACE_FUSED, "other tasks wait");
    v.queued = 0;
    /* As measured. */
    v.fanout_ns = 28820 * US;
    decides(v, PLACE_FANOUT, "faster together");
    v.fanout_ns = 28890 * US;
    decides(v, PLACE_FUSED, "not faster");
    /* Of many workers, with others under way: these have their turn, too. */
    v = dear();
    v.workers = 4;
    v.groups = 2;
    v.idle = 0;
    v.queued = 3;
    v.count = 4;
    decides(v, PLACE_FANOUT, "faster together");
    v.groups = 3;
    decides(v, PLACE_FUSED, "other tasks wait");
    /* One that is dear among cheap ones wins nothing, two do. */
    v = dear();
    v.sum_ns = 20010 * US;
    v.most_ns = 20000 * US;
    decides(v, PLACE_FUSED, "not faster");
    v.sum_ns = 40005 * US;
    decides(v, PLACE_FANOUT, "faster together");
    /* What could run inline, too. */
    v = usual;
    v.sum_ns = 150 * US;
    v.most_ns = 50 * US;
    v.fanout_ns = 0;
    decides(v, PLACE_FANOUT, "faster together");
    v.fanout_ns = 145 * US;
    decides(v, PLACE_INLINE, "slower");
}

/* Around a border what was decided before stays. */
static void decisions_stay_near_a_border(void **state)
{
    struct placement_view v = usual;
    v.count = 1;
    v.dispatch_ns = 10 * US;
    for (int64_t sum = 81 * US; sum < 124 * US; sum += US) {
        v.sum_ns = sum;
        v.before = PLACE_INLINE;
        decides(v, PLACE_INLINE, "slower");
        v.before = PLACE_FANOUT;
        decides(v, PLACE_FANOUT, "adds little");
    }
    v.sum_ns = 79 * US;
    decides(v, PLACE_INLINE, "slower");
    v.sum_ns = 126 * US;
    v.before = PLACE_INLINE;
    decides(v, PLACE_FANOUT, "adds little");
    v = dear();
    v.before = PLACE_FANOUT;
    v.fanout_ns = 30000 * US;
    decides(v, PLACE_FANOUT, "faster together");
    v.before = PLACE_FUSED;
    decides(v, PLACE_FUSED, "not faster");
}

/* ---- It does not oscillate ---- */

static int64_t trembling(struct rand *r, int64_t ns, int64_t percent)
{
    int64_t by = ns * percent / 100;
    return ns - by + (int64_t)rand_below(r, (uint64_t)(2 * by + 1));
}

/* How often decisions change where each is the next one's past, and nothing changes but that
 * costs tremble by a twentieth and what fanning out takes by a fiftieth. */
static unsigned count_changes(struct rand *r, const struct placement_view *scene)
{
    struct placement_view v = *scene;
    unsigned changes = 0;
    for (unsigned i = 0; i < 200; i++) {
        v.sum_ns = trembling(r, scene->sum_ns, 5);
        v.most_ns = v.tail_ns = v.sum_ns / 3 + 1;
        v.dispatch_ns = trembling(r, scene->dispatch_ns, 5);
        v.effort_ns = trembling(r, scene->effort_ns, 5);
        v.fanout_ns = scene->fanout_ns ? v.sum_ns * trembling(r, scene->fanout_ns, 2) / 1000 : 0;
        enum placement now = placement_decide(&v, NULL);
        changes += now != v.before;
        v.before = now;
    }
    return changes;
}

/* Whatever it costs, also on all borders: the first decision, and one that was wrong. */
static void it_does_not_oscillate(void **state)
{
    static const int64_t dispatches[] = {3 * US, 20 * US, 100 * US, 400 * US};
    /* In thousandths of the sum, of which the borders are 960 and 1040. */
    static const int64_t fanouts[] = {0, 500, 940, 960, 980, 1000, 1020, 1040, 1060, 3000};
    struct rand r;
    rand_init(&r, 3);
    for (int64_t sum = US; sum < 1000 * NS_PER_MS; sum += sum / 7 + 1)
        for (size_t i = 0; i < sizeof(dispatches) / sizeof(*dispatches); i++)
            for (size_t j = 0; j < sizeof(fanouts) / sizeof(*fanouts); j++) {
                struct placement_view scene = usual;
                scene.sum_ns = sum;
                scene.dispatch_ns = dispatches[i];
                scene.effort_ns = dispatches[i] / 8;
                scene.fanout_ns = fanouts[j];
                unsigned changes = count_changes(&r, &scene);
                if (changes > 2)
                    fail_msg("%u changes: steps of %lld ns, dispatch %lld, fanned out %lld / 1000",
                        changes, (long long)sum, (long long)dispatches[i], (long long)fanouts[j]);
            }
}

static void placements_have_names(void **state)
{
    assert_string_equal(placement_name(PLACE_INLINE), "inline");
    assert_string_equal(placement_name(PLACE_FANOUT), "fanout");
    assert_string_equal(placement_name(PLACE_FUSED), "fused");
    assert_string_equal(placement_name(PLACE_UNDECIDED), "undecided");
    assert_null(placement_name(PLACE_UNDECIDED + 1));
}

TEST_FILE(placement)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inline_or_not),
        cmocka_unit_test(a_tick_has_a_budget),
        cmocka_unit_test(competing_requests_count),
        cmocka_unit_test(waiting_tasks_are_overtaken_without_harm),
        cmocka_unit_test(fanned_out_or_fused),
        cmocka_unit_test(decisions_stay_near_a_border),
        cmocka_unit_test(it_does_not_oscillate),
        cmocka_unit_test(placements_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
