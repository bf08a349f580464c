/*
 * plain_test.c: what worker processes use: each test is one, forked, whose status says what went
 * wrong.
 */
#include "../check.h"

#include "base/sanitizers.h"
#include "base/time.h"
#include "world/memory_file.h"
#include "world/plain.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Running a worker ---- */

struct worker {
    pid_t pid;
    int channel;
};

/* `fn` returns its status. */
static struct worker start(int (*fn)(void))
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        die_for_real();
        dup2(pair[1], 100);
        close(pair[0]);
        dup2(100, PLAIN_CHANNEL);
        close(PLAIN_SHARED);
        _exit(plain_begin() == 0 ? fn() : 99);
    }
    close(pair[1]);
    return (struct worker){.pid = pid, .channel = pair[0]};
}

/* Its status, or what killed it, negative. */
static int finish(struct worker worker)
{
    int status;
    assert_int_equal(waitpid(worker.pid, &status, 0), worker.pid);
    close(worker.channel);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int say(int fd, char byte)
{
    return plain_write(fd, &(struct iovec){&byte, 1}, 1);
}

static char hear(int fd)
{
    char byte;
    return plain_read(fd, &byte, 1) == 1 ? byte : '\0';
}

/* ---- Beginning ---- */

static int listen_to_the_channel(void)
{
    if (!(fcntl(PLAIN_CHANNEL, F_GETFD) & FD_CLOEXEC))
        return 1;
    say(PLAIN_CHANNEL, 'a');
    return hear(PLAIN_CHANNEL) == 'b' ? 7 : 2;
}

static void a_worker_takes_orders_by_its_channel_only(void **state)
{
    static const int numbers[] = {SIGINT, SIGHUP, SIGTERM, SIGPIPE};
    struct worker worker = start(listen_to_the_channel);
    assert_int_equal(hear(worker.channel), 'a');
    for (size_t i = 0; i < 4; i++)
        plain_kill(worker.pid, numbers[i]);
    assert_int_equal(say(worker.channel, 'b'), 0);
    assert_int_equal(finish(worker), 7);
}

static int begin_without_a_channel(void)
{
    close(100);
    close(PLAIN_CHANNEL);
    return plain_begin() == -EBADF ? 0 : 1;
}

/* Ends in plain_begin, with 0. */
static int begin_without_a_parent(void)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
        return 1;
    dup2(pair[1], PLAIN_CHANNEL);
    close(pair[0]);
    return plain_begin() == 0 ? 2 : 3;
}

static void a_worker_without_a_parent_ends(void **state)
{
    assert_int_equal(finish(start(begin_without_a_channel)), 0);
    assert_int_equal(finish(start(begin_without_a_parent)), 0);
}

static _Noreturn void wait_for_ever(void)
{
    say(PLAIN_CHANNEL, 'g');
    for (;;)
        pause();
}

/* The grandchild holds the channel: its end is the grandchild's. */
static int start_a_child_and_die(void)
{
    pid_t pid = plain_fork();
    if (pid == 0)
        wait_for_ever();
    hear(PLAIN_CHANNEL);
    plain_kill(getpid(), SIGKILL);
    return 1;
}

static void workers_die_with_their_parent(void **state)
{
    struct worker worker = start(start_a_child_and_die);
    assert_int_equal(hear(worker.channel), 'g');
    assert_int_equal(say(worker.channel, '.'), 0);
    assert_int_equal(hear(worker.channel), '\0');
    assert_int_equal(finish(worker), -SIGKILL);
}

/* ---- No processes ---- */

static volatile int thread_ran;

static void *run_thread(void *arg)
{
    (void)arg;
    free(malloc(100));
    thread_ran++;
    return NULL;
}

static bool run_a_thread(void)
{
    pthread_t t;
    return pthread_create(&t, NULL, run_thread, NULL) == 0 && pthread_join(t, NULL) == 0;
}

static int live_without_processes(void)
{
    if (!run_a_thread())
        return 1;
    if (plain_forbid_processes() != 0)
        return 2;
    for (size_t size = 1; size < (size_t)8 << 20; size *= 3) {
        char *block = malloc(size);
        if (!block)
            return 3;
        block[size - 1] = 1;
        free(block);
    }
    if (!run_a_thread() || thread_ran != 2)
        return 4;
    return say(PLAIN_CHANNEL, 'x') == 0 ? 0 : 5;
}

static int exit_in_peace(void)
{
    if (plain_forbid_processes() != 0)
        return 1;
    exit(0);
}

static int try_to(int (*what)(void))
{
    if (plain_forbid_processes() != 0)
        return 1;
    what();
    return 2;
}

static int do_fork(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return 0;
}

static void *fork_there(void *arg)
{
    do_fork();
    return arg;
}

static int do_fork_in_a_thread(void)
{
    pthread_t t;
    pthread_create(&t, NULL, fork_there, NULL);
    return pthread_join(t, NULL);
}

static int do_spawn(void)
{
    char name[] = "true";
    char *argv[] = {name, NULL};
    pid_t pid;
    return posix_spawnp(&pid, name, NULL, NULL, argv, argv + 1);
}

static int do_exec(void)
{
    return execlp("true", "true", NULL);
}

static int fork_anyway(void)
{
    return try_to(do_fork);
}
static int fork_in_a_thread_anyway(void)
{
    return try_to(do_fork_in_a_thread);
}
static int spawn_anyway(void)
{
    return try_to(do_spawn);
}
static int exec_anyway(void)
{
    return try_to(do_exec);
}

static void a_worker_may_be_forbidden_processes(void **state)
{
    assert_int_equal(finish(start(live_without_processes)), 0);
    assert_int_equal(finish(start(exit_in_peace)), 0);
    assert_int_equal(finish(start(fork_anyway)), -SIGSYS);
    assert_int_equal(finish(start(fork_in_a_thread_anyway)), -SIGSYS);
    assert_int_equal(finish(start(spawn_anyway)), -SIGSYS);
    assert_int_equal(finish(start(exec_anyway)), -SIGSYS);
}

/* ---- Memory ---- */

static int allocate_too_much(void)
{
    void *volatile block = malloc((size_t)16 << 20); /* else a compiler leaves the pair out */
    free(block);
    if (!block || plain_limit_addresses((uint64_t)64 << 20) != 0)
        return 1;
    block = malloc((size_t)16 << 20);
    free(block);
    if (!block)
        return 2;
    block = malloc((size_t)128 << 20);
    bool refused = !block;
    free(block);
    if (refused != !WITH_SHADOW)
        return 3;
    return plain_limit_addresses((uint64_t)1 << 40) == 0 ? 0 : 4; /* no more than it has */
}

static void addresses_can_be_limited(void **state)
{
    assert_int_equal(finish(start(allocate_too_much)), 0);
}

static void shared_memory_is_mapped(void **state)
{
    char *base;
    char *again;
    int fd = memory_file_make();
    assert_true(fd >= 0);
    assert_int_equal(plain_shared_size(fd), 0);
    assert_int_equal(plain_shared_map(fd, 8192, &base), 0);
    assert_int_equal(plain_shared_map(fd, 8192, &again), 0);
    assert_int_equal(plain_shared_grow(fd, 8192), 0);
    assert_int_equal(plain_shared_size(fd), 8192);
    base[8191] = 'x';
    assert_int_equal(again[8191], 'x');
    plain_close(fd);
    assert_int_equal(plain_shared_size(fd), -EBADF);
    assert_int_equal(plain_shared_grow(fd, 1), -EBADF);
    assert_int_equal(plain_shared_map(fd, 8192, &again), -EBADF);
}

static void resident_memory_is_told(void **state)
{
    assert_in_range(plain_resident(getpid()), 100000, INT64_C(1) << 40);
    assert_int_equal(plain_resident(INT32_MAX), -ESRCH);
}

/* ---- Reading and writing ---- */

static int write_much(void)
{
    static char text[3][100000];
    struct iovec parts[40] = {{0}};
    for (int i = 0; i < 3; i++) {
        memset(text[i], 'a' + i, sizeof(text[i]));
        parts[1 + 17 * i] = (struct iovec){text[i], sizeof(text[i])};
    }
    return plain_write(PLAIN_CHANNEL, parts, 40) == 0 ? 0 : 1;
}

static void all_parts_are_written(void **state)
{
    struct worker worker = start(write_much);
    for (int i = 0; i < 300000; i += 100) {
        char text[100];
        size_t n = 0;
        while (n < sizeof(text)) {
            ssize_t got = plain_read(worker.channel, text + n, sizeof(text) - n);
            assert_true(got > 0);
            n += (size_t)got;
        }
        assert_int_equal(text[0], 'a' + i / 100000);
        assert_int_equal(text[99], 'a' + i / 100000);
    }
    char byte;
    assert_int_equal(plain_read(worker.channel, &byte, 1), 0);
    assert_int_equal(finish(worker), 0);
}

static int write_late(void)
{
    poll(NULL, 0, 20); /* time: so that the reader waits; nothing fails if it does not yet */
    return say(PLAIN_CHANNEL, 'x') == 0 ? 0 : 1;
}

static void sockets_that_do_not_block_are_waited_for(void **state)
{
    struct worker worker = start(write_late);
    assert_int_equal(fcntl(worker.channel, F_SETFL, O_NONBLOCK), 0);
    int passed = 5;
    char byte = '\0';
    assert_int_equal(plain_read_passed(worker.channel, &byte, 1, &passed), 1);
    assert_int_equal(byte, 'x');
    assert_int_equal(passed, -1);
    assert_int_equal(finish(worker), 0);
    assert_int_equal(plain_read(worker.channel, &byte, 1), -EBADF);
    assert_int_equal(say(worker.channel, 'x'), -EBADF);
    assert_int_equal(plain_read_passed(worker.channel, &byte, 1, &passed), -EBADF);
}

/* ---- Waiting ---- */

static int64_t now(void)
{
    return plain_work()->now(plain_work());
}

static int wait_for_what_comes(void)
{
    struct plain_end end;
    if (plain_wait(PLAIN_CHANNEL, 0, &end) != 0 || end.pid != 0)
        return 1;
    int64_t until = now() + 10 * NS_PER_MS;
    if (plain_wait(PLAIN_CHANNEL, until, &end) != 0 || end.pid != 0 || now() < until)
        return 2;
    say(PLAIN_CHANNEL, 'a');
    if (plain_wait(PLAIN_CHANNEL, INT64_MAX, &end) != 1 || end.pid != 0)
        return 3;
    if (hear(PLAIN_CHANNEL) != 'b')
        return 4;
    return plain_wait(-1, now() + NS_PER_MS, &end) == 0 ? 0 : 5;
}

static void a_wait_ends_with_what_comes(void **state)
{
    struct worker worker = start(wait_for_what_comes);
    assert_int_equal(hear(worker.channel), 'a');
    assert_int_equal(say(worker.channel, 'b'), 0);
    assert_int_equal(finish(worker), 0);
}

/* A child that ends at any moment, before the wait or in it, ends the wait; 200 of them, so that
 * the moments differ. */
static int reap_children(void)
{
    struct plain_end end;
    for (int i = 0; i < 200; i++) {
        pid_t pid = plain_fork();
        if (pid == 0)
            plain_exit(i % 100);
        for (volatile int spin = 0; spin < (i % 20) * 10000; spin++)
            continue;
        if (plain_wait(PLAIN_CHANNEL, now() + 20 * NS_PER_S, &end) != 0)
            return 1;
        if (end.pid != pid || end.status != i % 100 || end.signal != 0)
            return 2;
    }
    pid_t pids[2];
    for (int i = 0; i < 2; i++) {
        pids[i] = plain_fork();
        if (pids[i] == 0)
            for (;;)
                pause();
    }
    say(PLAIN_CHANNEL, 'a');
    if (plain_wait(PLAIN_CHANNEL, INT64_MAX, &end) != 1 || end.pid != 0)
        return 3;
    for (int i = 0; i < 2; i++) { /* one at a time, and the channel with each */
        plain_kill(pids[i], SIGUSR1);
        do
            if (plain_wait(PLAIN_CHANNEL, INT64_MAX, &end) != 1)
                return 4;
        while (end.pid == 0);
        if (end.pid != pids[i] || end.signal != SIGUSR1 || end.status != 0)
            return 5;
    }
    return 0;
}

static void a_wait_ends_with_a_childs_end(void **state)
{
    struct worker worker = start(reap_children);
    assert_int_equal(hear(worker.channel), 'a');
    assert_int_equal(say(worker.channel, 'b'), 0);
    assert_int_equal(finish(worker), 0);
}

static void work_is_timed(void **state)
{
    struct work *work = plain_work();
    int64_t processor = work->processor(work);
    work->burn(work, 3 * NS_PER_MS);
    assert_true(work->processor(work) - processor >= 3 * NS_PER_MS);
    assert_true(work->now(work) > 0);
}

TEST_FILE(plain)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worker_takes_orders_by_its_channel_only),
        cmocka_unit_test(a_worker_without_a_parent_ends),
        cmocka_unit_test(workers_die_with_their_parent),
        cmocka_unit_test(a_worker_may_be_forbidden_processes),
        cmocka_unit_test(addresses_can_be_limited),
        cmocka_unit_test(shared_memory_is_mapped),
        cmocka_unit_test(resident_memory_is_told),
        cmocka_unit_test(all_parts_are_written),
        cmocka_unit_test(sockets_that_do_not_block_are_waited_for),
        cmocka_unit_test(a_wait_ends_with_what_comes),
        cmocka_unit_test(a_wait_ends_with_a_childs_end),
        cmocka_unit_test(work_is_timed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
