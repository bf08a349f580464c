/*
 * server_limits_test.c: what a server does with too much, too long, too many, and nonsense.
 */
#include "server_scene.h"

/* ---- Heads ---- */

struct bad {
    const char *text;
    int status;
};

#define H "Host: a\r\n"

/* The table of the parser's own tests says which is which; here it is that they are said. */
static const struct bad table[] = {
    {"GET / HTTP/1.1\r\n\r\n", 400},
    {"GET /\n", 400},
    {"\x16\x03\x01\x02", 400},
    {"GET / HTTP/1.1\r\n" H H "\r\n", 400},
    {"GET / HTTP/1.1\r\n" H "A : b\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n" H "A: b\r\n c\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n" H "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400},
    {"GET / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
    {"FROB / HTTP/1.1\r\n" H "\r\n", 501},
    {"GET / HTTP/3.0\r\n" H "\r\n", 505},
    {"GET / HTTP/1.1\r\n" H "Expect: miracles\r\n\r\n", 417},
    {"GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        414},
    {"GET / HTTP/1.1\r\n" H "A: 1\r\nB: 2\r\nC: 3\r\n\r\n", 431},
    {"GET / HTTP/1.1\r\n" H "A: 11111111111111111111111111111111111111111111111111111111111111111"
     "111111111111111111111111111111111111111111111111111111111111111111111111111111111111111",
        431},
};

static void bad_heads(struct scene *s, struct world *w)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct ear *e = call_up(s);
        say(e, GET("/hello"));
        say(e, table[i].text);
        say(e, GET("/hello")); /* not understood any more */
        must(hear(e) == 200 && heard(e, "hello"));
        bool refused = refused_with(e, table[i].status);
        check(refused, "request %zu", i);
        must(s->last_status == table[i].status && strcmp(s->last_label, "(refused)") == 0);
        hang_up(e);
    }
    must(FIGURE(s, requests) == sizeof table / sizeof *table);
    must((size_t)s->done == 2 * sizeof table / sizeof *table);
    must(FIGURE(s, refused[HTTP_REFUSED_400]) == 9 && FIGURE(s, refused[HTTP_REFUSED_414]) == 1 &&
         FIGURE(s, refused[HTTP_REFUSED_431]) == 2 && FIGURE(s, refused[HTTP_REFUSED_OTHER]) == 3);
}

static void test_bad_heads(void **state)
{
    PLAY(bad_heads, s.options.limits.line_max = 80, s.options.limits.head_max = 160,
        s.options.limits.fields_max = 3);
}

/* ---- Bodies ---- */

static void big_bodies(struct scene *s, struct world *w)
{
    char *text = malloc(400000);
    must(text);
    memset(text, 'x', 400000);
    struct ear *e = call_up(s);
    say(e, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
    must(send_bytes(e->stream, text, 1000) == 0);
    must(hear(e) == 200 && e->body_len == 1000);
    say(e, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n");
    must(send_bytes(e->stream, text, 1001) == 0);
    must(refused_with(e, 413) && s->last_error == -EMSGSIZE && s->last_received == 0);
    hang_up(e);
    /* A last reply is not lost to a client that goes on sending. */
    e = call_up(s);
    say(e, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n\r\n");
    must(send_bytes(e->stream, text, 400000) == 0);
    must(refused_with(e, 413));
    hang_up(e);
    e = call_up(s);
    say(e, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n");
    must(send_bytes(e->stream, text, 1000) == 0);
    say(e, "\r\n1\r\nx\r\n" GET("/hello"));
    must(refused_with(e, 413));
    hang_up(e);
    e = call_up(s); /* beyond all numbers */
    say(e, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\n");
    must(refused_with(e, 413));
    hang_up(e);
    free(text);
}

static void test_bodies_beyond_their_limit(void **state)
{
    PLAY(big_bodies, s.options.body_max = 1000);
}

static void too_big_for_memory(struct scene *s, struct world *w)
{
    char *text = calloc(1, 400000);
    must(text);
    struct ear *e = call_up(s);
    say(e, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n\r\n");
    must(send_bytes(e->stream, text, 400000) == 0);
    must(hear(e) == 200 && e->body_len == 400000); /* it has memory of its own */
    hang_up(e);
    e = call_up(s);
    say(e, GET("/big?200000"));
    must(hear(e) == 503 && s->last_error == -ENOMEM);
    hang_up(e);
    e = call_up(s);
    say(e, "POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n\r\n");
    must(send_bytes(e->stream, text, 200000) == 0);
    must_sleep(w, 100 * NS_PER_MS);
    must(send_bytes(e->stream, text, 200000) == 0);
    must(hear(e) == 200 && e->body_len == 400000);
    hang_up(e);
    free(text);
}

static void test_a_body_beyond_the_arena(void **state)
{
    PLAY(too_big_for_memory, s.options.arena_max = 100000);
}

static void broken_chunks(struct scene *s, struct world *w)
{
    static const char *const chunks[] = {"zz\r\n", "3\r\nabcd\r\n", "-1\r\n", "3\nabc\r\n",
        "fffffffffffffffff\r\n", "0\r\nContent-Length : 3\r\n\r\n"};
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
        struct ear *e = call_up(s);
        say(e, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        say(e, chunks[i]);
        say(e, GET("/hello"));
        must(refused_with(e, 400) && s->last_error == -EBADMSG);
        hang_up(e);
    }
    must(s->handled == 6);
    struct ear *e = call_up(s); /* it ends in the middle */
    say(e, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    must_sleep(w, 10 * NS_PER_MS);
    must(stream_shutdown(e->stream) == 0);
    must(refused_with(e, 400) && s->last_error == -ENODATA && s->last_status == 400);
    hang_up(e);
}

static void test_broken_bodies(void **state)
{
    PLAY(broken_chunks);
}

/* ---- Many ---- */

static void a_few_requests(struct scene *s, struct world *w)
{
    struct ear *e = call_up(s);
    say(e, GET("/hello") GET("/hello") GET("/hello") GET("/hello") GET("/hello"));
    must(hear(e) == 200 && e->keep_alive);
    must(hear(e) == 200 && e->keep_alive);
    must(hear(e) == 200 && has_line(e, "Connection: close"));
    must(hear(e) == 0 && s->handled == 3);
    hang_up(e);
}

static void test_requests_per_connection(void **state)
{
    PLAY(a_few_requests, s.options.requests_per_connection = 3);
}

static void too_many(struct scene *s, struct world *w)
{
    struct ear *e[8];
    for (int i = 0; i < 3; i++) {
        e[i] = call_up(s);
        say(e[i], GET("/hello"));
        must(hear(e[i]) == 200);
        must_sleep(w, 10 * NS_PER_MS);
    }
    must(FIGURE(s, idle) == 3);
    /* Nobody has been idle for long enough to be thrown out. */
    e[3] = call_up(s);
    must(hear(e[3]) == 503);
    hang_up(e[3]);
    must_sleep(w, NS_PER_S);
    say(e[0], GET("/hello")); /* so that the second is idle longest */
    must(hear(e[0]) == 200);
    must_sleep(w, 2 * NS_PER_S);
    e[3] = call_up(s);
    say(e[3], GET("/wait?5000"));
    must(hear(e[1]) == 0);
    say(e[0], GET("/wait?5000"));
    say(e[2], GET("/wait?5000"));
    must_sleep(w, 100 * NS_PER_MS);
    must(FIGURE(s, open) == 3 && FIGURE(s, idle) == 0);
    for (int i = 4; i < 7; i++) {
        e[i] = call_up(s);
        must(hear(e[i]) == 503 && has_line(e[i], "Connection: close"));
        must(strstr(e[i]->body, "too many connections"));
    }
    must(FIGURE(s, open) == 6 && FIGURE(s, refused[HTTP_REFUSED_OTHER]) == 4);
    /* Those that have been refused but not left yet take nobody's place. */
    must(hear(e[0]) == 200 && hear(e[2]) == 200 && hear(e[3]) == 200);
    say(e[3], GET("/wait?5000"));
    hang_up(e[0]);
    hang_up(e[2]);
    must_sleep(w, 10 * NS_PER_MS);
    for (int i = 0; i < 4; i += 2) {
        e[i] = call_up(s);
        say(e[i], GET("/hello"));
        must(hear(e[i]) == 200);
    }
    for (int i = 0; i < 7; i++)
        hang_up(e[i]);
}

static void test_too_many_connections(void **state)
{
    PLAY(too_many, s.options.connections_max = 3, s.options.linger_timeout = 60 * NS_PER_S);
}

/* More than are told so are closed unheard. */
static void far_too_many(struct scene *s, struct world *w)
{
    struct ear *busy = call_up(s);
    say(busy, GET("/wait?20000"));
    must_sleep(w, 10 * NS_PER_MS);
    struct stream *streams[100];
    int told = 0;
    for (int i = 0; i < 100; i++)
        streams[i] = must_connect(w, s->u.there, 80);
    for (int i = 0; i < 100; i++) {
        char byte;
        ssize_t got = stream_read(streams[i], &byte, 1);
        must(got == 1 || got == 0 || got == -ECONNRESET);
        told += got == 1;
    }
    must(told == 64 && FIGURE(s, open) == 65);
    for (int i = 0; i < 100; i++)
        stream_close(streams[i]);
    must(hear(busy) == 200 && heard(busy, "waited"));
    hang_up(busy);
}

static void test_far_too_many_connections(void **state)
{
    PLAY(far_too_many, s.options.connections_max = 1, s.options.linger_timeout = 60 * NS_PER_S);
}

TEST_FILE(server_limits)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_heads),
        cmocka_unit_test(test_bodies_beyond_their_limit),
        cmocka_unit_test(test_a_body_beyond_the_arena),
        cmocka_unit_test(test_broken_bodies),
        cmocka_unit_test(test_requests_per_connection),
        cmocka_unit_test(test_too_many_connections),
        cmocka_unit_test(test_far_too_many_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
