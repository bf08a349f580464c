/*
 * upstream.c: calls of an upstream while its servers fail in every way.
 *
 * A gate of one or two threads calls an upstream of 1 to 10 servers. The seed draws its balance,
 * weights, retries, ejections and checks, the load, and who fails how and when; at last all are
 * well. Whatever happens, a call has one outcome, in time, and its attempts keep the rules of
 * doc/internals/upstream.md. When all is well again, calls succeed and every server has some.
 *
 * `one_healthy`: one server is always well, all calls may be repeated, and there are enough
 * attempts: all but a thousandth succeed.
 */
#include "faulty_server.h"
#include "runner.h"

#include "conf/schema.h"
#include "coro/group.h"
#include "upstream/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SERVERS_MAX 10
#define CALLS_MAX   100000
#define REPEATS_MAX (4 * CALLS_MAX)
#define FAULTS_NS   (8 * NS_PER_S)
/* After the last fault: until calls must succeed again. */
#define RECOVERY_NS NS_PER_S
/* From then on: until every server has returned, and so many calls. */
#define RETURN_NS   (6 * NS_PER_S)
#define CALM_CALLS  1000
/* How late a server may see a request that was sent in time: a connection's and a request's way. */
#define WAY_NS      (2 * NS_PER_MS)
#define WATCH_NS    (2 * NS_PER_MS)
/* The budget looks at calls and retries of ten to eleven seconds. A repetition arrives some time
 * after the budget was taken. */
#define RETRIES_NS  (7 * NS_PER_S)
#define EARNED_NS   (12 * NS_PER_S)
#define REPLY_MAX   ((size_t)64 * 1024)

struct call_record {
    int64_t began;    /* universe time */
    int64_t deadline; /* universe time */
    int64_t ended;    /* universe time; DEADLINE_NEVER: not yet */
    const struct upstream_call *call;
    bool repeatable;
    unsigned seen;    /* how often a server saw it */
    unsigned servers; /* a bit for each server that saw it */
    unsigned kept;    /* those that saw it on a kept connection: the client may send it again */
};

struct scene {
    struct sim *sim;
    bool one_healthy;
    bool bounded; /* client.adaptive */
    unsigned server_count;
    struct faulty_server servers[SERVERS_MAX];
    struct sim_host *gate;
    struct upstreams *all;
    struct upstream *u;
    unsigned thread_count;
    unsigned threads_left;
    unsigned callers; /* of a thread */
    int64_t pause_ns; /* of a caller between its calls */
    unsigned failing; /* directors that are at work */
    int64_t calm_from;
    int64_t over;
    /* What came of it: */
    struct call_record *calls; /* by their beginning */
    unsigned call_count;
    unsigned ended, right;
    unsigned calm[SERVERS_MAX]; /* requests that each server got when all was well */
    int64_t *repeats;           /* when a server got a call that another one had got */
    unsigned repeat_count;
    unsigned repeats_old; /* those before it are older than RETRIES_NS */
    unsigned earned_old;
};

struct gate_thread {
    struct scene *s;
    struct world *w;
    struct http_client *http;
    struct upstream_client *client;
};

static bool is_calm(const struct scene *s)
{
    return sim_now(s->sim) >= s->calm_from;
}

/* ---- What servers see ---- */

/* With no floor the repetitions of some seconds are bounded by the calls of some more. */
static void check_budget(struct scene *s)
{
    const struct conf_retry *conf = &s->u->conf->retry;
    int64_t now = sim_now(s->sim);
    sim_check(s->sim, s->repeat_count < REPEATS_MAX, "there is no room for more repetitions");
    s->repeats[s->repeat_count++] = now;
    while (s->repeats[s->repeats_old] < now - RETRIES_NS)
        s->repeats_old++;
    while (s->calls[s->earned_old].began < now - EARNED_NS)
        s->earned_old++;
    unsigned repeats = s->repeat_count - s->repeats_old;
    unsigned calls = s->call_count - s->earned_old;
    sim_check(s->sim,
        conf->budget_min > 0 || (uint64_t)repeats * 100 <= (uint64_t)calls * conf->budget + 100,
        "%u calls were repeated, beside %u calls, with a budget of %u percent", repeats, calls,
        conf->budget);
}

/* A client sends a request again on a new connection if a kept one ended before the reply. */
static bool is_sent_again(struct call_record *r, unsigned bit)
{
    if (!(r->kept & bit))
        return false;
    r->kept &= ~bit;
    return true;
}

/* A server that saw the call on a kept connection was killed: sent again on a new one, the call
 * failed to connect, after which a retry needs no budget. */
static bool has_lost_a_server(const struct scene *s, const struct call_record *r)
{
    for (unsigned i = 0; i < s->server_count; i++)
        if ((r->kept & 1u << i) && s->servers[i].killed_at >= r->began)
            return true;
    return false;
}

static void check_server(struct scene *s, struct call_record *r, const struct faulty_server *server)
{
    unsigned bit = 1u << server->index;
    if (r->ended == DEADLINE_NEVER)
        sim_check(s->sim, r->call->attempts > s->server_count || !(r->servers & bit),
            "attempt %u went to %s again, although others were not tried", r->call->attempts,
            server->name);
    if ((r->servers & ~bit) && !has_lost_a_server(s, r))
        check_budget(s);
}

static void check_deadline(
    struct scene *s, const struct call_record *r, const struct faulty_request *request)
{
    int64_t now = sim_now(s->sim);
    int64_t per_try = s->u->conf->retry.per_try;
    sim_check(s->sim, now <= r->deadline + WAY_NS, "an attempt began %.3f ms after the deadline",
        (double)(now - r->deadline) / 1e6);
    sim_check(s->sim, now <= r->ended || now - r->ended <= WAY_NS,
        "an attempt began after its call had ended");
    sim_check(s->sim, now + request->left_ns <= r->deadline + WAY_NS,
        "an attempt has %.3f ms, which is longer than its call", (double)request->left_ns / 1e6);
    sim_check(s->sim, per_try == 0 || request->left_ns <= per_try,
        "an attempt has %.3f ms, which is longer than per_try", (double)request->left_ns / 1e6);
}

static void on_request(
    void *ctx, struct faulty_server *server, const struct faulty_request *request)
{
    struct scene *s = ctx;
    unsigned id = 0;
    unsigned bit = 1u << server->index;
    if (is_calm(s))
        s->calm[server->index]++;
    if (span_equal(request->id, SPAN("health")))
        return;
    for (size_t i = 0; i < request->id.len; i++)
        id = id * 10 + (unsigned)(request->id.ptr[i] - '0');
    sim_check(s->sim, id < s->call_count, "nobody made call %u", id);
    struct call_record *r = &s->calls[id];
    sim_check(s->sim, r->repeatable || r->seen == 0, "call %u may not be repeated, and was", id);
    if (!request->after_a_fault)
        check_deadline(s, r, request);
    if (!is_sent_again(r, bit))
        check_server(s, r, server);
    if (request->on_kept)
        r->kept |= bit;
    r->seen++;
    r->servers |= bit;
}

/* ---- Callers ---- */

static bool is_clear(int error)
{
    return error == -ETIMEDOUT || error == -ECONNREFUSED || error == -ECONNRESET ||
           error == -EPIPE || error == -EHOSTUNREACH || error == -EBADMSG || error == -ENOBUFS ||
           error == -ENOENT || error == -EAGAIN;
}

static int64_t draw_deadline(struct rand *r, bool one_healthy)
{
    if (!one_healthy && rand_ppm(r, 100000))
        return rand_between(r, 2 * NS_PER_MS, 300 * NS_PER_MS);
    return one_healthy ? 8 * NS_PER_S : rand_between(r, NS_PER_S, 4 * NS_PER_S);
}

/* A kept connection to a host that crashed is reset by the first call on it. The HTTP client sends
 * a POST only once, and the budget may not allow a retry. */
static bool is_unlucky(const struct scene *s, const struct call_record *r, int rc)
{
    bool crashed = false;
    for (unsigned i = 0; i < s->server_count; i++)
        crashed = crashed || s->servers[i].crashed;
    return crashed && span_equal(r->call->request.method, SPAN("POST")) &&
           (rc == -ECONNRESET || rc == -EPIPE);
}

static void judge(struct scene *s, struct call_record *r, int rc, const struct http_response *got,
    struct span id, const struct error *e)
{
    const struct conf_retry *conf = &s->u->conf->retry;
    unsigned attempts = r->call->attempts;
    sim_check(s->sim, r->ended <= r->deadline, "a call ended %.3f ms after its deadline",
        (double)(r->ended - r->deadline) / 1e6);
    sim_check(s->sim, attempts <= conf->attempts, "%u attempts of %u", attempts, conf->attempts);
    sim_check(s->sim, (attempts > 0) == (r->call->server != NULL), "an attempt has no server");
    s->ended++;
    bool right = rc == 0 && got->head->status == 200;
    s->right += right;
    if (right)
        sim_check(s->sim, span_equal(got->body, id), "%.*s was answered with '%.*s'", SPAN_ARG(id),
            SPAN_ARG(got->body));
    else if (rc == 0)
        sim_check(s->sim, got->head->status == 503 || got->head->status == 502,
            "nobody sent status %d", got->head->status);
    else
        sim_check(s->sim, is_clear(rc) && e->code == rc && e->sentence[0],
            "a call failed in a way that says nothing: error %d: %s", -rc, e->sentence);
    bool may_fail =
        r->began < s->calm_from || r->deadline - r->began < NS_PER_S || is_unlucky(s, r, rc);
    sim_check(s->sim, right || may_fail,
        "call %.*s failed though all is well again: error %d after %u attempts: %s", SPAN_ARG(id),
        -rc, attempts, rc ? e->sentence : "its status");
}

static int call_once(struct gate_thread *t, struct rand *rand, struct arena *arena)
{
    static const struct span methods[] = {SPAN("GET"), SPAN("POST"), SPAN("PUT")};
    struct scene *s = t->s;
    char target[32];
    struct error e = {0};
    struct http_response got = {0};
    unsigned index = s->call_count++;
    unsigned method = (unsigned)rand_below(rand, 3);
    struct http_field key = {.name = SPAN("Idempotency-Key"), .value = SPAN("7")};
    bool keyed = method == 1 && rand_ppm(rand, 300000);
    bool safe = method == 1 && (s->one_healthy || rand_ppm(rand, 300000));
    snprintf(target, sizeof target, "/%u", index);
    struct upstream_call call = {.upstream = s->u,
        .request = {.method = methods[method],
            .target = span_of(target),
            .fields = &key,
            .field_count = keyed,
            .body = method == 0 ? (struct span){0} : span_of(target),
            .send_deadline = true},
        .repeatable = safe,
        .hash = rand_u64(rand)};
    int64_t limit = draw_deadline(rand, s->one_healthy);
    struct call_record *r = &s->calls[index];
    *r = (struct call_record){.began = sim_now(s->sim),
        .deadline = sim_now(s->sim) + limit,
        .ended = DEADLINE_NEVER,
        .call = &call,
        .repeatable = method != 1 || keyed || safe};
    CORO_DEADLINE(world_now(t->w) + limit);
    int rc = upstream_call(t->client, &call, arena, &got, &e);
    r->ended = sim_now(s->sim);
    judge(s, r, rc, &got, span_of(target + 1), &e);
    return rc == -ECANCELED ? rc : 0;
}

static int caller_fn(void *arg)
{
    struct gate_thread *t = arg;
    struct scene *s = t->s;
    struct rand rand;
    struct arena arena;
    uint64_t seed;
    world_random(t->w, &seed, sizeof seed);
    rand_init(&rand, seed);
    arena_init(&arena, REPLY_MAX);
    int rc = 0;
    while (rc == 0 && sim_now(s->sim) < s->over && s->call_count < CALLS_MAX) {
        arena_reset(&arena);
        rc = call_once(t, &rand, &arena);
        if (rc == 0)
            rc = world_sleep(t->w, rand_exponential(&rand, s->pause_ns));
    }
    arena_release(&arena);
    return rc;
}

/* ---- Looking from the side ---- */

static void check_ejections(const struct scene *s, int64_t now)
{
    unsigned in = 0;
    for (unsigned i = 0; i < s->server_count; i++)
        in += atomic_load(&s->u->servers[i].ejected_until) <= now;
    sim_check(s->sim, in > 0 || s->u->conf->health.path, "every server is ejected");
}

static void check_in_flight(const struct scene *s)
{
    const struct conf_retry *conf = &s->u->conf->retry;
    unsigned sum = 0;
    for (unsigned i = 0; i < s->server_count; i++)
        sum += atomic_load(&s->u->servers[i].in_flight);
    unsigned all = atomic_load(&s->u->in_flight);
    unsigned retries = atomic_load(&s->u->budget.in_flight);
    sim_check(s->sim, sum == all, "%u attempts of servers, %u of the upstream", sum, all);
    sim_check(s->sim, all <= s->thread_count * s->callers, "%u attempts of fewer callers", all);
    sim_check(s->sim,
        retries <= conf->budget_min + 1 + (uint64_t)s->call_count * conf->budget / 100,
        "%u retries are in flight", retries);
}

static int watch_fn(void *arg)
{
    struct gate_thread *t = arg;
    int rc = 0;
    while (rc == 0 && sim_now(t->s->sim) < t->s->over) {
        check_ejections(t->s, world_now(t->w));
        check_in_flight(t->s);
        rc = world_sleep(t->w, WATCH_NS);
    }
    return rc;
}

static int check_health_fn(void *arg)
{
    const struct gate_thread *t = arg;
    return upstream_client_check_health(t->client);
}

/* ---- The gate ---- */

static int call_all_the_time(struct gate_thread *t, bool first)
{
    GROUP(checks, GROUP_INDEPENDENT);
    GROUP(callers, GROUP_FAIL_FAST);
    int rc = first ? group_spawn(&checks, "health checks", check_health_fn, t) : 0;
    if (rc == 0 && first)
        rc = group_spawn(&callers, "watch", watch_fn, t);
    for (unsigned i = 0; i < t->s->callers && rc == 0; i++)
        rc = group_spawn(&callers, "caller", caller_fn, t);
    return rc ? rc : group_wait(&callers);
}

static int gate_main(struct world *w, struct scene *s, bool first)
{
    struct gate_thread t = {.s = s, .w = w};
    struct http_client_options options = HTTP_CLIENT_DEFAULTS;
    int rc = http_client_new(&t.http, w, &options);
    if (rc == 0)
        rc = upstream_client_new(&t.client, s->all, t.http, w, 0);
    if (rc == 0)
        rc = call_all_the_time(&t, first);
    upstream_client_free(t.client);
    http_client_free(t.http);
    s->threads_left--;
    return rc;
}

static int second_main(struct world *w, void *arg)
{
    return gate_main(w, arg, false);
}

static int first_main(struct world *w, void *arg)
{
    struct scene *s = arg;
    struct world *second;
    int rc =
        s->thread_count > 1 ? sim_thread(sim_self(w), "second thread", second_main, s, &second) : 0;
    if (rc == 0)
        rc = gate_main(w, s, true);
    while (rc == 0 && s->threads_left > 0)
        rc = world_sleep(w, NS_PER_MS);
    return rc;
}

/* ---- Faults ---- */

static int fail_now_and_then(struct sim *sim, void *arg)
{
    struct faulty_server *server = arg;
    struct scene *s = server->ctx;
    struct rand *r = sim_rand(sim);
    int rc = 0;
    while (rc == 0) {
        int64_t well = rand_between(r, 0, 4 * NS_PER_S);
        int64_t left = FAULTS_NS - sim_now(sim);
        rc = sim_sleep(sim, well < left ? well : left);
        left = FAULTS_NS - sim_now(sim);
        int64_t lasts = rand_between(r, 100 * NS_PER_MS, 3 * NS_PER_S);
        if (left <= 0)
            break;
        enum server_fault fault = (enum server_fault)rand_between(r, 1, SERVER_FAULTS - 1);
        if (rc == 0)
            rc = faulty_server_fail(server, s->gate, fault, lasts < left ? lasts : left);
    }
    if (--s->failing == 0) {
        s->calm_from = sim_now(sim) + RECOVERY_NS;
        s->over =
            s->calm_from + RETURN_NS + CALM_CALLS * s->pause_ns / (s->callers * s->thread_count);
    }
    return rc;
}

/* ---- The draw ---- */

static void draw_servers(struct scene *s, char *text, size_t size)
{
    size_t len = 0;
    bool equal = rand_ppm(sim_rand(s->sim), 500000);
    for (unsigned i = 0; i < s->server_count; i++)
        len += (size_t)snprintf(text + len, size - len, "%s{server: 's%u:%d', weight: %d}",
            i ? ", " : "", i, FAULTY_PORT, equal ? 1 : (int)rand_between(sim_rand(s->sim), 1, 4));
}

/* Arguments of a call are evaluated in any order: the seed must not draw there twice. */
static int draw_ms(struct scene *s, int least, int most)
{
    return (int)rand_between(sim_rand(s->sim), least, most);
}

static void draw_retry(struct scene *s, char *text, size_t size)
{
    struct rand *r = sim_rand(s->sim);
    int more = (int)rand_below(r, 3);
    int per_try = draw_ms(s, 100, 400);
    if (s->one_healthy) {
        snprintf(text, size,
            "{attempts: %u, per_try: %dms, budget: 1000, budget_min: 100000, backoff_max: 50ms}",
            s->server_count + (unsigned)more, per_try);
        return;
    }
    int attempts = (int)rand_between(r, 1, 5);
    int limit = rand_ppm(r, 500000) ? 0 : draw_ms(s, 100, 1000);
    int backoff_max = draw_ms(s, 10, 200);
    int budget = (int)rand_below(r, 4) * 15;
    int least = rand_ppm(r, 500000) ? 0 : (int)rand_below(r, 6);
    snprintf(text, size,
        "{attempts: %d, per_try: %dms, backoff: %dms, backoff_max: %dms, budget: %d, "
        "budget_min: %d}",
        attempts, limit, more * 10, backoff_max, budget, least);
}

static void draw_health(struct scene *s, char *text, size_t size)
{
    struct rand *r = sim_rand(s->sim);
    bool checked = rand_ppm(r, 500000);
    int interval = draw_ms(s, 50, 500);
    int timeout = draw_ms(s, 50, 500);
    int rise = (int)rand_between(r, 1, 3);
    int fall = (int)rand_between(r, 1, 3);
    text[0] = 0;
    if (checked)
        snprintf(text, size,
            ", health: {path: /health, interval: %dms, timeout: %dms, rise: %d, fall: %d}",
            interval, timeout, rise, fall);
}

static void draw_eject(struct scene *s, char *text, size_t size)
{
    int failures = (int)rand_below(sim_rand(s->sim), 6);
    int time = draw_ms(s, 100, 1000);
    int time_max = draw_ms(s, 1000, 3000);
    int slow_start = draw_ms(s, 0, 2000);
    snprintf(text, size, "{failures: %d, time: %dms, time_max: %dms, slow_start: %dms}", failures,
        time, time_max, slow_start);
}

static struct conf *draw_config(struct scene *s)
{
    static const char *const balances[] = {"least", "round_robin", "hash"};
    static const struct conf_flow_kinds no_kinds;
    struct rand *r = sim_rand(s->sim);
    char servers[512];
    char retry[256];
    char eject[128];
    char health[128];
    char text[2048];
    bool adaptive = rand_ppm(r, 500000);
    bool narrow = rand_ppm(r, 300000);
    const char *balance = balances[rand_below(r, 3)];
    draw_servers(s, servers, sizeof servers);
    draw_retry(s, retry, sizeof retry);
    draw_eject(s, eject, sizeof eject);
    draw_health(s, health, sizeof health);
    snprintf(text, sizeof text,
        "client: {adaptive: %s, in_use: %d}\n"
        "upstreams:\n"
        "  x: {servers: [%s], balance: %s, retry: %s, eject: %s%s}\n",
        adaptive ? "true" : "false", narrow ? 8 : 1024, servers, balance, retry, eject, health);
    struct conf *conf = NULL;
    struct conf_errors *errors = conf_errors_new();
    int rc = errors ? conf_parse(&conf, span_of(text), &no_kinds, errors) : -ENOMEM;
    sim_check(s->sim, rc == 0, "the configuration is wrong: %s", text);
    conf_errors_free(errors);
    return conf;
}

static void start_servers(struct scene *s)
{
    for (unsigned i = 0; i < s->server_count; i++) {
        struct faulty_server *server = &s->servers[i];
        *server = (struct faulty_server){.sim = s->sim,
            .index = i,
            .service_ns = rand_between(sim_rand(s->sim), NS_PER_MS, 10 * NS_PER_MS),
            .on_request = on_request,
            .ctx = s};
        faulty_server_start(server);
        if (s->one_healthy && i == 0)
            continue;
        int rc = sim_direct(s->sim, "faults", fail_now_and_then, server);
        sim_check(s->sim, rc == 0, "there are no faults");
        s->failing++;
    }
}

/* ---- The scenes ---- */

static void check_outcome(struct scene *s)
{
    sim_check(s->sim, s->ended == s->call_count, "of %u calls %u ended", s->call_count, s->ended);
    sim_check(s->sim, s->call_count < CALLS_MAX, "there is no room for more calls");
    sim_check(s->sim, atomic_load(&s->u->in_flight) == 0, "attempts are left in flight");
    sim_check(s->sim, atomic_load(&s->u->budget.in_flight) == 0, "retries are left in flight");
    for (unsigned i = 0; i < s->server_count; i++) {
        sim_check(s->sim, atomic_load(&s->u->servers[i].in_flight) == 0,
            "an attempt of server %u is left in flight", i);
        sim_check(s->sim, s->calm[i] > 0, "server %u is well again and gets no calls", i);
    }
    sim_check(s->sim,
        !s->one_healthy || (uint64_t)(s->call_count - s->right) * 1000 <= s->call_count,
        "with a server that works, of %u calls %u failed", s->call_count, s->call_count - s->right);
}

static void play(struct sim *sim, bool one_healthy)
{
    struct rand *r = sim_rand(sim);
    /* Coroutines look at them until the universe is closed. */
    static struct scene only;
    static struct call_record calls[CALLS_MAX];
    static int64_t repeats[REPEATS_MAX];
    struct scene *s = &only;
    *s = (struct scene){
        .sim = sim, .one_healthy = one_healthy, .calm_from = INT64_MAX, .over = INT64_MAX};
    s->server_count = (unsigned)rand_between(r, one_healthy ? 2 : 1, SERVERS_MAX);
    s->thread_count = s->threads_left = (unsigned)rand_between(r, 1, 2);
    s->callers = (unsigned)rand_between(r, 2, 20);
    s->pause_ns = rand_between(r, 10 * NS_PER_MS, 100 * NS_PER_MS);
    s->calls = calls;
    s->repeats = repeats;
    struct conf *conf = draw_config(s);
    int rc = upstreams_new(&s->all, conf_config(conf));
    sim_check(sim, rc == 0, "out of memory");
    s->u = upstreams_find(s->all, "x");
    s->gate = sim_host(sim, &(struct sim_host_options){.name = "gate", .spared = true});
    start_servers(s);
    struct sim_process *p = sim_start(s->gate, "gate", first_main, s);
    sim_check(sim, p, "there is no gate");
    const struct sim_chaos names = {.until = FAULTS_NS, .resolver_ns = 5 * NS_PER_S};
    rc = one_healthy ? 0 : sim_chaos(sim, &names);
    if (rc == 0)
        rc = sim_run(sim, 120 * NS_PER_S);
    sim_check(sim, rc == 0, "the simulation ended with error %d", -rc);
    struct sim_end end = sim_process_end(p);
    sim_check(sim, end.state == SIM_EXITED && end.result == 0,
        "the gate did not end well: state %d, result %d", (int)end.state, end.result);
    sim_check(sim, sim_process_unclosed(p) == 0, "it left %u things open", sim_process_unclosed(p));
    check_outcome(s);
    if (sim_failed(sim))
        return;
    upstreams_free(s->all);
    conf_free(conf);
}

static void faults(struct sim *sim)
{
    play(sim, false);
}

static void one_healthy(struct sim *sim)
{
    play(sim, true);
}

int main(int argc, char **argv)
{
    const struct sim_options pieces = {.short_reads_ppm = 100000, .short_writes_ppm = 100000};
    const struct scenario scenarios[] = {
        {.name = "faults", .run = faults, .options = pieces},
        {.name = "one_healthy", .run = one_healthy, .options = pieces},
    };
    return run_scenarios(argc, argv, scenarios, sizeof scenarios / sizeof *scenarios);
}
