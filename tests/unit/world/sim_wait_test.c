/*
 * sim_wait_test.c: every kind of wait ends at its deadline, by cancellation, which wins, and by the
 * close of what it waits on.
 */
#include "sim_fixture.h"

#include "coro/sync.h"

#include <fcntl.h>
#include <signal.h>

/* Everything that can be waited on and is never ready: a silent peer that does not read, a disk
 * and a resolver that take hours, a child that stays. */
struct stage {
    struct universe *u;
    struct world *w;
    struct listener *listener;
    struct stream *silent;
    struct stream *full;
    struct child *child;
    struct signals *signals;
    struct watch *watch;
    struct file *file;
    struct thread *thread;
    struct future over;
    struct message closing;
};

static int wait_in_accept(struct stage *s)
{
    struct stream *stream;
    return listener_accept(s->listener, &stream);
}

static int wait_in_connect(struct stage *s)
{
    struct stream *stream;
    struct address a;
    must(address_parse(&a, "10.0.0.3:7", NULL) == 0); /* a host that is cut off */
    return world_connect(s->w, &a, &stream);
}

static int wait_in_read(struct stage *s)
{
    return (int)read_byte(s->silent);
}

static int wait_in_write(struct stage *s)
{
    char c = 'x';
    return (int)stream_write_some(s->full, &(struct iovec){&c, 1}, 1);
}

static int wait_in_resolve(struct stage *s)
{
    struct address a;
    return world_resolve(s->w, "there", 7, &a, 1);
}

static int wait_in_child(struct stage *s)
{
    struct child_exit end;
    return child_wait(s->child, &end);
}

static int wait_in_signals(struct stage *s)
{
    return signals_next(s->signals);
}

static int wait_in_watch(struct stage *s)
{
    return watch_wait(s->watch, WATCH_READ);
}

static int wait_in_thread(struct stage *s)
{
    int result;
    return thread_wait(s->thread, &result);
}

static int wait_in_open(struct stage *s)
{
    struct file *f;
    return world_open(s->w, "/f", O_RDONLY, 0, &f);
}

static int wait_in_file_read(struct stage *s)
{
    char c;
    return (int)file_read(s->file, &c, 1, 0);
}

static int wait_in_file_write(struct stage *s)
{
    return file_write(s->file, "x", 1, 0);
}

static int wait_in_file_truncate(struct stage *s)
{
    return file_truncate(s->file, 1);
}

static int wait_in_file_sync(struct stage *s)
{
    return file_sync(s->file);
}

static int wait_in_rename(struct stage *s)
{
    return world_rename(s->w, "/f", "/f");
}

static int wait_in_unlink(struct stage *s)
{
    return world_unlink(s->w, "/none");
}

static int wait_in_sync_directory(struct stage *s)
{
    return world_sync_directory(s->w, "/");
}

static int wait_in_sleep(struct stage *s)
{
    return world_sleep(s->w, 10000 * NS_PER_S);
}

static int wait_in_burn(struct stage *s)
{
    return sim_burn(s->w, 10000 * NS_PER_S);
}

static const struct wait {
    const char *name;
    int (*wait)(struct stage *s);
} waits[] = {
    {"accept", wait_in_accept},
    {"connect", wait_in_connect},
    {"read", wait_in_read},
    {"write", wait_in_write},
    {"resolve", wait_in_resolve},
    {"child", wait_in_child},
    {"signals", wait_in_signals},
    {"watch", wait_in_watch},
    {"open", wait_in_open},
    {"file read", wait_in_file_read},
    {"file write", wait_in_file_write},
    {"file truncate", wait_in_file_truncate},
    {"file sync", wait_in_file_sync},
    {"rename", wait_in_rename},
    {"unlink", wait_in_unlink},
    {"sync directory", wait_in_sync_directory},
    {"sleep", wait_in_sleep},
    {"burn", wait_in_burn},
    {"thread", wait_in_thread},
};
#define WAITS (sizeof waits / sizeof *waits)

/* ---- The stage ---- */

static int ignore_two_streams(struct world *w, void *arg)
{
    struct listener *l = must_listen(w, "*:7");
    struct stream *a = must_accept(l);
    struct stream *b = must_accept(l);
    must(world_sleep_until(w, DEADLINE_NEVER) == -ECANCELED);
    stream_close(a);
    stream_close(b);
    listener_close(l);
    return 0;
}

static int stay(struct world *w, void *arg)
{
    return world_sleep(w, 1000 * NS_PER_S);
}

/* The thread of a stage: until the stage is closed. */
static int stay_in_the_thread(struct world *w, void *arg)
{
    struct stage *s = arg;
    return future_wait(&s->over);
}

static void tell_that_it_is_over(struct message *m)
{
    future_set(&container_of(m, struct stage, closing)->over, 0);
}

static void stage_set(struct stage *s, struct world *w)
{
    static char data[10000];
    const char *const argv[] = {"stay", NULL};
    s->w = w;
    s->listener = must_listen(w, "*:8");
    s->silent = must_connect(w, s->u->there, 7);
    s->full = must_connect(w, s->u->there, 7);
    must(send_bytes(s->full, data, sizeof data) == 0);
    must(world_spawn(w, &(struct spawn_options){.argv = argv}, &s->child) == 0);
    must(world_signals(w, (const int[]){SIGTERM}, 1, &s->signals) == 0);
    must(world_watch(w, sim_fd(w), &s->watch) == 0);
    must(world_open(w, "/f", O_RDWR | O_CREAT, 0600, &s->file) == 0);
    future_init(&s->over);
    s->closing.deliver = tell_that_it_is_over;
    must(world_thread(w, "thread", stay_in_the_thread, s, &s->thread) == 0);
    must_sleep(w, NS_PER_S);
    sim_disk(
        s->u->here, &(struct sim_disk){.op_ns = 10000 * NS_PER_S, .sync_ns = 10000 * NS_PER_S});
    sim_resolver(s->u->sim, &(struct sim_resolver){.latency_ns = 10000 * NS_PER_S});
}

static void stage_close(struct stage *s)
{
    listener_close(s->listener);
    stream_close(s->silent);
    stream_close(s->full);
    child_close(s->child);
    signals_close(s->signals);
    watch_close(s->watch);
    file_close(s->file);
    world_post(thread_world(s->thread), &s->closing);
    int result;
    CORO_SHIELD(DEADLINE_NEVER);
    must(thread_wait(s->thread, &result) == (coro_cancelled(coro_self()) ? -ECANCELED : 0));
    thread_close(s->thread);
}

static void play(uint64_t seed, sim_main *main)
{
    struct sim_options options = {.window = 10000, .give_up_ns = 10000 * NS_PER_S};
    struct universe u = open_universe(seed, options);
    struct sim_host *cut_off = add_host(u.sim, "cut-off");
    struct stage s = {.u = &u};
    assert_int_equal(sim_cut_both(u.here, cut_off), 0);
    assert_int_equal(sim_program(u.sim, "stay", stay, NULL), 0);
    sim_process_daemon(start(u.there, ignore_two_streams, NULL));
    struct sim_process *p = start(u.here, main, &s);
    run(&u);
    assert_int_equal(sim_process_unclosed(p), 0);
    sim_close(u.sim);
}

/* ---- Deadlines ---- */

static int wait_until_deadline(struct world *w, void *arg)
{
    struct stage *s = arg;
    stage_set(s, w);
    for (size_t i = 0; i < WAITS; i++) {
        int64_t deadline = world_now(w) + 123 * NS_PER_MS;
        CORO_DEADLINE(deadline);
        int rc = waits[i].wait(s);
        check(rc == -ETIMEDOUT, "wait in %s: %d", waits[i].name, rc);
        must(world_now(w) == deadline);
        rc = waits[i].wait(s);
        check(
            rc == -ETIMEDOUT, "wait in %s with a deadline that has passed: %d", waits[i].name, rc);
        must(world_now(w) == deadline);
    }
    stage_close(s);
    return 0;
}

static void every_wait_ends_at_its_deadline(void **state)
{
    play(1, wait_until_deadline);
}

/* ---- Cancellation ---- */

struct waiter {
    struct stage *stage;
    const struct wait *wait;
    int64_t deadline;
    int rc;
};

static int wait_once(void *arg)
{
    struct waiter *waiter = arg;
    CORO_DEADLINE(waiter->deadline);
    waiter->rc = waiter->wait->wait(waiter->stage);
    check((waiter->rc == -ECANCELED) == coro_cancelled(coro_self()), "wait in %s: %d",
        waiter->wait->name, waiter->rc);
    if (coro_cancelled(coro_self()))
        must(waiter->wait->wait(waiter->stage) == -ECANCELED);
    return 0;
}

static int cancel_each(struct world *w, void *arg)
{
    struct stage *s = arg;
    stage_set(s, w);
    for (size_t i = 0; i < WAITS; i++) {
        struct waiter waiter = {.stage = s, .wait = &waits[i], .deadline = DEADLINE_NEVER};
        GROUP(g, GROUP_FAIL_FAST);
        must(group_spawn(&g, waits[i].name, wait_once, &waiter) == 0);
        must_sleep(w, NS_PER_S);
        int64_t now = world_now(w);
        group_cancel(&g);
        must(group_wait(&g) == 0);
        must(world_now(w) == now && waiter.rc == -ECANCELED);
    }
    stage_close(s);
    return 0;
}

static void every_wait_ends_by_cancellation(void **state)
{
    play(1, cancel_each);
}

/* The parent wakes at the moment of the child's deadline. If it goes first, the child is
 * cancelled after it has timed out, but before it knows. */
static int cancel_at_the_deadline(struct world *w, void *arg)
{
    struct stage *s = arg;
    stage_set(s, w);
    for (size_t i = 0; i < WAITS; i++) {
        int64_t when = world_now(w) + NS_PER_S;
        struct waiter waiter = {.stage = s, .wait = &waits[i], .deadline = when};
        GROUP(g, GROUP_FAIL_FAST);
        must(group_spawn(&g, waits[i].name, wait_once, &waiter) == 0);
        must(world_sleep_until(w, when) == 0);
        group_cancel(&g);
        must(group_wait(&g) == 0);
        must(world_now(w) == when);
        must(waiter.rc == -ECANCELED || waiter.rc == -ETIMEDOUT);
        sim_note(s->u->sim, "waited", waiter.rc);
    }
    stage_close(s);
    return 0;
}

static void cancellation_wins_over_time_out(void **state)
{
    for (uint64_t seed = 0; seed < 20; seed++)
        play(seed, cancel_at_the_deadline);
}

/* ---- Closing ---- */

static int close_under_waiters(struct world *w, void *arg)
{
    static const size_t on_handles[] = {0, 2, 3, 5, 6, 7};
    struct stage *s = arg;
    stage_set(s, w);
    struct waiter waiters[sizeof on_handles / sizeof *on_handles];
    size_t count = sizeof on_handles / sizeof *on_handles;
    GROUP(g, GROUP_FAIL_FAST);
    for (size_t i = 0; i < count; i++) {
        waiters[i] = (struct waiter){s, &waits[on_handles[i]], DEADLINE_NEVER, 0};
        must(group_spawn(&g, waiters[i].wait->name, wait_once, &waiters[i]) == 0);
    }
    must_sleep(w, NS_PER_S);
    stage_close(s);
    must(group_wait(&g) == 0);
    for (size_t i = 0; i < count; i++)
        check(waiters[i].rc == -EBADF, "wait in %s: %d", waiters[i].wait->name, waiters[i].rc);
    return 0;
}

/* An operation on a file is not called back: see sim_file_test.c. */
static void closing_ends_waits_with_a_bad_descriptor(void **state)
{
    play(1, close_under_waiters);
}

/* ---- Kills ---- */

static int kill_under_waiters(struct world *w, void *arg)
{
    struct stage *s = arg;
    stage_set(s, w);
    struct waiter waiters[WAITS];
    GROUP(g, GROUP_FAIL_FAST);
    for (size_t i = 0; i < WAITS; i++) {
        waiters[i] = (struct waiter){s, &waits[i], DEADLINE_NEVER, 0};
        must(group_spawn(&g, waiters[i].wait->name, wait_once, &waiters[i]) == 0);
    }
    must_sleep(w, NS_PER_S);
    must(sim_signal(sim_self(w), SIGKILL) == 0);
    must(group_wait(&g) == -ECANCELED);
    for (size_t i = 0; i < WAITS; i++)
        must(waiters[i].rc == -ECANCELED);
    stage_close(s);
    return 0;
}

static void a_kill_ends_every_wait(void **state)
{
    play(1, kill_under_waiters);
}

TEST_FILE(sim_wait)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_wait_ends_at_its_deadline),
        cmocka_unit_test(every_wait_ends_by_cancellation),
        cmocka_unit_test(cancellation_wins_over_time_out),
        cmocka_unit_test(closing_ends_waits_with_a_bad_descriptor),
        cmocka_unit_test(a_kill_ends_every_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
