/*
 * server_scene.h: a server on the host `there`, port 80, whose handler does what the path says, and
 * a script on `here` that talks to it in raw bytes.
 */
#pragma once

#include "../world/sim_fixture.h"

#include "http/server.h"

#include <stdatomic.h>

struct scene {
    struct universe u;
    struct http_server_options options;
    void (*script)(struct scene *s, struct world *w);
    uint64_t seed;   /* 0: 1 */
    uint64_t number; /* the script's own */
    struct body_budget *budget;
    /* The server's side. */
    struct world *server_world;
    struct http_server *server;
    struct http_server_stats stats;
    struct sim_process *server_process;
    struct signals *signals; /* SIGTERM begins the drain */
    bool told_to_stop;
    int64_t grace, deadline; /* of the drain that it begins */
    bool last;
    int64_t stopped, ended; /* on the server's clock */
    int run_result;
    /* What handlers and `done` saw. */
    int handled, done, cancelled;
    int last_status;
    int64_t last_took;
    int last_error; /* of the latest call that failed */
    uint64_t last_received, last_sent;
    char last_id[HTTP_REQUEST_ID_MAX + 1];
    char last_label[32];
    /* The script's side. */
    struct world *w;
    bool finished;
};

/* ---- The handler ---- */

static inline bool path_is(const struct http_request *r, const char *path)
{
    return span_equal(r->head->path, span_of(path));
}

static inline long query_number(const struct http_request *r)
{
    char text[24] = "";
    size_t len = r->head->query.len < sizeof text - 1 ? r->head->query.len : sizeof text - 1;
    if (len > 0)
        memcpy(text, r->head->query.ptr, len);
    return strtol(text, NULL, 10);
}

static inline int note(struct scene *s, int rc)
{
    if (rc < 0)
        s->last_error = rc;
    return rc;
}

static inline int say_text(struct scene *s, struct http_request *r, const char *text)
{
    return note(s, http_reply(r, 200, NULL, 0, span_of(text)));
}

/* What a body's failure is answered with. */
static inline void say_failure(struct scene *s, struct http_request *r, int rc)
{
    note(s, rc);
    int status = rc == -EMSGSIZE                   ? 413
                 : rc == -ETIMEDOUT                ? 408
                 : rc == -ENOMEM || rc == -ENOBUFS ? 503
                                                   : 400;
    if (rc != -ECANCELED)
        note(s, http_reply_status(r, status, NULL, 0, "the body cannot be read"));
}

static inline void handle_echo(struct scene *s, struct http_request *r)
{
    struct span body;
    int rc = http_request_body(r, &body);
    if (rc)
        say_failure(s, r, rc);
    else
        note(s, http_reply(r, 200, NULL, 0, body));
}

/* What was sent, a while after it was. */
static inline void handle_later(struct scene *s, struct http_request *r)
{
    struct span body;
    int rc = http_request_body(r, &body);
    if (rc == 0)
        rc = world_sleep(s->server_world, 20 * NS_PER_MS);
    const struct http_field *f = http_field_find(r->head->fields, r->head->field_count, "x-said");
    if (rc)
        say_failure(s, r, rc);
    else
        note(s, http_reply(r, 200, f, f != NULL, body));
}

static inline void handle_stream(struct scene *s, struct http_request *r, bool pause)
{
    struct span piece;
    ssize_t got = http_request_read(r, &piece);
    if (got < 0) {
        say_failure(s, r, (int)got);
        return;
    }
    if (note(s, http_reply_begin(r, 200, NULL, 0, -1)))
        return;
    for (; got > 0; got = http_request_read(r, &piece)) {
        if (pause && world_sleep(s->server_world, 3 * NS_PER_S))
            return;
        if (note(s, http_reply_write(r, piece)))
            return;
    }
    if (got < 0) {
        note(s, (int)got);
        return;
    }
    struct http_field trailer = {SPAN("X-Sum"), SPAN("all")};
    note(s, http_reply_end(r, &trailer, 1));
}

static inline void handle_wait(struct scene *s, struct http_request *r, bool flush)
{
    if (flush && note(s, http_request_waits(r)))
        return;
    int rc = world_sleep(s->server_world, query_number(r) * NS_PER_MS);
    if (rc == -ECANCELED) {
        s->cancelled++;
        return;
    }
    say_text(s, r, "waited");
}

static inline void handle_parts(struct scene *s, struct http_request *r, int64_t length, bool end)
{
    if (note(s, http_reply_begin(r, 200, NULL, 0, length)))
        return;
    if (note(s, http_reply_write(r, SPAN("one "))) || note(s, http_reply_write(r, SPAN(""))) ||
        note(s, http_reply_write(r, SPAN("two"))))
        return;
    if (end)
        note(s, http_reply_end(r, NULL, 0));
}

/* Fields that are not the handler's to write, and then the answer. */
static inline void handle_ours(struct scene *s, struct http_request *r)
{
    static const char *const names[] = {
        "Content-Length", "connection", "DATE", "Server", "Transfer-Encoding", "X-Bad\r\nX", ""};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct http_field f = {span_of(names[i]), SPAN("x")};
        must(http_reply(r, 200, &f, 1, SPAN("no")) == -EINVAL);
        must(http_reply_begin(r, 200, &f, 1, 2) == -EINVAL);
        must(http_reply_begin(r, 200, &f, 1, -1) == -EINVAL);
    }
    struct http_field f = {SPAN("X-Mine"), SPAN("a\r\nb")};
    must(http_reply_begin(r, 200, &f, 1, -1) == -EINVAL);
    f.value = SPAN("yes");
    note(s, http_reply(r, 200, &f, 1, SPAN("mine")));
}

/* `n` bytes in which every place is recognized. */
static inline void pattern(char *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (char)('a' + (i * 7 + i / 251) % 26);
}

static inline void handle_big(struct scene *s, struct http_request *r)
{
    size_t n = (size_t)query_number(r);
    char *body = arena_alloc(r->arena, n);
    if (!body) {
        say_failure(s, r, -ENOMEM);
        return;
    }
    pattern(body, n);
    note(s, http_reply(r, 200, NULL, 0, (struct span){body, n}));
}

/* An answer that is large and late. */
static inline void handle_late(struct scene *s, struct http_request *r)
{
    if (world_sleep(s->server_world, 60 * NS_PER_S) == 0)
        handle_big(s, r);
}

static inline void handle_few(struct scene *s, struct http_request *r)
{
    r->body_max = 4;
    handle_echo(s, r);
}

/* As a flow does that waits, computes and waits to compute. */
static inline void handle_timed(struct scene *s, struct http_request *r)
{
    struct span body;
    must(http_request_body(r, &body) == 0);
    int64_t began = world_now(s->server_world);
    must(world_sleep(s->server_world, 70 * NS_PER_MS) == 0);
    r->timing = (struct http_timing){.queue = 12345, /* and 1 ns less than a step of 30.102 ms */
        .cpu = 30 * NS_PER_MS + 101999,
        .wait = 70 * NS_PER_MS,
        .flow = world_now(s->server_world) - began};
    must(world_sleep(s->server_world, 5 * NS_PER_MS) == 0);
    say_text(s, r, "timed");
}

static inline void handle_path(struct scene *s, struct http_request *r)
{
    if (path_is(r, "/hello"))
        say_text(s, r, "hello");
    else if (path_is(r, "/echo"))
        handle_echo(s, r);
    else if (path_is(r, "/later"))
        handle_later(s, r);
    else if (path_is(r, "/few"))
        handle_few(s, r);
    else if (path_is(r, "/stream"))
        handle_stream(s, r, false);
    else if (path_is(r, "/slow-stream"))
        handle_stream(s, r, true);
    else if (path_is(r, "/wait"))
        handle_wait(s, r, true);
    else if (path_is(r, "/wait-silent"))
        handle_wait(s, r, false);
    else if (path_is(r, "/chunks"))
        handle_parts(s, r, -1, true);
    else if (path_is(r, "/length"))
        handle_parts(s, r, 7, true);
    else if (path_is(r, "/cut"))
        handle_parts(s, r, -1, false);
    else if (path_is(r, "/cut-length"))
        handle_parts(s, r, 9, false);
    else if (path_is(r, "/ours"))
        handle_ours(s, r);
    else if (path_is(r, "/big"))
        handle_big(s, r);
    else if (path_is(r, "/late"))
        handle_late(s, r);
    else if (path_is(r, "/timed"))
        handle_timed(s, r);
    else if (path_is(r, "/block")) /* nothing else of the server runs meanwhile */
        must(sim_block(s->server_world, query_number(r) * NS_PER_MS) == 0 &&
             note(s, http_reply(r, 200, NULL, 0, SPAN("blocked"))) == 0);
    else if (path_is(r, "/reset"))
        note(s, http_reply(r, 205, NULL, 0, SPAN("no content may be here")));
    else if (path_is(r, "/status"))
        note(s, http_reply(r, (int)query_number(r), NULL, 0, SPAN("")));
    else if (!path_is(r, "/nothing"))
        note(s, http_reply_status(r, 404, NULL, 0, "there is no such place"));
}

static inline void scene_handle(void *ctx, struct http_request *r)
{
    struct scene *s = ctx;
    s->handled++;
    r->label = SPAN("scene");
    r->handler_data = s;
    handle_path(s, r);
}

static inline void scene_done(void *ctx, const struct http_request *r, int64_t now)
{
    struct scene *s = ctx;
    s->done++;
    s->last_status = r->status;
    s->last_received = r->received;
    s->last_sent = r->sent;
    s->last_took = now - r->began;
    must(s->last_took >= 0 && r->peer->len > 0);
    snprintf(s->last_id, sizeof s->last_id, "%s", r->id);
    snprintf(s->last_label, sizeof s->last_label, "%.*s", SPAN_ARG(r->label));
}

/* ---- The server ---- */

static inline int stop_it(void *arg)
{
    struct scene *s = arg;
    int rc = signals_next(s->signals);
    s->stopped = world_now(s->server_world);
    if (rc > 0)
        http_server_drain(s->server, s->grace, deadline_after(s->stopped, s->deadline), s->last);
    return 0;
}

static inline int scene_serve(struct world *w, void *arg)
{
    struct scene *s = arg;
    s->server_world = w;
    must(world_signals(w, &(int){SIGTERM}, 1, &s->signals) == 0);
    s->run_result = http_server_new(&s->server, w, &s->options);
    if (s->run_result)
        return 0;
    struct address at;
    struct listener *l;
    must(address_parse(&at, "*:80", NULL) == 0);
    s->run_result = world_listen(w, &at, NULL, &l);
    if (s->run_result == 0) {
        GROUP(stoppers, GROUP_INDEPENDENT);
        s->run_result = group_spawn(&stoppers, "stop", stop_it, s);
        if (s->run_result == 0)
            s->run_result = http_server_run(s->server, &l, 1);
        else
            listener_close(l);
        s->ended = world_now(w);
    }
    must(atomic_load(&s->stats.open) == 0 && atomic_load(&s->stats.idle) == 0);
    http_server_free(s->server);
    signals_close(s->signals);
    return 0;
}

/* The drain begins. */
static inline void stop_server(struct scene *s)
{
    if (!s->told_to_stop)
        must(sim_signal(s->server_process, SIGTERM) == 0);
    s->told_to_stop = true;
}

static inline int scene_client(struct world *w, void *arg)
{
    struct scene *s = arg;
    s->w = w;
    s->script(s, w);
    s->finished = true;
    stop_server(s);
    return 0;
}

static inline void fill_options(struct scene *s)
{
    s->options.handle = scene_handle;
    s->options.done = scene_done;
    s->options.ctx = s;
    s->options.stats = &s->stats;
    if (s->deadline == 0)
        s->deadline = 60 * NS_PER_S;
}

static inline void play_with(struct scene *s, struct sim_options options)
{
    fill_options(s);
    s->u = open_universe(s->seed ? s->seed : 1, options);
    struct sim_process *server = s->server_process = start(s->u.there, scene_serve, s);
    struct sim_process *client = start(s->u.here, scene_client, s);
    run(&s->u);
    assert_int_equal(sim_process_end(client).state, SIM_EXITED);
    assert_int_equal(sim_process_end(server).state, SIM_EXITED);
    assert_int_equal(sim_process_unclosed(server), 0);
    assert_int_equal(sim_process_unclosed(client), 0);
    assert_true(s->finished);
    assert_int_equal(s->run_result, 0);
    sim_close(s->u.sim);
}

static inline struct scene new_scene(void (*script)(struct scene *s, struct world *w))
{
    return (struct scene){.options = HTTP_SERVER_DEFAULTS, .script = script};
}

/* PLAY(script, s.options.body_max = 1000, ...): a test of a scene that differs from the usual one
 * like that. */
#define PLAY(playing, ...)                      \
    do {                                        \
        static struct scene s;                  \
        s = new_scene(playing);                 \
        __VA_ARGS__;                            \
        play_with(&s, (struct sim_options){0}); \
    } while (0)

static inline uint64_t figure(const _Atomic uint64_t *f)
{
    return atomic_load(f);
}
#define FIGURE(s, name) figure(&(s)->stats.name)

/* ---- A client: what it hears ---- */

#define HEARD_MAX ((size_t)1024 * 1024)

struct ear {
    struct stream *stream;
    struct http1 parser;
    struct http1_limits limits;
    struct http_field table[HTTP1_FIELDS_DEFAULT];
    char text[HEARD_MAX]; /* what has come and was not understood yet */
    size_t len;
    /* Of the last reply. */
    int status;
    bool keep_alive;
    char head[2048];
    char body[HEARD_MAX];
    size_t body_len;
    unsigned trailers;
};

static inline struct ear *ear_on(struct stream *stream)
{
    struct ear *e = calloc(1, sizeof *e);
    must(e);
    e->stream = stream;
    e->limits = (struct http1_limits)HTTP1_LIMITS_DEFAULT;
    http1_init(&e->parser, HTTP1_REPLY, &e->limits, e->table);
    return e;
}

static inline struct ear *call_up(struct scene *s)
{
    return ear_on(must_connect(s->w, s->u.there, 80));
}

static inline void hang_up(struct ear *e)
{
    stream_close(e->stream);
    free(e);
}

static inline void say(struct ear *e, const char *text)
{
    must(send_text(e->stream, text) == 0);
}

static inline void note_head(struct ear *e, const char *text, size_t len)
{
    must(len < sizeof e->head);
    memcpy(e->head, text, len);
    e->head[len] = '\0';
    e->status = e->parser.head.status;
    e->keep_alive = e->parser.head.keep_alive;
    e->body_len = 0;
    e->trailers = 0;
}

/* The next reply to such a method, whole: its status; 0 when the connection ends in order where one
 * would begin; or a negative errno, -EBADMSG for one that is cut off or malformed. */
static inline int hear_to(struct ear *e, enum http_method method)
{
    http1_reset(&e->parser);
    http1_replies_to(&e->parser, method);
    for (;;) {
        struct span in = {e->text, e->len};
        struct span data;
        enum http1_event event = http1_next(&e->parser, &in, &data);
        if (event == HTTP1_HEAD)
            note_head(e, e->text, (size_t)(in.ptr - e->text));
        if (event == HTTP1_DATA) {
            must(e->body_len + data.len <= sizeof e->body);
            memcpy(e->body + e->body_len, data.ptr, data.len);
            e->body_len += data.len;
        }
        e->len = in.len;
        memmove(e->text, in.ptr, in.len);
        if (event == HTTP1_END) {
            e->trailers = e->parser.trailer_count;
            return e->status;
        }
        if (event == HTTP1_BAD)
            return -EBADMSG;
        if (event != HTTP1_MORE)
            continue;
        must(e->len < sizeof e->text);
        ssize_t got = stream_read(e->stream, e->text + e->len, sizeof e->text - e->len);
        if (got < 0)
            return (int)got;
        e->len += (size_t)got;
        if (got == 0) {
            event = http1_eof(&e->parser, (struct span){e->text, e->len});
            return event == HTTP1_END ? e->status : event == HTTP1_MORE ? 0 : -EBADMSG;
        }
    }
}

static inline int hear(struct ear *e)
{
    return hear_to(e, HTTP_GET);
}

static inline bool heard(const struct ear *e, const char *body)
{
    bool same = e->body_len == strlen(body) && memcmp(e->body, body, e->body_len) == 0;
    if (!same)
        fprintf(stderr, "heard '%.*s'\n", (int)(e->body_len < 200 ? e->body_len : 200), e->body);
    return same;
}

static inline bool heard_pattern(const struct ear *e, size_t n)
{
    char *expected = malloc(n);
    must(expected);
    pattern(expected, n);
    bool same = e->body_len == n && memcmp(e->body, expected, n) == 0;
    free(expected);
    return same;
}

static inline bool has_line(const struct ear *e, const char *line)
{
    char whole[128];
    snprintf(whole, sizeof whole, "\r\n%s\r\n", line);
    bool has = strstr(e->head, whole) != NULL;
    return has;
}

/* A refusal that a person understands, after which the connection ends in order. */
static inline bool refused_with(struct ear *e, int status)
{
    int got = hear(e);
    if (got != status)
        fprintf(stderr, "heard %d instead of %d\n", got, status);
    e->body[e->body_len] = '\0';
    return got == status && has_line(e, "Connection: close") &&
           has_line(e, "Content-Type: application/problem+json") &&
           strstr(e->body, "\"detail\":\"") && strstr(e->body, "urn:weir:request:") && hear(e) == 0;
}

static inline int64_t since(struct scene *s, int64_t then)
{
    return world_now(s->w) - then;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: there\r\n\r\n"
