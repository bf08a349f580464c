/*
 * server_requests_test.c: requests that are well, in all their shapes, and their replies.
 */
#include "server_scene.h"

/* ---- Connections ---- */

static void keep_alive(struct scene *s, struct world *w)
{
    struct ear *e = call_up(s);
    for (int i = 0; i < 5; i++) {
        say(e, GET("/hello"));
        must(hear(e) == 200 && heard(e, "hello") && e->keep_alive);
        must(has_line(e, "Content-Length: 5") && !strstr(e->head, "Connection"));
    }
    must(FIGURE(s, connections) == 1 && FIGURE(s, open) == 1 && FIGURE(s, requests) == 5);
    must(s->handled == 5 && s->done == 5 && s->last_status == 200 && s->last_sent == 5);
    must(strcmp(s->last_label, "scene") == 0);
    hang_up(e);
}

static void test_a_connection_is_kept(void **state)
{
    PLAY(keep_alive);
}

static void one_zero(struct scene *s, struct world *w)
{
    struct ear *e = call_up(s);
    say(e, "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    must(hear(e) == 200 && heard(e, "hello") && has_line(e, "Connection: keep-alive"));
    say(e, "GET /hello HTTP/1.0\r\n\r\n");
    must(hear(e) == 200 && heard(e, "hello") && has_line(e, "Connection: close"));
    must(hear(e) == 0);
    hang_up(e);
    e = call_up(s);
    say(e, "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    must(hear(e) == 200 && has_line(e, "Connection: close") && hear(e) == 0);
    hang_up(e);
}

static void test_older_clients_and_those_who_leave(void **state)
{
    PLAY(one_zero);
}

static void byte_by_byte(struct scene *s, struct world *w)
{
    struct ear *e = call_up(s);
    const char *text = "\r\nPOST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                       "3;x=y\r\nabc\r\n4\r\ndefg\r\n0\r\nT: v\r\n\r\n" GET("/hello");
    for (; *text; text++) {
        must(send_bytes(e->stream, text, 1) == 0);
        must_sleep(w, NS_PER_MS);
    }
    must(hear(e) == 200 && heard(e, "abcdefg") && s->last_received == 0);
    must(hear(e) == 200 && heard(e, "hello"));
    hang_up(e);
}

static void test_requests_byte_by_byte(void **state)
{
    PLAY(byte_by_byte);
}

/* ---- Pipelines ---- */

static void pipelined(struct scene *s, struct world *w)
{
    struct ear *e = call_up(s);
    say(e,
        GET("/hello") "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nfour" GET(
            "/big?20000") GET("/chunks") "HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n" GET("/hello"));
    must(hear(e) == 200 && heard(e, "hello"));
    must(hear(e) == 200 && heard(e, "four"));
    must(hear(e) == 200 && heard_pattern(e, 20000));
    must(hear(e) == 200 && heard(e, "one two"));
    must(hear_to(e, HTTP_HEAD) == 200 && heard(e, "") && has_line(e, "Content-Length: 5"));
    must(hear(e) == 200 && heard(e, "hello"));
    hang_up(e);
}

static void test_pipelined_replies_are_in_order(void **state)
{
    PLAY(pipelined);
}

static void in_the_middle(struct scene *s, struct world *w)
{
    struct ear *e = call_up(s);
    int64_t began = world_now(w);
    say(e, GET("/hello") GET("/wait?500") GET("/hello"));
    must(hear(e) == 200 && heard(e, "hello") && since(s, began) < 100 * NS_PER_MS);
    must(hear(e) == 200 && heard(e, "waited") && since(s, began) >= 500 * NS_PER_MS);
    must(hear(e) == 200 && heard(e, "hello"));
    /* Without the flush the first comes late, but still first. */
    say(e, GET("/hello") GET("/wait-silent?500"));
    must(hear(e) == 200 && heard(e, "hello") && since(s, began) >= 1000 * NS_PER_MS);
    must(hear(e) == 200 && heard(e, "waited"));
    hang_up(e);
}

static void test_one_waits_in_the_middle(void **state)
{
    PLAY(in_the_middle);
}

struct other {
    struct scene *s;
    int answered;
};

/* Others whose bytes pass through the server's shared buffer meanwhile. */
static int be_noisy(void *arg)
{
    struct other *o = arg;
    struct ear *e = call_up(o->s);
    char *text = malloc(30000);
    must(text);
    memset(text, '!', 30000);
    for (int i = 0; i < 200; i++) {
        say(e, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n");
        must(send_bytes(e->stream, text, 30000) == 0);
        must(hear(e) == 200 && e->body_len == 30000);
        o->answered++;
    }
    free(text);
    hang_up(e);
    return 0;
}

/* What came behind a body, or before the rest of a head, is kept while its connection waits. */
static void beside_others(struct scene *s, struct world *w)
{
    struct other other = {.s = s};
    GROUP(others, GROUP_FAIL_FAST);
    must(group_spawn(&others, "noisy", be_noisy, &other) == 0);
    struct ear *e = call_up(s);
    for (int i = 0; i < 20; i++) {
        say(e, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n");
        must_sleep(w, 10 * NS_PER_MS);
        say(e, "four" GET("/wait?20") GET("/hello") "GET /hel");
        must_sleep(w, 10 * NS_PER_MS);
        say(e, "lo HTTP/1.1\r\nHost: a\r\n\r\nPOST /wait?20 HTTP/1.1\r\nHost: a\r\n"
               "Content-Length: 6\r\n\r\n");
        must_sleep(w, 10 * NS_PER_MS);
        say(e, "unread" GET("/hello") "GET /wait?2");
        must_sleep(w, 30 * NS_PER_MS);
        say(e, "0 HTTP/1.1\r\nHost: a\r\n\r\n");
        must(hear(e) == 200 && heard(e, "four"));
        must(hear(e) == 200 && heard(e, "waited"));
        must(hear(e) == 200 && heard(e, "hello"));
        must(hear(e) == 200 && heard(e, "hello"));
        must(hear(e) == 200 && heard(e, "waited"));
        must(hear(e) == 200 && heard(e, "hello"));
        must(hear(e) == 200 && heard(e, "waited"));
    }
    hang_up(e);
    must(group_wait(&others) == 0 && other.answered == 200);
}

static void test_nobody_reads_anothers_bytes(void **state)
{
    PLAY(beside_others);
}

/* A body's end and the next request come in one read, and its handler waits with the whole body. */
static void behind_a_body(struct scene *s, struct world *w)
{
    struct other other = {.s = s};
    GROUP(others, GROUP_FAIL_FAST);
    must(group_spawn(&others, "noisy", be_noisy, &other) == 0);
    struct ear *e = call_up(s);
    char *text = malloc(60000);
    must(text);
    pattern(text, 60000);
    for (int i = 0; i < 30; i++) {
        say(e, "POST /later HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
               "X-Said: something of its own\r\n\r\n");
        must_sleep(w, 5 * NS_PER_MS);
        say(e, "later" GET("/hello"));
        must(hear(e) == 200 && heard(e, "later") && has_line(e, "X-Said: something of its own"));
        must(hear(e) == 200 && heard(e, "hello"));
        say(e, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n");
        must(send_bytes(e->stream, text, 60000) == 0);
        say(e, GET("/wait?5") GET("/big?30000") GET("/hello"));
        must(hear(e) == 200 && heard_pattern(e, 60000));
        must(hear(e) == 200 && heard(e, "waited"));
        must(hear(e) == 200 && heard_pattern(e, 30000));
        must(hear(e) == 200 && heard(e, "hello"));
    }
    free(text);
    hang_up(e);
    must(group_wait(&others) == 0);
}

static void test_requests_behind_a_body(void **state)
{
    PLAY(behind_a_body);
}

/* ---- Bodies ---- */

static void bodies(struct scene *s, struct world *w)
{
    struct ear *e = call_up(s);
    say(e, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
           "3\r\nabc\r\n4\r\ndefg\r\n0\r\nX-T: v\r\nX-U: w\r\n\r\n" GET("/hello"));
    must(hear(e) == 200 && heard(e, "abcdefg"));
    must(hear(e) == 200 && heard(e, "hello"));
    say(e, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    must(hear(e) == 200 && heard(e, ""));
    say(e, "POST /stream HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    must_sleep(w, 10 * NS_PER_MS);
    say(e, "4\r\nde");
    must_sleep(w, 10 * NS_PER_MS);
    say(e, "fg\r\n0\r\n\r\n");
    must(hear(e) == 200 && heard(e, "abcdefg") && e->trailers == 1);
    must(has_line(e, "Transfer-Encoding: chunked") && s->last_received == 7 && s->last_sent == 7);
    hang_up(e);
}

static void test_bodies(void **state)
{
    PLAY(bodies);
}

static void expecting(struct scene *s, struct world *w)
{
#define EXPECT(path, length)                                                               \
    "POST " path " HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: " length \
    "\r\n\r\n"
    struct ear *e = call_up(s);
    say(e, EXPECT("/echo", "4"));
    must(hear(e) == 100);
    say(e, "four");
    must(hear(e) == 200 && heard(e, "four") && e->keep_alive);
    say(e, EXPECT("/echo", "4") "four"); /* did not wait */
    must(hear(e) == 200 && heard(e, "four"));
    say(e, EXPECT("/echo", "4") "fo"); /* nor does this one */
    must_sleep(w, 10 * NS_PER_MS);
    say(e, "ur");
    must(hear(e) == 200 && heard(e, "four"));
    say(e, EXPECT("/stream", "4"));
    must(hear(e) == 100);
    say(e, "four");
    must(hear(e) == 200 && heard(e, "four"));
    say(e, GET("/hello") EXPECT("/echo", "4"));
    must(hear(e) == 200 && heard(e, "hello") && hear(e) == 100);
    say(e, "four");
    must(hear(e) == 200 && heard(e, "four"));
    /* Refused without being asked for: it may come or not, so that this is the end. */
    say(e, EXPECT("/few", "5"));
    must(refused_with(e, 413));
    hang_up(e);
    e = call_up(s);
    say(e, EXPECT("/hello", "5"));
    must(hear(e) == 200 && heard(e, "hello") && has_line(e, "Connection: close") && hear(e) == 0);
    hang_up(e);
    e = call_up(s);
    say(e, "POST /hello HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nfour");
    must(hear(e) == 200 && heard(e, "hello") && hear(e) == 0);
    hang_up(e);
}

static void test_who_expects_100(void **state)
{
    PLAY(expecting);
}

static void unread(struct scene *s, struct world *w)
{
    struct ear *e = call_up(s);
    say(e, "POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nunread" GET("/hello"));
    must(hear(e) == 200 && e->keep_alive && hear(e) == 200 && e->keep_alive);
    say(e, "POST /hello HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    must(hear(e) == 200 && e->keep_alive);
    say(e, "6\r\nunread\r\n0\r\nT: v\r\n\r\n" GET("/hello"));
    must(hear(e) == 200 && e->keep_alive);
    /* Too much to read for nothing. */
    char *text = malloc(300000);
    must(text);
    memset(text, 'x', 300000);
    say(e, "POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n");
    must(send_bytes(e->stream, text, 300000) == 0);
    must(hear(e) == 200 && heard(e, "hello") && has_line(e, "Connection: close") && hear(e) == 0);
    hang_up(e);
    /* The same of unknown length, which is found out later. */
    e = call_up(s);
    say(e, "POST /hello HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n40000\r\n");
    must(send_bytes(e->stream, text, 0x40000) == 0);
    must(hear(e) == 200 && heard(e, "hello") && hear(e) == 0);
    free(text);
    hang_up(e);
    /* What follows is nonsense: the reply stands, and nothing after it is believed. */
    e = call_up(s);
    say(e, "POST /hello HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" GET(
               "/hello"));
    must(hear(e) == 200 && heard(e, "hello") && hear(e) == 0);
    hang_up(e);
    must(FIGURE(s, requests) == 7);
}

static void test_bodies_that_nobody_reads(void **state)
{
    PLAY(unread);
}

/* ---- Replies ---- */

static void heads_alone(struct scene *s, struct world *w)
{
    struct ear *e = call_up(s);
    static const char *const paths[] = {"/hello", "/big?100000", "/chunks", "/length", "/none"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        char text[100];
        snprintf(text, sizeof text, "HEAD %s HTTP/1.1\r\nHost: a\r\n\r\n", paths[i]);
        say(e, text);
        must(hear_to(e, HTTP_HEAD) == (i == 4 ? 404 : 200) && e->body_len == 0 && e->keep_alive);
        must(!strstr(e->head, "chunked") && s->last_sent == 0);
    }
    say(e, GET("/hello"));
    must(hear(e) == 200 && heard(e, "hello"));
    hang_up(e);
}

static void test_head(void **state)
{
    PLAY(heads_alone);
}

static void streamed(struct scene *s, struct world *w)
{
    struct ear *e = call_up(s);
    say(e, GET("/chunks"));
    must(hear(e) == 200 && heard(e, "one two") && has_line(e, "Transfer-Encoding: chunked"));
    say(e, GET("/length"));
    must(hear(e) == 200 && heard(e, "one two") && has_line(e, "Content-Length: 7"));
    say(e, "GET /length HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    must(hear(e) == 200 && heard(e, "one two") && has_line(e, "Connection: keep-alive"));
    say(e, "GET /chunks HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    must(hear(e) == 200 && heard(e, "one two") && has_line(e, "Connection: close"));
    must(!strstr(e->head, "chunked") && !strstr(e->head, "Content-Length") && hear(e) == 0);
    hang_up(e);
}

static void test_streamed_replies(void **state)
{
    PLAY(streamed);
}

static void cut(struct scene *s, struct world *w)
{
    struct ear *e = call_up(s);
    say(e, GET("/cut") GET("/hello"));
    must(hear(e) == -EBADMSG && e->status == 200 && heard(e, "one two"));
    hang_up(e);
    e = call_up(s);
    say(e, GET("/cut-length"));
    must(hear(e) == -EBADMSG && heard(e, "one two"));
    hang_up(e);
    must(s->handled == 2 && s->done == 2);
}

static void test_a_reply_that_fails_is_cut_off(void **state)
{
    PLAY(cut);
}

static void odd_handlers(struct scene *s, struct world *w)
{
    struct ear *e = call_up(s);
    say(e, GET("/nothing"));
    must(hear(e) == 500 && e->keep_alive && strstr(e->body, "nothing answered"));
    say(e, GET("/ours"));
    must(hear(e) == 200 && heard(e, "mine") && has_line(e, "X-Mine: yes"));
    must(!strstr(e->head, "chunked") && has_line(e, "Content-Length: 4"));
    say(e, GET("/status?204"));
    must(hear(e) == 204 && !strstr(e->head, "Content-Length"));
    say(e, GET("/status?304"));
    must(hear(e) == 304 && !strstr(e->head, "Content-Length"));
    say(e, GET("/status?201"));
    must(hear(e) == 201 && has_line(e, "Content-Length: 0"));
    say(e, GET("/reset"));
    must(hear(e) == 205 && has_line(e, "Content-Length: 0") && heard(e, "") && s->last_sent == 0);
    say(e, GET("/hello"));
    must(hear(e) == 200 && heard(e, "hello")); /* and nothing came behind it */
    hang_up(e);
}

static void test_odd_handlers(void **state)
{
    PLAY(odd_handlers);
}

/* ---- Fields of ours ---- */

static void ids(struct scene *s, struct world *w)
{
    struct ear *e = call_up(s);
    say(e, "GET /hello HTTP/1.1\r\nHost: a\r\nx-request-id: abc-1.2_3:4/5\r\n\r\n");
    must(hear(e) == 200 && has_line(e, "X-Request-Id: abc-1.2_3:4/5"));
    must(strcmp(s->last_id, "abc-1.2_3:4/5") == 0);
    static const char *const insane[] = {"", "a b", "a\"b", "a\xc3\xa9", "{}",
        "12345678901234567890123456789012345678901234567890123456789012345"};
    char before[HTTP_REQUEST_ID_MAX + 1] = "";
    for (size_t i = 0; i < sizeof insane / sizeof *insane; i++) {
        char text[200];
        snprintf(text, sizeof text, "GET /hello HTTP/1.1\r\nHost: a\r\nX-Request-Id: %s\r\n\r\n",
            insane[i]);
        say(e, text);
        must(hear(e) == 200 && strlen(s->last_id) == 16 && strcmp(before, s->last_id) != 0);
        must(strspn(s->last_id, "0123456789abcdef") == 16 && strstr(e->head, s->last_id));
        memcpy(before, s->last_id, sizeof before);
    }
    hang_up(e);
}

static void test_request_ids(void **state)
{
    PLAY(ids);
}

/* Seconds since midnight, of a Date field. */
static int seconds_of(const struct ear *e)
{
    const char *date = strstr(e->head, "\r\nDate: ");
    must(date && strstr(date, " GMT\r\n"));
    const char *clock = strchr(date + 8, ':') - 2;
    return (int)(strtol(clock, NULL, 10) * 3600 + strtol(clock + 3, NULL, 10) * 60 +
                 strtol(clock + 6, NULL, 10));
}

static void stamps(struct scene *s, struct world *w)
{
    struct ear *e = call_up(s);
    say(e, GET("/hello"));
    must(hear(e) == 200 && has_line(e, "Server: weir/1"));
    int first = seconds_of(e);
    say(e, GET("/wait?5000")); /* the Date is of the reply, not of the request */
    must(hear(e) == 200);
    int after = seconds_of(e) - first;
    must(after == 5 || after == 6 || after < -86000);
    hang_up(e);
}

static void test_date_and_server(void **state)
{
    PLAY(stamps, s.options.date = true, s.options.server = "weir/1");
}

static void timings(struct scene *s, struct world *w)
{
    struct ear *e = call_up(s);
    say(e, "POST /timed HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na");
    must_sleep(w, 20 * NS_PER_MS); /* which is input */
    say(e, "b");
    must(hear(e) == 200);
    const char *line = strstr(e->head, "\r\nServer-Timing: ");
    must(line != NULL);
    double queue, cpu, wait, io;
    must(sscanf(line, "\r\nServer-Timing: queue;dur=%lf, cpu;dur=%lf, wait;dur=%lf, io;dur=%lf\r\n",
             &queue, &cpu, &wait, &io) == 4);
    must(strstr(line, "queue;dur=0.012, cpu;dur=30.101, wait;dur=70.000, io;dur=2") != NULL);
    must(io >= 24 && io < 27);
    say(e, GET("/hello"));
    must(hear(e) == 200);
    must(strstr(
        e->head, "Server-Timing: queue;dur=0.000, cpu;dur=0.000, wait;dur=0.000, io;dur=0."));
    say(e, "GET /wait?1234567 HTTP/1.1\r\nHost: a\r\n\r\n");
    must(hear(e) == 200 && strstr(e->head, " io;dur=1234567."));
    say(e, "GET nowhere HTTP/1.1\r\n\r\n"); /* no handler sees it */
    must(hear(e) == 400 && strstr(e->head, "Server-Timing: queue;"));
    hang_up(e);
}

static void test_server_timing(void **state)
{
    PLAY(timings, s.options.timing = true);
}

static void no_stamps(struct scene *s, struct world *w)
{
    struct ear *e = call_up(s);
    say(e, GET("/hello"));
    must(hear(e) == 200 && !strstr(e->head, "Date") && !strstr(e->head, "Server"));
    hang_up(e);
}

static void test_neither_date_nor_server(void **state)
{
    PLAY(no_stamps);
}

TEST_FILE(server_requests)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_connection_is_kept),
        cmocka_unit_test(test_older_clients_and_those_who_leave),
        cmocka_unit_test(test_requests_byte_by_byte),
        cmocka_unit_test(test_pipelined_replies_are_in_order),
        cmocka_unit_test(test_one_waits_in_the_middle),
        cmocka_unit_test(test_nobody_reads_anothers_bytes),
        cmocka_unit_test(test_requests_behind_a_body),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_who_expects_100),
        cmocka_unit_test(test_bodies_that_nobody_reads),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_streamed_replies),
        cmocka_unit_test(test_a_reply_that_fails_is_cut_off),
        cmocka_unit_test(test_odd_handlers),
        cmocka_unit_test(test_request_ids),
        cmocka_unit_test(test_date_and_server),
        cmocka_unit_test(test_server_timing),
        cmocka_unit_test(test_neither_date_nor_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
