/*
 * upstream.c: callers of an upstream before servers that crash, stand still, are slow, break
 * replies off, talk garbage or ask for fewer calls. Whatever happens, each call ends once, by its
 * deadline, with its own reply or a clear error; what must not be repeated is not; no server is
 * forgotten; and where one server is always well, calls that may be repeated all succeed.
 */
#include "runner.h"

#include "base/mem.h"
#include "base/rand.h"
#include "conf/schema.h"
#include "coro/group.h"
#include "upstream/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERVERS_MAX 10
#define REQUEST_MAX 1024
#define POSTS_MAX   (1 << 16)

/* ---- Servers ---- */

enum mood { WELL, SLOW, SILENT, GARBAGE, BROKEN_OFF, BUSY, BAD_GATEWAY, MOODS };

struct scene;

struct server {
    struct scene *s;
    unsigned index;
    char name[8];
    enum mood mood;
    int64_t mood_until; /* universe time; then it is well */
    int64_t work_ns;    /* of one request, on average; one at a time. 0: none */
    int64_t free_at;    /* its clock: when the work that it has is done */
    uint64_t requests;
    uint64_t calm_requests; /* since nothing is wrong any more */
};

struct scene {
    struct sim *sim;
    struct conf *conf;
    struct upstreams *all;
    struct server servers[SERVERS_MAX];
    unsigned count;
    unsigned callers;
    int64_t pause_ns;   /* of a caller, between two calls */
    int64_t limit_ns;   /* each call's deadline */
    uint32_t post_ppm;  /* calls that must not be repeated */
    int64_t moody_ns;   /* mean time between two moods; 0: never */
    bool first_is_well; /* the first server is always well */
    int64_t moods_end;
    int64_t calm_from; /* universe time from which on every call must succeed */
    int64_t over;
    struct world *w;
    struct http_client *http;
    struct upstream_client *client;
    uint64_t next_id;
    uint64_t answered;
    uint64_t failed;
    uint64_t attempts;
    unsigned char seen[POSTS_MAX]; /* by id: servers that had a POST as a whole */
};

struct visit {
    struct server *server;
    struct world *w;
    struct stream *stream;
    struct rand rand;
    struct http1 parser;
    struct http_field table[HTTP1_FIELDS_DEFAULT];
    char text[REQUEST_MAX];
    size_t len;
    bool post;
};

static const struct http1_limits limits = HTTP1_LIMITS_DEFAULT;

static int send_text(struct stream *s, char *text, size_t len)
{
    struct iovec part = {.iov_base = text, .iov_len = len};
    return stream_write(s, &part, 1);
}

static enum mood mood_of(const struct server *server)
{
    return sim_now(server->s->sim) < server->mood_until ? server->mood : WELL;
}

/* Waits for its turn, and for as long as the work takes. */
static int work(struct visit *v)
{
    struct server *server = v->server;
    int64_t now = world_now(v->w);
    if (server->work_ns == 0)
        return 0;
    int64_t from = server->free_at > now ? server->free_at : now;
    server->free_at = from + rand_exponential(&v->rand, server->work_ns);
    return world_sleep_until(v->w, server->free_at);
}

/* What it sends, or part of that; `*last`: and closes. */
static int answer(struct visit *v, struct span path, bool *last)
{
    char text[400];
    int len = 0;
    enum mood mood = mood_of(v->server);
    if (mood == SLOW)
        len = world_sleep(v->w, 2 * NS_PER_S);
    if (mood == SILENT)
        len = world_sleep(v->w, 3600 * NS_PER_S);
    if (len == 0)
        len = work(v);
    if (len < 0)
        return len;
    *last = true;
    switch (mood) {
    case GARBAGE:
        len = snprintf(text, sizeof text, "HTTP/1.1 2000 OK\r\n\r\n");
        break;
    case BROKEN_OFF:
        len = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n/");
        break;
    case BUSY:
        len = snprintf(text, sizeof text,
            "HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: "
            "close\r\n\r\n");
        break;
    case BAD_GATEWAY:
        len = snprintf(text, sizeof text,
            "HTTP/1.1 502 Bad\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        break;
    default:
        *last = false;
        len = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%.*s",
            (int)path.len, SPAN_ARG(path));
    }
    return send_text(v->stream, text, (size_t)len);
}

static int next_request(struct visit *v, char path[100])
{
    for (;;) {
        struct span in = {.ptr = v->text, .len = v->len};
        struct span data;
        enum http1_event event = http1_next(&v->parser, &in, &data);
        if (event == HTTP1_HEAD) {
            snprintf(path, 100, "%.*s", SPAN_ARG(v->parser.head.target));
            v->post = v->parser.head.method == HTTP_POST;
        }
        v->len = in.len;
        memmove(v->text, in.ptr, in.len);
        if (event == HTTP1_END) {
            http1_reset(&v->parser);
            return 0;
        }
        sim_check(v->server->s->sim, event != HTTP1_BAD, "the client sent no request");
        if (event != HTTP1_MORE)
            continue;
        ssize_t got = stream_read(v->stream, v->text + v->len, sizeof v->text - v->len);
        if (got <= 0)
            return got ? (int)got : -EPIPE;
        v->len += (size_t)got;
    }
}

static void note_request(struct visit *v, const char *path)
{
    struct scene *s = v->server->s;
    uint64_t id = strtoull(path + 1, NULL, 10);
    v->server->requests++;
    v->server->calm_requests += sim_now(s->sim) >= s->calm_from;
    if (!v->post || id >= POSTS_MAX)
        return;
    sim_check(s->sim, s->seen[id] == 0, "two servers had %s, which must not be repeated", path);
    s->seen[id] = 1;
}

static int visit_fn(void *arg)
{
    struct visit *v = arg;
    bool last = false;
    int rc = 0;
    http1_init(&v->parser, HTTP1_REQUEST, &limits, v->table);
    while (rc == 0 && !last) {
        char path[100];
        rc = next_request(v, path);
        if (rc == 0) {
            note_request(v, path);
            rc = answer(v, span_of(path), &last);
        }
    }
    stream_close(v->stream);
    mem_free(v);
    return 0;
}

static int serve(struct world *w, void *arg)
{
    struct server *server = arg;
    struct address at;
    struct listener *l;
    server->free_at = 0; /* its clock began anew */
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
        v->server = server;
        v->w = w;
        v->stream = stream;
        rc = group_spawn(&visits, "visit", visit_fn, v);
    }
    listener_close(l);
    return rc;
}

/* Gives servers their moods. */
static int direct(struct sim *sim, void *arg)
{
    struct scene *s = arg;
    struct rand *r = sim_rand(sim);
    int rc = 0;
    while (rc == 0 && sim_now(sim) < s->moods_end) {
        rc = sim_sleep(sim, rand_exponential(r, s->moody_ns));
        unsigned from = s->first_is_well ? 1 : 0;
        struct server *server = &s->servers[from + rand_below(r, s->count - from)];
        int64_t until = sim_now(sim) + rand_exponential(r, 4 * NS_PER_S);
        server->mood = (enum mood)rand_below(r, MOODS);
        server->mood_until = until < s->moods_end ? until : s->moods_end;
    }
    return rc == -ECANCELED ? 0 : rc;
}

/* ---- Callers ---- */

static bool is_clear(int error)
{
    return error == -ETIMEDOUT || error == -ECONNREFUSED || error == -ECONNRESET ||
           error == -EPIPE || error == -EHOSTUNREACH || error == -ENETUNREACH ||
           error == -EBADMSG || error == -ENOENT || error == -EAGAIN;
}

static void check_end(struct scene *s, const struct upstream_call *call, const char *target, int rc,
    const struct http_response *got, const struct error *e, int64_t began_true)
{
    bool repeatable = span_equal(call->request.method, SPAN("GET"));
    bool good = rc == 0 && got->head->status == 200;
    s->answered += good;
    s->failed += !good;
    s->attempts += call->attempts;
    sim_check(s->sim, call->attempts >= 1 && call->attempts <= call->upstream->conf->retry.attempts,
        "%s had %u attempts", target, call->attempts);
    if (good)
        sim_check(s->sim, span_equal(got->body, span_of(target)), "%s was answered with '%.*s'",
            target, SPAN_ARG(got->body));
    else
        sim_check(s->sim, rc == 0 || rc == -ECANCELED || (is_clear(rc) && e->sentence[0]),
            "%s failed in a way that says nothing: error %d: %s", target, -rc, e->sentence);
    bool must = began_true >= s->calm_from || (s->first_is_well && repeatable);
    sim_check(s->sim, good || !must || rc == -ECANCELED,
        "%s failed after %u attempts, though a server was well: %d %s", target, call->attempts,
        rc == 0 ? got->head->status : rc, rc == 0 ? call->server : e->sentence);
}

static int call_once(struct scene *s, struct upstream *u, struct arena *arena, bool repeatable)
{
    char target[64];
    struct http_response got;
    struct error e = {0};
    snprintf(target, sizeof target, "/%llu", (unsigned long long)++s->next_id);
    struct upstream_call call = {
        .upstream = u,
        .request = {.method = repeatable ? SPAN("GET") : SPAN("POST"),
            .target = span_of(target),
            .body = repeatable ? (struct span){0} : span_of(target)},
        .hash = s->next_id * UINT64_C(0x9e3779b97f4a7c15),
    };
    int64_t began = world_now(s->w);
    int64_t began_true = sim_now(s->sim);
    CORO_DEADLINE(began + s->limit_ns);
    int rc = upstream_call(s->client, &call, arena, &got, &e);
    sim_check(s->sim, world_now(s->w) <= began + s->limit_ns, "a call outlived its deadline");
    check_end(s, &call, target, rc, &got, &e, began_true);
    return rc;
}

static int call_fn(void *arg)
{
    struct scene *s = arg;
    struct rand r;
    uint64_t seed;
    world_random(s->w, &seed, sizeof seed);
    rand_init(&r, seed);
    struct upstream *u = upstreams_find(s->all, "x");
    struct arena arena;
    arena_init(&arena, 1024 * 1024);
    int rc = 0;
    while (rc != -ECANCELED && sim_now(s->sim) < s->over) {
        arena_reset(&arena);
        rc = call_once(s, u, &arena, !rand_ppm(&r, s->post_ppm));
        if (rc != -ECANCELED)
            rc = world_sleep(s->w, rand_exponential(&r, s->pause_ns));
    }
    arena_release(&arena);
    return rc;
}

static int check_health(void *arg)
{
    struct scene *s = arg;
    return upstream_client_check_health(s->client);
}

static void check_rest(struct scene *s)
{
    struct upstream *u = upstreams_find(s->all, "x");
    sim_check(s->sim, u->in_flight == 0 && u->budget.in_flight == 0,
        "%u attempts and %u retries never ended", u->in_flight, u->budget.in_flight);
    for (unsigned i = 0; i < s->count; i++)
        sim_check(s->sim, u->servers[i].in_flight == 0, "server %u still has calls", i);
    sim_check(s->sim, s->answered + s->failed == s->next_id, "a call did not end exactly once");
}

static int ask(struct world *w, void *arg)
{
    struct scene *s = arg;
    struct http_client_options options = HTTP_CLIENT_DEFAULTS;
    s->w = w;
    int rc = http_client_new(&s->http, w, &options);
    if (rc == 0)
        rc = upstream_client_new(&s->client, s->all, s->http, w, 0);
    if (rc == 0) {
        GROUP(checks, GROUP_INDEPENDENT);
        rc = group_spawn(&checks, "health", check_health, s);
        GROUP(callers, GROUP_INDEPENDENT);
        for (unsigned i = 0; i < s->callers && rc == 0; i++)
            rc = group_spawn(&callers, "caller", call_fn, s);
        if (rc == 0)
            rc = group_wait(&callers);
    }
    check_rest(s);
    upstream_client_free(s->client);
    http_client_free(s->http);
    return rc;
}

/* ---- Scenes ---- */

static void configure(struct scene *s, const char *settings)
{
    static const struct conf_flow_kinds none;
    char text[2048];
    struct conf_errors *errors = conf_errors_new();
    int len = snprintf(text, sizeof text, "client: {adaptive: false}\nupstreams: {x: {servers: [");
    for (unsigned i = 0; i < s->count; i++)
        len += snprintf(
            text + len, sizeof text - (size_t)len, "%s'%s:80'", i ? ", " : "", s->servers[i].name);
    snprintf(text + len, sizeof text - (size_t)len, "], %s}}\n", settings);
    int rc = conf_parse(&s->conf, span_of(text), &none, errors);
    sim_check(s->sim, rc == 0, "the configuration is wrong: %s", text);
    rc = upstreams_new(&s->all, conf_config(s->conf));
    sim_check(s->sim, rc == 0, "no upstreams: error %d", -rc);
    conf_errors_free(errors);
}

static void name_servers(struct scene *s, struct sim *sim)
{
    s->sim = sim;
    for (unsigned i = 0; i < s->count; i++) {
        s->servers[i].s = s;
        s->servers[i].index = i;
        snprintf(s->servers[i].name, sizeof s->servers[i].name, "s%u", i);
    }
}

static void play(struct scene *s, const char *settings, const struct sim_chaos *chaos)
{
    struct sim *sim = s->sim;
    configure(s, settings);
    for (unsigned i = 0; i < s->count; i++)
        sim_check(sim,
            sim_host(sim, &(struct sim_host_options){.name = s->servers[i].name,
                              .boot = serve,
                              .boot_arg = &s->servers[i],
                              .spared = i == 0 && s->first_is_well}),
            "there is no server");
    struct sim_host *host =
        sim_host(sim, &(struct sim_host_options){.name = "gate", .spared = true});
    struct sim_process *p = host ? sim_start(host, "gate", ask, s) : NULL;
    int rc = chaos ? sim_chaos(sim, chaos) : 0;
    if (rc == 0 && s->moody_ns)
        rc = sim_direct(sim, "moods", direct, s);
    if (rc == 0)
        rc = sim_run(sim, s->over + 600 * NS_PER_S);
    sim_check(sim, rc == 0, "the simulation ended with error %d", -rc);
    struct sim_end end = sim_process_end(p);
    sim_check(sim, end.state == SIM_EXITED && end.result == 0,
        "the gate did not end well: state %d, result %d", (int)end.state, end.result);
    sim_check(sim, sim_process_unclosed(p) == 0, "it left %u things open", sim_process_unclosed(p));
    sim_check(sim, s->answered > 0, "nobody was ever answered");
    upstreams_free(s->all);
    conf_free(s->conf);
}

static const char *any_of(struct sim *sim, const char *const *words, unsigned count)
{
    return words[rand_below(sim_rand(sim), count)];
}

static const char *const balances[] = {"least", "round_robin", "hash"};
static const char *const checks[] = {
    "", ", health: {path: /check, interval: 500ms, timeout: 300ms, fall: 2}"};

/* Crashes, pauses and moods at random; then calm, in which all is well again. */
static void faults(struct sim *sim)
{
    static struct scene s;
    struct rand *r = sim_rand(sim);
    char settings[400];
    memset(&s, 0, sizeof s);
    s.count = 1 + (unsigned)rand_below(r, 6);
    s.callers = 1 + (unsigned)rand_below(r, 12);
    s.pause_ns = 50 * NS_PER_MS;
    s.limit_ns = 3 * NS_PER_S;
    s.post_ppm = 200000;
    s.moody_ns = 1 * NS_PER_S;
    s.moods_end = 15 * NS_PER_S;
    s.calm_from = s.moods_end + 70 * NS_PER_S; /* segments may be on their way for a minute */
    s.over = s.calm_from + 20 * NS_PER_S;
    name_servers(&s, sim);
    snprintf(settings, sizeof settings,
        "balance: %s, retry: {attempts: %u, per_try: %s, budget: %u, budget_min: %u}, eject: "
        "{failures: %u, time: 1s, time_max: 5s, slow_start: %s}%s",
        any_of(sim, balances, 3), 1 + (unsigned)rand_below(r, 5),
        rand_ppm(r, 500000) ? "0" : "400ms", (unsigned)rand_below(r, 100),
        (unsigned)rand_below(r, 5), (unsigned)rand_below(r, 6), rand_ppm(r, 500000) ? "0" : "3s",
        any_of(sim, checks, 2));
    play(&s, settings,
        &(struct sim_chaos){.until = s.moods_end,
            .crash_ns = 4 * NS_PER_S,
            .partition_ns = 8 * NS_PER_S,
            .degrade_ns = 8 * NS_PER_S,
            .pause_ns = 4 * NS_PER_S,
            .resolver_ns = 10 * NS_PER_S});
    for (unsigned i = 0; i < s.count; i++)
        sim_check(sim, s.servers[i].calm_requests > 0, "server %u was forgotten", i);
}

/* All but one fail as they like: whatever may be repeated succeeds. */
static void one_is_well(struct sim *sim)
{
    static struct scene s;
    struct rand *r = sim_rand(sim);
    char settings[400];
    memset(&s, 0, sizeof s);
    s.count = 2 + (unsigned)rand_below(r, 4);
    s.callers = 1 + (unsigned)rand_below(r, 12);
    s.pause_ns = 30 * NS_PER_MS;
    s.limit_ns = 5 * NS_PER_S;
    s.post_ppm = 100000;
    s.moody_ns = 500 * NS_PER_MS;
    s.moods_end = 20 * NS_PER_S;
    s.first_is_well = true;
    s.over = s.moods_end;
    s.calm_from = s.moods_end + 100 * NS_PER_S;
    name_servers(&s, sim);
    snprintf(settings, sizeof settings,
        "balance: %s, retry: {attempts: %u, per_try: 400ms, budget: 1000, budget_min: 1000}, "
        "eject: "
        "{failures: %u, time: 1s, time_max: 5s}%s",
        any_of(sim, balances, 3), s.count, (unsigned)rand_below(r, 4), any_of(sim, checks, 2));
    play(&s, settings,
        &(struct sim_chaos){
            .until = s.moods_end, .crash_ns = 2 * NS_PER_S, .pause_ns = 2 * NS_PER_S});
}

/* ---- Two of ten are slow ---- */

#define LOAD_SERVERS 10
#define LOAD_WORK_NS (10 * NS_PER_MS) /* the slow ones take four times that */
#define LOAD_SLOW    2
#define LOAD_CALLS   6000

struct load {
    struct scene s;
    int64_t took[LOAD_CALLS];
    unsigned ended;
};

static int by_time(const void *a, const void *b)
{
    const int64_t *x = a;
    const int64_t *y = b;
    return *x < *y ? -1 : *x > *y;
}

static int one_of_load(void *arg)
{
    struct load *l = arg;
    struct arena arena;
    arena_init(&arena, 64 * 1024);
    int64_t began = sim_now(l->s.sim);
    int rc = call_once(&l->s, upstreams_find(l->s.all, "x"), &arena, true);
    l->took[l->ended++] = sim_now(l->s.sim) - began;
    arena_release(&arena);
    return rc;
}

/* An open loop: calls come however many are under way. */
static int load(struct world *w, void *arg)
{
    struct load *l = arg;
    struct scene *s = &l->s;
    struct http_client_options options = HTTP_CLIENT_DEFAULTS;
    double capacity = (LOAD_SERVERS - LOAD_SLOW + LOAD_SLOW / 4.0) / (double)LOAD_WORK_NS;
    struct rand r;
    uint64_t seed;
    world_random(w, &seed, sizeof seed);
    rand_init(&r, seed);
    s->w = w;
    int rc = http_client_new(&s->http, w, &options);
    if (rc == 0)
        rc = upstream_client_new(&s->client, s->all, s->http, w, 0);
    if (rc == 0) {
        GROUP(calls, GROUP_INDEPENDENT);
        for (unsigned i = 0; rc == 0 && i < LOAD_CALLS; i++) {
            rc = world_sleep(w, rand_exponential(&r, (int64_t)(1 / (0.7 * capacity))));
            if (rc == 0)
                rc = group_spawn(&calls, "call", one_of_load, l);
        }
        if (rc == 0)
            rc = group_wait(&calls);
    }
    check_rest(s);
    upstream_client_free(s->client);
    http_client_free(s->http);
    return rc;
}

static int64_t p99_of(struct sim *sim, const char *balance, unsigned first_host)
{
    static struct load l;
    char settings[64];
    memset(&l, 0, sizeof l);
    struct scene *s = &l.s;
    s->sim = sim;
    s->count = LOAD_SERVERS;
    s->limit_ns = 600 * NS_PER_S;
    s->calm_from = s->over = 600 * NS_PER_S;
    for (unsigned i = 0; i < LOAD_SERVERS; i++) {
        struct server *server = &s->servers[i];
        *server = (struct server){.s = s, .index = i};
        server->work_ns = i < LOAD_SLOW ? 4 * LOAD_WORK_NS : LOAD_WORK_NS;
        snprintf(server->name, sizeof server->name, "s%u", first_host + i);
    }
    snprintf(settings, sizeof settings, "balance: %s, eject: {failures: 0}", balance);
    configure(s, settings);
    for (unsigned i = 0; i < LOAD_SERVERS; i++)
        sim_host(sim, &(struct sim_host_options){
                          .name = s->servers[i].name, .boot = serve, .boot_arg = &s->servers[i]});
    struct sim_host *host = sim_host(sim, &(struct sim_host_options){.name = balance});
    struct sim_process *p = sim_start(host, "load", load, &l);
    int rc = sim_run(sim, sim_now(sim) + 600 * NS_PER_S);
    sim_check(sim, rc == 0 && sim_process_end(p).result == 0, "the load ended with error %d", -rc);
    sim_check(sim, l.ended == LOAD_CALLS, "%u calls ended", l.ended);
    qsort(l.took, l.ended, sizeof *l.took, by_time);
    upstreams_free(s->all);
    conf_free(s->conf);
    return l.took[l.ended * 99 / 100];
}

/* At 70 % of what all can do together. */
static void two_are_slow(struct sim *sim)
{
    int64_t least = p99_of(sim, "least", 0);
    int64_t in_turn = p99_of(sim, "round_robin", LOAD_SERVERS);
    sim_note(sim, "p99 of least, us", least / NS_PER_US);
    sim_note(sim, "p99 of round_robin, us", in_turn / NS_PER_US);
    sim_check(sim, least * 2 <= in_turn, "p99 of least %lld us, of round_robin %lld us",
        (long long)(least / NS_PER_US), (long long)(in_turn / NS_PER_US));
}

int main(int argc, char **argv)
{
    const struct sim_options pieces = {.short_reads_ppm = 200000, .short_writes_ppm = 200000};
    const struct scenario scenarios[] = {
        {.name = "upstream_faults", .run = faults, .options = pieces},
        {.name = "upstream_one_is_well", .run = one_is_well, .options = pieces},
        {.name = "upstream_two_are_slow", .run = two_are_slow},
    };
    return run_scenarios(argc, argv, scenarios, sizeof scenarios / sizeof *scenarios);
}
