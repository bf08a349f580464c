/*
 * uv_end_test.c: who works for a peer that has left is cancelled; what that costs; and readers that
 * share one buffer.
 */
#include "uv_fixture.h"

#include <netinet/tcp.h>
#include <time.h>

/* ---- Working for somebody ---- */

struct worker {
    struct stream *stream;
    struct coro *coro;
    int rc;
};

static int work(void *arg)
{
    struct worker *worker = arg;
    worker->coro = coro_self();
    stream_cancel_on_end(worker->stream, coro_self());
    worker->rc = world_sleep(w, 3600 * NS_PER_S);
    if (worker->rc == -ECANCELED)
        return 0; /* the stream may be gone */
    stream_cancel_on_end(worker->stream, NULL);
    return 0;
}

/* What has happened to a stream, by its loop; or that nothing comes of it. Nothing fails if it was
 * not seen yet. */
static void let_it_be_seen(void)
{
    assert_int_equal(world_sleep(w, 10 * NS_PER_MS), 0); /* time: several turns of it */
}

/* Starts to work for the peer of `s`, and lets the loop turn. */
static void begin_work(struct group *g, struct worker *worker, struct stream *s)
{
    *worker = (struct worker){.stream = s, .rc = 1};
    assert_int_equal(group_spawn(g, "worker", work, worker), 0);
    let_it_be_seen();
    assert_int_equal(worker->rc, 1);
}

/* With a bound, so that a test that fails does not wait long. */
static void assert_cancelled(struct group *g, const struct worker *worker)
{
    CORO_DEADLINE(world_now(w) + HANG_NS);
    assert_int_equal(group_wait(g), 0);
    assert_int_equal(worker->rc, -ECANCELED);
}

static void reset(struct stream *s)
{
    struct linger now = {.l_onoff = 1};
    assert_int_equal(
        setsockopt(uv_world_stream_fd(s), SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
    stream_close(s);
}

static void a_request(struct stream *ours, struct stream *theirs)
{
    assert_int_equal(write_text(ours, "request"), 0);
    assert_reads(theirs, "request");
}

static void leave_while_worked_for(const char *at, void (*leave)(struct stream *s))
{
    for (int asked = 0; asked < 2; asked++) {
        struct stream *ours;
        struct stream *theirs;
        struct worker worker;
        connect_pair(at, &ours, &theirs);
        if (asked)
            a_request(ours, theirs);
        GROUP(g, GROUP_FAIL_FAST);
        begin_work(&g, &worker, theirs);
        leave(ours);
        assert_cancelled(&g, &worker);
        stream_close(theirs);
    }
}

TEST(an_end_cancels)
{
    leave_while_worked_for("127.0.0.1:0", stream_close);
    char own[64]; /* several runs of the test may go on at once */
    snprintf(own, sizeof(own), "unix:@weir-end-test-%d", (int)getpid());
    leave_while_worked_for(own, stream_close);
    return 0;
}

TEST(a_reset_cancels)
{
    leave_while_worked_for("127.0.0.1:0", reset);
    return 0;
}

TEST(an_end_that_came_before_cancels)
{
    struct stream *ours;
    struct stream *theirs;
    struct worker worker = {.rc = 1};
    connect_pair("127.0.0.1:0", &ours, &theirs);
    a_request(ours, theirs);
    stream_close(ours);
    let_it_be_seen();
    worker.stream = theirs;
    GROUP(g, GROUP_FAIL_FAST);
    assert_int_equal(group_spawn(&g, "worker", work, &worker), 0);
    assert_cancelled(&g, &worker);
    stream_close(theirs);
    return 0;
}

TEST(a_pipes_end_cancels)
{
    int ends[2];
    struct stream *in;
    struct worker worker;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(uv_world_adopt_stream(w, ends[0], &in), 0);
    GROUP(g, GROUP_FAIL_FAST);
    begin_work(&g, &worker, in);
    assert_int_equal(write(ends[1], "x", 1), 1);
    let_it_be_seen();
    assert_reads(in, "x");
    stream_cancel_on_end(in, worker.coro);
    close(ends[1]);
    assert_cancelled(&g, &worker);
    stream_close(in);
    return 0;
}

/* ---- What does not cancel ---- */

static int64_t cpu_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static bool the_loop_does_not_spin(void)
{
    int64_t before = cpu_time();
    assert_int_equal(world_sleep(w, 100 * NS_PER_MS), 0); /* time: of which a spin is seen */
    return cpu_time() - before <
           30 * NS_PER_MS; /* time: of the processor, of 100 that a spin uses */
}

TEST(data_does_not_cancel_and_hides_the_end_behind_it)
{
    struct stream *ours;
    struct stream *theirs;
    struct worker worker;
    connect_pair("127.0.0.1:0", &ours, &theirs);
    a_request(ours, theirs);
    GROUP(g, GROUP_FAIL_FAST);
    begin_work(&g, &worker, theirs);
    assert_int_equal(write_text(ours, "the next one"), 0);
    let_it_be_seen();
    assert_int_equal(stream_shutdown(ours), 0);
    assert_true(one_of_tries(the_loop_does_not_spin()));
    assert_int_equal(worker.rc, 1);
    assert_reads(theirs, "the next one");
    stream_cancel_on_end(theirs, worker.coro); /* again: now there is nothing before the end */
    assert_cancelled(&g, &worker);
    stream_close(ours);
    stream_close(theirs);
    return 0;
}

TEST(a_reset_behind_data_cancels)
{
    struct stream *ours;
    struct stream *theirs;
    struct worker worker;
    connect_pair("127.0.0.1:0", &ours, &theirs);
    a_request(ours, theirs);
    GROUP(g, GROUP_FAIL_FAST);
    begin_work(&g, &worker, theirs);
    assert_int_equal(write_text(ours, "the next one"), 0);
    let_it_be_seen();
    reset(ours);
    assert_cancelled(&g, &worker);
    stream_close(theirs);
    return 0;
}

TEST(an_end_after_the_data_was_read_cancels)
{
    struct stream *ours;
    struct stream *theirs;
    struct worker worker;
    connect_pair("127.0.0.1:0", &ours, &theirs);
    GROUP(g, GROUP_FAIL_FAST);
    begin_work(&g, &worker, theirs);
    assert_int_equal(write_text(ours, "the next one"), 0);
    let_it_be_seen();
    assert_reads(theirs, "the next one");
    let_it_be_seen();
    assert_int_equal(worker.rc, 1);
    stream_close(ours);
    assert_cancelled(&g, &worker);
    stream_close(theirs);
    return 0;
}

static int read_to_the_end(void *arg)
{
    char byte;
    ssize_t n;
    while ((n = stream_read(arg, &byte, 1)) > 0)
        continue;
    return (int)n;
}

/* Who reads hears it instead. */
TEST(an_end_that_is_read_does_not_cancel)
{
    struct stream *ours;
    struct stream *theirs;
    struct worker worker;
    connect_pair("127.0.0.1:0", &ours, &theirs);
    GROUP(g, GROUP_FAIL_FAST);
    begin_work(&g, &worker, theirs);
    GROUP(readers, GROUP_FAIL_FAST);
    assert_int_equal(group_spawn(&readers, "reader", read_to_the_end, theirs), 0);
    assert_int_equal(coro_yield(), 0);
    stream_close(ours);
    assert_int_equal(group_wait(&readers), 0);
    let_it_be_seen();
    assert_int_equal(worker.rc, 1);
    stream_cancel_on_end(theirs, worker.coro); /* but one can ask again */
    assert_cancelled(&g, &worker);
    stream_close(theirs);
    return 0;
}

TEST(nobody_is_cancelled_any_more)
{
    struct stream *ours;
    struct stream *theirs;
    struct worker worker;
    connect_pair("127.0.0.1:0", &ours, &theirs);
    GROUP(g, GROUP_FAIL_FAST);
    begin_work(&g, &worker, theirs);
    stream_cancel_on_end(theirs, NULL);
    stream_close(ours);
    let_it_be_seen();
    assert_int_equal(worker.rc, 1);
    stream_close(theirs);
    /* Nor after the close: what was set goes with the stream. */
    connect_pair("127.0.0.1:0", &ours, &theirs);
    stream_cancel_on_end(theirs, worker.coro);
    stream_close(theirs);
    stream_close(ours);
    let_it_be_seen();
    assert_int_equal(worker.rc, 1);
    group_cancel(&g);
    return 0;
}

/* ---- Accepting without waiting ---- */

TEST(who_is_queued_is_taken_without_waiting)
{
    struct listener *l = listen_at("127.0.0.1:0");
    struct stream *ours[2];
    struct stream *theirs[2];
    struct stream *nobody;
    assert_int_equal(listener_try_accept(l, &nobody), -EAGAIN);
    for (int i = 0; i < 2; i++)
        ours[i] = connect_to(l);
    /* The kernel may queue it a moment after the connect has returned. */
    for (int i = 0; i < 2; i++)
        assert_true(eventually(w, listener_try_accept(l, &theirs[i]) == 0));
    assert_int_equal(listener_try_accept(l, &nobody), -EAGAIN);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(write_text(ours[i], "x"), 0);
        assert_reads(theirs[i], "x");
        stream_close(ours[i]);
        stream_close(theirs[i]);
    }
    listener_close(l);
    return 0;
}

/* ---- One buffer for all ---- */

static char shared_buffer[64];

struct reader {
    struct stream *ours;
    struct stream *theirs;
    char letter;
};

/* All of them wait in a read before anybody is written to. */
static int read_into_the_shared(void *arg)
{
    const struct reader *r = arg;
    for (int left = 100; left > 0;) {
        ssize_t n = stream_read(r->theirs, shared_buffer, sizeof(shared_buffer));
        if (n <= 0)
            return -EPROTO;
        for (ssize_t i = 0; i < n; i++)
            if (shared_buffer[i] != r->letter)
                return -EPROTO;
        memset(shared_buffer, '?', sizeof(shared_buffer));
        left -= (int)n;
    }
    return 0;
}

TEST(readers_may_share_a_buffer)
{
    enum { READERS = 8 };
    struct reader readers[READERS];
    GROUP(g, GROUP_FAIL_FAST);
    for (int i = 0; i < READERS; i++) {
        struct reader *r = &readers[i];
        r->letter = (char)('a' + i);
        connect_pair("127.0.0.1:0", &r->ours, &r->theirs);
        assert_int_equal(group_spawn(&g, "reader", read_into_the_shared, r), 0);
        assert_int_equal(coro_yield(), 0);
    }
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < READERS; i++)
            assert_int_equal(write_text(readers[i].ours, (char[]){readers[i].letter, '\0'}), 0);
        assert_int_equal(coro_yield(), 0);
    }
    assert_int_equal(group_wait(&g), 0);
    for (int i = 0; i < READERS; i++) {
        stream_close(readers[i].ours);
        stream_close(readers[i].theirs);
    }
    return 0;
}

TEST_FILE(uv_end)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_end_cancels),
        cmocka_unit_test(a_reset_cancels),
        cmocka_unit_test(an_end_that_came_before_cancels),
        cmocka_unit_test(a_pipes_end_cancels),
        cmocka_unit_test(data_does_not_cancel_and_hides_the_end_behind_it),
        cmocka_unit_test(a_reset_behind_data_cancels),
        cmocka_unit_test(an_end_after_the_data_was_read_cancels),
        cmocka_unit_test(an_end_that_is_read_does_not_cancel),
        cmocka_unit_test(nobody_is_cancelled_any_more),
        cmocka_unit_test(who_is_queued_is_taken_without_waiting),
        cmocka_unit_test(readers_may_share_a_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
