/*
 * Inline pools: the step runs where its caller stands, and nothing else runs there meanwhile.
 */
#include "../pool/fixture.h"
#include "../world/sim_fixture.h"

#include "exec/client.h"

#define INLINE_TEST(name)                                        \
    static int name##_main(struct world *w, void *arg)           \
    {                                                            \
        with_pool(w, CONF_POOL_INLINE, 0, NULL, name##_in_pool); \
        return 0;                                                \
    }                                                            \
    static void name(void **state)                               \
    {                                                            \
        run_alone(name##_main);                                  \
    }

static void a_step_runs_at_once_in_pool(struct scene *s)
{
    gives(s, "echo", " [true] ", "[true]");
    struct world *w = s->client->world;
    int64_t began = world_now(w);
    struct pool_call c = call_of(s, "burn", "20");
    must(pool_call(s->client, s->pool, &c) == 0);
    must(world_now(w) - began == 20 * NS_PER_MS);
    must(c.queue_ns == 0 && c.wall_ns == 20 * NS_PER_MS && c.processor_ns == 20 * NS_PER_MS);
    pool_call_release(&c);
}
INLINE_TEST(a_step_runs_at_once)

static void it_is_ready_when_it_has_started_in_pool(struct scene *s)
{
    must(pools_ready(s->pools));
    must(atomic_load(&s->pool->workers) == 1);
}
INLINE_TEST(it_is_ready_when_it_has_started)

static void a_step_sees_its_deadline_in_pool(struct scene *s)
{
    struct world *w = s->client->world;
    int64_t began = world_now(w);
    CORO_DEADLINE(began + 5 * NS_PER_MS);
    struct pool_call c = call_of(s, "burn", "20");
    must(pool_call(s->client, s->pool, &c) == -ETIMEDOUT);
    must(c.outcome == POOL_EXPIRED);
    must(world_now(w) - began == 5 * NS_PER_MS);
    /* Now it is late already. */
    c = call_of(s, "echo", "1");
    must(pool_call(s->client, s->pool, &c) == -ETIMEDOUT);
    must(strstr(c.error.sentence, "before"));
}
INLINE_TEST(a_step_sees_its_deadline)

static int call_cancelled(void *arg)
{
    struct scene *s = arg;
    must(coro_park("cancellation") == -ECANCELED);
    struct pool_call c = call_of(s, "burn", "20");
    must(pool_call(s->client, s->pool, &c) == -ECANCELED);
    must(c.outcome == POOL_CANCELLED);
    return 0;
}

static void who_is_cancelled_starts_nothing_in_pool(struct scene *s)
{
    struct world *w = s->client->world;
    GROUP(callers, GROUP_INDEPENDENT);
    must(group_spawn(&callers, "caller", call_cancelled, s) == 0);
    must_sleep(w, NS_PER_MS);
    int64_t began = world_now(w);
    group_cancel(&callers);
    must(group_wait(&callers) == 0);
    must(world_now(w) == began);
}
INLINE_TEST(who_is_cancelled_starts_nothing)

static int not_started_yet(struct world *w, void *arg)
{
    struct scene s;
    struct error e;
    scene_init(&s, CONF_POOL_INLINE, 0);
    scene_add(&s, "echo");
    must(scene_make(&s, w, &e) == 0);
    struct pool_call c = call_of(&s, "echo", "1");
    must(pool_call(s.client, s.pool, &c) == -EAGAIN);
    must(c.outcome == POOL_UNAVAILABLE);
    must(strcmp(pools_not_ready(s.pools), "p") == 0);
    pool_client_free(s.client);
    pools_free(s.pools);
    return 0;
}

static void before_its_start_it_is_unavailable(void **state)
{
    run_alone(not_started_yet);
}

TEST_FILE(inline)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_runs_at_once),
        cmocka_unit_test(it_is_ready_when_it_has_started),
        cmocka_unit_test(a_step_sees_its_deadline),
        cmocka_unit_test(who_is_cancelled_starts_nothing),
        cmocka_unit_test(before_its_start_it_is_unavailable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
