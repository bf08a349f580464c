/*
 * server_time_test.c: clients that are slow or silent, as readers and as writers.
 */
#include "server_scene.h"

/* Whether it took so long, with what the network and rounding add. */
static bool took(struct scene *s, int64_t began, int64_t ns)
{
    int64_t span = since(s, began);
    bool right = span >= ns && span < ns + 200 * NS_PER_MS;
    if (!right)
        fprintf(stderr, "took %lld ms\n", (long long)(span / NS_PER_MS));
    return right;
}

/* ---- Heads ---- */

static void slow_heads(struct scene *s, struct world *w)
{
    struct ear *e = call_up(s); /* says nothing: nor do we */
    int64_t began = world_now(w);
    must(hear(e) == 0 && took(s, began, NS_PER_S) && s->done == 0);
    hang_up(e);
    e = call_up(s); /* half a head */
    must_sleep(w, 500 * NS_PER_MS);
    began = world_now(w);
    say(e, "GET /he");
    must(refused_with(e, 408) && took(s, began, NS_PER_S));
    must(s->last_took >= NS_PER_S && s->last_status == 408);
    hang_up(e);
    e = call_up(s); /* a byte at a time does not help */
    began = world_now(w);
    for (int i = 0; i < 4; i++) {
        say(e, "GET "[i] == ' ' ? " " : (const char[]){"GET "[i], 0});
        must_sleep(w, 300 * NS_PER_MS);
    }
    must(refused_with(e, 408) && since(s, began) < 1300 * NS_PER_MS);
    hang_up(e);
    e = call_up(s); /* behind a reply that is gathered */
    say(e, GET("/hello") "GET /");
    must(hear(e) == 200 && heard(e, "hello") && refused_with(e, 408));
    hang_up(e);
    must(FIGURE(s, refused[HTTP_REFUSED_408]) == 3);
}

static void test_slow_heads(void **state)
{
    PLAY(slow_heads, s.options.headers_timeout = NS_PER_S, s.options.linger_timeout = NS_PER_S);
}

static void idle(struct scene *s, struct world *w)
{
    struct ear *e = call_up(s);
    say(e, GET("/hello"));
    must(hear(e) == 200);
    int64_t began = world_now(w);
    must(hear(e) == 0 && took(s, began, 5 * NS_PER_S) && s->done == 1);
    hang_up(e);
    e = call_up(s); /* later than the first second, in which its stack is left as it is */
    for (int i = 0; i < 3; i++) {
        say(e, GET("/hello"));
        must(hear(e) == 200);
        must_sleep(w, 4 * NS_PER_S);
    }
    hang_up(e);
}

static void test_idle_connections(void **state)
{
    PLAY(idle, s.options.idle_timeout = 5 * NS_PER_S);
}

/* ---- Bodies ---- */

#define POST(path, length) "POST " path " HTTP/1.1\r\nHost: a\r\nContent-Length: " length "\r\n\r\n"

static void slow_bodies(struct scene *s, struct world *w)
{
    struct ear *e = call_up(s); /* a pause */
    int64_t began = world_now(w);
    say(e, POST("/echo", "10") "abc");
    must(refused_with(e, 408) && took(s, began, 2 * NS_PER_S) && s->last_error == -ETIMEDOUT);
    hang_up(e);
    e = call_up(s); /* no pause, but too slow: 2 s and what the bytes that came have earned */
    say(e, POST("/echo", "100"));
    for (int i = 0; i < 3; i++) {
        say(e, "a");
        must_sleep(w, NS_PER_S);
    }
    must(refused_with(e, 408));
    must(s->last_took >= 2 * NS_PER_S && s->last_took < 2100 * NS_PER_MS);
    hang_up(e);
    e = call_up(s); /* slow, but not too slow */
    say(e, POST("/echo", "1000"));
    char text[101] = "";
    memset(text, 'x', 100);
    for (int i = 0; i < 10; i++) {
        must_sleep(w, NS_PER_S);
        say(e, text);
    }
    must(hear(e) == 200 && e->body_len == 1000);
    say(e, POST("/hello", "10") "abc"); /* one that nobody wants is not waited for any longer */
    must(hear(e) == 200 && heard(e, "hello"));
    began = world_now(w);
    must(hear(e) == 0 && took(s, began, 2 * NS_PER_S));
    hang_up(e);
}

static void test_slow_bodies(void **state)
{
    PLAY(slow_bodies, s.options.body_timeout = 2 * NS_PER_S, s.options.body_rate = 100,
        s.options.linger_timeout = 2 * NS_PER_S);
}

/* The time that a handler takes is not its client's. */
static void slow_handler(struct scene *s, struct world *w)
{
    struct ear *e = call_up(s);
    say(e, POST("/slow-stream", "20"));
    for (int i = 0; i < 10; i++) {
        say(e, "ab");
        must_sleep(w, 3500 * NS_PER_MS);
    }
    must(hear(e) == 200 && e->body_len == 20 && e->keep_alive);
    hang_up(e);
}

static void test_a_slow_handler_of_a_body(void **state)
{
    PLAY(slow_handler, s.options.body_timeout = 5 * NS_PER_S, s.options.body_rate = 1000);
}

/* ---- Replies ---- */

static void reads_nothing(struct scene *s, struct world *w)
{
    struct ear *e = call_up(s);
    say(e, GET("/big?1000000"));
    must_sleep(w, 1900 * NS_PER_MS);
    must(FIGURE(s, open) == 1);
    must_sleep(w, 200 * NS_PER_MS);
    must(FIGURE(s, open) == 0 && s->last_error == -ETIMEDOUT);
    must(hear(e) < 0);
    hang_up(e);
    e = call_up(s); /* pipelines, and reads nothing */
    for (int i = 0; i < 400; i++)
        say(e, GET("/big?10000"));
    must_sleep(w, 3 * NS_PER_S);
    must(FIGURE(s, open) == 0 && s->handled < 40);
    hang_up(e);
}

static void test_a_client_that_reads_nothing(void **state)
{
    PLAY(reads_nothing, s.options.write_timeout = 2 * NS_PER_S);
}

/* So many bytes each second. */
static size_t read_slowly(struct ear *e, struct world *w, size_t a_second, int seconds)
{
    size_t all = 0;
    static char text[1024 * 1024];
    must(a_second <= sizeof text);
    for (int i = 0; i < seconds; i++) {
        must_sleep(w, NS_PER_S);
        ssize_t got = stream_read(e->stream, text, a_second);
        if (got <= 0)
            break;
        all += (size_t)got;
    }
    return all;
}

static void reads_slowly(struct scene *s, struct world *w)
{
    /* A trickle, which the server does not even see; and a stream that is still too slow. */
    for (size_t a_second = 100; a_second <= 40000; a_second += 39900) {
        struct ear *e = call_up(s);
        say(e, GET("/big?1000000"));
        s->last_error = 0;
        size_t got = read_slowly(e, w, a_second, 60);
        must(got > 0 && got < 1000000);
        must(FIGURE(s, open) == 0 && s->last_error == -ETIMEDOUT);
        must(s->last_took < 20 * NS_PER_S);
        hang_up(e);
    }
    s->last_error = 0;
    struct ear *e = call_up(s);
    say(e, GET("/big?1000000"));
    must(read_slowly(e, w, 100000, 30) > 1000000 && s->last_error == 0);
    hang_up(e);
}

static void test_clients_that_read_slowly(void **state)
{
    PLAY(reads_slowly, s.options.write_timeout = 5 * NS_PER_S, s.options.body_rate = 90000);
}

static void answered_late(struct scene *s, struct world *w)
{
    struct ear *e = call_up(s);
    say(e, GET("/late?1000000"));
    must(hear(e) == 200 && heard_pattern(e, 1000000) && s->last_error == 0);
    hang_up(e);
}

/* What the handler took is not the reader's time either. */
static void test_a_large_reply_after_a_long_wait(void **state)
{
    PLAY(answered_late, s.options.write_timeout = 2 * NS_PER_S, s.options.body_rate = 1000000);
}

/* ---- Lingering ---- */

static void never_leaves(struct scene *s, struct world *w)
{
    struct ear *e = call_up(s);
    say(e, "nonsense\r\n\r\n");
    must(hear(e) == 400);
    int64_t began = world_now(w);
    while (FIGURE(s, open) > 0) {
        must_sleep(w, 100 * NS_PER_MS);
        int rc = send_text(e->stream, "and more nonsense");
        must(rc == 0 || rc == -ECONNRESET || rc == -EPIPE);
    }
    must(took(s, began, 2 * NS_PER_S));
    hang_up(e);
    /* Who has asked for the end and has nothing more to say is not waited for. */
    e = call_up(s);
    say(e, "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    must(hear(e) == 200);
    must_sleep(w, 10 * NS_PER_MS);
    must(FIGURE(s, open) == 0);
    hang_up(e);
}

static void test_lingering_has_an_end(void **state)
{
    PLAY(never_leaves, s.options.linger_timeout = 2 * NS_PER_S);
}

TEST_FILE(server_time)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slow_heads),
        cmocka_unit_test(test_idle_connections),
        cmocka_unit_test(test_slow_bodies),
        cmocka_unit_test(test_a_slow_handler_of_a_body),
        cmocka_unit_test(test_a_client_that_reads_nothing),
        cmocka_unit_test(test_clients_that_read_slowly),
        cmocka_unit_test(test_a_large_reply_after_a_long_wait),
        cmocka_unit_test(test_lingering_has_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
