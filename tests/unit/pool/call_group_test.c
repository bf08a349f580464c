/*
 * Several calls at once, with threads on a simulated host, where time is exact: how long each
 * placement takes, what comes of those that fail, are late or are left, and where `auto` places.
 */
#include "../check.h"
#include "../world/sim_fixture.h"
#include "call_set.h"

#include "base/rand.h"
#include "pool/choose.h"

#define MS NS_PER_MS

#define POOL_TEST(name, workers, change)                                  \
    static int name##_main(struct world *w, void *arg)                    \
    {                                                                     \
        with_pool(w, CONF_POOL_THREADS, workers, change, name##_in_pool); \
        return 0;                                                         \
    }                                                                     \
    static void name(void **state)                                        \
    {                                                                     \
        run_alone(name##_main);                                           \
    }

static struct call_set burns(struct scene *s, unsigned count, enum pool_dispatch dispatch)
{
    struct call_set set = {.dispatch = dispatch};
    for (unsigned i = 0; i < count; i++)
        add_call(&set, s, "burn", "{\"ms\": 30}");
    return set;
}

/* ---- Forced ---- */

/* All done, placed so, in about that time. */
static void takes(struct call_set set, enum placement placed, int64_t ns)
{
    must(call_set(&set) == 0);
    must(set.rc == 0 && count_outcomes(&set, POOL_DONE) == set.count);
    check(set.placed == placed, "%s", placement_name(set.placed));
    check(set.took_ns >= ns && set.took_ns < ns + MS, "%lld", (long long)set.took_ns);
    for (unsigned i = 0; i < set.count; i++)
        must(set.calls[i].wall_ns == 30 * MS);
    release_set(&set);
}

static void each_placement_takes_its_time_in_pool(struct scene *s)
{
    takes(burns(s, 3, POOL_FANOUT), PLACE_FANOUT, 60 * MS);
    takes(burns(s, 2, POOL_FANOUT), PLACE_FANOUT, 30 * MS);
    /* Of what takes long, the other worker takes over what has not begun. */
    takes(burns(s, 3, POOL_FUSED), PLACE_FUSED, 60 * MS);
    takes(burns(s, 1, POOL_FUSED), PLACE_FANOUT, 30 * MS);
    must(call_set(&(struct call_set){.scene = s}) == 0);
}
POOL_TEST(each_placement_takes_its_time, 2, NULL)

static void one_hand_does_what_is_fused_in_pool(struct scene *s)
{
    takes(burns(s, 3, POOL_FUSED), PLACE_FUSED, 90 * MS);
    takes(burns(s, 3, POOL_FANOUT), PLACE_FANOUT, 90 * MS);
}
POOL_TEST(one_hand_does_what_is_fused, 1, NULL)

static void inline_runs_on_the_callers_thread_in_pool(struct scene *s)
{
    struct world *w = s->client->world;
    takes(burns(s, 3, POOL_INLINE), PLACE_FANOUT, 60 * MS); /* there is no worker yet */
    must_sleep(w, MS);
    takes(burns(s, 3, POOL_INLINE), PLACE_INLINE, 90 * MS);
}
POOL_TEST(inline_runs_on_the_callers_thread, 2, NULL)

static void each_has_its_own_outcome_in_pool(struct scene *s)
{
    static const enum pool_dispatch all[] = {POOL_FUSED, POOL_FANOUT, POOL_INLINE, POOL_INLINE};
    for (unsigned i = 0; i < 4; i++) {
        struct call_set set = {.dispatch = all[i]};
        add_call(&set, s, "burn", "{\"ms\": 1}");
        add_call(&set, s, "burn", "\"long\"");
        add_call(&set, s, "echo", "\"much longer than the pool's values may be, which is so\"");
        add_call(&set, s, "echo", "7");
        must(call_set(&set) == 0 && set.rc == 0);
        must(set.calls[0].outcome == POOL_DONE);
        must(set.calls[1].outcome == POOL_REJECTED);
        must(set.calls[2].outcome == POOL_TOO_LARGE);
        must(set.calls[3].outcome == POOL_DONE && span_equal(set.calls[3].output, SPAN("7")));
        release_set(&set);
        must_sleep(s->client->world, MS);
    }
}
static void small_values(struct scene *s)
{
    s->conf.value = 40;
}
POOL_TEST(each_has_its_own_outcome, 2, small_values)

/* ---- Those that are late, or left ---- */

/* What is expected to be late would be refused. */
static void forget_costs(struct scene *s)
{
    memset(s->pool->costs, 0, s->pool->step_count * sizeof(*s->pool->costs));
}

static void one_may_be_late_alone_in_pool(struct scene *s)
{
    static const enum pool_dispatch all[] = {POOL_FUSED, POOL_FANOUT};
    for (unsigned i = 0; i < 2; i++) {
        struct call_set set = burns(s, 3, all[i]);
        set.calls[1].deadline = world_now(s->client->world) + 10 * MS;
        forget_costs(s);
        must(call_set(&set) == 0 && set.rc == 0);
        must(count_outcomes(&set, POOL_DONE) == 2 && set.calls[1].outcome == POOL_EXPIRED);
        must(set.took_ns >= 30 * MS && set.took_ns <= 61 * MS);
        release_set(&set);
    }
}
POOL_TEST(one_may_be_late_alone, 2, NULL)

static void a_deadline_ends_all_in_pool(struct scene *s)
{
    static const enum pool_dispatch all[] = {POOL_FUSED, POOL_FANOUT};
    struct world *w = s->client->world;
    for (unsigned i = 0; i < 2; i++) {
        struct call_set set = burns(s, 3, all[i]);
        forget_costs(s);
        {
            CORO_DEADLINE(world_now(w) + 45 * MS);
            must(call_set(&set) == 0);
        }
        must(set.rc == -ETIMEDOUT && set.took_ns >= 45 * MS && set.took_ns < 46 * MS);
        /* Once the first has told what they take, one may be given up before its time. */
        must(count_outcomes(&set, POOL_EXPIRED) + count_outcomes(&set, POOL_OVERLOADED) == 2);
        must(count_outcomes(&set, POOL_DONE) == 1);
        release_set(&set);
        must_sleep(w, 100 * MS);
        must(atomic_load(&s->pool->queue.length) == 0);
    }
}
POOL_TEST(a_deadline_ends_all, 1, NULL)

static void a_full_queue_refuses_some_in_pool(struct scene *s)
{
    struct call_set set = burns(s, 6, POOL_FANOUT);
    must(call_set(&set) == 0 && set.rc == 0);
    must(count_outcomes(&set, POOL_DONE) == 2 && count_outcomes(&set, POOL_OVERLOADED) == 4);
    must(set.calls[5].retry_after > 0);
    release_set(&set);
    /* What an idle worker takes at once does not wait. */
    set.dispatch = POOL_FUSED;
    must(call_set(&set) == 0 && set.rc == 0 && count_outcomes(&set, POOL_DONE) == 6);
    release_set(&set);
    struct call_set before = burns(s, 1, POOL_FANOUT);
    GROUP(g, GROUP_INDEPENDENT);
    must(group_spawn(&g, "before them", call_set, &before) == 0);
    must_sleep(s->client->world, MS);
    must(call_set(&set) == 0 && set.rc == 0);
    must(count_outcomes(&set, POOL_OVERLOADED) == 6 && set.took_ns == 0);
    must(group_wait(&g) == 0 && count_outcomes(&before, POOL_DONE) == 1);
    release_set(&set);
    release_set(&before);
}

/* What else was called with one that is needed goes with it, and at once. */
static void one_refusal_is_all_in_pool(struct scene *s)
{
    struct call_set set = burns(s, 6, POOL_FANOUT);
    set.calls[1].needed = true; /* there is room for it */
    set.calls[4].needed = true;
    must(call_set(&set) == 0 && set.rc == 0);
    must(count_outcomes(&set, POOL_OVERLOADED) == 6 && set.took_ns == 0);
    must(set.calls[0].retry_after == set.calls[5].retry_after && set.calls[0].retry_after > 0);
    release_set(&set);
    must(atomic_load(&s->pool->queue.length) == 0);
    struct call_set others = burns(s, 2, POOL_FANOUT);
    must(call_set(&others) == 0 && count_outcomes(&others, POOL_DONE) == 2);
    release_set(&others);
}

static void queue_of_two(struct scene *s)
{
    s->conf.queue = 2;
}
POOL_TEST(a_full_queue_refuses_some, 1, queue_of_two)
POOL_TEST(one_refusal_is_all, 1, queue_of_two)

/* Cancelled at any moment: each has one outcome, and what was done stays so. */
static void a_cancelled_caller_in_pool(struct scene *s)
{
    struct world *w = s->client->world;
    struct rand r;
    rand_init(&r, 5);
    for (unsigned i = 0; i < 200; i++) {
        struct call_set set = burns(
            s, 1 + (unsigned)rand_below(&r, 5), rand_ppm(&r, 500000) ? POOL_FUSED : POOL_FANOUT);
        GROUP(g, GROUP_INDEPENDENT);
        must(group_spawn(&g, "caller", call_set, &set) == 0);
        must_sleep(w, (int64_t)rand_below(&r, 160) * MS + 1);
        group_cancel(&g);
        must(group_wait(&g) == 0);
        unsigned done = count_outcomes(&set, POOL_DONE);
        must(done + count_outcomes(&set, POOL_CANCELLED) == set.count);
        must(set.rc == (done == set.count ? 0 : -ECANCELED));
        release_set(&set);
        if (rand_ppm(&r, 300000))
            must_sleep(w, 100 * MS);
    }
    must_sleep(w, 200 * MS);
    must(atomic_load(&s->pool->queue.length) == 0);
}
POOL_TEST(a_cancelled_caller, 2, NULL)

/* ---- Memory ---- */

static bool makes_a_desk(void)
{
    struct scene s;
    struct error e;
    struct pool_client *client;
    scene_init(&s, CONF_POOL_THREADS, 1);
    scene_add(&s, "echo");
    if (scene_make(&s, NULL, &e) != 0)
        return false;
    int rc = pool_client_new(&client, s.pools, 0, NULL);
    if (rc == 0)
        pool_client_free(client);
    pools_free(s.pools);
    return rc == 0;
}

static void a_desk_is_made_with_little_memory(void **state)
{
    torture(makes_a_desk);
}

/* The first, the second ... allocation fails: each call says so, and the others are done. */
static void calls_with_little_memory_in_pool(struct scene *s)
{
    for (unsigned nth = 1; nth <= 12; nth++) {
        struct call_set set = {.dispatch = nth % 2 ? POOL_FUSED : POOL_FANOUT};
        for (unsigned i = 0; i < CALLS_MAX; i++)
            add_call(&set, s, "echo", "[1]");
        mem_fail_at(nth, nth > 6);
        must(call_set(&set) == 0 && set.rc == 0);
        mem_fail_at(0, false);
        unsigned failed = count_outcomes(&set, POOL_OUT_OF_MEMORY);
        must(count_outcomes(&set, POOL_DONE) + failed == CALLS_MAX);
        release_set(&set);
    }
}
POOL_TEST(calls_with_little_memory, 2, NULL)

/* ---- auto ---- */

static void sink(void *ctx, const char *line, size_t len)
{
    struct bytes *said = ctx;
    must(bytes_append(said, line, len) == 0);
}

static int64_t wall(void *ctx)
{
    return 0;
}

static struct bytes said;
static struct log said_log = {.level = LOG_DEBUG, .sink = sink, .ctx = &said, .wall_ns = wall};

static void with_log(struct scene *s)
{
    bytes_init(&said, 1 << 20);
    s->log = &said_log;
}

static bool was_said(const char *text)
{
    return said.len > 0 && memmem(said.ptr, said.len, text, strlen(text)) != NULL;
}

static enum placement place(struct scene *s, const char *step, const char *input, unsigned count)
{
    struct call_set set = {.dispatch = POOL_AUTO};
    for (unsigned i = 0; i < count; i++)
        add_call(&set, s, step, input);
    must(call_set(&set) == 0 && set.rc == 0 && count_outcomes(&set, POOL_DONE) == count);
    release_set(&set);
    must_sleep(s->client->world, MS); /* another turn */
    return set.placed;
}

/* On this host dispatching takes no time. */
static void set_dispatch_cost(struct scene *s, int64_t ns)
{
    for (unsigned i = 0; i < 60; i++) {
        dispatch_note(&s->pool->dispatch, ns);
        estimate_note(&s->pool->dispatch.effort, ns / 2);
    }
}

static void auto_learns_in_pool(struct scene *s)
{
    set_dispatch_cost(s, 20 * NS_PER_US);
    must_sleep(s->client->world, MS);                         /* all workers are idle */
    must(place(s, "burn", "{\"us\": 5}", 3) == PLACE_FANOUT); /* not known yet */
    must(place(s, "burn", "{\"us\": 5}", 3) != PLACE_INLINE); /* there is no worker yet */
    must_sleep(s->client->world, NS_PER_S);                   /* two lines a second are said */
    for (unsigned i = 0; i < 20; i++)
        must(place(s, "burn", "{\"us\": 5}", 3) == PLACE_INLINE);
    must(was_said(": dispatching would make it slower"));
    must(place(s, "burn", "{\"us\": 5}", 1) == PLACE_INLINE);
    /* A size that was never seen. */
    must(place(s, "burn",
             "{\"ms\": 9, \"x\": \"01234567890123456789012345678901234567890123456789012345\"}",
             1) == PLACE_FANOUT);
    bytes_release(&said);
}
POOL_TEST(auto_learns, 2, with_log)

static void what_blocks_the_loop_is_sent_off_in_pool(struct scene *s)
{
    struct world *w = s->client->world;
    set_dispatch_cost(s, 20 * NS_PER_US);
    for (unsigned i = 0; i < 20; i++)
        (void)place(s, "burn", "{\"us\": 5}", 1);
    must(place(s, "burn", "{\"us\": 5}", 1) == PLACE_INLINE);
    must(!was_said("on an I/O thread"));
    must(place(s, "burn", "{\"ms\": 2}", 1) == PLACE_INLINE);
    must(was_said("step 'burn' of route '?' ran for 2.0 ms on an I/O thread"));
    must(was_said("for 0.2 s it runs in pool 'p'"));
    /* At once, and for a hundred times as long, though it is cheap again. */
    for (unsigned i = 0; i < 100; i++)
        must(place(s, "burn", "{\"us\": 5}", 1) == PLACE_FANOUT);
    must_sleep(w, 2 * MS * CHOOSE_OFF_TIMES - 115 * MS);
    must(place(s, "burn", "{\"us\": 5}", 1) == PLACE_FANOUT);
    must_sleep(w, 20 * MS);
    (void)place(s, "burn", "{\"us\": 5}", 1);
    set_dispatch_cost(s, 20 * NS_PER_US);
    (void)place(s, "burn", "{\"us\": 5}", 1);
    must(place(s, "burn", "{\"us\": 5}", 1) == PLACE_INLINE);
    bytes_release(&said);
}
POOL_TEST(what_blocks_the_loop_is_sent_off, 2, with_log)

/* How many calls it takes until they are placed inline, or until they are not. */
static unsigned calls_until(struct scene *s, const char *input, bool inline_wanted)
{
    unsigned calls = 0;
    bool is_inline = !inline_wanted;
    while (is_inline != inline_wanted && calls < 1000) {
        set_dispatch_cost(s, 20 * NS_PER_US);
        is_inline = place(s, "burn", input, 3) == PLACE_INLINE;
        calls += 3;
    }
    return calls;
}

static void a_jump_moves_them_within_50_calls_in_pool(struct scene *s)
{
    /* Not so dear that they are sent off. */
    static const char *const dear[] = {"{\"us\": 100}", "{\"us\": 300}", "{\"us\": 900}"};
    (void)calls_until(s, "{\"us\": 5}", true);
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned j = 0; j < 100; j++)
            (void)place(s, "burn", "{\"us\": 5}", 3);
        must(calls_until(s, dear[i], false) <= 50);
        for (unsigned j = 0; j < 100; j++)
            must(place(s, "burn", dear[i], 3) != PLACE_INLINE);
        must(calls_until(s, "{\"us\": 5}", true) <= 50);
    }
    bytes_release(&said);
}
POOL_TEST(a_jump_moves_them_within_50_calls, 2, with_log)

/* What is done against what is known, so that it stays known. */
static void few_are_probed_in_pool(struct scene *s)
{
    unsigned against = 0;
    (void)calls_until(s, "{\"us\": 5}", true);
    for (unsigned i = 0; i < 6000; i++) {
        set_dispatch_cost(s, 20 * NS_PER_US);
        bool is_inline = place(s, "burn", "{\"us\": 5}", 3) == PLACE_INLINE;
        against += i >= 1000 && !is_inline;
    }
    check(against >= 50 && against <= 5000 / 50, "%u of 5000", against);
    bytes_release(&said);
}
POOL_TEST(few_are_probed, 2, with_log)

/* Many in one turn: no more than the budget of it. */
struct crowd {
    struct scene *scene;
    unsigned placed[PLACEMENTS];
};

static int ask(struct crowd *c, const char *input)
{
    struct call_set set = {.dispatch = POOL_AUTO};
    add_call(&set, c->scene, "burn", input);
    must(call_set(&set) == 0 && set.rc == 0);
    c->placed[set.placed]++;
    release_set(&set);
    return 0;
}

static int ask_once(void *arg)
{
    return ask(arg, "{\"us\": 30}");
}

static void a_turn_computes_so_much_in_pool(struct scene *s)
{
    set_dispatch_cost(s, 40 * NS_PER_US);
    for (unsigned i = 0; i < 20; i++)
        (void)place(s, "burn", "{\"us\": 30}", 1);
    struct world *w = s->client->world;
    struct crowd c = {.scene = s};
    uint64_t turn = world_tick(w);
    for (unsigned i = 0; i < 6; i++)
        must(ask_once(&c) == 0);
    must(world_tick(w) == turn);
    must(ask_once(&c) == 0); /* what is cheap waits for another turn */
    must(world_tick(w) != turn);
    check(c.placed[PLACE_INLINE] == 7, "%u", c.placed[PLACE_INLINE]);
    /* What is not that cheap, and not a turn's first, is for hands that are idle. */
    must_sleep(w, MS);
    set_dispatch_cost(s, 10 * NS_PER_US);
    for (unsigned i = 0; i < 2; i++)
        must(ask_once(&c) == 0);
    check(c.placed[PLACE_INLINE] == 8, "%u", c.placed[PLACE_INLINE]);
}
POOL_TEST(a_turn_computes_so_much, 2, NULL)

/* The first of them fills the turn. */
static int ask_dear(void *arg)
{
    struct crowd *c = arg;
    while (c->placed[PLACE_INLINE] < 50) /* 200 us */
        must(ask(c, "{\"us\": 4}") == 0);
    return ask(c, "{\"ms\": 30}");
}

/* They find the turn full, and wait for the next: but by then it is known what they are. */
static void who_waits_for_a_turn_is_placed_anew_in_pool(struct scene *s)
{
    set_dispatch_cost(s, 40 * NS_PER_US);
    for (unsigned i = 0; i < 20; i++)
        (void)place(s, "burn", "{\"us\": 4}", 1);
    set_dispatch_cost(s, 40 * NS_PER_US);
    must(place(s, "burn", "{\"us\": 4}", 1) == PLACE_INLINE);
    struct crowd c = {.scene = s};
    GROUP(g, GROUP_INDEPENDENT);
    for (unsigned i = 0; i < 8; i++)
        must(group_spawn(&g, "caller", ask_dear, &c) == 0);
    must(group_wait(&g) == 0);
    check(c.placed[PLACE_INLINE] == 51, "%u", c.placed[PLACE_INLINE]);
}
POOL_TEST(who_waits_for_a_turn_is_placed_anew, 2, NULL)

/* Of a set, too. */
static void what_blocks_the_loop_takes_its_set_along_in_pool(struct scene *s)
{
    set_dispatch_cost(s, 40 * NS_PER_US);
    for (unsigned i = 0; i < 20; i++)
        (void)place(s, "burn", "{\"us\": 30}", 1);
    must_sleep(s->client->world, MS);
    struct call_set set = burns(s, 5, POOL_AUTO);
    must(call_set(&set) == 0 && count_outcomes(&set, POOL_DONE) == 5);
    must(set.placed == PLACE_INLINE);
    check(set.took_ns < 91 * MS, "%lld", (long long)set.took_ns);
    release_set(&set);
}
POOL_TEST(what_blocks_the_loop_takes_its_set_along, 2, NULL)

/* ---- Costs ---- */

static void note(struct scene *s, size_t input, int64_t ns, bool done)
{
    struct pool_call c = call_of(s, "burn", "0");
    static struct task t;
    task_init(&t, s->client, s->pool, c.step);
    t.input.len = input;
    t.wall_ns = ns;
    for (unsigned i = 0; i < 100; i++)
        task_note_cost(&t, done);
}

static void failures_do_not_make_a_step_cheap_in_pool(struct scene *s)
{
    struct pool_call c = call_of(s, "burn", "0");
    const struct step_cost *cost = &s->pool->costs[c.step];
    note(s, 10, 30 * MS, true);
    note(s, 10, 1000, false);
    must(cost_expected(cost, 10) == 30 * MS);
    note(s, 100000, 1000, false); /* of a size that nobody else sends */
    must(cost_expected(cost, 100000) != 1000);
    note(s, 10, 300 * MS, false);
    must(cost_expected(cost, 10) > 100 * MS);
}
POOL_TEST(failures_do_not_make_a_step_cheap, 2, NULL)

TEST_FILE(call_group)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_placement_takes_its_time),
        cmocka_unit_test(one_hand_does_what_is_fused),
        cmocka_unit_test(inline_runs_on_the_callers_thread),
        cmocka_unit_test(each_has_its_own_outcome),
        cmocka_unit_test(one_may_be_late_alone),
        cmocka_unit_test(a_deadline_ends_all),
        cmocka_unit_test(a_full_queue_refuses_some),
        cmocka_unit_test(one_refusal_is_all),
        cmocka_unit_test(a_cancelled_caller),
        cmocka_unit_test(a_desk_is_made_with_little_memory),
        cmocka_unit_test(calls_with_little_memory),
        cmocka_unit_test(auto_learns),
        cmocka_unit_test(what_blocks_the_loop_is_sent_off),
        cmocka_unit_test(a_jump_moves_them_within_50_calls),
        cmocka_unit_test(few_are_probed),
        cmocka_unit_test(a_turn_computes_so_much),
        cmocka_unit_test(who_waits_for_a_turn_is_placed_anew),
        cmocka_unit_test(what_blocks_the_loop_takes_its_set_along),
        cmocka_unit_test(failures_do_not_make_a_step_cheap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
