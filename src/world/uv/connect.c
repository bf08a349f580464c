/*
 * connect.c: outgoing connections.
 *
 * The stream is made first and the connection happens on it, so that the wait, its deadline and its
 * cancellation are those of any stream; only a connected one is handed out.
 *
 * A Unix listener whose backlog is full answers EAGAIN, and nothing says when it has room again. A
 * blocking socket would wait in the kernel; here the caller tries again after growing sleeps, until
 * its deadline.
 */
#include "world/uv/internal.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

#define RETRY_MIN_NS (1 * NS_PER_MS)
#define RETRY_MAX_NS (50 * NS_PER_MS)

/* TCP that gives up on a silent peer says ETIMEDOUT, which is our word for a deadline. */
static int error_of(int number)
{
    return number == ETIMEDOUT ? -EHOSTUNREACH : -number;
}

static int finish(struct uv_stream *s)
{
    int rc = ready_wait(&s->ready, UV_WRITABLE, "connect");
    if (rc)
        return rc;
    int error = 0;
    socklen_t size = sizeof(error);
    if (getsockopt(s->ready.fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        return -errno;
    return error_of(error);
}

static int establish(struct world *w, struct uv_stream *s)
{
    int64_t pause = RETRY_MIN_NS;
    for (;;) {
        if (connect(s->ready.fd, &s->peer.any, s->peer.len) == 0)
            return 0;
        if (errno == EINPROGRESS || errno == EINTR)
            return finish(s);
        if (errno != EAGAIN || s->peer.any.sa_family != AF_UNIX)
            return error_of(errno);
        int rc = world_sleep(w, pause);
        if (rc)
            return rc;
        pause = pause * 2 < RETRY_MAX_NS ? pause * 2 : RETRY_MAX_NS;
    }
}

int uv_world_connect(struct world *w, const struct address *to, struct stream **out)
{
    int fd = socket(to->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int one = 1;
    if (to->any.sa_family != AF_UNIX &&
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0) {
        int rc = -errno;
        close(fd);
        return rc;
    }
    struct uv_stream *s;
    int rc = stream_adopt(uv_world_of(w), fd, to, &s);
    if (rc)
        return rc;
    rc = establish(w, s);
    if (rc) {
        stream_close(&s->stream);
        return rc;
    }
    s->try_read = false; /* whoever connects speaks first, or waits for the other to speak */
    *out = &s->stream;
    return 0;
}
