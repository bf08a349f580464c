/*
 * uv_misuse_test.c: in debug builds, who uses the world wrongly is told so in a sentence.
 *
 * Each mistake is made in a process of its own, which must abort, and whose standard error must
 * hold the sentence.
 */
#include "uv_fixture.h"

#include <pthread.h>

/* Runs `mistake` in a child process; asserts that it ends by SIGABRT and says `sentence`. */
static void assert_caught(void (*mistake)(void), const char *sentence)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        sigaction(SIGABRT, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
        open_world(&w);
        mistake();
        _exit(0);
    }
    close(ends[1]);
    char said[8192];
    size_t len = 0;
    ssize_t n;
    while ((n = read(ends[0], said + len, sizeof(said) - 1 - len)) > 0)
        len += (size_t)n;
    said[len] = '\0';
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!strstr(said, sentence))
        fail_msg("expected '%s', but standard error was: %s", sentence, said);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

/* The dearer checks are not in release builds. */
static void only_in_debug_builds(void)
{
#ifndef WEIR_DEBUG
    skip();
#endif
}

static void run_mistake(coro_fn *fn)
{
    (void)!uv_world_run(w, "clumsy", fn, NULL);
}

/* ---- Waiting outside a coroutine ---- */

static void sleep_outside(void)
{
    (void)!world_sleep(w, NS_PER_MS);
}

static void accept_outside(void)
{
    struct stream *s;
    (void)!listener_accept(listen_at("127.0.0.1:0"), &s);
}

static void waits_outside_coroutines(void **state)
{
    only_in_debug_builds();
    assert_caught(sleep_outside, "world_sleep_until waits, so it must be called by a coroutine");
    assert_caught(accept_outside, "listener_accept waits, so it must be called by a coroutine");
}

/* ---- Another thread ---- */

static struct listener *shared;

static void *close_elsewhere(void *arg)
{
    listener_close(shared);
    return NULL;
}

static void close_on_another_thread(void)
{
    pthread_t thread;
    shared = listen_at("127.0.0.1:0");
    pthread_create(&thread, NULL, close_elsewhere, NULL);
    pthread_join(thread, NULL);
}

static void *listen_elsewhere(void *arg)
{
    listen_at("127.0.0.1:0");
    return NULL;
}

static void listen_on_another_thread(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, listen_elsewhere, NULL);
    pthread_join(thread, NULL);
}

/* ---- Threads ---- */

static int end_late(struct world *own, void *arg)
{
    return world_sleep(own, 1000 * NS_PER_S);
}

static int close_what_runs(void *arg)
{
    struct thread *t;
    int rc = world_thread(w, "busy", end_late, NULL, &t);
    thread_close(t);
    return rc;
}

static void close_a_running_thread(void)
{
    run_mistake(close_what_runs);
}

static int leave_a_thread(void *arg)
{
    struct thread *t;
    return world_thread(w, "busy", end_late, NULL, &t);
}

static void close_with_a_thread(void)
{
    run_mistake(leave_a_thread);
    uv_world_close(w);
}

static void threads_that_run(void **state)
{
    assert_caught(close_a_running_thread, "thread_close was called on a thread that runs");
    assert_caught(close_with_a_thread, "a world was closed with these still open: 1 threads");
}

/* ---- Companions ---- */

static void never_end(struct companion *self, void *arg)
{
    while (companion_park(self, DEADLINE_NEVER) == 0)
        continue;
}

static int start_companion(struct companion **out, int niceness)
{
    struct companion_options options = {.name = "hand", .run = never_end, .nice = niceness};
    return world_companion(w, &options, out);
}

static int close_a_busy_one(void *arg)
{
    struct companion *c;
    int rc = start_companion(&c, 0);
    companion_close(c);
    return rc;
}

static void close_a_running_companion(void)
{
    run_mistake(close_a_busy_one);
}

static int leave_a_companion(void *arg)
{
    struct companion *c;
    return start_companion(&c, 0);
}

static void close_with_a_companion(void)
{
    run_mistake(leave_a_companion);
    uv_world_close(w);
}

static int park_for_another(void *arg)
{
    struct companion *c;
    int rc = start_companion(&c, 0);
    return rc ? rc : companion_park(c, DEADLINE_NEVER);
}

static void park_in_a_coroutine(void)
{
    run_mistake(park_for_another);
}

static int be_rude(void *arg)
{
    struct companion *c;
    return start_companion(&c, -1);
}

static void start_a_rude_companion(void)
{
    run_mistake(be_rude);
}

static void companions_that_run(void **state)
{
    assert_caught(close_a_running_companion, "companion_close was called on a companion that runs");
    assert_caught(close_with_a_companion, "a world was closed with these still open: 1 companions");
}

static void companions_of_others(void **state)
{
    only_in_debug_builds();
    assert_caught(park_in_a_coroutine,
        "companion_park was called by another thread than the companion 'hand' itself");
    assert_caught(
        start_a_rude_companion, "world_companion was given a niceness of -1; it is 0 to 19");
}

static void use_on_another_thread(void **state)
{
    only_in_debug_builds();
    assert_caught(
        close_on_another_thread, "listener_close was called from another thread than the world's");
    assert_caught(
        listen_on_another_thread, "world_listen was called from another thread than the world's");
}

/* ---- Another world ---- */

static struct world *other;

static int sleep_in_the_other(void *arg)
{
    return world_sleep(other, NS_PER_MS);
}

static void use_another_world(void)
{
    open_world(&other);
    run_mistake(sleep_in_the_other);
}

static void coroutines_of_another_world(void **state)
{
    only_in_debug_builds();
    assert_caught(use_another_world, "coroutine 'clumsy', which belongs to another world");
}

/* ---- After the end ---- */

static int close_twice(void *arg)
{
    struct stream *ours;
    struct stream *theirs;
    connect_pair("127.0.0.1:0", &ours, &theirs);
    stream_close(ours);
    stream_close(ours);
    return 0;
}

static int read_after_close(void *arg)
{
    struct stream *ours;
    struct stream *theirs;
    char byte;
    connect_pair("127.0.0.1:0", &ours, &theirs);
    stream_close(ours);
    assert_int_equal(world_sleep(w, NS_PER_MS), 0); /* time: that it ends */
    return (int)stream_read(ours, &byte, 1);
}

static void double_close(void)
{
    run_mistake(close_twice);
}

static void late_read(void)
{
    run_mistake(read_after_close);
}

static void double_close_of_a_listener(void)
{
    struct listener *l = listen_at("127.0.0.1:0");
    listener_close(l);
    listener_close(l);
}

static void use_after_close(void **state)
{
    only_in_debug_builds();
    assert_caught(double_close, "stream_close: closed twice");
    assert_caught(double_close_of_a_listener, "listener_close: closed twice");
    assert_caught(late_read, "stream_read was called on what has been closed already");
}

/* ---- Two at once ---- */

static int read_byte(void *arg)
{
    char byte;
    return (int)stream_read(arg, &byte, 1);
}

static int read_both(void *arg)
{
    struct stream *ours;
    struct stream *theirs;
    connect_pair("127.0.0.1:0", &ours, &theirs);
    GROUP(g, GROUP_FAIL_FAST);
    for (int i = 0; i < 2; i++)
        assert_int_equal(group_spawn(&g, "reader", read_byte, ours), 0);
    return group_wait(&g);
}

static void two_readers(void)
{
    run_mistake(read_both);
}

static void two_in_one_call(void **state)
{
    only_in_debug_builds();
    assert_caught(
        two_readers, "stream_read was called while another coroutine is in the same call");
}

/* ---- The world itself ---- */

static void close_with_open_handles(void)
{
    listen_at("127.0.0.1:0");
    uv_world_close(w);
}

static int run_inside(void *arg)
{
    return uv_world_run(w, "inner", run_inside, NULL);
}

static void nested_run(void)
{
    run_mistake(run_inside);
}

static void the_end_of_a_world(void **state)
{
    assert_caught(close_with_open_handles, "a world was closed with these still open: 1 listeners");
    assert_caught(nested_run, "uv_world_run was called by a coroutine");
}

/* A deadline in the past is no misuse. */
static int wait_with_a_past_deadline(void *arg)
{
    CORO_DEADLINE(world_now(w) - NS_PER_S);
    return world_sleep(w, NS_PER_MS) == -ETIMEDOUT ? 0 : -EPROTO;
}

static void a_past_deadline_is_only_a_time_out(void **state)
{
    run_in_world(wait_with_a_past_deadline);
}

TEST_FILE(uv_misuse)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_outside_coroutines),
        cmocka_unit_test(use_on_another_thread),
        cmocka_unit_test(threads_that_run),
        cmocka_unit_test(companions_that_run),
        cmocka_unit_test(companions_of_others),
        cmocka_unit_test(coroutines_of_another_world),
        cmocka_unit_test(use_after_close),
        cmocka_unit_test(two_in_one_call),
        cmocka_unit_test(the_end_of_a_world),
        cmocka_unit_test(a_past_deadline_is_only_a_time_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
