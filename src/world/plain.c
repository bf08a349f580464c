/*
 * plain.c: what a process without a loop asks of the kernel.
 *
 * Waiting for several things at once without a race: SIGCHLD is blocked but while ppoll waits, and
 * has a handler, which does nothing; so a child that ends a moment before the wait interrupts it
 * all the same.
 */
#include "world/plain.h"

#include "base/bug.h"
#include "base/sanitizers.h"
#include "base/time.h"
#include "world/memory_file.h"
#include "world/process_memory.h"
#include "world/real_work.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- A worker's beginning ---- */

static int die_with_parent(void)
{
    return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 ? 0 : -errno;
}

/* What a terminal or an init sends to the whole group is the parent's affair. */
static int ignore_signals(void)
{
    static const int numbers[] = {SIGINT, SIGHUP, SIGTERM, SIGPIPE};
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
        if (sigaction(numbers[i], &ignore, NULL) != 0)
            return -errno;
    return 0;
}

/* A parent that was gone before die_with_parent sends no signal any more; but its end of the
 * channel is closed. */
static int look_for_parent(void)
{
    struct pollfd channel = {.fd = PLAIN_CHANNEL};
    int rc = poll(&channel, 1, 0);
    if (rc < 0)
        return -errno;
    if (channel.revents & POLLNVAL)
        return -EBADF;
    if (channel.revents & (POLLHUP | POLLERR))
        plain_exit(0);
    return 0;
}

int plain_begin(void)
{
    int rc = die_with_parent();
    if (rc == 0)
        rc = look_for_parent();
    if (rc == 0)
        rc = ignore_signals();
    if (rc == 0 && fcntl(PLAIN_CHANNEL, F_SETFD, FD_CLOEXEC) != 0)
        rc = -errno;
    if (rc == 0 && fcntl(PLAIN_SHARED, F_SETFD, FD_CLOEXEC) != 0 && errno != EBADF)
        rc = -errno; /* there need not be any */
    return rc;
}

/* ---- Memory ---- */

int64_t plain_resident(pid_t pid)
{
    struct process_memory now;
    int rc = process_memory(pid, &now);
    return rc ? rc : now.resident;
}

/* The sanitizers' shadows take terabytes of addresses. */
int plain_limit_addresses(uint64_t more)
{
    struct process_memory has;
    if (WITH_SHADOW)
        return 0;
    int rc = process_memory(getpid(), &has);
    if (rc)
        return rc;
    uint64_t now = (uint64_t)has.mapped;
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) != 0)
        return -errno;
    if (more < limit.rlim_max - now && now < limit.rlim_max)
        limit.rlim_cur = limit.rlim_max = now + more;
    return setrlimit(RLIMIT_AS, &limit) == 0 ? 0 : -errno;
}

int plain_shared_map(int fd, size_t max, char **base)
{
    return memory_file_map(fd, max, base);
}

int64_t plain_shared_size(int fd)
{
    return memory_file_size(fd);
}

int plain_shared_grow(int fd, size_t size)
{
    return memory_file_grow(fd, size);
}

/* ---- Reading and writing ---- */

/* After a call that failed: 0 if it is to be made again. A socket that somebody has passed may be
 * one that does not block. */
static int again(int fd, short events)
{
    if (errno == EINTR)
        return 0;
    if (errno != EAGAIN)
        return -errno;
    struct pollfd wanted = {.fd = fd, .events = events};
    return poll(&wanted, 1, -1) >= 0 || errno == EINTR ? 0 : -errno;
}

ssize_t plain_read(int fd, void *buffer, size_t size)
{
    int rc;
    do {
        ssize_t got = read(fd, buffer, size);
        if (got >= 0)
            return got;
        rc = again(fd, POLLIN);
    } while (rc == 0);
    return rc;
}

union control {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(int))];
};

static int passed_in(struct msghdr *message)
{
    int fd = -1;
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len >= CMSG_LEN(sizeof(fd)))
        memcpy(&fd, CMSG_DATA(header), sizeof(fd));
    return fd;
}

/* There is room for one descriptor: the kernel closes further ones. */
ssize_t plain_read_passed(int fd, void *buffer, size_t size, int *passed)
{
    int rc;
    *passed = -1;
    do {
        union control control = {0};
        struct iovec part = {.iov_base = buffer, .iov_len = size};
        struct msghdr message = {.msg_iov = &part,
            .msg_iovlen = 1,
            .msg_control = &control,
            .msg_controllen = CMSG_LEN(sizeof(int))};
        ssize_t got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
        if (got >= 0) {
            *passed = passed_in(&message);
            return got;
        }
        rc = again(fd, POLLIN);
    } while (rc == 0);
    return rc;
}

#define PARTS_MAX 16

/* Some of the parts from `*done` bytes into the first one. Returns how much was written. */
static ssize_t write_some(int fd, const struct iovec *parts, int count, size_t done)
{
    struct iovec rest[PARTS_MAX];
    struct msghdr message = {.msg_iov = rest};
    for (int i = 0; i < count && i < PARTS_MAX; i++)
        rest[message.msg_iovlen++] = parts[i];
    rest[0].iov_base = (char *)rest[0].iov_base + done;
    rest[0].iov_len -= done;
    int rc;
    do {
        ssize_t wrote = sendmsg(fd, &message, MSG_NOSIGNAL);
        if (wrote >= 0)
            return wrote;
        rc = again(fd, POLLOUT);
    } while (rc == 0);
    return rc;
}

int plain_write(int fd, const struct iovec *parts, int count)
{
    size_t done = 0; /* of the first part */
    while (count > 0) {
        if (parts->iov_len == done) {
            parts++;
            count--;
            done = 0;
            continue;
        }
        ssize_t wrote = write_some(fd, parts, count, done);
        if (wrote < 0)
            return (int)wrote;
        done += (size_t)wrote;
        while (count > 0 && done >= parts->iov_len) {
            done -= parts->iov_len;
            parts++;
            count--;
        }
    }
    return 0;
}

void plain_close(int fd)
{
    close(fd);
}

/* ---- Processes ---- */

int plain_set_channel(int fd)
{
    if (dup3(fd, PLAIN_CHANNEL, O_CLOEXEC) < 0)
        return -errno;
    plain_close(fd);
    return 0;
}

/* Of the two who look whether the other is there, one always comes second: the kernel, which sends
 * the signal at the parent's end, or the child. */
pid_t plain_fork(void)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0 && (die_with_parent() != 0 || getppid() != parent))
        plain_exit(0);
    return pid;
}

void plain_kill(pid_t pid, int signal)
{
    check(pid > 0, "plain_kill was asked for process %d, which is none", (int)pid);
    kill(pid, signal);
}

void plain_exit(int status)
{
    _exit(status);
}

static void on_child(int signal)
{
    (void)signal;
}

/* The mask while it waits. Costs system calls only once. */
static int watch_children(sigset_t *waiting)
{
    static bool watched;
    static sigset_t mask;
    if (!watched) {
        const struct sigaction handle = {.sa_handler = on_child, .sa_flags = SA_NOCLDSTOP};
        sigset_t child;
        sigemptyset(&child);
        sigaddset(&child, SIGCHLD);
        if (sigaction(SIGCHLD, &handle, NULL) != 0 || sigprocmask(SIG_BLOCK, &child, &mask) != 0)
            return -errno;
        sigdelset(&mask, SIGCHLD);
        watched = true;
    }
    *waiting = mask;
    return 0;
}

static void reap(struct plain_end *ended)
{
    int status;
    pid_t pid = waitpid(-1, &status, WNOHANG);
    *ended = (struct plain_end){0};
    if (pid <= 0)
        return;
    ended->pid = pid;
    ended->status = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    ended->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

int plain_wait(int fd, int64_t until, struct plain_end *ended)
{
    sigset_t waiting;
    int rc = watch_children(&waiting);
    if (rc)
        return rc;
    reap(ended);
    for (;;) {
        struct pollfd wanted = {.fd = fd, .events = POLLIN};
        struct work *clock = plain_work();
        int64_t left = ended->pid ? 0 : until - clock->now(clock);
        left = left > 0 ? left : 0;
        struct timespec span = {.tv_sec = left / NS_PER_S, .tv_nsec = left % NS_PER_S};
        bool endless = until == INT64_MAX && !ended->pid;
        rc = ppoll(&wanted, 1, endless ? NULL : &span, &waiting);
        if (rc >= 0)
            return rc > 0;
        if (errno != EINTR)
            return -errno;
        if (!ended->pid)
            reap(ended);
    }
}

/* ---- Work ---- */

struct work *plain_work(void)
{
    static struct work work;
    if (!work.now)
        work_real_init(&work);
    return &work;
}
