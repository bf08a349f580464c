/*
 * ready.c: until a descriptor is readable or writable: the one wait behind sockets, listeners and
 * watches.
 *
 * libuv watches level-triggered, and every change of what it is asked for costs two epoll_ctl
 * calls. So nothing is taken back at the end of a wait: a direction stays armed, and the next wait
 * on it costs no system call. When an event comes that nobody waits for, its direction is disarmed,
 * since the loop would spin on it; nothing is lost, as the next wait arms it again and the event is
 * still there.
 *
 * So the end of a connection on which nobody waits is seen at no cost: the direction is still armed
 * from the last read. If somebody wants to know (stream_cancel_on_end), an event that nobody reads
 * is looked into before it is disarmed. Where it was data, only the end and a failure are listened
 * for; and where the end stands behind data, nothing any more, since the loop would spin on it.
 *
 * A coroutine that was woken stays in its place until it runs: libuv may poll several times before
 * that, and it must not be taken for someone who no longer cares.
 */
#include "world/uv/internal.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

/* After how many calls in a row that found their descriptor ready a coroutine lets others run. */
#define UNWAITED_MAX 64

void ready_init(struct ready *r, struct handle *owner, int fd)
{
    r->owner = owner;
    r->reader = r->writer = r->on_end = NULL;
    r->fd = fd;
    r->polled = false;
    r->armed = r->seen = 0;
    r->unwaited = 0;
}

/* Whether nothing will ever be read any more. */
static bool has_ended(int fd)
{
    char byte;
    ssize_t got = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (got < 0 && errno == ENOTSOCK) { /* a pipe */
        struct pollfd seen = {.fd = fd, .events = POLLIN};
        return poll(&seen, 1, 0) == 1 && !(seen.revents & POLLIN);
    }
    return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

/* Something came and nobody reads it. Returns what to watch for from now on. */
static int look_for_end(struct ready *r, bool failed, int events)
{
    struct coro *c = r->on_end;
    if (!c)
        return 0;
    if (failed || has_ended(r->fd)) {
        r->on_end = NULL;
        coro_cancel(c);
        return 0;
    }
    return events & UV_DISCONNECT ? 0 : UV_DISCONNECT;
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct ready *r = container_of(poll, struct ready, poll);
    bool failed = status < 0;
    if (failed) {
        /* An error on the descriptor, for which libuv has stopped watching. Whoever waits will find
         * it by trying. */
        r->armed = 0;
        events = UV_READABLE | UV_WRITABLE;
    }
    r->seen |= (uint8_t)events;
    if (events & UV_READABLE && r->reader)
        coro_wake(r->reader, 0);
    if (events & UV_WRITABLE && r->writer)
        coro_wake(r->writer, 0);
    int wanted = (r->reader ? UV_READABLE : 0) | (r->writer ? UV_WRITABLE : 0);
    int also = 0;
    if (events & ~wanted & (UV_READABLE | UV_DISCONNECT))
        also = look_for_end(r, failed, events);
    if (events & r->armed & ~wanted) {
        r->armed = (uint8_t)((r->armed & wanted) | also);
        uv_sure(uv_poll_start(poll, r->armed, on_ready));
    }
    loop_woke(uv_world_of_handle(r->owner));
}

int ready_poll(struct ready *r)
{
    if (r->polled)
        return 0;
    int rc = uv_poll_init(&uv_world_of_handle(r->owner)->loop, &r->poll, r->fd);
    if (rc)
        return rc;
    r->poll.data = r->owner;
    r->polled = true;
    return 0;
}

static int arm(struct ready *r, int events)
{
    if (!(events & ~r->armed))
        return 0;
    int rc = ready_poll(r);
    if (rc)
        return rc;
    int others = (r->reader ? UV_READABLE : 0) | (r->writer ? UV_WRITABLE : 0);
    rc = uv_poll_start(&r->poll, events | others, on_ready);
    if (rc == 0)
        r->armed = (uint8_t)(events | others);
    return rc;
}

int ready_wait(struct ready *r, int events, const char *why)
{
    int rc = arm(r, events);
    if (rc)
        return rc;
    r->unwaited = 0;
    struct coro *self = coro_self();
    if (events & UV_READABLE)
        r->reader = self;
    if (events & UV_WRITABLE)
        r->writer = self;
    r->seen &= (uint8_t)~events;
    rc = coro_park(why);
    if (events & UV_READABLE)
        r->reader = NULL;
    if (events & UV_WRITABLE)
        r->writer = NULL;
    return rc == 0 && r->owner->closed ? -EBADF : rc;
}

void ready_cancel_on_end(struct ready *r, struct coro *c)
{
    r->on_end = c;
    if (!c || r->armed & UV_DISCONNECT)
        return;
    int rc = arm(r, UV_READABLE);
    (void)rc; /* where it cannot be watched, the next read or write will tell of its end */
}

int ready_be_fair(struct ready *r)
{
    if (++r->unwaited < UNWAITED_MAX)
        return 0;
    r->unwaited = 0;
    int rc = coro_yield();
    return rc == 0 && r->owner->closed ? -EBADF : rc;
}

void ready_close(struct ready *r)
{
    r->on_end = NULL;
    if (r->reader)
        coro_wake(r->reader, -EBADF);
    if (r->writer)
        coro_wake(r->writer, -EBADF);
    if (r->polled)
        handle_leave(r->owner, (uv_handle_t *)&r->poll);
    r->fd = -1;
}
