/*
 * zygote_stall_test.c: the process that a pool of kind `fork` forks from stands still for a minute
 * under load, until the server's writes to it fail. Afterwards the pool serves as before.
 */
#include "../../sim/weir_host.h"
#include "../check.h"

#include "base/bug.h"
#include "coro/group.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define must(condition) check(condition, "this does not hold: %s", #condition)

#define CLIENTS  20
#define CALM_NS  (2 * NS_PER_S)
#define STALL_NS (60 * NS_PER_S)
/* From the end of the stall until all is well. */
#define WELL_NS  (5 * NS_PER_S)
#define END_NS   (CALM_NS + STALL_NS + WELL_NS + 3 * NS_PER_S)

/* Requests give up, and their workers are to be killed: orders to the zygote gather. */
static const char config[] =
    "listen: '*:80'\n"
    "admin: off\n"
    "threads: 1\n"
    "timeouts: {request: 500ms}\n"
    "pools: {f: {kind: fork, size: 4, on_cancel: kill, start: 2s}}\n"
    "routes:\n"
    "  - {route: GET /fork, nodes: {a: {step: echo, input: yes, pool: f}}, reply: $node.a}\n";

struct rig {
    struct sim *sim;
    struct weir_host weir;
    struct sim_host *clients;
    int signal; /* that ends the stall */
    int64_t from, to;
    unsigned before, meanwhile, after; /* requests that were answered with 200 */
};

/* ---- Asking ---- */

static int ask(struct world *w, const struct rig *r)
{
    static const char request[] = "GET /fork HTTP/1.1\r\nHost: weir\r\nConnection: close\r\n\r\n";
    char text[4096];
    size_t len = 0;
    CORO_DEADLINE(world_now(w) + 10 * NS_PER_S);
    struct stream *s;
    must(world_connect(w, &r->weir.at, &s) == 0);
    struct iovec part = {.iov_len = sizeof request - 1};
    memcpy(text, request, sizeof request);
    part.iov_base = text;
    int rc = stream_write(s, &part, 1);
    while (rc == 0) {
        ssize_t got = stream_read(s, text + len, sizeof text - 1 - len);
        if (got <= 0)
            break;
        len += (size_t)got;
    }
    text[len] = '\0';
    stream_close(s);
    int status = 0;
    return sscanf(text, "HTTP/1.1 %d", &status) == 1 ? status : -1;
}

static int ask_until_the_end(struct world *w, void *arg)
{
    struct rig *r = arg;
    int rc = 0;
    while (rc == 0 && sim_now(r->sim) < END_NS) {
        int64_t began = sim_now(r->sim);
        int status = ask(w, r);
        bool well = began < r->from - NS_PER_S || (r->to && began >= r->to + WELL_NS);
        sim_check(r->sim, status == 200 || (!well && (status == 503 || status == 504)),
            "a request at %lld ms was answered with %d", (long long)(began / NS_PER_MS), status);
        if (began < r->from)
            r->before++;
        else if (status == 200 && r->to == 0)
            r->meanwhile++;
        else if (status == 200)
            r->after++;
        rc = world_sleep(w, 50 * NS_PER_MS);
    }
    return rc;
}

/* ---- Standing still ---- */

/* The one with this pid, or any if that is 0; NULL: it has ended. */
static struct sim_process *zygote(struct rig *r, int pid)
{
    for (unsigned i = 0; i < r->weir.workers.count; i++) {
        const struct sim_worker *k = &r->weir.workers.running[i];
        struct sim_process *p = k->forks ? sim_self(k->world) : NULL;
        if (p && (pid == 0 || sim_process_pid(p) == pid))
            return p;
    }
    return NULL;
}

static int direct(struct sim *sim, void *arg)
{
    struct rig *r = arg;
    r->from = CALM_NS;
    int rc = weir_host_start(&r->weir);
    struct sim_process *clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        must(clients[i] = sim_start(r->clients, "client", ask_until_the_end, r));
    if (rc == 0)
        rc = sim_sleep_until(sim, CALM_NS);
    if (rc)
        return rc;
    struct sim_process *p = zygote(r, 0);
    must(p && sim_signal(p, SIGSTOP) == 0);
    int pid = sim_process_pid(p);
    rc = sim_sleep(sim, STALL_NS);
    if (rc)
        return rc;
    p = zygote(r, pid); /* the server may have replaced it */
    if (p)
        rc = sim_signal(p, r->signal);
    r->to = sim_now(sim);
    for (int i = 0; i < CLIENTS && rc == 0; i++)
        rc = sim_wait(clients[i]);
    return rc ? rc : weir_host_stop(&r->weir);
}

static void stall(uint64_t seed, int signal)
{
    static struct rig kept; /* it is looked at until the universe is closed */
    struct rig *r = &kept;
    *r = (struct rig){.signal = signal};
    /* Little may be on the way, so that writes are soon held up. */
    struct sim_options options = {.stack_size = 256 * 1024, .window = 2048};
    assert_int_equal(sim_open(&r->sim, seed, &options), 0);
    weir_host_init(&r->weir, r->sim, "weir", config);
    r->clients = sim_host(r->sim, &(struct sim_host_options){.name = "clients"});
    assert_non_null(r->clients);
    assert_int_equal(sim_direct(r->sim, "script", direct, r), 0);
    assert_int_equal(sim_run(r->sim, 3600 * NS_PER_S), 0);
    assert_true(r->before > 100 && r->after > 100);
    assert_int_equal(r->weir.workers.count, 0);
    sim_close(r->sim);
}

static void serves_again_when_it_goes_on(void **state)
{
    for (uint64_t seed = 1; seed <= 2; seed++)
        stall(seed, SIGCONT);
}

static void serves_again_when_it_is_killed(void **state)
{
    for (uint64_t seed = 1; seed <= 2; seed++)
        stall(seed, SIGKILL);
}

TEST_FILE(zygote_stall)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(serves_again_when_it_goes_on),
        cmocka_unit_test(serves_again_when_it_is_killed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
