/*
 * server_end_test.c: how things end: clients that leave, drains, and servers that are cancelled.
 */
#include "server_scene.h"

/* ---- Clients that leave ---- */

static void leaves(struct scene *s, struct world *w)
{
    struct ear *e = call_up(s);
    say(e, GET("/wait?60000"));
    must_sleep(w, 10 * NS_PER_MS);
    hang_up(e);
    must_sleep(w, 10 * NS_PER_MS);
    must(s->cancelled == 1 && s->done == 1 && s->last_status == 0);
    must(FIGURE(s, client_gone) == 1 && FIGURE(s, open) == 0);
    /* Behind it there is one that will never be looked at. */
    e = call_up(s);
    say(e, GET("/hello") GET("/wait?60000") GET("/hello"));
    must(hear(e) == 200);
    hang_up(e);
    must_sleep(w, 10 * NS_PER_MS);
    must(s->cancelled == 2 && s->handled == 3 && FIGURE(s, open) == 0);
    /* Between two requests, in a head, and in a body. */
    e = call_up(s);
    say(e, GET("/hello"));
    must(hear(e) == 200);
    hang_up(e);
    e = call_up(s);
    say(e, "GET /he");
    must_sleep(w, 10 * NS_PER_MS);
    hang_up(e);
    e = call_up(s);
    say(e, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    must_sleep(w, 10 * NS_PER_MS);
    hang_up(e);
    must_sleep(w, 10 * NS_PER_MS);
    must(FIGURE(s, open) == 0 && FIGURE(s, refused[HTTP_REFUSED_400]) == 0);
    must(s->done == s->handled && s->handled == 5);
}

static void test_clients_that_leave(void **state)
{
    PLAY(leaves);
}

static void half_closed(struct scene *s, struct world *w)
{
    for (int late = 0; late < 2; late++) {
        struct ear *e = call_up(s);
        say(e, GET("/hello") "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nfour" GET(
                   "/big?500000"));
        if (late)
            must_sleep(w, 10 * NS_PER_MS);
        must(stream_shutdown(e->stream) == 0);
        must(hear(e) == 200 && heard(e, "hello"));
        must(hear(e) == 200 && heard(e, "four"));
        must(hear(e) == 200 && heard_pattern(e, 500000));
        must(hear(e) == 0);
        hang_up(e);
    }
    must(s->cancelled == 0 && FIGURE(s, client_gone) == 0);
    struct ear *e = call_up(s); /* one that waits is taken for gone */
    say(e, GET("/wait?5000"));
    must(stream_shutdown(e->stream) == 0);
    int rc = hear(e);
    must(rc == 0 || rc == -ECONNRESET);
    must(s->cancelled == 1 && FIGURE(s, client_gone) == 1);
    hang_up(e);
}

static void test_clients_that_have_said_all(void **state)
{
    PLAY(half_closed);
}

/* ---- Drains ---- */

static bool refuses_to_listen(struct scene *s)
{
    struct stream *stream;
    return try_connect(s->w, s->u.there, 80, &stream) == -ECONNREFUSED;
}

static void drained(struct scene *s, struct world *w)
{
    struct ear *idle = call_up(s), *asks = call_up(s), *waits = call_up(s), *fresh = call_up(s);
    struct ear *halfway = call_up(s), *gone = call_up(s);
    say(idle, GET("/hello"));
    say(asks, GET("/hello"));
    say(gone, GET("/hello"));
    must(hear(idle) == 200 && hear(asks) == 200 && hear(gone) == 200 && asks->keep_alive);
    say(waits, GET("/wait?3000"));
    say(halfway, "GET /hello HTTP/1.1\r\n");
    must_sleep(w, 10 * NS_PER_MS);
    int64_t began = world_now(w);
    stop_server(s);
    must_sleep(w, NS_PER_S);
    must(refuses_to_listen(s) && FIGURE(s, open) == 6);
    hang_up(gone);
    say(asks, GET("/hello") GET("/hello"));
    must(hear(asks) == 200 && has_line(asks, "Connection: close") && hear(asks) == 0);
    say(fresh, GET("/hello"));
    must(hear(fresh) == 200 && has_line(fresh, "Connection: close") && hear(fresh) == 0);
    say(halfway, "Host: a\r\n\r\n");
    must(hear(halfway) == 200 && has_line(halfway, "Connection: close") && hear(halfway) == 0);
    must(since(s, began) < 1100 * NS_PER_MS);
    must(hear(idle) == 0 && since(s, began) >= 2 * NS_PER_S && since(s, began) < 2100 * NS_PER_MS);
    must(hear(waits) == 200 && heard(waits, "waited") && has_line(waits, "Connection: close"));
    must(hear(waits) == 0);
    hang_up(idle);
    hang_up(asks);
    hang_up(fresh);
    hang_up(halfway);
    hang_up(waits);
    must_sleep(w, 10 * NS_PER_MS);
    must(s->ended - s->stopped >= 2900 * NS_PER_MS && s->ended - s->stopped < 3100 * NS_PER_MS);
    must(s->cancelled == 0 && FIGURE(s, client_gone) == 0);
}

static void test_a_drain(void **state)
{
    PLAY(drained, s.grace = 2 * NS_PER_S);
}

/* Whoever is left at the deadline is cut off, all of them. */
static void cut_off(struct scene *s, struct world *w)
{
    struct ear *e[5];
    for (int i = 0; i < 5; i++) {
        e[i] = call_up(s);
        if (i < 3)
            say(e[i], GET("/wait?60000"));
        if (i == 3)
            say(e[i], "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    }
    must_sleep(w, 10 * NS_PER_MS);
    stop_server(s);
    for (int i = 0; i < 5; i++) {
        int rc = hear(e[i]);
        must(rc == 0 || rc == -ECONNRESET);
        hang_up(e[i]);
    }
    must(s->cancelled == 3 && s->done == s->handled && s->ended - s->stopped == NS_PER_S);
    must(FIGURE(s, client_gone) == 0); /* they would have stayed */
}

static void test_a_drain_at_its_deadline(void **state)
{
    PLAY(cut_off, s.grace = 5 * NS_PER_S, s.deadline = NS_PER_S);
}

/* Nothing to wait for. */
static void empty(struct scene *s, struct world *w)
{
    struct ear *idle = call_up(s);
    say(idle, GET("/hello"));
    must(hear(idle) == 200);
    stop_server(s);
    must(hear(idle) == 0);
    hang_up(idle);
    must_sleep(w, 10 * NS_PER_MS);
    must(s->ended - s->stopped < 10 * NS_PER_MS);
}

static void test_a_drain_of_idle_connections(void **state)
{
    PLAY(empty);
}

/* Replies that were begun before the drain do not say that the connection ends; it ends still. */
static void begun_before(struct scene *s, struct world *w)
{
    struct ear *e = call_up(s);
    say(e, "POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nfo");
    must_sleep(w, 10 * NS_PER_MS);
    stop_server(s);
    must_sleep(w, NS_PER_S);
    say(e, "ur");
    must(hear(e) == 200 && heard(e, "four") && e->keep_alive && hear(e) == 0);
    hang_up(e);
    must_sleep(w, 10 * NS_PER_MS);
    must(s->ended - s->stopped < 1100 * NS_PER_MS);
}

static void test_a_reply_begun_before_the_drain(void **state)
{
    PLAY(begun_before);
}

/* ---- Cancellation ---- */

static int run_server(void *arg)
{
    struct scene *s = arg;
    struct listener *l = must_listen(s->server_world, "*:80");
    return http_server_run(s->server, &l, 1);
}

/* The coroutine that runs it is cancelled, while two requests wait and one connection is idle. */
static int serve_for_a_while(struct world *w, void *arg)
{
    struct scene *s = arg;
    s->server_world = w;
    must(http_server_new(&s->server, w, &s->options) == 0);
    {
        GROUP(servers, GROUP_INDEPENDENT);
        must(group_spawn(&servers, "server", run_server, s) == 0);
        must_sleep(w, NS_PER_S);
    }
    must(atomic_load(&s->stats.open) == 0 && atomic_load(&s->stats.idle) == 0);
    http_server_free(s->server);
    return 0;
}

static int ask_for_a_while(struct world *w, void *arg)
{
    struct scene *s = arg;
    s->w = w;
    must_sleep(w, 10 * NS_PER_MS);
    struct ear *e[3] = {call_up(s), call_up(s), call_up(s)};
    say(e[0], GET("/wait?60000"));
    say(e[1], GET("/wait?60000"));
    for (int i = 0; i < 3; i++) {
        int rc = hear(e[i]);
        must(rc == 0 || rc == -ECONNRESET);
        hang_up(e[i]);
    }
    return 0;
}

static void test_a_server_that_is_cancelled(void **state)
{
    static struct scene s;
    s = new_scene(NULL);
    fill_options(&s);
    s.u = open_default();
    struct sim_process *server = start(s.u.there, serve_for_a_while, &s);
    start(s.u.here, ask_for_a_while, &s);
    run(&s.u);
    assert_int_equal(sim_process_end(server).state, SIM_EXITED);
    assert_int_equal(sim_process_unclosed(server), 0);
    assert_int_equal(s.cancelled, 2);
    sim_close(s.u.sim);
}

#define QUEUED 5

/* Told to end while it is held up, and then connections come: the kernel has taken them before the
 * server hears of either. */
static void queued(struct scene *s, struct world *w)
{
    struct ear *blocks = call_up(s);
    struct ear *e[QUEUED + 1];
    say(blocks, GET("/block?500"));
    must_sleep(w, 10 * NS_PER_MS);
    stop_server(s);
    must_sleep(w, 10 * NS_PER_MS);
    for (int i = 0; i <= QUEUED; i++) {
        e[i] = call_up(s);
        if (i < QUEUED)
            say(e[i], GET("/hello"));
    }
    must(hear(blocks) == 200);
    for (int i = 0; i < QUEUED; i++) {
        must(hear(e[i]) == 200); /* some before it hears of its end */
        must(hear(e[i]) == 0);
        hang_up(e[i]);
    }
    /* The request of the last is still on its way; but it is not waited for for long. */
    if (s->number) {
        say(e[QUEUED], GET("/hello"));
        must(hear(e[QUEUED]) == 200 && has_line(e[QUEUED], "Connection: close"));
    }
    must(hear(e[QUEUED]) == 0);
    must(refuses_to_listen(s));
    hang_up(e[QUEUED]);
    hang_up(blocks);
}

static int fail_an_allocation(void *arg)
{
    struct scene *s = arg;
    must_sleep(s->w, NS_PER_MS / 2); /* the connection is on its way */
    mem_fail_at(1, true);
    must_sleep(s->w, NS_PER_MS);
    mem_fail_at(0, false);
    return 0;
}

/* For want of memory it has stopped accepting for a moment. */
static void queued_meanwhile(struct scene *s, struct world *w)
{
    struct ear *first = call_up(s);
    say(first, GET("/hello"));
    must(hear(first) == 200);
    GROUP(failing, GROUP_INDEPENDENT);
    must(group_spawn(&failing, "fail", fail_an_allocation, s) == 0);
    struct ear *second = call_up(s);
    say(second, GET("/hello"));
    must_sleep(w, 5 * NS_PER_MS);
    must(FIGURE(s, connections) == 1); /* it is in the queue yet */
    stop_server(s);
    must(hear(second) == 200 && has_line(second, "Connection: close") && hear(second) == 0);
    hang_up(first);
    hang_up(second);
}

static void test_connections_in_the_queue_of_the_last_server(void **state)
{
    PLAY(queued, s.last = true);
    PLAY(queued, s.last = true, s.number = 1);
    PLAY(queued_meanwhile, s.last = true);
}

TEST_FILE(server_end)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clients_that_leave),
        cmocka_unit_test(test_clients_that_have_said_all),
        cmocka_unit_test(test_a_drain),
        cmocka_unit_test(test_a_drain_at_its_deadline),
        cmocka_unit_test(test_a_drain_of_idle_connections),
        cmocka_unit_test(test_a_reply_begun_before_the_drain),
        cmocka_unit_test(test_connections_in_the_queue_of_the_last_server),
        cmocka_unit_test(test_a_server_that_is_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
