/*
 * server_memory_test.c: what connections hold while they wait, and what happens without memory.
 */
#include "server_scene.h"

#include "http/internal.h"

/* ---- Idle and waiting connections ---- */

#define MANY 20

static void fill_and_rest(struct scene *s, struct ear **ears)
{
    char *text = malloc(200000);
    must(text);
    pattern(text, 200000);
    for (int i = 0; i < MANY; i++) {
        struct ear *e = ears[i] = call_up(s);
        say(e, GET("/hello") GET("/big?300000") GET("/chunks") "GET /hel");
        must_sleep(s->w, 2 * NS_PER_MS);
        say(e, "lo HTTP/1.1\r\nHost: a\r\n\r\n");
        for (int replies = 0; replies < 4; replies++)
            must(hear(e) == 200);
        say(e, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n");
        must(send_bytes(e->stream, text, 200000) == 0);
        must(hear(e) == 200 && heard_pattern(e, 200000));
        say(e, "POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n");
        must(send_bytes(e->stream, text, 200000) == 0);
        must(hear(e) == 200 && heard_pattern(e, 200000));
    }
    free(text);
}

static void holds_nothing(struct scene *s, struct world *w)
{
    struct ear *ears[MANY];
    fill_and_rest(s, ears);
    must_sleep(w, 5 * NS_PER_S);
    must(FIGURE(s, idle) == MANY && FIGURE(s, open) == MANY);
    list_each (link, &s->server->connections) {
        struct http_connection *c = list_entry(link, struct http_connection, link);
        must(c->in.size == 0 && !c->active);
    }
    must(s->server->spare_count <= 1); /* one after the other needed it */
    for (unsigned i = 0; i < s->server->spare_count; i++) {
        const struct active_request *spare = s->server->spare[i];
        must(spare->arena.used + spare->out.size <= SPARE_BYTES_MAX);
    }
    _Static_assert(sizeof(struct http_connection) <= 320, "a connection is small");
    /* One that waits for its handler holds its head, and no buffer; but for the one that was given
     * the spare. */
    int heavy = 0;
    for (int i = 0; i < MANY; i++)
        say(ears[i], GET("/wait?1000"));
    must_sleep(w, 500 * NS_PER_MS);
    list_each (link, &s->server->connections) {
        struct http_connection *c = list_entry(link, struct http_connection, link);
        must(c->in.size == 0);
        heavy += c->active->out.size > 0 || c->active->arena.used > (size_t)4 * 1024;
    }
    must(heavy <= 1);
    for (int i = 0; i < MANY; i++) {
        must(hear(ears[i]) == 200 && heard(ears[i], "waited"));
        hang_up(ears[i]);
    }
}

static void test_who_waits_holds_no_buffers(void **state)
{
    PLAY(holds_nothing);
}

/* ---- Without memory ---- */

static const char *const starved_requests[] = {
    GET("/hello") GET("/chunks") GET("/nothing") "GET /big?30000 HTTP/1.0\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    "5\r\nhello\r\n0\r\n\r\n" GET("/wait?5") GET("/ours") "GET /big?30000 HTTP/1.0\r\n\r\n",
    "POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    "POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc nonsense\r\n\r\n",
};

static bool is_an_answer(int status)
{
    return status == 100 || status == 200 || status == 400 || status == 404 || status == 500 ||
           status == 503;
}

/* How many replies it gets. */
static int ask_starved(struct scene *s, const char *text)
{
    struct stream *stream;
    if (try_connect(s->w, s->u.there, 80, &stream))
        return 0;
    struct ear *e = ear_on(stream);
    int replies = 0;
    int rc = send_text(stream, text);
    while (rc >= 0 && (rc = hear(e)) > 0) {
        must(is_an_answer(rc));
        replies++;
        if (rc == 100)
            rc = send_text(stream, "helloGET /hello HTTP/1.0\r\n\r\n");
    }
    hang_up(e);
    return replies;
}

static bool through;

static void starve(struct scene *s, struct world *w)
{
    int replies = 0;
    must_sleep(w, NS_PER_MS); /* it listens */
    mem_fail_at(s->number, false);
    for (size_t i = 0; i < sizeof starved_requests / sizeof *starved_requests; i++)
        replies += ask_starved(s, starved_requests[i]);
    through = mem_count() < s->number;
    mem_fail_at(0, false);
    must(!through || replies == 13);
    must_sleep(w, NS_PER_S);
    must(FIGURE(s, open) == 0);
    must(ask_starved(s, "GET /hello HTTP/1.0\r\n\r\n") == 1 && s->last_status == 200);
}

static void test_memory_that_runs_out_costs_one_connection(void **state)
{
    static struct scene s;
    through = false;
    for (uint64_t nth = 1; !through; nth++) {
        assert_true(nth < 2000);
        s = new_scene(starve);
        s.number = nth;
        s.deadline = 5 * NS_PER_S;
        s.options.linger_timeout = s.options.headers_timeout = 100 * NS_PER_MS;
        s.options.date = true;
        play_with(&s, (struct sim_options){.survive = true});
    }
}

static int make_servers(struct world *w, void *arg)
{
    struct scene *s = arg;
    for (uint64_t nth = 1;; nth++) {
        mem_fail_at(nth, false);
        int rc = http_server_new(&s->server, w, &s->options);
        bool met = mem_count() >= nth;
        mem_fail_at(0, false);
        must(rc == (met ? -ENOMEM : 0));
        if (!met)
            break;
    }
    struct listener *l = must_listen(w, "*:80");
    mem_fail_at(1, false);
    int rc = http_server_run(s->server, &l, 1); /* closes the listener in any case */
    mem_fail_at(0, false);
    must(rc == -ENOMEM);
    http_server_free(s->server);
    http_server_free(NULL);
    return 0;
}

static void test_a_server_that_cannot_be_made(void **state)
{
    static struct scene s;
    s = new_scene(NULL);
    fill_options(&s);
    s.u = open_default();
    struct sim_process *p = start(s.u.there, make_servers, &s);
    run(&s.u);
    assert_int_equal(sim_process_end(p).state, SIM_EXITED);
    assert_int_equal(sim_process_unclosed(p), 0);
    sim_close(s.u.sim);
}

TEST_FILE(server_memory)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_waits_holds_no_buffers),
        cmocka_unit_test(test_memory_that_runs_out_costs_one_connection),
        cmocka_unit_test(test_a_server_that_cannot_be_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
