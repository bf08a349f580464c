/*
 * echo.c: examples/echo in a simulated network that fails: every call gets exactly its own answer
 * or a clear error, by its deadline; and when the faults are over, everybody is served again.
 */
#include "runner.h"

#include "base/mem.h"
#include "base/rand.h"
#include "client.h"
#include "frame.h"
#include "server.h"

#include <errno.h>
#include <string.h>

#define PORT          7070
#define CLIENTS       6
#define CALL_LIMIT_NS (3 * NS_PER_S)
#define PAYLOAD_BIG   (20 * 1024)
/* What a connection from the time of the faults may still suffer from: TCP's doubled
 * retransmissions. */
#define RECOVERY_NS   (30 * NS_PER_S)

struct scene {
    struct sim *sim;
    struct address server;
    int64_t calm_from; /* universe time from which on nothing is wrong any more */
    int64_t over;
    uint64_t answered;
    uint64_t failed;
};

static int serve(struct world *w, void *arg)
{
    struct address *at = arg;
    return echo_serve(w, at, &(struct echo_options){.idle_ns = 5 * NS_PER_S});
}

/* ---- One client ---- */

/* What a network and a server that fail may do to a call. Anything else is a mistake of ours. */
static bool is_clear(int error)
{
    return error == -ETIMEDOUT || error == -ECONNREFUSED || error == -ECONNRESET ||
           error == -EPIPE || error == -EHOSTUNREACH || error == -ENETUNREACH;
}

static size_t make_payload(struct rand *r, char *payload)
{
    size_t len = rand_ppm(r, 100000) ? rand_below(r, PAYLOAD_BIG) : rand_below(r, 200);
    rand_fill(r, payload, len);
    return len;
}

/* One call with a payload that no other has: 0 and it was answered with the same, or the error. */
static int call_once(
    struct scene *s, struct world *w, struct echo_client *c, struct rand *r, char *payload)
{
    struct span sent = {.ptr = payload, .len = make_payload(r, payload)};
    struct span reply;
    int64_t start = world_now(w);
    CORO_DEADLINE(start + CALL_LIMIT_NS);
    int rc = echo_call(c, sent, &reply);
    if (rc)
        return rc;
    sim_check(s->sim, span_equal(sent, reply),
        "a call of %zu bytes was answered with %zu bytes that are not the same", sent.len,
        reply.len);
    s->answered++;
    return 0;
}

/* Several frames in one write: they come back as they went, whatever pieces they travel in. */
static int call_many(
    struct scene *s, struct world *w, struct echo_client *c, struct rand *r, char *frames)
{
    size_t size = 0;
    for (uint64_t left = rand_between(r, 2, 8); left > 0; left--) {
        size_t len = rand_below(r, PAYLOAD_BIG / 8 - FRAME_HEAD);
        frame_encode_head(frames + size, (uint32_t)len);
        rand_fill(r, frames + size + FRAME_HEAD, len);
        size += FRAME_HEAD + len;
    }
    CORO_DEADLINE(world_now(w) + CALL_LIMIT_NS);
    struct iovec part = {.iov_base = frames, .iov_len = size};
    int rc = stream_write(c->stream, &part, 1);
    for (size_t at = 0; at < size && rc == 0;) {
        char back[1000];
        ssize_t got =
            stream_read(c->stream, back, size - at < sizeof back ? size - at : sizeof back);
        if (got <= 0)
            return got ? (int)got : -EPIPE;
        sim_check(s->sim, memcmp(back, frames + at, (size_t)got) == 0,
            "frames sent at once came back otherwise, from byte %zu on", at);
        at += (size_t)got;
    }
    s->answered += rc == 0;
    return rc;
}

/* Calls over one connection until a call fails: its error; 0 once the scene is over. */
static int call_until_it_fails(struct scene *s, struct world *w, struct rand *r, char *payload)
{
    struct echo_client c;
    int rc;
    {
        CORO_DEADLINE(world_now(w) + CALL_LIMIT_NS);
        rc = echo_client_open(&c, w, &s->server);
    }
    if (rc)
        return rc;
    while (rc == 0 && sim_now(s->sim) < s->over) {
        int64_t start = world_now(w);
        rc =
            rand_ppm(r, 300000) ? call_many(s, w, &c, r, payload) : call_once(s, w, &c, r, payload);
        sim_check(s->sim, world_now(w) <= start + CALL_LIMIT_NS, "a call lasted past its deadline");
        if (rc == 0)
            rc = world_sleep(w, rand_exponential(r, 50 * NS_PER_MS));
    }
    echo_client_close(&c);
    return rc;
}

static int ask(struct world *w, void *arg)
{
    struct scene *s = arg;
    struct rand r;
    uint64_t seed;
    world_random(w, &seed, sizeof seed);
    rand_init(&r, seed);
    char *payload = mem_alloc(PAYLOAD_BIG);
    if (!payload)
        return -ENOMEM;
    int rc = 0;
    while (rc != -ECANCELED && sim_now(s->sim) < s->over) {
        int64_t began = sim_now(s->sim);
        rc = call_until_it_fails(s, w, &r, payload);
        if (rc == 0 || rc == -ECANCELED)
            continue;
        s->failed++;
        sim_check(s->sim, is_clear(rc), "a call failed in a way that says nothing: error %d", -rc);
        sim_check(s->sim, began < s->calm_from,
            "a call failed (error %d) although nothing was wrong any more", -rc);
        rc = world_sleep(w, 100 * NS_PER_MS);
    }
    mem_free(payload);
    return rc;
}

/* ---- The scenes ---- */

static struct sim_host *add_server(struct sim *sim, struct scene *s)
{
    struct sim_host *host = sim_host(
        sim, &(struct sim_host_options){.name = "server", .boot = serve, .boot_arg = &s->server});
    sim_host_address(host, PORT, &s->server);
    return host;
}

/* The address is known only once the host is; it boots when the simulation first runs. */
static void add_clients(struct sim *sim, struct scene *s, struct sim_process *clients[CLIENTS])
{
    static const char *const names[CLIENTS] = {"c1", "c2", "c3", "c4", "c5", "c6"};
    for (int i = 0; i < CLIENTS; i++) {
        struct sim_host *host =
            sim_host(sim, &(struct sim_host_options){.name = names[i], .spared = true});
        clients[i] = sim_start(host, names[i], ask, s);
    }
}

static void finish(struct scene *s, struct sim_process *clients[CLIENTS])
{
    int rc = sim_run(s->sim, s->over + 600 * NS_PER_S);
    sim_check(s->sim, rc == 0, "the simulation ended with error %d", -rc);
    for (int i = 0; i < CLIENTS; i++) {
        struct sim_end end = sim_process_end(clients[i]);
        sim_check(s->sim, end.state == SIM_EXITED && end.result == 0,
            "client %d did not end well: state %d, result %d", i + 1, (int)end.state, end.result);
        sim_check(s->sim, sim_process_unclosed(clients[i]) == 0, "client %d left %u things open",
            i + 1, sim_process_unclosed(clients[i]));
    }
    sim_check(s->sim, s->answered > 0, "nobody was ever answered");
}

/* Nothing is wrong: every call is answered, whatever pieces it travels in. */
static void calm(struct sim *sim)
{
    struct scene s = {.sim = sim, .over = 10 * NS_PER_S};
    struct sim_process *clients[CLIENTS];
    add_server(sim, &s);
    add_clients(sim, &s, clients);
    finish(&s, clients);
    sim_check(sim, s.failed == 0, "%lu connections failed", (unsigned long)s.failed);
}

/* Everything that can go wrong does, by the seed, and is then over. */
static void faults(struct sim *sim)
{
    int64_t until = 30 * NS_PER_S;
    struct scene s = {.sim = sim, .calm_from = until + RECOVERY_NS};
    struct sim_process *clients[CLIENTS];
    s.over = s.calm_from + 10 * NS_PER_S;
    add_server(sim, &s);
    add_clients(sim, &s, clients);
    int rc = sim_chaos(sim, &(struct sim_chaos){
                                .until = until,
                                .crash_ns = 8 * NS_PER_S,
                                .partition_ns = 5 * NS_PER_S,
                                .degrade_ns = 3 * NS_PER_S,
                                .slow_ns = 5 * NS_PER_S,
                                .pause_ns = 5 * NS_PER_S,
                                .wall_jump_ns = 5 * NS_PER_S,
                            });
    sim_check(sim, rc == 0, "no chaos: error %d", -rc);
    finish(&s, clients);
}

static int crash_and_restart(struct sim *sim, void *arg)
{
    struct sim_host *server = arg;
    for (int i = 0; i < 3; i++) {
        int rc = sim_sleep(sim, 2 * NS_PER_S);
        if (rc)
            return rc;
        sim_crash(server);
        rc = sim_sleep(sim, NS_PER_S);
        if (rc == 0)
            rc = sim_restart(server);
        if (rc)
            return rc;
    }
    return 0;
}

/* The server crashes three times. Who was in a call hears of it in time, and is served by the
 * next. */
static void crashes(struct sim *sim)
{
    struct scene s = {.sim = sim, .calm_from = 10 * NS_PER_S, .over = 20 * NS_PER_S};
    struct sim_process *clients[CLIENTS];
    struct sim_host *server = add_server(sim, &s);
    add_clients(sim, &s, clients);
    int rc = sim_direct(sim, "crashes", crash_and_restart, server);
    sim_check(sim, rc == 0, "no director: error %d", -rc);
    finish(&s, clients);
    sim_check(sim, s.failed > 0, "nobody noticed three crashes");
}

int main(int argc, char **argv)
{
    const struct sim_options pieces = {.short_reads_ppm = 200000, .short_writes_ppm = 200000};
    const struct scenario scenarios[] = {
        {.name = "calm", .run = calm, .options = pieces},
        {.name = "faults", .run = faults, .options = pieces},
        {.name = "crashes", .run = crashes, .options = pieces},
    };
    return run_scenarios(argc, argv, scenarios, sizeof scenarios / sizeof *scenarios);
}
