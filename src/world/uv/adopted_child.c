/*
 * adopted_child.c: children that this process has without having spawned them: a program that
 * replaces itself by exec keeps its children, but libuv knows only its own.
 *
 * A pidfd is readable once its process has ended, and everything asked through it reaches that
 * process or nobody. libuv waits for its own children by their pids, so the two do not take each
 * other's.
 */
#include "base/mem.h"
#include "world/uv/internal.h"

#include <errno.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef P_PIDFD
#    define P_PIDFD 3 /* glibc before 2.36 */
#endif

int adopted_child_signal(const struct uv_child *c, int signal)
{
    return syscall(SYS_pidfd_send_signal, c->pidfd, signal, NULL, 0) == 0 ? 0 : -errno;
}

/* 1 and how it ended, 0 while it runs, or a negative errno. With WNOWAIT in `more` it is not
 * reaped. */
static int ask(int pidfd, int more, struct child_exit *out)
{
    siginfo_t info = {0};
    int rc;
    do
        rc = waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG | more);
    while (rc != 0 && errno == EINTR);
    if (rc != 0)
        return -errno;
    if (info.si_pid == 0)
        return 0;
    bool exited = info.si_code == CLD_EXITED;
    *out = (struct child_exit){
        .status = exited ? info.si_status : 0, .signal = exited ? 0 : info.si_status};
    return 1;
}

static void on_end(uv_poll_t *poll, int status, int events)
{
    struct uv_child *c = container_of(poll, struct uv_child, poll);
    if (ask(c->pidfd, 0, &c->exit) == 0)
        return;
    int pidfd = c->pidfd;
    child_has_ended(c, (uv_handle_t *)poll);
    close(pidfd); /* when libuv has let go of it */
}

static int watch(struct uv_world *w, struct uv_child *c)
{
    int rc = uv_poll_init(&w->loop, &c->poll, c->pidfd);
    if (rc)
        return rc;
    c->poll.data = &c->child.handle;
    rc = uv_poll_start(&c->poll, UV_READABLE, on_end);
    if (rc) {
        c->ended = true;
        handle_leave(&c->child.handle, (uv_handle_t *)&c->poll);
    }
    return rc;
}

int uv_world_adopt_child(struct world *world, int pid, struct child **out)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0)
        return -errno;
    struct child_exit ignored;
    int rc = ask(pidfd, WNOWAIT, &ignored);
    struct uv_child *c = rc < 0 ? NULL : mem_zalloc(sizeof(*c));
    if (!c) {
        close(pidfd);
        return rc < 0 ? rc : -ENOMEM;
    }
    c->pid = pid;
    c->pidfd = pidfd;
    c->group_fd = -1;
    kind_opened(uv_world_of(world), KIND_CHILD, &c->child.handle);
    rc = watch(uv_world_of(world), c);
    if (rc) {
        close(pidfd);
        c->ended = true;
        child_close(&c->child);
        return rc;
    }
    *out = &c->child;
    return 0;
}
