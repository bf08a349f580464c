/*
 * sim_process_test.c: processes, threads and their mail, children, signals.
 */
#include "sim_fixture.h"

#include <fcntl.h>
#include <signal.h>

/* ---- Ends ---- */

static int return_what_is_told(struct world *w, void *arg)
{
    must_sleep(w, NS_PER_S);
    return *(int *)arg;
}

static void count_end(void *ctx, struct sim_process *p)
{
    must(sim_process_end(p).state != SIM_RUNNING);
    must(!coro_self());
    ++*(int *)ctx;
}

static void a_process_ends_with_its_mains_result(void **state)
{
    struct universe u = open_default();
    int results[2] = {3, -EIO};
    int ends = 0;
    struct sim_process *p[2];
    for (int i = 0; i < 2; i++) {
        p[i] = start(u.here, return_what_is_told, &results[i]);
        sim_process_on_end(p[i], count_end, &ends);
        assert_true(sim_process_host(p[i]) == u.here);
        assert_non_null(sim_process_world(p[i]));
    }
    assert_true(sim_process_pid(p[0]) != sim_process_pid(p[1]));
    run(&u);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sim_process_end(p[i]).state, SIM_EXITED);
        assert_int_equal(sim_process_end(p[i]).result, results[i]);
        assert_int_equal(sim_signal(p[i], SIGTERM), -ESRCH);
    }
    assert_int_equal(ends, 2);
    sim_close(u.sim);
}

static void add_one(void *arg)
{
    ++*(int *)arg;
}

static void write_at_the_end(void *arg)
{
    struct world *w = arg;
    struct file *f;
    must(world_open(w, "/at-the-end", O_CREAT | O_WRONLY, 0600, &f) == 0);
    must(file_write(f, "end", 3, 0) == 0);
    file_close(f);
}

static int defer_things(struct world *w, void *arg)
{
    must(coro_defer(add_one, arg) == 0);
    must(coro_defer(write_at_the_end, w) == 0);
    return 0;
}

static void what_main_deferred_is_done_before_the_process_ends(void **state)
{
    struct universe u = open_default();
    int count = 0;
    start(u.here, defer_things, &count);
    run(&u);
    assert_int_equal(count, 1);
    assert_int_equal(sim_file_get(u.here, "/at-the-end", NULL, 0), 3);
    sim_close(u.sim);
}

static int leave_everything_open(struct world *w, void *arg)
{
    struct universe *u = arg;
    must_listen(w, "*:8");
    struct file *f;
    must(world_open(w, "/left", O_CREAT | O_WRONLY, 0600, &f) == 0);
    must(send_text(must_connect(w, u->there, 7), "x") == 0);
    return 0;
}

static int hear_the_end(struct world *w, void *arg)
{
    struct listener *l = must_listen(w, "*:7");
    struct stream *s = must_accept(l);
    must(reads(s, "x"));
    must(read_byte(s) == 0);
    stream_close(s);
    listener_close(l);
    return 0;
}

static void what_a_process_left_open_is_closed_and_counted(void **state)
{
    struct universe u = open_default();
    struct sim_process *p = start(u.here, leave_everything_open, &u);
    start(u.there, hear_the_end, &u);
    run(&u);
    assert_int_equal(sim_process_end(p).state, SIM_EXITED);
    assert_int_equal(sim_process_unclosed(p), 3);
    sim_close(u.sim);
}

/* ---- Threads and mail ---- */

struct letter {
    struct message message;
    struct mailman *to;
    int number;
};

struct mailman {
    struct universe *u;
    struct world *w;
    struct coro *waiter;
    int received;
    int last;
};

static void deliver(struct message *m)
{
    struct letter *l = container_of(m, struct letter, message);
    struct mailman *to = l->to;
    must(!coro_self());
    must(l->number == to->last + 1);
    to->last = l->number;
    to->received++;
    if (to->waiter)
        coro_wake(to->waiter, 0);
    free(l);
}

static void post_letter(struct mailman *to, int number)
{
    struct letter *l = malloc(sizeof *l);
    must(l);
    *l = (struct letter){.message.deliver = deliver, .to = to, .number = number};
    world_post(to->w, &l->message);
}

#define LETTERS 100

static int receive_letters(struct world *w, void *arg)
{
    struct mailman *m = arg;
    m->waiter = coro_self();
    while (m->received < LETTERS)
        must(coro_park("letter") == 0);
    m->waiter = NULL;
    return 0;
}

static int block_and_receive(struct world *w, void *arg)
{
    must(sim_block(w, NS_PER_S) == 0);
    return receive_letters(w, arg);
}

static int send_letters(struct world *w, void *arg)
{
    struct mailman *m = arg;
    must(sim_thread(sim_self(w), "receiver", receive_letters, m, &m->w) == 0);
    for (int i = 1; i <= LETTERS; i++) {
        post_letter(m, i);
        if (i % 10 == 0)
            must_sleep(w, NS_PER_MS);
    }
    must_sleep(w, NS_PER_S);
    must(m->received == LETTERS);
    return 0;
}

static void threads_get_letters_in_the_order_of_posting(void **state)
{
    struct universe u = open_default();
    struct mailman m = {.u = &u};
    start(u.here, send_letters, &m);
    run_and_close(&u);
    assert_int_equal(m.received, LETTERS);
}

static int post_to_the_blocked(struct world *w, void *arg)
{
    struct mailman *m = arg;
    must(sim_thread(sim_self(w), "receiver", block_and_receive, m, &m->w) == 0);
    must_sleep(w, NS_PER_MS);
    for (int i = 1; i <= LETTERS; i++)
        post_letter(m, i);
    must_sleep(w, NS_PER_S / 2);
    must(m->received == 0);
    return world_sleep(w, NS_PER_S);
}

static void mail_waits_for_a_blocked_thread(void **state)
{
    struct universe u = open_default();
    struct mailman m = {.u = &u};
    start(u.here, post_to_the_blocked, &m);
    run_and_close(&u);
    assert_int_equal(m.received, LETTERS);
}

static int sleep_for_ever(struct world *w, void *arg)
{
    return world_sleep_until(w, DEADLINE_NEVER);
}

static int die_with_mail(struct world *w, void *arg)
{
    struct mailman *m = arg;
    must(sim_thread(sim_self(w), "receiver", sleep_for_ever, NULL, &m->w) == 0);
    for (int i = 1; i <= 5; i++)
        post_letter(m, i);
    return 7;
}

/* What is in a mailbox when its process ends is still delivered, so that its memory is not lost. */
static void mail_of_the_dead_is_delivered(void **state)
{
    struct universe u = open_default();
    struct mailman m = {.u = &u};
    struct sim_process *p = start(u.here, die_with_mail, &m);
    run(&u);
    assert_int_equal(m.received, 5);
    assert_int_equal(sim_process_end(p).result, 7);
    sim_close(u.sim);
}

static int post_when_cancelled(struct world *w, void *arg)
{
    struct mailman *m = arg;
    must(world_sleep_until(w, DEADLINE_NEVER) == -ECANCELED);
    post_letter(m, 1);
    return 0;
}

static int die_with_talkative_threads(struct world *w, void *arg)
{
    struct mailman *m = arg;
    struct world *other;
    must(sim_thread(sim_self(w), "receiver", sleep_for_ever, NULL, &m->w) == 0);
    must(sim_thread(sim_self(w), "talker", post_when_cancelled, m, &other) == 0);
    must_sleep(w, NS_PER_S);
    return 0;
}

static void threads_that_end_together_may_still_tell_each_other(void **state)
{
    struct universe u = open_default();
    struct mailman m = {.u = &u};
    start(u.here, die_with_talkative_threads, &m);
    run_and_close(&u);
    assert_int_equal(m.received, 1);
}

/* ---- Children ---- */

static int answer_on_standard_streams(struct world *w, void *arg)
{
    must(strcmp(sim_argv(w)[0], "who answers") == 0);
    must(strcmp(sim_argv(w)[1], "--loud") == 0);
    must(sim_argv(w)[2] == NULL);
    must(strcmp(sim_env(w)[0], "COLOUR=red") == 0);
    must(sim_standard(w, 2) == NULL);
    must(sim_standard(w, 3) == NULL);
    must(reads(sim_standard(w, 0), "how much?"));
    must(read_byte(sim_standard(w, 0)) == 0);
    must(send_text(sim_standard(w, 1), "42") == 0);
    return 5;
}

static int ask_a_child(struct world *w, void *arg)
{
    struct stream *in;
    struct stream *out;
    struct child *c;
    const char *const argv[] = {"answer", "--loud", NULL};
    const char *const env[] = {"COLOUR=red", NULL};
    struct spawn_options options = {
        .argv = argv, .title = "who answers", .env = env, .standard = {&in, &out}};
    int64_t began = world_now(w);
    must(world_spawn(w, &options, &c) == 0);
    must(child_pid(c) > 1);
    must(send_text(in, "how much?") == 0);
    must(stream_shutdown(in) == 0);
    must(reads(out, "42"));
    must(world_now(w) - began >= NS_PER_MS / 2);
    must(read_byte(out) == 0);
    struct child_exit end;
    must(child_wait(c, &end) == 0);
    must(end.status == 5 && end.signal == 0);
    must(child_wait(c, &end) == 0);
    must(child_signal(c, SIGTERM) == -ESRCH);
    child_close(c);
    stream_close(in);
    stream_close(out);
    const char *const nobody[] = {"nobody", NULL};
    must(world_spawn(w, &(struct spawn_options){.argv = nobody}, &c) == -ENOENT);
    return 0;
}

static void a_child_talks_on_its_standard_streams(void **state)
{
    struct universe u = open_default();
    assert_int_equal(sim_program(u.sim, "answer", answer_on_standard_streams, NULL), 0);
    struct sim_process *p = start(u.here, ask_a_child, NULL);
    run(&u);
    assert_int_equal(sim_process_unclosed(p), 0);
    sim_close(u.sim);
}

static int obey_signals(struct world *w, void *arg)
{
    struct signals *s;
    must(world_signals(w, (const int[]){SIGTERM, SIGUSR1}, 2, &s) == 0);
    must(signals_next(s) == SIGUSR1);
    must(signals_next(s) == SIGTERM);
    must_sleep(w, NS_PER_S);
    must(signals_next(s) == SIGUSR1); /* both came meanwhile */
    must(signals_next(s) == SIGTERM);
    signals_close(s);
    return 0;
}

static struct child *must_spawn(struct world *w, const char *program)
{
    struct child *c;
    const char *const argv[] = {program, NULL};
    must(world_spawn(w, &(struct spawn_options){.argv = argv}, &c) == 0);
    return c;
}

static struct child_exit must_end(struct child *c)
{
    struct child_exit end;
    must(child_wait(c, &end) == 0);
    child_close(c);
    return end;
}

static int signal_children(struct world *w, void *arg)
{
    struct child *polite = must_spawn(w, "polite");
    must_sleep(w, NS_PER_S);
    must(child_signal(polite, SIGUSR1) == 0);
    must(child_signal(polite, SIGCHLD) == 0);
    must_sleep(w, NS_PER_S);
    must(child_signal(polite, 0) == 0);
    must(child_signal(polite, SIGTERM) == 0);
    must_sleep(w, NS_PER_MS);
    must(child_signal(polite, SIGTERM) == 0);
    must(child_signal(polite, SIGUSR1) == 0);
    struct child_exit end = must_end(polite);
    must(end.status == 0 && end.signal == 0);

    struct child *rude = must_spawn(w, "rude");
    must_sleep(w, NS_PER_S);
    must(child_signal(rude, SIGTERM) == 0);
    end = must_end(rude);
    must(end.status == 0 && end.signal == SIGTERM);

    struct child *unborn = must_spawn(w, "polite");
    must(child_signal(unborn, SIGKILL) == 0);
    end = must_end(unborn);
    must(end.signal == SIGKILL);
    return 0;
}

static void signals_reach_children(void **state)
{
    struct universe u = open_default();
    assert_int_equal(sim_program(u.sim, "polite", obey_signals, NULL), 0);
    assert_int_equal(sim_program(u.sim, "rude", sleep_for_ever, NULL), 0);
    start(u.here, signal_children, NULL);
    run_and_close(&u);
}

static int return_an_error(struct world *w, void *arg)
{
    return -EIO;
}

static int wait_for_failure(struct world *w, void *arg)
{
    must(must_end(must_spawn(w, "failing")).status == 1);
    return 0;
}

static void a_childs_error_is_status_one(void **state)
{
    struct universe u = open_default();
    assert_int_equal(sim_program(u.sim, "failing", return_an_error, NULL), 0);
    start(u.here, wait_for_failure, NULL);
    run_and_close(&u);
}

static int count_while_running(struct world *w, void *arg)
{
    for (;;) {
        ++*(int *)arg;
        int rc = world_sleep(w, 10 * NS_PER_MS);
        if (rc)
            return rc;
    }
}

static int forget_a_child(struct world *w, void *arg)
{
    struct child *c = must_spawn(w, "counter");
    must_sleep(w, NS_PER_S);
    child_close(c);
    return 0;
}

static void a_child_that_is_closed_is_killed(void **state)
{
    struct universe u = open_default();
    int count = 0;
    assert_int_equal(sim_program(u.sim, "counter", count_while_running, &count), 0);
    start(u.here, forget_a_child, NULL);
    run_and_close(&u);
    assert_in_range(count, 99, 101);
}

static int leave_a_child(struct world *w, void *arg)
{
    must_spawn(w, "counter");
    must_sleep(w, NS_PER_S);
    return 0;
}

static void a_child_outlives_its_parent(void **state)
{
    struct universe u = open_default();
    int count = 0;
    assert_int_equal(sim_program(u.sim, "counter", count_while_running, &count), 0);
    struct sim_process *p = start(u.here, leave_a_child, NULL);
    sim_process_daemon(p); /* and so are its children */
    int long_enough = 0;
    start(u.there, return_what_is_told, &long_enough);
    assert_int_equal(sim_run(u.sim, 10 * NS_PER_S), 0);
    start(u.there, return_what_is_told, &long_enough);
    run(&u);
    assert_int_equal(sim_process_end(p).state, SIM_EXITED);
    assert_in_range(count, 190, 201);
    sim_close(u.sim);
}

/* ---- Signals from outside ---- */

struct killed {
    struct universe u;
    bool deferred;
    bool ended;
};

static void set_true(void *arg)
{
    *(bool *)arg = true;
}

/* Everything that a dead process tries. */
static int go_on_after_death(struct world *w, void *arg)
{
    struct killed *k = arg;
    must(coro_defer(set_true, &k->deferred) == 0);
    struct stream *s = must_connect(w, k->u.there, 7);
    must(send_text(s, "x") == 0);
    must(world_sleep(w, 100 * NS_PER_S) == -ECANCELED);

    struct address a;
    struct listener *l;
    struct stream *other;
    struct child *c;
    struct signals *signals;
    struct watch *watch;
    sim_host_address(k->u.there, 7, &a);
    const char *const argv[] = {"counter", NULL};
    must(send_text(s, "more") == -ECANCELED);
    must(stream_shutdown(s) == -ECANCELED);
    stream_peer(s, &a);
    must(world_connect(w, &a, &other) == -ECANCELED);
    must(address_parse(&a, "*:9", NULL) == 0);
    must(world_listen(w, &a, NULL, &l) == -ECANCELED);
    must(world_spawn(w, &(struct spawn_options){.argv = argv}, &c) == -ECANCELED);
    must(world_signals(w, (const int[]){SIGTERM}, 1, &signals) == -ECANCELED);
    must(world_watch(w, 3, &watch) == -ECANCELED);
    must(world_unlink(w, "/kept") == -ECANCELED);
    must(sim_burn(w, 1) == -ECANCELED);
    k->ended = true;
    return 0;
}

static int kill_it(struct sim *sim, void *arg)
{
    struct sim_process *p = arg;
    must(sim_sleep(sim, NS_PER_S) == 0);
    must(sim_signal(p, SIGKILL) == 0);
    must(sim_signal(p, SIGKILL) == -ESRCH);
    must(sim_wait(p) == 0);
    must(sim_now(sim) == NS_PER_S);
    return 0;
}

static void a_killed_process_runs_its_defers_and_does_nothing_more(void **state)
{
    struct killed k = {.u = open_default()};
    assert_int_equal(sim_file_put(k.u.here, "/kept", "kept", 4), 0);
    start(k.u.there, hear_the_end, NULL);
    struct sim_process *p = start(k.u.here, go_on_after_death, &k);
    assert_int_equal(sim_direct(k.u.sim, "killer", kill_it, p), 0);
    run(&k.u);
    assert_true(k.deferred && k.ended);
    assert_int_equal(sim_process_end(p).state, SIM_KILLED);
    assert_int_equal(sim_process_end(p).signal, SIGKILL);
    assert_int_equal(sim_file_get(k.u.here, "/kept", NULL, 0), 4);
    sim_close(k.u.sim);
}

static int stop_and_go(struct sim *sim, void *arg)
{
    struct sim_process *p = arg;
    must(sim_sleep(sim, NS_PER_S) == 0);
    must(sim_signal(p, SIGSTOP) == 0);
    must(sim_sleep(sim, 10 * NS_PER_S) == 0);
    must(sim_signal(p, SIGCONT) == 0);
    must(sim_sleep(sim, NS_PER_S) == 0);
    must(sim_signal(p, SIGINT) == 0);
    return 0;
}

static void a_stopped_process_does_nothing_until_it_goes_on(void **state)
{
    struct universe u = open_default();
    int count = 0;
    struct sim_process *p = start(u.here, count_while_running, &count);
    assert_int_equal(sim_direct(u.sim, "director", stop_and_go, p), 0);
    run(&u);
    assert_in_range(count, 199, 202);
    assert_int_equal(sim_process_end(p).signal, SIGINT);
    sim_close(u.sim);
}

TEST_FILE(sim_process)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_ends_with_its_mains_result),
        cmocka_unit_test(what_main_deferred_is_done_before_the_process_ends),
        cmocka_unit_test(what_a_process_left_open_is_closed_and_counted),
        cmocka_unit_test(threads_get_letters_in_the_order_of_posting),
        cmocka_unit_test(mail_waits_for_a_blocked_thread),
        cmocka_unit_test(mail_of_the_dead_is_delivered),
        cmocka_unit_test(threads_that_end_together_may_still_tell_each_other),
        cmocka_unit_test(a_child_talks_on_its_standard_streams),
        cmocka_unit_test(signals_reach_children),
        cmocka_unit_test(a_childs_error_is_status_one),
        cmocka_unit_test(a_child_that_is_closed_is_killed),
        cmocka_unit_test(a_child_outlives_its_parent),
        cmocka_unit_test(a_killed_process_runs_its_defers_and_does_nothing_more),
        cmocka_unit_test(a_stopped_process_does_nothing_until_it_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
