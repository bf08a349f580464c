/*
 * sim_tasks_test.c: a host that makes no more threads, companions or processes.
 */
#include "sim_fixture.h"

static int end_at_once(struct world *w, void *arg)
{
    return 0;
}

static void return_at_once(struct companion *self, void *arg)
{
}

/* A thread, a companion, a process and a thread: which of them fails; 4: none. */
static int make_four(struct world *w)
{
    static const char *const argv[] = {"end", NULL};
    int failed = 4;
    for (int i = 0; i < 4; i++) {
        struct thread *t = NULL;
        struct companion *c = NULL;
        struct child *child = NULL;
        struct child_exit end;
        int result;
        int rc;
        if (i % 3 == 0)
            rc = world_thread(w, "t", end_at_once, NULL, &t);
        else if (i == 1)
            rc = world_companion(
                w, &(struct companion_options){.name = "c", .run = return_at_once}, &c);
        else
            rc = world_spawn(w, &(struct spawn_options){.argv = argv}, &child);
        must(rc == 0 || rc == -EAGAIN);
        if (rc) {
            must(!t && !c && !child && failed == 4);
            failed = i;
        }
        must(!t || thread_wait(t, &result) == 0);
        must(!c || companion_wait(c) == 0);
        must(!child || child_wait(child, &end) == 0);
        if (t)
            thread_close(t);
        if (c)
            companion_close(c);
        if (child)
            child_close(child);
    }
    return failed;
}

static int lack_tasks(struct world *w, void *arg)
{
    struct sim_host *host = sim_process_host(sim_self(w));
    for (int nth = 1; nth <= 5; nth++) {
        sim_tasks(host, &(struct sim_tasks){.fail_nth = (uint32_t)nth});
        must(make_four(w) == nth - 1);
    }
    must(sim_tasks_failed(host) == 4);
    sim_tasks(host, &(struct sim_tasks){.fail_ppm = 1000000});
    struct thread *t;
    must(world_thread(w, "t", end_at_once, NULL, &t) == -EAGAIN);
    sim_tasks(host, &(struct sim_tasks){0});
    must(make_four(w) == 4);
    return 0;
}

static void the_nth_thread_companion_or_process_is_not_made(void **state)
{
    struct universe u = open_default();
    assert_int_equal(sim_program(u.sim, "end", end_at_once, NULL), 0);
    struct sim_process *p = start(u.here, lack_tasks, NULL);
    run(&u);
    assert_int_equal(sim_process_end(p).result, 0);
    assert_int_equal(sim_process_unclosed(p), 0);
    sim_close(u.sim);
}

TEST_FILE(sim_tasks)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nth_thread_companion_or_process_is_not_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
