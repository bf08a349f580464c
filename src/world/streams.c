/*
 * streams.c: the calls of world.h for listeners and streams: see world.c.
 */
#include "world/guard.h"

#include <string.h>

/* ---- Listeners ---- */

int world_listen(struct world *w, const struct address *at, const struct listen_options *options,
    struct listener **out)
{
    static const struct listen_options defaults = {.backlog = WORLD_BACKLOG_DEFAULT};
    check_here(w, "world_listen");
    return w->ops->listen(w, at, options ? options : &defaults, out);
}

int listener_accept(struct listener *l, struct stream **out)
{
    int rc = begin_wait(&l->handle, HANDLE_READ, "listener_accept");
    if (rc)
        return rc;
    rc = l->handle.world->ops->accept(l, out);
    end_wait(&l->handle, HANDLE_READ);
    return rc;
}

int listener_try_accept(struct listener *l, struct stream **out)
{
    check_open(&l->handle, "listener_try_accept");
    return l->handle.world->ops->try_accept(l, out);
}

int world_share_listener(struct world *w, struct listener *l, struct listener **out)
{
    check_here(w, "world_share_listener");
    dcheck(l->handle.world->ops == w->ops,
        "world_share_listener was given a real and a simulated one, which cannot share");
    return w->ops->share_listener(w, l, out);
}

int world_inherited_listener(struct world *w, unsigned index, struct listener **out)
{
    check_here(w, "world_inherited_listener");
    return w->ops->inherited_listener(w, index, out);
}

void listener_address(const struct listener *l, struct address *out)
{
    check_open(&l->handle, "listener_address");
    l->handle.world->ops->listener_address(l, out);
}

void listener_close(struct listener *l)
{
    begin_close(&l->handle, "listener_close")->listener_close(l);
    handle_release(&l->handle);
}

/* ---- Streams ---- */

int world_connect(struct world *w, const struct address *to, struct stream **out)
{
    check_waiter(w, "world_connect");
    int rc = coro_poll();
    return rc ? rc : w->ops->connect(w, to, out);
}

ssize_t stream_read(struct stream *s, void *buffer, size_t size)
{
    int rc = begin_wait(&s->handle, HANDLE_READ, "stream_read");
    if (rc)
        return rc;
    dcheck(size > 0, "stream_read was given no room to read into");
    ssize_t got = s->handle.world->ops->read(s, buffer, size);
    end_wait(&s->handle, HANDLE_READ);
    return got;
}

/* The world sees at most this many parts at a time, so that none needs to copy or allocate the
 * array. */
#define PARTS_MAX 64

ssize_t stream_write_some(struct stream *s, const struct iovec *parts, int count)
{
    int rc = begin_wait(&s->handle, HANDLE_WRITE, "stream_write_some");
    if (rc)
        return rc;
    ssize_t wrote =
        s->handle.world->ops->write_some(s, parts, count < PARTS_MAX ? count : PARTS_MAX);
    end_wait(&s->handle, HANDLE_WRITE);
    return wrote;
}

/* Copies into `rest` what is left of `parts` after `done` bytes, as far as it fits; returns how
 * many parts that is. */
static int parts_after(const struct iovec *parts, int count, size_t done, struct iovec *rest)
{
    int n = 0;
    for (int i = 0; i < count && n < PARTS_MAX; i++) {
        if (done >= parts[i].iov_len) {
            done -= parts[i].iov_len;
            continue;
        }
        rest[n].iov_base = (char *)parts[i].iov_base + done;
        rest[n++].iov_len = parts[i].iov_len - done;
        done = 0;
    }
    return n;
}

int stream_write(struct stream *s, const struct iovec *parts, int count)
{
    size_t total = 0;
    for (int i = 0; i < count; i++)
        total += parts[i].iov_len;
    if (total == 0)
        return coro_poll();
    ssize_t wrote = 0;
    size_t done = 0;
    if (parts[0].iov_len > 0) { /* the usual case, which copies no parts */
        wrote = stream_write_some(s, parts, count);
        done = wrote > 0 ? (size_t)wrote : 0;
    }
    while (wrote >= 0 && done < total) {
        struct iovec rest[PARTS_MAX];
        int n = parts_after(parts, count, done, rest);
        wrote = stream_write_some(s, rest, n);
        done += wrote > 0 ? (size_t)wrote : 0;
    }
    return wrote < 0 ? (int)wrote : 0;
}

ssize_t stream_read_into(struct stream *s, struct bytes *buffer, size_t first)
{
    if (buffer->len == buffer->size) {
        int rc = bytes_reserve(buffer, buffer->size ? 1 : first);
        if (rc)
            return rc;
    }
    ssize_t got = stream_read(s, buffer->ptr + buffer->len, buffer->size - buffer->len);
    if (got > 0)
        buffer->len += (size_t)got;
    return got;
}

int stream_shutdown(struct stream *s)
{
    check_open(&s->handle, "stream_shutdown");
    return s->handle.world->ops->shutdown(s);
}

void stream_peer(const struct stream *s, struct address *out)
{
    check_open(&s->handle, "stream_peer");
    s->handle.world->ops->peer(s, out);
}

void stream_cancel_on_end(struct stream *s, struct coro *c)
{
    check_open(&s->handle, "stream_cancel_on_end");
    dcheck(!c || coro_sched(c) == s->handle.world->sched,
        "stream_cancel_on_end was given coroutine '%s', which belongs to another world than the "
        "stream",
        coro_name(c));
    s->handle.world->ops->cancel_on_end(s, c);
}

bool stream_quiet(struct stream *s)
{
    check_open(&s->handle, "stream_quiet");
    return s->handle.world->ops->quiet(s);
}

void stream_close(struct stream *s)
{
    begin_close(&s->handle, "stream_close")->stream_close(s);
    handle_release(&s->handle);
}

int world_stream_pair(struct world *w, struct stream **a, struct stream **b)
{
    check_here(w, "world_stream_pair");
    return w->ops->stream_pair(w, a, b);
}

static ssize_t begin_passing(struct stream *s, const void *data, size_t size, struct stream *passed)
{
    int rc = begin_wait(&s->handle, HANDLE_WRITE, "stream_write_passing");
    if (rc)
        return rc;
    ssize_t wrote = s->handle.world->ops->write_passing(s, data, size, passed);
    end_wait(&s->handle, HANDLE_WRITE);
    return wrote;
}

int stream_write_passing(struct stream *s, const void *data, size_t size, struct stream *passed)
{
    check_open(&passed->handle, "stream_write_passing");
    dcheck(s != passed && !passed->handle.busy,
        "stream_write_passing was given a stream that is in use to pass on");
    dcheck(size > 0, "stream_write_passing was given no byte for the socket to go with");
    ssize_t wrote = begin_passing(s, data, size, passed);
    stream_close(passed);
    if (wrote < 0)
        return (int)wrote;
    if ((size_t)wrote == size)
        return 0;
    struct iovec rest = {.iov_len = size - (size_t)wrote};
    const char *from = (const char *)data + wrote;
    memcpy(&rest.iov_base, &from, sizeof(from)); /* without const */
    return stream_write(s, &rest, 1);
}

int world_inherited_stream(struct world *w, int which, struct stream **out)
{
    check_here(w, "world_inherited_stream");
    dcheck(which >= 0 && which <= 2,
        "world_inherited_stream was asked for %d; standard streams are 0, 1 and 2", which);
    return w->ops->inherited_stream(w, which, out);
}
