/*
 * uv_child_test.c: child processes: their standard streams, their ends, and that none is left
 * behind.
 */
#include "uv_fixture.h"

#include <pthread.h>

static struct child *spawn(const char *const *argv)
{
    struct child *c;
    assert_int_equal(world_spawn(w, &(struct spawn_options){.argv = argv}, &c), 0);
    return c;
}

#define ARGV(...)                 \
    (const char *const[])         \
    {                             \
        __VA_ARGS__, (char *)NULL \
    }

static void assert_ends(struct child *c, int status, int signal)
{
    struct child_exit exit;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(child_wait(c, &exit), 0);
        assert_int_equal(exit.status, status);
        assert_int_equal(exit.signal, signal);
    }
    assert_int_equal(child_signal(c, 0), -ESRCH);
}

TEST(exit_statuses_are_told)
{
    struct child *good = spawn(ARGV("true"));
    struct child *bad = spawn(ARGV("false"));
    struct child *seven = spawn(ARGV("sh", "-c", "exit 7"));
    assert_true(child_pid(good) > 1);
    assert_ends(seven, 7, 0);
    assert_ends(good, 0, 0);
    assert_ends(bad, 1, 0);
    child_close(good);
    child_close(bad);
    child_close(seven);
    return 0;
}

TEST(a_signal_ends_a_child)
{
    struct child *c = spawn(ARGV("sleep", "100"));
    assert_int_equal(child_signal(c, 0), 0);
    assert_int_equal(child_signal(c, SIGTERM), 0);
    assert_ends(c, 0, SIGTERM);
    child_close(c);
    return 0;
}

TEST(standard_streams_go_both_ways)
{
    struct stream *in;
    struct stream *out;
    struct stream *err;
    struct child *c;
    struct spawn_options o = {
        .argv = ARGV("sh", "-c", "cat; echo done >&2"), .standard = {&in, &out, &err}};
    assert_int_equal(world_spawn(w, &o, &c), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(write_text(in, "a line\n"), 0);
        assert_reads(out, "a line\n");
    }
    assert_int_equal(stream_shutdown(in), 0);
    assert_at_end(out);
    assert_reads(err, "done\n");
    assert_at_end(err);
    assert_ends(c, 0, 0);
    stream_close(in);
    stream_close(out);
    stream_close(err);
    child_close(c);
    return 0;
}

/* It would not end if it, or another child, had inherited our end. */
TEST(closing_its_input_ends_a_child)
{
    struct stream *in;
    struct child *cat;
    struct child *bystander;
    struct child_exit exit;
    struct spawn_options o = {.argv = ARGV("cat"), .standard = {&in, NULL, NULL}};
    assert_int_equal(world_spawn(w, &o, &cat), 0);
    bystander = spawn(ARGV("sleep", "100"));
    stream_close(in);
    {
        CORO_DEADLINE(world_now(w) + HANG_NS);
        assert_int_equal(child_wait(cat, &exit), 0);
    }
    assert_int_equal(exit.status, 0);
    child_close(cat);
    child_close(bystander);
    return 0;
}

TEST(what_is_not_asked_for_is_dev_null)
{
    struct stream *out;
    struct child *c;
    struct spawn_options o = {
        .argv = ARGV("sh", "-c", "cat; readlink /proc/self/fd/0"), .standard = {NULL, &out, NULL}};
    assert_int_equal(world_spawn(w, &o, &c), 0);
    assert_reads(out, "/dev/null\n");
    assert_at_end(out);
    assert_ends(c, 0, 0);
    stream_close(out);
    child_close(c);
    return 0;
}

TEST(environment_and_directory_are_the_childs_own)
{
    struct stream *out;
    struct child *c;
    const char *const env[] = {"WEIR_TEST=yes", "PATH=/usr/bin:/bin", NULL};
    struct spawn_options o = {.argv = ARGV("sh", "-c", "echo $WEIR_TEST $HOME; pwd"),
        .env = env,
        .directory = "/",
        .standard = {NULL, &out, NULL}};
    assert_int_equal(world_spawn(w, &o, &c), 0);
    assert_reads(out, "yes\n/\n");
    assert_at_end(out);
    assert_ends(c, 0, 0);
    stream_close(out);
    child_close(c);
    return 0;
}

/* Beyond its standard streams a child inherits nothing that we have opened. */
TEST(a_child_may_have_a_title_instead_of_its_programs_name)
{
    struct stream *out;
    struct child *c;
    struct spawn_options o = {.argv = ARGV("sh", "-c", "tr '\\0' '|' </proc/$$/cmdline"),
        .title = "a title",
        .standard = {NULL, &out, NULL}};
    assert_int_equal(world_spawn(w, &o, &c), 0);
    assert_reads(out, "a title|-c|");
    assert_ends(c, 0, 0);
    stream_close(out);
    child_close(c);
    return 0;
}

TEST(a_child_gets_no_descriptors_of_ours)
{
    struct stream *ours;
    struct stream *theirs;
    struct stream *out;
    struct child *c;
    char script[128];
    connect_pair("127.0.0.1:0", &ours, &theirs);
    struct listener *l = listen_at("127.0.0.1:0");
    snprintf(script, sizeof(script), "test -e /proc/self/fd/%d && echo seen || echo unseen",
        uv_world_listener_fd(l));
    struct spawn_options o = {.argv = ARGV("sh", "-c", script), .standard = {NULL, &out, NULL}};
    assert_int_equal(world_spawn(w, &o, &c), 0);
    assert_reads(out, "unseen\n");
    assert_ends(c, 0, 0);
    stream_close(out);
    child_close(c);
    stream_close(ours);
    stream_close(theirs);
    listener_close(l);
    return 0;
}

/* More than a loop wakes for before it lets them run. */
#define CROWD 300

static int see_out(void *arg)
{
    struct child *c = arg;
    struct child_exit exit;
    assert_int_equal(child_wait(c, &exit), 0);
    assert_int_equal(exit.signal, SIGKILL);
    child_close(c);
    return 0;
}

/* All in one turn: nothing waits between their ends and the last one's. */
TEST(a_crowd_may_end_at_once)
{
    GROUP(g, GROUP_INDEPENDENT);
    int pids[CROWD];
    for (int i = 0; i < CROWD; i++) {
        struct child *c = spawn(ARGV("sleep", "100"));
        pids[i] = child_pid(c);
        assert_int_equal(group_spawn(&g, "who sees it out", see_out, c), 0);
    }
    assert_int_equal(coro_yield(), 0); /* each waits for its own */
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(kill(pids[i], SIGKILL), 0);
    for (int i = 0; i < CROWD; i++) {
        siginfo_t info;
        assert_int_equal(waitid(P_PID, (id_t)pids[i], &info, WEXITED | WNOWAIT), 0);
    }
    assert_int_equal(group_wait(&g), 0);
    return 0;
}

TEST(what_cannot_be_started_is_an_error)
{
    struct child *c;
    struct stream *in = NULL;
    struct spawn_options o = {.argv = ARGV("/nowhere/at/all"), .standard = {&in, NULL, NULL}};
    assert_int_equal(world_spawn(w, &o, &c), -ENOENT);
    assert_null(in);
    o.argv = ARGV("/");
    assert_int_equal(world_spawn(w, &o, &c), -EACCES);
    o.argv = ARGV("true");
    o.directory = "/nowhere/at/all";
    assert_int_equal(world_spawn(w, &o, &c), -ENOENT);
    return 0;
}

static int wait_for_end(void *arg)
{
    struct child_exit exit;
    return child_wait(arg, &exit);
}

TEST(waiting_for_a_child_can_be_interrupted)
{
    struct child *c = spawn(ARGV("sleep", "100"));
    assert_can_be_interrupted(wait_for_end, c);
    struct wait waits;
    GROUP(g, GROUP_INDEPENDENT);
    begin_wait(&g, &waits, wait_for_end, c);
    child_close(c);
    assert_int_equal(group_wait(&g), 0);
    assert_int_equal(waits.result, -EBADF);
    return 0;
}

/* ---- What is closed while it runs ---- */

static pid_t closed_child;

static int close_a_running_child(void *arg)
{
    struct child *c = spawn(ARGV("sleep", "100"));
    closed_child = child_pid(c);
    child_close(c);
    return 0;
}

static void a_closed_child_is_killed_and_reaped(void **state)
{
    run_in_world(close_a_running_child);
    assert_int_equal(kill(closed_child, 0), -1);
    assert_int_equal(errno, ESRCH);
}

/* ---- Several loops with children of their own ---- */

static int spawn_ten(void *arg)
{
    struct world *mine = arg;
    for (int i = 0; i < 10; i++) {
        struct child *c;
        struct child_exit exit;
        const char *const *argv = i % 2 ? ARGV("false") : ARGV("true");
        int rc = world_spawn(mine, &(struct spawn_options){.argv = argv}, &c);
        if (rc)
            return rc;
        rc = child_wait(c, &exit);
        child_close(c);
        if (rc || exit.status != i % 2)
            return rc ? rc : -EPROTO;
    }
    return 0;
}

static void *run_spawn_ten(void *arg)
{
    struct world *mine;
    open_world(&mine);
    *(int *)arg = uv_world_run(mine, "spawns", spawn_ten, mine);
    uv_world_close(mine);
    return NULL;
}

static void loops_on_several_threads_have_children_of_their_own(void **state)
{
    pthread_t threads[3];
    int results[3] = {1, 1, 1};
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_spawn_ten, &results[i]), 0);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(results[i], 0);
    }
}

TEST_FILE(uv_child)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exit_statuses_are_told),
        cmocka_unit_test(a_signal_ends_a_child),
        cmocka_unit_test(standard_streams_go_both_ways),
        cmocka_unit_test(closing_its_input_ends_a_child),
        cmocka_unit_test(what_is_not_asked_for_is_dev_null),
        cmocka_unit_test(environment_and_directory_are_the_childs_own),
        cmocka_unit_test(a_child_may_have_a_title_instead_of_its_programs_name),
        cmocka_unit_test(a_child_gets_no_descriptors_of_ours),
        cmocka_unit_test(a_crowd_may_end_at_once),
        cmocka_unit_test(what_cannot_be_started_is_an_error),
        cmocka_unit_test(waiting_for_a_child_can_be_interrupted),
        cmocka_unit_test(a_closed_child_is_killed_and_reaped),
        cmocka_unit_test(loops_on_several_threads_have_children_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
