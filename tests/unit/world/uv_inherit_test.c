/*
 * uv_inherit_test.c: what a process is given by its parent and by its init: listening sockets,
 * streams, an environment; children from before an exec; the notification socket. The test's own
 * program is the child.
 */
#include "uv_fixture.h"

#include <sched.h>
#include <sys/socket.h>
#include <sys/un.h>

/* ---- The child's side: says on its standard output how it went ---- */

/* Accepts one connection from each inherited listener and sends its index and WEIR_TEST. */
static int serve_what_was_inherited(void *arg)
{
    const char *name = getenv("WEIR_TEST");
    char text[64];
    int count = ((const char *)arg)[0] - '0';
    for (unsigned i = 0; i < (unsigned)count; i++) {
        struct listener *l;
        struct listener *again;
        struct stream *s;
        if (world_inherited_listener(w, i, &l) != 0)
            return 10;
        if (world_inherited_listener(w, i, &again) != -EBADF)
            return 11; /* each once */
        if (listener_accept(l, &s) != 0)
            return 12;
        int len = snprintf(text, sizeof(text), "%u %s.", i, name ? name : "-");
        if (stream_write(s, &(struct iovec){text, (size_t)len}, 1) != 0)
            return 13;
        stream_close(s);
        listener_close(l);
    }
    struct listener *l;
    return world_inherited_listener(w, (unsigned)count, &l) == -EBADF ? 0 : 14;
}

/* Sends back what comes in on its standard input, in upper case. */
static int echo_standard_streams(void *arg)
{
    struct stream *in;
    struct stream *out;
    struct stream *again;
    char text[64];
    if (world_inherited_stream(w, 0, &in) != 0 || world_inherited_stream(w, 1, &out) != 0)
        return 20;
    if (world_inherited_stream(w, 0, &again) != -EINVAL)
        return 21; /* it is /dev/null now */
    ssize_t n;
    while ((n = stream_read(in, text, sizeof(text))) > 0) {
        for (ssize_t i = 0; i < n; i++)
            text[i] = (char)(text[i] >= 'a' && text[i] <= 'z' ? text[i] - 'a' + 'A' : text[i]);
        if (stream_write(out, &(struct iovec){text, (size_t)n}, 1) != 0)
            return 22;
    }
    stream_close(in);
    stream_close(out);
    char byte;
    bool replaced = read(0, &byte, 1) == 0 && write(1, "x", 1) == 1;
    return n == 0 && replaced ? 0 : 23;
}

static int write_until_nobody_reads(void *arg)
{
    struct stream *out;
    if (world_inherited_stream(w, 1, &out) != 0)
        return 30;
    int rc;
    do
        rc = write_text(out, "text");
    while (rc == 0);
    stream_close(out);
    return rc == -EPIPE ? 0 : 31; /* and not SIGPIPE */
}

static int child_main(const char *what, char *arg)
{
    int rc;
    open_world(&w);
    if (strcmp(what, "listeners") == 0)
        rc = uv_world_run(w, "child", serve_what_was_inherited, arg);
    else if (strcmp(what, "streams") == 0)
        rc = uv_world_run(w, "child", echo_standard_streams, arg);
    else
        rc = uv_world_run(w, "child", write_until_nobody_reads, arg);
    uv_world_close(w);
    return rc;
}

/* ---- Listeners and environment ---- */

static void assert_exits_well(struct child *c)
{
    struct child_exit exit;
    assert_int_equal(child_wait(c, &exit), 0);
    assert_int_equal(exit.signal, 0);
    assert_int_equal(exit.status, 0);
    child_close(c);
}

TEST(a_child_accepts_from_its_parents_sockets)
{
    struct listener *listeners[3];
    struct child *c;
    for (int i = 0; i < 3; i++)
        listeners[i] = listen_at("127.0.0.1:0");
    struct spawn_options o = {
        .argv = (const char *const[]){"/proc/self/exe", "inheriting", "listeners", "3", NULL},
        .env_add = (const char *const[]){"WEIR_TEST=given", NULL},
        .listeners = listeners,
        .listener_count = 3,
    };
    struct stream *early = connect_to(listeners[1]); /* the queue is the socket's */
    assert_int_equal(world_spawn(w, &o, &c), 0);
    struct stream *first = connect_to(listeners[0]);
    assert_reads(first, "0 given.");
    assert_reads(early, "1 given.");
    struct stream *third = connect_to(listeners[2]);
    assert_reads(third, "2 given.");
    assert_exits_well(c);
    /* They are still the parent's. */
    struct stream *ours = connect_to(listeners[2]);
    struct stream *theirs;
    assert_int_equal(listener_accept(listeners[2], &theirs), 0);
    stream_close(theirs);
    stream_close(ours);
    stream_close(first);
    stream_close(early);
    stream_close(third);
    for (int i = 0; i < 3; i++)
        listener_close(listeners[i]);
    return 0;
}

TEST(a_waiting_connection_survives_a_killed_child)
{
    struct listener *l = listen_at("127.0.0.1:0");
    struct child *c;
    struct spawn_options o = {
        .argv = (const char *const[]){"sleep", "100", NULL},
        .listeners = &l,
        .listener_count = 1,
    };
    assert_int_equal(world_spawn(w, &o, &c), 0);
    struct stream *ours = connect_to(l);
    child_close(c);
    o.argv = (const char *const[]){"/proc/self/exe", "inheriting", "listeners", "1", NULL};
    o.env = (const char *const[]){"WEIR_TEST=not this", "OTHER=x", NULL};
    o.env_add = (const char *const[]){"WEIR_TEST=but this", NULL};
    assert_int_equal(world_spawn(w, &o, &c), 0);
    assert_reads(ours, "0 but this.");
    stream_close(ours);
    assert_exits_well(c);
    listener_close(l);
    return 0;
}

TEST(what_was_not_inherited_is_no_listener)
{
    struct listener *l;
    struct child *c;
    assert_int_equal(world_inherited_listener(w, 1000, &l), -EBADF);
    assert_int_equal(world_inherited_listener(w, UINT32_MAX, &l), -EBADF);
    int null = open("/dev/null", O_RDONLY);
    int far = fcntl(null, F_DUPFD, 100); /* as if it had been inherited */
    assert_int_equal(world_inherited_listener(w, (unsigned)far - 3, &l), -EINVAL);
    close(null);
    close(far);
    struct listener *one = listen_at("127.0.0.1:0");
    assert_int_equal(
        world_inherited_listener(w, (unsigned)uv_world_listener_fd(one) - 3, &l), -EBADF);
    listener_close(one);
    struct spawn_options o = {
        .argv = (const char *const[]){"true", NULL}, .listener_count = SPAWN_LISTENERS_MAX + 1};
    assert_int_equal(world_spawn(w, &o, &c), -E2BIG);
    return 0;
}

/* ---- Streams ---- */

TEST(a_child_takes_its_standard_streams_over)
{
    struct stream *in;
    struct stream *out;
    struct child *c;
    struct spawn_options o = {
        .argv = (const char *const[]){"/proc/self/exe", "inheriting", "streams", "", NULL},
        .standard = {&in, &out, NULL},
    };
    assert_int_equal(world_spawn(w, &o, &c), 0);
    assert_int_equal(write_text(in, "hello"), 0);
    assert_reads(out, "HELLO");
    assert_int_equal(stream_shutdown(in), 0);
    assert_at_end(out);
    assert_exits_well(c);
    stream_close(in);
    stream_close(out);
    return 0;
}

/* The same through a shell, which makes pipes. */
TEST(standard_streams_may_be_pipes)
{
    struct stream *out;
    struct child *c;
    char exe[512];
    char script[1100];
    ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    assert_true(len > 0);
    exe[len] = '\0';
    snprintf(script, sizeof(script), "printf abc | '%s' inheriting streams x | cat", exe);
    struct spawn_options o = {
        .argv = (const char *const[]){"sh", "-c", script, NULL}, .standard = {NULL, &out, NULL}};
    assert_int_equal(world_spawn(w, &o, &c), 0);
    assert_reads(out, "ABC");
    assert_at_end(out);
    stream_close(out);
    assert_exits_well(c);
    snprintf(script, sizeof(script), "('%s' inheriting write x; echo $? >&2) | true", exe);
    o.standard[1] = NULL;
    o.standard[2] = &out;
    assert_int_equal(world_spawn(w, &o, &c), 0);
    assert_reads(out, "0\n");
    stream_close(out);
    assert_exits_well(c);
    return 0;
}

static int read_one(void *arg)
{
    char byte;
    return (int)stream_read(arg, &byte, 1);
}

TEST(a_pipe_is_a_stream_too)
{
    int ends[2];
    struct stream *in;
    struct stream *out;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(uv_world_adopt_stream(w, ends[0], &in), 0);
    assert_int_equal(uv_world_adopt_stream(w, ends[1], &out), 0);
    assert_int_equal(uv_world_stream_fd(in), ends[0]);
    struct address peer;
    stream_peer(in, &peer);
    assert_int_equal(peer.any.sa_family, AF_UNIX);
    assert_can_be_interrupted(read_one, in);
    assert_int_equal(write_text(out, "text"), 0);
    assert_reads(in, "text");
    stream_close(out);
    assert_at_end(in);
    stream_close(in);
    return 0;
}

TEST(what_is_no_stream_is_not_adopted)
{
    struct stream *s;
    int file = open("/dev/null", O_RDWR | O_CLOEXEC);
    int datagrams = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(uv_world_adopt_stream(w, file, &s), -EINVAL);
    assert_int_equal(uv_world_adopt_stream(w, datagrams, &s), -EINVAL);
    assert_int_equal(uv_world_adopt_stream(w, 1000, &s), -EBADF);
    close(file);
    close(datagrams);
    return 0;
}

/* ---- Children from before an exec ---- */

static pid_t fork_child(int status)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        sigset_t none; /* under TSan coroutines run with signals blocked */
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        if (status >= 0)
            _exit(status);
        pause();
        _exit(0);
    }
    return pid;
}

static int wait_for_child(void *arg)
{
    struct child_exit exit;
    return child_wait(arg, &exit);
}

TEST(children_that_were_not_spawned_are_adopted)
{
    struct child *exits;
    struct child *waits;
    struct child_exit exit;
    pid_t pid = fork_child(5);
    assert_int_equal(uv_world_adopt_child(w, pid, &exits), 0);
    assert_int_equal(child_pid(exits), pid);
    assert_int_equal(child_wait(exits, &exit), 0);
    assert_int_equal(exit.status, 5);
    assert_int_equal(exit.signal, 0);
    assert_int_equal(child_signal(exits, 0), -ESRCH);
    assert_int_equal(waitpid(pid, NULL, 0), -1); /* it has been reaped */
    child_close(exits);

    pid = fork_child(-1);
    assert_int_equal(uv_world_adopt_child(w, pid, &waits), 0);
    assert_can_be_interrupted(wait_for_child, waits);
    assert_int_equal(child_signal(waits, SIGTERM), 0);
    assert_int_equal(child_wait(waits, &exit), 0);
    assert_int_equal(exit.signal, SIGTERM);
    child_close(waits);

    pid = fork_child(-1);
    assert_int_equal(uv_world_adopt_child(w, pid, &waits), 0);
    child_close(waits); /* killed, and reaped before the world is closed */
    return 0;
}

TEST(only_children_are_adopted)
{
    struct child *c;
    assert_int_equal(uv_world_adopt_child(w, getpid(), &c), -ECHILD);
    pid_t pid = fork_child(0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(uv_world_adopt_child(w, pid, &c), -ESRCH);
    return 0;
}

/* ---- The init ---- */

static void assert_notified(const struct sockaddr_un *at, socklen_t len, const char *path)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    char text[64] = "";
    assert_int_equal(bind(fd, (const struct sockaddr *)at, len), 0);
    assert_int_equal(uv_notify(path, "READY=1\nSTATUS=fine"), 0);
    assert_int_equal(recv(fd, text, sizeof(text), 0), strlen("READY=1\nSTATUS=fine"));
    assert_string_equal(text, "READY=1\nSTATUS=fine");
    close(fd);
    assert_int_equal(uv_notify(path, "READY=1"), -ECONNREFUSED);
}

TEST(the_init_is_notified)
{
    const char *directory = make_directory();
    const char *path = path_in(directory, "notify");
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
    assert_int_equal(uv_notify(path, "READY=1"), -ENOENT);
    assert_notified(&at, sizeof(at), path);
    unlink(path);
    remove_directory(directory);
    /* One without a file. */
    char name[64];
    int len = snprintf(name, sizeof(name), "@weir-test-%d", (int)getpid());
    memset(at.sun_path, 0, sizeof(at.sun_path));
    memcpy(at.sun_path + 1, name + 1, (size_t)len - 1);
    assert_notified(&at, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)len), name);
    assert_int_equal(uv_notify("relative", "READY=1"), -EINVAL);
    assert_int_equal(uv_notify("", "READY=1"), -EINVAL);
    char endless[200];
    memset(endless, 'x', sizeof(endless) - 1);
    endless[0] = '/';
    endless[sizeof(endless) - 1] = '\0';
    assert_int_equal(uv_notify(endless, "READY=1"), -ENAMETOOLONG);
    return 0;
}

TEST(there_are_cores)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    assert_in_range(world_cores(w), 1, online);
    cpu_set_t before;
    cpu_set_t one;
    assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &before))
            CPU_SET(i, &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    assert_int_equal(world_cores(w), 1);
    assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
    return 0;
}

TEST_ROLE(inheriting)
{
    return argc == 3 ? child_main(argv[1], argv[2]) : 2;
}

TEST_FILE(uv_inherit)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_accepts_from_its_parents_sockets),
        cmocka_unit_test(a_waiting_connection_survives_a_killed_child),
        cmocka_unit_test(what_was_not_inherited_is_no_listener),
        cmocka_unit_test(a_child_takes_its_standard_streams_over),
        cmocka_unit_test(standard_streams_may_be_pipes),
        cmocka_unit_test(a_pipe_is_a_stream_too),
        cmocka_unit_test(what_is_no_stream_is_not_adopted),
        cmocka_unit_test(children_that_were_not_spawned_are_adopted),
        cmocka_unit_test(only_children_are_adopted),
        cmocka_unit_test(the_init_is_notified),
        cmocka_unit_test(there_are_cores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
