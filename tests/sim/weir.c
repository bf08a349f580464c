/*
 * weir.c: whole weirs (a supervisor, its servers, their flows) between clients and backends that
 * fail in every way. Every request has exactly one answer, its own, in time; no connection is
 * refused; reload, crash and stop lose no more than they must. Flows wait, and they work: in pools
 * of every kind, whose workers may die and cost nobody but who was with them.
 */
#include "runner.h"

#include "base/rand.h"
#include "weir_asks.h"
#include "weir_backend.h"
#include "weir_crowd.h"
#include "weir_host.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* An old server may take a connection until it has heard that it is old. */
#define TAKEOVER_NS  (20 * MS)
/* A connection is a server's before its client knows that it is open. */
#define HANDSHAKE_NS (2 * MS)
/* A server that served is replaced within this time; one that did not, several times in a row, is
 * waited with. */
#define RESTART_NS   (200 * MS)
#define BACKOFF_NS   (6 * S)
/* What was sent so long before a server is told to stop has reached it. */
#define UNDER_WAY_NS (20 * MS)

#define DEATHS_NS       (2 * S)
/* Who dies before it has worked is waited with, up to 5 s. */
#define WORKERS_BACK_NS (7 * S)

#define STORM_NS    (15 * S)
/* What a connection from the time of the storm may still suffer from: TCP's doubled
 * retransmissions. */
#define RECOVERY_NS (25 * S)
#define GIVE_UP_NS  (10 * S)

struct scene {
    struct sim *sim;
    struct weir_host weir;
    struct backend backend;
    struct crowd crowd;
    int64_t stopped_at; /* universe time; 0: not yet */
    int64_t killed_at;  /* the same, of the last */
    bool in_a_loop;     /* servers are killed before they are ready, too */
    unsigned version;   /* of the configuration in the file, where they have one */
    int (*direct)(struct scene *s);
};

/* One at a time. Coroutines come to their end, and look at it, when the universe is closed, after
 * the scenario's function has returned. */
static struct scene *new_scene(struct sim *sim, struct crowd crowd)
{
    static struct scene scene;
    scene = (struct scene){.sim = sim, .crowd = crowd};
    return &scene;
}

/* ---- Scenes ---- */

static int direct(struct sim *sim, void *arg)
{
    struct scene *s = arg;
    int rc = weir_host_start(&s->weir);
    if (rc == 0) {
        crowd_start(&s->crowd);
        rc = s->direct(s);
    }
    return rc;
}

static void set_up(struct scene *s, const struct ask_set *set)
{
    struct sim *sim = s->sim;
    char config[CONFIG_MAX];
    write_config(sim, config);
    weir_host_init(&s->weir, sim, "weir", config);
    backend_init(&s->backend, sim);
    s->crowd.sim = sim;
    s->crowd.at = &s->weir.at;
    s->crowd.asks = set->asks;
    s->crowd.ask_count = set->count;
    s->crowd.ctx = s;
}

static void play(struct scene *s, int (*script)(struct scene *s))
{
    s->direct = script;
    int rc = sim_direct(s->sim, "script", direct, s);
    if (rc == 0)
        rc = sim_run(s->sim, 3600 * S);
    sim_check(s->sim, rc == 0, "the simulation ended with error %d", -rc);
    sim_check(s->sim, s->weir.server_count == 0, "a server outlives its supervisor");
    sim_check(s->sim, s->weir.workers.count == 0, "%u workers outlive their server",
        s->weir.workers.count);
}

static int ask_then_stop(struct scene *s)
{
    int rc = crowd_wait(&s->crowd);
    return rc ? rc : weir_host_stop(&s->weir);
}

static void check_none_lost(const struct scene *s)
{
    sim_check(s->sim, s->crowd.lost == 0 && s->crowd.resent == 0,
        "%u requests were lost, %u sent again", s->crowd.lost, s->crowd.resent);
}

/* ---- Calm ---- */

static void calm(struct sim *sim)
{
    struct scene *s =
        new_scene(sim, (struct crowd){.clients = 36, .bursts = 8, .pause_mean_ns = 50 * MS});
    set_up(s, &usual);
    play(s, ask_then_stop);
    check_none_lost(s);
}

/* ---- Backends that fail ---- */

/* How often a backend is asked for one id: twice, where a kept connection may have been stale. */
static void check_calls(void *ctx, const struct request *r, const struct answer *a)
{
    const struct scene *s = ctx;
    unsigned calls = backend_times(&s->backend, r->id);
    sim_check(s->sim, calls <= r->ask->calls * r->tries, "%s (%s) became %u calls", r->id,
        r->ask->path, calls);
    bool needs_one = r->ask->calls > 0 && a->status == 200 && !strstr(a->body, "none");
    sim_check(s->sim, calls > 0 || !needs_one, "%s (%s) was answered although nobody was asked",
        r->id, r->ask->path);
}

static void backends(struct sim *sim)
{
    struct scene *s = new_scene(sim,
        (struct crowd){
            .clients = 40, .bursts = 5, .pause_mean_ns = 100 * MS, .answered_well = check_calls});
    set_up(s, &troubled);
    sim_crash(sim_host(sim, &(struct sim_host_options){.name = "ruin"}));
    play(s, ask_then_stop);
    check_none_lost(s);
}

/* ---- Reload ---- */

static void configure_version(struct scene *s, unsigned version)
{
    char config[CONFIG_MAX];
    write_version(s->sim, config, version);
    weir_host_configure(&s->weir, config);
    s->version = version;
}

/* The version that was in use at this moment. */
static unsigned version_at(const struct scene *s, int64_t when)
{
    unsigned version = s->weir.configured[0].version;
    for (unsigned i = 0; i < s->weir.configured_count && s->weir.configured[i].at <= when; i++)
        version = s->weir.configured[i].version;
    return version;
}

/* A connection is answered by the server that accepted it, to its end; and while an old server
 * hears that it is old, both accept. */
static void check_version(
    void *ctx, const struct request *r, const struct answer *a, int64_t connected_at)
{
    const struct scene *s = ctx;
    char expected[128];
    unsigned oldest = version_at(s, connected_at - TAKEOVER_NS);
    unsigned version = oldest;
    if (a->status == 404) {
        const char *missing = strstr(r->ask->path, "even") ? "even" : "odd";
        bool was = false;
        for (; version <= s->version; version++)
            was |= (version % 2 == 0) != (missing[0] == 'e');
        snprintf(expected, sizeof expected, "urn:weir:request:%s\"", r->id);
        sim_check(s->sim, was && strstr(a->body, expected),
            "%s (%s) was answered by neither configuration: %s", r->id, r->ask->path, a->body);
        return;
    }
    bool found = false;
    for (; version <= s->version && !found; version++) {
        snprintf(expected, sizeof expected, "{\"v\":%u,\"id\":\"%s\"}\n", version, r->id);
        found = strcmp(a->body, expected) == 0;
    }
    sim_check(s->sim, a->status == 200 && found,
        "%s (%s), by version %u to %u, was answered with %d and '%s'", r->id, r->ask->path, oldest,
        s->version, a->status, a->body);
}

#define VERSION_BAD "listen: '*:80'\nroutes:\n  - {route: GET /v/x, reply: $path.nothing}\n"

/* Two reloads in a hurry become one or two: waits until none is under way. */
static int await_last_reload(struct scene *s)
{
    unsigned seen;
    int rc;
    do {
        seen = s->weir.readies + s->weir.started;
        rc = sim_sleep(s->sim, 50 * MS); /* time: virtual; a server starts within 5 ms */
    } while (rc == 0 && seen != s->weir.readies + s->weir.started);
    return rc;
}

static int reload_once(struct scene *s, unsigned *version)
{
    struct rand *r = sim_rand(s->sim);
    unsigned readies = s->weir.readies;
    unsigned configured = s->weir.configured_count;
    unsigned started = s->weir.started;
    bool bad = rand_ppm(r, 300000);
    bool hurried = !bad && rand_ppm(r, 300000);
    if (bad)
        weir_host_configure(&s->weir, VERSION_BAD);
    else
        configure_version(s, ++*version);
    weir_host_reload(&s->weir);
    if (hurried) { /* the latest counts */
        int rc = sim_sleep(s->sim, rand_between(r, 0, 3 * MS));
        if (rc)
            return rc;
        configure_version(s, ++*version);
        weir_host_reload(&s->weir);
    }
    int rc = weir_host_await(&s->weir, readies);
    sim_check(s->sim,
        !bad || (s->weir.configured_count == configured && s->weir.started == started),
        "a bad configuration changed something");
    return rc == 0 && hurried ? await_last_reload(s) : rc;
}

static int reload_often(struct scene *s)
{
    struct rand *r = sim_rand(s->sim);
    unsigned version = s->version;
    int rc = 0;
    for (int64_t left = rand_between(r, 2, 4); left > 0 && rc == 0; left--) {
        rc = sim_sleep(s->sim, rand_between(r, 0, 500 * MS));
        if (rc == 0)
            rc = reload_once(s, &version);
    }
    if (rc == 0)
        rc = crowd_wait(&s->crowd);
    if (rc == 0)
        rc = sim_sleep(s->sim, 6 * S);
    sim_check(s->sim, s->weir.server_count == 1, "%u servers are there long after the last reload",
        s->weir.server_count);
    sim_check(s->sim, version_at(s, sim_now(s->sim)) == s->version,
        "version %u is in use, not the latest", version_at(s, sim_now(s->sim)));
    return rc ? rc : weir_host_stop(&s->weir);
}

static void reload(struct sim *sim)
{
    struct scene *s = new_scene(sim, (struct crowd){.clients = 24,
                                         .until = 3 * S,
                                         .pause_mean_ns = 250 * MS,
                                         .pause_max_ns = 2 * S,
                                         .check = check_version});
    set_up(s, &versioned);
    configure_version(s, 1);
    play(s, reload_often);
    sim_check(sim, s->crowd.lost == 0, "%u requests were lost", s->crowd.lost);
}

/* ---- Crashes ---- */

/* What went to a server that was then killed. */
static bool went_to_the_dead(void *ctx, const struct request *r, int64_t connected_at)
{
    const struct scene *s = ctx;
    return s->killed_at && s->killed_at >= connected_at - HANDSHAKE_NS;
}

/* Kills the server that serves; or also the next one, before it is ready. */
static int kill_once(struct scene *s)
{
    struct rand *r = sim_rand(s->sim);
    unsigned readies = s->weir.readies;
    weir_host_kill(&s->weir);
    s->killed_at = sim_now(s->sim);
    bool again = s->in_a_loop && rand_ppm(r, 500000);
    if (again) {
        int rc = sim_sleep(s->sim, rand_between(r, 0, 2 * MS));
        if (rc)
            return rc;
        weir_host_kill(&s->weir);
        s->killed_at = sim_now(s->sim);
    }
    int rc = weir_host_await(&s->weir, readies);
    int64_t took = sim_now(s->sim) - s->killed_at;
    sim_check(s->sim, again || took <= RESTART_NS, "the next server was ready after %lld ms",
        (long long)(took / MS));
    return rc;
}

static int kill_often(struct scene *s)
{
    struct rand *r = sim_rand(s->sim);
    int rc = 0;
    for (int64_t left = rand_between(r, 1, 6); left > 0 && rc == 0; left--) {
        rc = sim_sleep(s->sim, rand_between(r, 0, 400 * MS));
        if (rc == 0)
            rc = kill_once(s);
    }
    return rc ? rc : ask_then_stop(s);
}

static void crash(struct sim *sim)
{
    struct scene *s = new_scene(sim, (struct crowd){.clients = 24,
                                         .until = 2 * S,
                                         .pause_mean_ns = 150 * MS,
                                         .may_lose = went_to_the_dead});
    s->in_a_loop = rand_ppm(sim_rand(sim), 300000);
    s->crowd.outage_ns = s->in_a_loop ? BACKOFF_NS : RESTART_NS;
    set_up(s, &usual);
    play(s, kill_often);
}

/* ---- Workers that die ---- */

static int kill_workers(struct scene *s)
{
    struct rand *r = sim_rand(s->sim);
    unsigned killed = 0;
    bool reloads = rand_ppm(r, 500000);
    int rc = 0;
    while (rc == 0 && sim_now(s->sim) < DEATHS_NS) {
        rc = sim_sleep(s->sim, rand_exponential(r, 20 * MS));
        killed += rc == 0 && workers_kill(&s->weir.workers, r);
        if (rc == 0 && reloads && rand_ppm(r, 50000))
            weir_host_reload(&s->weir);
    }
    sim_check(s->sim, killed > 0, "no worker was killed");
    return rc ? rc : ask_then_stop(s);
}

static void workers(struct sim *sim)
{
    struct scene *s = new_scene(sim, (struct crowd){.clients = 10,
                                         .until = DEATHS_NS + WORKERS_BACK_NS + 1 * S,
                                         .workers_well_from = DEATHS_NS + WORKERS_BACK_NS,
                                         .pause_mean_ns = 500 * MS,
                                         .pause_max_ns = 2 * S});
    set_up(s, &working);
    play(s, kill_workers);
    sim_check(sim, s->crowd.lost == 0, "%u requests were lost", s->crowd.lost);
    sim_check(sim, s->crowd.worked > s->crowd.failed, "%u requests failed, and only %u did not",
        s->crowd.failed, s->crowd.worked);
}

/* ---- Stop ---- */

static bool came_too_late(void *ctx, const struct request *r, int64_t connected_at)
{
    const struct scene *s = ctx;
    return s->stopped_at && r->sent_at > s->stopped_at - UNDER_WAY_NS;
}

static bool has_stopped(void *ctx, int error)
{
    const struct scene *s = ctx;
    return s->stopped_at > 0;
}

/* Somebody who begins a request and does not end it. */
static int dawdle(struct world *w, void *arg)
{
    struct scene *s = arg;
    struct stream *stream;
    char text[512];
    int rc = world_connect(w, &s->weir.at, &stream);
    if (rc)
        return rc;
    rc = stream_write(stream,
        &(struct iovec){.iov_base = (char[]){"GET /echo/1 HTTP/1.1\r\nHo"}, .iov_len = 24}, 1);
    while (rc == 0 && stream_read(stream, text, sizeof text) > 0)
        ;
    stream_close(stream);
    return rc;
}

static int stop_under_load(struct scene *s)
{
    struct rand *r = sim_rand(s->sim);
    bool dawdles = rand_ppm(r, 300000);
    if (dawdles)
        sim_check(s->sim, sim_start(s->backend.host, "dawdler", dawdle, s), "nobody dawdles");
    int rc = sim_sleep(s->sim, rand_between(r, 50 * MS, 1500 * MS));
    if (rc)
        return rc;
    s->stopped_at = s->crowd.until = sim_now(s->sim);
    rc = weir_host_stop(&s->weir);
    int64_t took = sim_now(s->sim) - s->stopped_at;
    sim_check(s->sim, took <= (dawdles ? DRAIN_NS : ROUTE_NS) + CROWD_SLACK,
        "it took %lld ms to stop", (long long)(took / MS));
    return rc ? rc : crowd_wait(&s->crowd);
}

static void stop(struct sim *sim)
{
    struct scene *s = new_scene(sim, (struct crowd){.clients = 30,
                                         .until = 3600 * S,
                                         .pause_mean_ns = 100 * MS,
                                         .may_lose = came_too_late,
                                         .may_not_connect = has_stopped});
    set_up(s, &troubled);
    sim_crash(sim_host(sim, &(struct sim_host_options){.name = "ruin"}));
    play(s, stop_under_load);
}

/* ---- Chaos ---- */

static bool is_stormy(void *ctx, const struct request *r, int64_t connected_at)
{
    const struct scene *s = ctx;
    return r->began_at < s->crowd.calm_from;
}

static bool cannot_get_there(void *ctx, int error)
{
    const struct scene *s = ctx;
    return error != -ECONNREFUSED && sim_now(s->sim) < s->crowd.calm_from;
}

static int reload_now_and_then(struct scene *s)
{
    struct rand *r = sim_rand(s->sim);
    int rc = 0;
    for (int i = 0; i < 3 && rc == 0; i++) {
        rc = sim_sleep(s->sim, rand_between(r, 0, STORM_NS / 3));
        weir_host_reload(&s->weir);
    }
    return rc ? rc : ask_then_stop(s);
}

static void chaos(struct sim *sim)
{
    struct scene *s = new_scene(sim, (struct crowd){.clients = 12,
                                         .calm_from = STORM_NS + RECOVERY_NS,
                                         .until = STORM_NS + RECOVERY_NS + 2 * S,
                                         .pause_mean_ns = S,
                                         .patience_ns = 8 * S,
                                         .may_lose = is_stormy,
                                         .may_not_connect = cannot_get_there,
                                         .answered_well = check_calls});
    set_up(s, &troubled);
    s->weir.killings = s->weir.may_not_start = true;
    sim_crash(sim_host(sim, &(struct sim_host_options){.name = "ruin", .spared = true}));
    int rc = sim_chaos(sim, &(struct sim_chaos){
                                .until = STORM_NS,
                                .partition_ns = 4 * S,
                                .degrade_ns = 3 * S,
                                .slow_ns = 5 * S,
                                .pause_ns = 5 * S,
                                .wall_jump_ns = 5 * S,
                                .resolver_ns = 5 * S,
                                .kill_ns = 5 * S,
                                .tasks_ns = 5 * S,
                            });
    sim_check(sim, rc == 0, "no chaos: error %d", -rc);
    play(s, reload_now_and_then);
}

int main(int argc, char **argv)
{
    const struct sim_options pieces = {
        .short_reads_ppm = 200000, .short_writes_ppm = 200000, .stack_size = 256 * 1024};
    struct sim_options impatient = pieces;
    impatient.give_up_ns = GIVE_UP_NS;
    const struct scenario scenarios[] = {
        {.name = "weir_calm", .run = calm, .options = pieces},
        {.name = "weir_backends", .run = backends, .options = pieces},
        {.name = "weir_reload", .run = reload, .options = pieces},
        {.name = "weir_crash", .run = crash, .options = pieces},
        {.name = "weir_workers", .run = workers, .options = pieces},
        {.name = "weir_stop", .run = stop, .options = pieces},
        {.name = "weir_chaos", .run = chaos, .options = impatient},
    };
    return run_scenarios(argc, argv, scenarios, sizeof scenarios / sizeof *scenarios);
}
