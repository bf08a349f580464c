/*
 * sim_universe_test.c: time, chance, the event log, directors, dead ends and failures.
 */
#include "sim_fixture.h"

#include "base/bytes.h"

/* ---- Time ---- */

static int sleeps_exactly(struct world *w, void *arg)
{
    struct universe *u = arg;
    int64_t start = world_now(w);
    int64_t wall = world_wall(w);
    int64_t began = sim_now(u->sim);
    must_sleep(w, 1);
    must(world_now(w) == start + 1);
    must_sleep(w, 90 * NS_PER_S);
    must(world_now(w) == start + 1 + 90 * NS_PER_S);
    must(world_wall(w) == wall + 1 + 90 * NS_PER_S);
    must(sim_now(u->sim) == began + 1 + 90 * NS_PER_S);
    must_sleep(w, 0);
    must_sleep(w, -5);
    must(world_now(w) == start + 1 + 90 * NS_PER_S);
    return 0;
}

static void time_passes_exactly_while_all_wait(void **state)
{
    run_alone(sleeps_exactly);
}

static int tell_time(struct world *w, void *arg)
{
    *(int64_t *)arg = world_now(w);
    return 0;
}

static void hosts_have_clocks_of_their_own(void **state)
{
    struct universe u = open_default();
    int64_t here;
    int64_t thread;
    int64_t there;
    start(u.here, tell_time, &here);
    start(u.here, tell_time, &thread);
    start(u.there, tell_time, &there);
    run_and_close(&u);
    assert_true(here == thread);
    assert_true(llabs(here - there) > NS_PER_S);
    assert_true(here >= 3600 * NS_PER_S);
}

static int sleep_long(struct world *w, void *arg)
{
    return world_sleep(w, 100 * NS_PER_S);
}

static void a_run_ends_when_its_time_has_come(void **state)
{
    struct universe u = open_default();
    struct sim_process *p = start(u.here, sleep_long, NULL);
    assert_int_equal(sim_run(u.sim, 30 * NS_PER_S), 0);
    assert_true(sim_now(u.sim) == 30 * NS_PER_S);
    assert_int_equal(sim_process_end(p).state, SIM_RUNNING);
    assert_int_equal(sim_run(u.sim, 200 * NS_PER_S), 0);
    assert_int_equal(sim_process_end(p).state, SIM_EXITED);
    assert_true(sim_now(u.sim) == 100 * NS_PER_S);
    sim_close(u.sim);
}

static void daemons_are_not_waited_for(void **state)
{
    struct universe u = open_default();
    struct sim_process *p = start(u.here, sleep_long, NULL);
    sim_process_daemon(p);
    run(&u);
    assert_true(sim_now(u.sim) == 0);
    assert_int_equal(sim_process_end(p).state, SIM_RUNNING);
    sim_close(u.sim);
}

static int wall_of(struct world *w, void *arg)
{
    *(int64_t *)arg = world_wall(w);
    return 0;
}

static void wall_clocks_are_a_little_wrong_and_jump(void **state)
{
    int64_t walls[3];
    struct universe u = open_default();
    struct sim_host *late = sim_host(
        u.sim, &(struct sim_host_options){.name = "late", .wall_offset_ns = -5 * NS_PER_S});
    sim_wall_jump(u.there, 3600 * NS_PER_S);
    start(u.here, wall_of, &walls[0]);
    start(u.there, wall_of, &walls[1]);
    start(late, wall_of, &walls[2]);
    run_and_close(&u);
    int64_t year_2026 = INT64_C(1767225600) * NS_PER_S;
    assert_true(llabs(walls[0] - year_2026) <= 20 * NS_PER_MS);
    assert_true(llabs(walls[1] - year_2026 - 3600 * NS_PER_S) <= 20 * NS_PER_MS);
    assert_true(walls[2] == year_2026 - 5 * NS_PER_S);
}

/* ---- One seed decides everything ---- */

#define EXPECTED_EVENTS 1047
#define EXPECTED_HASH   UINT64_C(0x6894aaef7548d43b)
#define EXPECTED_TEXT   UINT64_C(0x02f5074af49845e0)

struct log_of_run {
    struct bytes text;
    uint64_t hash;
    uint64_t events;
};

static void keep_line(void *ctx, const char *line)
{
    struct log_of_run *l = ctx;
    assert_int_equal(bytes_append(&l->text, line, strlen(line)), 0);
    assert_int_equal(bytes_append_byte(&l->text, '\n'), 0);
}

static int echo(struct world *w, void *arg)
{
    struct listener *l = must_listen(w, "*:7");
    for (;;) {
        struct stream *s;
        int rc = listener_accept(l, &s);
        if (rc) {
            listener_close(l);
            return rc;
        }
        char buffer[100];
        ssize_t n;
        while ((n = stream_read(s, buffer, sizeof buffer)) > 0)
            if (stream_write(s, &(struct iovec){buffer, (size_t)n}, 1) != 0)
                break;
        stream_close(s);
    }
}

static int pick_one(void *arg)
{
    struct world *w = arg;
    unsigned char byte;
    world_random(w, &byte, 1);
    return world_sleep(w, byte * NS_PER_US);
}

static int be_busy(struct world *w, void *arg)
{
    struct universe *u = arg;
    struct address a;
    log_info(world_log(w), "busy on %s", sim_host_name(sim_process_host(sim_self(w))));
    must(world_resolve(w, "there", 7, &a, 1) == 1);
    for (int i = 0; i < 10; i++) {
        struct stream *s = must_connect(w, u->there, 7);
        must(send_text(s, "some text to be echoed") == 0);
        must(reads(s, "some text to be echoed"));
        stream_close(s);
        GROUP(g, GROUP_FAIL_FAST);
        for (int k = 0; k < 5; k++)
            must(group_spawn(&g, "picker", pick_one, w) == 0);
        must(group_wait(&g) == 0);
        must(sim_burn(w, NS_PER_MS) == 0);
    }
    return 0;
}

static struct log_of_run busy_run(uint64_t seed, bool with_text)
{
    struct log_of_run l;
    bytes_init(&l.text, 16 * 1024 * 1024);
    struct sim_options options = {
        .link = &SIM_LINK_DEFAULT,
        .short_reads_ppm = 100000,
        .short_writes_ppm = 100000,
        .log_level = LOG_DEBUG,
        .text = with_text ? keep_line : NULL,
        .ctx = &l,
    };
    struct universe u = open_universe(seed, options);
    sim_process_daemon(start(u.there, echo, NULL));
    for (int i = 0; i < 5; i++)
        start(u.here, be_busy, &u);
    run(&u);
    l.hash = sim_hash(u.sim);
    l.events = sim_events(u.sim);
    sim_close(u.sim);
    return l;
}

static void the_same_seed_gives_the_same_events(void **state)
{
    struct log_of_run one = busy_run(7, true);
    struct log_of_run two = busy_run(7, true);
    assert_true(one.hash == two.hash);
    assert_true(one.events > 500);
    assert_int_equal(one.text.len, two.text.len);
    assert_memory_equal(one.text.ptr, two.text.ptr, one.text.len);
    assert_non_null(memmem(one.text.ptr, one.text.len, "busy on here", 12));

    struct log_of_run silent = busy_run(7, false);
    assert_true(silent.hash == one.hash);
    assert_int_equal(silent.text.len, 0);
    bytes_release(&one.text);
    bytes_release(&two.text);
    bytes_release(&silent.text);
}

/* The same in every build: whatever changes these numbers makes old seeds worthless, which is fine
 * if it is meant. */
static void the_events_are_the_same_in_every_build(void **state)
{
    struct log_of_run l = busy_run(42, true);
    uint64_t text_hash = 0;
    for (size_t i = 0; i < l.text.len; i++)
        text_hash = (text_hash ^ (unsigned char)l.text.ptr[i]) * UINT64_C(0x100000001b3);
    if (l.hash != EXPECTED_HASH || text_hash != EXPECTED_TEXT)
        print_message("events %llu, hash %#llx, text %#llx\n", (unsigned long long)l.events,
            (unsigned long long)l.hash, (unsigned long long)text_hash);
    assert_true(l.events == EXPECTED_EVENTS);
    assert_true(l.hash == EXPECTED_HASH);
    assert_true(text_hash == EXPECTED_TEXT);
    bytes_release(&l.text);
}

static void different_seeds_differ(void **state)
{
    uint64_t hashes[8];
    for (uint64_t seed = 0; seed < 8; seed++) {
        struct log_of_run l = busy_run(seed, false);
        hashes[seed] = l.hash;
        for (uint64_t i = 0; i < seed; i++)
            assert_true(hashes[i] != hashes[seed]);
    }
}

static int append_name(void *arg)
{
    char **at = arg;
    *(*at)++ = *coro_name(coro_self());
    return 0;
}

static int spawn_three(struct world *w, void *arg)
{
    GROUP(g, GROUP_FAIL_FAST);
    must(group_spawn(&g, "a", append_name, arg) == 0);
    must(group_spawn(&g, "b", append_name, arg) == 0);
    must(group_spawn(&g, "c", append_name, arg) == 0);
    return group_wait(&g);
}

static void the_schedule_is_the_seeds_too(void **state)
{
    unsigned orders = 0;
    for (uint64_t seed = 0; seed < 64; seed++) {
        char order[4] = "";
        char *at = order;
        struct universe u = open_universe(seed, (struct sim_options){0});
        start(u.here, spawn_three, &at);
        run_and_close(&u);
        static const char *const all[] = {"abc", "acb", "bac", "bca", "cab", "cba"};
        for (unsigned i = 0; i < 6; i++)
            if (strcmp(order, all[i]) == 0)
                orders |= 1u << i;
    }
    assert_int_equal(orders, 63);
}

/* ---- Directors ---- */

struct directed {
    struct universe u;
    struct sim_process *sleeper;
};

static int direct(struct sim *sim, void *arg)
{
    struct directed *d = arg;
    must(sim_sleep(sim, 5 * NS_PER_S) == 0);
    must(sim_now(sim) == 5 * NS_PER_S);
    must(sim_process_end(d->sleeper).state == SIM_RUNNING);
    sim_note(sim, "half way", 1);
    must(sim_wait(d->sleeper) == 0);
    must(sim_now(sim) == 100 * NS_PER_S);
    must(sim_process_end(d->sleeper).state == SIM_EXITED);
    must(sim_wait(d->sleeper) == 0);
    must(sim_sleep_until(sim, 200 * NS_PER_S) == 0);
    return 0;
}

static void directors_sleep_and_wait_for_processes(void **state)
{
    struct directed d = {.u = open_default()};
    d.sleeper = start(d.u.here, sleep_long, NULL);
    assert_int_equal(sim_direct(d.u.sim, "director", direct, &d), 0);
    run(&d.u);
    assert_true(sim_now(d.u.sim) == 200 * NS_PER_S);
    sim_close(d.u.sim);
}

/* ---- Dead ends and failures ---- */

static void keep_report(void *ctx, const char *line)
{
    keep_line(ctx, line);
}

static bool has(const struct log_of_run *l, const char *text)
{
    return memmem(l->text.ptr, l->text.len, text, strlen(text)) != NULL;
}

static struct universe open_reporting(struct log_of_run *l)
{
    bytes_init(&l->text, 1024 * 1024);
    return open_universe(
        33, (struct sim_options){.report = keep_report, .ctx = l, .survive = true});
}

static int accept_for_ever(struct world *w, void *arg)
{
    struct listener *l = must_listen(w, "*:7");
    struct stream *s;
    int rc = listener_accept(l, &s);
    listener_close(l);
    return rc;
}

static void a_dead_end_names_who_waits(void **state)
{
    struct log_of_run l;
    struct universe u = open_reporting(&l);
    assert_non_null(sim_start(u.here, "lonely", accept_for_ever, NULL));
    assert_int_equal(sim_run(u.sim, 3600 * NS_PER_S), -EDEADLK);
    assert_non_null(strstr(sim_failed(u.sim), "dead end"));
    assert_true(has(&l, "dead end"));
    assert_true(has(&l, "here: lonely: coroutine 'lonely' waits in accept"));
    assert_true(has(&l, "SEED=33 make sim"));
    assert_true(has(&l, "listen"));
    sim_close(u.sim);
    bytes_release(&l.text);
}

static int fail_later(struct sim *sim, void *arg)
{
    must(sim_sleep(sim, 1234567891) == 0);
    sim_note(sim, "just before", 17);
    sim_check(sim, 1 + 1 == 2, "arithmetic has failed");
    sim_check(sim, 1 + 1 == 3, "one and one are %d", 1 + 1);
    sim_fail(sim, "a second failure is not told");
    return 0;
}

static void a_failure_ends_the_run_with_a_report(void **state)
{
    struct log_of_run l;
    struct universe u = open_reporting(&l);
    start(u.here, sleep_long, NULL);
    assert_int_equal(sim_direct(u.sim, "director", fail_later, NULL), 0);
    assert_int_equal(sim_run(u.sim, 3600 * NS_PER_S), -ENOTRECOVERABLE);
    assert_string_equal(sim_failed(u.sim), "one and one are 2");
    assert_true(has(&l, "simulation failed: one and one are 2"));
    assert_true(has(&l, "seed 33, 1.234567891 s"));
    assert_true(has(&l, "1.234567891 -            note           just before value=17"));
    assert_true(has(&l, "coroutine 'test' waits in sleep"));
    assert_false(has(&l, "second failure"));
    assert_int_equal(sim_run(u.sim, 3600 * NS_PER_S), -ENOTRECOVERABLE);
    sim_close(u.sim);
    bytes_release(&l.text);
}

static int fail_by_result(struct sim *sim, void *arg)
{
    return -EIO;
}

static void a_director_that_fails_is_a_failure(void **state)
{
    struct log_of_run l;
    struct universe u = open_reporting(&l);
    assert_int_equal(sim_direct(u.sim, "director", fail_by_result, NULL), 0);
    assert_int_equal(sim_run(u.sim, NS_PER_S), -ENOTRECOVERABLE);
    sim_close(u.sim);
    bytes_release(&l.text);
}

static void an_empty_universe_has_nothing_to_do(void **state)
{
    struct sim *sim;
    assert_int_equal(sim_open(&sim, 0, NULL), 0);
    assert_int_equal(sim_seed(sim), 0);
    assert_int_equal(sim_run(sim, NS_PER_S), 0);
    assert_null(sim_failed(sim));
    sim_close(sim);
}

TEST_FILE(sim_universe)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_passes_exactly_while_all_wait),
        cmocka_unit_test(hosts_have_clocks_of_their_own),
        cmocka_unit_test(a_run_ends_when_its_time_has_come),
        cmocka_unit_test(daemons_are_not_waited_for),
        cmocka_unit_test(wall_clocks_are_a_little_wrong_and_jump),
        cmocka_unit_test(the_same_seed_gives_the_same_events),
        cmocka_unit_test(the_events_are_the_same_in_every_build),
        cmocka_unit_test(different_seeds_differ),
        cmocka_unit_test(the_schedule_is_the_seeds_too),
        cmocka_unit_test(directors_sleep_and_wait_for_processes),
        cmocka_unit_test(a_dead_end_names_who_waits),
        cmocka_unit_test(a_failure_ends_the_run_with_a_report),
        cmocka_unit_test(a_director_that_fails_is_a_failure),
        cmocka_unit_test(an_empty_universe_has_nothing_to_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
