/*
 * supervisor_test.c: crash, reload, upgrade and stop, in virtual time.
 */
#include "supervisor_fixture.h"

#define MS NS_PER_MS
#define S  NS_PER_S

/* Universe times jitter by what spawning, reading and speaking take. */
#define assert_about(actual, expected) \
    assert_in_range((actual) / MS + 2, (expected) / MS, (expected) / MS + 20)

/* ---- Start and stop ---- */

static int stop_after_a_second(struct rig *r)
{
    after(r, S);
    must(sim_file_get(r->host, "/weir.pid", NULL, 0) == 5);
    send_signal(r, SIGTERM);
    return 0;
}

static void it_starts_a_server_and_stops_it(void **state)
{
    struct rig *r = rig_new(GOOD);
    play(r, stop_after_a_second);
    assert_int_equal(r->status, EXIT_STATUS_OK);
    assert_int_equal(r->spawn_count, 1);
    assert_non_null(strstr(r->spawned[0].config, "/one"));
    assert_string_equal(r->spawned[0].listeners, "listener 127.0.0.1:80 2/admin 0/");
    assert_about(r->spawned[0].stop_at, S);
    assert_int_equal(r->spawned[0].drain_at, 0);
    assert_string_equal(r->notified, "READY=1 STOPPING=1 ");
    assert_int_equal(sim_file_get(r->host, "/weir.pid", NULL, 0), -ENOENT);
    assert_true(logged(r, "listening on 127.0.0.1:80"));
    rig_free(r);
}

static int stop_twice(struct rig *r)
{
    after(r, S);
    send_signal(r, SIGINT);
    after(r, S / 2);
    send_signal(r, SIGINT); /* the same wish: from `timeout`, say, which signals the group, too */
    after(r, 10 * MS);
    must(sim_process_end(r->supervisor).state == SIM_RUNNING);
    send_signal(r, SIGINT);
    after(r, 10 * MS);
    must(sim_process_end(r->supervisor).state == SIM_EXITED);
    return 0;
}

static void a_second_signal_ends_it_at_once(void **state)
{
    struct rig *r = rig_new(GOOD);
    r->behaviours[0].drain_takes = NEVER;
    play(r, stop_twice);
    assert_int_equal(r->status, EXIT_STATUS_OK);
    rig_free(r);
}

static int stop_and_look_at_the_clock(struct rig *r)
{
    after(r, S);
    send_signal(r, SIGQUIT);
    must(sim_wait(r->supervisor) == 0);
    r->spawned[0].ended_at = sim_now(r->sim);
    return 0;
}

static void a_server_that_does_not_end_is_killed_after_the_drain_timeout(void **state)
{
    struct rig *r = rig_new(GOOD "timeouts: {drain: 3s}\n");
    r->behaviours[0].drain_takes = NEVER;
    play(r, stop_and_look_at_the_clock);
    assert_int_equal(r->status, EXIT_STATUS_OK);
    assert_about(r->spawned[0].ended_at, 7 * S);
    assert_true(logged(r, "is killed: it has not ended in time"));
    rig_free(r);
}

static int stop_early(struct rig *r)
{
    after(r, 100 * MS);
    send_signal(r, SIGTERM);
    after(r, 100 * MS);
    must(sim_process_end(r->supervisor).state == SIM_EXITED);
    return 0;
}

static void a_server_that_is_not_ready_yet_is_not_waited_for(void **state)
{
    struct rig *r = rig_new(GOOD);
    r->behaviours[0].hangs = true;
    play(r, stop_early);
    assert_int_equal(r->status, EXIT_STATUS_OK);
    rig_free(r);
}

static int nothing(struct rig *r)
{
    return 0;
}

static void a_bad_configuration_is_refused_before_anything_is_started(void **state)
{
    struct rig *r = rig_new(BAD);
    play(r, nothing);
    assert_int_equal(r->status, EXIT_STATUS_REFUSED);
    assert_int_equal(r->spawn_count, 0);
    assert_true(logged(r, "/weir.yaml:2:"));
    assert_true(logged(r, "listen_too"));
    rig_free(r);
}

static void flows_are_checked_too(void **state)
{
    struct rig *r = rig_new("routes:\n  - {route: GET /bad, reply: $path.x}\n"
                            "  - {route: GET /bad, reply: 1}\n");
    play(r, nothing);
    assert_int_equal(r->status, EXIT_STATUS_REFUSED);
    assert_int_equal(r->spawn_count, 0);
    assert_true(logged(r, "/weir.yaml:2:"));
    assert_true(logged(r, "/weir.yaml:3:"));
    rig_free(r);
}

static void a_file_that_is_not_there_is_refused(void **state)
{
    struct rig *r = rig_new(GOOD);
    r->path = "/nowhere.yaml";
    play(r, nothing);
    assert_int_equal(r->status, EXIT_STATUS_REFUSED);
    assert_true(logged(r, "/nowhere.yaml"));
    rig_free(r);
}

static void a_server_that_says_why_it_cannot_start_ends_the_first_start(void **state)
{
    struct rig *r = rig_new(GOOD);
    r->behaviours[0].fails = "there is no more of anything";
    play(r, nothing);
    assert_int_equal(r->status, EXIT_STATUS_ENVIRONMENT);
    assert_int_equal(r->spawn_count, 1);
    assert_true(logged(r, "there is no more of anything"));
    assert_string_equal(r->notified, "");
    rig_free(r);
}

static void a_program_that_cannot_be_spawned_ends_the_first_start(void **state)
{
    struct rig *r = rig_new(GOOD);
    r->cannot_spawn = true;
    play(r, nothing);
    assert_int_equal(r->status, EXIT_STATUS_ENVIRONMENT);
    assert_true(logged(r, "cannot start a server"));
    rig_free(r);
}

/* ---- Crashes ---- */

static int ask_all_the_time(struct world *w, void *arg)
{
    struct rig *r = arg;
    for (int i = 0; i < 1000; i++) {
        struct stream *s;
        struct address at;
        must_sleep(w, 10 * MS);
        must(address_parse(&at, "127.0.0.1:80", NULL) == 0);
        int rc = world_connect(w, &at, &s);
        sim_check(r->sim, rc == 0, "connection %d was refused: %s", i, error_text(rc));
        stream_close(s);
    }
    return 0;
}

static int ask_then_stop(struct rig *r)
{
    after(r, S);
    struct sim_process *asks = sim_start(r->host, "asks", ask_all_the_time, r);
    must(asks != NULL && sim_wait(asks) == 0);
    must(sim_process_end(asks).state == SIM_EXITED && sim_process_end(asks).result == 0);
    send_signal(r, SIGTERM);
    return 0;
}

static void no_connection_is_refused_while_servers_crash(void **state)
{
    struct rig *r = rig_new(GOOD);
    for (int i = 0; i < SPAWNS_MAX; i++)
        r->behaviours[i].dies_after = 1500 * MS;
    play(r, ask_then_stop);
    assert_in_range(r->spawn_count, 5, 8);
    rig_free(r);
}

static int wait_two_minutes(struct rig *r)
{
    after(r, 120 * S);
    send_signal(r, SIGTERM);
    return 0;
}

static void a_crash_loop_is_slowed_down_and_a_good_life_forgiven(void **state)
{
    static const int64_t delays[] = {
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 200, 400, 800, 1600, 3200, 5000, 5000};
    enum { DELAYS = sizeof delays / sizeof delays[0] };
    struct rig *r = rig_new(GOOD);
    for (int i = 0; i < DELAYS; i++)
        r->behaviours[i] = (struct behaviour){.dies_after = 50 * MS, .dies_status = i % 2 ? 3 : 0};
    r->behaviours[DELAYS].dies_after = 11 * S;
    r->behaviours[DELAYS + 1].dies_after = 50 * MS;
    play(r, wait_two_minutes);
    for (int i = 0; i < DELAYS; i++)
        assert_about(r->spawned[i + 1].at - r->spawned[i].ended_at, delays[i] * MS);
    assert_about(r->spawned[DELAYS + 1].at - r->spawned[DELAYS].ended_at, 0);
    assert_about(r->spawned[DELAYS + 2].at - r->spawned[DELAYS + 1].ended_at, 0);
    assert_int_equal(r->spawn_count, DELAYS + 3);
    assert_true(logged(r, "was killed by SIGKILL after 0.0"));
    assert_true(logged(r, "ended with status 3 after 0.0"));
    rig_free(r);
}

static void a_server_that_is_not_ready_in_time_is_killed_and_counts_as_a_crash(void **state)
{
    struct rig *r = rig_new(GOOD);
    r->behaviours[0].hangs = r->behaviours[1].hangs = true;
    play(r, wait_two_minutes);
    assert_int_equal(r->spawn_count, 3);
    assert_about(r->spawned[1].at - r->spawned[0].at, 10 * S);
    assert_about(r->spawned[2].at - r->spawned[1].at, 10 * S + 100 * MS);
    assert_true(logged(r, "it was not ready within 10 s"));
    rig_free(r);
}

/* Workers may take as long as their pool says. */
static void a_server_has_the_longest_start_of_its_pools_more(void **state)
{
    struct rig *r = rig_new("listen: 127.0.0.1:80\nadmin: off\n"
                            "pools: {slow: {start: 20s}, used: {start: 5s}, unused: {start: 90s}}\n"
                            "routes:\n  - {route: GET /a, nodes: {a: {step: echo, pool: slow}, b: "
                            "{step: echo, pool: used}}}\n");
    r->behaviours[0].hangs = true;
    play(r, wait_two_minutes);
    assert_about(r->spawned[1].at - r->spawned[0].at, 30 * S);
    assert_true(logged(r, "it was not ready within 30 s"));
    rig_free(r);
}

/* A step's init that hangs may hold it: what it said is why it did not start. */
static void a_server_that_says_why_and_does_not_end_is_ended(void **state)
{
    struct rig *r = rig_new(GOOD);
    r->behaviours[0] = (struct behaviour){.hangs = true, .fails = "the init of step 'x' hangs"};
    play(r, nothing);
    assert_int_equal(r->spawn_count, 1);
    assert_int_equal(r->status, EXIT_STATUS_ENVIRONMENT);
    assert_true(logged(r, "did not start: the init of step 'x' hangs"));
    rig_free(r);
}

static void a_server_that_dies_before_it_is_ready_counts_as_a_crash(void **state)
{
    struct rig *r = rig_new(GOOD);
    for (int i = 0; i < 2; i++)
        r->behaviours[i] = (struct behaviour){.hangs = true, .dies_after = MS, .dies_status = 7};
    play(r, wait_two_minutes);
    assert_int_equal(r->spawn_count, 3);
    assert_true(logged(r, "it ended with status 7 before it was ready"));
    assert_int_equal(r->status, EXIT_STATUS_OK);
    rig_free(r);
}

static int spoil_the_file(struct rig *r)
{
    after(r, 500 * MS);
    put(r, "/weir.yaml", BAD);
    after(r, 2 * S);
    send_signal(r, SIGTERM);
    return 0;
}

static void after_a_crash_the_last_good_configuration_holds(void **state)
{
    struct rig *r = rig_new(GOOD);
    r->behaviours[0].dies_after = S;
    play(r, spoil_the_file);
    assert_int_equal(r->spawn_count, 2);
    assert_non_null(strstr(r->spawned[1].config, "/one"));
    rig_free(r);
}

/* ---- Reload ---- */

static int reload_once(struct rig *r)
{
    after(r, S);
    put(r, "/weir.yaml", BETTER);
    send_signal(r, SIGHUP);
    after(r, 20 * S);
    send_signal(r, SIGTERM);
    return 0;
}

static void a_reload_starts_a_new_server_and_then_drains_the_old(void **state)
{
    struct rig *r = rig_new(GOOD);
    r->behaviours[0].drain_takes = 2 * S;
    r->behaviours[1].ready_after = S;
    play(r, reload_once);
    assert_int_equal(r->spawn_count, 2);
    assert_non_null(strstr(r->spawned[1].config, "/two"));
    assert_about(r->spawned[1].ready_at, 2 * S);
    assert_about(r->spawned[0].drain_at, r->spawned[1].ready_at);
    assert_int_equal(r->spawned[0].stop_at, 0);
    assert_about(r->spawned[0].ended_at, 4 * S);
    assert_true(r->spawned[1].stop_at > 0);
    assert_string_equal(r->notified, "READY=1 RELOADING=1 READY=1 STOPPING=1 ");
    assert_true(logged(r, "has drained"));
    rig_free(r);
}

static int reload_badly(struct rig *r)
{
    after(r, S);
    put(r, "/weir.yaml", BAD);
    send_signal(r, SIGHUP);
    after(r, S);
    must(r->spawn_count == 1 && r->spawned[0].drain_at == 0);
    put(r, "/weir.yaml", BETTER);
    send_signal(r, SIGHUP);
    after(r, S);
    send_signal(r, SIGTERM);
    return 0;
}

static void a_bad_reload_is_refused_and_a_good_one_after_it_is_not(void **state)
{
    struct rig *r = rig_new(GOOD);
    play(r, reload_badly);
    assert_int_equal(r->spawn_count, 2);
    assert_true(logged(r, "listen_too"));
    assert_true(logged(r, "the reload is refused"));
    assert_string_equal(r->notified, "READY=1 RELOADING=1 READY=1 RELOADING=1 READY=1 STOPPING=1 ");
    rig_free(r);
}

/* The new server hangs, says that it cannot, or dies: each time the old one serves on, and where
 * that dies, another like it takes its place. */
static void check_reload_fails(struct behaviour how, const char *says)
{
    struct rig *r = rig_new(GOOD);
    r->behaviours[0].dies_after = 15 * S;
    r->behaviours[1] = how;
    play(r, reload_once);
    assert_int_equal(r->spawn_count, 3);
    assert_non_null(strstr(r->spawned[1].config, "/two"));
    assert_int_equal(r->spawned[0].drain_at, 0);
    assert_non_null(strstr(r->spawned[2].config, "/one"));
    assert_true(logged(r, says));
    assert_true(logged(r, "the old server serves on"));
    rig_free(r);
}

static void a_reload_whose_server_does_not_start_changes_nothing(void **state)
{
    check_reload_fails((struct behaviour){.hangs = true}, "it was not ready within 10 s");
    check_reload_fails((struct behaviour){.fails = "no luck today"}, "no luck today");
    check_reload_fails((struct behaviour){.hangs = true, .dies_after = MS},
        "it ended with status 0 before it was ready");
}

static int reload_in_a_hurry(struct rig *r)
{
    after(r, S);
    put(r, "/weir.yaml", BETTER);
    send_signal(r, SIGHUP);
    after(r, 100 * MS); /* the new one is on its way */
    put(r, "/weir.yaml", BAD);
    send_signal(r, SIGHUP);
    after(r, 100 * MS);
    put(r, "/weir.yaml", BEST);
    send_signal(r, SIGHUP);
    after(r, 5 * S);
    send_signal(r, SIGTERM);
    return 0;
}

static void reloads_during_a_reload_wait_and_the_latest_wins(void **state)
{
    struct rig *r = rig_new(GOOD);
    r->behaviours[1].ready_after = S;
    play(r, reload_in_a_hurry);
    assert_int_equal(r->spawn_count, 3);
    assert_non_null(strstr(r->spawned[1].config, "/two"));
    assert_non_null(strstr(r->spawned[2].config, "/three"));
    assert_true(r->spawned[0].drain_at > 0 && r->spawned[1].drain_at >= r->spawned[2].ready_at);
    assert_false(logged(r, "listen_too"));
    rig_free(r);
}

static void the_old_server_may_die_while_the_new_one_starts(void **state)
{
    struct rig *r = rig_new(GOOD);
    r->behaviours[0].dies_after = 1500 * MS;
    r->behaviours[1].ready_after = S;
    play(r, reload_once);
    assert_int_equal(r->spawn_count, 2); /* the new one was about to come anyway */
    rig_free(r);
}

static int reload_often(struct rig *r)
{
    for (int i = 0; i < 10; i++) {
        after(r, S);
        put(r, "/weir.yaml", i % 2 ? GOOD : BETTER);
        send_signal(r, SIGHUP);
    }
    after(r, 10 * S);
    must(r->spawn_count == SUPERVISOR_SERVERS_MAX);
    after(r, 100 * S);
    send_signal(r, SIGTERM);
    return 0;
}

static void servers_that_drain_are_bounded_in_number_and_time(void **state)
{
    struct rig *r = rig_new(GOOD);
    for (int i = 0; i < SPAWNS_MAX; i++)
        r->behaviours[i].drain_takes = NEVER;
    play(r, reload_often);
    assert_about(r->spawned[SUPERVISOR_SERVERS_MAX].at, 1 * S + 33 * S);
    assert_int_equal(r->spawn_count, SUPERVISOR_SERVERS_MAX + 1);
    rig_free(r);
}

static int try_port(struct world *w, void *arg)
{
    struct rig *r = arg;
    struct address at;
    struct stream *s;
    must(address_parse(&at, "127.0.0.1:81", NULL) == 0);
    r->check_status = world_connect(w, &at, &s);
    if (r->check_status == 0)
        stream_close(s);
    return 0;
}

static int connects_to_81(struct rig *r)
{
    struct sim_process *tries = sim_start(r->host, "tries", try_port, r);
    must(tries != NULL && sim_wait(tries) == 0);
    return r->check_status;
}

static int change_listeners(struct rig *r)
{
    after(r, S);
    must(connects_to_81(r) == -ECONNREFUSED);
    put(r, "/weir.yaml", "listen: [127.0.0.1:80, 127.0.0.1:81]\nadmin: 127.0.0.1:90\n" ROUTES);
    send_signal(r, SIGHUP);
    after(r, S);
    must(connects_to_81(r) == 0);
    put(r, "/weir.yaml", GOOD);
    send_signal(r, SIGHUP);
    after(r, S);
    must(connects_to_81(r) == -ECONNREFUSED);
    send_signal(r, SIGTERM);
    return 0;
}

static void a_reload_opens_and_closes_listeners(void **state)
{
    struct rig *r = rig_new(GOOD);
    play(r, change_listeners);
    assert_string_equal(
        r->spawned[1].listeners, "listener 127.0.0.1:80 2/listener 127.0.0.1:81 2/admin 1/");
    assert_string_equal(r->spawned[2].listeners, "listener 127.0.0.1:80 2/admin 0/");
    rig_free(r);
}

static int occupy(struct world *w, void *arg)
{
    struct listener *l = must_listen(w, "127.0.0.1:81");
    must_sleep(w, 5 * S);
    listener_close(l);
    return 0;
}

static int reload_to_an_occupied_address(struct rig *r)
{
    must(sim_start(r->host, "occupies", occupy, r) != NULL);
    after(r, S);
    put(r, "/weir.yaml", "listen: [127.0.0.1:82, 127.0.0.1:81]\nadmin: off\n" ROUTES);
    send_signal(r, SIGHUP);
    after(r, S);
    send_signal(r, SIGTERM);
    return 0;
}

static void an_address_in_use_refuses_the_reload(void **state)
{
    struct rig *r = rig_new(GOOD);
    play(r, reload_to_an_occupied_address);
    assert_int_equal(r->spawn_count, 1);
    assert_true(logged(r, "cannot listen on 127.0.0.1:81: address already in use"));
    rig_free(r);
}

/* ---- Upgrade and watchdog ---- */

static int upgrade_twice(struct rig *r)
{
    after(r, S);
    send_signal(r, SIGUSR2);
    after(r, S);
    must(r->execs == 0);
    r->check_status = 0;
    send_signal(r, SIGUSR2);
    after(r, S);
    must(r->execs == 1);
    send_signal(r, SIGTERM);
    return 0;
}

static void an_upgrade_that_fails_changes_nothing(void **state)
{
    struct rig *r = rig_new(GOOD);
    r->check_status = 1;
    play(r, upgrade_twice);
    assert_int_equal(r->spawn_count, 1);
    assert_true(logged(r, "new-weir does not accept /weir.yaml"));
    assert_true(logged(r, "cannot execute new-weir"));
    assert_int_equal(r->status, EXIT_STATUS_OK);
    rig_free(r);
}

static int stop_after_ten_seconds(struct rig *r)
{
    after(r, 10 * S);
    send_signal(r, SIGTERM);
    return 0;
}

static void the_watchdog_of_the_init_is_told_often_enough(void **state)
{
    struct rig *r = rig_new(GOOD);
    r->options.watchdog_ns = 2 * S;
    play(r, stop_after_ten_seconds);
    int pings = 0;
    for (const char *at = r->notified; (at = strstr(at, "WATCHDOG=1")); at++)
        pings++;
    assert_in_range(pings, 10, 12);
    rig_free(r);
}

static void a_deaf_server_is_killed_at_the_end(void **state)
{
    struct rig *r = rig_new(GOOD "timeouts: {drain: 3s}\n");
    r->behaviours[0].deaf = true;
    play(r, stop_and_look_at_the_clock);
    assert_about(r->spawned[0].ended_at, 7 * S);
    rig_free(r);
}

TEST_FILE(supervisor)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_starts_a_server_and_stops_it),
        cmocka_unit_test(a_second_signal_ends_it_at_once),
        cmocka_unit_test(a_server_that_does_not_end_is_killed_after_the_drain_timeout),
        cmocka_unit_test(a_server_that_is_not_ready_yet_is_not_waited_for),
        cmocka_unit_test(a_deaf_server_is_killed_at_the_end),
        cmocka_unit_test(a_bad_configuration_is_refused_before_anything_is_started),
        cmocka_unit_test(flows_are_checked_too),
        cmocka_unit_test(a_file_that_is_not_there_is_refused),
        cmocka_unit_test(a_server_that_says_why_it_cannot_start_ends_the_first_start),
        cmocka_unit_test(a_program_that_cannot_be_spawned_ends_the_first_start),
        cmocka_unit_test(no_connection_is_refused_while_servers_crash),
        cmocka_unit_test(a_crash_loop_is_slowed_down_and_a_good_life_forgiven),
        cmocka_unit_test(a_server_that_is_not_ready_in_time_is_killed_and_counts_as_a_crash),
        cmocka_unit_test(a_server_has_the_longest_start_of_its_pools_more),
        cmocka_unit_test(a_server_that_says_why_and_does_not_end_is_ended),
        cmocka_unit_test(a_server_that_dies_before_it_is_ready_counts_as_a_crash),
        cmocka_unit_test(after_a_crash_the_last_good_configuration_holds),
        cmocka_unit_test(a_reload_starts_a_new_server_and_then_drains_the_old),
        cmocka_unit_test(a_bad_reload_is_refused_and_a_good_one_after_it_is_not),
        cmocka_unit_test(a_reload_whose_server_does_not_start_changes_nothing),
        cmocka_unit_test(reloads_during_a_reload_wait_and_the_latest_wins),
        cmocka_unit_test(the_old_server_may_die_while_the_new_one_starts),
        cmocka_unit_test(servers_that_drain_are_bounded_in_number_and_time),
        cmocka_unit_test(a_reload_opens_and_closes_listeners),
        cmocka_unit_test(an_address_in_use_refuses_the_reload),
        cmocka_unit_test(an_upgrade_that_fails_changes_nothing),
        cmocka_unit_test(the_watchdog_of_the_init_is_told_often_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
