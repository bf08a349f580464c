/*
 * http1_test.c: the HTTP/1 reader and writer: each stream of http1_cases.h in pieces of every kind,
 * and what heads mean, limits, trailers, ends, and what was written read back.
 */
#include "../check.h"

#include "../../differential/http1_feed.h"
#include "http1_cases.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- The cases, whole and in pieces ---- */

static struct span remember(struct span s)
{
    char *copy = mem_alloc(s.len + 1);
    assert_non_null(copy);
    if (s.len > 0)
        memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return (struct span){.ptr = copy, .len = s.len};
}

static void forget(struct span s)
{
    mem_free((void *)(uintptr_t)s.ptr);
}

static void same_transcript(const char *name, struct span whole, struct span pieces, size_t first)
{
    if (!span_equal(whole, pieces))
        fail_msg("%s: in pieces from %zu on it is\n%.*sand not\n%.*s", name, first,
            SPAN_ARG(pieces), SPAN_ARG(whole));
}

/* Reads it whole, byte by byte, and split in two at every place; returns the one transcript. */
static struct span read_in_all_ways(struct http1_feed *f, const char *name, struct span stream)
{
    struct span whole = remember(http1_feed_stream(f, stream, 0, stream.len));
    same_transcript(name, whole, http1_feed_stream(f, stream, 1, 1), 1);
    for (size_t first = 1; first < stream.len; first++)
        same_transcript(name, whole, http1_feed_stream(f, stream, first, stream.len), first);
    return whole;
}

/* The bodies of all messages, one after another. */
static void collect_bodies(const char *transcript, char *to, size_t size)
{
    *to = '\0';
    while ((transcript = strstr(transcript, "{\"body\":\""))) {
        transcript += 9;
        size_t used = strlen(to);
        snprintf(to + used, size - used, "%.*s", (int)(strchr(transcript, '"') - transcript),
            transcript);
    }
}

static void run_case(const struct http1_case *c, enum http1_kind kind)
{
    struct http1_feed f;
    char bodies[256];
    http1_feed_init(&f, kind);
    f.answers = c->answers;
    struct span said = read_in_all_ways(&f, c->name, c->stream);
    const char *bad = strstr(said.ptr, "{\"bad\":");
    int status = bad ? (bad[7] - '0') * 100 + (bad[8] - '0') * 10 + (bad[9] - '0') : 0;
    if (status != c->status)
        fail_msg("%s: %d, and not %d:\n%s", c->name, status, c->status, said.ptr);
    /* What ought to be refused for itself is not refused only because the stream ends. */
    if (!strstr(said.ptr, "that was cut off") != !strstr(c->name, "cut off"))
        fail_msg("%s: it is not for this that it is refused:\n%s", c->name, said.ptr);
    collect_bodies(said.ptr, bodies, sizeof bodies);
    if (c->status == 0)
        assert_string_equal(bodies, c->body);
    forget(said);
    http1_feed_release(&f);
}

static void test_requests_whole_and_in_pieces(void **state)
{
    for (size_t i = 0; i < COUNT(http1_requests); i++)
        run_case(&http1_requests[i], HTTP1_REQUEST);
}

static void test_replies_whole_and_in_pieces(void **state)
{
    for (size_t i = 0; i < COUNT(http1_replies); i++)
        run_case(&http1_replies[i], HTTP1_REPLY);
}

/* ---- Each byte in each place ---- */

/* A set of bytes: the others are refused there. */
struct place {
    const char *before;
    const char *after;
    const char *allowed; /* pairs: from, to */
};

#define TOKEN "!!#'**+,--..09AZ^z||~~"
#define VALUE "\t\t ~\x80\xff"

static const struct place places[] = {
    {"G", "ET / HTTP/1.1\r\nHost: a\r\n\r\n", ""},
    {"GET /", " HTTP/1.1\r\nHost: a\r\n\r\n", "!\"$~"},
    {"GET /?", " HTTP/1.1\r\nHost: a\r\n\r\n", "!\"$~"},
    {"GET / HTTP/1.", "\r\nHost: a\r\n\r\n", "01"},
    {"GET / HTTP/1.1\r\nHost: a", "z\r\n\r\n", "-.09AZ__az~~"},
    {"GET / HTTP/1.1\r\nHost: a\r\nX", "Y: z\r\n\r\n", "!!#'**++-.0:AZ^z||~~"},
    {"GET / HTTP/1.1\r\nHost: a\r\n", "Y: z\r\n\r\n", "!!#'**++-.09AZ^z||~~"},
    {"GET / HTTP/1.1\r\nHost: a\r\nX:", "z\r\n\r\n", VALUE},
    {"GET / HTTP/1.1\r\nHost: a\r\nX: y", "z\r\n\r\n", VALUE},
    {"GET / HTTP/1.1\r\nHost: a\r\nX: y", "\r\n\r\n", VALUE},
    {"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: y", "z\r\n\r\n", VALUE},
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive,", "z\r\n\r\n", VALUE},
    {CHUNKS "1;a", "b\r\nx\r\n0\r\n\r\n", "!!#'**++-.09;;==AZ^z||~~"},
    {CHUNKS "1;a=\"", "b\"\r\nx\r\n0\r\n\r\n", "\t\t !#~\x80\xff"},
    {CHUNKS "0\r\nX: y", "z\r\n\r\n", VALUE},
};

static bool is_allowed(const char *pairs, unsigned char c)
{
    for (; pairs[0]; pairs += 2)
        if (c >= (unsigned char)pairs[0] && c <= (unsigned char)pairs[1])
            return true;
    return false;
}

static void test_every_byte_in_every_place(void **state)
{
    struct http1_feed f;
    http1_feed_init(&f, HTTP1_REQUEST);
    for (size_t i = 0; i < COUNT(places); i++) {
        for (unsigned c = 0; c < 256; c++) {
            char stream[256];
            size_t before = strlen(places[i].before);
            size_t after = strlen(places[i].after);
            memcpy(stream, places[i].before, before);
            stream[before] = (char)c;
            memcpy(stream + before + 1, places[i].after, after);
            struct span all = {.ptr = stream, .len = before + 1 + after};
            http1_feed_stream(&f, all, 0, all.len);
            bool accepted = f.p.fault.status == 0;
            if (accepted != is_allowed(places[i].allowed, (unsigned char)c))
                fail_msg("byte %02x after '%s' is %s", c, places[i].before,
                    accepted ? "accepted" : "refused");
        }
    }
    http1_feed_release(&f);
}

/* ---- What heads mean ---- */

struct meaning {
    const char *stream;
    const char *said; /* the transcript's first line has this */
};

static const struct meaning meanings[] = {
    {"GET /a%20b?c=d HTTP/1.1\r\nHost: x:1\r\n\r\n",
        "\"target\":\"/a%20b?c=d\",\"path\":\"/a%20b\",\"query\":\"c=d\",\"host\":\"x:1\""},
    {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\"path\":\"/\",\"query\":null"},
    {"GET /? HTTP/1.1\r\nHost: x\r\n\r\n", "\"path\":\"/\",\"query\":\"\""},
    {"GET http://X:1/a?b HTTP/1.1\r\nHost: x:1\r\n\r\n",
        "\"path\":\"/a\",\"query\":\"b\",\"host\":\"X:1\""},
    {"GET http://x HTTP/1.1\r\nHost: x\r\n\r\n", "\"path\":\"/\",\"query\":null,\"host\":\"x\""},
    {"GET http://x?y HTTP/1.1\r\nHost: x\r\n\r\n", "\"path\":\"/\",\"query\":\"y\""},
    {"OPTIONS http://x HTTP/1.1\r\nHost: x\r\n\r\n", "\"path\":\"*\""},
    {"OPTIONS http://x/ HTTP/1.1\r\nHost: x\r\n\r\n", "\"path\":\"/\""},
    {"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "\"path\":\"*\""},
    {"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n", "\"path\":null,\"query\":null,\"host\":\"x:1\""},
    {"GET / HTTP/1.0\r\n\r\n", "\"host\":null,\"expect\":0,\"minor\":0,\"keep_alive\":0"},
    {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "\"keep_alive\":1"},
    {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", "\"keep_alive\":0"},
    {GET_A "\r\n", "\"minor\":1,\"keep_alive\":1,\"upgrade\":0,\"framing\":0"},
    {GET_A "Connection: x,\t Close ,y\r\n\r\n", "\"keep_alive\":0"},
    {GET_A "Connection: keep-alive\r\nConnection: close\r\n\r\n", "\"keep_alive\":0"},
    {GET_A "Connection: closed, xclose\r\n\r\n", "\"keep_alive\":1"},
    {GET_A "Connection: upgrade\r\nUpgrade: h2c\r\n\r\n", "\"upgrade\":1"},
    {GET_A "Upgrade: h2c\r\n\r\n", "\"upgrade\":0"},
    {"GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", "\"upgrade\":0"},
    {POST_A "Content-Length: 1\r\nExpect: 100-continue\r\n\r\nx", "\"expect\":1"},
    {POST_A "Content-Length: 0\r\nExpect: 100-continue\r\n\r\n", "\"expect\":0"},
    {POST_A TE "Expect: 100-continue\r\n\r\n0\r\n\r\n", "\"expect\":1"},
    {"POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\nx", "\"expect\":0"},
    {POST_A "Content-Length: 12\r\n\r\nhello, world", "\"framing\":1,\"length\":12"},
    {GET "hOsT:\t a \t\r\nX:\r\n\r\n", "\"fields\":[[\"hOsT\",\"a\"],[\"X\",\"\"]]"},
};

static const struct meaning reply_meanings[] = {
    {"HTTP/1.1 404 Not Found\r\n\r\n", "{\"status\":404,\"reason\":\"Not Found\",\"minor\":1,"
                                       "\"keep_alive\":0,\"upgrade\":0,\"framing\":3"},
    {"HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n", "\"reason\":\"\",\"minor\":1,\"keep_alive\":1"},
    {"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "\"minor\":0,\"keep_alive\":0"},
    {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", "\"keep_alive\":1"},
    {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", "\"keep_alive\":0"},
    {"HTTP/1.1 204 x\r\nContent-Length: 9\r\n\r\n", "\"keep_alive\":1,\"upgrade\":0,\"framing\":0,"
                                                    "\"length\":0"},
};

static void check_meanings(const struct meaning *table, size_t count, enum http1_kind kind)
{
    struct http1_feed f;
    http1_feed_init(&f, kind);
    for (size_t i = 0; i < count; i++) {
        struct span said = remember(http1_feed_stream(&f, span_of(table[i].stream), 1, 3));
        if (!strstr(said.ptr, table[i].said) || strstr(said.ptr, "\"bad\""))
            fail_msg("%s\nlacks %s:\n%s", table[i].stream, table[i].said, said.ptr);
        forget(said);
    }
    http1_feed_release(&f);
}

static void test_what_heads_mean(void **state)
{
    check_meanings(meanings, COUNT(meanings), HTTP1_REQUEST);
    check_meanings(reply_meanings, COUNT(reply_meanings), HTTP1_REPLY);
}

/* What llhttp would not read as chunks is refused before anybody acts on the head. */
static void test_a_coding_that_only_we_understand_is_refused_with_its_head(void **state)
{
    struct http1_feed f;
    http1_feed_init(&f, HTTP1_REQUEST);
    struct span said =
        http1_feed_stream(&f, SPAN(POST_A "Transfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n"), 0, 100);
    assert_true(said.len > 10 && memcmp(said.ptr, "{\"bad\":400", 10) == 0);
    http1_feed_release(&f);
}

static void test_trailers_are_found_beside_the_heads_fields(void **state)
{
    static const struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    struct http_field table[HTTP1_FIELDS_DEFAULT];
    struct http1 p;
    struct span in = SPAN(CHUNKS "1\r\nx\r\n0\r\nDigest: abc\r\nLast: \r\n\r\n");
    struct span data;
    http1_init(&p, HTTP1_REQUEST, &limits, table);
    assert_int_equal(http1_next(&p, &in, &data), HTTP1_HEAD);
    assert_int_equal(http1_next(&p, &in, &data), HTTP1_DATA);
    assert_int_equal(http1_next(&p, &in, &data), HTTP1_END);
    assert_int_equal(p.trailer_count, 2);
    const struct http_field *digest = http_field_find(p.trailers, p.trailer_count, "digest");
    assert_non_null(digest);
    assert_true(span_equal(digest->value, SPAN("abc")));
    assert_null(http_field_find(p.trailers, p.trailer_count, "host"));
    const struct http_field *host = http_field_find(p.head.fields, p.head.field_count, "host");
    assert_true(host && span_equal(host->value, SPAN("a")));
    assert_int_equal(p.head.method, HTTP_POST);
}

/* ---- Limits ---- */

/* One limit is lowered, the others are usual. */
#define LIMIT(member, most) \
    offsetof(struct http1_limits, member), sizeof(((struct http1_limits *)0)->member), (most)

struct limit_case {
    size_t offset;
    size_t size;
    uint64_t most;
    const char *fits;
    const char *beyond;
    int status;
};

static const struct limit_case limit_cases[] = {
    {LIMIT(line_max, 17), "GET /a HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /ab HTTP/1.1\r\nHost: a\r\n\r\n", 414},
    {LIMIT(line_max, 17), "GET /a HTTP/1.1\r\nHost: a\r\n\r\n", "GET /aaaaaaaaaaaaaaaaaaaaa", 414},
    {LIMIT(head_max, 27), GET_A "\r\n", GET_A "X:\r\n\r\n", 431},
    {LIMIT(head_max, 27), GET_A "\r\n", GET "Host: ab\r\n\r\n", 431},
    {LIMIT(head_max, 27), GET_A "\r\n", GET_A "X: aaaaaaaaaaaaa", 431},
    {LIMIT(head_max, 10), "", GET_A "\r\n", 414},
    {LIMIT(fields_max, 2), GET_A "X: y\r\n\r\n", GET_A "X: y\r\nX: y\r\n\r\n", 431},
    {LIMIT(fields_max, 3), CHUNKS "0\r\nX: y\r\n\r\n", CHUNKS "0\r\nX: y\r\nX: y\r\n\r\n", 431},
    {LIMIT(trailer_max, 8), CHUNKS "0\r\nX: y\r\n\r\n", CHUNKS "0\r\nX: yz\r\n\r\n", 431},
    {LIMIT(trailer_max, 8), CHUNKS "0\r\nX: y\r\n\r\n", CHUNKS "0\r\nX: yzzzzz", 431},
    {LIMIT(body_max, 3), POST_A "Content-Length: 3\r\n\r\nabc", POST_A "Content-Length: 4\r\n\r\n",
        413},
    {LIMIT(body_max, 3), CHUNKS "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", CHUNKS "1\r\na\r\n3\r\nb", 413},
    {LIMIT(body_max, 0), POST_A "Content-Length: 0\r\n\r\n", POST_A "Content-Length: 1\r\n\r\n",
        413},
    {LIMIT(body_max, 0), CHUNKS "0\r\n\r\n", CHUNKS "1\r\na", 413},
    {LIMIT(trailer_max, 2), CHUNKS "0\r\n\r\n", CHUNKS "0\r\nX: y\r\n\r\n", 431},
    {LIMIT(fields_max, 0), "GET / HTTP/1.0\r\n\r\n", GET_A "\r\n", 431},
    {LIMIT(chunk_line_max, 5), CHUNKS "1;a\r\nx\r\n0\r\n\r\n", CHUNKS "1;ab\r\nx\r\n0\r\n\r\n",
        400},
    {LIMIT(chunk_line_max, 5), CHUNKS "1;a\r\nx\r\n0\r\n\r\n", CHUNKS "000000", 400},
};

static void expect_status(struct http1_feed *f, struct span stream, int status)
{
    struct span said = read_in_all_ways(f, stream.ptr, stream);
    char bad[32];
    snprintf(bad, sizeof bad, "{\"bad\":%d", status);
    if (status ? !strstr(said.ptr, bad) : strstr(said.ptr, "{\"bad\"") != NULL)
        fail_msg("%s\nis not %d:\n%s", stream.ptr, status, said.ptr);
    forget(said);
}

static void set_limit(struct http1_limits *limits, const struct limit_case *c)
{
    char *at = (char *)limits + c->offset;
    if (c->size == sizeof(unsigned))
        *(unsigned *)(void *)at = (unsigned)c->most;
    else
        *(uint64_t *)(void *)at = c->most;
}

static void test_limits_are_met_exactly(void **state)
{
    for (size_t i = 0; i < COUNT(limit_cases); i++) {
        struct http1_feed f;
        http1_feed_init(&f, HTTP1_REQUEST);
        set_limit(&f.limits, &limit_cases[i]);
        expect_status(&f, span_of(limit_cases[i].fits), 0);
        expect_status(&f, span_of(limit_cases[i].beyond), limit_cases[i].status);
        http1_feed_release(&f);
    }
}

static void test_a_reply_without_end_stops_at_the_limit(void **state)
{
    struct http1_feed f;
    http1_feed_init(&f, HTTP1_REPLY);
    f.limits.body_max = 3;
    expect_status(&f, SPAN(R "\r\nabc"), 0);
    expect_status(&f, SPAN(R "\r\nabcd"), 413);
    http1_feed_release(&f);
}

/* What is usual when nobody said: 8 KiB, 32 KiB, 100 fields. */
static void test_limits_that_nobody_set(void **state)
{
    struct http1_feed f;
    struct bytes stream;
    http1_feed_init(&f, HTTP1_REQUEST);
    bytes_init(&stream, 1 << 20);
    static const struct {
        const char *before;
        const char *again;
        int fit; /* so many times it may be there */
        int status;
    } repeated[] = {
        {"GET /", "x", 8 * 1024 - 5 - 11, 414},
        {GET_A, "X: y\r\n", 99, 431},
        {GET_A "X: ", "y", 32 * 1024 - (int)sizeof GET_A + 1 - 7, 431},
        {CHUNKS "0\r\nX: ", "y", 8 * 1024 - 7, 431},
        {CHUNKS "1;", "a", 1024 - 4, 400},
    };
    static const char *const after[] = {
        " HTTP/1.1\r\nHost: a\r\n\r\n", "\r\n", "\r\n\r\n", "\r\n\r\n", "\r\nx\r\n0\r\n\r\n"};
    for (size_t i = 0; i < COUNT(repeated); i++) {
        for (int beyond = 0; beyond < 2; beyond++) {
            bytes_reset(&stream);
            assert_int_equal(bytes_printf(&stream, "%s", repeated[i].before), 0);
            for (int n = 0; n < repeated[i].fit + beyond; n++)
                assert_int_equal(bytes_printf(&stream, "%s", repeated[i].again), 0);
            assert_int_equal(bytes_printf(&stream, "%s", after[i]), 0);
            http1_feed_stream(&f, bytes_span(&stream), 0, 1000);
            assert_int_equal(f.p.fault.status, beyond ? repeated[i].status : 0);
        }
    }
    bytes_release(&stream);
    http1_feed_release(&f);
}

/* ---- Ends ---- */

static void test_an_end_is_good_only_between_messages(void **state)
{
    static const char stream[] = CHUNKS "1\r\nx\r\n0\r\nX: y\r\n\r\n";
    struct http1_feed f;
    http1_feed_init(&f, HTTP1_REQUEST);
    for (size_t len = 0; len < sizeof stream; len++) {
        http1_feed_stream(&f, (struct span){.ptr = stream, .len = len}, 0, len);
        bool good = len == 0 || len == sizeof stream - 1;
        assert_int_equal(f.p.fault.status, good ? 0 : 400);
    }
    http1_feed_release(&f);
}

static void test_an_end_that_was_not_asked_for_yet(void **state)
{
    static const struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    struct http_field table[HTTP1_FIELDS_DEFAULT];
    struct http1 p;
    struct span data;
    struct span in = SPAN(GET_A "\r\n");
    http1_init(&p, HTTP1_REQUEST, &limits, table);
    assert_int_equal(http1_eof(&p, (struct span){0}), HTTP1_MORE);
    assert_int_equal(http1_next(&p, &in, &data), HTTP1_HEAD);
    assert_int_equal(http1_eof(&p, in), HTTP1_END);
    assert_int_equal(http1_eof(&p, in), HTTP1_END);
}

static void test_what_a_reply_answers_lasts_until_the_final_one(void **state)
{
    static const struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    struct http_field table[HTTP1_FIELDS_DEFAULT];
    struct http1 p;
    struct span data;
    struct span in =
        SPAN("HTTP/1.1 103 x\r\n\r\n" R "Content-Length: 1\r\n\r\n" R "Content-Length: 1\r\n\r\n");
    http1_init(&p, HTTP1_REPLY, &limits, table);
    http1_replies_to(&p, HTTP_HEAD);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(http1_next(&p, &in, &data), HTTP1_HEAD);
        assert_int_equal(http1_next(&p, &in, &data), HTTP1_END);
        http1_reset(&p);
    }
    assert_int_equal(http1_next(&p, &in, &data), HTTP1_HEAD);
    assert_int_equal(p.head.framing, HTTP1_LENGTH);
}

/* ---- Fields ---- */

static void test_names_lists_and_values(void **state)
{
    assert_true(http_name_equal(SPAN("Content-Type"), "content-type"));
    assert_false(http_name_equal(SPAN("Content-Typ"), "content-type"));
    assert_false(http_name_equal(SPAN("Content-Type^"), "content-type~"));
    assert_true(http_list_has(SPAN("a, B ,c"), "b"));
    assert_true(http_list_has(SPAN(",,b"), "b"));
    assert_false(http_list_has(SPAN("ab, bc"), "b"));
    assert_false(http_list_has(SPAN(""), "b"));
    assert_false(http_list_has((struct span){0}, "b"));
    assert_true(http_token_valid(SPAN("X-a.b")));
    assert_false(http_token_valid(SPAN("")));
    for (unsigned c = 0; c < 256; c++) {
        char text[20] = "aaaaaaaaaaaaaaaaaaaa";
        bool allowed = (c >= 0x20 && c != 0x7f) || c == '\t';
        for (size_t at = 0; at < sizeof text; at++) {
            text[at] = (char)c;
            assert_int_equal(http_value_valid((struct span){text, sizeof text}), allowed);
            text[at] = 'a';
        }
    }
}

/* ---- Writing ---- */

static void test_what_was_written_is_read_back(void **state)
{
    const struct http_field trailers[] = {{SPAN("X"), SPAN("y")}, {SPAN("Z"), SPAN("")}};
    char head[HTTP1_CHUNK_HEAD_MAX];
    struct bytes out;
    struct http1_feed f;
    bytes_init(&out, 4096);
    assert_int_equal(http1_write_request_line(&out, SPAN("POST"), SPAN("/a?b")), 0);
    assert_int_equal(http1_write_field(&out, SPAN("Host"), SPAN("a")), 0);
    assert_int_equal(http1_write_field(&out, SPAN("Transfer-Encoding"), SPAN("chunked")), 0);
    assert_int_equal(http1_write_head_end(&out), 0);
    for (size_t size = 1; size < 300; size += 97) {
        char body[300];
        memset(body, 'x', sizeof body);
        assert_int_equal(bytes_append(&out, head, http1_chunk_head(head, size)), 0);
        assert_int_equal(bytes_append(&out, body, size), 0);
        assert_int_equal(bytes_append(&out, "\r\n", 2), 0);
    }
    assert_int_equal(http1_write_last_chunk(&out, trailers, 2), 0);

    http1_feed_init(&f, HTTP1_REQUEST);
    struct span said = remember(http1_feed_stream(&f, bytes_span(&out), 0, out.len));
    assert_int_equal(f.p.fault.status, 0);
    assert_non_null(strstr(said.ptr, "\"method\":\"POST\",\"target\":\"/a?b\""));
    assert_non_null(strstr(said.ptr, "{\"trailers\":[[\"X\",\"y\"],[\"Z\",\"\"]]}"));
    const char *body = strstr(said.ptr, "{\"body\":\"");
    assert_non_null(body);
    assert_int_equal(strspn(body + 9, "x"), 1 + 98 + 195 + 292);
    forget(said);
    http1_feed_release(&f);
    bytes_release(&out);
}

static void test_a_reply_as_it_stands_on_the_wire(void **state)
{
    struct bytes out;
    bytes_init(&out, 4096);
    assert_int_equal(http1_write_status_line(&out, 200), 0);
    assert_int_equal(http1_write_length(&out, 0), 0);
    assert_int_equal(http1_write_length(&out, UINT64_MAX), 0);
    assert_int_equal(http1_write_status_line(&out, 431), 0);
    assert_int_equal(http1_write_status_line(&out, 599), 0);
    assert_int_equal(http1_write_last_chunk(&out, NULL, 0), 0);
    assert_true(span_equal(bytes_span(&out),
        SPAN("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 18446744073709551615\r\n"
             "HTTP/1.1 431 Request Header Fields Too Large\r\nHTTP/1.1 599 \r\n0\r\n\r\n")));
    bytes_release(&out);
}

static void test_what_would_break_the_framing_is_not_written(void **state)
{
    struct bytes out;
    bytes_init(&out, 4096);
    assert_int_equal(http1_write_request_line(&out, SPAN("GE T"), SPAN("/")), -EINVAL);
    assert_int_equal(http1_write_request_line(&out, SPAN(""), SPAN("/")), -EINVAL);
    assert_int_equal(http1_write_request_line(&out, SPAN("GET"), SPAN("")), -EINVAL);
    assert_int_equal(http1_write_request_line(&out, SPAN("GET"), SPAN("/ HTTP/1.1\r\n")), -EINVAL);
    assert_int_equal(http1_write_request_line(&out, SPAN("GET"), SPAN("/\xff")), -EINVAL);
    assert_int_equal(http1_write_status_line(&out, 99), -EINVAL);
    assert_int_equal(http1_write_status_line(&out, 600), -EINVAL);
    assert_int_equal(http1_write_field(&out, SPAN(""), SPAN("x")), -EINVAL);
    assert_int_equal(http1_write_field(&out, SPAN("a:b"), SPAN("x")), -EINVAL);
    assert_int_equal(http1_write_field(&out, SPAN("a"), SPAN("x\r\nb: c")), -EINVAL);
    assert_int_equal(http1_write_field(&out, SPAN("a"), SPAN("\0")), -EINVAL);
    const struct http_field bad[] = {{SPAN("X"), SPAN("y")}, {SPAN("Z"), SPAN("\n")}};
    assert_int_equal(http1_write_last_chunk(&out, bad, 2), -EINVAL);
    assert_int_equal(out.len, 0);
    bytes_release(&out);
}

static bool write_all(struct bytes *out)
{
    const struct http_field trailer = {SPAN("Trailer-Name"), SPAN("and its value")};
    return http1_write_request_line(out, SPAN("GET"), SPAN("/some/long/path/of/many")) == 0 &&
           http1_write_status_line(out, 431) == 0 &&
           http1_write_field(out, SPAN("A-Name-Like-Others"), SPAN("and a value of its own")) ==
               0 &&
           http1_write_length(out, 123456789) == 0 && http1_write_head_end(out) == 0 &&
           http1_write_last_chunk(out, &trailer, 1) == 0;
}

static bool write_without_memory(void)
{
    struct bytes out;
    bytes_init(&out, 4096);
    bool through = write_all(&out);
    bytes_release(&out);
    return through;
}

static void test_writing_without_memory_or_room(void **state)
{
    torture(write_without_memory);
    struct bytes out;
    size_t room = 0;
    bool through;
    do {
        bytes_init(&out, room);
        through = write_all(&out);
        assert_true(out.len <= room);
        /* Whole lines only. */
        assert_true(out.len == 0 || memcmp(out.ptr + out.len - 2, "\r\n", 2) == 0);
        if (through)
            assert_int_equal(out.len, room); /* not a byte more is asked for than is used */
        bytes_release(&out);
    } while (room++ < 1000 && !through);
    assert_true(through);
}

TEST_FILE(http1)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_whole_and_in_pieces),
        cmocka_unit_test(test_replies_whole_and_in_pieces),
        cmocka_unit_test(test_every_byte_in_every_place),
        cmocka_unit_test(test_what_heads_mean),
        cmocka_unit_test(test_a_coding_that_only_we_understand_is_refused_with_its_head),
        cmocka_unit_test(test_trailers_are_found_beside_the_heads_fields),
        cmocka_unit_test(test_limits_are_met_exactly),
        cmocka_unit_test(test_a_reply_without_end_stops_at_the_limit),
        cmocka_unit_test(test_limits_that_nobody_set),
        cmocka_unit_test(test_an_end_is_good_only_between_messages),
        cmocka_unit_test(test_an_end_that_was_not_asked_for_yet),
        cmocka_unit_test(test_what_a_reply_answers_lasts_until_the_final_one),
        cmocka_unit_test(test_names_lists_and_values),
        cmocka_unit_test(test_what_was_written_is_read_back),
        cmocka_unit_test(test_a_reply_as_it_stands_on_the_wire),
        cmocka_unit_test(test_what_would_break_the_framing_is_not_written),
        cmocka_unit_test(test_writing_without_memory_or_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
