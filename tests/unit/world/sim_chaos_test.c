/*
 * sim_chaos_test.c: faults drawn from a seed happen, are the same for the same seed, and are all
 * healed at the end.
 */
#include "sim_fixture.h"

#include <fcntl.h>

#define UNTIL     (60 * NS_PER_S)
#define FAR_AFTER (200 * NS_PER_S)

struct drama {
    struct universe u;
    uint64_t asked;
    uint64_t answered;
    bool calm;
};

static int serve_one(void *arg)
{
    struct stream *s = arg;
    char buffer[200];
    ssize_t n;
    while ((n = stream_read(s, buffer, sizeof buffer)) > 0)
        if (stream_write(s, &(struct iovec){buffer, (size_t)n}, 1) != 0)
            break;
    stream_close(s);
    return 0;
}

static int keep_a_child(void *arg)
{
    struct world *w = arg;
    const char *const argv[] = {"helper", NULL};
    for (;;) {
        struct child *c;
        struct child_exit end;
        int rc = world_spawn(w, &(struct spawn_options){.argv = argv}, &c);
        if (rc == 0) {
            rc = child_wait(c, &end);
            child_close(c);
        } else if (rc == -EAGAIN) {
            rc = world_sleep(w, 100 * NS_PER_MS);
        }
        if (rc)
            return rc;
    }
}

static int helper(struct world *w, void *arg)
{
    return world_sleep_until(w, DEADLINE_NEVER);
}

static int serve(struct world *w, void *arg)
{
    struct listener *l = must_listen(w, "*:7");
    GROUP(g, GROUP_INDEPENDENT);
    int rc = group_spawn(&g, "supervisor", keep_a_child, w);
    while (rc == 0) {
        struct stream *s;
        rc = listener_accept(l, &s);
        if (rc == 0 && (rc = group_spawn(&g, "connection", serve_one, s)) != 0)
            stream_close(s);
    }
    listener_close(l);
    return rc;
}

static int call(struct world *w, struct drama *d)
{
    CORO_DEADLINE(world_now(w) + 5 * NS_PER_S);
    struct address a;
    struct stream *s;
    int rc = world_resolve(w, "there", 7, &a, 1);
    if (rc < 0)
        return rc;
    rc = world_connect(w, &a, &s);
    if (rc)
        return rc;
    rc = send_text(s, "question");
    if (rc == 0)
        rc = reads(s, "question") ? 0 : -EIO;
    stream_close(s);
    return rc;
}

static int keep_notes(struct world *w)
{
    struct file *f;
    int rc = world_open(w, "/notes", O_RDWR | O_CREAT, 0600, &f);
    if (rc)
        return rc;
    rc = file_write(f, "note", 4, 0);
    if (rc == 0)
        rc = file_sync(f);
    file_close(f);
    return rc;
}

static int live(struct world *w, void *arg)
{
    struct drama *d = arg;
    while (sim_now(d->u.sim) < FAR_AFTER) {
        d->asked++;
        int rc = call(w, d);
        d->answered += rc == 0;
        if (d->calm)
            must(rc == 0);
        rc = keep_notes(w);
        if (d->calm)
            must(rc == 0);
        rc = sim_burn(w, 10 * NS_PER_MS);
        if (rc == 0)
            rc = world_sleep(w, 100 * NS_PER_MS);
        if (rc)
            return rc;
    }
    return 0;
}

static int wait_for_calm(struct sim *sim, void *arg)
{
    struct drama *d = arg;
    must(sim_sleep_until(sim, UNTIL + 30 * NS_PER_S) == 0);
    d->calm = true;
    must(sim_host_up(d->u.here) && sim_host_up(d->u.there));
    return 0;
}

static const struct sim_chaos everything = {
    .until = UNTIL,
    .lasts_ns = 2 * NS_PER_S,
    .crash_ns = 10 * NS_PER_S,
    .partition_ns = 5 * NS_PER_S,
    .degrade_ns = 5 * NS_PER_S,
    .slow_ns = 5 * NS_PER_S,
    .pause_ns = 5 * NS_PER_S,
    .wall_jump_ns = 10 * NS_PER_S,
    .disk_ns = 5 * NS_PER_S,
    .resolver_ns = 5 * NS_PER_S,
    .kill_ns = 5 * NS_PER_S,
    .tasks_ns = 5 * NS_PER_S,
};

static void count_kinds(void *ctx, const char *line)
{
    static const char *const kinds[] = {" crash ", " restart ", " cut ", " heal ", " slow ",
        " pause ", " resume ", " wall-jump ", " disk ", " link ", " signal ", " lost ", " broken ",
        " task-failed "};
    unsigned *seen = ctx;
    char padded[300];
    snprintf(padded, sizeof padded, "%s ", line);
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strstr(padded, kinds[i]))
            *seen |= 1u << i;
}
#define ALL_KINDS ((1u << 14) - 1)

static uint64_t play(uint64_t seed, unsigned *seen, uint64_t *failed)
{
    struct drama d = {0};
    struct sim_options options = {.text = seen ? count_kinds : NULL, .ctx = seen};
    d.u = open_universe(seed, options);
    struct sim_host *server =
        sim_host(d.u.sim, &(struct sim_host_options){.name = "server", .boot = serve});
    assert_non_null(server);
    sim_name_drop(d.u.sim, "there");
    assert_int_equal(sim_name(d.u.sim, "there", server), 0);
    assert_int_equal(sim_program(d.u.sim, "helper", helper, NULL), 0);
    struct sim_host *client =
        sim_host(d.u.sim, &(struct sim_host_options){.name = "client", .spared = true});
    assert_non_null(client);
    struct sim_process *p = start(client, live, &d);
    assert_int_equal(sim_chaos(d.u.sim, &everything), 0);
    assert_int_equal(sim_direct(d.u.sim, "calm", wait_for_calm, &d), 0);
    run(&d.u);
    assert_int_equal(sim_process_end(p).state, SIM_EXITED);
    assert_true(d.answered > 100);
    *failed += d.asked - d.answered;
    uint64_t hash = sim_hash(d.u.sim);
    sim_close(d.u.sim);
    return hash;
}

static void every_kind_of_fault_happens_and_is_healed(void **state)
{
    unsigned seen = 0;
    uint64_t failed = 0;
    for (uint64_t seed = 1; seed <= 20; seed++)
        play(seed, &seen, &failed);
    assert_true(failed > 0);
    assert_int_equal(seen, ALL_KINDS);
}

static void chaos_is_the_same_for_the_same_seed(void **state)
{
    uint64_t failed = 0;
    uint64_t hash = play(5, NULL, &failed);
    assert_true(play(5, NULL, &failed) == hash);
    assert_true(play(6, NULL, &failed) != hash);
}

/* ---- Pauses end with the chaos ---- */

static int tick(struct world *w, void *arg)
{
    int64_t *last = arg;
    while (sim_now(sim_of(w)) < UNTIL + NS_PER_S) {
        *last = sim_now(sim_of(w));
        int rc = world_sleep(w, NS_PER_MS);
        if (rc)
            return rc;
    }
    return 0;
}

static int look_after_the_end(struct sim *sim, void *arg)
{
    must(sim_sleep_until(sim, UNTIL + 2 * NS_PER_MS) == 0);
    must(*(int64_t *)arg >= UNTIL);
    return 0;
}

static void nothing_is_frozen_after_the_end(void **state)
{
    for (uint64_t seed = 0; seed < 10; seed++) {
        int64_t last = 0;
        struct universe u = open_universe(seed, (struct sim_options){0});
        struct sim_host *ticker = sim_host(u.sim, &(struct sim_host_options){.name = "ticker"});
        start(ticker, tick, &last);
        const struct sim_chaos chaos = {
            .until = UNTIL, .pause_ns = NS_PER_S, .lasts_ns = 100 * NS_PER_S};
        assert_int_equal(sim_chaos(u.sim, &chaos), 0);
        assert_int_equal(sim_direct(u.sim, "look", look_after_the_end, &last), 0);
        run_and_close(&u);
    }
}

/* ---- Links are as they were ---- */

static int accept_many(struct world *w, void *arg)
{
    struct listener *l = must_listen(w, "*:7");
    struct stream *s;
    int rc;
    while ((rc = listener_accept(l, &s)) == 0)
        stream_close(s);
    listener_close(l);
    return rc;
}

static int measure_after_the_end(struct world *w, void *arg)
{
    struct universe *u = arg;
    must_sleep(w, UNTIL + NS_PER_S);
    int64_t began = world_now(w);
    stream_close(must_connect(w, u->there, 7));
    must(world_now(w) == began + 77 * NS_PER_MS + NS_PER_MS);
    return 0;
}

static void a_degraded_link_is_mended_as_it_was(void **state)
{
    struct universe u = open_default();
    const struct sim_link own = {.latency_ns = 77 * NS_PER_MS};
    const struct sim_chaos chaos = {.until = UNTIL, .degrade_ns = NS_PER_S};
    assert_int_equal(sim_link(u.here, u.there, &own), 0);
    sim_process_daemon(start(u.there, accept_many, NULL));
    start(u.here, measure_after_the_end, &u);
    assert_int_equal(sim_chaos(u.sim, &chaos), 0);
    run_and_close(&u);
}

TEST_FILE(sim_chaos)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_fault_happens_and_is_healed),
        cmocka_unit_test(chaos_is_the_same_for_the_same_seed),
        cmocka_unit_test(a_degraded_link_is_mended_as_it_was),
        cmocka_unit_test(nothing_is_frozen_after_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
