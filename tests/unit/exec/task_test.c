/*
 * Tasks alone: who goes first, in each state, has its way, and nothing is let go twice; and the
 * canary, which is one.
 */
#include "../check.h"

#include "base/log.h"
#include "base/mem.h"
#include "exec/loop_worker.h"
#include "pool/internal.h"

#include <errno.h>
#include <stdio.h>

#define NOW (100 * NS_PER_S)

static struct conf_pool conf = {.name = "p", .kind = CONF_POOL_THREADS, .value = 4096};
static struct step_spec specs[] = {{.name = "work"}, {.name = "_canary"}};
static struct step_cost costs[2];
static struct pools pools;
static struct pool pool;
static struct pool_client client;
static struct worker worker;
static char logged[1024];

static void sink(void *ctx, const char *line, size_t len)
{
    snprintf(logged, sizeof(logged), "%.*s", (int)len, line);
}

static int64_t wall(void *ctx)
{
    return 0;
}

static struct log sink_log = {.level = LOG_INFO, .sink = sink, .wall_ns = wall};

static void never_woken(struct worker *h, struct pool_client *from)
{
}

static int setup(void **state)
{
    pools = (struct pools){.log = &sink_log, .clients = 1};
    pool = (struct pool){.pools = &pools,
        .conf = &conf,
        .ops = &executor_processes,
        .specs = specs,
        .step_count = 1,
        .costs = costs,
        .size = 1};
    client = (struct pool_client){.pools = &pools};
    worker = (struct worker){.pool = &pool, .wake = never_woken, .client = &client};
    list_init(&worker.idle);
    logged[0] = '\0';
    return queue_init(&pool.queue, 16, 1, costs, task_drop);
}

static int teardown(void **state)
{
    queue_release(&pool.queue);
    struct task *t;
    while ((t = pool_client_kept(&client)))
        task_free(t);
    return 0;
}

static struct task *task_put(void)
{
    struct task *t = task_new(&client, &pool, 0);
    assert_non_null(t);
    t->input = SPAN("1");
    t->item.deadline = NOW + NS_PER_S;
    t->item.put_at = NOW - 5;
    assert_int_equal(queue_put(&pool.queue, &t->item, &client), 0);
    return t;
}

static struct task *taken(void)
{
    struct task *t;
    return task_take(&worker, &t, 1, NOW) ? t : NULL;
}

static enum task_state state_of(const struct task *t)
{
    return atomic_load(&t->state);
}

/* Its last holder has let it go, and it is kept for the next call. */
static bool is_kept(const struct task *t)
{
    return client.kept == &t->done;
}

static void who_leaves_before_it_is_taken_takes_it_out(void **state)
{
    struct task *t = task_put();
    assert_true(task_leave(t));
    assert_int_equal(atomic_load(&pool.queue.length), 0);
    assert_null(taken());
    assert_int_equal(atomic_load(&t->holders), 1);
    task_release(t, true);
    assert_true(is_kept(t));
}

static void who_leaves_before_it_starts_keeps_it_from_starting(void **state)
{
    struct task *t = task_put();
    assert_ptr_equal(taken(), t);
    assert_true(task_leave(t));
    task_release(t, true);
    assert_false(is_kept(t));
    assert_false(task_claim(t, NOW, &client));
    assert_true(is_kept(t));
}

static void who_leaves_a_running_task_is_told_nothing(void **state)
{
    struct task *t = task_put();
    assert_ptr_equal(taken(), t);
    assert_true(task_claim(t, NOW, &client));
    task_runs(t, NOW);
    assert_int_equal(t->queue_ns, 5);
    assert_false(task_cancelled(t));
    assert_true(task_leave(t));
    assert_true(task_cancelled(t));
    assert_int_equal(state_of(t), TASK_LEFT);
    task_release(t, true);
    assert_false(is_kept(t));
    task_finish(t, POOL_DONE, &client);
    assert_true(is_kept(t));
}

static void who_leaves_when_it_is_done_has_the_result(void **state)
{
    struct task *t = task_put();
    assert_ptr_equal(taken(), t);
    assert_true(task_claim(t, NOW, &client));
    task_runs(t, NOW);
    task_finish(t, POOL_DONE, &client);
    assert_false(task_leave(t));
    assert_int_equal(t->outcome, POOL_DONE);
    assert_false(is_kept(t));
    task_release(t, true);
    assert_true(is_kept(t));
}

static void a_late_task_does_not_start(void **state)
{
    struct task *t = task_put();
    assert_ptr_equal(taken(), t);
    assert_false(task_claim(t, t->item.deadline, &client));
    assert_int_equal(state_of(t), TASK_DONE);
    assert_int_equal(t->outcome, POOL_EXPIRED);
    assert_int_equal(t->error.code, -ETIMEDOUT);
    task_release(t, true);
}

static void a_late_task_is_not_handed_out(void **state)
{
    struct task *late = task_put();
    struct task *t = task_put();
    late->item.deadline = NOW;
    assert_ptr_equal(taken(), t);
    assert_int_equal(state_of(late), TASK_DONE);
    assert_int_equal(late->outcome, POOL_EXPIRED);
    task_release(late, true);
    task_fail(t, POOL_DIED, &client, "its worker died");
    assert_string_equal(t->error.type, "worker-died");
    assert_string_equal(t->error.sentence, "its worker died");
    task_release(t, true);
}

static void an_output_grows_up_to_the_pools_value(void **state)
{
    struct task *t = task_put();
    assert_ptr_equal(taken(), t);
    assert_ptr_equal(task_output(t, TASK_SMALL), t->small);
    memset(t->small, 'x', TASK_SMALL);
    assert_int_equal(t->output.grow(&t->output, TASK_SMALL + 1), 0);
    assert_memory_equal(t->output.base, t->small, TASK_SMALL);
    assert_non_null(task_output(t, 4096));
    assert_int_equal(t->output.len, 4096);
    assert_false(t->output_too_large);
    assert_null(task_output(t, 4097));
    assert_true(t->output_too_large);
    task_fail(t, POOL_OUTPUT_TOO_LARGE, &client, "too large");
    task_release(t, true);
}

static void what_may_be_tried_again_is_tried_once_more(void **state)
{
    struct task *t = task_put();
    t->retry = true;
    for (int death = 1; death <= 2; death++) {
        assert_ptr_equal(taken(), t);
        assert_true(task_claim(t, NOW, &client));
        task_runs(t, NOW);
        snprintf(t->name, sizeof(t->name), "request 7");
        task_worker_lost(t, POOL_DIED, &client, "worker %d died", death);
        assert_int_equal(state_of(t), death == 1 ? TASK_WAITING : TASK_DONE);
        assert_int_equal(strstr(logged, "poison: request 7, step 'work'") != NULL, death == 2);
    }
    assert_int_equal(t->outcome, POOL_DIED);
    assert_string_equal(t->error.sentence, "worker 2 died");
    task_release(t, true);
}

static void what_may_not_be_tried_again_fails_at_once(void **state)
{
    struct task *t = task_put();
    assert_ptr_equal(taken(), t);
    assert_true(task_claim(t, NOW, &client));
    task_runs(t, NOW);
    task_worker_lost(t, POOL_TIMEOUT, &client, "it ran for too long");
    assert_int_equal(t->outcome, POOL_TIMEOUT);
    assert_string_equal(logged, "");
    task_release(t, true);
}

static void a_task_that_was_left_is_not_tried_again(void **state)
{
    struct task *t = task_put();
    t->retry = true;
    assert_ptr_equal(taken(), t);
    assert_true(task_claim(t, NOW, &client));
    task_runs(t, NOW);
    assert_true(task_leave(t));
    task_release(t, true);
    task_worker_lost(t, POOL_DIED, &client, "worker died");
    assert_int_equal(atomic_load(&pool.queue.length), 0);
    assert_true(is_kept(t));
}

static void what_is_put_back_can_still_be_left(void **state)
{
    struct task *t = task_put();
    assert_ptr_equal(taken(), t);
    assert_true(task_claim(t, NOW, &client));
    task_put_back(t, &client);
    assert_int_equal(state_of(t), TASK_WAITING);
    assert_true(task_leave(t));
    assert_null(taken());
    task_release(t, true);
    assert_true(is_kept(t));
}

static void the_next_call_reuses_the_task(void **state)
{
    struct task *t = task_put();
    assert_true(task_leave(t));
    task_release(t, true);
    mem_fail_at(1, true);
    struct task *again = task_new(&client, &pool, 0);
    mem_fail_at(0, false);
    assert_ptr_equal(again, t);
    assert_int_equal(state_of(t), TASK_WAITING);
    assert_false(task_cancelled(t));
    task_free(t);
}

/* ---- The canary ---- */

static void a_pool_is_ready_when_its_canary_is_back(void **state)
{
    pool.canary = mem_zalloc(sizeof(struct task));
    assert_non_null(pool.canary);
    pool_worker_up(&pool, &client);
    assert_int_equal(atomic_load(&pool.queue.length), 1);
    pool_worker_up(&pool, &client);
    assert_int_equal(atomic_load(&pool.queue.length), 1);
    struct task *t = pool.canary;
    assert_ptr_equal(taken(), t);
    assert_int_equal(t->item.step, 1);
    /* Its worker dies of it, twice. */
    task_worker_lost(t, POOL_DIED, &client, "dead");
    pool_worker_down(&pool, RESTART_DIED);
    assert_ptr_equal(taken(), t);
    task_worker_lost(t, POOL_DIED, &client, "dead");
    pool_worker_down(&pool, RESTART_DIED);
    assert_false(atomic_load(&pool.ready));
    assert_int_equal(atomic_load(&pool.restarts[RESTART_DIED]), 2);
    /* It was sent again while one worker was left, and is waiting. */
    pool_worker_up(&pool, &client);
    assert_ptr_equal(taken(), t);
    assert_true(task_claim(t, NOW, &client));
    task_runs(t, NOW);
    task_finish(t, POOL_DONE, &client);
    assert_true(atomic_load(&pool.ready));
    pool_worker_down(&pool, RESTART_MAX_TASKS);
    assert_false(atomic_load(&pool.ready));
    task_free(pool.canary);
}

/* Nobody else would ever ask. */
static void a_full_queue_has_room_for_the_canary(void **state)
{
    struct task *waiting[16];
    for (int i = 0; i < 16; i++)
        waiting[i] = task_put();
    pool.canary = mem_zalloc(sizeof(struct task));
    assert_non_null(pool.canary);
    pool_worker_up(&pool, &client);
    assert_int_equal(atomic_load(&pool.queue.length), 17);
    struct task *t = taken();
    assert_ptr_equal(t, pool.canary);
    assert_true(task_claim(t, NOW, &client));
    task_runs(t, NOW);
    task_finish(t, POOL_DONE, &client);
    assert_true(atomic_load(&pool.ready));
    task_free(pool.canary);
    for (int i = 0; i < 16; i++) {
        assert_true(task_leave(waiting[i]));
        task_release(waiting[i], true);
    }
}

/* ---- Workers that are coroutines ---- */

static void rest_in_queue(struct loop_worker *h)
{
    struct task *none;
    loop_worker_init(h, &pool, &client, 0);
    assert_int_equal(task_take(&h->worker, &none, 1, NOW), 0);
    h->idle = h->worker.waits;
}

/* It was woken for a task, and finds then that its worker has gone. */
static void who_goes_away_after_it_was_woken_has_another_woken(void **state)
{
    struct loop_worker other, hand_that_goes;
    rest_in_queue(&other);
    rest_in_queue(&hand_that_goes);
    struct task *t = task_put();
    assert_false(hand_that_goes.idle);
    assert_true(other.idle);
    loop_worker_away(&hand_that_goes);
    assert_false(other.idle);
    assert_true(task_leave(t));
    task_release(t, true);
}

TEST_FILE(task)
{
#define TASK_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        TASK_TEST(who_leaves_before_it_is_taken_takes_it_out),
        TASK_TEST(who_leaves_before_it_starts_keeps_it_from_starting),
        TASK_TEST(who_leaves_a_running_task_is_told_nothing),
        TASK_TEST(who_leaves_when_it_is_done_has_the_result),
        TASK_TEST(a_late_task_does_not_start),
        TASK_TEST(a_late_task_is_not_handed_out),
        TASK_TEST(an_output_grows_up_to_the_pools_value),
        TASK_TEST(what_may_be_tried_again_is_tried_once_more),
        TASK_TEST(what_may_not_be_tried_again_fails_at_once),
        TASK_TEST(a_task_that_was_left_is_not_tried_again),
        TASK_TEST(what_is_put_back_can_still_be_left),
        TASK_TEST(the_next_call_reuses_the_task),
        TASK_TEST(a_pool_is_ready_when_its_canary_is_back),
        TASK_TEST(a_full_queue_has_room_for_the_canary),
        TASK_TEST(who_goes_away_after_it_was_woken_has_another_woken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
