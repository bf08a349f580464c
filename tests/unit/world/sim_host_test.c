/*
 * sim_host_test.c: cores, slowness, pauses, crashes and restarts, names.
 */
#include "sim_fixture.h"

/* ---- Cores ---- */

struct burner {
    struct universe *u;
    int64_t ns;
    int64_t end;
};

static int burn(struct world *w, void *arg)
{
    struct burner *b = arg;
    int rc = sim_burn(w, b->ns);
    b->end = sim_now(b->u->sim);
    return rc;
}

static void burns_beyond_the_cores_wait_for_one(void **state)
{
    struct universe u = open_default(); /* hosts of two cores */
    struct burner b[5];
    for (int i = 0; i < 5; i++) {
        b[i] = (struct burner){.u = &u, .ns = NS_PER_S};
        start(u.here, burn, &b[i]);
    }
    struct burner other = {.u = &u, .ns = NS_PER_S};
    start(u.there, burn, &other);
    run_and_close(&u);
    int ends[4] = {0, 0, 0, 0};
    for (int i = 0; i < 5; i++) {
        assert_true(b[i].end % NS_PER_S == 0);
        ends[b[i].end / NS_PER_S]++;
    }
    assert_int_equal(ends[1], 2);
    assert_int_equal(ends[2], 2);
    assert_int_equal(ends[3], 1);
    assert_true(other.end == NS_PER_S);
}

static int burn_in_vain(struct world *w, void *arg)
{
    struct burner *b = arg;
    CORO_DEADLINE(world_now(w) + NS_PER_S / 2);
    must(sim_burn(w, b->ns) == -ETIMEDOUT);
    b->end = sim_now(b->u->sim);
    return 0;
}

/* Two of them have the cores, the third waits; then a fourth finds a core free. */
static void a_burn_that_is_interrupted_gives_its_core_back(void **state)
{
    struct universe u = open_default();
    struct burner b[3];
    for (int i = 0; i < 3; i++) {
        b[i] = (struct burner){.u = &u, .ns = 100 * NS_PER_S};
        start(u.here, burn_in_vain, &b[i]);
    }
    run(&u);
    assert_true(b[0].end == NS_PER_S / 2 && b[1].end == NS_PER_S / 2 && b[2].end == NS_PER_S / 2);
    struct burner last[2];
    for (int i = 0; i < 2; i++) {
        last[i] = (struct burner){.u = &u, .ns = NS_PER_S};
        start(u.here, burn, &last[i]);
    }
    run_and_close(&u);
    assert_true(last[0].end == NS_PER_S * 3 / 2 && last[1].end == NS_PER_S * 3 / 2);
}

static void slow_hosts_burn_longer(void **state)
{
    struct universe u = open_default();
    struct sim_host *slow =
        sim_host(u.sim, &(struct sim_host_options){.name = "slow", .slow_percent = 250});
    assert_non_null(slow);
    sim_slow(u.there, 1000);
    struct burner b[3] = {{&u, NS_PER_S, 0}, {&u, NS_PER_S, 0}, {&u, NS_PER_S, 0}};
    start(u.here, burn, &b[0]);
    start(slow, burn, &b[1]);
    start(u.there, burn, &b[2]);
    run_and_close(&u);
    assert_true(b[0].end == NS_PER_S);
    assert_true(b[1].end == NS_PER_S * 5 / 2);
    assert_true(b[2].end == 10 * NS_PER_S);
}

struct blocker {
    struct world *w;
    struct universe *u;
    int64_t ticked;
};

static int tick(void *arg)
{
    struct blocker *b = arg;
    must(world_sleep(b->w, 10 * NS_PER_MS) == 0);
    b->ticked = sim_now(b->u->sim);
    return 0;
}

static int block(struct world *w, void *arg)
{
    struct blocker *b = arg;
    b->w = w;
    GROUP(g, GROUP_FAIL_FAST);
    must(group_spawn(&g, "tick", tick, b) == 0);
    must(coro_yield() == 0);
    must(sim_block(w, NS_PER_S) == 0);
    must(sim_now(b->u->sim) == NS_PER_S);
    must(group_wait(&g) == 0);
    return 0;
}

static int block_past_deadline(struct world *w, void *arg)
{
    CORO_DEADLINE(world_now(w) + NS_PER_S);
    must(sim_block(w, 2 * NS_PER_S) == 0); /* what computes does not hear of deadlines */
    must(world_sleep(w, 1) == -ETIMEDOUT);
    must(sim_block(w, 1) == -ETIMEDOUT);
    return 0;
}

/* Its ticker should have rung after 10 ms; other processes of the host go on. */
static void a_block_stops_its_whole_world_and_no_other(void **state)
{
    struct universe u = open_default();
    struct blocker blocked = {.u = &u};
    struct burner free = {.u = &u, .ns = 10 * NS_PER_MS};
    start(u.here, block, &blocked);
    start(u.here, burn, &free);
    start(u.there, block_past_deadline, NULL);
    run_and_close(&u);
    assert_true(blocked.ticked == NS_PER_S);
    assert_true(free.end == 10 * NS_PER_MS);
}

static int block_and_note(struct world *w, void *arg)
{
    struct burner *b = arg;
    int rc = sim_block(w, b->ns);
    b->end = sim_now(b->u->sim);
    return rc;
}

static void blocks_wait_for_cores_too(void **state)
{
    struct universe u = open_default();
    struct burner b[5];
    for (int i = 0; i < 5; i++) {
        b[i] = (struct burner){.u = &u, .ns = NS_PER_S};
        start(u.here, i % 2 ? burn : block_and_note, &b[i]);
    }
    run_and_close(&u);
    int64_t sum = 0;
    for (int i = 0; i < 5; i++)
        sum += b[i].end;
    assert_true(sum == (1 + 1 + 2 + 2 + 3) * NS_PER_S);
}

/* ---- Pauses ---- */

struct paused {
    struct universe u;
    int64_t slept;
    int64_t read;
};

static int sleep_a_second(struct world *w, void *arg)
{
    struct paused *p = arg;
    must_sleep(w, NS_PER_S);
    p->slept = sim_now(p->u.sim);
    return 0;
}

static int read_while_paused(struct world *w, void *arg)
{
    struct paused *p = arg;
    struct listener *l = must_listen(w, "*:7");
    struct stream *s = must_accept(l);
    must(reads(s, "one"));
    p->read = sim_now(p->u.sim);
    stream_close(s);
    listener_close(l);
    return 0;
}

static int write_to_the_paused(struct world *w, void *arg)
{
    struct paused *p = arg;
    struct stream *s = must_connect(w, p->u.here, 7);
    must(send_text(s, "one") == 0);
    must(sim_now(p->u.sim) < 10 * NS_PER_MS);
    must(read_byte(s) == 0);
    stream_close(s);
    return 0;
}

static int pause_at_half_a_second(struct sim *sim, void *arg)
{
    struct paused *p = arg;
    must(sim_sleep(sim, NS_PER_S / 2) == 0);
    sim_pause(p->u.here, 10 * NS_PER_S);
    must(sim_sleep(sim, 5 * NS_PER_S) == 0);
    sim_pause(p->u.here, NS_PER_S); /* shorter than what is left: nothing more */
    return 0;
}

static void a_paused_host_does_everything_when_it_wakes(void **state)
{
    struct paused p = {.u = open_default()};
    struct burner b = {.u = &p.u, .ns = NS_PER_S};
    start(p.u.here, sleep_a_second, &p);
    start(p.u.here, burn, &b);
    assert_int_equal(sim_direct(p.u.sim, "director", pause_at_half_a_second, &p), 0);
    run_and_close(&p.u);
    assert_true(p.slept == 10 * NS_PER_S + NS_PER_S / 2);
    assert_true(b.end == 11 * NS_PER_S); /* the core was frozen too */
}

static int pause_before_the_data(struct sim *sim, void *arg)
{
    struct paused *p = arg;
    must(sim_sleep(sim, 2500 * NS_PER_US) == 0);
    sim_pause(p->u.here, 5 * NS_PER_S);
    return 0;
}

static void what_is_sent_to_a_paused_host_waits_in_its_buffers(void **state)
{
    struct paused p = {.u = open_default()};
    start(p.u.here, read_while_paused, &p);
    start(p.u.there, write_to_the_paused, &p);
    assert_int_equal(sim_direct(p.u.sim, "director", pause_before_the_data, &p), 0);
    run_and_close(&p.u);
    assert_true(p.read == 2500 * NS_PER_US + 5 * NS_PER_S);
}

static int block_for_a_second(struct world *w, void *arg)
{
    struct paused *p = arg;
    must(sim_block(w, NS_PER_S) == 0);
    p->slept = sim_now(p->u.sim);
    return 0;
}

static void a_block_is_frozen_too(void **state)
{
    struct paused p = {.u = open_default()};
    start(p.u.here, block_for_a_second, &p);
    assert_int_equal(sim_direct(p.u.sim, "director", pause_at_half_a_second, &p), 0);
    run_and_close(&p.u);
    assert_true(p.slept == 11 * NS_PER_S);
}

/* ---- Crashes ---- */

struct reborn {
    struct universe *u;
    int boots;
    int cancelled;
    int freed;
    int64_t clock[2];
    void *memory;
};

static void free_memory(void *arg)
{
    struct reborn *r = arg;
    free(r->memory);
    r->memory = NULL;
    r->freed++;
}

static int hold_on(void *arg)
{
    struct reborn *r = arg;
    int rc = coro_park("nothing");
    r->cancelled += rc == -ECANCELED;
    return rc;
}

static int live_until_the_crash(struct world *w, void *arg)
{
    struct reborn *r = arg;
    r->clock[r->boots++ % 2] = world_now(w);
    r->memory = malloc(1000);
    must(coro_defer(free_memory, r) == 0);
    must_listen(w, "*:7");
    GROUP(g, GROUP_INDEPENDENT);
    for (int i = 0; i < 3; i++)
        must(group_spawn(&g, "child", hold_on, r) == 0);
    return group_wait(&g);
}

static int crash_twice(struct sim *sim, void *arg)
{
    struct sim_host *host = arg;
    for (int i = 0; i < 2; i++) {
        must(sim_sleep(sim, NS_PER_S) == 0);
        sim_crash(host);
        must(!sim_host_up(host));
        must(!sim_start(host, "nothing", live_until_the_crash, NULL));
        if (i == 0)
            must(sim_sleep(sim, NS_PER_S) == 0);
        must(sim_restart(host) == 0);
        must(sim_host_up(host));
    }
    must(sim_sleep(sim, NS_PER_S) == 0);
    return 0;
}

static void a_crash_ends_everything_and_a_restart_boots_again(void **state)
{
    struct universe u = open_default();
    struct reborn r = {.u = &u};
    struct sim_host *host =
        sim_host(u.sim, &(struct sim_host_options){
                            .name = "phoenix", .boot = live_until_the_crash, .boot_arg = &r});
    assert_non_null(host);
    assert_int_equal(sim_direct(u.sim, "director", crash_twice, host), 0);
    run(&u);
    assert_int_equal(r.boots, 3);
    assert_int_equal(r.freed, 2);
    assert_int_equal(r.cancelled, 6);
    assert_true(r.clock[1] < 3600 * NS_PER_S); /* its uptime begins anew */
    sim_close(u.sim);
    assert_int_equal(r.freed, 3);
}

static void a_host_that_is_down_cannot_be_paused(void **state)
{
    struct universe u = open_default();
    struct burner b = {.u = &u, .ns = NS_PER_S};
    sim_crash(u.here);
    sim_crash(u.here);
    sim_pause(u.here, 100 * NS_PER_S);
    assert_int_equal(sim_restart(u.here), 0);
    sim_pause(u.here, 0);
    start(u.here, burn, &b);
    run_and_close(&u);
    assert_true(b.end == NS_PER_S);
}

static int crash_itself(struct world *w, void *arg)
{
    sim_crash(sim_process_host(sim_self(w)));
    must(world_sleep(w, 1) == -ECANCELED);
    return 0;
}

static void a_process_may_crash_its_own_host(void **state)
{
    struct universe u = open_default();
    struct sim_process *p = start(u.here, crash_itself, NULL);
    run(&u);
    assert_int_equal(sim_process_end(p).state, SIM_CRASHED);
    sim_close(u.sim);
}

static void a_universe_may_be_closed_in_the_middle_of_everything(void **state)
{
    struct universe u = open_default();
    struct reborn r = {.u = &u};
    struct burner b = {.u = &u, .ns = 100 * NS_PER_S};
    start(u.here, live_until_the_crash, &r);
    start(u.here, burn, &b);
    assert_int_equal(sim_run(u.sim, NS_PER_S), 0);
    sim_close(u.sim);
    assert_int_equal(r.freed, 1);
}

/* ---- Names ---- */

static bool same_ip(const struct address *a, const struct address *b)
{
    return a->any.sa_family == AF_INET && b->any.sa_family == AF_INET &&
           a->in4.sin_addr.s_addr == b->in4.sin_addr.s_addr;
}

static int resolve_names(struct world *w, void *arg)
{
    struct universe *u = arg;
    struct address a[4];
    struct address expected;
    sim_host_address(u->there, 80, &expected);
    int64_t began = world_now(w);
    must(world_resolve(w, "there", 80, a, 4) == 1);
    must(world_now(w) > began);
    must(same_ip(&a[0], &expected) && address_port(&a[0]) == 80);

    began = world_now(w);
    must(world_resolve(w, "10.1.2.3", 80, a, 4) == 1);
    must(address_port(&a[0]) == 80 && a[0].any.sa_family == AF_INET);
    must(world_resolve(w, "::1", 80, a, 4) == 1);
    must(address_port(&a[0]) == 80 && a[0].any.sa_family == AF_INET6);
    must(world_resolve(w, "localhost", 80, a, 4) == 1);
    must(world_now(w) == began);

    must(world_resolve(w, "nobody", 80, a, 4) == -ENOENT);
    must(world_resolve(w, "both", 80, a, 4) == 2);
    must(!same_ip(&a[0], &a[1]));
    bool first[2] = {false, false};
    for (int i = 0; i < 20; i++) {
        must(world_resolve(w, "both", 80, a, 1) == 1);
        first[same_ip(&a[0], &expected)] = true;
    }
    must(first[0] && first[1]); /* either may come first */
    sim_name_drop(u->sim, "both");
    must(world_resolve(w, "both", 80, a, 4) == -ENOENT);
    return 0;
}

static void names_resolve_to_their_hosts(void **state)
{
    struct universe u = open_default();
    assert_int_equal(sim_name(u.sim, "both", u.here), 0);
    assert_int_equal(sim_name(u.sim, "both", u.there), 0);
    start(u.here, resolve_names, &u);
    run_and_close(&u);
}

static int resolve_badly(struct world *w, void *arg)
{
    struct universe *u = arg;
    struct address a;
    sim_resolver(u->sim, &(struct sim_resolver){.missing_ppm = 1000000});
    must(world_resolve(w, "there", 80, &a, 1) == -ENOENT);
    sim_resolver(u->sim, &(struct sim_resolver){.silent_ppm = 1000000});
    int64_t began = world_now(w);
    must(world_resolve(w, "there", 80, &a, 1) == -EAGAIN);
    must(world_now(w) == began + 5 * NS_PER_S);
    sim_resolver(u->sim, &(struct sim_resolver){.latency_ns = 10 * NS_PER_S});
    began = world_now(w);
    {
        CORO_DEADLINE(began + NS_PER_S);
        must(world_resolve(w, "there", 80, &a, 1) == -ETIMEDOUT);
        must(world_now(w) == began + NS_PER_S);
    }
    must(world_resolve(w, "there", 80, &a, 1) == 1);
    must(world_now(w) >= began + 6 * NS_PER_S && world_now(w) <= began + 16 * NS_PER_S);
    return 0;
}

static void resolvers_fail_and_are_slow_when_told(void **state)
{
    run_alone(resolve_badly);
}

/* ---- Descriptors ---- */

struct watched {
    struct world *w;
    int fd;
    int woken;
};

static int wait_readable(void *arg)
{
    struct watched *d = arg;
    struct watch *watch;
    must(world_watch(d->w, d->fd, &watch) == 0);
    must(watch_wait(watch, WATCH_READ) == WATCH_READ);
    d->woken++;
    watch_close(watch);
    return 0;
}

static int watch_descriptors(struct world *w, void *arg)
{
    struct watched d = {.w = w, .fd = sim_fd(w)};
    struct watch *watch;
    must(d.fd >= 0);
    must(world_watch(w, d.fd + 1, &watch) == -EBADF);
    must(world_watch(w, d.fd, &watch) == 0);
    GROUP(g, GROUP_FAIL_FAST);
    must(group_spawn(&g, "reader", wait_readable, &d) == 0);
    must_sleep(w, NS_PER_MS);
    sim_fd_set(w, d.fd, WATCH_WRITE);
    must(watch_wait(watch, WATCH_READ | WATCH_WRITE) == WATCH_WRITE);
    must_sleep(w, NS_PER_MS);
    must(d.woken == 0);
    sim_fd_set(w, d.fd, WATCH_READ | WATCH_WRITE);
    must(watch_wait(watch, WATCH_READ | WATCH_WRITE) == (WATCH_READ | WATCH_WRITE));
    must(group_wait(&g) == 0);
    must(d.woken == 1);
    watch_close(watch);
    return 0;
}

static void made_up_descriptors_are_ready_when_told(void **state)
{
    run_alone(watch_descriptors);
}

TEST_FILE(sim_host)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(burns_beyond_the_cores_wait_for_one),
        cmocka_unit_test(a_burn_that_is_interrupted_gives_its_core_back),
        cmocka_unit_test(slow_hosts_burn_longer),
        cmocka_unit_test(a_block_stops_its_whole_world_and_no_other),
        cmocka_unit_test(blocks_wait_for_cores_too),
        cmocka_unit_test(a_paused_host_does_everything_when_it_wakes),
        cmocka_unit_test(a_block_is_frozen_too),
        cmocka_unit_test(what_is_sent_to_a_paused_host_waits_in_its_buffers),
        cmocka_unit_test(a_crash_ends_everything_and_a_restart_boots_again),
        cmocka_unit_test(a_host_that_is_down_cannot_be_paused),
        cmocka_unit_test(a_process_may_crash_its_own_host),
        cmocka_unit_test(a_universe_may_be_closed_in_the_middle_of_everything),
        cmocka_unit_test(names_resolve_to_their_hosts),
        cmocka_unit_test(resolvers_fail_and_are_slow_when_told),
        cmocka_unit_test(made_up_descriptors_are_ready_when_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
