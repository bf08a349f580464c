/*
 * sim_connect_test.c: how connections begin, or do not; addresses and ports.
 */
#include "sim_script.h"

/* ---- Connecting ---- */

static int try_and_note(struct world *w, void *arg)
{
    struct script *s = arg;
    struct stream *stream;
    s->rc = try_connect(w, s->u.there, 7, &stream);
    s->at = sim_now(s->u.sim);
    if (s->rc == 0)
        stream_close(stream);
    return 0;
}

static void nobody_listening_is_a_refusal_after_a_round_trip(void **state)
{
    struct script s = {.u = open_default()};
    start(s.u.here, try_and_note, &s);
    run_and_close(&s.u);
    assert_int_equal(s.rc, -ECONNREFUSED);
    assert_true(s.at == 2 * NS_PER_MS);
}

static void a_host_that_is_down_is_unreachable(void **state)
{
    struct script s = {.u = open_default()};
    sim_crash(s.u.there);
    assert_false(sim_host_up(s.u.there));
    start(s.u.here, try_and_note, &s);
    run_and_close(&s.u);
    assert_int_equal(s.rc, -EHOSTUNREACH);
    assert_true(s.at == NS_PER_MS + 3 * NS_PER_S);
}

static void a_connect_through_a_partition_gives_up(void **state)
{
    struct script s = {.u = open_default()};
    assert_int_equal(sim_cut_both(s.u.here, s.u.there), 0);
    start(s.u.here, try_and_note, &s);
    run_and_close(&s.u);
    assert_int_equal(s.rc, -EHOSTUNREACH);
    assert_true(s.at == 60 * NS_PER_S);
}

static int heal_later(struct sim *sim, void *arg)
{
    struct script *s = arg;
    must(sim_sleep(sim, 10 * NS_PER_S) == 0);
    sim_heal_both(s->u.here, s->u.there);
    return 0;
}

static int accept_and_leave(struct world *w, void *arg)
{
    stream_close(accept_one(w));
    return 0;
}

static void a_connect_whose_answer_is_cut_off_gives_up(void **state)
{
    struct script s = {.u = open_default()};
    assert_int_equal(sim_cut(s.u.there, s.u.here), 0);
    start(s.u.there, accept_and_leave, &s);
    start(s.u.here, try_and_note, &s);
    run_and_close(&s.u);
    assert_int_equal(s.rc, -EHOSTUNREACH);
    assert_in_range(s.at, 60 * NS_PER_S, 61 * NS_PER_S);
}

/* Tried at 1 ms, then a second later, 2, 4, 8: the one at 15 s gets through. */
static void a_connect_survives_a_short_partition(void **state)
{
    struct script s = {.u = open_default()};
    assert_int_equal(sim_cut_both(s.u.here, s.u.there), 0);
    start(s.u.there, accept_and_leave, &s);
    start(s.u.here, try_and_note, &s);
    assert_int_equal(sim_direct(s.u.sim, "director", heal_later, &s), 0);
    run_and_close(&s.u);
    assert_int_equal(s.rc, 0);
    assert_true(s.at == 15 * NS_PER_S + 2 * NS_PER_MS);
}

static int connect_wherever(struct world *w, void *arg)
{
    static const struct {
        const char *to;
        int rc;
    } cases[] = {
        {"10.0.1.77:7", -EHOSTUNREACH},
        {"192.0.2.1:7", -ENETUNREACH},
        {"[2001:db8::1]:7", -ENETUNREACH},
        {"127.0.0.1:7", -ECONNREFUSED},
        {"[::1]:7", -ECONNREFUSED},
        {"unix:/nowhere", -ENOENT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct address a;
        struct stream *s;
        must(address_parse(&a, cases[i].to, NULL) == 0);
        must(world_connect(w, &a, &s) == cases[i].rc);
    }
    return 0;
}

static void addresses_without_anybody_fail_as_on_linux(void **state)
{
    run_alone(connect_wherever);
}

static int listen_with_backlog(struct world *w, void *arg)
{
    struct address a;
    struct listener *l;
    must(address_parse(&a, "*:7", NULL) == 0);
    must(world_listen(w, &a, &(struct listen_options){.backlog = 2}, &l) == 0);
    must_sleep(w, 500 * NS_PER_MS);
    for (int i = 0; i < 3; i++)
        stream_close(must_accept(l));
    listener_close(l);
    return 0;
}

static int connect_three(struct world *w, void *arg)
{
    struct script *s = arg;
    struct stream *streams[3];
    for (int i = 0; i < 3; i++) {
        streams[i] = must_connect(w, s->u.there, 7);
        must((sim_now(s->u.sim) < 100 * NS_PER_MS) == (i < 2));
    }
    s->at = sim_now(s->u.sim);
    for (int i = 0; i < 3; i++)
        stream_close(streams[i]);
    return 0;
}

/* The third one is not heard, and tries again a second later. */
static void a_full_backlog_makes_who_connects_wait(void **state)
{
    struct script s = {0};
    play(&s, (struct sim_options){0}, listen_with_backlog, connect_three);
    assert_true(s.at == 6 * NS_PER_MS + NS_PER_S);
}

static int close_with_backlog(struct world *w, void *arg)
{
    struct listener *l = must_listen(w, "*:7");
    must_sleep(w, 100 * NS_PER_MS);
    listener_close(l);
    return 0;
}

static int connect_and_read(struct world *w, void *arg)
{
    struct script *s = arg;
    struct stream *stream = must_connect(w, s->u.there, 7);
    s->rc = (int)read_byte(stream);
    s->at = sim_now(s->u.sim);
    stream_close(stream);
    return 0;
}

static void closing_a_listener_resets_its_backlog(void **state)
{
    struct script s = {0};
    play(&s, (struct sim_options){0}, close_with_backlog, connect_and_read);
    assert_int_equal(s.rc, -ECONNRESET);
    assert_true(s.at == 101 * NS_PER_MS);
}

static int accept_and_read(struct world *w, void *arg)
{
    struct stream *stream = accept_one(w);
    ssize_t n = read_byte(stream);
    stream_close(stream);
    return (int)n;
}

static int lose_the_answer(struct sim *sim, void *arg)
{
    struct script *s = arg;
    must(sim_sleep(sim, 1500 * NS_PER_US) == 0); /* the answer is on its way */
    must(sim_cut(s->u.there, s->u.here) == 0);
    must(sim_sleep(sim, NS_PER_S) == 0);
    sim_crash(s->u.there);
    must(sim_restart(s->u.there) == 0);
    sim_heal(s->u.there, s->u.here);
    return 0;
}

/* The host that accepted does not know of it any more: the connect is asked again, and refused. */
static void a_connect_whose_answer_died_with_its_host_asks_again(void **state)
{
    struct script s = {.u = open_default()};
    start(s.u.there, accept_and_read, &s);
    start(s.u.here, try_and_note, &s);
    assert_int_equal(sim_direct(s.u.sim, "director", lose_the_answer, &s), 0);
    run_and_close(&s.u);
    assert_int_equal(s.rc, -ECONNREFUSED);
    assert_in_range(s.at, 2 * NS_PER_S, 5 * NS_PER_S);
}

static int cut_the_answer(struct sim *sim, void *arg)
{
    struct script *s = arg;
    must(sim_sleep(sim, 1500 * NS_PER_US) == 0);
    must(sim_cut(s->u.there, s->u.here) == 0);
    return 0;
}

static void a_connect_whose_answer_never_comes_gives_up(void **state)
{
    struct script s = {.u = open_default()};
    sim_process_daemon(start(s.u.there, accept_and_read, &s));
    start(s.u.here, try_and_note, &s);
    assert_int_equal(sim_direct(s.u.sim, "director", cut_the_answer, &s), 0);
    run_and_close(&s.u);
    assert_int_equal(s.rc, -EHOSTUNREACH);
    assert_in_range(s.at, 60 * NS_PER_S, 125 * NS_PER_S);
}

static int listen_without_accepting(struct world *w, void *arg)
{
    struct listener *l = must_listen(w, "*:7");
    must_sleep(w, 100 * NS_PER_S);
    stream_close(must_accept(l));
    listener_close(l);
    return 0;
}

static int hold_what_was_accepted(struct world *w, void *arg)
{
    struct listener *l = must_listen(w, "*:7");
    struct stream *s = must_accept(l);
    must_sleep(w, 100 * NS_PER_S);
    must(read_byte(s) == -ECONNRESET);
    stream_close(s);
    listener_close(l);
    return 0;
}

static int cut_the_answer_for_a_minute(struct sim *sim, void *arg)
{
    struct script *s = arg;
    must(cut_the_answer(sim, arg) == 0);
    must(sim_sleep(sim, 60 * NS_PER_S + NS_PER_S / 2) == 0);
    sim_heal(s->u.there, s->u.here);
    return 0;
}

static void connect_again_to_what_broke(sim_main *server)
{
    struct script s = {.u = open_default()};
    start(s.u.there, server, &s);
    start(s.u.here, try_and_note, &s);
    assert_int_equal(sim_direct(s.u.sim, "director", cut_the_answer_for_a_minute, &s), 0);
    run_and_close(&s.u);
    assert_int_equal(s.rc, -ECONNREFUSED);
    assert_in_range(s.at, 61 * NS_PER_S, 62 * NS_PER_S);
}

/* The server's side has given up, and still waits to be accepted or is held, when the connect asks
 * again. */
static void a_connection_that_broke_is_not_begun_anew(void **state)
{
    connect_again_to_what_broke(listen_without_accepting);
    connect_again_to_what_broke(hold_what_was_accepted);
}

/* ---- Ports ---- */

static int take_ports(struct world *w, void *arg)
{
    struct universe *u = arg;
    struct address a;
    struct listener *l[4];
    l[0] = must_listen(w, "*:80");
    must(address_parse(&a, "127.0.0.1:80", NULL) == 0);
    must(world_listen(w, &a, NULL, &l[1]) == -EADDRINUSE);
    must(address_parse(&a, "10.9.9.9:81", NULL) == 0);
    must(world_listen(w, &a, NULL, &l[1]) == -EADDRNOTAVAIL);
    sim_host_address(u->here, 81, &a);
    must(world_listen(w, &a, NULL, &l[1]) == 0);
    l[2] = must_listen(w, "127.0.0.1:81");
    l[3] = must_listen(w, "0.0.0.0:0");
    listener_address(l[3], &a);
    must(address_port(&a) >= 32768);
    struct listener *same;
    must(world_listen(w, &a, NULL, &same) == -EADDRINUSE);
    struct stream *s = must_connect(w, u->here, (uint16_t)address_port(&a));
    struct stream *accepted = must_accept(l[3]);
    struct address peer;
    stream_peer(s, &peer);
    must(address_port(&peer) == address_port(&a));
    stream_peer(accepted, &peer);
    must(address_port(&peer) >= 32768 && address_port(&peer) != address_port(&a));
    stream_close(s);
    stream_close(accepted);
    for (int i = 0; i < 4; i++)
        listener_close(l[i]);
    listener_close(must_listen(w, "*:80"));
    return 0;
}

static void ports_are_taken_and_given_back(void **state)
{
    run_alone(take_ports);
}

struct taker {
    struct world *w;
    struct listener *l;
    int *taken;
};

static int count_taken(void *arg)
{
    struct taker *t = arg;
    struct stream *s;
    while (listener_accept(t->l, &s) == 0) {
        ++*t->taken;
        stream_close(s);
    }
    return 0;
}

static int share_a_port(struct world *w, void *arg)
{
    struct universe *u = arg;
    struct address a;
    int taken[2] = {0, 0};
    struct taker takers[2];
    must(address_parse(&a, "*:80", NULL) == 0);
    GROUP(g, GROUP_INDEPENDENT);
    for (int i = 0; i < 2; i++) {
        takers[i] = (struct taker){.w = w, .taken = &taken[i]};
        must(world_listen(w, &a,
                 &(struct listen_options){.backlog = WORLD_BACKLOG_DEFAULT, .shared_port = true},
                 &takers[i].l) == 0);
        must(group_spawn(&g, "taker", count_taken, &takers[i]) == 0);
    }
    struct listener *alone;
    must(world_listen(w, &a, NULL, &alone) == -EADDRINUSE);
    for (int i = 0; i < 100; i++) {
        struct stream *s = must_connect(w, u->here, 80);
        must(read_byte(s) == 0);
        stream_close(s);
    }
    must(taken[0] + taken[1] == 100 && taken[0] > 20 && taken[1] > 20);
    listener_close(takers[0].l);
    listener_close(takers[1].l);
    return group_wait(&g);
}

static void a_shared_port_is_shared(void **state)
{
    run_alone(share_a_port);
}

static int talk_over_unix(struct world *w, void *arg)
{
    struct address a;
    struct listener *l = must_listen(w, "unix:/run/test.sock");
    struct listener *abstract = must_listen(w, "unix:@abstract");
    struct listener *again;
    struct stream *s;
    must(address_parse(&a, "unix:/run/test.sock", NULL) == 0);
    must(world_listen(w, &a, NULL, &again) == -EADDRINUSE);
    int64_t began = world_now(w);
    must(world_connect(w, &a, &s) == 0);
    must(world_now(w) - began < 100 * NS_PER_US);
    struct stream *other = must_accept(l);
    must(send_text(s, "over") == 0 && reads(other, "over"));
    must(send_text(other, "back") == 0 && reads(s, "back"));
    struct address peer;
    stream_peer(other, &peer);
    must(peer.any.sa_family == AF_UNIX && address_port(&peer) == -1);
    stream_close(other);
    stream_close(s);
    listener_close(l);
    must(world_connect(w, &a, &s) == -ENOENT);
    listener_close(abstract);
    return 0;
}

static void unix_sockets_are_found_by_path(void **state)
{
    run_alone(talk_over_unix);
}

TEST_FILE(sim_connect)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_listening_is_a_refusal_after_a_round_trip),
        cmocka_unit_test(a_host_that_is_down_is_unreachable),
        cmocka_unit_test(a_connect_through_a_partition_gives_up),
        cmocka_unit_test(a_connect_whose_answer_is_cut_off_gives_up),
        cmocka_unit_test(a_connect_survives_a_short_partition),
        cmocka_unit_test(addresses_without_anybody_fail_as_on_linux),
        cmocka_unit_test(a_full_backlog_makes_who_connects_wait),
        cmocka_unit_test(closing_a_listener_resets_its_backlog),
        cmocka_unit_test(a_connect_whose_answer_died_with_its_host_asks_again),
        cmocka_unit_test(a_connect_whose_answer_never_comes_gives_up),
        cmocka_unit_test(a_connection_that_broke_is_not_begun_anew),
        cmocka_unit_test(ports_are_taken_and_given_back),
        cmocka_unit_test(a_shared_port_is_shared),
        cmocka_unit_test(unix_sockets_are_found_by_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
