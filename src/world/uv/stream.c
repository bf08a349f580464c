/*
 * stream.c: connected sockets: TCP, Unix, and the parent's ends of its children's standard streams.
 *
 * In the steady state a message costs one read, one write and a share of one poll. A write is tried
 * at once, since sockets are nearly always writable. A read is tried at once only if there may be
 * something: a read that did not fill its buffer has emptied the socket, so the next one waits
 * first; the poll is level-triggered, so what came in between is not lost.
 */
#include "base/mem.h"
#include "world/uv/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct uv_stream *of(struct stream *s)
{
    return container_of(s, struct uv_stream, stream);
}

int stream_adopt(struct uv_world *w, int fd, const struct address *peer, struct uv_stream **out)
{
    struct uv_stream *s = mem_alloc(sizeof(*s));
    if (!s) {
        close(fd);
        return -ENOMEM;
    }
    kind_opened(w, KIND_STREAM, &s->stream.handle);
    ready_init(&s->ready, &s->stream.handle, fd);
    s->try_read = true;
    s->peer = *peer;
    *out = s;
    return 0;
}

ssize_t uv_stream_read(struct stream *stream, void *buffer, size_t size)
{
    struct uv_stream *s = of(stream);
    int rc = ready_be_fair(&s->ready);
    while (rc == 0) {
        if (s->try_read) {
            ssize_t got = recv(s->ready.fd, buffer, size, 0);
            if (got >= 0) {
                s->try_read = (size_t)got == size || got == 0;
                return got;
            }
            if (errno == EINTR)
                continue;
            if (errno != EAGAIN)
                return -errno;
        }
        rc = ready_wait(&s->ready, UV_READABLE, "read");
        s->try_read = rc == 0;
    }
    return rc;
}

static ssize_t send_parts(int fd, const struct iovec *parts, int count)
{
    if (count == 1)
        return send(fd, parts->iov_base, parts->iov_len, MSG_NOSIGNAL);
    /* sendmsg does not write to the parts, but takes them without const. */
    struct msghdr message = {.msg_iovlen = (size_t)count};
    memcpy(&message.msg_iov, &parts, sizeof(parts));
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

ssize_t uv_stream_write_some(struct stream *stream, const struct iovec *parts, int count)
{
    struct uv_stream *s = of(stream);
    int rc = ready_be_fair(&s->ready);
    while (rc == 0) {
        ssize_t wrote = send_parts(s->ready.fd, parts, count);
        if (wrote >= 0)
            return wrote;
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return -errno;
        rc = ready_wait(&s->ready, UV_WRITABLE, "write");
    }
    return rc;
}

int uv_stream_shutdown(struct stream *stream)
{
    return shutdown(of(stream)->ready.fd, SHUT_WR) == 0 ? 0 : -errno;
}

void uv_stream_peer(const struct stream *stream, struct address *out)
{
    *out = ((const struct uv_stream *)stream)->peer;
}

void uv_stream_close(struct stream *stream)
{
    struct uv_stream *s = of(stream);
    int fd = s->ready.fd;
    kind_closed(KIND_STREAM, &stream->handle);
    ready_close(&s->ready);
    close(fd);
}
