/*
 * echo_test.c: the echo server and client in one process, the same test code on the real world and
 * on the simulated one.
 */
#include "../check.h"

#include "client.h"
#include "coro/group.h"
#include "coro/sync.h"
#include "frame.h"
#include "server.h"
#include "world/sim/sim.h"
#include "world/uv/uv_world.h"

#include <errno.h>
#include <string.h>

struct scene {
    struct world *world;
    struct address at;
    struct future ready;
    coro_fn *ask;
    int64_t idle_ns;
    int result; /* of `ask` */
};

/* ---- The same on both worlds: a server and, once it listens, a client ---- */

static void on_ready(void *ctx, const struct address *at)
{
    struct scene *s = ctx;
    s->at = *at;
    future_set(&s->ready, 0);
}

static int serve(void *arg)
{
    struct scene *s = arg;
    struct echo_options options = {.idle_ns = s->idle_ns, .ready = on_ready, .ready_ctx = s};
    int rc = echo_serve(s->world, &s->at, &options);
    future_set(&s->ready, rc); /* it could not even listen */
    return rc;
}

static int server_and_client(void *arg)
{
    struct scene *s = arg;
    GROUP(server, GROUP_INDEPENDENT);
    future_init(&s->ready);
    int rc = group_spawn(&server, "server", serve, s);
    if (rc == 0)
        rc = future_wait(&s->ready);
    s->result = rc ? rc : s->ask(s);
    return s->result;
}

static int run_real(struct scene *s)
{
    int rc = address_parse(&s->at, "127.0.0.1:0", NULL);
    if (rc == 0)
        rc = uv_world_open(&s->world, &(struct uv_world_options){.watchdog_ns = -1});
    if (rc)
        return rc;
    rc = uv_world_run(s->world, "scene", server_and_client, s);
    uv_world_close(s->world);
    return rc;
}

static int simulated_main(struct world *w, void *arg)
{
    struct scene *s = arg;
    s->world = w;
    return server_and_client(s);
}

static int run_simulated(struct scene *s)
{
    struct sim *sim;
    s->result = -ECANCELED;
    int rc = address_parse(&s->at, "127.0.0.1:0", NULL);
    if (rc == 0)
        rc = sim_open(&sim, 1, NULL);
    if (rc)
        return rc;
    struct sim_host *host = sim_host(sim, &(struct sim_host_options){.name = "host"});
    if (!host || !sim_start(host, "scene", simulated_main, s))
        rc = -ENOMEM;
    if (rc == 0)
        rc = sim_run(sim, 3600 * NS_PER_S);
    sim_close(sim);
    return rc ? rc : s->result;
}

/* ---- What clients do ---- */

static int call_all_sizes(void *arg)
{
    struct scene *s = arg;
    static char payload[FRAME_PAYLOAD_MAX];
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (char)(i * 7);
    struct echo_client c;
    int rc = echo_client_open(&c, s->world, &s->at);
    if (rc)
        return rc;
    for (size_t len = 0; len <= sizeof payload && rc == 0; len = len * 3 + 1) {
        struct span reply;
        rc = echo_call(&c, (struct span){payload, len}, &reply);
        assert_true(rc || span_equal(reply, (struct span){payload, len}));
    }
    if (rc == 0) {
        struct span reply;
        struct span huge = {payload, 1024 * 1024};
        assert_int_equal(echo_call(&c, huge, &reply), -EMSGSIZE);
    }
    echo_client_close(&c);
    return rc;
}

static int be_silent(void *arg)
{
    struct scene *s = arg;
    struct stream *stream;
    char byte;
    int64_t start = world_now(s->world);
    int rc = world_connect(s->world, &s->at, &stream);
    if (rc)
        return rc;
    ssize_t got = stream_read(stream, &byte, 1);
    int64_t waited = world_now(s->world) - start;
    stream_close(stream);
    assert_int_equal(got, 0); /* the server has hung up */
    assert_true(waited >= s->idle_ns);
    return 0;
}

/* A byte now and then keeps a connection busy, but not for ever: a frame must become whole in
 * time. */
static int send_byte_by_byte(void *arg)
{
    struct scene *s = arg;
    struct stream *stream;
    int rc = world_connect(s->world, &s->at, &stream);
    int sent = 0;
    char bytes[100] = {0, 0, 4}; /* a frame of 1,024 bytes */
    while (rc == 0 && sent < 100) {
        struct iovec byte = {.iov_base = &bytes[sent], .iov_len = 1};
        rc = stream_write(stream, &byte, 1);
        if (rc == 0)
            rc = world_sleep(s->world, s->idle_ns / 4);
        sent++;
    }
    stream_close(stream);
    assert_true(rc == -EPIPE || rc == -ECONNRESET);
    assert_in_range(sent, 2, 20);
    return 0;
}

static int call_after_the_deadline(void *arg)
{
    struct scene *s = arg;
    struct echo_client c;
    struct span reply;
    int rc = echo_client_open(&c, s->world, &s->at);
    if (rc)
        return rc;
    {
        CORO_DEADLINE(world_now(s->world));
        assert_int_equal(echo_call(&c, SPAN("late"), &reply), -ETIMEDOUT);
    }
    echo_client_close(&c);
    return 0;
}

/* ---- The tests ---- */

static void run_on_both(coro_fn *ask, int64_t idle_ns)
{
    assert_int_equal(run_real(&(struct scene){.ask = ask, .idle_ns = idle_ns}), 0);
    assert_int_equal(run_simulated(&(struct scene){.ask = ask, .idle_ns = idle_ns}), 0);
}

static void payloads_of_all_sizes_come_back(void **state)
{
    run_on_both(call_all_sizes, 0);
}

static void the_silent_are_hung_up_on(void **state)
{
    run_on_both(be_silent, 20 * NS_PER_MS);
}

static void the_slow_are_hung_up_on(void **state)
{
    run_on_both(send_byte_by_byte, 40 * NS_PER_MS);
}

static void a_deadline_in_the_past_is_a_timeout(void **state)
{
    run_on_both(call_after_the_deadline, 0);
}

static bool through_in_reality(void)
{
    struct scene s = {.ask = call_all_sizes};
    int rc = run_real(&s);
    /* Memory gone on the server's side ends the connection; on the client's it says so itself. */
    assert_true(rc == 0 || rc == -ENOMEM || rc == -EPIPE || rc == -ECONNRESET);
    return rc == 0;
}

static void loss_of_memory_is_a_clear_error(void **state)
{
    for (uint64_t nth = 1;; nth++) {
        mem_fail_at(nth, false);
        bool through = through_in_reality();
        bool met = mem_count() >= nth;
        mem_fail_at(0, false);
        assert_true(through || met);
        if (!met)
            break;
    }
}

TEST_FILE(echo)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(payloads_of_all_sizes_come_back),
        cmocka_unit_test(the_silent_are_hung_up_on),
        cmocka_unit_test(the_slow_are_hung_up_on),
        cmocka_unit_test(a_deadline_in_the_past_is_a_timeout),
        cmocka_unit_test(loss_of_memory_is_a_clear_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
