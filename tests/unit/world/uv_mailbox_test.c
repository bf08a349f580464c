/*
 * uv_mailbox_test.c: messages from other threads: all of them, each thread's in its order, on the
 * loop's thread; and a flood of them keeps nobody else waiting.
 */
#include "uv_fixture.h"

#include <pthread.h>
#include <stdatomic.h>

#define THREADS  4
#define MESSAGES 100000

struct inbox {
    pthread_t loop;
    int next[THREADS];
    int came;
    int expected;
    bool wrong;
    struct future all;
};

struct numbered {
    struct message message;
    struct inbox *inbox;
    int thread;
    int number;
};

static void on_numbered(struct message *m)
{
    struct numbered *n = container_of(m, struct numbered, message);
    struct inbox *in = n->inbox;
    in->wrong |= n->number != in->next[n->thread]++ || !pthread_equal(pthread_self(), in->loop);
    in->wrong |= coro_self() != NULL;
    if (++in->came == in->expected)
        future_set(&in->all, 0);
    mem_free(n);
}

struct sender {
    pthread_t thread;
    struct inbox *inbox;
    int index;
    int count;
};

static void *send_all(void *arg)
{
    struct sender *s = arg;
    for (int i = 0; i < s->count; i++) {
        struct numbered *n = mem_alloc(sizeof(*n));
        *n = (struct numbered){
            .message.deliver = on_numbered, .inbox = s->inbox, .thread = s->index, .number = i};
        world_post(w, &n->message);
    }
    return NULL;
}

static void start_senders(struct sender senders[THREADS], struct inbox *in, int count)
{
    *in = (struct inbox){.loop = pthread_self(), .expected = THREADS * count};
    future_init(&in->all);
    for (int i = 0; i < THREADS; i++) {
        senders[i] = (struct sender){.inbox = in, .index = i, .count = count};
        assert_int_equal(pthread_create(&senders[i].thread, NULL, send_all, &senders[i]), 0);
    }
}

TEST(messages_of_four_threads_come_in_order)
{
    struct inbox in;
    struct sender senders[THREADS];
    start_senders(senders, &in, MESSAGES);
    assert_int_equal(future_wait(&in.all), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(senders[i].thread, NULL);
    assert_false(in.wrong);
    assert_int_equal(in.came, THREADS * MESSAGES);
    return 0;
}

/* Each message is posted once the last has been taken: to a loop that is asleep, or nearly so. */
struct ping_pong {
    struct message message;
    struct future came;
    _Atomic bool taken;
};

#define PINGS 1000

static void on_ping(struct message *m)
{
    future_set(&container_of(m, struct ping_pong, message)->came, 0);
}

static void *post_one_by_one(void *arg)
{
    struct ping_pong *p = arg;
    for (int i = 0; i < PINGS; i++) {
        while (!atomic_exchange(&p->taken, false))
            sched_yield();
        world_post(w, &p->message);
    }
    return NULL;
}

TEST(a_sleeping_loop_is_rung_each_time)
{
    struct ping_pong p = {.message.deliver = on_ping};
    pthread_t thread;
    future_init(&p.came);
    atomic_store(&p.taken, true);
    assert_int_equal(pthread_create(&thread, NULL, post_one_by_one, &p), 0);
    for (int i = 0; i < PINGS; i++) {
        assert_int_equal(future_wait(&p.came), 0);
        future_init(&p.came);
        atomic_store(&p.taken, true);
    }
    pthread_join(thread, NULL);
    return 0;
}

/* ---- A flood ---- */

struct echo_message {
    struct message message;
    size_t delivered;
    bool over;
};

/* Posts itself again: the mailbox is never empty. */
static void on_echo(struct message *m)
{
    struct echo_message *e = container_of(m, struct echo_message, message);
    e->delivered++;
    if (!e->over)
        world_post(w, m);
}

static int read_byte(void *arg)
{
    char byte;
    return stream_read(arg, &byte, 1) == 1 ? 0 : -EIO;
}

TEST(a_flood_of_messages_does_not_keep_sockets_waiting)
{
    struct stream *ours;
    struct stream *theirs;
    connect_pair("127.0.0.1:0", &ours, &theirs);
    struct echo_message flood = {.message.deliver = on_echo};
    world_post(w, &flood.message);
    for (int i = 0; i < 20; i++) {
        struct wait reads;
        GROUP(g, GROUP_INDEPENDENT);
        begin_wait(&g, &reads, read_byte, theirs);
        assert_int_equal(write_text(ours, "x"), 0);
        size_t before = flood.delivered;
        assert_int_equal(group_wait(&g), 0);
        assert_int_equal(reads.result, 0);
        size_t meanwhile = flood.delivered - before;
        assert_true(meanwhile > 0 && meanwhile < 10000);
    }
    flood.over = true;
    size_t before = flood.delivered;
    while (flood.delivered == before)
        assert_int_equal(coro_yield(), 0);
    stream_close(ours);
    stream_close(theirs);
    return 0;
}

/* ---- The end ---- */

static int post_and_end(void *arg)
{
    world_post(w, arg);
    return 0;
}

static void what_is_left_is_delivered_before_the_end(void **state)
{
    struct echo_message last = {.message.deliver = on_echo, .over = true};
    open_world(&w);
    assert_int_equal(uv_world_run(w, "test", post_and_end, &last.message), 0);
    assert_int_equal(last.delivered, 1);
    world_post(w, &last.message);
    uv_world_close(w);
    assert_int_equal(last.delivered, 2);
}

TEST_FILE(uv_mailbox)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_of_four_threads_come_in_order),
        cmocka_unit_test(a_sleeping_loop_is_rung_each_time),
        cmocka_unit_test(a_flood_of_messages_does_not_keep_sockets_waiting),
        cmocka_unit_test(what_is_left_is_delivered_before_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
