/*
 * sim.c: how many echo round trips the simulator runs in a second of real time, on one core: the
 * real server and client of examples/echo, on two hosts, with hashing of the event log on.
 */
#include "bench.h"

#include "base/bug.h"
#include "base/time.h"
#include "client.h"
#include "server.h"
#include "world/sim/sim.h"

#define CLIENTS    16
#define CALLS_EACH 20000
#define RUNS       7
#define PORT       7070

struct ask {
    struct address at;
    uint64_t calls;
};

static int serve(struct world *w, void *arg)
{
    return echo_serve(w, arg, NULL);
}

static int ask(struct world *w, void *arg)
{
    struct ask *a = arg;
    char payload[64] = "sixty-four bytes";
    struct echo_client c;
    int rc = echo_client_open(&c, w, &a->at);
    for (int i = 0; i < CALLS_EACH && rc == 0; i++) {
        struct span reply;
        rc = echo_call(&c, (struct span){payload, sizeof payload}, &reply);
        a->calls += rc == 0;
    }
    echo_client_close(&c);
    return rc;
}

static double round_trips_per_second(uint64_t *hash)
{
    struct sim *sim;
    check(sim_open(&sim, 1, NULL) == 0, "no universe");
    struct sim_host *server = sim_host(sim, &(struct sim_host_options){.name = "server"});
    struct sim_host *client = sim_host(sim, &(struct sim_host_options){.name = "client"});
    struct ask a = {0};
    sim_host_address(server, PORT, &a.at);
    sim_process_daemon(sim_start(server, "server", serve, &a.at));
    for (int i = 0; i < CLIENTS; i++)
        check(sim_start(client, "client", ask, &a), "no client");
    int64_t start = bench_now_ns();
    check(sim_run(sim, 3600 * NS_PER_S) == 0, "the simulation failed");
    double seconds = (double)(bench_now_ns() - start) / 1e9;
    check(a.calls == (uint64_t)CLIENTS * CALLS_EACH, "only %lu calls were answered", a.calls);
    *hash = sim_hash(sim);
    sim_close(sim);
    return (double)a.calls / seconds;
}

int main(void)
{
    struct bench_series rate = {0};
    uint64_t first = 0;
    bool same = true;
    for (int run = 0; run < RUNS; run++) {
        uint64_t hash;
        bench_add(&rate, round_trips_per_second(&hash));
        if (run == 0)
            first = hash;
        same &= hash == first;
    }
    printf("sim: %d clients on one host, a server on another, 64-byte payloads\n", CLIENTS);
    double median = bench_line("sim_echo_round_trips", &rate, "/s");
    printf("  event log of seed 1: %016lx, %s in all runs\n", (unsigned long)first,
        same ? "the same" : "NOT THE SAME");
    bench_must_hold(">= 300,000 round trips per wall second", median >= 300000 && same);
    return 0;
}
