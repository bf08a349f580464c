/*
 * uv_stream_test.c: connected sockets: what is written arrives, ends are told apart, and every wait
 * can be ended from outside.
 */
#include "uv_fixture.h"

#include <netinet/tcp.h>

#define TCP4 "127.0.0.1:0"
#define TCP6 "[::1]:0"
#define UNIX "unix:@weir-uv-stream-test"

/* An abstract name of this process's own: several runs of the test may go on at once. */
static const char *unix_name(void)
{
    static char name[64];
    snprintf(name, sizeof(name), UNIX "-%d", (int)getpid());
    return name;
}

/* ---- Reading and writing ---- */

static void exchange(const char *at)
{
    struct stream *ours;
    struct stream *theirs;
    connect_pair(at, &ours, &theirs);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(write_text(ours, "to them"), 0);
        assert_reads(theirs, "to them");
        assert_int_equal(write_text(theirs, "and back"), 0);
        assert_reads(ours, "and back");
    }
    stream_close(ours);
    assert_at_end(theirs);
    assert_at_end(theirs);
    stream_close(theirs);
}

TEST(tcp4_carries_bytes)
{
    exchange(TCP4);
    return 0;
}

TEST(unix_carries_bytes)
{
    exchange(unix_name());
    return 0;
}

TEST(tcp6_carries_bytes)
{
    struct address a;
    struct listener *l;
    assert_int_equal(address_parse(&a, TCP6, NULL), 0);
    int rc = world_listen(w, &a, NULL, &l);
    if (rc == -EADDRNOTAVAIL || rc == -EAFNOSUPPORT)
        return 0; /* a machine without IPv6 */
    assert_int_equal(rc, 0);
    listener_close(l);
    exchange(TCP6);
    return 0;
}

TEST(a_half_closed_stream_still_reads)
{
    struct stream *ours;
    struct stream *theirs;
    connect_pair(TCP4, &ours, &theirs);
    assert_int_equal(write_text(ours, "all I have to say"), 0);
    assert_int_equal(stream_shutdown(ours), 0);
    assert_reads(theirs, "all I have to say");
    assert_at_end(theirs);
    assert_int_equal(write_text(theirs, "an answer"), 0);
    assert_reads(ours, "an answer");
    assert_int_equal(write_text(ours, "too late"), -EPIPE);
    stream_close(ours);
    stream_close(theirs);
    return 0;
}

TEST(a_read_that_fills_its_buffer_is_followed_by_one_that_finds_the_rest)
{
    struct stream *ours;
    struct stream *theirs;
    connect_pair(unix_name(), &ours, &theirs);
    assert_int_equal(write_text(ours, "12345678"), 0);
    char part[4];
    for (int i = 0; i < 2; i++)
        assert_int_equal(stream_read(theirs, part, 4), 4);
    assert_memory_equal(part, "5678", 4);
    stream_close(ours);
    assert_at_end(theirs);
    stream_close(theirs);
    return 0;
}

TEST(many_parts_are_written_in_order)
{
    struct stream *ours;
    struct stream *theirs;
    connect_pair(TCP4, &ours, &theirs);
    char letters[200];
    struct iovec parts[200];
    for (int i = 0; i < 200; i++) {
        letters[i] = (char)('a' + i % 26);
        parts[i] = (struct iovec){.iov_base = &letters[i], .iov_len = i % 7 != 3};
    }
    assert_int_equal(stream_write(ours, parts, 200), 0);
    stream_close(ours);
    for (int i = 0; i < 200; i++) {
        if (i % 7 == 3)
            continue;
        char c;
        assert_int_equal(stream_read(theirs, &c, 1), 1);
        assert_int_equal(c, letters[i]);
    }
    assert_at_end(theirs);
    stream_close(theirs);
    return 0;
}

/* ---- A socket that is full ---- */

#define LOTS ((size_t)16 * 1024 * 1024)

static int write_lots(void *arg)
{
    char *bytes = malloc(LOTS);
    assert_non_null(bytes);
    for (size_t i = 0; i < LOTS; i++)
        bytes[i] = (char)(i * 31 >> 8);
    struct iovec part = {.iov_base = bytes, .iov_len = LOTS};
    int rc = stream_write(arg, &part, 1);
    free(bytes);
    return rc;
}

static void drain_lots(struct stream *s)
{
    static char bytes[100000];
    size_t len = 0;
    while (len < LOTS) {
        ssize_t n = stream_read(s, bytes, sizeof(bytes));
        assert_true(n > 0);
        for (ssize_t i = 0; i < n; i++)
            if (bytes[i] != (char)((len + (size_t)i) * 31 >> 8))
                fail_msg("byte %zu is wrong", len + (size_t)i);
        len += (size_t)n;
    }
}

static void write_into_a_full_socket(const char *at)
{
    struct stream *ours;
    struct stream *theirs;
    struct wait writing;
    connect_pair(at, &ours, &theirs);
    {
        GROUP(g, GROUP_INDEPENDENT);
        begin_wait(&g, &writing, write_lots, ours);
        drain_lots(theirs);
        assert_int_equal(group_wait(&g), 0);
        assert_int_equal(writing.result, 0);
    }
    /* The writer waited; afterwards both directions work as before. */
    assert_int_equal(write_text(theirs, "back"), 0);
    assert_reads(ours, "back");
    stream_close(ours);
    stream_close(theirs);
}

TEST(a_write_waits_until_a_full_tcp_socket_is_drained)
{
    write_into_a_full_socket(TCP4);
    return 0;
}

TEST(a_write_waits_until_a_full_unix_socket_is_drained)
{
    write_into_a_full_socket(unix_name());
    return 0;
}

TEST(one_coroutine_reads_while_another_writes)
{
    struct stream *ours;
    struct stream *theirs;
    struct wait there;
    struct wait back;
    connect_pair(TCP4, &ours, &theirs);
    {
        GROUP(g, GROUP_INDEPENDENT);
        begin_wait(&g, &there, write_lots, ours);
        begin_wait(&g, &back, write_lots, theirs);
        drain_lots(ours);
        drain_lots(theirs);
        assert_int_equal(group_wait(&g), 0);
        assert_int_equal(there.result | back.result, 0);
    }
    stream_close(ours);
    stream_close(theirs);
    return 0;
}

/* ---- Waits that end early ---- */

static int read_byte(void *arg)
{
    char byte;
    ssize_t n = stream_read(arg, &byte, 1);
    return n < 0 ? (int)n : 0;
}

TEST(a_read_can_be_interrupted_and_repeated)
{
    struct stream *ours;
    struct stream *theirs;
    connect_pair(TCP4, &ours, &theirs);
    assert_can_be_interrupted(read_byte, ours);
    assert_int_equal(write_text(theirs, "x"), 0);
    assert_reads(ours, "x");
    stream_close(ours);
    stream_close(theirs);
    return 0;
}

static int fill(void *arg)
{
    static char block[65536];
    struct iovec part = {.iov_base = block, .iov_len = sizeof(block)};
    for (;;) {
        ssize_t n = stream_write_some(arg, &part, 1);
        if (n < 0)
            return (int)n;
    }
}

TEST(a_write_can_be_interrupted)
{
    struct stream *ours;
    struct stream *theirs;
    connect_pair(unix_name(), &ours, &theirs);
    assert_can_time_out(fill, ours);
    assert_can_be_cancelled(fill, ours);
    assert_cancel_wins(fill, ours);
    stream_close(ours);
    stream_close(theirs);
    return 0;
}

TEST(closing_wakes_who_reads_and_who_writes)
{
    struct stream *ours;
    struct stream *theirs;
    struct wait reads;
    struct wait writes;
    connect_pair(TCP4, &ours, &theirs);
    {
        GROUP(g, GROUP_INDEPENDENT);
        begin_wait(&g, &reads, read_byte, ours);
        begin_wait(&g, &writes, write_lots, ours);
        stream_close(ours);
        assert_int_equal(group_wait(&g), 0);
    }
    assert_int_equal(reads.result, -EBADF);
    assert_int_equal(writes.result, -EBADF);
    stream_close(theirs);
    return 0;
}

/* Also in the turn in which they came, before the loop has told whoever waits for them. */
TEST(a_stream_is_quiet_until_bytes_come)
{
    struct stream *ours;
    struct stream *theirs;
    connect_pair(TCP4, &ours, &theirs);
    assert_true(stream_quiet(ours));
    {
        GROUP(g, GROUP_INDEPENDENT);
        struct wait reads;
        begin_wait(&g, &reads, read_byte, ours);
        assert_true(stream_quiet(ours));
        assert_int_equal(write_text(theirs, "x"), 0);
        assert_false(stream_quiet(ours));
        assert_int_equal(group_wait(&g), 0);
    }
    assert_true(stream_quiet(ours));
    stream_close(theirs);
    assert_false(stream_quiet(ours));
    stream_close(ours);
    return 0;
}

struct read_then_close {
    struct stream *reads;
    struct stream *closes;
};

static int read_then_close(void *arg)
{
    struct read_then_close *r = arg;
    int rc = read_byte(r->reads);
    stream_close(r->closes);
    return rc;
}

/* Both are made ready by one poll; the first closes the second's stream before that one runs. */
TEST(closing_wins_over_bytes_that_have_come)
{
    struct stream *ours[2];
    struct stream *theirs[2];
    struct wait closes;
    struct wait reads;
    for (int i = 0; i < 2; i++)
        connect_pair(TCP4, &ours[i], &theirs[i]);
    struct read_then_close first = {.reads = ours[0], .closes = ours[1]};
    {
        GROUP(g, GROUP_INDEPENDENT);
        begin_wait(&g, &closes, read_then_close, &first);
        begin_wait(&g, &reads, read_byte, ours[1]);
        for (int i = 0; i < 2; i++)
            assert_int_equal(write_text(theirs[i], "x"), 0);
        assert_int_equal(group_wait(&g), 0);
    }
    assert_int_equal(closes.result, 0);
    assert_int_equal(reads.result, -EBADF);
    stream_close(ours[0]);
    for (int i = 0; i < 2; i++)
        stream_close(theirs[i]);
    return 0;
}

TEST(a_reset_connection_says_so)
{
    struct stream *ours;
    struct stream *theirs;
    struct listener *l = listen_at(TCP4);
    struct address at;
    listener_address(l, &at);
    /* Closing a plain socket with SO_LINGER 0 sends a reset. */
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, &at.any, at.len), 0);
    assert_int_equal(listener_accept(l, &theirs), 0);
    struct wait reads;
    GROUP(g, GROUP_INDEPENDENT);
    begin_wait(&g, &reads, read_byte, theirs);
    struct linger at_once = {.l_onoff = 1};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
    close(fd);
    assert_int_equal(group_wait(&g), 0);
    assert_int_equal(reads.result, -ECONNRESET);
    stream_close(theirs);
    /* The listener is none the worse. */
    ours = connect_to(l);
    stream_close(ours);
    listener_close(l);
    return 0;
}

TEST(writing_to_who_has_left_is_an_error_and_no_signal)
{
    struct stream *ours;
    struct stream *theirs;
    connect_pair(unix_name(), &ours, &theirs);
    stream_close(theirs);
    assert_int_equal(write_text(ours, "anybody?"), -EPIPE);
    stream_close(ours);
    return 0;
}

/* ---- Connecting ---- */

TEST(connecting_to_nobody_is_refused)
{
    struct listener *l = listen_at(TCP4);
    struct address at;
    struct stream *s;
    listener_address(l, &at);
    listener_close(l);
    assert_int_equal(world_connect(w, &at, &s), -ECONNREFUSED);
    assert_int_equal(address_parse(&at, "unix:/nowhere/at/all", NULL), 0);
    assert_int_equal(world_connect(w, &at, &s), -ENOENT);
    return 0;
}

static int connect_and_close(void *arg)
{
    struct stream *s;
    int rc = world_connect(w, arg, &s);
    if (rc == 0)
        stream_close(s);
    return rc;
}

/* Fills the backlog of a listener that nobody accepts from. Returns the sockets. */
static int fill_backlog(const struct address *at, int *fds, int max)
{
    int count = 0;
    while (count < max) {
        int fd = socket(at->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        fds[count++] = fd;
        if (connect(fd, &at->any, at->len) != 0 && errno == EAGAIN)
            break;
    }
    return count;
}

TEST(connecting_to_a_full_unix_backlog_waits_for_room)
{
    struct address at;
    struct listener *l;
    struct stream *s;
    int fds[8];
    assert_int_equal(address_parse(&at, unix_name(), NULL), 0);
    assert_int_equal(world_listen(w, &at, &(struct listen_options){.backlog = 1}, &l), 0);
    int count = fill_backlog(&at, fds, 8);
    assert_true(count < 8);
    assert_can_be_interrupted(connect_and_close, &at);
    struct wait connects;
    {
        GROUP(g, GROUP_INDEPENDENT);
        begin_wait(&g, &connects, connect_and_close, &at);
        for (int i = 0; i < count; i++) {
            assert_int_equal(listener_accept(l, &s), 0);
            stream_close(s);
        }
        assert_int_equal(group_wait(&g), 0);
        assert_int_equal(connects.result, 0);
    }
    for (int i = 0; i < count; i++)
        close(fds[i]);
    listener_close(l);
    return 0;
}

/* A TCP listener whose backlog is full drops the SYN: the connection stays on its way. */
TEST(a_tcp_connect_can_be_interrupted)
{
    struct address at;
    struct listener *l;
    int fds[8];
    assert_int_equal(address_parse(&at, TCP4, NULL), 0);
    assert_int_equal(world_listen(w, &at, &(struct listen_options){.backlog = 1}, &l), 0);
    listener_address(l, &at);
    for (int i = 0; i < 8; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(fds[i], &at.any, at.len);
    }
    assert_can_be_interrupted(connect_and_close, &at);
    for (int i = 0; i < 8; i++)
        close(fds[i]);
    listener_close(l);
    return 0;
}

TEST(both_ends_know_their_peer)
{
    struct stream *ours;
    struct stream *theirs;
    struct listener *l = listen_at(TCP4);
    struct address listening;
    struct address peer;
    listener_address(l, &listening);
    ours = connect_to(l);
    assert_int_equal(listener_accept(l, &theirs), 0);
    stream_peer(ours, &peer);
    assert_int_equal(peer.len, listening.len);
    assert_memory_equal(&peer.in4, &listening.in4, sizeof(peer.in4));
    stream_peer(theirs, &peer);
    assert_int_equal(peer.in4.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    assert_true(address_port(&peer) > 0);
    stream_close(ours);
    stream_close(theirs);
    listener_close(l);
    return 0;
}

TEST_FILE(uv_stream)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tcp4_carries_bytes),
        cmocka_unit_test(tcp6_carries_bytes),
        cmocka_unit_test(unix_carries_bytes),
        cmocka_unit_test(a_half_closed_stream_still_reads),
        cmocka_unit_test(a_read_that_fills_its_buffer_is_followed_by_one_that_finds_the_rest),
        cmocka_unit_test(many_parts_are_written_in_order),
        cmocka_unit_test(a_write_waits_until_a_full_tcp_socket_is_drained),
        cmocka_unit_test(a_write_waits_until_a_full_unix_socket_is_drained),
        cmocka_unit_test(one_coroutine_reads_while_another_writes),
        cmocka_unit_test(a_read_can_be_interrupted_and_repeated),
        cmocka_unit_test(a_write_can_be_interrupted),
        cmocka_unit_test(a_stream_is_quiet_until_bytes_come),
        cmocka_unit_test(closing_wakes_who_reads_and_who_writes),
        cmocka_unit_test(closing_wins_over_bytes_that_have_come),
        cmocka_unit_test(a_reset_connection_says_so),
        cmocka_unit_test(writing_to_who_has_left_is_an_error_and_no_signal),
        cmocka_unit_test(connecting_to_nobody_is_refused),
        cmocka_unit_test(connecting_to_a_full_unix_backlog_waits_for_room),
        cmocka_unit_test(a_tcp_connect_can_be_interrupted),
        cmocka_unit_test(both_ends_know_their_peer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
