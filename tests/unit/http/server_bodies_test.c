/*
 * server_bodies_test.c: bodies in memory: the bound over all of them, who waits before it and who
 * is refused, what they take, and clients that break off.
 */
#include "server_scene.h"

#include "http/internal.h"

#define BOUND 300000

/* A server of which `n` bytes of bodies may be in memory. */
#define PLAY_BOUND(n, playing, ...)                                                               \
    do {                                                                                          \
        struct body_budget *all;                                                                  \
        must(body_budget_new(&all, (n), 1) == 0);                                                 \
        PLAY(playing, s.options.bodies = body_budget_share(all, 0); s.budget = all; __VA_ARGS__); \
        assert_int_equal(body_budget_stats(all).bytes, 0);                                        \
        assert_int_equal(body_budget_stats(all).waiting, 0);                                      \
        body_budget_free(all);                                                                    \
    } while (0)

static struct body_budget_stats stats(const struct scene *s)
{
    return body_budget_stats(s->budget);
}

/* A client that announces a body of `length` bytes, and has sent the first `sent`. */
static struct ear *upload(struct scene *s, size_t length, size_t sent)
{
    struct ear *e = call_up(s);
    char head[128];
    snprintf(
        head, sizeof head, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", length);
    say(e, head);
    e->body_len = sent;
    pattern(e->body, length);
    must(send_bytes(e->stream, e->body, sent) == 0);
    return e;
}

static void send_rest(struct ear *e, size_t length)
{
    must(send_bytes(e->stream, e->body + e->body_len, length - e->body_len) == 0);
}

static void settle(struct scene *s)
{
    must_sleep(s->w, 20 * NS_PER_MS);
}

/* ---- Waiting for room ---- */

static void one_after_the_other(struct scene *s, struct world *w)
{
    struct ear *first = upload(s, 200000, 10);
    settle(s);
    struct ear *second = upload(s, 200000, 10);
    settle(s);
    struct ear *third = upload(s, 50000, 10); /* it would fit, but is not before its turn */
    settle(s);
    must(stats(s).bytes == 200000 && stats(s).waiting == 2 && s->done == 0);
    send_rest(first, 200000);
    must(hear(first) == 200 && heard_pattern(first, 200000));
    send_rest(second, 200000);
    must(hear(second) == 200 && heard_pattern(second, 200000));
    send_rest(third, 50000);
    must(hear(third) == 200 && heard_pattern(third, 50000));
    must(stats(s).refused == 0 && s->last_status == 200);
    settle(s);
    must(stats(s).bytes == 0);
    /* Bodies that nobody reads are not in memory. */
    struct ear *piecewise = call_up(s);
    say(piecewise, "POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n\r\nabc");
    settle(s);
    must(stats(s).bytes == 0);
    hang_up(first);
    hang_up(second);
    hang_up(third);
    hang_up(piecewise);
}

static void test_bodies_wait_for_room_in_their_order(void **state)
{
    PLAY_BOUND(BOUND, one_after_the_other);
}

static void nobody_makes_room(struct scene *s, struct world *w)
{
    struct ear *slow = upload(s, 250000, 10);
    settle(s);
    int64_t began = world_now(w);
    struct ear *late = upload(s, 100000, 10);
    for (int i = 0; i < 4; i++) { /* the slow one keeps its own time */
        must_sleep(w, 600 * NS_PER_MS);
        must(send_bytes(slow->stream, "x", 1) == 0);
    }
    must(refused_with(late, 503) && since(s, began) < 3 * NS_PER_S && s->last_error == -ENOBUFS);
    must(s->last_took >= NS_PER_S && s->last_took < 2 * NS_PER_S); /* body_timeout */
    must(stats(s).refused == 1 && stats(s).waiting == 0 && stats(s).bytes == 250000);
    struct ear *small = upload(s, 1000, 1000); /* there is still room for it */
    must(hear(small) == 200);
    hang_up(slow);
    hang_up(late);
    hang_up(small);
}

static void test_a_body_without_room_in_time_is_refused(void **state)
{
    PLAY_BOUND(BOUND, nobody_makes_room, s.options.body_timeout = NS_PER_S);
}

static void larger_than_all(struct scene *s, struct world *w)
{
    struct ear *e = upload(s, BOUND + 1, 0);
    must(refused_with(e, 413) && s->last_error == -EMSGSIZE);
    hang_up(e);
    e = call_up(s);
    say(e, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
           "61a80\r\n");
    char *text = calloc(1, 400000);
    must(text);
    int rc = send_bytes(e->stream, text, 400000);
    (void)rc; /* it may be refused before it has sent all */
    must(hear(e) == 413);
    free(text);
    hang_up(e);
    e = upload(s, BOUND, BOUND);
    must(hear(e) == 200 && heard_pattern(e, BOUND));
    hang_up(e);
}

static void test_a_body_that_can_never_fit_is_too_large(void **state)
{
    PLAY_BOUND(BOUND, larger_than_all);
}

static void none_at_all(struct scene *s, struct world *w)
{
    struct ear *e = upload(s, 1, 1);
    must(refused_with(e, 413));
    hang_up(e);
    e = call_up(s);
    say(e, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    must(hear(e) == 200 && heard(e, ""));
    hang_up(e);
}

static void test_zero_allows_no_body(void **state)
{
    PLAY_BOUND(0, none_at_all);
}

/* ---- Chunked bodies ---- */

static struct ear *chunked(struct scene *s)
{
    struct ear *e = call_up(s);
    say(e, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    return e;
}

static void say_chunk(struct ear *e, size_t size)
{
    static char zeros[100000];
    char head[32];
    must(size <= sizeof zeros);
    snprintf(head, sizeof head, "%zx\r\n", size);
    say(e, head);
    must(send_bytes(e->stream, zeros, size) == 0);
    say(e, "\r\n");
}

/* Each holds a part, and none can grow: who needs more next is refused, and the rest go on. */
static void all_of_it_in_halves(struct scene *s, struct world *w)
{
    struct ear *e[4];
    for (int i = 0; i < 4; i++) {
        e[i] = chunked(s);
        say_chunk(e[i], 60000);
        settle(s);
    }
    must(stats(s).bytes <= BOUND && stats(s).bytes >= 240000);
    say_chunk(e[2], 100000);
    must(refused_with(e[2], 503) && s->last_error == -ENOBUFS);
    hang_up(e[2]);
    settle(s);
    say_chunk(e[0], 50000);
    say(e[0], "0\r\n\r\n");
    must(hear(e[0]) == 200 && e[0]->body_len == 110000);
    for (int i = 1; i < 4; i += 2) {
        say(e[i], "0\r\n\r\n");
        must(hear(e[i]) == 200 && e[i]->body_len == 60000);
        hang_up(e[i]);
    }
    hang_up(e[0]);
}

static void test_chunked_bodies_do_not_wait_for_each_other(void **state)
{
    PLAY_BOUND(BOUND, all_of_it_in_halves);
}

/* One that grows goes before those that wait to begin: its end is what makes room for them. */
static void grows_past_the_queue(struct scene *s, struct world *w)
{
    struct ear *growing = chunked(s);
    say_chunk(growing, 10000);
    settle(s);
    struct ear *waiting = upload(s, 290000, 10);
    settle(s);
    must(stats(s).waiting == 1);
    say_chunk(growing, 90000);
    say(growing, "0\r\n\r\n");
    must(hear(growing) == 200 && growing->body_len == 100000);
    send_rest(waiting, 290000);
    must(hear(waiting) == 200 && waiting->body_len == 290000);
    hang_up(growing);
    hang_up(waiting);
}

static void test_a_body_that_grows_does_not_queue(void **state)
{
    PLAY_BOUND(BOUND, grows_past_the_queue);
}

/* ---- Who waits and leaves ---- */

static void waits_and_leaves(struct scene *s, struct world *w)
{
    struct ear *first = upload(s, 200000, 10);
    settle(s);
    struct ear *second = upload(s, 200000, 10);
    settle(s);
    struct ear *third = upload(s, 100000, 10);
    settle(s);
    must(stats(s).waiting == 2);
    hang_up(second); /* found out when it is its turn */
    send_rest(first, 200000);
    must(hear(first) == 200);
    send_rest(third, 100000);
    must(hear(third) == 200);
    settle(s);
    must(stats(s).bytes == 0 && stats(s).waiting == 0 && s->done == 3);
    hang_up(first);
    hang_up(third);
}

static void test_who_waits_may_leave(void **state)
{
    PLAY_BOUND(BOUND, waits_and_leaves);
}

static void told_to_end(struct scene *s, struct world *w)
{
    struct ear *first = upload(s, 200000, 10);
    settle(s);
    struct ear *second = upload(s, 200000, 10);
    settle(s);
    must(stats(s).waiting == 1);
    stop_server(s);
    must(hear(first) < 200 && hear(second) < 200);
    hang_up(first);
    hang_up(second);
}

static void test_the_end_of_a_drain_ends_the_wait(void **state)
{
    PLAY_BOUND(BOUND, told_to_end, s.deadline = NS_PER_S);
}

/* ---- Several threads ---- */

struct pair {
    struct body_budget *budget;
    struct world *worlds[2];
    struct coro *waiter;
    bool claimed, released, granted;
};

static int claim_and_wait(struct world *w, void *arg)
{
    struct pair *p = arg;
    struct body_share *share = body_budget_share(p->budget, 1);
    body_share_join(share, w);
    struct body_claim c = {.share = share};
    list_init(&c.link);
    must(body_claim_take(&c, 60, DEADLINE_NEVER) == 0); /* not before the other thread gives back */
    must(p->released && c.bytes == 60);
    p->granted = true;
    body_claim_release(&c);
    body_share_leave(share);
    return 0;
}

static int claim_and_release(struct world *w, void *arg)
{
    struct pair *p = arg;
    struct body_share *share = body_budget_share(p->budget, 0);
    struct thread *other;
    body_share_join(share, w);
    struct body_claim c = {.share = share};
    list_init(&c.link);
    must(body_claim_take(&c, 80, DEADLINE_NEVER) == 0);
    must(world_thread(w, "other", claim_and_wait, p, &other) == 0);
    while (body_budget_stats(p->budget).waiting == 0)
        must_sleep(w, NS_PER_MS);
    must(!p->granted);
    p->released = true;
    body_claim_release(&c);
    int result;
    must(thread_wait(other, &result) == 0 && result == 0 && p->granted);
    thread_close(other);
    body_share_leave(share);
    return 0;
}

static void test_room_is_given_to_another_thread(void **state)
{
    struct pair p = {0};
    must(body_budget_new(&p.budget, 100, 2) == 0);
    struct universe u = open_default();
    struct sim_process *process = start(u.there, claim_and_release, &p);
    run(&u);
    assert_int_equal(sim_process_end(process).state, SIM_EXITED);
    assert_int_equal(sim_process_unclosed(process), 0);
    sim_close(u.sim);
    assert_int_equal(body_budget_stats(p.budget).bytes, 0);
    body_budget_free(p.budget);
}

/* ---- What they take ---- */

static const struct http_connection *only_one(struct scene *s)
{
    must(!list_empty(&s->server->connections));
    return list_first(&s->server->connections, struct http_connection, link);
}

/* Exactly its length, once, and nothing after the reply. */
static void exactly_once(struct scene *s, struct world *w)
{
    struct ear *e = upload(s, 500000, 499999);
    settle(s);
    const struct http_connection *c = only_one(s);
    must(c->active->body.size == 500000 && c->active->body.len == 499999);
    must(c->in.size <= 16 * 1024 && c->active->arena.used <= 4 * 1024);
    send_rest(e, 500000);
    must(hear(e) == 200 && heard_pattern(e, 500000));
    /* Requests behind it are not read with it. */
    e->body_len = 0;
    say(e, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n");
    pattern(e->body, 500000);
    must(send_bytes(e->stream, e->body, 500000) == 0);
    say(e, GET("/hello"));
    must(hear(e) == 200 && heard_pattern(e, 500000));
    must(hear(e) == 200 && heard(e, "hello"));
    settle(s);
    for (unsigned i = 0; i < s->server->spare_count; i++)
        must(s->server->spare[i]->body.size <= SPARE_BYTES_MAX);
    hang_up(e);
}

static void test_a_body_takes_its_length_once(void **state)
{
    PLAY(exactly_once);
}

/* ---- Clients that break off ---- */

static void breaks_off(struct scene *s, struct world *w)
{
    /* A half-close: it can be told. */
    struct ear *e = upload(s, 1000, 10);
    settle(s);
    must(stream_shutdown(e->stream) == 0);
    must(refused_with(e, 400) && s->last_error == -ENODATA && s->last_status == 400);
    must(FIGURE(s, client_gone) == 0);
    hang_up(e);
    /* Too slow: also its own doing. */
    e = upload(s, 1000, 10);
    must(refused_with(e, 408) && s->last_status == 408);
    hang_up(e);
    /* A reset, here of a connection that is closed with something unread: nobody is there. */
    e = call_up(s);
    say(e, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n");
    settle(s);
    say(e, "abc");
    settle(s);
    hang_up(e);
    settle(s);
    must(s->done == 3 && s->last_error == -EPIPE); /* its handler tried to answer */
    must(s->last_status == 0 && FIGURE(s, client_gone) == 1 && FIGURE(s, open) == 0);
}

static void test_bodies_that_break_off(void **state)
{
    PLAY(breaks_off, s.options.body_timeout = NS_PER_S);
}

TEST_FILE(server_bodies)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies_wait_for_room_in_their_order),
        cmocka_unit_test(test_a_body_without_room_in_time_is_refused),
        cmocka_unit_test(test_a_body_that_can_never_fit_is_too_large),
        cmocka_unit_test(test_zero_allows_no_body),
        cmocka_unit_test(test_chunked_bodies_do_not_wait_for_each_other),
        cmocka_unit_test(test_a_body_that_grows_does_not_queue),
        cmocka_unit_test(test_who_waits_may_leave),
        cmocka_unit_test(test_the_end_of_a_drain_ends_the_wait),
        cmocka_unit_test(test_room_is_given_to_another_thread),
        cmocka_unit_test(test_a_body_takes_its_length_once),
        cmocka_unit_test(test_bodies_that_break_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
