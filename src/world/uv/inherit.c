/*
 * inherit.c: descriptors that this process was started with, and others from elsewhere: listening
 * sockets, streams.
 *
 * Every descriptor of our own is closed by exec, so one that is not was inherited and nobody has
 * taken it yet. That needs no table of what was taken, and holds for libraries that behave, too.
 */
#include "world/uv/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_INHERITED 3

int uv_world_inherited_listener(struct world *w, unsigned index, struct listener **out)
{
    if (index >= (unsigned)INT32_MAX - FIRST_INHERITED)
        return -EBADF;
    int fd = FIRST_INHERITED + (int)index;
    int flags = fcntl(fd, F_GETFD);
    if (flags < 0 || flags & FD_CLOEXEC)
        return -EBADF;
    int rc = uv_world_adopt_listener(w, fd, out);
    if (rc)
        return rc == -ENOTSOCK ? -EINVAL : rc;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    return 0;
}

/* ---- Streams ---- */

/* Whether it is a pipe; -EINVAL if it is no stream at all. */
static int is_pipe(int fd)
{
    struct stat found;
    if (fstat(fd, &found) != 0)
        return -errno;
    if (S_ISFIFO(found.st_mode))
        return true;
    int type = 0;
    socklen_t size = sizeof(type);
    if (!S_ISSOCK(found.st_mode) || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 ||
        type != SOCK_STREAM)
        return -EINVAL;
    return false;
}

static int prepare(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
        return -errno;
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* others than TCP refuse */
    return 0;
}

static void find_peer(int fd, struct address *peer)
{
    *peer = (struct address){.len = sizeof(peer->local)};
    if (getpeername(fd, &peer->any, &peer->len) != 0)
        *peer = (struct address){
            .len = offsetof(struct sockaddr_un, sun_path), .local.sun_family = AF_UNIX};
}

int uv_world_adopt_stream(struct world *world, int fd, struct stream **out)
{
    int pipe = is_pipe(fd);
    if (pipe < 0)
        return pipe;
    int rc = prepare(fd);
    if (rc)
        return rc;
    struct address peer;
    find_peer(fd, &peer);
    struct uv_stream *s = stream_on(uv_world_of(world), fd, &peer);
    if (!s)
        return -ENOMEM;
    s->is_pipe = pipe;
    *out = &s->stream;
    return 0;
}

int uv_world_stream_fd(const struct stream *s)
{
    return ((const struct uv_stream *)s)->ready.fd;
}

/* Its place is taken by /dev/null: were it free, the next descriptor to be opened would become this
 * process's standard output. */
int uv_world_inherited_stream(struct world *w, int which, struct stream **out)
{
    int rc = is_pipe(which);
    if (rc < 0)
        return rc == -EBADF ? -EINVAL : rc;
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (nothing < 0)
        return -errno;
    int fd = fcntl(which, F_DUPFD_CLOEXEC, FIRST_INHERITED);
    rc = fd < 0 ? -errno : uv_world_adopt_stream(w, fd, out);
    if (rc == 0)
        dup2(nothing, which);
    else if (fd >= 0)
        close(fd);
    close(nothing);
    return rc;
}
