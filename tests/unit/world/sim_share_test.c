/*
 * sim_share_test.c: listening sockets with several holders, what children are given, and who is
 * cancelled when a peer has left.
 */
#include "sim_script.h"

#include <signal.h>

/* ---- Threads with one socket ---- */

#define CALLERS 40

struct shop {
    struct universe u;
    struct listener *counter;
    int served[2];
    bool open;
};

struct clerk {
    struct shop *shop;
    int index;
};

static int serve_callers(struct world *w, void *arg)
{
    struct clerk *clerk = arg;
    struct listener *l;
    must(world_share_listener(w, clerk->shop->counter, &l) == 0);
    CORO_DEADLINE(world_now(w) + 10 * NS_PER_S);
    struct stream *s;
    while (listener_accept(l, &s) == 0) {
        must(send_text(s, "!") == 0);
        stream_close(s);
        clerk->shop->served[clerk->index]++;
    }
    listener_close(l);
    return 0;
}

static int keep_shop(struct world *w, void *arg)
{
    struct shop *shop = arg;
    struct thread *threads[2];
    struct clerk clerks[2];
    shop->counter = must_listen(w, "*:7");
    for (int i = 0; i < 2; i++) {
        clerks[i] = (struct clerk){shop, i};
        must(world_thread(w, "clerk", serve_callers, &clerks[i], &threads[i]) == 0);
    }
    for (int i = 0; i < 2; i++) {
        int result;
        must(thread_wait(threads[i], &result) == 0 && result == 0);
        thread_close(threads[i]);
    }
    listener_close(shop->counter);
    return 0;
}

static int call_often(struct world *w, void *arg)
{
    struct shop *shop = arg;
    for (int i = 0; i < CALLERS; i++) {
        struct stream *s = must_connect(w, shop->u.there, 7);
        must(reads(s, "!"));
        stream_close(s);
    }
    return 0;
}

static void threads_share_a_socket(void **state)
{
    struct shop shop = {.u = open_default()};
    start(shop.u.there, keep_shop, &shop);
    start(shop.u.here, call_often, &shop);
    run_and_close(&shop.u);
    assert_int_equal(shop.served[0] + shop.served[1], CALLERS);
    assert_true(shop.served[0] > 0 && shop.served[1] > 0); /* the seed chooses */
}

/* ---- A supervisor and its servers ---- */

/* Serves one caller and dies with the next in its queue. */
static int serve_one_and_die(struct world *w, void *arg)
{
    struct listener *l;
    struct listener *again;
    const char *const *env = sim_env(w);
    must(env && strcmp(env[0], "A=2") == 0 && strcmp(env[1], "B=3") == 0 && !env[2]);
    must(world_inherited_listener(w, 1, &l) == -EBADF);
    must(world_inherited_listener(w, 0, &l) == 0);
    must(world_inherited_listener(w, 0, &again) == -EBADF);
    struct stream *s = must_accept(l);
    must(send_text(s, "!") == 0);
    stream_close(s);
    must_sleep(w, 100 * NS_PER_MS);
    must(sim_signal(sim_self(w), SIGKILL) == 0);
    return coro_poll();
}

static int supervise(struct world *w, void *arg)
{
    struct listener *l = must_listen(w, "*:7");
    for (int i = 0; i < 3; i++) {
        struct child *c;
        struct child_exit exit;
        struct spawn_options o = {
            .argv = (const char *const[]){"server", NULL},
            .env = (const char *const[]){"A=1", NULL},
            .env_add = (const char *const[]){"A=2", "B=3", NULL},
            .listeners = &l,
            .listener_count = 1,
        };
        must(world_spawn(w, &o, &c) == 0);
        must(child_wait(c, &exit) == 0 && exit.signal == SIGKILL);
        child_close(c);
    }
    listener_close(l);
    return 0;
}

static int call_all_at_once(struct world *w, void *arg)
{
    struct script *s = arg;
    struct stream *streams[4];
    for (int i = 0; i < 4; i++)
        streams[i] = must_connect(w, s->u.there, 7);
    for (int i = 0; i < 3; i++) {
        must(reads(streams[i], "!"));
        stream_close(streams[i]);
    }
    /* Nobody holds the socket any more. */
    must(read_byte(streams[3]) == -ECONNRESET);
    stream_close(streams[3]);
    struct stream *nobody;
    s->rc = try_connect(w, s->u.there, 7, &nobody);
    return 0;
}

static void the_queue_survives_servers_that_die(void **state)
{
    struct script s = {.u = open_default()};
    assert_int_equal(sim_program(s.u.sim, "server", serve_one_and_die, NULL), 0);
    start(s.u.there, supervise, &s);
    start(s.u.here, call_all_at_once, &s);
    run_and_close(&s.u);
    assert_int_equal(s.rc, -ECONNREFUSED);
}

static int stay(struct world *w, void *arg)
{
    must_sleep(w, 5 * NS_PER_S);
    return 0;
}

static int give_away_and_end(struct world *w, void *arg)
{
    struct listener *l = must_listen(w, "*:7");
    struct child *c;
    struct spawn_options o = {
        .argv = (const char *const[]){"stays", NULL}, .listeners = &l, .listener_count = 1};
    must(world_spawn(w, &o, &c) == 0);
    listener_close(l);
    return 0; /* and leaves the child */
}

static int call_while_nobody_accepts(struct world *w, void *arg)
{
    struct script *s = arg;
    must_sleep(w, NS_PER_S);
    struct stream *stream = must_connect(w, s->u.there, 7);
    must(read_byte(stream) == -ECONNRESET); /* the child has not taken what it was given */
    s->at = sim_now(s->u.sim);
    stream_close(stream);
    return 0;
}

static void what_was_given_and_not_taken_holds_the_socket(void **state)
{
    struct script s = {.u = open_default()};
    assert_int_equal(sim_program(s.u.sim, "stays", stay, NULL), 0);
    start(s.u.there, give_away_and_end, &s);
    start(s.u.here, call_while_nobody_accepts, &s);
    run_and_close(&s.u);
    assert_in_range(s.at, 5 * NS_PER_S, 6 * NS_PER_S);
}

static int echo_standard(struct world *w, void *arg)
{
    struct stream *in;
    struct stream *again;
    must(world_inherited_stream(w, 0, &in) == 0);
    must(world_inherited_stream(w, 0, &again) == -EINVAL);
    must(world_inherited_stream(w, 1, &again) == -EINVAL);
    must(!sim_standard(w, 0));
    must(reads(in, "hello"));
    must(send_text(in, "HELLO") == 0);
    stream_close(in);
    return 0;
}

static int talk_to_a_child(struct world *w, void *arg)
{
    struct stream *in;
    struct child *c;
    struct child_exit exit;
    struct spawn_options o = {
        .argv = (const char *const[]){"echo", NULL}, .standard = {&in, NULL, NULL}};
    must(world_spawn(w, &o, &c) == 0);
    must(send_text(in, "hello") == 0);
    must(reads(in, "HELLO"));
    must(child_wait(c, &exit) == 0 && exit.status == 0);
    child_close(c);
    stream_close(in);
    return 0;
}

static void a_child_takes_its_standard_streams_over(void **state)
{
    struct universe u = open_default();
    assert_int_equal(sim_program(u.sim, "echo", echo_standard, NULL), 0);
    start(u.here, talk_to_a_child, NULL);
    run_and_close(&u);
}

static int accept_at_leisure(struct world *w, void *arg)
{
    struct listener *l = must_listen(w, "*:7");
    struct stream *s;
    must(listener_try_accept(l, &s) == -EAGAIN);
    must_sleep(w, NS_PER_S);
    must(listener_try_accept(l, &s) == 0);
    must(reads(s, "x"));
    stream_close(s);
    must(listener_try_accept(l, &s) == -EAGAIN);
    listener_close(l);
    return 0;
}

static int call_once(struct world *w, void *arg)
{
    struct script *s = arg;
    struct stream *stream = must_connect(w, s->u.there, 7);
    must(send_text(stream, "x") == 0);
    stream_close(stream);
    return 0;
}

static void who_is_queued_is_taken_without_waiting(void **state)
{
    struct script s = {0};
    play(&s, (struct sim_options){0}, accept_at_leisure, call_once);
}

/* ---- Working for a peer that leaves ---- */

static int work_for_the_peer(void *arg)
{
    struct script *s = arg;
    s->rc = coro_sleep("work", DEADLINE_NEVER - 1);
    s->at = sim_now(s->u.sim);
    return 0;
}

struct employer {
    struct script *script;
    int64_t until;
    struct coro *worker;
};

static int work_under_name(void *arg)
{
    struct employer *e = arg;
    e->worker = coro_self();
    CORO_DEADLINE(e->until);
    return work_for_the_peer(e->script);
}

static int employ(struct world *w, void *arg)
{
    struct script *s = arg;
    struct employer e = {.script = s, .until = world_now(w) + 100 * NS_PER_S};
    struct stream *stream = accept_one(w);
    must(reads(stream, "request"));
    GROUP(g, GROUP_FAIL_FAST);
    must(group_spawn(&g, "worker", work_under_name, &e) == 0);
    must(coro_yield() == 0);
    stream_cancel_on_end(stream, e.worker);
    must(group_wait(&g) == 0);
    stream_cancel_on_end(stream, NULL);
    stream_close(stream);
    return 0;
}

static int ask_and_leave(struct world *w, void *arg)
{
    struct script *s = arg;
    struct stream *stream = must_connect(w, s->u.there, 7);
    must(send_text(stream, "request") == 0);
    must_sleep(w, 5 * NS_PER_S);
    stream_close(stream);
    return 0;
}

static void an_end_cancels_who_works_for_the_peer(void **state)
{
    struct script s = {0};
    play(&s, (struct sim_options){0}, employ, ask_and_leave);
    assert_int_equal(s.rc, -ECANCELED);
    assert_in_range(s.at, 5 * NS_PER_S, 5 * NS_PER_S + 10 * NS_PER_MS);
}

static int ask_twice_and_leave(struct world *w, void *arg)
{
    struct script *s = arg;
    struct stream *stream = must_connect(w, s->u.there, 7);
    must(send_text(stream, "request") == 0);
    must_sleep(w, NS_PER_S);
    must(send_text(stream, "another") == 0);
    must_sleep(w, NS_PER_S);
    stream_close(stream);
    return 0;
}

/* Data before the end: it does not cancel, and the end behind it is not seen. */
static void an_end_behind_data_does_not_cancel(void **state)
{
    struct script s = {0};
    play(&s, (struct sim_options){0}, employ, ask_twice_and_leave);
    assert_int_equal(s.rc, -ETIMEDOUT);
}

static int ask_twice_and_fail(struct world *w, void *arg)
{
    struct script *s = arg;
    struct stream *stream = must_connect(w, s->u.there, 7);
    must(send_text(stream, "request") == 0);
    must_sleep(w, NS_PER_S);
    must(send_text(stream, "another") == 0);
    must_sleep(w, NS_PER_S);
    must(sim_cut_both(s->u.here, s->u.there) == 0); /* answers do not get through */
    must_sleep(w, 70 * NS_PER_S);
    stream_close(stream);
    return 0;
}

static int employ_and_write(struct world *w, void *arg)
{
    struct script *s = arg;
    struct employer e = {.script = s, .until = DEADLINE_NEVER};
    struct stream *stream = accept_one(w);
    must(reads(stream, "request"));
    must_sleep(w, 3 * NS_PER_S);
    GROUP(g, GROUP_FAIL_FAST);
    must(group_spawn(&g, "worker", work_under_name, &e) == 0);
    must(coro_yield() == 0);
    stream_cancel_on_end(stream, e.worker);
    must(send_text(stream, "begun") == 0);
    must(group_wait(&g) == 0);
    stream_close(stream);
    return 0;
}

static void a_failure_cancels_even_behind_data(void **state)
{
    struct script s = {0};
    play(&s, (struct sim_options){0}, employ_and_write, ask_twice_and_fail);
    assert_int_equal(s.rc, -ECANCELED);
    assert_in_range(s.at, 60 * NS_PER_S, 70 * NS_PER_S);
}

static int hear_the_end_first(struct world *w, void *arg)
{
    struct script *s = arg;
    struct stream *stream = accept_one(w);
    stream_cancel_on_end(stream, coro_self());
    must(reads(stream, "request"));
    must(read_byte(stream) == 0); /* who reads is told, and nobody is cancelled */
    must_sleep(w, NS_PER_S);
    stream_cancel_on_end(stream, coro_self()); /* unless asked again */
    s->rc = world_sleep(w, NS_PER_S);
    stream_close(stream);
    return 0;
}

static void an_end_that_is_read_does_not_cancel(void **state)
{
    struct script s = {0};
    play(&s, (struct sim_options){0}, hear_the_end_first, ask_and_leave);
    assert_int_equal(s.rc, -ECANCELED);
}

/* ---- One buffer for all ---- */

struct client {
    char buffer[64];
    struct stream *streams[8];
    int next;
};

static int read_at_the_desk(void *arg)
{
    struct client *d = arg;
    int index = d->next++;
    for (int left = 200; left > 0;) {
        ssize_t n = stream_read(d->streams[index], d->buffer, sizeof d->buffer);
        must(n > 0);
        for (ssize_t i = 0; i < n; i++)
            must(d->buffer[i] == d->buffer[0]);
        memset(d->buffer, '?', sizeof d->buffer);
        left -= (int)n;
    }
    must(read_byte(d->streams[index]) == 0);
    return 0;
}

static int read_all_at_one_desk(struct world *w, void *arg)
{
    struct client d = {.next = 0};
    struct listener *l = must_listen(w, "*:7");
    GROUP(g, GROUP_FAIL_FAST);
    for (int i = 0; i < 8; i++) {
        d.streams[i] = must_accept(l);
        must(group_spawn(&g, "reader", read_at_the_desk, &d) == 0);
        must(coro_yield() == 0);
    }
    must(group_wait(&g) == 0);
    for (int i = 0; i < 8; i++)
        stream_close(d.streams[i]);
    listener_close(l);
    return 0;
}

static int write_letters(struct world *w, void *arg)
{
    struct script *s = arg;
    struct stream *streams[8];
    for (int i = 0; i < 8; i++)
        streams[i] = must_connect(w, s->u.there, 7);
    for (int round = 0; round < 200; round++)
        for (int i = 0; i < 8; i++)
            must(send_bytes(streams[i], &"abcdefgh"[i], 1) == 0);
    for (int i = 0; i < 8; i++)
        stream_close(streams[i]);
    return 0;
}

static void readers_may_share_a_buffer(void **state)
{
    struct script s = {0};
    play(&s, (struct sim_options){0}, read_all_at_one_desk, write_letters);
}

TEST_FILE(sim_share)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_share_a_socket),
        cmocka_unit_test(the_queue_survives_servers_that_die),
        cmocka_unit_test(what_was_given_and_not_taken_holds_the_socket),
        cmocka_unit_test(a_child_takes_its_standard_streams_over),
        cmocka_unit_test(who_is_queued_is_taken_without_waiting),
        cmocka_unit_test(an_end_cancels_who_works_for_the_peer),
        cmocka_unit_test(an_end_behind_data_does_not_cancel),
        cmocka_unit_test(a_failure_cancels_even_behind_data),
        cmocka_unit_test(an_end_that_is_read_does_not_cancel),
        cmocka_unit_test(readers_may_share_a_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
