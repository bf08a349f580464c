/*
 * Pools as their callers see them, with threads on a simulated host, where time is exact.
 */
#include "../world/sim_fixture.h"
#include "fixture.h"

#include "base/bytes.h"
#include "pool/internal.h"

/* ---- Callers beside the test's own coroutine ---- */

struct caller {
    struct scene *scene;
    const char *step;
    const char *input;
    int64_t within_ns; /* 0: as long as it takes */
    struct pool_call call;
    int rc;
    int64_t took_ns;
};

static int call_it(void *arg)
{
    struct caller *c = arg;
    struct world *w = c->scene->client->world;
    int64_t began = world_now(w);
    CORO_DEADLINE(c->within_ns ? began + c->within_ns : DEADLINE_NEVER);
    c->call = call_of(c->scene, c->step, c->input);
    c->rc = pool_call(c->scene->client, c->scene->pool, &c->call);
    c->took_ns = world_now(w) - began;
    pool_call_release(&c->call);
    return 0;
}

static struct caller caller(struct scene *s, const char *input)
{
    return (struct caller){.scene = s, .step = "burn", .input = input};
}

/* It has called before this returns. */
static void begin(struct group *g, struct caller *c)
{
    must(group_spawn(g, "caller", call_it, c) == 0);
    must_sleep(c->scene->client->world, NS_PER_MS);
}

static void must_end(struct group *g)
{
    must(group_wait(g) == 0);
}

static struct world *world_of(struct scene *s)
{
    return s->client->world;
}

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

/* ---- What comes back ---- */

static void a_step_is_called_in_pool(struct scene *s)
{
    gives(s, "echo", "[1, 2, {\"a\": null}]", "[1,2,{\"a\":null}]");
    struct pool_call c = call_of(s, "burn", "{\"ms\": 30}");
    must(pool_call(s->client, s->pool, &c) == 0);
    must(c.outcome == POOL_DONE && c.wall_ns == 30 * NS_PER_MS);
    must(c.processor_ns == 30 * NS_PER_MS);
    pool_call_release(&c);
    must(c.output.ptr == NULL);
}
POOL_TEST(a_step_is_called, 2, NULL)

static void a_step_that_says_no_is_told_in_pool(struct scene *s)
{
    struct pool_call c = call_of(s, "burn", "\"long\"");
    must(pool_call(s->client, s->pool, &c) == -EINVAL);
    must(c.outcome == POOL_REJECTED && pool_outcome_status(c.outcome) == 422);
    must(strcmp(c.error.type, "invalid-input") == 0);
    must(c.output.ptr == NULL);
    pool_call_release(&c);
}
POOL_TEST(a_step_that_says_no_is_told, 1, NULL)

static void large_values_pass_in_pool(struct scene *s)
{
    struct bytes text;
    bytes_init(&text, 1 << 20);
    must(bytes_append_byte(&text, '"') == 0);
    for (unsigned i = 0; i < 100000; i++)
        must(bytes_append_byte(&text, (char)('a' + i % 26)) == 0);
    must(bytes_append(&text, "\"", 2) == 0);
    gives(s, "echo", text.ptr, text.ptr);
    bytes_release(&text);
}
POOL_TEST(large_values_pass, 1, NULL)

static void small_values(struct scene *s)
{
    s->conf.value = 12;
}

static void values_are_bounded_in_pool(struct scene *s)
{
    gives(s, "echo", "\"ten bytes\"", "\"ten bytes\"");
    struct pool_call c = call_of(s, "echo", "\"eleven bytes\"");
    must(pool_call(s->client, s->pool, &c) == -EMSGSIZE);
    must(c.outcome == POOL_TOO_LARGE && pool_outcome_status(c.outcome) == 413);
    c = call_of(s, "burn", "0");
    must(pool_call(s->client, s->pool, &c) == -EFBIG);
    must(c.outcome == POOL_OUTPUT_TOO_LARGE && pool_outcome_status(c.outcome) == 500);
    must(strcmp(c.error.type, "output-too-large") == 0);
}
POOL_TEST(values_are_bounded, 1, small_values)

/* ---- Bounds ---- */

static void queue_of_two(struct scene *s)
{
    s->conf.queue = 2;
}

static void a_full_queue_refuses_at_once_in_pool(struct scene *s)
{
    struct caller c[4];
    GROUP(callers, GROUP_INDEPENDENT);
    for (unsigned i = 0; i < 4; i++) {
        c[i] = caller(s, "30");
        begin(&callers, &c[i]);
    }
    must_end(&callers);
    must(c[0].rc == 0 && c[1].rc == 0 && c[2].rc == 0);
    must(c[3].rc == -ENOBUFS && c[3].call.outcome == POOL_OVERLOADED && c[3].took_ns == 0);
    must(pool_outcome_status(POOL_OVERLOADED) == 503);
    must(c[0].call.queue_ns < NS_PER_MS);
    must(c[2].call.queue_ns > 50 * NS_PER_MS);
}
POOL_TEST(a_full_queue_refuses_at_once, 1, queue_of_two)

static void a_deadline_that_passes_in_the_queue_in_pool(struct scene *s)
{
    struct caller first = caller(s, "50");
    struct caller second = caller(s, "50");
    struct caller third = caller(s, "10");
    second.within_ns = 20 * NS_PER_MS;
    GROUP(callers, GROUP_INDEPENDENT);
    begin(&callers, &first);
    begin(&callers, &second);
    begin(&callers, &third);
    must_end(&callers);
    must(first.rc == 0 && third.rc == 0);
    must(second.rc == -ETIMEDOUT && second.call.outcome == POOL_EXPIRED);
    must(second.took_ns == 20 * NS_PER_MS);
    must(strstr(second.call.error.sentence, "before"));
    /* It never ran: the third came right after the first. */
    must(third.took_ns < 61 * NS_PER_MS);
}
POOL_TEST(a_deadline_that_passes_in_the_queue, 1, NULL)

static void a_deadline_that_passes_while_it_runs_in_pool(struct scene *s)
{
    struct caller c = caller(s, "50");
    c.within_ns = 20 * NS_PER_MS;
    GROUP(callers, GROUP_INDEPENDENT);
    begin(&callers, &c);
    must_end(&callers);
    must(c.rc == -ETIMEDOUT && c.call.outcome == POOL_EXPIRED);
    must(c.took_ns == 20 * NS_PER_MS);
    must(strstr(c.call.error.sentence, "while the step ran"));
    /* The step noticed within a slice, and the worker is free again. */
    int64_t began = world_now(world_of(s));
    gives(s, "echo", "1", "1");
    must(world_now(world_of(s)) - began < 2 * NS_PER_MS);
}
POOL_TEST(a_deadline_that_passes_while_it_runs, 1, NULL)

static void what_is_late_already_is_not_tried_in_pool(struct scene *s)
{
    CORO_DEADLINE(world_now(world_of(s)));
    struct pool_call c = call_of(s, "echo", "1");
    must(pool_call(s->client, s->pool, &c) == -ETIMEDOUT);
    must(c.outcome == POOL_EXPIRED && pool_outcome_status(c.outcome) == 504);
}
POOL_TEST(what_is_late_already_is_not_tried, 1, NULL)

/* ---- Cancellation ---- */

static void a_caller_that_leaves_in_the_queue_in_pool(struct scene *s)
{
    struct caller first = caller(s, "50");
    struct caller second = caller(s, "50");
    struct caller third = caller(s, "10");
    GROUP(staying, GROUP_INDEPENDENT);
    {
        GROUP(leaving, GROUP_INDEPENDENT);
        begin(&staying, &first);
        begin(&leaving, &second);
        begin(&staying, &third);
        must_sleep(world_of(s), 3 * NS_PER_MS);
        group_cancel(&leaving);
        must_end(&leaving);
    }
    must(second.rc == -ECANCELED && second.call.outcome == POOL_CANCELLED);
    must(second.took_ns == 5 * NS_PER_MS);
    must_end(&staying);
    must(first.rc == 0 && third.rc == 0);
    must(third.took_ns < 60 * NS_PER_MS);
}
POOL_TEST(a_caller_that_leaves_in_the_queue, 1, NULL)

static void a_caller_that_leaves_while_it_runs_in_pool(struct scene *s)
{
    struct caller c = caller(s, "50");
    GROUP(callers, GROUP_INDEPENDENT);
    begin(&callers, &c);
    must_sleep(world_of(s), 4 * NS_PER_MS);
    group_cancel(&callers);
    must_end(&callers);
    must(c.rc == -ECANCELED && c.call.outcome == POOL_CANCELLED && c.took_ns == 5 * NS_PER_MS);
    int64_t began = world_now(world_of(s));
    gives(s, "echo", "1", "1");
    must(world_now(world_of(s)) - began < 2 * NS_PER_MS);
}
POOL_TEST(a_caller_that_leaves_while_it_runs, 1, NULL)

/* ---- Order ---- */

static void the_soonest_deadline_goes_first_in_pool(struct scene *s)
{
    struct caller c[4];
    GROUP(callers, GROUP_INDEPENDENT);
    for (unsigned i = 0; i < 4; i++) {
        c[i] = caller(s, "10");
        c[i].within_ns = i == 0 ? 0 : (int64_t)(10 - i) * NS_PER_S;
        begin(&callers, &c[i]);
    }
    must_end(&callers);
    must(c[0].took_ns < 11 * NS_PER_MS);
    must(c[3].took_ns < c[2].took_ns && c[2].took_ns < c[1].took_ns);
}
POOL_TEST(the_soonest_deadline_goes_first, 1, NULL)

static void hands_work_beside_each_other_in_pool(struct scene *s)
{
    struct caller c[4];
    GROUP(callers, GROUP_INDEPENDENT);
    int64_t began = world_now(world_of(s));
    for (unsigned i = 0; i < 4; i++) {
        c[i] = caller(s, "10");
        begin(&callers, &c[i]);
    }
    must_end(&callers);
    must(world_now(world_of(s)) - began < 23 * NS_PER_MS);
}
POOL_TEST(hands_work_beside_each_other, 2, NULL)

/* ---- Readiness ---- */

static void a_pool_is_ready_after_its_canary_in_pool(struct scene *s)
{
    must_sleep(world_of(s), NS_PER_MS);
    must(pools_ready(s->pools));
    must(!pools_not_ready(s->pools));
    must(atomic_load(&s->pool->workers) == 2);
}
POOL_TEST(a_pool_is_ready_after_its_canary, 2, NULL)

static void a_canary_that_failed_is_sent_again_in_pool(struct scene *s)
{
    must_sleep(world_of(s), NS_PER_MS);
    must(pools_ready(s->pools));
    s->pool->canary_out = true;
    atomic_store(&s->pool->ready, false);
    pool_canary_back(s->pool, POOL_UNAVAILABLE);
    must(!pools_ready(s->pools));
    must_sleep(world_of(s), 2 * NS_PER_S);
    must(pools_ready(s->pools));
}
POOL_TEST(a_canary_that_failed_is_sent_again, 2, NULL)

static void a_pool_that_cannot_start_a_worker_says_so_in_pool(struct scene *s)
{
    atomic_store(&s->pool->workers, 0);
    pool_worker_failed(s->pool, RESTART_DIED);
    struct pool_call c = call_of(s, "echo", "1");
    must(pool_call(s->client, s->pool, &c) == -EAGAIN);
    must(c.outcome == POOL_UNAVAILABLE && pool_outcome_status(c.outcome) == 503);
    pool_worker_up(s->pool, s->client);
    gives(s, "echo", "1", "1");
}
POOL_TEST(a_pool_that_cannot_start_a_worker_says_so, 1, NULL)

/* ---- Which pools there are ---- */

static void only_what_nodes_use_is_made(void **state)
{
    struct conf_pool confs[] = {
        {.name = "a", .kind = CONF_POOL_THREADS, .queue = 4, .value = 100},
        {.name = "b", .kind = CONF_POOL_THREADS, .queue = 4, .value = 100},
        {.name = "default", .kind = CONF_POOL_INLINE, .queue = 4, .value = 100, .step_threads = 3},
    };
    struct conf_step steps[] = {{.name = "work", .step = "burn", .pool = "b"}};
    struct conf_flow_node nodes[] = {
        {.name = "1", .work = {.step = "work"}},
        {.name = "2", .work = {.step = "echo", .pool = "b"}},
        {.name = "3", .work = {.step = "echo", .pool = "b"}},
        {.name = "4", .work = {.step = "echo"}},
    };
    struct conf_route routes[3] = {
        [0] = {.nodes = nodes, .node_count = 2}, [2] = {.nodes = nodes + 2, .node_count = 2}};
    struct config config = {.pools = confs,
        .pool_count = 3,
        .steps = steps,
        .step_count = 1,
        .routes = routes,
        .route_count = 3};
    struct pools_options options = {.config = &config, .clients = 2, .cores = 4};
    struct pools *pools;
    struct error e;
    assert_int_equal(pools_new(&pools, &options, &e), 0);
    assert_null(pools_find(pools, "a"));
    struct pool *b = pools_find(pools, "b");
    assert_non_null(b);
    assert_string_equal(pool_name(b), "b");
    assert_int_equal(b->step_count, 2);
    assert_int_equal(b->size, 4);
    assert_int_equal(b->step_threads, 1);
    assert_int_equal(pool_step(b, "work"), 0);
    assert_int_equal(pool_step(b, "echo"), 1);
    assert_int_equal(pool_step(b, "burn"), -ENOENT);
    assert_int_equal(pool_step(pools_find(pools, "default"), "echo"), 0);
    assert_int_equal(pools_find(pools, "default")->step_threads, 3);
    assert_int_equal(pools_step_threads(&config, 2, 4), 1);
    assert_string_equal(pools_not_ready(pools), "b");
    pools_free(pools);
}

static void a_step_that_is_not_there_is_told(void **state)
{
    struct scene s;
    struct error e;
    scene_init(&s, CONF_POOL_THREADS, 1);
    scene_add(&s, "no-such-step");
    assert_int_equal(scene_make(&s, NULL, &e), -EINVAL);
    assert_non_null(strstr(e.sentence, "no-such-step"));
    assert_non_null(strstr(e.sentence, "pool 'p'"));
}

static bool makes_pools_with_a_meter(void)
{
    struct meter *m;
    if (meter_new(&m, 1) != 0)
        return false;
    struct scene s;
    struct error e;
    scene_init(&s, CONF_POOL_THREADS, 2);
    s.meter = m;
    scene_add(&s, "echo");
    scene_add(&s, "burn");
    int rc = scene_make(&s, NULL, &e);
    assert_true(rc == 0 || rc == -ENOMEM);
    pools_free(s.pools);
    meter_free(m);
    return rc == 0;
}

static void no_memory_for_pools_is_told(void **state)
{
    torture(makes_pools_with_a_meter);
}

/* ---- Figures ---- */

static struct meter *meter;

static void with_meter(struct scene *s)
{
    must(meter_new(&meter, 1) == 0);
    s->meter = meter;
}

static bool says(const struct bytes *text, const char *line)
{
    const char *at = strstr(text->ptr, line);
    if (!at)
        fprintf(stderr, "%s\nis not in\n%s\n", line, text->ptr);
    return at;
}

static void figures_tell_in_pool(struct scene *s)
{
    meter_seal(meter);
    gives(s, "echo", "1", "1");
    gives(s, "burn", "500", "{\"burned_ms\":500}");
    struct pool_call c = call_of(s, "burn", "null");
    must(pool_call(s->client, s->pool, &c) == -EINVAL);
    struct bytes text;
    bytes_init(&text, 1 << 20);
    must(meter_write(meter, &text) == 0 && bytes_append_byte(&text, '\0') == 0);
    must(says(&text, "weir_pool_workers{pool=\"p\"} 2\n"));
    must(says(&text, "weir_pool_queue_length{pool=\"p\"} 0\n"));
    must(says(&text, "weir_pool_tasks_total{pool=\"p\",step=\"burn\",outcome=\"done\"} 1\n"));
    must(says(&text, "weir_pool_tasks_total{pool=\"p\",step=\"burn\",outcome=\"rejected\"} 1\n"));
    must(says(&text, "weir_pool_processor_seconds_total{pool=\"p\",step=\"burn\"} 0.5\n"));
    must(says(&text, "weir_pool_run_seconds_count{pool=\"p\",step=\"burn\"} 2\n"));
    must(says(&text, "weir_pool_wait_seconds_count{pool=\"p\",step=\"echo\"} 1\n"));
    bytes_release(&text);
}
POOL_TEST(figures_tell, 2, with_meter)

static void figures_tell_and_are_freed(void **state)
{
    figures_tell(state);
    meter_free(meter);
}

TEST_FILE(pool)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_is_called),
        cmocka_unit_test(a_step_that_says_no_is_told),
        cmocka_unit_test(large_values_pass),
        cmocka_unit_test(values_are_bounded),
        cmocka_unit_test(a_full_queue_refuses_at_once),
        cmocka_unit_test(a_deadline_that_passes_in_the_queue),
        cmocka_unit_test(a_deadline_that_passes_while_it_runs),
        cmocka_unit_test(what_is_late_already_is_not_tried),
        cmocka_unit_test(a_caller_that_leaves_in_the_queue),
        cmocka_unit_test(a_caller_that_leaves_while_it_runs),
        cmocka_unit_test(the_soonest_deadline_goes_first),
        cmocka_unit_test(hands_work_beside_each_other),
        cmocka_unit_test(a_pool_is_ready_after_its_canary),
        cmocka_unit_test(a_canary_that_failed_is_sent_again),
        cmocka_unit_test(a_pool_that_cannot_start_a_worker_says_so),
        cmocka_unit_test(only_what_nodes_use_is_made),
        cmocka_unit_test(a_step_that_is_not_there_is_told),
        cmocka_unit_test(no_memory_for_pools_is_told),
        cmocka_unit_test(figures_tell_and_are_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
