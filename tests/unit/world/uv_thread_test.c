/*
 * uv_thread_test.c: further threads with worlds of their own: their start, their messages, the
 * socket they share, their end.
 */
#include "uv_fixture.h"

#include <pthread.h>
#include <stdatomic.h>

/* ---- Start and end ---- */

static int add_in_a_thread(struct world *own, void *arg)
{
    int *number = arg;
    assert_true(own != w);
    assert_non_null(coro_self());
    assert_int_equal(world_sleep(own, NS_PER_MS), 0); /* time: that it ends */
    return ++*number;
}

static struct thread *start(int (*fn)(struct world *own, void *arg), void *arg)
{
    struct thread *t;
    assert_int_equal(world_thread(w, "helper", fn, arg, &t), 0);
    return t;
}

static int end_of(struct thread *t)
{
    int result;
    assert_int_equal(thread_wait(t, &result), 0);
    thread_close(t);
    return result;
}

TEST(threads_run_and_end_with_a_result)
{
    int numbers[8];
    struct thread *threads[8];
    for (int i = 0; i < 8; i++) {
        numbers[i] = i;
        threads[i] = start(add_in_a_thread, &numbers[i]);
    }
    for (int i = 0; i < 8; i++) {
        int result;
        assert_int_equal(thread_wait(threads[i], &result), 0);
        assert_int_equal(result, i + 1);
        assert_int_equal(thread_wait(threads[i], &result), 0); /* again */
        assert_int_equal(result, i + 1);
        thread_close(threads[i]);
        assert_int_equal(numbers[i], i + 1);
    }
    return 0;
}

static int look_at_the_thread(struct world *own, void *arg)
{
    sigset_t blocked;
    char name[16];
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    pthread_getname_np(pthread_self(), name, sizeof(name));
    bool signals_are_elsewhere = sigismember(&blocked, SIGTERM) && sigismember(&blocked, SIGCHLD);
    bool faults_are_here = !sigismember(&blocked, SIGSEGV) && !sigismember(&blocked, SIGURG);
    return signals_are_elsewhere && faults_are_here && strcmp(name, "helper") == 0;
}

TEST(threads_take_no_signals)
{
    sigset_t before;
    sigset_t after;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    assert_int_equal(end_of(start(look_at_the_thread, NULL)), 1);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    assert_int_equal(sigismember(&before, SIGTERM), sigismember(&after, SIGTERM));
    return 0;
}

static int spawn_there(struct world *own, void *arg)
{
    struct child *c;
    struct child_exit exit = {0};
    struct spawn_options o = {.argv = (const char *const[]){"sh", "-c", "exit 3", NULL}};
    int rc = world_spawn(own, &o, &c);
    if (rc)
        return rc;
    rc = child_wait(c, &exit);
    child_close(c);
    return rc ? rc : exit.status;
}

TEST(a_thread_has_children_of_its_own)
{
    assert_int_equal(end_of(start(spawn_there, NULL)), 3);
    return 0;
}

/* ---- Messages ---- */

struct inbox {
    struct message stop;
    struct future stopped;
    atomic_int delivered;
};

static int wait_for_the_message(struct world *own, void *arg)
{
    struct inbox *inbox = arg;
    return future_wait(&inbox->stopped);
}

static void deliver_stop(struct message *m)
{
    struct inbox *inbox = container_of(m, struct inbox, stop);
    atomic_fetch_add(&inbox->delivered, 1);
    future_set(&inbox->stopped, 7);
}

static int wait_for_thread(void *arg)
{
    int result;
    return thread_wait(arg, &result);
}

TEST(a_thread_is_told_to_end_and_waited_for)
{
    struct inbox inbox = {.stop.deliver = deliver_stop};
    future_init(&inbox.stopped);
    struct thread *t = start(wait_for_the_message, &inbox);
    assert_can_be_interrupted(wait_for_thread, t);
    world_post(thread_world(t), &inbox.stop);
    assert_int_equal(end_of(t), 7);
    assert_int_equal(inbox.delivered, 1);
    return 0;
}

static int end_at_once(struct world *own, void *arg)
{
    return 0;
}

TEST(what_is_posted_after_the_end_is_delivered_at_the_close)
{
    struct inbox inbox = {.stop.deliver = deliver_stop};
    future_init(&inbox.stopped);
    struct thread *t = start(end_at_once, NULL);
    int result;
    assert_int_equal(thread_wait(t, &result), 0);
    world_post(thread_world(t), &inbox.stop);
    assert_int_equal(inbox.delivered, 0);
    thread_close(t);
    assert_int_equal(inbox.delivered, 1);
    return 0;
}

/* ---- One socket for several threads ---- */

struct acceptor {
    struct listener *theirs;
    _Atomic(struct world *) world;
    struct message stop;
    struct coro *coro;
    int accepted;
};

static void deliver_cancel(struct message *m)
{
    coro_cancel(container_of(m, struct acceptor, stop)->coro);
}

static int accept_from_the_shared(struct world *own, void *arg)
{
    struct acceptor *a = arg;
    struct listener *l;
    struct stream *s;
    a->coro = coro_self();
    int rc = world_share_listener(own, a->theirs, &l);
    while (rc == 0) {
        rc = listener_accept(l, &s);
        if (rc)
            break;
        a->accepted++;
        char mark = '!';
        struct iovec part = {&mark, 1};
        rc = stream_write(s, &part, 1);
        stream_close(s);
    }
    if (l)
        listener_close(l);
    return rc;
}

TEST(threads_accept_from_one_socket)
{
    enum { THREADS = 3, CONNECTIONS = 60 };
    struct listener *l = listen_at("127.0.0.1:0");
    struct acceptor acceptors[THREADS];
    struct thread *threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        acceptors[i] = (struct acceptor){.theirs = l, .stop.deliver = deliver_cancel};
        threads[i] = start(accept_from_the_shared, &acceptors[i]);
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        struct stream *s = connect_to(l);
        assert_reads(s, "!");
        assert_at_end(s);
        stream_close(s);
    }
    int accepted = 0;
    for (int i = 0; i < THREADS; i++) {
        world_post(thread_world(threads[i]), &acceptors[i].stop);
        assert_int_equal(end_of(threads[i]), -ECANCELED);
        accepted += acceptors[i].accepted;
    }
    assert_int_equal(accepted, CONNECTIONS);
    listener_close(l);
    return 0;
}

TEST(a_shared_socket_outlives_its_first_listener)
{
    struct listener *l = listen_at("127.0.0.1:0");
    struct listener *twin;
    assert_int_equal(world_share_listener(w, l, &twin), 0);
    struct stream *ours = connect_to(l);
    listener_close(l);
    struct stream *theirs;
    assert_int_equal(listener_accept(twin, &theirs), 0);
    assert_int_equal(listener_try_accept(twin, &theirs), -EAGAIN);
    stream_close(theirs);
    stream_close(ours);
    listener_close(twin);
    return 0;
}

TEST_FILE(uv_thread)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_run_and_end_with_a_result),
        cmocka_unit_test(threads_take_no_signals),
        cmocka_unit_test(a_thread_has_children_of_its_own),
        cmocka_unit_test(a_thread_is_told_to_end_and_waited_for),
        cmocka_unit_test(what_is_posted_after_the_end_is_delivered_at_the_close),
        cmocka_unit_test(threads_accept_from_one_socket),
        cmocka_unit_test(a_shared_socket_outlives_its_first_listener),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
