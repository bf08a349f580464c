/*
 * uv_slice_test.c: loops have a shorter slice of the processor than what computes, where the kernel
 * knows such a thing (Linux 6.12).
 */
#include "uv_fixture.h"

#include "companion_suite.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>

/* What sched_getattr gives: a slice is where other policies have their runtime. 0: not known. */
static int64_t slice_of(pid_t thread)
{
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } a = {0};
    assert_int_equal(syscall(SYS_sched_getattr, thread, &a, sizeof(a), 0), 0);
    return (int64_t)a.runtime;
}

static int64_t loops_slice(void)
{
    int64_t slice = slice_of(0);
    if (slice == 0)
        skip();
    return slice;
}

TEST(a_loop_has_the_shortest)
{
    assert_int_equal(loops_slice(), 100 * NS_PER_US);
    return 0;
}

static int look_at_own(struct world *own, void *arg)
{
    *(int64_t *)arg = slice_of(0);
    return 0;
}

TEST(so_have_further_loops)
{
    struct thread *t;
    int64_t slice = 0;
    int result;
    assert_int_equal(world_thread(w, "loop", look_at_own, &slice, &t), 0);
    assert_int_equal(thread_wait(t, &result), 0);
    thread_close(t);
    assert_int_equal(slice, loops_slice());
    return 0;
}

static void look_at_companions(struct companion *self, void *arg)
{
    *(int64_t *)arg = slice_of(0);
}

TEST(a_companion_has_the_usual)
{
    int64_t slice = 0;
    end_companion(begin_companion(w, look_at_companions, &slice));
    assert_true(slice > loops_slice() || slice_of(0) == 0);
    return 0;
}

TEST(a_child_that_computes_has_the_usual)
{
    struct child *c;
    struct spawn_options o = {.argv = (const char *const[]){"/bin/sleep", "60", NULL}};
    enum child_memory memory;
    assert_int_equal(world_spawn(w, &o, &c), 0);
    assert_int_equal(child_limit(c, &(struct child_limits){.nice = 1}, &memory), 0);
    int64_t slice = slice_of(child_pid(c));
    child_signal(c, SIGKILL);
    child_close(c);
    assert_true(slice > loops_slice() || slice_of(0) == 0);
    return 0;
}

TEST_FILE(uv_slice)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loop_has_the_shortest),
        cmocka_unit_test(so_have_further_loops),
        cmocka_unit_test(a_companion_has_the_usual),
        cmocka_unit_test(a_child_that_computes_has_the_usual),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
