/*
 * client_fail_test.c: servers that fail in every way, each with the error it must get; limits of
 * time and size, waiting in line, cancellation, and the heap that runs out.
 */
#include "client_scene.h"

/* ---- Connecting ---- */

static void ask_refused(struct scene *s)
{
    must(get(s) == -ECONNREFUSED);
    must(failed(
        s, -ECONNREFUSED, "connect", "cannot connect to http://there:7: connection refused"));
    must(FIGURE(s, connect_failures) == 1);
    must(http_client_origin(s->client, SPAN("http://nowhere"), &s->origin, &s->e) == 0);
    must(get(s) == -ENOENT);
    must(failed(s, -ENOENT, "connect", "cannot connect to http://nowhere: there is no host"));
}

static void test_nobody_there(void **state)
{
    static struct scene s;
    s = (struct scene){.options = HTTP_CLIENT_DEFAULTS, .ask = ask_refused};
    play_scene(&s, (struct sim_options){0});
}

static void ask_blackhole(struct scene *s)
{
    must(sim_cut_both(s->u.here, s->u.there) == 0);
    must(get(s) == -ETIMEDOUT);
    must(failed(s, -ETIMEDOUT, "timeout", "http://there:7 did not accept a connection within 5s"));
    must(world_now(s->w) == s->began + 5 * NS_PER_S);
    CORO_DEADLINE(world_now(s->w) + NS_PER_S);
    must(get(s) == -ETIMEDOUT);
    must(
        failed(s, -ETIMEDOUT, "timeout", "the deadline passed while connecting to http://there:7"));
    must(get(s) == -ETIMEDOUT);
    must(failed(s, -ETIMEDOUT, "timeout", "the deadline passed while about to call"));
    must(FIGURE(s, timeouts) == 3);
}

static void test_a_server_that_swallows_packets(void **state)
{
    PLAY(ask_blackhole, {.replies = {OK("a", "1")}});
}

static void ask_second_address(struct scene *s)
{
    /* "both" is two hosts, and nothing gets through to one of them. */
    struct sim_host *lost = add_host(s->u.sim, "lost");
    must(sim_name(s->u.sim, "both", lost) == 0 && sim_name(s->u.sim, "both", s->u.there) == 0);
    must(sim_cut_both(s->u.here, lost) == 0);
    must(http_client_origin(s->client, SPAN("http://both:7"), &s->origin, NULL) == 0);
    for (int i = 0; i < 4; i++) {
        must(get(s) == 0);
        must(s->answer.body.len == 1);
    }
    /* Whichever came first: what answered is tried first from then on. */
    must(world_now(s->w) - s->began < 3 * NS_PER_S);
}

static void test_all_addresses_are_tried(void **state)
{
    PLAY(ask_second_address,
        {.replies = {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\na"}});
}

/* ---- Replies that are none ---- */

static void ask_reset(struct scene *s)
{
    must(get(s) == -ECONNRESET);
    must(failed(s, -ECONNRESET, "reset", "before its reply began"));
    must(s->accepted == 1); /* a new connection is not replaced */
}

static void ask_cut_off(struct scene *s)
{
    must(get(s) == -ECONNRESET);
    must(failed(s, -ECONNRESET, "reset",
        "http://there:7 closed the connection before its reply was complete"));
    must(FIGURE(s, idle) == 0);
}

static void test_replies_that_are_cut_off(void **state)
{
    PLAY(ask_reset, {.then = CLOSE});
    PLAY(ask_reset, {.replies = {""}, .then = CLOSE});
    PLAY(ask_cut_off, {.replies = {"HTTP/1.1 200 OK\r\nContent-"}, .then = CLOSE});
    PLAY(ask_cut_off, {.replies = {OK("hal", "5")}, .then = CLOSE});
    PLAY(ask_cut_off, {.replies = {"HTTP/1.1 100 Continue\r\n\r\n"}, .then = CLOSE});
    PLAY(ask_cut_off, {.replies = {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"},
                          .then = CLOSE});
    PLAY(ask_cut_off,
        {.replies = {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n0\r\n"},
            .then = CLOSE});
}

static void ask_bad(struct scene *s)
{
    must(get(s) == -EBADMSG);
    must(failed(s, -EBADMSG, "reply", "the reply of http://there:7 is not understood: "));
    must(FIGURE(s, idle) == 0 && FIGURE(s, stale_retries) == 0);
}

static void test_replies_that_are_not_understood(void **state)
{
    PLAY(ask_bad, {.replies = {"SSH-2.0-OpenSSH\r\n"}});
    PLAY(ask_bad, {.replies = {"HTTP/1.1 OK\r\n\r\n"}});
    PLAY(ask_bad, {.replies = {"HTTP/1.1 200 OK\r\nA b: c\r\n\r\n"}});
    PLAY(ask_bad, {.replies = {"HTTP/1.1 200 OK\nContent-Length: 0\n\n"}});
    PLAY(ask_bad,
        {.replies = {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na"}});
    PLAY(ask_bad, {.replies = {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"}});
    PLAY(ask_bad, {.replies = {"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                               "Upgrade: x\r\n\r\n"}});
}

static void ask_flood(struct scene *s)
{
    must(get(s) == -EBADMSG);
    must(failed(s, -EBADMSG, "reply", "too many interim replies"));
}

#define CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"
#define FOUR     CONTINUE CONTINUE CONTINUE CONTINUE

static void ask_sixteen(struct scene *s)
{
    must(get(s) == 0 && answered(s, 200, "a"));
}

static void test_interim_replies_are_bounded(void **state)
{
    PLAY(ask_sixteen, {.replies = {FOUR FOUR FOUR FOUR OK("a", "1")}});
    PLAY(ask_flood, {.replies = {FOUR FOUR FOUR FOUR CONTINUE OK("a", "1")}});
}

/* ---- Limits of size ---- */

static void ask_too_large(struct scene *s)
{
    must(get(s) == -EMSGSIZE);
    must(s->e.code == -EMSGSIZE && strcmp(s->e.type, "reply") == 0);
    must(FIGURE(s, idle) == 0);
}

static void play_limited(const char *reply, void (*ask)(struct scene *s))
{
    static struct scene s;
    struct line line = {.replies = {reply}};
    s = (struct scene){
        .options = HTTP_CLIENT_DEFAULTS, .ask = ask, .lines = &line, .line_count = 1};
    s.options.body_max = 10;
    s.options.limits.head_max = 200;
    play_scene(&s, (struct sim_options){0});
}

static void ask_ten(struct scene *s)
{
    must(get(s) == 0 && answered(s, 200, "0123456789"));
}

static void test_replies_have_a_largest_size(void **state)
{
    char head[400] = "HTTP/1.1 200 OK\r\nX: ";
    memset(head + strlen(head), 'x', 300);
    play_limited(head, ask_too_large);
    play_limited(OK("0123456789", "10"), ask_ten);
    play_limited("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n",
        ask_ten);
    play_limited(OK("", "11"), ask_too_large);
    play_limited("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "5\r\n01234\r\n6\r\n56789a\r\n0\r\n\r\n",
        ask_too_large);
    play_limited("HTTP/1.1 200 OK\r\n\r\n0123456789a", ask_too_large);
    play_limited(OK("", "1000000000000000000"), ask_too_large);
}

/* ---- Limits of time ---- */

static void ask_silent(struct scene *s)
{
    must(get(s) == -ETIMEDOUT);
    must(failed(s, -ETIMEDOUT, "timeout", "http://there:7 did not begin to answer within 30s"));
    int64_t took = world_now(s->w) - s->began;
    must(took >= 30 * NS_PER_S && took < 31 * NS_PER_S);
    CORO_DEADLINE(world_now(s->w) + NS_PER_S);
    must(get(s) == -ETIMEDOUT);
    must(failed(s, -ETIMEDOUT, "timeout", "the deadline passed while waiting for the reply of"));
    must(FIGURE(s, idle) == 0 && FIGURE(s, timeouts) == 2);
}

static void ask_drip(struct scene *s)
{
    CORO_DEADLINE(world_now(s->w) + 10 * NS_PER_S);
    must(get(s) == -ETIMEDOUT);
    must(failed(s, -ETIMEDOUT, "timeout", "the deadline passed while waiting for the reply of"));
    must(world_now(s->w) == s->began + 10 * NS_PER_S);
}

static void test_servers_that_are_too_slow(void **state)
{
    PLAY(ask_silent, {.then = HOLD});
    PLAY(ask_drip, {.replies = {OK("hello, hello", "12")}, .slow_ns = NS_PER_S});
}

/* ---- What is not sent ---- */

static void ask_nonsense(struct scene *s)
{
    static const struct http_field wrong[] = {
        {SPAN("Host"), SPAN("x")},
        {SPAN("content-LENGTH"), SPAN("1")},
        {SPAN("Transfer-Encoding"), SPAN("chunked")},
        {SPAN("Connection"), SPAN("close")},
        {SPAN("Expect"), SPAN("100-continue")},
        {SPAN("A"), SPAN("b\r\nC: d")},
        {SPAN("A:"), SPAN("b")},
        {SPAN(""), SPAN("b")},
        {SPAN("A"), SPAN("\0")},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        must(call_with(s, (struct http_client_request){.fields = &wrong[i], .field_count = 1}) ==
             -EINVAL);
        must(failed(s, -EINVAL, "request", "this field"));
    }
    static const char *const targets[] = {"", "x", "/ HTTP/1.1", "/\r\n", "/\x80", "http://y/"};
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        must(call_with(s, (struct http_client_request){.target = span_of(targets[i])}) == -EINVAL);
        must(failed(s, -EINVAL, "request", "its target is"));
    }
    must(call_with(s, (struct http_client_request){.method = SPAN("CONNECT")}) == -EINVAL);
    must(call_with(s, (struct http_client_request){.method = SPAN("G T")}) == -EINVAL);
    must(failed(s, -EINVAL, "request", "its method is 'G T'"));
    must(s->accepted == 0);
}

static void test_what_breaks_the_framing_is_not_sent(void **state)
{
    PLAY(ask_nonsense, {.replies = {OK("a", "1")}});
}

/* ---- Requests that are answered before they were read ---- */

#define LARGE ((size_t)2 * 1024 * 1024)

static int post_large(struct scene *s)
{
    char *body = mem_zalloc(LARGE);
    must(body);
    int rc =
        call_with(s, (struct http_client_request){.method = SPAN("POST"), .body = {body, LARGE}});
    mem_free(body);
    return rc;
}

static void ask_early(struct scene *s)
{
    must(post_large(s) == 0 && answered(s, 413, "too large"));
    must(world_now(s->w) - s->began < NS_PER_S);
    must(FIGURE(s, idle) == 0);
    future_set(&s->go_on, 0);
}

static void ask_unread(struct scene *s)
{
    must(post_large(s) == -ETIMEDOUT);
    must(failed(s, -ETIMEDOUT, "timeout", "did not begin to answer within 30s"));
    future_set(&s->go_on, 0);
}

static void test_an_early_reply_is_seen(void **state)
{
    static const char reply[] =
        "HTTP/1.1 413 Content Too Large\r\nContent-Length: 9\r\n\r\ntoo large";
    PLAY(ask_early, {.replies = {reply}, .then = HOLD, .head_is_enough = true});
    PLAY(ask_early, {.replies = {reply}, .then = CLOSE, .head_is_enough = true});
    PLAY(ask_unread, {.then = HOLD});
}

/* ---- Waiting in line ---- */

struct caller {
    struct scene *s;
    int64_t deadline;
    int rc;
    int64_t ended;
    int order;
    char type[ERROR_TYPE_MAX];
    bool whole;
};

static int served;

static int call_fn(void *arg)
{
    struct caller *c = arg;
    struct arena arena;
    struct http_response answer;
    struct error e = {0};
    arena_init(&arena, 1024 * 1024);
    CORO_DEADLINE(c->deadline ? c->deadline : DEADLINE_NEVER);
    c->rc = http_call(c->s->client,
        &(struct http_client_request){
            .origin = c->s->origin, .method = SPAN("GET"), .target = SPAN("/")},
        &arena, &answer, &e);
    c->ended = world_now(c->s->w);
    c->order = served++;
    memcpy(c->type, e.type, sizeof c->type);
    c->whole = c->rc == 0 && span_equal(answer.body, SPAN("a"));
    arena_release(&arena);
    return 0;
}

static void spawn_callers(struct scene *s, struct group *g, struct caller *callers, int count)
{
    served = 0;
    for (int i = 0; i < count; i++) {
        callers[i].s = s;
        must(group_spawn(g, "caller", call_fn, &callers[i]) == 0);
        must_sleep(s->w, 1); /* one after the other: who of several runs first, the seed decides */
    }
}

/* One connection, a second a reply. The third gives up waiting, the fourth is cancelled. */
static void ask_in_line(struct scene *s)
{
    static struct caller callers[5];
    memset(callers, 0, sizeof callers);
    callers[2].deadline = s->began + NS_PER_S / 2;
    GROUP(g, GROUP_INDEPENDENT);
    spawn_callers(s, &g, callers, 3);
    {
        GROUP(cancelled, GROUP_INDEPENDENT);
        spawn_callers(s, &cancelled, callers + 3, 1);
        must_sleep(s->w, NS_PER_S / 4);
        spawn_callers(s, &g, callers + 4, 1);
        must(FIGURE(s, in_use) == 1);
    }
    must(callers[3].rc == -ECANCELED && strcmp(callers[3].type, "canceled") == 0);
    must(group_wait(&g) == 0);
    must(callers[0].rc == 0 && callers[1].rc == 0 && callers[4].rc == 0);
    must(callers[0].order < callers[1].order && callers[1].order < callers[4].order);
    must(callers[2].rc == -ETIMEDOUT && strcmp(callers[2].type, "timeout") == 0);
    must(callers[2].ended == callers[2].deadline);
    must(s->accepted == 1 && FIGURE(s, reuses) == 2);
}

static void test_calls_wait_in_line(void **state)
{
    static struct scene s;
    static const struct line line = {
        .replies = {OK("a", "1"), OK("a", "1"), OK("a", "1")}, .before_ns = NS_PER_S};
    s = (struct scene){
        .options = HTTP_CLIENT_DEFAULTS, .ask = ask_in_line, .lines = &line, .line_count = 1};
    s.options.in_use_max = 1;
    play_scene(&s, (struct sim_options){0});
}

static void ask_many(struct scene *s)
{
    static struct caller callers[20];
    memset(callers, 0, sizeof callers);
    GROUP(g, GROUP_INDEPENDENT);
    spawn_callers(s, &g, callers, 20);
    must(group_wait(&g) == 0);
    for (int i = 0; i < 20; i++)
        must(callers[i].whole);
    must(s->accepted == 20 && FIGURE(s, idle) == 3); /* of 20, three are kept */
}

static void test_only_so_many_are_kept(void **state)
{
    static struct scene s;
    static const struct line line = {.replies = {OK("a", "1")}, .before_ns = NS_PER_MS};
    s = (struct scene){
        .options = HTTP_CLIENT_DEFAULTS, .ask = ask_many, .lines = &line, .line_count = 1};
    s.options.idle_max = 3;
    play_scene(&s, (struct sim_options){0});
}

static void ask_then_cancel(struct scene *s)
{
    static struct caller caller;
    memset(&caller, 0, sizeof caller);
    {
        GROUP(g, GROUP_INDEPENDENT);
        spawn_callers(s, &g, &caller, 1);
        must_sleep(s->w, NS_PER_S / 2);
    }
    must(caller.rc == -ECANCELED && FIGURE(s, idle) == 0 && FIGURE(s, in_use) == 0);
    must_sleep(s->w, NS_PER_S);
    must(s->open == 0); /* the server sees it leave */
}

static void test_a_cancelled_call_drops_its_connection(void **state)
{
    PLAY(ask_then_cancel, {.replies = {OK("a", "1")}, .before_ns = NS_PER_S});
}

/* ---- No memory ---- */

/* The server's may have run out instead, and then it hangs up. */
static bool is_for_want_of_memory(int rc)
{
    return rc == 0 || rc == -ENOMEM || rc == -ECONNRESET || rc == -ECONNREFUSED;
}

static bool through;

static void ask_with_failing_memory(struct scene *s)
{
    uint64_t nth = (uint64_t)s->options.idle_max;
    must_sleep(s->w, NS_PER_MS); /* the server listens */
    mem_fail_at(nth, false);
    int first = get(s);
    int second = first ? 0 : get(s);
    through = mem_count() < nth;
    mem_fail_at(0, false);
    must(is_for_want_of_memory(first) && is_for_want_of_memory(second));
    must(!through || (first == 0 && second == 0 && answered(s, 201, "chunks")));
    must(get(s) != -ENOMEM); /* it recovers */
}

static void test_memory_that_runs_out_fails_one_call(void **state)
{
    static struct scene s;
    static const struct line line = {
        .replies = {OK("hello", "5"),
            "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n"
            "3;x=y\r\nchu\r\n3\r\nnks\r\n0\r\nT: v\r\n\r\n",
            OK("again", "5")},
        .slow_ns = NS_PER_MS};
    through = false;
    for (unsigned nth = 1; !through; nth++) {
        assert_true(nth < 1000);
        s = (struct scene){.options = HTTP_CLIENT_DEFAULTS,
            .ask = ask_with_failing_memory,
            .lines = &line,
            .line_count = 1};
        s.options.idle_max = nth; /* a way to hand it in that changes nothing */
        play_scene(&s, (struct sim_options){.survive = true});
    }
}

TEST_FILE(client_fail)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_a_server_that_swallows_packets),
        cmocka_unit_test(test_all_addresses_are_tried),
        cmocka_unit_test(test_replies_that_are_cut_off),
        cmocka_unit_test(test_replies_that_are_not_understood),
        cmocka_unit_test(test_interim_replies_are_bounded),
        cmocka_unit_test(test_replies_have_a_largest_size),
        cmocka_unit_test(test_servers_that_are_too_slow),
        cmocka_unit_test(test_what_breaks_the_framing_is_not_sent),
        cmocka_unit_test(test_an_early_reply_is_seen),
        cmocka_unit_test(test_calls_wait_in_line),
        cmocka_unit_test(test_only_so_many_are_kept),
        cmocka_unit_test(test_a_cancelled_call_drops_its_connection),
        cmocka_unit_test(test_memory_that_runs_out_fails_one_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
