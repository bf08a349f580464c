/*
 * What a worker process answers, of tasks that were given to it at once: what is believed, and what
 * becomes of them.
 */
#include "../check.h"

#include "base/mem.h"
#include "exec/processes/internal.h"
#include "pool/internal.h"
#include "world/ops.h"

#include <errno.h>

#define NOW (100 * NS_PER_S)

static struct conf_pool conf = {.name = "p", .kind = CONF_POOL_PROCESSES, .value = 4096};
static struct step_spec specs[] = {{.name = "work"}, {.name = "_canary"}};
static struct step_cost costs[2];

static void sink(void *ctx, const char *line, size_t len)
{
}

static int64_t wall(void *ctx)
{
    return 0;
}

static struct log deaf = {.level = LOG_INFO, .sink = sink, .wall_ns = wall};
static struct pools pools;
static struct pool pool;
static struct pool_client client;
static struct pool_process process;
static struct worker worker;
static struct batch batch;

static int64_t now(struct world *w)
{
    return NOW;
}

static const struct world_ops ops = {.now = now};
static struct world world = {.ops = &ops};

static void never_woken(struct worker *h, struct pool_client *from)
{
}

static int setup(void **state)
{
    pools = (struct pools){.log = &deaf, .clients = 1};
    pool = (struct pool){
        .pools = &pools, .conf = &conf, .specs = specs, .step_count = 1, .costs = costs, .size = 1};
    client = (struct pool_client){.pools = &pools, .world = &world};
    process = (struct pool_process){.pool = &pool};
    worker = (struct worker){.pool = &pool, .wake = never_woken, .client = &client};
    list_init(&worker.idle);
    batch = (struct batch){.pool = &pool, .client = &client, .first_id = 1, .written = true};
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

/* One more that runs in the worker. */
static struct task *given(void)
{
    struct task *t = task_new(&client, &pool, 0);
    struct task *taken;
    assert_non_null(t);
    t->item.put_at = NOW;
    assert_int_equal(queue_put(&pool.queue, &t->item, &client), 0);
    assert_int_equal(task_take(&worker, &taken, 1, NOW), 1);
    assert_true(task_claim(t, NOW, &client));
    task_runs(t, NOW);
    batch.group[batch.count] = batch.count;
    batch.tasks[batch.count++] = t;
    return t;
}

static int failed(uint64_t id, const char *code)
{
    struct loss loss;
    struct worker_frame f = {.kind = WORKER_RESULT,
        .result = {.id = id,
            .outcome = WORKER_FAILED,
            .code = span_of(code),
            .output.inside = SPAN("why")}};
    return batch_answer(&batch, &process, &f, &loss);
}

static void is_over(struct task *t, enum pool_outcome outcome)
{
    assert_int_equal(atomic_load(&t->state), TASK_DONE);
    assert_int_equal(t->outcome, outcome);
    task_release(t, true); /* the caller's */
}

/* The tasks behind the last one are another batch's: nobody may look at them. */
static void a_worker_that_ran_what_was_recalled_is_lost_and_nothing_else(void **state)
{
    struct loss loss = {.how = "ran a task that had been recalled"};
    struct task *first = given();
    batch.group[batch.count] = batch.count;
    batch.tasks[batch.count++] = NULL; /* is back in the queue */
    batch.tasks[batch.count] = (void *)1;
    batch.recalled = 1;
    assert_int_equal(failed(1, "no"), 0);
    is_over(first, POOL_FAILED);
    assert_int_equal(failed(2, "no"), -ECONNRESET);
    batch_lost(&batch, &process, &loss);
    assert_int_equal(batch.answered, batch.count);
}

static void what_was_recalled_and_not_started_goes_back(void **state)
{
    struct task *first = given();
    struct task *second = given();
    batch.recalled = 1;
    assert_int_equal(failed(1, "no"), 0);
    is_over(first, POOL_FAILED);
    assert_int_equal(failed(2, WORKER_CODE_RECALLED), 0);
    assert_int_equal(atomic_load(&second->state), TASK_WAITING);
    assert_true(task_leave(second));
    task_release(second, true);
}

/* The one that those behind it were recalled for has run. */
static void a_steps_own_code_may_be_recalled(void **state)
{
    struct task *first = given();
    given();
    batch.recalled = 1;
    assert_int_equal(failed(1, WORKER_CODE_RECALLED), 0);
    is_over(first, POOL_FAILED);
    batch_abandon(&batch);
    is_over(batch.tasks[1], POOL_UNAVAILABLE);
}

static void an_output_that_is_too_large_is_told_as_that(void **state)
{
    struct task *t = given();
    assert_int_equal(failed(1, WORKER_CODE_TOO_LARGE), 0);
    assert_string_equal(t->error.type, "output-too-large");
    is_over(t, POOL_OUTPUT_TOO_LARGE);
}

static void an_answer_out_of_turn_is_believed_in_nothing(void **state)
{
    given();
    given();
    assert_int_equal(failed(2, "no"), -ECONNRESET);
    assert_int_equal(batch.answered, 0);
    batch_abandon(&batch);
    is_over(batch.tasks[0], POOL_UNAVAILABLE);
    is_over(batch.tasks[1], POOL_UNAVAILABLE);
}

TEST_FILE(reply)
{
#define BATCH_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        BATCH_TEST(a_worker_that_ran_what_was_recalled_is_lost_and_nothing_else),
        BATCH_TEST(what_was_recalled_and_not_started_goes_back),
        BATCH_TEST(a_steps_own_code_may_be_recalled),
        BATCH_TEST(an_output_that_is_too_large_is_told_as_that),
        BATCH_TEST(an_answer_out_of_turn_is_believed_in_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
