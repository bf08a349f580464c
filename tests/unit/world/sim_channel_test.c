/*
 * sim_channel_test.c: simulated worker processes: their channels, memory that they share with their
 * parent, streams that are passed to them, their groups and limits.
 */
#include "sim_fixture.h"

#include <signal.h>

static struct child *must_spawn(
    struct world *w, const char *name, struct stream **channel, struct shared *shared, bool leads)
{
    struct child *c;
    struct spawn_options options = {
        .argv = (const char *const[]){name, NULL},
        .channel = channel,
        .shared = shared,
        .leads_group = leads,
    };
    must(world_spawn(w, &options, &c) == 0);
    return c;
}

static struct child_exit must_end(struct child *c)
{
    struct child_exit end;
    must(child_wait(c, &end) == 0);
    child_close(c);
    return end;
}

/* Runs `parent` in a universe with one program, called "child". */
static void play(sim_main *parent, sim_main *child)
{
    struct universe u = open_default();
    assert_int_equal(sim_program(u.sim, "child", child, NULL), 0);
    struct sim_process *p = start(u.here, parent, &u);
    run(&u);
    assert_int_equal(sim_process_end(p).result, 0);
    assert_int_equal(sim_process_unclosed(p), 0);
    sim_close(u.sim);
}

/* ---- Pairs and channels ---- */

static int talk_to_itself(struct world *w, void *arg)
{
    struct stream *a;
    struct stream *b;
    must(world_stream_pair(w, &a, &b) == 0);
    must(send_text(a, "there") == 0);
    must(reads(b, "there"));
    must(send_text(b, "back") == 0);
    must(reads(a, "back"));
    stream_close(a);
    must(read_byte(b) == 0);
    stream_close(b);
    must(!sim_channel(w) && !sim_shared(w));
    return 0;
}

static void a_pair_is_two_connected_streams(void **state)
{
    run_alone(talk_to_itself);
}

static int answer(struct world *w, void *arg)
{
    struct stream *channel = sim_channel(w);
    must(reads(channel, "question"));
    must(send_text(channel, "answer") == 0);
    stream_close(channel);
    return 3;
}

static int ask(struct world *w, void *arg)
{
    struct stream *channel;
    struct child *c = must_spawn(w, "child", &channel, NULL, false);
    must(send_text(channel, "question") == 0);
    must(reads(channel, "answer"));
    must(read_byte(channel) == 0);
    must(must_end(c).status == 3);
    stream_close(channel);
    return 0;
}

static void a_child_has_a_channel(void **state)
{
    play(ask, answer);
}

/* ---- Memory ---- */

#define MAX ((size_t)1 << 20)

static int write_into_memory(struct world *w, void *arg)
{
    struct shared *s = sim_shared(w);
    must(shared_size(s) == 100);
    must(strcmp(shared_base(s), "parent") == 0);
    must(shared_grow(s, 9000) == 0);
    must(shared_grow(s, MAX + 1) == -ENOSPC);
    memcpy(shared_base(s) + 8192, "child", 6);
    must(send_text(sim_channel(w), "!") == 0);
    must(world_sleep(w, 3600 * NS_PER_S) == -ECANCELED); /* it is killed */
    memcpy(shared_base(s) + 8192, "ghost", 6);
    must(shared_grow(s, 10000) == -ECANCELED);
    shared_trim(s, 0);
    return 0;
}

static int share_memory(struct world *w, void *arg)
{
    struct stream *channel;
    struct shared *s;
    must(world_shared(w, MAX, &s) == 0);
    must(shared_grow(s, 100) == 0);
    memcpy(shared_base(s), "parent", 7);
    struct child *c = must_spawn(w, "child", &channel, s, false);
    must(reads(channel, "!"));
    must(shared_size(s) == 9000);
    must(strcmp(shared_base(s) + 8192, "child") == 0);
    must(child_signal(c, SIGKILL) == 0);
    must(must_end(c).signal == SIGKILL);
    must(strcmp(shared_base(s) + 8192, "child") == 0);
    must(strcmp(shared_base(s), "parent") == 0);
    must(shared_size(s) == 9000);
    shared_trim(s, 8192);
    must(shared_base(s)[8192] == 0);
    must(strcmp(shared_base(s), "parent") == 0);
    shared_close(s);
    stream_close(channel);
    return 0;
}

static void a_child_sees_its_parents_memory(void **state)
{
    play(share_memory, write_into_memory);
}

/* ---- Passing ---- */

static int answer_on_passed(struct world *w, void *arg)
{
    struct stream *channel = sim_channel(w);
    must(!sim_take_passed(channel));
    for (int i = 0; i < 3; i++) {
        must(reads(channel, i == 0 ? "t" : "ask"));
        struct stream *s = sim_take_passed(channel);
        must(s);
        must(!sim_take_passed(channel));
        if (i == 0)
            must(reads(channel, "ask"));
        must(reads(s, "early"));
        must(send_text(s, "done") == 0);
        stream_close(s);
    }
    char rest[64];
    must_sleep(w, NS_PER_S); /* all the rest is there */
    for (int i = 0; i < 3; i++) {
        must(
            stream_read(channel, rest, sizeof rest) == 4); /* with what comes next, a stream does */
        if (i == 0)
            stream_close(sim_take_passed(channel));
    }
    must(send_text(channel, "!") == 0);
    stream_close(channel);
    return 0;
}

static int pass_streams(struct world *w, void *arg)
{
    struct stream *channel;
    struct stream *ours[6];
    struct stream *theirs;
    struct child *c = must_spawn(w, "child", &channel, NULL, false);
    for (int i = 0; i < 3; i++) {
        must(world_stream_pair(w, &ours[i], &theirs) == 0);
        must(send_text(ours[i], "early") == 0);
        must(stream_write_passing(channel, i == 0 ? "task" : "ask", i == 0 ? 4 : 3, theirs) == 0);
        must(reads(ours[i], "done"));
        must(read_byte(ours[i]) == 0);
    }
    for (int i = 3; i < 6; i++) {
        must(world_stream_pair(w, &ours[i], &theirs) == 0);
        must(stream_write_passing(channel, "more", 4, theirs) == 0);
    }
    must(reads(channel, "!"));
    must(must_end(c).status == 0);
    for (int i = 0; i < 6; i++) {
        if (i >= 3)
            must(read_byte(ours[i]) == 0); /* whoever had it is gone */
        stream_close(ours[i]);
    }
    must(world_stream_pair(w, &ours[0], &theirs) == 0);
    int rc = stream_write_passing(channel, "task", 4, theirs); /* nobody knows yet */
    must(rc == 0);
    must(read_byte(ours[0]) == 0);
    stream_close(ours[0]);
    stream_close(channel);
    return 0;
}

static void streams_are_passed_to_a_child(void **state)
{
    play(pass_streams, answer_on_passed);
}

/* What was on its way when everything ended is nobody's. */
static int pass_and_leave(struct world *w, void *arg)
{
    struct stream *a;
    struct stream *b;
    struct stream *ours;
    struct stream *theirs;
    must(world_stream_pair(w, &a, &b) == 0);
    must(world_stream_pair(w, &ours, &theirs) == 0);
    must(stream_write_passing(a, "x", 1, theirs) == 0);
    ssize_t n = arg ? read_byte(b) : 1;
    must(n == 1 || n == -ECANCELED); /* the universe may end before */
    return 0;
}

static void what_nobody_took_is_closed(void **state)
{
    for (int read = 0; read < 2; read++) {
        struct universe u = open_default();
        start(u.here, pass_and_leave, read ? &u : NULL);
        run(&u);
        sim_close(u.sim);
        u = open_default();
        start(u.here, pass_and_leave, read ? &u : NULL);
        assert_int_equal(sim_run(u.sim, 0), 0);
        sim_close(u.sim);
    }
}

/* ---- Groups ---- */

static int sleep_long(struct world *w, void *arg)
{
    return world_sleep(w, 100 * NS_PER_S);
}

static int have_a_family(struct world *w, void *arg)
{
    struct child *c;
    struct spawn_options options = {.argv = (const char *const[]){"grandchild", NULL}};
    must(world_spawn(w, &options, &c) == 0);
    must(send_text(sim_channel(w), "!") == 0);
    return (int)read_byte(sim_channel(w)); /* and leaves its child behind */
}

static int end_a_family(struct world *w, void *arg)
{
    struct universe *u = arg;
    struct stream *channel;
    for (int how = 0; how < 3; how++) {
        struct child *c = must_spawn(w, "child", &channel, NULL, true);
        must(reads(channel, "!"));
        if (how == 0)
            must(send_text(channel, ".") == 0);
        else if (how == 1)
            must(child_signal(c, SIGKILL) == 0);
        if (how == 2)
            child_close(c);
        else
            must_end(c);
        stream_close(channel);
    }
    must_sleep(w, NS_PER_S);
    must(sim_now(u->sim) < 10 * NS_PER_S);
    return 0;
}

static void a_group_ends_with_its_leader(void **state)
{
    struct universe u = open_default();
    assert_int_equal(sim_program(u.sim, "child", have_a_family, NULL), 0);
    assert_int_equal(sim_program(u.sim, "grandchild", sleep_long, NULL), 0);
    start(u.here, end_a_family, &u);
    run(&u); /* it waits for all processes: the grandchildren would sleep on */
    assert_true(sim_now(u.sim) < 10 * NS_PER_S);
    sim_close(u.sim);
}

/* ---- Limits ---- */

static int eat_memory(struct world *w, void *arg)
{
    sim_resident(w, 1000);
    must(send_text(sim_channel(w), "1") == 0);
    must(reads(sim_channel(w), "2"));
    struct child_limits limits = sim_limits(sim_self(w));
    must(limits.nice == 5 && limits.memory == 2000);
    sim_resident(w, 2001);
    must(world_sleep(w, NS_PER_S) == -ECANCELED);
    return 0;
}

static int limit_memory(struct world *w, void *arg)
{
    struct stream *channel;
    struct child_exit end;
    enum child_memory memory;
    struct child *c = must_spawn(w, "child", &channel, NULL, false);
    must(reads(channel, "1"));
    must(child_resident(c) == 1000);
    must(child_limit(c, &(struct child_limits){.nice = 5}, &memory) == 0);
    must(memory == CHILD_MEMORY_FREE);
    must(child_limit(c, &(struct child_limits){.nice = 5, .memory = 2000}, &memory) == 0);
    must(memory == CHILD_MEMORY_CGROUP);
    must(send_text(channel, "2") == 0);
    must(child_wait(c, &end) == 0);
    must(end.signal == SIGKILL);
    must(child_ran_out_of_memory(c));
    must(child_resident(c) == -ESRCH);
    must(child_limit(c, &(struct child_limits){0}, &memory) == -ESRCH);
    child_close(c);
    stream_close(channel);
    return 0;
}

static void a_child_is_killed_beyond_its_limit(void **state)
{
    play(limit_memory, eat_memory);
}

/* ---- Memory runs out ---- */

static int take_what_is_passed(struct world *w, void *arg)
{
    struct stream *channel = sim_channel(w);
    if (read_byte(channel) != 1)
        return 1;
    struct stream *s = sim_take_passed(channel);
    if (!s)
        return 1;
    stream_close(s);
    return 9;
}

static int do_everything(struct world *w, void *arg)
{
    struct stream *channel;
    struct stream *ours;
    struct stream *theirs;
    struct shared *shared;
    struct child *c;
    struct child_exit end = {0};
    CORO_DEADLINE(world_now(w) + 30 * NS_PER_S);
    int rc = world_shared(w, MAX, &shared);
    if (rc)
        return rc;
    struct spawn_options options = {
        .argv = (const char *const[]){"child", NULL}, .channel = &channel, .shared = shared};
    rc = world_spawn(w, &options, &c);
    if (rc == 0) {
        rc = world_stream_pair(w, &ours, &theirs);
        if (rc == 0) {
            rc = stream_write_passing(channel, "x", 1, theirs);
            stream_close(ours);
        }
        stream_close(channel);
        int waited = child_wait(c, &end);
        rc = rc ? rc : waited;
        child_close(c);
    }
    shared_close(shared);
    return rc == 0 && end.status != 9 ? -ENOMEM : rc; /* it did not get to its end */
}

static void say_nothing(void *ctx, const char *line)
{
}

static bool scenario(void)
{
    struct sim *sim;
    struct sim_options options = {.survive = true, .report = say_nothing};
    if (sim_open(&sim, 1, &options) != 0)
        return false;
    struct sim_host *host = sim_host(sim, &(struct sim_host_options){.name = "host"});
    bool through = false;
    if (host && sim_program(sim, "child", take_what_is_passed, NULL) == 0) {
        struct sim_process *p = sim_start(host, "parent", do_everything, NULL);
        through = p && sim_run(sim, 3600 * NS_PER_S) == 0 && sim_process_end(p).result == 0;
    }
    sim_close(sim);
    return through;
}

static void nothing_is_lost_without_memory(void **state)
{
    torture(scenario);
}

TEST_FILE(sim_channel)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pair_is_two_connected_streams),
        cmocka_unit_test(a_child_has_a_channel),
        cmocka_unit_test(a_child_sees_its_parents_memory),
        cmocka_unit_test(streams_are_passed_to_a_child),
        cmocka_unit_test(what_nobody_took_is_closed),
        cmocka_unit_test(a_group_ends_with_its_leader),
        cmocka_unit_test(a_child_is_killed_beyond_its_limit),
        cmocka_unit_test(nothing_is_lost_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
