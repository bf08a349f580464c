/*
 * stream.c: connected sockets: TCP, Unix, and the parent's ends of its children's standard streams.
 *
 * In the steady state a message costs one read, one write and a share of one poll. A write is tried
 * at once, since sockets are nearly always writable. A read is tried at once only if there may be
 * something: a read that did not fill its buffer has emptied the socket, so the next one waits
 * first; the poll is level-triggered, so what came in between is not lost.
 */
#include "base/mem.h"
#include "base/sanitizers.h"
#include "world/uv/internal.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct uv_stream *of(struct stream *s)
{
    return container_of(s, struct uv_stream, stream);
}

struct uv_stream *stream_on(struct uv_world *w, int fd, const struct address *peer)
{
    struct uv_stream *s = mem_alloc(sizeof(*s));
    if (!s)
        return NULL;
    kind_opened(w, KIND_STREAM, &s->stream.handle);
    ready_init(&s->ready, &s->stream.handle, fd);
    s->try_read = true;
    s->is_pipe = false;
    s->peer = *peer;
    return s;
}

int stream_adopt(struct uv_world *w, int fd, const struct address *peer, struct uv_stream **out)
{
    *out = stream_on(w, fd, peer);
    if (*out)
        return 0;
    close(fd);
    return -ENOMEM;
}

/* TCP that gives up on a silent peer says ETIMEDOUT, which is our word for a deadline. */
static int error_of(int number)
{
    return number == ETIMEDOUT ? -ECONNRESET : -number;
}

/* In a process with several threads, as with a watchdog, the C library's recv and send turn thread
 * cancellation, which nobody here uses, on and off again around the call: some 1 % of a message.
 * Sanitizers want to see the calls. */
#if defined(SYS_recvfrom) && defined(SYS_sendto) && !WITH_ASAN && !WITH_TSAN
static inline ssize_t receive_from(int fd, void *buffer, size_t size)
{
    return syscall(SYS_recvfrom, fd, buffer, size, 0, NULL, NULL);
}
static inline ssize_t send_to(int fd, const void *data, size_t size)
{
    return syscall(SYS_sendto, fd, data, size, MSG_NOSIGNAL, NULL, 0);
}
static inline ssize_t send_message(int fd, const struct msghdr *message)
{
    return syscall(SYS_sendmsg, fd, message, MSG_NOSIGNAL);
}
#else
static inline ssize_t receive_from(int fd, void *buffer, size_t size)
{
    return recv(fd, buffer, size, 0);
}
static inline ssize_t send_to(int fd, const void *data, size_t size)
{
    return send(fd, data, size, MSG_NOSIGNAL);
}
static inline ssize_t send_message(int fd, const struct msghdr *message)
{
    return sendmsg(fd, message, MSG_NOSIGNAL);
}
#endif

/* ---- Reading ---- */

static inline ssize_t receive(const struct uv_stream *s, void *buffer, size_t size)
{
    return __builtin_expect(s->is_pipe, 0) ? read(s->ready.fd, buffer, size)
                                           : receive_from(s->ready.fd, buffer, size);
}

ssize_t uv_stream_read(struct stream *stream, void *buffer, size_t size)
{
    struct uv_stream *s = of(stream);
    int rc = ready_be_fair(&s->ready);
    while (rc == 0) {
        if (s->try_read) {
            ssize_t got = receive(s, buffer, size);
            if (got > 0) {
                s->try_read = (size_t)got == size;
                return got;
            }
            if (got < 0 && errno == EINTR)
                continue;
            if (got == 0 || errno != EAGAIN) {
                s->ready.on_end = NULL; /* it is told now */
                return got == 0 ? 0 : error_of(errno);
            }
        }
        rc = ready_wait(&s->ready, UV_READABLE, "read");
        s->try_read = rc == 0;
    }
    return rc;
}

/* ---- Writing ---- */

/* Pipes know no MSG_NOSIGNAL: the SIGPIPE that this thread gets for it is taken back. */
static ssize_t write_to_pipe(int fd, const struct iovec *parts, int count)
{
    static const struct timespec at_once = {0};
    sigset_t pipe;
    sigset_t before;
    sigset_t pending;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    ssize_t wrote = writev(fd, parts, count);
    int error = errno;
    if (wrote < 0 && error == EPIPE && !sigismember(&pending, SIGPIPE))
        sigtimedwait(&pipe, NULL, &at_once);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return wrote;
}

static ssize_t send_parts(const struct uv_stream *s, const struct iovec *parts, int count)
{
    int fd = s->ready.fd;
    if (__builtin_expect(s->is_pipe, 0))
        return write_to_pipe(fd, parts, count);
    if (count == 1)
        return send_to(fd, parts->iov_base, parts->iov_len);
    /* sendmsg does not write to the parts, but takes them without const. */
    struct msghdr message = {.msg_iovlen = (size_t)count};
    memcpy(&message.msg_iov, &parts, sizeof(parts));
    return send_message(fd, &message);
}

ssize_t uv_stream_write_some(struct stream *stream, const struct iovec *parts, int count)
{
    struct uv_stream *s = of(stream);
    int rc = ready_be_fair(&s->ready);
    while (rc == 0) {
        ssize_t wrote = send_parts(s, parts, count);
        if (wrote >= 0)
            return wrote;
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return error_of(errno);
        rc = ready_wait(&s->ready, UV_WRITABLE, "write");
    }
    return rc;
}

int uv_stream_shutdown(struct stream *stream)
{
    return shutdown(of(stream)->ready.fd, SHUT_WR) == 0 ? 0 : error_of(errno);
}

/* While the descriptor is armed and no event has come, the last poll has seen nothing: no system
 * call is needed to know it. Where somebody waits for the event, it may have come and not been
 * taken yet. */
bool uv_stream_quiet(struct stream *stream)
{
    struct uv_stream *s = of(stream);
    if (!s->try_read && s->ready.armed & UV_READABLE && !s->ready.reader)
        return true;
    char byte;
    ssize_t got = recv(s->ready.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got < 0 && (errno == EAGAIN || errno == EINTR);
}

void uv_stream_cancel_on_end(struct stream *stream, struct coro *c)
{
    ready_cancel_on_end(&of(stream)->ready, c);
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
