/*
 * child.c: child processes.
 *
 * libuv reaps: on SIGCHLD each loop asks for each of its own children, so that several loops in one
 * process, and a program's other children, do not disturb each other. Between the moment that a
 * child is reaped, after which its pid may be another's, and the moment that we are told, no
 * coroutine runs: both happen in one event. So a signal never reaches a stranger.
 *
 * A process group's number stays taken while anybody is in the group, but may be a stranger's the
 * moment that nobody is. So after its leader was reaped, the group is reached through a pidfd of
 * the leader, which means that group or none; kernels before 6.9 cannot, and there, who is left of
 * a group whose leader has ended by itself is left alone.
 *
 * Standard streams are socket pairs, not pipes: one descriptor for both directions of the same
 * stream code. (A child that opens /dev/stdin by name cannot; sockets have no such name.)
 */
#include "base/mem.h"
#include "world/environment.h"
#include "world/uv/internal.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PIDFD_SIGNAL_PROCESS_GROUP
#    define PIDFD_SIGNAL_PROCESS_GROUP (1U << 2)
#endif

static struct uv_child *of(struct child *c)
{
    return container_of(c, struct uv_child, child);
}

/* The group that it leads. While it has not been reaped, its number is nobody else's. */
static void kill_group(const struct uv_child *c)
{
    if (!c->leads_group)
        return;
    if (!c->ended)
        kill(-c->pid, SIGKILL);
    else if (c->group_fd >= 0)
        syscall(SYS_pidfd_send_signal, c->group_fd, SIGKILL, NULL, PIDFD_SIGNAL_PROCESS_GROUP);
}

/* After its end. */
static void end_groups(struct uv_child *c)
{
    kill_group(c);
    if (c->group_fd >= 0)
        close(c->group_fd);
    c->group_fd = -1;
    if (!c->cgroup)
        return;
    c->ran_out_of_memory = cgroup_ran_out(c->cgroup);
    cgroup_kill(c->cgroup);
    cgroup_leave(c->cgroup);
    c->cgroup = NULL;
}

void child_has_ended(struct uv_child *c, uv_handle_t *uv)
{
    struct handle *h = &c->child.handle;
    c->ended = true;
    end_groups(c);
    if (c->waiter)
        coro_wake(c->waiter, 0);
    handle_leave(h, uv);
    if (h->closed) {
        uv_world_of_handle(h)->leaving--;
        handle_release(h);
    }
    loop_woke(uv_world_of_handle(h)); /* last: who runs now may close it */
}

static void on_exit(uv_process_t *process, int64_t status, int signal)
{
    struct uv_child *c = container_of(process, struct uv_child, process);
    c->exit = (struct child_exit){.status = signal ? 0 : (int)status, .signal = signal};
    child_has_ended(c, (uv_handle_t *)process);
}

/* ---- Standard streams, and the channel ---- */

#define CHANNEL 3
#define ENDS    4

struct ends {
    struct uv_stream *ours[ENDS];
    int theirs[ENDS]; /* -1: none */
};

/* Where the stream is to be stored; NULL: none is wanted. */
static struct stream **place(const struct spawn_options *options, int i)
{
    return i == CHANNEL ? options->channel : options->standard[i];
}

static void ends_release(struct ends *e, bool spawned)
{
    for (int i = 0; i < ENDS; i++) {
        if (e->theirs[i] >= 0)
            close(e->theirs[i]);
        if (e->ours[i] && !spawned)
            stream_close(&e->ours[i]->stream);
    }
}

static int make_ends(struct uv_world *w, const struct spawn_options *options, struct ends *e)
{
    *e = (struct ends){.theirs = {-1, -1, -1, -1}};
    for (int i = 0; i < ENDS; i++) {
        int rc = place(options, i) ? pair_with(w, &e->ours[i], &e->theirs[i]) : 0;
        if (rc) {
            ends_release(e, false);
            return rc;
        }
    }
    return 0;
}

/* ---- Spawning ---- */

/* What the child is given. */
struct strings {
    const char *const *argv;
    const char *const *env; /* NULL: this process's own */
};

/* libuv does not write to them, but takes them without const. */
static char **without_const(const char *const *strings)
{
    char **same;
    memcpy(&same, &strings, sizeof(same));
    return same;
}

static uv_stdio_container_t inherited(int fd)
{
    return (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = fd};
}

/* Returns how many there are. */
static int fill_descriptors(
    uv_stdio_container_t *to, const struct spawn_options *options, const struct ends *e)
{
    for (int i = 0; i < 3; i++) {
        /* What is ignored is /dev/null to the child. */
        to[i].flags = e->theirs[i] >= 0 || i == STDERR_FILENO ? UV_INHERIT_FD : UV_IGNORE;
        to[i].data.fd = e->theirs[i] >= 0 ? e->theirs[i] : i;
    }
    int count = 3;
    for (unsigned i = 0; i < options->listener_count; i++)
        to[count++] = inherited(uv_world_listener_fd(options->listeners[i]));
    if (options->channel)
        to[count++] = inherited(e->theirs[CHANNEL]);
    if (options->shared)
        to[count++] = inherited(shared_fd(options->shared));
    return count;
}

static int start(struct uv_child *c, const struct spawn_options *options,
    const struct strings *strings, const struct ends *e)
{
    uv_stdio_container_t descriptors[3 + SPAWN_LISTENERS_MAX + 2];
    int count = fill_descriptors(descriptors, options, e);
    uv_process_options_t o = {
        .exit_cb = on_exit,
        .file = options->argv[0],
        .args = without_const(strings->argv),
        .env = strings->env ? without_const(strings->env) : NULL,
        .cwd = options->directory,
        .stdio_count = count,
        .stdio = descriptors,
        .flags = options->leads_group ? UV_PROCESS_DETACHED : 0, /* setsid */
    };
    c->pidfd = c->group_fd = -1;
    int rc = uv_spawn(&uv_world_of_handle(&c->child.handle)->loop, &c->process, &o);
    c->process.data = &c->child.handle;
    c->pid = c->process.pid;
    c->leads_group = rc == 0 && options->leads_group;
    if (c->leads_group)
        c->group_fd = (int)syscall(SYS_pidfd_open, c->pid, 0);
    return rc;
}

static int spawn(struct uv_world *w, const struct spawn_options *options,
    const struct strings *strings, struct child **out)
{
    struct ends ends;
    int rc = make_ends(w, options, &ends);
    if (rc)
        return rc;
    struct uv_child *c = mem_zalloc(sizeof(*c));
    if (!c) {
        ends_release(&ends, false);
        return -ENOMEM;
    }
    kind_opened(w, KIND_CHILD, &c->child.handle);
    rc = start(c, options, strings, &ends);
    ends_release(&ends, rc == 0);
    if (rc) {
        c->ended = true;
        handle_leave(&c->child.handle, (uv_handle_t *)&c->process);
        child_close(&c->child);
        return rc;
    }
    for (int i = 0; i < ENDS; i++)
        if (place(options, i))
            *place(options, i) = &ends.ours[i]->stream;
    *out = &c->child;
    return 0;
}

int uv_world_spawn(struct world *world, const struct spawn_options *options, struct child **out)
{
    const char *const *env = options->env;
    const char **merged = NULL;
    const char **titled = arguments_titled(options->argv, options->title);
    int rc = titled ? 0 : -ENOMEM;
    if (rc == 0 && options->env_add) {
        const char *const *own;
        memcpy(&own, &environ, sizeof(own)); /* the same, with const */
        env = merged = environment_merge(env ? env : own, options->env_add);
        rc = merged ? 0 : -ENOMEM;
    }
    if (rc == 0)
        rc = spawn(uv_world_of(world), options, &(struct strings){titled, env}, out);
    mem_free(merged);
    mem_free(titled);
    return rc;
}

/* ---- What can be asked of it ---- */

int uv_child_pid(const struct child *child)
{
    return ((const struct uv_child *)child)->pid;
}

int uv_child_wait(struct child *child, struct child_exit *out)
{
    struct uv_child *c = of(child);
    if (!c->ended) {
        c->waiter = coro_self();
        int rc = coro_park("child");
        c->waiter = NULL;
        if (rc)
            return rc;
        if (child->handle.closed)
            return -EBADF;
    }
    *out = c->exit;
    return 0;
}

int uv_child_signal(struct child *child, int signal)
{
    struct uv_child *c = of(child);
    if (c->ended)
        return -ESRCH;
    if (signal == SIGKILL)
        kill_group(c);
    return c->pidfd >= 0 ? adopted_child_signal(c, signal) : uv_process_kill(&c->process, signal);
}

void uv_child_close(struct child *child)
{
    struct uv_child *c = of(child);
    kind_closed(KIND_CHILD, &child->handle);
    if (c->waiter)
        coro_wake(c->waiter, -EBADF);
    if (c->ended)
        return;
    int rc = uv_child_signal(child, SIGKILL);
    (void)rc; /* it has ended a moment ago, and will be reaped as well */
    handle_hold(&child->handle);
    uv_world_of_handle(&child->handle)->leaving++;
}
