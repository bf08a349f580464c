/*
 * pair.c: socket pairs, and sockets that are passed through one to the process at its other end.
 *
 * A stream's descriptor does not block, and that is a mark of the socket, not of the descriptor:
 * who is passed one would find it so. Processes that are passed sockets wait by blocking (plain.h),
 * so the mark is taken off first; nobody waits on the stream here any more.
 */
#include "base/mem.h"
#include "world/uv/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct address nameless = {
    .len = offsetof(struct sockaddr_un, sun_path), .local.sun_family = AF_UNIX};

int pair_with(struct uv_world *w, struct uv_stream **ours, int *theirs)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return -errno;
    int rc = fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0 ? 0 : -errno;
    if (rc)
        close(pair[0]);
    else
        rc = stream_adopt(w, pair[0], &nameless, ours);
    if (rc)
        close(pair[1]);
    else
        *theirs = pair[1];
    return rc;
}

int uv_world_stream_pair(struct world *world, struct stream **a, struct stream **b)
{
    struct uv_world *w = uv_world_of(world);
    struct uv_stream *left = NULL;
    struct uv_stream *right = NULL;
    int fd = -1;
    int rc = pair_with(w, &left, &fd);
    if (rc)
        return rc;
    if (fcntl(fd, F_SETFL, O_NONBLOCK) == 0) {
        rc = stream_adopt(w, fd, &nameless, &right);
    } else {
        rc = -errno;
        close(fd);
    }
    if (rc) {
        stream_close(&left->stream);
        return rc;
    }
    *a = &left->stream;
    *b = &right->stream;
    return 0;
}

/* ---- Passing ---- */

static int make_blocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) == 0 ? 0 : -errno;
}

static ssize_t send_with(int fd, const void *data, size_t size, int passed)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec part = {.iov_len = size};
    memcpy(&part.iov_base, &data, sizeof(data)); /* without const */
    struct msghdr message = {.msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control.room)};
    control.header = (struct cmsghdr){
        .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(&control.header), &passed, sizeof(passed));
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

ssize_t uv_stream_write_passing(
    struct stream *stream, const void *data, size_t size, struct stream *passed)
{
    struct uv_stream *s = container_of(stream, struct uv_stream, stream);
    int fd = uv_world_stream_fd(passed);
    int rc = make_blocking(fd);
    while (rc == 0) {
        ssize_t wrote = send_with(s->ready.fd, data, size, fd);
        if (wrote >= 0)
            return wrote;
        if (errno == EAGAIN)
            rc = ready_wait(&s->ready, UV_WRITABLE, "write");
        else if (errno != EINTR)
            return -errno;
    }
    return rc;
}
