/*
 * sim_misuse_test.c: who uses the simulated world wrongly is told so in a sentence, with the report
 * of the universe it happened in.
 *
 * Each mistake is made in a process of its own, which must abort, and whose standard error must
 * hold the sentence.
 */
#include "sim_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static struct universe u;

static void assert_caught(void (*mistake)(void), const char *sentence, const char *report)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        sigaction(SIGABRT, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
        u = open_default();
        mistake();
        _exit(0);
    }
    close(ends[1]);
    char said[8192];
    size_t len = 0;
    ssize_t n;
    while ((n = read(ends[0], said + len, sizeof said - 1 - len)) > 0)
        len += (size_t)n;
    said[len] = '\0';
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!strstr(said, sentence) || !strstr(said, report))
        fail_msg("expected '%s' and '%s', but standard error was: %s", sentence, report, said);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void run_mistake(sim_main *main)
{
    start(u.here, main, NULL);
    (void)!sim_run(u.sim, 3600 * NS_PER_S);
}

/* ---- Mail ---- */

static void ignore(struct message *m)
{
}

static struct message message = {.deliver = ignore};

static int sleep_long(struct world *w, void *arg)
{
    return world_sleep(w, 1000 * NS_PER_S);
}

static int post_elsewhere(struct world *w, void *arg)
{
    struct sim_process *other = start(u.here, sleep_long, NULL);
    world_post(sim_process_world(other), &message);
    return 0;
}

static void post_to_another_process(void)
{
    run_mistake(post_elsewhere);
}

static int end_at_once(struct world *w, void *arg)
{
    return 0;
}

static int post_late(struct world *w, void *arg)
{
    struct world *thread;
    must(sim_thread(sim_self(w), "brief", end_at_once, NULL, &thread) == 0);
    must_sleep(w, NS_PER_S);
    world_post(thread, &message);
    return 0;
}

static void post_to_an_ended_thread(void)
{
    run_mistake(post_late);
}

static void mail_to_strangers_and_to_the_dead_is_caught(void **state)
{
    assert_caught(post_to_another_process,
        "world_post from process 'test' to process 'test': processes share no memory", "seed 1");
    assert_caught(post_to_an_ended_thread, "world_post to 'brief', a world that has ended",
        "SEED=1 make sim");
}

/* ---- What is for others ---- */

static int direct_from_inside(struct world *w, void *arg)
{
    return sim_sleep(u.sim, NS_PER_S);
}

static void sleep_as_a_director(void)
{
    run_mistake(direct_from_inside);
}

static void burn_outside(void)
{
    struct sim_process *p = start(u.here, sleep_long, NULL);
    (void)!sim_burn(sim_process_world(p), NS_PER_S);
}

static int run_inside(struct world *w, void *arg)
{
    return sim_run(u.sim, NS_PER_S);
}

static void run_within_a_run(void)
{
    run_mistake(run_inside);
}

static void restart_what_runs(void)
{
    (void)!sim_restart(u.here);
}

static int set_unknown(struct world *w, void *arg)
{
    sim_fd_set(w, 3, WATCH_READ);
    return 0;
}

static void set_an_unknown_descriptor(void)
{
    run_mistake(set_unknown);
}

static void cut_a_host_from_itself(void)
{
    (void)!sim_cut(u.here, u.here);
}

static void what_is_for_others_is_caught(void **state)
{
    assert_caught(sleep_as_a_director, "sim_sleep is for directors", "coroutine 'test' runs");
    assert_caught(burn_outside, "a burn is for coroutines of the world", "");
    assert_caught(run_within_a_run, "sim_run was called inside a coroutine", "");
    assert_caught(restart_what_runs, "host 'here' is restarted, but it has not crashed", "");
    assert_caught(set_an_unknown_descriptor, "sim_fd_set was given 3", "");
    assert_caught(cut_a_host_from_itself, "host 'here' cannot be cut off from itself", "");
}

/* ---- Threads and shared sockets ---- */

static int close_what_runs(struct world *w, void *arg)
{
    struct thread *t;
    must(world_thread(w, "busy", sleep_long, NULL, &t) == 0);
    thread_close(t);
    return 0;
}

static void close_a_running_thread(void)
{
    run_mistake(close_what_runs);
}

static int share_with_a_stranger(struct world *w, void *arg)
{
    struct sim_process *other = start(u.here, sleep_long, NULL);
    struct listener *l = must_listen(w, "*:7");
    struct listener *theirs;
    return world_share_listener(sim_process_world(other), l, &theirs);
}

static void share_between_processes(void)
{
    run_mistake(share_with_a_stranger);
}

static void threads_and_sharing_are_checked(void **state)
{
    assert_caught(close_a_running_thread, "thread_close was called on a thread that runs",
        "coroutine 'busy'");
    assert_caught(share_between_processes,
        "world_share_listener by process 'test' of a listener of process 'test'", "seed 1");
}

/* ---- Companions ---- */

static struct companion *hand;

static void never_end(struct companion *self, void *arg)
{
    while (companion_park(self, DEADLINE_NEVER) == 0)
        continue;
}

static void start_companion(struct world *w)
{
    struct companion_options options = {.name = "hand", .run = never_end};
    must(world_companion(w, &options, &hand) == 0);
}

static int have_a_hand(struct world *w, void *arg)
{
    start_companion(w);
    return world_sleep(w, 1000 * NS_PER_S);
}

static int close_the_hand(struct world *w, void *arg)
{
    start_companion(w);
    companion_close(hand);
    return 0;
}

static void close_a_running_companion(void)
{
    run_mistake(close_the_hand);
}

static int wake_a_strange_hand(struct world *w, void *arg)
{
    start(u.here, have_a_hand, NULL);
    must_sleep(w, NS_PER_MS);
    companion_wake(hand);
    return 0;
}

static void wake_in_another_process(void)
{
    run_mistake(wake_a_strange_hand);
}

#ifdef WEIR_DEBUG
static int park_for_the_hand(struct world *w, void *arg)
{
    start_companion(w);
    return companion_park(hand, DEADLINE_NEVER);
}

static void park_in_another_coroutine(void)
{
    run_mistake(park_for_the_hand);
}
#endif

static void companions_are_checked(void **state)
{
    assert_caught(close_a_running_companion, "companion_close was called on a companion that runs",
        "coroutine 'hand'");
    assert_caught(wake_in_another_process,
        "companion_wake from process 'test' of 'hand' in process 'test'", "seed 1");
#ifdef WEIR_DEBUG
    assert_caught(park_in_another_coroutine,
        "companion_park was called by another coroutine than the companion 'hand' itself",
        "seed 1");
#endif
}

/* ---- Those who do not end ---- */

static struct world *own;

static void post_to_oneself(struct message *m)
{
    world_post(own, m);
}

static struct message endless = {.deliver = post_to_oneself};

static int post_for_ever(struct world *w, void *arg)
{
    own = w;
    world_post(w, &endless);
    return 0;
}

static void not_end(void)
{
    run_mistake(post_for_ever);
}

static int yield_for_ever(struct world *w, void *arg)
{
    for (;;)
        must(coro_yield() == 0);
}

static void stand_still(void)
{
    run_mistake(yield_for_ever);
}

static void what_never_ends_is_caught(void **state)
{
    assert_caught(not_end, "process 'test' on host 'here' does not come to its end", "seed 1");
    assert_caught(stand_still, "time stands still", "coroutine 'test' is ready");
}

/* ---- What every world catches, in debug builds ---- */

#ifdef WEIR_DEBUG
static void sleep_outside(void)
{
    (void)!world_sleep(sim_process_world(start(u.here, sleep_long, NULL)), NS_PER_S);
}

static int close_twice(struct world *w, void *arg)
{
    struct listener *l = must_listen(w, "*:7");
    listener_close(l);
    listener_close(l);
    return 0;
}

static void close_a_listener_twice(void)
{
    run_mistake(close_twice);
}

static int sleep_elsewhere(struct world *w, void *arg)
{
    struct sim_process *other = start(u.there, sleep_long, NULL);
    return world_sleep(sim_process_world(other), NS_PER_S);
}

static void sleep_in_another_world(void)
{
    run_mistake(sleep_elsewhere);
}

static void misuse_of_the_world_is_caught(void **state)
{
    assert_caught(
        sleep_outside, "world_sleep_until waits, so it must be called by a coroutine", "");
    assert_caught(close_a_listener_twice, "listener_close: closed twice", "unlisten");
    assert_caught(sleep_in_another_world, "belongs to another world than the object", "seed 1");
}
#endif

TEST_FILE(sim_misuse)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mail_to_strangers_and_to_the_dead_is_caught),
        cmocka_unit_test(what_is_for_others_is_caught),
        cmocka_unit_test(threads_and_sharing_are_checked),
        cmocka_unit_test(companions_are_checked),
        cmocka_unit_test(what_never_ends_is_caught),
#ifdef WEIR_DEBUG
        cmocka_unit_test(misuse_of_the_world_is_caught),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
