/*
 * sim_thread_test.c: threads as components start them, in the simulated world: as in the real one.
 */
#include "sim_fixture.h"

#include "coro/sync.h"

#include <signal.h>

static int sleep_and_return(struct world *w, void *arg)
{
    must_sleep(w, NS_PER_S);
    return *(int *)arg;
}

static int start_and_wait(struct world *w, void *arg)
{
    static int results[] = {3, -EIO};
    struct thread *threads[2];
    int result;
    for (int i = 0; i < 2; i++) {
        must(world_thread(w, "helper", sleep_and_return, &results[i], &threads[i]) == 0);
        must(thread_world(threads[i]) != w);
        must(sim_self(thread_world(threads[i])) == sim_self(w));
    }
    {
        CORO_DEADLINE(world_now(w) + NS_PER_MS);
        must(thread_wait(threads[0], &result) == -ETIMEDOUT);
    }
    for (int i = 0; i < 2; i++) {
        must(thread_wait(threads[i], &result) == 0 && result == results[i]);
        must(thread_wait(threads[i], &result) == 0 && result == results[i]);
        thread_close(threads[i]);
    }
    must(world_cores(w) == 2);
    return 0;
}

static void threads_run_and_end_with_a_result(void **state)
{
    run_alone(start_and_wait);
}

/* ---- Messages ---- */

struct inbox {
    struct message message;
    struct future came;
    int delivered;
};

static void deliver(struct message *m)
{
    struct inbox *inbox = container_of(m, struct inbox, message);
    inbox->delivered++;
    future_set(&inbox->came, 7);
}

static int wait_for_the_message(struct world *w, void *arg)
{
    struct inbox *inbox = arg;
    return future_wait(&inbox->came);
}

static int tell_a_thread_to_end(struct world *w, void *arg)
{
    struct inbox inbox = {.message.deliver = deliver};
    struct thread *t;
    int result;
    future_init(&inbox.came);
    must(world_thread(w, "told", wait_for_the_message, &inbox, &t) == 0);
    world_post(thread_world(t), &inbox.message);
    must(thread_wait(t, &result) == 0 && result == 7 && inbox.delivered == 1);
    world_post(thread_world(t), &inbox.message); /* it has ended, but is not closed yet */
    must_sleep(w, NS_PER_S);
    must(inbox.delivered == 1);
    thread_close(t);
    must(inbox.delivered == 2);
    return 0;
}

static void messages_reach_a_thread_until_its_close(void **state)
{
    run_alone(tell_a_thread_to_end);
}

/* ---- Death ---- */

struct victim {
    struct inbox inbox;
    struct thread *thread;
    int rc;
};

static void close_thread(void *arg)
{
    struct victim *v = arg;
    world_post(thread_world(v->thread), &v->inbox.message);
    thread_close(v->thread);
}

static int wait_for_ever(struct world *w, void *arg)
{
    return world_sleep(w, DEADLINE_NEVER);
}

static int be_killed(struct world *w, void *arg)
{
    struct victim *v = arg;
    must(world_thread(w, "stays", wait_for_ever, NULL, &v->thread) == 0);
    must(coro_defer(close_thread, v) == 0);
    int result;
    v->rc = thread_wait(v->thread, &result);
    CORO_SHIELD(DEADLINE_NEVER); /* the dead have no time to wait */
    must(thread_wait(v->thread, &result) == -ECANCELED);
    return 0;
}

static int kill_after_a_second(struct sim *sim, void *arg)
{
    must(sim_sleep(sim, NS_PER_S) == 0);
    must(sim_signal(arg, SIGKILL) == 0);
    return 0;
}

static void a_killed_process_takes_its_threads_along(void **state)
{
    struct universe u = open_default();
    struct victim v = {.inbox.message.deliver = deliver, .rc = 1};
    future_init(&v.inbox.came);
    struct sim_process *p = start(u.here, be_killed, &v);
    assert_int_equal(sim_direct(u.sim, "killer", kill_after_a_second, p), 0);
    run(&u);
    assert_int_equal(sim_process_end(p).state, SIM_KILLED);
    assert_int_equal(v.rc, -ECANCELED);
    assert_int_equal(v.inbox.delivered, 1);
    assert_int_equal(sim_process_unclosed(p), 0);
    sim_close(u.sim);
}

static int leave_a_thread(struct world *w, void *arg)
{
    struct thread *t;
    return world_thread(w, "left", wait_for_ever, NULL, &t);
}

static void a_thread_that_is_left_ends_with_the_process(void **state)
{
    struct universe u = open_default();
    struct sim_process *p = start(u.here, leave_a_thread, NULL);
    run(&u);
    assert_int_equal(sim_process_end(p).state, SIM_EXITED);
    assert_int_equal(sim_process_unclosed(p), 1);
    sim_close(u.sim);
}

TEST_FILE(sim_thread)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_run_and_end_with_a_result),
        cmocka_unit_test(messages_reach_a_thread_until_its_close),
        cmocka_unit_test(a_killed_process_takes_its_threads_along),
        cmocka_unit_test(a_thread_that_is_left_ends_with_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
