/*
 * uv_channel_test.c: what a worker process is started with: a channel, shared memory, a group of
 * its own; and sockets that are passed to it later. The test's own program is the worker.
 */
#include "../check.h"
#include "uv_fixture.h"

#include "world/plain.h"

#include <poll.h>
#include <sys/syscall.h>

/* ---- The worker's side: its status says what went wrong ---- */

static int say(int fd, const char *text)
{
    char copy[64];
    size_t len = strlen(text);
    memcpy(copy, text, len);
    return plain_write(fd, &(struct iovec){copy, len}, 1);
}

/* What comes back is in upper case. */
static int shout(void)
{
    char text[64];
    ssize_t n;
    if (plain_begin() != 0)
        return 10;
    while ((n = plain_read(PLAIN_CHANNEL, text, sizeof(text) - 1)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            text[i] = (char)(text[i] >= 'a' && text[i] <= 'z' ? text[i] - 'a' + 'A' : text[i]);
        text[n] = '\0';
        if (say(PLAIN_CHANNEL, text) != 0)
            return 11;
    }
    return n == 0 ? 0 : 12;
}

/* A listener, the channel, the memory: in this order. */
static int look_at_descriptors(void)
{
    int listens = 0;
    socklen_t size = sizeof(listens);
    if (getsockopt(3, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || !listens)
        return 20;
    if (getsockopt(4, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || listens)
        return 21;
    if (fcntl(5, F_GET_SEALS) < 0)
        return 22;
    return fcntl(6, F_GETFD) == -1 && say(4, "seen") == 0 ? 0 : 23;
}

/* Answers on each socket that it is passed. */
static int answer_on_passed(void)
{
    char text[64];
    int passed;
    ssize_t n;
    if (plain_begin() != 0)
        return 30;
    while ((n = plain_read_passed(PLAIN_CHANNEL, text, sizeof(text) - 1, &passed)) > 0) {
        text[n] = '\0';
        if (passed < 0)
            return 31;
        if (fcntl(passed, F_GETFL) & O_NONBLOCK)
            return 32;
        if (!(fcntl(passed, F_GETFD) & FD_CLOEXEC))
            return 33;
        if (say(passed, text) != 0)
            return 34;
        plain_close(passed);
    }
    return n == 0 && passed == -1 ? 0 : 35;
}

/* A grandchild has the channel, too: its end is seen when both are gone. It stays until the parent
 * closes the other end. */
static int leave_a_grandchild(bool stay)
{
    pid_t pid = fork();
    if (pid == 0) {
        say(PLAIN_CHANNEL, "b");
        poll(&(struct pollfd){.fd = PLAIN_CHANNEL}, 1, -1);
        _exit(0);
    }
    say(PLAIN_CHANNEL, "a");
    if (stay)
        pause();
    char byte;
    return plain_read(PLAIN_CHANNEL, &byte, 1) == 1 ? 0 : 40;
}

static int child_main(const char *what)
{
    if (strcmp(what, "shout") == 0)
        return shout();
    if (strcmp(what, "descriptors") == 0)
        return look_at_descriptors();
    if (strcmp(what, "passed") == 0)
        return answer_on_passed();
    return leave_a_grandchild(strcmp(what, "family") == 0);
}

static struct child *spawn_with(const char *what, struct stream **channel, bool leads)
{
    struct child *c;
    struct spawn_options o = {
        .argv = (const char *const[]){"/proc/self/exe", "with_channel", what, NULL},
        .channel = channel,
        .leads_group = leads,
    };
    assert_int_equal(world_spawn(w, &o, &c), 0);
    return c;
}

static void assert_exits_well(struct child *c)
{
    struct child_exit exit;
    assert_int_equal(child_wait(c, &exit), 0);
    assert_int_equal(exit.signal, 0);
    assert_int_equal(exit.status, 0);
    child_close(c);
}

/* ---- Pairs and channels ---- */

TEST(a_pair_is_two_connected_streams)
{
    struct stream *a;
    struct stream *b;
    struct address peer;
    assert_int_equal(world_stream_pair(w, &a, &b), 0);
    stream_peer(a, &peer);
    assert_int_equal(peer.any.sa_family, AF_UNIX);
    assert_int_equal(write_text(a, "there"), 0);
    assert_reads(b, "there");
    assert_int_equal(write_text(b, "back"), 0);
    assert_reads(a, "back");
    assert_int_equal(stream_shutdown(b), 0);
    assert_at_end(a);
    stream_close(a);
    assert_int_equal(write_text(b, "x"), -EPIPE);
    stream_close(b);
    return 0;
}

TEST(a_child_has_a_channel)
{
    struct stream *channel;
    struct child *c = spawn_with("shout", &channel, false);
    assert_int_equal(write_text(channel, "hello"), 0);
    assert_reads(channel, "HELLO");
    stream_close(channel);
    assert_exits_well(c);
    return 0;
}

TEST(the_channel_and_the_memory_come_after_the_listeners)
{
    struct listener *l = listen_at("127.0.0.1:0");
    struct stream *channel;
    struct shared *shared;
    struct child *c;
    assert_int_equal(world_shared(w, 4096, &shared), 0);
    struct spawn_options o = {
        .argv = (const char *const[]){"/proc/self/exe", "with_channel", "descriptors", NULL},
        .listeners = &l,
        .listener_count = 1,
        .channel = &channel,
        .shared = shared,
    };
    assert_int_equal(world_spawn(w, &o, &c), 0);
    assert_reads(channel, "seen");
    assert_at_end(channel);
    assert_exits_well(c);
    o.argv = (const char *const[]){"/no/such/program", NULL};
    assert_int_equal(world_spawn(w, &o, &c), -ENOENT);
    stream_close(channel);
    shared_close(shared);
    listener_close(l);
    return 0;
}

/* ---- Passing ---- */

TEST(a_socket_is_passed_to_a_child)
{
    struct stream *channel;
    struct child *c = spawn_with("passed", &channel, false);
    for (int i = 0; i < 3; i++) {
        struct stream *ours;
        struct stream *theirs;
        assert_int_equal(world_stream_pair(w, &ours, &theirs), 0);
        assert_true(stream_quiet(theirs));
        assert_int_equal(stream_write_passing(channel, "task", 4, theirs), 0);
        assert_reads(ours, "task");
        assert_at_end(ours); /* nobody has the other end any more */
        stream_close(ours);
    }
    stream_close(channel);
    assert_exits_well(c);
    return 0;
}

TEST(what_cannot_be_passed_is_closed)
{
    struct stream *channel;
    struct stream *other;
    struct stream *ours;
    struct stream *theirs;
    assert_int_equal(world_stream_pair(w, &channel, &other), 0);
    assert_int_equal(world_stream_pair(w, &ours, &theirs), 0);
    stream_close(other);
    assert_int_equal(stream_write_passing(channel, "task", 4, theirs), -EPIPE);
    assert_at_end(ours);
    stream_close(ours);
    stream_close(channel);
    return 0;
}

struct passing {
    struct stream *channel;
    struct stream *ours;
};

/* Text that does not fit in the socket's buffer. */
static int pass_much(void *arg)
{
    static char much[4 * 1024 * 1024];
    struct passing *p = arg;
    struct stream *theirs;
    int rc = world_stream_pair(w, &p->ours, &theirs);
    assert_int_equal(rc, 0);
    return stream_write_passing(p->channel, much, sizeof(much), theirs);
}

static int pass_to_nobody(void *arg)
{
    struct passing *p = arg;
    int rc = pass_much(p);
    stream_close(p->ours);
    return rc;
}

TEST(passing_waits_and_can_be_interrupted)
{
    struct passing p;
    struct stream *other;
    assert_int_equal(world_stream_pair(w, &p.channel, &other), 0);
    assert_can_be_interrupted(pass_to_nobody, &p);
    stream_close(p.channel);
    stream_close(other);
    return 0;
}

static int read_all(void *arg)
{
    static char text[65536];
    size_t got = 0;
    ssize_t n;
    while (got < 4 * 1024 * 1024 && (n = stream_read(arg, text, sizeof(text))) > 0)
        got += (size_t)n;
    return got == 4 * 1024 * 1024 ? 0 : -EIO;
}

TEST(long_texts_are_passed_along_in_parts)
{
    struct passing p;
    struct stream *other;
    assert_int_equal(world_stream_pair(w, &p.channel, &other), 0);
    GROUP(g, GROUP_INDEPENDENT);
    assert_int_equal(group_spawn(&g, "reader", read_all, other), 0);
    assert_int_equal(pass_much(&p), 0);
    assert_int_equal(group_wait(&g), 0);
    assert_at_end(p.ours); /* a read that takes no descriptors has them closed */
    stream_close(p.ours);
    stream_close(p.channel);
    stream_close(other);
    return 0;
}

/* ---- Groups ---- */

static void read_both(struct stream *channel)
{
    char text[2];
    for (size_t n = 0; n < 2;) {
        ssize_t got = stream_read(channel, text + n, 2 - n);
        assert_true(got > 0);
        n += (size_t)got;
    }
}

TEST(a_group_is_killed_with_its_leader)
{
    struct stream *channel;
    struct child_exit exit;
    struct child *c = spawn_with("family", &channel, true);
    read_both(channel);
    assert_int_equal(child_signal(c, SIGKILL), 0);
    assert_at_end(channel); /* which the grandchild had, too */
    assert_int_equal(child_wait(c, &exit), 0);
    assert_int_equal(exit.signal, SIGKILL);
    assert_int_equal(child_signal(c, SIGKILL), -ESRCH);
    child_close(c);
    stream_close(channel);

    c = spawn_with("family", &channel, true);
    read_both(channel);
    child_close(c);
    assert_at_end(channel);
    stream_close(channel);
    return 0;
}

/* Since Linux 6.9 the kernel tells a group from a stranger's of the same number. */
static bool kernel_knows_groups(void)
{
    int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    assert_true(self >= 0);
    long rc = syscall(SYS_pidfd_send_signal, self, 0, NULL, 1U << 2);
    bool known = rc == 0 || errno != EINVAL; /* we need not lead one */
    close(self);
    return known;
}

TEST(a_group_does_not_outlive_its_leader)
{
    struct stream *channel;
    struct child_exit exit;
    struct child *c = spawn_with("orphan", &channel, true);
    read_both(channel);
    assert_int_equal(write_text(channel, "."), 0);
    assert_int_equal(child_wait(c, &exit), 0);
    assert_int_equal(exit.status, 0);
    if (kernel_knows_groups()) {
        CORO_DEADLINE(world_now(w) + HANG_NS);
        assert_at_end(channel);
    }
    child_close(c);
    stream_close(channel);
    return 0;
}

/* Without a group, a grandchild stays. */
TEST(others_leave_whom_they_started)
{
    struct stream *channel;
    struct child_exit exit;
    struct child *c = spawn_with("orphan", &channel, false);
    read_both(channel);
    assert_int_equal(child_signal(c, SIGKILL), 0);
    assert_int_equal(child_wait(c, &exit), 0);
    assert_int_equal(write_text(channel, "."), 0);
    assert_true(stream_quiet(channel));
    child_close(c);
    stream_close(channel);
    return 0;
}

/* ---- Memory runs out ---- */

static int spawn_and_pass(void *arg)
{
    struct stream *channel;
    struct stream *ours;
    struct stream *theirs;
    struct shared *shared;
    struct child *c;
    int rc = world_shared(w, 1 << 20, &shared);
    if (rc)
        return rc;
    struct spawn_options o = {
        .argv = (const char *const[]){"/proc/self/exe", "with_channel", "passed", NULL},
        .env_add = (const char *const[]){"A=1", NULL},
        .channel = &channel,
        .shared = shared,
        .leads_group = true,
    };
    rc = world_spawn(w, &o, &c);
    if (rc == 0) {
        rc = world_stream_pair(w, &ours, &theirs);
        if (rc == 0) {
            rc = stream_write_passing(channel, "task", 4, theirs);
            if (rc == 0)
                assert_reads(ours, "task");
            stream_close(ours);
        }
        child_close(c);
        stream_close(channel);
    }
    shared_close(shared);
    return rc;
}

static bool scenario(void)
{
    struct uv_world_options options = {.watchdog_ns = -1};
    int rc = uv_world_open(&w, &options);
    if (rc)
        return false;
    rc = uv_world_run(w, "script", spawn_and_pass, NULL);
    uv_world_close(w);
    return rc == 0 || errno != EINVAL; /* there need not be a group of that number */
}

static void nothing_is_lost_without_memory(void **state)
{
    int before = count_descriptors();
    torture(scenario);
    assert_int_equal(count_descriptors(), before);
}

TEST_ROLE(with_channel)
{
    return argc == 2 ? child_main(argv[1]) : 2;
}

TEST_FILE(uv_channel)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pair_is_two_connected_streams),
        cmocka_unit_test(a_child_has_a_channel),
        cmocka_unit_test(the_channel_and_the_memory_come_after_the_listeners),
        cmocka_unit_test(a_socket_is_passed_to_a_child),
        cmocka_unit_test(what_cannot_be_passed_is_closed),
        cmocka_unit_test(passing_waits_and_can_be_interrupted),
        cmocka_unit_test(long_texts_are_passed_along_in_parts),
        cmocka_unit_test(a_group_is_killed_with_its_leader),
        cmocka_unit_test(a_group_does_not_outlive_its_leader),
        cmocka_unit_test(others_leave_whom_they_started),
        cmocka_unit_test(nothing_is_lost_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
