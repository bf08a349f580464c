/*
 * client_scene.h: a client on the host `here`, and on `there`, port 7, a server that does as its
 * script says: which request gets which bytes, on which connection, and what happens then.
 */
#pragma once

#include "../world/sim_fixture.h"

#include "coro/sync.h"
#include "http/client.h"

#define LINES_MAX   8
#define REPLIES_MAX 6
#define SEEN_MAX    (64 * 1024)

enum then {
    STAY,   /* reads to the client's end */
    CLOSE,  /* closes */
    HOLD,   /* neither reads nor closes */
    IGNORE, /* reads no more until the scene's `go_on`, then closes */
};

/* What the server does on one connection. */
struct line {
    const char *replies[REPLIES_MAX]; /* each when a whole request was read */
    enum then then;
    int64_t before_ns;   /* waits before each reply */
    int64_t slow_ns;     /* waits before each byte of it */
    bool head_is_enough; /* replies when the request's head was there */
    bool at_once;        /* replies without a request */
};

struct scene {
    struct universe u;
    const struct line *lines;
    int line_count;
    struct http_client_options options;
    void (*ask)(struct scene *s);
    /* The server's side. */
    int accepted;
    int open;
    char seen[SEEN_MAX]; /* all that it has read */
    size_t seen_len;
    struct future go_on;
    /* The client's side. */
    struct world *w;
    struct http_client *client;
    struct http_origin *origin;
    struct arena arena;
    struct http_response answer;
    struct error e;
    int64_t began;
};

/* ---- The server ---- */

struct visit {
    struct scene *s;
    struct stream *stream;
    struct world *w;
    const struct line *line;
    char text[SEEN_MAX]; /* not looked at yet */
    size_t len;
};

static inline size_t request_len(const char *text, size_t len, bool head_is_enough)
{
    const char *end = memmem(text, len, "\r\n\r\n", 4);
    if (!end)
        return 0;
    size_t head = (size_t)(end - text) + 4;
    const char *field = memmem(text, head, "Content-Length: ", 16);
    size_t body = field && !head_is_enough ? strtoul(field + 16, NULL, 10) : 0;
    if (!head_is_enough && memmem(text, head, "chunked\r\n", 9)) {
        const char *last = memmem(text, len, "\r\n0\r\n\r\n", 7);
        return last ? (size_t)(last - text) + 7 : 0;
    }
    return len >= head + body ? head + body : 0;
}

static inline bool read_request(struct visit *v)
{
    for (;;) {
        size_t whole = request_len(v->text, v->len, v->line->head_is_enough);
        if (whole) {
            v->len -= whole;
            memmove(v->text, v->text + whole, v->len);
            return true;
        }
        must(v->len < sizeof v->text);
        ssize_t got = stream_read(v->stream, v->text + v->len, sizeof v->text - v->len);
        if (got <= 0)
            return false;
        size_t room = SEEN_MAX - 1 - v->s->seen_len;
        size_t noted = (size_t)got < room ? (size_t)got : room;
        memcpy(v->s->seen + v->s->seen_len, v->text + v->len, noted);
        v->s->seen_len += noted;
        v->len += (size_t)got;
    }
}

static inline bool send_reply(struct visit *v, const char *reply)
{
    if (v->line->before_ns && world_sleep(v->w, v->line->before_ns))
        return false;
    if (!v->line->slow_ns)
        return send_text(v->stream, reply) == 0;
    for (; *reply; reply++)
        if (world_sleep(v->w, v->line->slow_ns) || send_bytes(v->stream, reply, 1))
            return false;
    return true;
}

static inline int visit_fn(void *arg)
{
    struct visit *v = arg;
    bool good = true;
    v->s->open++;
    for (int i = 0; good && i < REPLIES_MAX && v->line->replies[i]; i++) {
        good = v->line->at_once || read_request(v);
        if (good)
            good = send_reply(v, v->line->replies[i]);
    }
    if (good && v->line->then == STAY)
        while (read_request(v))
            continue;
    if (v->line->then == HOLD || v->line->then == IGNORE) {
        int rc = future_wait(&v->s->go_on);
        (void)rc;
    }
    stream_close(v->stream);
    v->s->open--;
    mem_free(v);
    return 0;
}

static inline int serve(struct world *w, void *arg)
{
    struct scene *s = arg;
    struct listener *l = must_listen(w, "*:7");
    GROUP(visits, GROUP_INDEPENDENT);
    for (;;) {
        struct stream *stream;
        int rc = listener_accept(l, &stream);
        if (rc == -ENOMEM) /* of tests that make it so */
            continue;
        if (rc)
            return 0;
        int at = s->accepted < s->line_count ? s->accepted : s->line_count - 1;
        s->accepted++;
        struct visit *v = mem_zalloc(sizeof *v);
        if (!v) {
            stream_close(stream);
            continue;
        }
        v->s = s;
        v->stream = stream;
        v->w = w;
        v->line = &s->lines[at];
        if (group_spawn(&visits, "visit", visit_fn, v)) {
            stream_close(stream);
            mem_free(v);
        }
    }
}

/* ---- The client ---- */

static inline int ask_main(struct world *w, void *arg)
{
    struct scene *s = arg;
    s->w = w;
    must(http_client_new(&s->client, w, &s->options) == 0);
    must(http_client_origin(s->client, SPAN("http://there:7"), &s->origin, NULL) == 0);
    arena_init(&s->arena, (size_t)16 * 1024 * 1024);
    s->began = world_now(w);
    s->ask(s);
    must(atomic_load(&http_client_stats(s->client)->in_use) == 0);
    arena_release(&s->arena);
    http_client_free(s->client);
    return 0;
}

/* Plays it to the client's end: nothing may be left open there. */
static inline void play_scene(struct scene *s, struct sim_options options)
{
    future_init(&s->go_on);
    s->u = open_universe(1, options);
    if (s->line_count > 0)
        sim_process_daemon(start(s->u.there, serve, s));
    struct sim_process *client = start(s->u.here, ask_main, s);
    run(&s->u);
    assert_int_equal(sim_process_end(client).state, SIM_EXITED);
    assert_int_equal(sim_process_unclosed(client), 0);
    sim_close(s->u.sim);
}

/* PLAY(ask, {...}, {...}): a test with these lines. */
#define PLAY(asking, ...)                                         \
    do {                                                          \
        const struct line lines_[] = {__VA_ARGS__};               \
        static struct scene scene_;                               \
        scene_ = (struct scene){.options = HTTP_CLIENT_DEFAULTS,  \
            .ask = (asking),                                      \
            .lines = lines_,                                      \
            .line_count = (int)(sizeof lines_ / sizeof *lines_)}; \
        play_scene(&scene_, (struct sim_options){0});             \
    } while (0)

static inline int call_with(struct scene *s, struct http_client_request ask)
{
    if (!ask.origin)
        ask.origin = s->origin;
    if (!ask.method.ptr)
        ask.method = SPAN("GET");
    if (!ask.target.ptr)
        ask.target = SPAN("/");
    arena_reset(&s->arena);
    error_clear(&s->e);
    int rc = http_call(s->client, &ask, &s->arena, &s->answer, &s->e);
    must(rc == s->e.code || rc == 0);
    must(rc == 0 || (s->e.sentence[0] && s->e.type[0]));
    must((rc == 0) == (s->answer.head != NULL));
    return rc;
}

static inline int get(struct scene *s)
{
    return call_with(s, (struct http_client_request){0});
}

static inline int post(struct scene *s, const char *body)
{
    return call_with(
        s, (struct http_client_request){.method = SPAN("POST"), .body = span_of(body)});
}

static inline bool answered(const struct scene *s, int status, const char *body)
{
    return s->answer.head && s->answer.head->status == status &&
           span_equal(s->answer.body, span_of(body));
}

static inline uint64_t figure(const _Atomic uint64_t *f)
{
    return atomic_load(f);
}
#define FIGURE(s, name) figure(&http_client_stats((s)->client)->name)

/* Whether it failed with this number and type, and a sentence that has these words. */
static inline bool failed(const struct scene *s, int code, const char *type, const char *words)
{
    bool as_said =
        s->e.code == code && strcmp(s->e.type, type) == 0 && strstr(s->e.sentence, words);
    if (!as_said)
        fprintf(stderr, "failed with %d %s: %s\n", s->e.code, s->e.type, s->e.sentence);
    return as_said;
}

#define OK(body, length) "HTTP/1.1 200 OK\r\nContent-Length: " length "\r\n\r\n" body
