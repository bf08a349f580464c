/*
 * client_stream_test.c: exchanges in pieces, in both directions.
 */
#include "client_scene.h"

static struct http_exchange *begin(struct scene *s, const char *method, int64_t streamed)
{
    struct http_exchange *x;
    struct http_client_request ask = {
        .origin = s->origin, .method = span_of(method), .target = SPAN("/"), .streamed = streamed};
    must(http_exchange_begin(s->client, &ask, &s->arena, &x, &s->e) == 0);
    return x;
}

/* Waits between the pieces, while somebody else uses the client's scratch. */
static size_t read_all(struct scene *s, struct http_exchange *x, char *text, size_t room)
{
    size_t len = 0;
    for (;;) {
        struct span piece;
        ssize_t got = http_exchange_read(x, &piece, &s->e);
        must(got >= 0 && (size_t)got == piece.len);
        if (got == 0)
            break;
        must_sleep(s->w, NS_PER_MS);
        must(len + piece.len < room);
        memcpy(text + len, piece.ptr, piece.len);
        len += piece.len;
    }
    text[len] = '\0';
    struct span piece;
    must(http_exchange_read(x, &piece, &s->e) == 0);
    return len;
}

static void ask_pieces(struct scene *s)
{
    const struct http1_head *head;
    char text[100];
    struct http_exchange *x = begin(s, "PUT", 6);
    must(http_exchange_write(x, SPAN("abc"), &s->e) == 0);
    must(http_exchange_write(x, SPAN("toolong"), &s->e) == -EINVAL);
    must(http_exchange_write(x, SPAN(""), &s->e) == 0);
    must(http_exchange_write(x, SPAN("def"), &s->e) == 0);
    must(http_exchange_write(x, SPAN("g"), &s->e) == -EPIPE);
    must(http_exchange_head(x, &head, &s->e) == 0 && head->status == 200);
    must(http_exchange_head(x, &head, &s->e) == 0 && head->status == 200);
    must(read_all(s, x, text, sizeof text) == 5 && strcmp(text, "hello") == 0);
    http_exchange_end(x);
    must(strstr(s->seen, "Content-Length: 6\r\n\r\nabcdef"));

    x = begin(s, "POST", -1);
    must(http_exchange_write(x, SPAN("0123456789abcdef"), &s->e) == 0);
    must(http_exchange_write(x, SPAN("z"), &s->e) == 0);
    must(http_exchange_head(x, &head, &s->e) == 0 && head->status == 200);
    must(read_all(s, x, text, sizeof text) == 6 && strcmp(text, "chunks") == 0);
    http_exchange_end(x);
    must(strstr(s->seen, "Transfer-Encoding: chunked\r\n\r\n10\r\n0123456789abcdef\r\n1\r\nz\r\n"
                         "0\r\n\r\n"));
    must(s->accepted == 1 && FIGURE(s, reuses) == 1 && FIGURE(s, idle) == 1);
}

static void test_bodies_in_pieces(void **state)
{
    static const char chunks[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                 "3\r\nchu\r\n3\r\nnks\r\n0\r\n\r\n";
    PLAY(ask_pieces, {.replies = {OK("hello", "5"), chunks}});
    PLAY(ask_pieces, {.replies = {OK("hello", "5"), chunks}, .slow_ns = NS_PER_MS});
}

/* Two exchanges whose pieces arrive in turns: none overwrites the other's. */
static void ask_two(struct scene *s)
{
    const struct http1_head *head;
    char one[100];
    char two[100];
    struct http_exchange *x = begin(s, "GET", 0);
    struct http_exchange *y = begin(s, "GET", 0);
    must(http_exchange_head(x, &head, &s->e) == 0);
    must(http_exchange_head(y, &head, &s->e) == 0);
    must(read_all(s, x, one, sizeof one) == 16 && read_all(s, y, two, sizeof two) == 16);
    must((strcmp(one, "aaaaaaaaaaaaaaaa") == 0) == (strcmp(two, "bbbbbbbbbbbbbbbb") == 0));
    must(strcmp(one, two) != 0);
    http_exchange_end(x);
    http_exchange_end(y);
}

static void test_two_at_once(void **state)
{
    PLAY(ask_two, {.replies = {OK("aaaaaaaaaaaaaaaa", "16")}},
        {.replies = {OK("bbbbbbbbbbbbbbbb", "16")}});
}

static void ask_and_leave(struct scene *s)
{
    const struct http1_head *head;
    struct http_exchange *x = begin(s, "GET", 0);
    must(http_exchange_head(x, &head, &s->e) == 0);
    http_exchange_end(x);
    must(FIGURE(s, idle) == 0 && FIGURE(s, in_use) == 0);
    x = begin(s, "PUT", 10); /* not all of it is sent */
    must(http_exchange_write(x, SPAN("abc"), &s->e) == 0);
    http_exchange_end(x);
    must(FIGURE(s, idle) == 0 && FIGURE(s, in_use) == 0);
}

static void test_an_early_end_drops_the_connection(void **state)
{
    PLAY(ask_and_leave, {.replies = {OK("hello", "5")}});
}

/* The reply is whole and allows another request, but the request is not whole. */
static void ask_half(struct scene *s)
{
    const struct http1_head *head;
    char text[100];
    struct http_exchange *x = begin(s, "PUT", 10);
    must(http_exchange_write(x, SPAN("abc"), &s->e) == 0);
    must(http_exchange_head(x, &head, &s->e) == 0 && head->status == 413);
    must(read_all(s, x, text, sizeof text) == 0);
    http_exchange_end(x);
    must(FIGURE(s, idle) == 0);
}

static void test_half_a_request_is_not_kept(void **state)
{
    PLAY(ask_half,
        {.replies = {"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n"}, .head_is_enough = true});
}

static void ask_stale(struct scene *s)
{
    const struct http1_head *head;
    char text[100];
    must(get(s) == 0);
    struct http_exchange *x = begin(s, "GET", 0);
    must(http_exchange_head(x, &head, &s->e) == 0 && head->status == 200);
    must(read_all(s, x, text, sizeof text) == 1 && text[0] == 'b');
    http_exchange_end(x);
    must(FIGURE(s, stale_retries) == 1 && s->accepted == 2);
}

static void ask_stale_streamed(struct scene *s)
{
    const struct http1_head *head;
    must(get(s) == 0);
    struct http_exchange *x = begin(s, "PUT", 1);
    must(http_exchange_write(x, SPAN("x"), &s->e) == 0);
    must(http_exchange_head(x, &head, &s->e) == -ECONNRESET && !head);
    must(failed(s, -ECONNRESET, "reset", "before its reply began"));
    http_exchange_end(x);
    must(FIGURE(s, stale_retries) == 0 && s->accepted == 1);
}

static void test_what_was_streamed_cannot_be_sent_again(void **state)
{
    PLAY(ask_stale, {.replies = {OK("a", "1"), ""}, .then = CLOSE}, {.replies = {OK("b", "1")}});
    PLAY(ask_stale_streamed, {.replies = {OK("a", "1"), ""}, .then = CLOSE},
        {.replies = {OK("b", "1")}});
}

static void ask_huge(struct scene *s)
{
    const struct http1_head *head;
    struct http_exchange *x = begin(s, "GET", 0);
    size_t total = 0;
    must(http_exchange_head(x, &head, &s->e) == 0);
    for (;;) {
        struct span piece;
        ssize_t got = http_exchange_read(x, &piece, &s->e);
        must(got >= 0);
        if (got == 0)
            break;
        total += (size_t)got;
    }
    must(total == 20000);
    http_exchange_end(x);
    must(FIGURE(s, idle) == 1 && s->arena.used < 8192); /* a stream leaves nothing in the arena */
}

static void test_a_streamed_reply_has_no_limit(void **state)
{
    static struct scene s;
    static char reply[20100] = "HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n";
    memset(reply + strlen(reply), 'x', 20000);
    struct line line = {.replies = {reply}};
    s = (struct scene){
        .options = HTTP_CLIENT_DEFAULTS, .ask = ask_huge, .lines = &line, .line_count = 1};
    s.options.body_max = 10;
    play_scene(&s, (struct sim_options){.short_reads_ppm = 500000});
}

static void ask_no_end(struct scene *s)
{
    const struct http1_head *head;
    struct span piece;
    struct http_exchange *x = begin(s, "GET", 0);
    must(http_exchange_head(x, &head, &s->e) == 0);
    must(http_exchange_read(x, &piece, &s->e) == 3);
    must(http_exchange_read(x, &piece, &s->e) == -ECONNRESET);
    must(failed(s, -ECONNRESET, "reset", "before its reply was complete"));
    http_exchange_end(x);
}

static void test_a_streamed_reply_that_is_cut_off(void **state)
{
    PLAY(ask_no_end, {.replies = {OK("hel", "5")}, .then = CLOSE});
}

TEST_FILE(client_stream)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies_in_pieces),
        cmocka_unit_test(test_two_at_once),
        cmocka_unit_test(test_an_early_end_drops_the_connection),
        cmocka_unit_test(test_half_a_request_is_not_kept),
        cmocka_unit_test(test_what_was_streamed_cannot_be_sent_again),
        cmocka_unit_test(test_a_streamed_reply_has_no_limit),
        cmocka_unit_test(test_a_streamed_reply_that_is_cut_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
