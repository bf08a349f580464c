/*
 * client_test.c: calls that go well, and what becomes of their connections.
 */
#include "client_scene.h"

/* ---- Replies in all their shapes ---- */

static void ask_once(struct scene *s)
{
    must(get(s) == 0);
    must(answered(s, 200, "hello"));
    const struct http_field *f =
        http_field_find(s->answer.head->fields, s->answer.head->field_count, "content-length");
    must(f && span_equal(f->value, SPAN("5")));
    must(span_equal(s->answer.head->reason, SPAN("OK")));
    must(strcmp(s->seen, "GET / HTTP/1.1\r\nHost: there:7\r\n\r\n") == 0);
    must(FIGURE(s, idle) == 1 && FIGURE(s, connects) == 1);
}

static void test_a_call(void **state)
{
    PLAY(ask_once, {.replies = {OK("hello", "5")}});
}

static void ask_kept(struct scene *s)
{
    for (int i = 0; i < 3; i++) {
        must(get(s) == 0);
        must(s->answer.body.len == 1 && s->answer.body.ptr[0] == "abc"[i]);
    }
    must(s->accepted == 1);
    must(FIGURE(s, reuses) == 2 && FIGURE(s, calls) == 3);
}

static void test_a_connection_is_kept(void **state)
{
    PLAY(ask_kept, {.replies = {OK("a", "1"), OK("b", "1"), OK("c", "1")}});
}

static void ask_slow(struct scene *s)
{
    must(get(s) == 0 && answered(s, 200, "hello"));
    must(get(s) == 0 && answered(s, 201, "chunks"));
    must(get(s) == 0 && answered(s, 200, "rest"));
    must(FIGURE(s, connects) == 1 && FIGURE(s, idle) == 0);
}

static void test_replies_byte_by_byte(void **state)
{
    PLAY(ask_slow, {.replies = {OK("hello", "5"),
                        "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                        "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "3;x=y\r\nchu\r\n3\r\nnks\r\n0\r\nT: v\r\n\r\n",
                        "HTTP/1.1 200 OK\r\n\r\nrest"},
                       .then = CLOSE,
                       .slow_ns = NS_PER_MS});
    PLAY(ask_slow, {.replies = {OK("hello", "5"),
                        "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                        "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "3;x=y\r\nchu\r\n3\r\nnks\r\n0\r\nT: v\r\n\r\n",
                        "HTTP/1.1 200 OK\r\n\r\nrest"},
                       .then = CLOSE});
}

static void ask_bodiless(struct scene *s)
{
    must(call_with(s, (struct http_client_request){.method = SPAN("HEAD")}) == 0);
    must(answered(s, 200, "") && s->answer.head->fields[0].value.len == 3);
    must(get(s) == 0 && answered(s, 204, ""));
    must(get(s) == 0 && answered(s, 304, ""));
    must(get(s) == 0 && answered(s, 200, ""));
    must(s->accepted == 1);
}

static void test_replies_without_a_body(void **state)
{
    PLAY(
        ask_bodiless, {.replies = {"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n",
                           "HTTP/1.1 204 No Content\r\n\r\n",
                           "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", OK("", "0")}});
}

static void ask_with_bodies(struct scene *s)
{
    static const struct http_field fields[] = {{SPAN("X-One"), SPAN("1")}, {SPAN("Two"), SPAN("")}};
    must(call_with(s, (struct http_client_request){.method = SPAN("PUT"),
                          .target = SPAN("/a?b"),
                          .fields = fields,
                          .field_count = 2,
                          .body = SPAN("body")}) == 0);
    must(strstr(s->seen, "PUT /a?b HTTP/1.1\r\nHost: there:7\r\nX-One: 1\r\nTwo: \r\n"
                         "Content-Length: 4\r\n\r\nbody"));
    must(post(s, "") == 0);
    must(strstr(s->seen, "POST / HTTP/1.1\r\nHost: there:7\r\nContent-Length: 0\r\n\r\n"));
}

static void test_requests_with_bodies(void **state)
{
    PLAY(ask_with_bodies, {.replies = {OK("", "0"), OK("", "0")}});
}

/* ---- What is not kept ---- */

static void ask_twice_on_two(struct scene *s)
{
    must(get(s) == 0 && answered(s, 200, "a"));
    must(FIGURE(s, idle) == 0);
    must(get(s) == 0 && answered(s, 200, "b"));
    must(s->accepted == 2 && FIGURE(s, stale_retries) == 0 && FIGURE(s, reuses) == 0);
}

static void test_connections_that_are_not_kept(void **state)
{
    static const struct line second = {.replies = {OK("b", "1")}};
    PLAY(ask_twice_on_two,
        {.replies = {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\na"}},
        second);
    PLAY(ask_twice_on_two, {.replies = {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na"}}, second);
    PLAY(ask_twice_on_two, {.replies = {"HTTP/1.1 200 OK\r\n\r\na"}, .then = CLOSE}, second);
    /* Bytes that nobody asked for. */
    PLAY(ask_twice_on_two, {.replies = {OK("aX", "1")}}, second);
    PLAY(ask_twice_on_two, {.replies = {OK("a" OK("evil", "4"), "1")}}, second);
    PLAY(ask_twice_on_two,
        {.replies = {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\nH"}},
        second);
}

static void ask_no_body_but_bytes(struct scene *s)
{
    must(call_with(s, (struct http_client_request){.method = SPAN("HEAD")}) == 0);
    must(get(s) == 0 && answered(s, 200, "b"));
    must(s->accepted == 2);
}

static void test_a_body_that_should_not_be_there_is_no_reply(void **state)
{
    PLAY(ask_no_body_but_bytes, {.replies = {OK("hello", "5")}}, {.replies = {OK("b", "1")}});
}

/* ---- Kept connections that ended ---- */

static void ask_stale(struct scene *s)
{
    must(get(s) == 0 && answered(s, 200, "a"));
    must_sleep(s->w, NS_PER_S);
    must(get(s) == 0 && answered(s, 200, "b"));
    must(s->accepted == 2 && FIGURE(s, connects) == 2);
}

static void test_a_kept_connection_that_was_closed_is_replaced(void **state)
{
    PLAY(ask_stale, {.replies = {OK("a", "1")}, .then = CLOSE}, {.replies = {OK("b", "1")}});
}

/* The server reads the second request, and hangs up without an answer. */
static void ask_hang_up(struct scene *s)
{
    must(get(s) == 0);
    must(get(s) == 0 && answered(s, 200, "b"));
    must(FIGURE(s, stale_retries) == 1 && s->accepted == 2);
}

static void ask_hang_up_post(struct scene *s)
{
    must(post(s, "1") == 0);
    must(post(s, "2") == -ECONNRESET);
    must(failed(s, -ECONNRESET, "reset", "http://there:7 closed the connection before its reply"));
    must(FIGURE(s, stale_retries) == 0 && s->accepted == 1);
}

static void test_only_idempotent_requests_are_sent_twice(void **state)
{
    PLAY(ask_hang_up, {.replies = {OK("a", "1"), ""}, .then = CLOSE}, {.replies = {OK("b", "1")}});
    PLAY(ask_hang_up_post, {.replies = {OK("a", "1"), ""}, .then = CLOSE},
        {.replies = {OK("b", "1")}});
}

static void ask_only_once_more(struct scene *s)
{
    must(get(s) == 0);
    must(get(s) == -ECONNRESET);
    must(s->accepted == 2 && FIGURE(s, stale_retries) == 1);
}

static void test_it_is_replaced_once(void **state)
{
    PLAY(ask_only_once_more, {.replies = {OK("a", "1"), ""}, .then = CLOSE},
        {.replies = {""}, .then = CLOSE});
}

static void ask_part_then_close(struct scene *s)
{
    must(get(s) == 0);
    must(get(s) == -ECONNRESET);
    must(failed(s, -ECONNRESET, "reset", "before its reply was complete"));
    must(s->accepted == 1);
}

static void test_not_after_a_byte_of_the_reply(void **state)
{
    PLAY(ask_part_then_close, {.replies = {OK("a", "1"), "H"}, .then = CLOSE});
}

static void ask_after_unasked(struct scene *s)
{
    must(get(s) == 0 && answered(s, 200, "a"));
    must_sleep(s->w, NS_PER_S);
    must(get(s) == 0 && answered(s, 200, "b"));
    must(s->accepted == 2 && FIGURE(s, reuses) == 0);
}

/* What comes while a connection is idle is not the next call's reply. */
static void test_unasked_bytes_on_an_idle_connection(void **state)
{
    PLAY(ask_after_unasked,
        {.replies = {OK("a", "1"), OK("evil", "4")}, .at_once = true, .before_ns = NS_PER_MS},
        {.replies = {OK("b", "1")}});
}

static void ask_post_after_close(struct scene *s)
{
    must(get(s) == 0);
    must_sleep(s->w, NS_PER_S);
    must(post(s, "x") == 0 && answered(s, 200, "b"));
    must(s->accepted == 2 && FIGURE(s, stale_retries) == 0);
}

/* A server that has closed before is no reason for a POST to fail. */
static void test_what_has_ended_is_not_used(void **state)
{
    PLAY(ask_post_after_close, {.replies = {OK("a", "1")}, .then = CLOSE},
        {.replies = {OK("b", "1")}});
}

static void ask_after_idle(struct scene *s)
{
    must(get(s) == 0);
    must_sleep(s->w, 29 * NS_PER_S);
    must(get(s) == 0 && s->accepted == 1);
    must_sleep(s->w, 30 * NS_PER_S);
    must(get(s) == 0 && s->accepted == 2);
    must(FIGURE(s, stale_retries) == 0 && FIGURE(s, idle) == 1);
    int64_t due = http_client_sweep(s->client);
    must(due == world_now(s->w) + 30 * NS_PER_S && FIGURE(s, idle) == 1);
    must(world_sleep_until(s->w, due) == 0);
    must(http_client_sweep(s->client) == DEADLINE_NEVER && FIGURE(s, idle) == 0);
}

static void test_idle_connections_are_closed_in_time(void **state)
{
    PLAY(ask_after_idle, {.replies = {OK("a", "1"), OK("b", "1")}}, {.replies = {OK("c", "1")}});
}

static void ask_for_origins(struct scene *s)
{
    struct http_origin *same;
    struct http_origin *other;
    must(http_client_origin(s->client, SPAN("http://there:7"), &same, NULL) == 0);
    must(same == s->origin);
    must(http_client_origin(s->client, SPAN("HTTP://There:07"), &same, NULL) == 0);
    must(same == s->origin);
    must(http_client_origin(s->client, SPAN("http://there:8"), &other, NULL) == 0);
    must(other != s->origin);
    must(http_client_origin(s->client, SPAN("there:8"), &other, &s->e) == -EINVAL);
    must(failed(s, -EINVAL, "bad-url", "does not begin with http://"));
    char text[64];
    int rc = 0;
    int made = 2;
    for (; rc == 0 && made < 5000; made++) {
        snprintf(text, sizeof text, "http://10.0.%d.%d", made / 256, made % 256);
        rc = http_client_origin(s->client, span_of(text), &other, &s->e);
    }
    must(rc == -ENOBUFS && made == 4097);
}

static void test_origins_are_found_again(void **state)
{
    PLAY(ask_for_origins, {.then = STAY});
}

TEST_FILE(client)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_origins_are_found_again),
        cmocka_unit_test(test_a_call),
        cmocka_unit_test(test_a_connection_is_kept),
        cmocka_unit_test(test_replies_byte_by_byte),
        cmocka_unit_test(test_replies_without_a_body),
        cmocka_unit_test(test_requests_with_bodies),
        cmocka_unit_test(test_connections_that_are_not_kept),
        cmocka_unit_test(test_a_body_that_should_not_be_there_is_no_reply),
        cmocka_unit_test(test_a_kept_connection_that_was_closed_is_replaced),
        cmocka_unit_test(test_only_idempotent_requests_are_sent_twice),
        cmocka_unit_test(test_it_is_replaced_once),
        cmocka_unit_test(test_not_after_a_byte_of_the_reply),
        cmocka_unit_test(test_unasked_bytes_on_an_idle_connection),
        cmocka_unit_test(test_what_has_ended_is_not_used),
        cmocka_unit_test(test_idle_connections_are_closed_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
