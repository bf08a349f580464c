/*
 * weir_backend.c: see weir_backend.h.
 */
#include "weir_backend.h"

#include "base/mem.h"
#include "base/rand.h"
#include "coro/group.h"
#include "wire/http1.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define REQUEST_MAX 2048
#define LATE_NS     (1300 * NS_PER_MS)

struct visit {
    struct backend *backend;
    struct world *w;
    struct stream *stream;
    struct rand rand;
    struct http1 parser;
    struct http_field table[HTTP1_FIELDS_DEFAULT];
    char in[REQUEST_MAX];
    size_t len;
    char path[64];
    const char *id; /* in the path */
    bool changes;   /* it is a POST */
};

/* ---- Counting ---- */

/* Its place in the table, or the free one where it belongs. */
static unsigned place_of(const struct backend *b, const char *id)
{
    unsigned i = 2166136261u;
    for (const char *c = id; *c; c++)
        i = (i ^ (unsigned char)*c) * 16777619u;
    i %= BACKEND_IDS_MAX;
    while (b->ids[i].times > 0 && strcmp(b->ids[i].id, id) != 0)
        i = (i + 1) % BACKEND_IDS_MAX;
    return i;
}

unsigned backend_times(const struct backend *b, const char *id)
{
    return b->ids[place_of(b, id)].times;
}

/* What changes something comes once. */
static void count(struct backend *b, const char *id, bool changes)
{
    struct backend_id *place = &b->ids[place_of(b, id)];
    if (place->times == 0) {
        sim_check(b->sim, b->id_count < BACKEND_IDS_MAX / 2, "too many ids");
        if (b->id_count == BACKEND_IDS_MAX / 2)
            return;
        snprintf(place->id, sizeof place->id, "%s", id);
        b->id_count++;
    }
    place->times++;
    sim_check(b->sim, !changes || place->times == 1, "%s was sent twice", id);
}

/* ---- Answers ---- */

static int say(struct visit *v, const char *text, size_t len)
{
    struct iovec part = {.iov_base = (char *)(uintptr_t)text, .iov_len = len};
    return stream_write(v->stream, &part, 1);
}

static int say_slowly(struct visit *v, const char *text, size_t len, size_t piece, int64_t pause)
{
    int rc = 0;
    for (size_t at = 0; at < len && rc == 0; at += piece) {
        rc = say(v, text + at, len - at < piece ? len - at : piece);
        if (rc == 0)
            rc = world_sleep(v->w, pause);
    }
    return rc;
}

/* Each with the status line's end, the fields and the body of a reply to `id`. */
static size_t compose(const struct visit *v, const char *how, char *out, size_t size)
{
    char body[64];
    int len = snprintf(body, sizeof body, "{\"id\":\"%s\"}", v->id);
    int made;
    if (strcmp(how, "json") == 0)
        memset(body, '[', (size_t)len);
    if (strcmp(how, "chunked") == 0)
        made = snprintf(out, size,
            "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
            "\r\n2\r\n%.2s\r\n%x\r\n%s\r\n0\r\nX-Last: 1\r\n\r\n",
            body, (unsigned)len - 2, body + 2);
    else if (strcmp(how, "close") == 0)
        made = snprintf(out, size,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n%s",
            body);
    else if (strcmp(how, "five") == 0)
        made = snprintf(out, size, "HTTP/1.1 500 No\r\nContent-Length: %d\r\n\r\n%s", len, body);
    else if (strcmp(how, "garbage") == 0)
        made = snprintf(out, size, "220 mail.example ESMTP\r\n");
    else
        made = snprintf(out, size,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
            len, body);
    return (size_t)made;
}

/* Closing at the worst moment is closing while the next request may be on its way. */
static int close_soon(struct visit *v)
{
    int rc = world_sleep(v->w, rand_exponential(&v->rand, 5 * NS_PER_MS));
    return rc ? rc : -EPIPE;
}

/* Says nothing until the other side has had enough. */
static int listen_on(struct visit *v)
{
    char text[64];
    ssize_t got;
    do
        got = stream_read(v->stream, text, sizeof text);
    while (got > 0);
    return got ? (int)got : -EPIPE;
}

static int answer(struct visit *v, const char *how)
{
    char text[512];
    size_t len = compose(v, how, text, sizeof text);
    if (strcmp(how, "hang") == 0)
        return listen_on(v);
    if (strcmp(how, "reset") == 0)
        return -EPIPE;
    if (strcmp(how, "cut") == 0) {
        int rc = say(v, text, 1 + (size_t)rand_below(&v->rand, len - 1));
        return rc ? rc : -EPIPE;
    }
    if (strcmp(how, "slow") == 0)
        return say_slowly(v, text, len, 1 + (size_t)rand_below(&v->rand, 8), 2 * NS_PER_MS);
    if (strcmp(how, "drip") == 0)
        return say_slowly(v, text, len, 1, 50 * NS_PER_MS);
    int rc = 0;
    if (strcmp(how, "late") == 0)
        rc = world_sleep(v->w, LATE_NS);
    if (rc == 0)
        rc = say(v, text, len);
    if (rc == 0 && strcmp(how, "idle") == 0)
        return close_soon(v);
    if (rc == 0 && (strcmp(how, "close") == 0 || strcmp(how, "garbage") == 0))
        return -EPIPE;
    return rc;
}

/* ---- Requests ---- */

static int next_request(struct visit *v)
{
    for (;;) {
        struct span in = {.ptr = v->in, .len = v->len};
        struct span data;
        enum http1_event event = http1_next(&v->parser, &in, &data);
        if (event == HTTP1_HEAD)
            v->changes = v->parser.head.method == HTTP_POST;
        if (event == HTTP1_HEAD)
            snprintf(v->path, sizeof v->path, "%.*s", SPAN_ARG(v->parser.head.target));
        v->len = in.len;
        memmove(v->in, in.ptr, in.len);
        if (event == HTTP1_END) {
            http1_reset(&v->parser);
            return 0;
        }
        sim_check(v->backend->sim, event != HTTP1_BAD, "the weir sent no request: %s",
            v->parser.fault.why);
        if (event == HTTP1_BAD)
            return -EBADMSG;
        if (event != HTTP1_MORE)
            continue;
        ssize_t got = stream_read(v->stream, v->in + v->len, sizeof v->in - v->len);
        if (got <= 0)
            return got ? (int)got : -EPIPE;
        v->len += (size_t)got;
    }
}

/* The path's first part. */
static const char *split_path(struct visit *v)
{
    char *slash = v->path[0] == '/' ? strchr(v->path + 1, '/') : NULL;
    sim_check(v->backend->sim, slash, "the weir asks for '%s'", v->path);
    if (!slash)
        return NULL;
    *slash = '\0';
    v->id = slash + 1;
    return v->path + 1;
}

static int visit_fn(void *arg)
{
    struct visit *v = arg;
    static const struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    http1_init(&v->parser, HTTP1_REQUEST, &limits, v->table);
    int rc = next_request(v);
    while (rc == 0) {
        const char *how = split_path(v);
        if (!how)
            break;
        count(v->backend, v->id, v->changes);
        rc = answer(v, how);
        if (rc == 0)
            rc = next_request(v);
    }
    stream_close(v->stream);
    mem_free(v);
    return 0;
}

static int welcome(struct backend *b, struct world *w, struct group *visits, struct stream *stream)
{
    struct visit *v = mem_zalloc(sizeof *v);
    if (!v)
        return -ENOMEM;
    uint64_t seed;
    world_random(w, &seed, sizeof seed);
    rand_init(&v->rand, seed);
    v->backend = b;
    v->w = w;
    v->stream = stream;
    return group_spawn(visits, "visit", visit_fn, v);
}

static int serve(struct world *w, void *arg)
{
    struct address at;
    struct listener *l;
    int rc = address_parse(&at, "*:9000", NULL);
    if (rc == 0)
        rc = world_listen(w, &at, NULL, &l);
    if (rc)
        return rc;
    GROUP(visits, GROUP_INDEPENDENT);
    while (rc == 0) {
        struct stream *stream;
        rc = listener_accept(l, &stream);
        if (rc == 0)
            rc = welcome(arg, w, &visits, stream);
    }
    listener_close(l);
    return rc;
}

void backend_init(struct backend *b, struct sim *sim)
{
    b->sim = sim;
    b->id_count = 0;
    memset(b->ids, 0, sizeof b->ids);
    b->host =
        sim_host(sim, &(struct sim_host_options){.name = "backend", .boot = serve, .boot_arg = b});
    sim_check(sim, b->host, "there is no backend");
}
