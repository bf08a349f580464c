/*
 * http_client.c: many coroutines call through one client; each call has an id, which the server
 * answers with. Whatever the server and the network do, each call ends once, by its deadline, with
 * its own reply or a clear error; and where a server only closes connections that it may close, no
 * call fails.
 */
#include "runner.h"

#include "base/mem.h"
#include "base/rand.h"
#include "coro/group.h"
#include "http/client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PORT          80
#define CALLERS       20
#define CALL_LIMIT_NS (3 * NS_PER_S)
#define RECOVERY_NS   (70 * NS_PER_S)
#define REQUEST_MAX   1024

struct scene {
    struct sim *sim;
    int64_t calm_from; /* universe time from which on nothing is wrong any more */
    int64_t over;
    bool rude;      /* the server does what no server may */
    bool talkative; /* and sends, with a reply, what nobody asked for */
    uint64_t answered;
    uint64_t failed;
    uint64_t next_id;
    struct world *w;
    struct http_client *client;
    struct http_origin *origin;
};

/* ---- The server ---- */

struct visit {
    struct scene *s;
    struct world *w;
    struct stream *stream;
    struct rand rand;
    struct http1 parser;
    struct http_field table[HTTP1_FIELDS_DEFAULT];
    char text[REQUEST_MAX];
    size_t len;
};

static const struct http1_limits limits = HTTP1_LIMITS_DEFAULT;

static int send_text(struct stream *s, char *text, size_t len)
{
    struct iovec part = {.iov_base = text, .iov_len = len};
    return stream_write(s, &part, 1);
}

/* The reply to this path, in one of the shapes that replies have; of which rude servers send a
 * part, or too much, or something else. */
static int answer(struct visit *v, struct span path, bool *last)
{
    char text[600];
    int len = 0;
    uint64_t shape = rand_below(&v->rand, 4);
    int n = (int)path.len;
    *last = shape == 3;
    if (rand_ppm(&v->rand, 100000))
        len = snprintf(text, sizeof text, "HTTP/1.1 103 Early Hints\r\n\r\n");
    if (shape < 2)
        len += snprintf(text + len, sizeof text - (size_t)len,
            "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%.*s", n, n, path.ptr);
    else if (shape == 2)
        len += snprintf(text + len, sizeof text - (size_t)len,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n%.1s\r\n%x\r\n%.*s\r\n"
            "0\r\n\r\n",
            path.ptr, n - 1, n - 1, path.ptr + 1);
    else
        len += snprintf(text + len, sizeof text - (size_t)len,
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%.*s", n, path.ptr);
    if (v->s->rude && rand_ppm(&v->rand, 150000)) {
        *last = true;
        switch (rand_below(&v->rand, 4)) {
        case 0:
            return 0;
        case 1: /* part; a body without a length would look whole */
            len = (int)rand_below(&v->rand, shape == 3 ? 20 : (uint64_t)len);
            break;
        case 2:
            if (!v->s->talkative || shape == 3)
                return 0;
            *last = false;
            len += snprintf(text + len, sizeof text - (size_t)len,
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n/evil");
            break;
        default:
            len = snprintf(text, sizeof text, "HTTP/1.1 2000 OK\r\n\r\n");
        }
    }
    return send_text(v->stream, text, (size_t)len);
}

/* The next request's path. */
static int next_request(struct visit *v, char path[100])
{
    for (;;) {
        struct span in = {.ptr = v->text, .len = v->len};
        struct span data;
        enum http1_event event = http1_next(&v->parser, &in, &data);
        if (event == HTTP1_HEAD)
            snprintf(path, 100, "%.*s", SPAN_ARG(v->parser.head.target));
        v->len = in.len;
        memmove(v->text, in.ptr, in.len);
        if (event == HTTP1_END) {
            http1_reset(&v->parser);
            return 0;
        }
        sim_check(v->s->sim, event != HTTP1_BAD, "the client sent no request");
        if (event != HTTP1_MORE)
            continue;
        ssize_t got = stream_read(v->stream, v->text + v->len, sizeof v->text - v->len);
        if (got <= 0)
            return got ? (int)got : -EPIPE;
        v->len += (size_t)got;
    }
}

/* Patient with a new connection; one that has been used may be closed after any time at all. */
static int await_request(struct visit *v, char path[100], bool first)
{
    int64_t idle = first ? 10 * NS_PER_S : rand_exponential(&v->rand, 2 * NS_PER_S);
    CORO_DEADLINE(deadline_after(world_now(v->w), idle));
    return next_request(v, path);
}

static int visit_fn(void *arg)
{
    struct visit *v = arg;
    bool first = true;
    bool last = false;
    int rc = 0;
    http1_init(&v->parser, HTTP1_REQUEST, &limits, v->table);
    while (rc == 0 && !last) {
        char path[100];
        rc = await_request(v, path, first);
        first = false;
        if (rc == 0 && rand_ppm(&v->rand, 300000))
            rc = world_sleep(v->w, rand_exponential(&v->rand, 20 * NS_PER_MS));
        if (rc == 0)
            rc = answer(v, span_of(path), &last);
    }
    stream_close(v->stream);
    mem_free(v);
    return 0;
}

static int serve(struct world *w, void *arg)
{
    struct scene *s = arg;
    struct address at;
    struct listener *l;
    int rc = address_parse(&at, "*:80", NULL);
    if (rc == 0)
        rc = world_listen(w, &at, NULL, &l);
    if (rc)
        return rc;
    GROUP(visits, GROUP_INDEPENDENT);
    while (rc == 0) {
        struct stream *stream;
        rc = listener_accept(l, &stream);
        if (rc)
            break;
        struct visit *v = mem_zalloc(sizeof *v);
        if (!v)
            return -ENOMEM;
        uint64_t seed;
        world_random(w, &seed, sizeof seed);
        rand_init(&v->rand, seed);
        v->s = s;
        v->w = w;
        v->stream = stream;
        rc = group_spawn(&visits, "visit", visit_fn, v);
    }
    listener_close(l);
    return rc;
}

/* ---- The callers ---- */

/* What a network and a server that fail may do to a call. Anything else is a mistake of ours. */
static bool is_clear(int error)
{
    return error == -ETIMEDOUT || error == -ECONNREFUSED || error == -ECONNRESET ||
           error == -EPIPE || error == -EHOSTUNREACH || error == -ENETUNREACH ||
           error == -EBADMSG || error == -ENOENT || error == -EAGAIN;
}

static int call_once(struct scene *s, struct arena *arena, bool idempotent)
{
    char target[64];
    struct http_response got;
    struct error e = {0};
    snprintf(target, sizeof target, "/%llu", (unsigned long long)++s->next_id);
    int64_t began = world_now(s->w);
    int64_t began_true = sim_now(s->sim);
    CORO_DEADLINE(began + CALL_LIMIT_NS);
    int rc = http_call(s->client,
        &(struct http_client_request){.origin = s->origin,
            .method = idempotent ? SPAN("GET") : SPAN("POST"),
            .target = span_of(target),
            .body = idempotent ? (struct span){0} : span_of(target)},
        arena, &got, &e);
    sim_check(s->sim, world_now(s->w) <= began + CALL_LIMIT_NS, "a call lasted past its deadline");
    if (rc == 0) {
        s->answered++;
        sim_check(s->sim, got.head->status == 200 && span_equal(got.body, span_of(target)),
            "%s was answered with '%.*s'", target, SPAN_ARG(got.body));
        return 0;
    }
    s->failed++;
    sim_check(s->sim, rc == -ECANCELED || is_clear(rc),
        "a call failed in a way that says nothing: error %d: %s", -rc, e.sentence);
    sim_check(s->sim, e.code == rc && e.sentence[0], "a call failed without a sentence");
    /* What cannot be sent twice may fail whenever a server closes a connection. */
    bool unlucky = !idempotent && rc == -ECONNRESET;
    sim_check(s->sim, s->rude || unlucky || began_true < s->calm_from,
        "%s failed although nothing was wrong: %s", target, e.sentence);
    return rc;
}

static int call_fn(void *arg)
{
    struct scene *s = arg;
    struct rand r;
    uint64_t seed;
    world_random(s->w, &seed, sizeof seed);
    rand_init(&r, seed);
    struct arena arena;
    arena_init(&arena, 1024 * 1024);
    int rc = 0;
    while (rc != -ECANCELED && sim_now(s->sim) < s->over) {
        arena_reset(&arena);
        rc = call_once(s, &arena, !rand_ppm(&r, 200000));
        if (rc != -ECANCELED)
            rc = world_sleep(s->w, rand_exponential(&r, 150 * NS_PER_MS));
    }
    arena_release(&arena);
    return rc;
}

static int ask(struct world *w, void *arg)
{
    struct scene *s = arg;
    s->w = w;
    struct http_client_options options = HTTP_CLIENT_DEFAULTS;
    options.in_use_max = 8;
    int rc = http_client_new(&s->client, w, &options);
    if (rc)
        return rc;
    rc = http_client_origin(s->client, SPAN("http://server"), &s->origin, NULL);
    {
        GROUP(callers, GROUP_INDEPENDENT);
        for (int i = 0; i < CALLERS && rc == 0; i++)
            rc = group_spawn(&callers, "caller", call_fn, s);
        if (rc == 0)
            rc = group_wait(&callers);
    }
    const struct http_client_stats *stats = http_client_stats(s->client);
    sim_check(s->sim, atomic_load(&stats->in_use) == 0, "a call that ended still has its place");
    sim_check(s->sim, atomic_load(&stats->calls) == s->answered + s->failed,
        "a call did not end exactly once");
    sim_check(s->sim, atomic_load(&stats->reuses) > 0, "no connection was ever kept");
    http_client_free(s->client);
    return rc;
}

/* ---- The scenes ---- */

static void play(struct sim *sim, struct scene *s, const struct sim_chaos *chaos)
{
    s->sim = sim;
    struct sim_host *server =
        sim_host(sim, &(struct sim_host_options){.name = "server", .boot = serve, .boot_arg = s});
    struct sim_host *host =
        sim_host(sim, &(struct sim_host_options){.name = "client", .spared = true});
    struct sim_process *p = server && host ? sim_start(host, "client", ask, s) : NULL;
    sim_check(sim, p, "there is no client");
    int rc = chaos ? sim_chaos(sim, chaos) : 0;
    if (rc == 0)
        rc = sim_run(sim, s->over + 600 * NS_PER_S);
    sim_check(sim, rc == 0, "the simulation ended with error %d", -rc);
    struct sim_end end = sim_process_end(p);
    sim_check(sim, end.state == SIM_EXITED && end.result == 0,
        "the client did not end well: state %d, result %d", (int)end.state, end.result);
    sim_check(sim, sim_process_unclosed(p) == 0, "it left %u things open", sim_process_unclosed(p));
    sim_check(sim, s->answered > 0, "nobody was ever answered");
}

/* A server that closes idle connections whenever it likes. */
static void closing(struct sim *sim)
{
    play(sim, &(struct scene){.over = 20 * NS_PER_S}, NULL);
}

static void rude(struct sim *sim)
{
    struct scene s = {.over = 20 * NS_PER_S, .rude = true};
    play(sim, &s, NULL);
    sim_check(sim, s.failed > 0, "nobody noticed that the server is rude");
}

/* What is sent unasked arrives with the reply before it: were it to arrive later, on a connection
 * that is in use again, no client of HTTP/1.1 could tell. */
static void talkative(struct sim *sim)
{
    struct scene s = {.over = 20 * NS_PER_S, .rude = true, .talkative = true};
    play(sim, &s, NULL);
}

static void faults(struct sim *sim)
{
    int64_t until = 20 * NS_PER_S;
    struct scene s = {.calm_from = until + RECOVERY_NS};
    s.over = s.calm_from + 5 * NS_PER_S;
    play(sim, &s,
        &(struct sim_chaos){
            .until = until,
            .crash_ns = 8 * NS_PER_S,
            .partition_ns = 5 * NS_PER_S,
            .degrade_ns = 3 * NS_PER_S,
            .pause_ns = 5 * NS_PER_S,
            .resolver_ns = 5 * NS_PER_S,
        });
}

int main(int argc, char **argv)
{
    const struct sim_options pieces = {.short_reads_ppm = 200000, .short_writes_ppm = 200000};
    const struct scenario scenarios[] = {
        {.name = "closing", .run = closing, .options = pieces},
        {.name = "rude", .run = rude, .options = pieces},
        {.name = "talkative", .run = talkative},
        {.name = "faults", .run = faults, .options = pieces},
    };
    return run_scenarios(argc, argv, scenarios, sizeof scenarios / sizeof *scenarios);
}
