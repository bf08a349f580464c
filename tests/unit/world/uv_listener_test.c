/*
 * uv_listener_test.c: listening sockets: what they are bound to, what they leave behind, and
 * accepting when there is nothing to accept or no room for it.
 */
#include "uv_fixture.h"

#include <netinet/tcp.h>
#include <sys/resource.h>
#include <time.h>

static int accept_and_close(void *arg)
{
    struct stream *s;
    int rc = listener_accept(arg, &s);
    if (rc == 0)
        stream_close(s);
    return rc;
}

/* ---- Addresses ---- */

TEST(port_0_takes_a_free_one)
{
    struct listener *a = listen_at("127.0.0.1:0");
    struct listener *b = listen_at("127.0.0.1:0");
    struct address of_a;
    struct address of_b;
    listener_address(a, &of_a);
    listener_address(b, &of_b);
    assert_true(address_port(&of_a) > 0);
    assert_int_not_equal(address_port(&of_a), address_port(&of_b));
    struct listener *again;
    assert_int_equal(world_listen(w, &of_a, NULL, &again), -EADDRINUSE);
    listener_close(a);
    assert_int_equal(world_listen(w, &of_a, NULL, &again), 0);
    listener_close(again);
    listener_close(b);
    return 0;
}

TEST(every_address_includes_ipv4)
{
    struct listener *l = listen_at("*:0");
    struct address at;
    listener_address(l, &at);
    struct address ipv4;
    assert_int_equal(address_parse(&ipv4, "127.0.0.1:0", NULL), 0);
    address_set_port(&ipv4, (uint16_t)address_port(&at));
    struct stream *s;
    assert_int_equal(world_connect(w, &ipv4, &s), 0);
    stream_close(s);
    listener_close(l);
    return 0;
}

TEST(a_shared_port_has_several_listeners)
{
    struct listen_options shared = {.backlog = WORLD_BACKLOG_DEFAULT, .shared_port = true};
    struct address at;
    struct listener *a;
    struct listener *b;
    assert_int_equal(address_parse(&at, "127.0.0.1:0", NULL), 0);
    assert_int_equal(world_listen(w, &at, &shared, &a), 0);
    listener_address(a, &at);
    assert_int_equal(world_listen(w, &at, &shared, &b), 0);
    struct listener *alone;
    assert_int_equal(world_listen(w, &at, NULL, &alone), -EADDRINUSE);
    listener_close(a);
    listener_close(b);
    return 0;
}

TEST(connections_do_not_wait_to_fill_segments)
{
    struct listener *l = listen_at("127.0.0.1:0");
    struct stream *ours = connect_to(l);
    /* What accept4 gives, the listener's adopted twin gives too: ask there, where the fd is
     * seen. */
    int accepted = accept(uv_world_listener_fd(l), NULL, NULL);
    int no_delay = 0;
    socklen_t size = sizeof(no_delay);
    assert_true(accepted >= 0);
    assert_int_equal(getsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &no_delay, &size), 0);
    assert_int_equal(no_delay != 0, 1);
    close(accepted);
    stream_close(ours);
    listener_close(l);
    return 0;
}

/* A supervisor's socket may block: it must not block the loop. */
TEST(a_blocking_socket_can_be_adopted)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct listener *l;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(uv_world_adopt_listener(w, fd, &l), -EINVAL); /* it does not listen */
    assert_int_equal(listen(fd, 10), 0);
    assert_int_equal(uv_world_adopt_listener(w, fd, &l), 0);
    {
        struct stream *nobody;
        CORO_DEADLINE(world_now(w) + 10 * NS_PER_MS);
        assert_int_equal(listener_accept(l, &nobody), -ETIMEDOUT);
    }
    listener_close(l);
    return 0;
}

TEST(a_listener_can_be_adopted)
{
    struct listener *l = listen_at("127.0.0.1:0");
    struct listener *twin;
    int fd = dup(uv_world_listener_fd(l));
    assert_int_equal(uv_world_adopt_listener(w, fd, &twin), 0);
    struct address of_l;
    struct address of_twin;
    listener_address(l, &of_l);
    listener_address(twin, &of_twin);
    assert_int_equal(address_port(&of_l), address_port(&of_twin));
    listener_close(l);
    struct stream *ours = connect_to(twin);
    assert_int_equal(accept_and_close(twin), 0);
    assert_at_end(ours);
    stream_close(ours);
    listener_close(twin);
    assert_int_equal(uv_world_adopt_listener(w, -1, &twin), -EBADF);
    return 0;
}

/* ---- Unix paths ---- */

static void local_address(struct address *a, const char *path)
{
    char text[160];
    snprintf(text, sizeof(text), "unix:%s", path);
    assert_int_equal(address_parse(a, text, NULL), 0);
}

TEST(a_unix_listener_removes_its_path)
{
    const char *directory = make_directory();
    const char *path = path_in(directory, "socket");
    struct address at;
    struct listener *l;
    local_address(&at, path);
    assert_int_equal(world_listen(w, &at, NULL, &l), 0);
    assert_int_equal(access(path, F_OK), 0);
    struct listener *second;
    assert_int_equal(world_listen(w, &at, NULL, &second), -EADDRINUSE);
    struct stream *s = connect_to(l);
    stream_close(s);
    listener_close(l);
    assert_int_equal(access(path, F_OK), -1);
    remove_directory(directory);
    return 0;
}

TEST(a_dead_socket_is_replaced)
{
    const char *directory = make_directory();
    const char *path = path_in(directory, "socket");
    struct address at;
    struct listener *l;
    local_address(&at, path);
    int dead = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(dead, &at.any, at.len), 0);
    close(dead);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(world_listen(w, &at, NULL, &l), 0);
    struct stream *s = connect_to(l);
    stream_close(s);
    listener_close(l);
    remove_directory(directory);
    return 0;
}

TEST(a_file_that_is_no_socket_is_left_alone)
{
    const char *directory = make_directory();
    const char *path = path_in(directory, "precious");
    struct address at;
    struct listener *l;
    local_address(&at, path);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "data", 4), 4);
    close(fd);
    assert_int_equal(world_listen(w, &at, NULL, &l), -EADDRINUSE);
    struct stat found;
    assert_int_equal(stat(path, &found), 0);
    assert_int_equal(found.st_size, 4);
    unlink(path);
    remove_directory(directory);
    return 0;
}

TEST(a_path_that_became_anothers_is_left_alone)
{
    const char *directory = make_directory();
    const char *path = path_in(directory, "socket");
    struct address at;
    struct listener *l;
    struct listener *successor;
    local_address(&at, path);
    assert_int_equal(world_listen(w, &at, NULL, &l), 0);
    unlink(path);
    assert_int_equal(world_listen(w, &at, NULL, &successor), 0);
    listener_close(l);
    assert_int_equal(access(path, F_OK), 0);
    listener_close(successor);
    remove_directory(directory);
    return 0;
}

/* ---- Accepting ---- */

TEST(an_accept_can_be_interrupted_and_repeated)
{
    struct listener *l = listen_at("127.0.0.1:0");
    assert_can_be_interrupted(accept_and_close, l);
    struct stream *s = connect_to(l);
    assert_int_equal(accept_and_close(l), 0);
    stream_close(s);
    listener_close(l);
    return 0;
}

TEST(closing_wakes_who_accepts)
{
    struct listener *l = listen_at("127.0.0.1:0");
    struct wait accepts;
    GROUP(g, GROUP_INDEPENDENT);
    begin_wait(&g, &accepts, accept_and_close, l);
    listener_close(l);
    assert_int_equal(group_wait(&g), 0);
    assert_int_equal(accepts.result, -EBADF);
    return 0;
}

TEST(pending_connections_are_all_accepted)
{
    struct listener *l = listen_at("127.0.0.1:0");
    struct stream *s[100];
    for (int i = 0; i < 100; i++)
        s[i] = connect_to(l);
    for (int i = 0; i < 100; i++)
        assert_int_equal(accept_and_close(l), 0);
    for (int i = 0; i < 100; i++)
        stream_close(s[i]);
    listener_close(l);
    return 0;
}

/* In a process of its own, whose limit can be lowered. The coroutine sleeps as listener.c tells
 * callers to; a loop that spun meanwhile would be seen in its processor time. */
static int64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static bool a_sleep_uses_no_processor(void)
{
    int64_t before = cpu_ns();
    return world_sleep(w, 30 * NS_PER_MS) == 0 &&
           cpu_ns() - before < 15 * NS_PER_MS; /* time: of the processor, of 30 that a spin uses */
}

static int accept_without_descriptors(void *arg)
{
    struct listener *l = listen_at("127.0.0.1:0");
    struct stream *ours = connect_to(l);
    int next = dup(STDIN_FILENO);
    close(next);
    struct rlimit enough;
    getrlimit(RLIMIT_NOFILE, &enough);
    struct rlimit few = {.rlim_cur = (rlim_t)next, .rlim_max = enough.rlim_max};
    struct stream *theirs;
    CORO_DEADLINE(world_now(w) + HANG_NS);
    if (setrlimit(RLIMIT_NOFILE, &few) != 0)
        return 1;
    for (int i = 0; i < 2; i++)
        if (listener_accept(l, &theirs) != -EMFILE)
            return 2;
    if (!one_of_tries(a_sleep_uses_no_processor()))
        return 3;
    if (setrlimit(RLIMIT_NOFILE, &enough) != 0 || listener_accept(l, &theirs) != 0)
        return 4;
    stream_close(theirs);
    stream_close(ours);
    listener_close(l);
    return 0;
}

static void running_out_of_descriptors_is_an_answer_and_no_spin(void **state)
{
    if (RUNNING_ON_VALGRIND)
        skip(); /* it plays the limit itself, and lets the kernel hand out the connection */
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        open_world(&w);
        int rc = uv_world_run(w, "test", accept_without_descriptors, NULL);
        if (rc == 0)
            uv_world_close(w);
        _exit(rc);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

TEST_FILE(uv_listener)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(port_0_takes_a_free_one),
        cmocka_unit_test(every_address_includes_ipv4),
        cmocka_unit_test(a_shared_port_has_several_listeners),
        cmocka_unit_test(connections_do_not_wait_to_fill_segments),
        cmocka_unit_test(a_blocking_socket_can_be_adopted),
        cmocka_unit_test(a_listener_can_be_adopted),
        cmocka_unit_test(a_unix_listener_removes_its_path),
        cmocka_unit_test(a_dead_socket_is_replaced),
        cmocka_unit_test(a_file_that_is_no_socket_is_left_alone),
        cmocka_unit_test(a_path_that_became_anothers_is_left_alone),
        cmocka_unit_test(an_accept_can_be_interrupted_and_repeated),
        cmocka_unit_test(closing_wakes_who_accepts),
        cmocka_unit_test(pending_connections_are_all_accepted),
        cmocka_unit_test(running_out_of_descriptors_is_an_answer_and_no_spin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
