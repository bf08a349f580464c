/*
 * server_test.c: a whole weir on a host that makes no more threads, or no more processes: each that
 * it asks for fails in turn. It does not start, and says why; or it serves, and answers everybody.
 */
#include "../../sim/weir_host.h"
#include "../check.h"

#include "app/supervisor.h"
#include "base/bug.h"
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define must(condition) check(condition, "this does not hold: %s", #condition)

/* Every thread of four would get some of so many connections. */
#define CONNECTIONS 40
#define REQUESTS    3 /* on each */
/* What is under way is answered at once, so no drain is waited for: it lasts 30 s at most. */
#define PROMPT_NS   (2 * NS_PER_S)

/* Something of all that threads and processes are made for. */
static const char config[] =
    "listen: '*:80'\n"
    "admin: '*:9900'\n"
    "threads: 4\n"
    "timeouts: {drain: 30s}\n"
    "pools:\n"
    "  i: {kind: inline}\n"
    "  t: {kind: threads, size: 2}\n"
    "  p: {kind: processes, size: 2, start: 2s}\n"
    "routes:\n"
    "  - {route: GET /static, reply: yes}\n"
    "  - {route: GET /inline, nodes: {a: {step: echo, input: yes, pool: i}}, reply: $node.a}\n"
    "  - {route: GET /threads, nodes: {a: {step: echo, input: yes, pool: t}}, reply: $node.a}\n"
    "  - {route: GET /processes, nodes: {a: {step: echo, input: yes, pool: p}}, reply: $node.a}\n";

struct rig {
    struct sim *sim;
    struct weir_host weir;
    struct sim_host *clients;
    int (*script)(struct rig *r);
    uint32_t nth;
    const char *config;
    unsigned threads;      /* that were made */
    unsigned until_thread; /* once so many are made an allocation fails; 0: none ever does */
    uint64_t nth_allocation;
    unsigned answered;
    char log[256 * 1024];
    size_t log_len;
};

static void keep_line(void *ctx, const char *line)
{
    struct rig *r = ctx;
    if (strstr(line, " thread ") && ++r->threads == r->until_thread)
        mem_fail_at(r->nth_allocation, false);
    if (!strstr(line, " log "))
        return;
    int len = snprintf(r->log + r->log_len, sizeof(r->log) - r->log_len, "%s\n", line);
    check((size_t)len < sizeof(r->log) - r->log_len, "the log is longer than expected");
    r->log_len += (size_t)len;
}

/* ---- Asking ---- */

static bool answers(struct stream *s, const char *path)
{
    char text[4096];
    size_t len = (size_t)snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: weir\r\n\r\n", path);
    if (stream_write(s, &(struct iovec){text, len}, 1) != 0)
        return false;
    len = 0;
    for (;;) {
        ssize_t got = stream_read(s, text + len, sizeof text - 1 - len);
        if (got <= 0)
            return false;
        len += (size_t)got;
        text[len] = '\0';
        if (strstr(text, "\r\n\r\ntrue") || strstr(text, "\r\n\r\n\"yes\""))
            return strncmp(text, "HTTP/1.1 200", 12) == 0;
        must(len < sizeof text - 1);
    }
}

static int ask(struct world *w, void *arg)
{
    static const char *const paths[] = {"/static", "/threads", "/inline", "/processes"};
    struct rig *r = arg;
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        CORO_DEADLINE(world_now(w) + 10 * NS_PER_S);
        struct stream *s;
        must(world_connect(w, &r->weir.at, &s) == 0);
        for (unsigned j = 0; j < REQUESTS; j++)
            r->answered += answers(s, paths[(i + j) % 4]);
        stream_close(s);
    }
    return 0;
}

static int ask_all(struct rig *r)
{
    r->answered = 0;
    struct sim_process *p = sim_start(r->clients, "client", ask, r);
    must(p);
    int rc = sim_wait(p);
    sim_check(r->sim, r->answered == CONNECTIONS * REQUESTS, "task %u fails: %u answers of %u",
        r->nth, r->answered, CONNECTIONS * REQUESTS);
    return rc;
}

static int stop_at_once(struct rig *r)
{
    int64_t from = sim_now(r->sim);
    int rc = weir_host_stop(&r->weir);
    sim_check(r->sim, sim_now(r->sim) - from < PROMPT_NS, "task %u fails: it took %lld ms to stop",
        r->nth, (long long)((sim_now(r->sim) - from) / NS_PER_MS));
    return rc;
}

/* ---- Scripts ---- */

static int direct(struct sim *sim, void *arg)
{
    struct rig *r = arg;
    return r->script(r);
}

/* Whether a task failed. */
static bool play_with(struct rig rig, int (*script)(struct rig *r))
{
    static struct rig kept; /* what it leaves is looked at until the universe is closed */
    struct rig *r = &kept;
    *r = rig;
    r->script = script;
    struct sim_options options = {
        .text = keep_line, .ctx = r, .log_level = LOG_INFO, .stack_size = 256 * 1024};
    assert_int_equal(sim_open(&r->sim, 1 + r->nth, &options), 0);
    weir_host_init(&r->weir, r->sim, "weir", r->config);
    r->weir.may_not_start = true;
    r->clients = sim_host(r->sim, &(struct sim_host_options){.name = "clients"});
    assert_non_null(r->clients);
    assert_int_equal(sim_direct(r->sim, "script", direct, r), 0);
    assert_int_equal(sim_run(r->sim, 3600 * NS_PER_S), 0);
    assert_int_equal(r->weir.server_count, 0);
    assert_int_equal(r->weir.workers.count, 0);
    bool failed = sim_tasks_failed(r->weir.host) > 0;
    sim_close(r->sim);
    return failed;
}

static bool play(uint32_t nth, int (*script)(struct rig *r))
{
    return play_with((struct rig){.config = config, .nth = nth}, script);
}

static int start(struct rig *r)
{
    sim_tasks(r->weir.host, &(struct sim_tasks){.fail_nth = r->nth});
    int serves = weir_host_try(&r->weir);
    if (serves < 0)
        return serves;
    if (serves) {
        int rc = ask_all(r);
        return rc ? rc : stop_at_once(r);
    }
    sim_check(r->sim, r->weir.status == EXIT_STATUS_ENVIRONMENT,
        "task %u fails: the exit status is %d", r->nth, r->weir.status);
    sim_check(r->sim, strstr(r->log, error_text_task(-EAGAIN)),
        "task %u fails: nothing says why: %s", r->nth, r->log);
    return 0;
}

static void starts_whole_or_says_why(void **state)
{
    uint32_t nth = 1;
    while (play(nth, start))
        nth++;
    assert_true(nth > 10); /* a server, its four threads and the access log's, two and four more */
}

static int start_anew(struct rig *r)
{
    int rc = weir_host_start(&r->weir);
    if (rc)
        return rc;
    unsigned readies = r->weir.readies;
    sim_tasks(r->weir.host, &(struct sim_tasks){.fail_nth = r->nth});
    weir_host_reload(&r->weir);
    rc = weir_host_await(&r->weir, readies); /* as before, or anew */
    if (rc == 0)
        rc = ask_all(r);
    return rc ? rc : stop_at_once(r);
}

static void keeps_the_old_server_if_the_new_one_does_not_start(void **state)
{
    uint32_t nth = 1;
    while (play(nth, start_anew))
        nth++;
    assert_true(nth > 10);
}

/* The next server is tried after 0, 100, 200, ... ms, and then every 5 s. */
#define OUTAGE_NS (60 * NS_PER_S)
#define TRIES_MAX (2 + 6 + 12 + 1)

static int die_in_an_outage(struct rig *r)
{
    int rc = weir_host_start(&r->weir);
    if (rc)
        return rc;
    unsigned readies = r->weir.readies;
    sim_tasks(r->weir.host, &(struct sim_tasks){.fail_ppm = 1000000});
    weir_host_kill(&r->weir);
    rc = sim_sleep(r->sim, OUTAGE_NS);
    if (rc)
        return rc;
    sim_check(r->sim, sim_tasks_failed(r->weir.host) <= TRIES_MAX, "it was tried %u times in %d s",
        sim_tasks_failed(r->weir.host), (int)(OUTAGE_NS / NS_PER_S));
    sim_tasks(r->weir.host, &(struct sim_tasks){0});
    rc = weir_host_await(&r->weir, readies);
    if (rc == 0)
        rc = ask_all(r);
    return rc ? rc : stop_at_once(r);
}

static void waits_longer_and_longer_between_tries(void **state)
{
    assert_true(play(1, die_in_an_outage));
}

/* ---- Memory ---- */

static const char many_threads[] =
    "listen: '*:80'\nadmin: off\nthreads: 18\nroutes: [{route: GET /static, reply: yes}]\n";
#define THREADS     19 /* with the access log's */
#define ALLOCATIONS 40 /* more than until the next thread */

static int start_without_memory(struct rig *r)
{
    int serves = weir_host_try(&r->weir);
    mem_fail_at(0, false);
    if (serves < 0)
        return serves;
    sim_check(r->sim, serves || strstr(r->log, "error"), "nothing says why: %s", r->log);
    return serves ? weir_host_stop(&r->weir) : 0;
}

/* A thread may be there, and nobody who attends it, for one. */
static void lacks_memory_while_its_threads_start(void **state)
{
    for (unsigned thread = 1; thread <= THREADS; thread++)
        for (uint64_t nth = 1; nth <= ALLOCATIONS; nth++)
            play_with((struct rig){.config = many_threads,
                          .nth = thread * ALLOCATIONS + (uint32_t)nth, /* a seed */
                          .until_thread = thread,
                          .nth_allocation = nth},
                start_without_memory);
}

TEST_FILE(server)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_whole_or_says_why),
        cmocka_unit_test(keeps_the_old_server_if_the_new_one_does_not_start),
        cmocka_unit_test(waits_longer_and_longer_between_tries),
        cmocka_unit_test(lacks_memory_while_its_threads_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
