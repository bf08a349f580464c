/*
 * world.c: the calls of world.h, for every world alike: misuse is caught here, once, and what is
 * left goes to the world that made the handle.
 */
#include "world/world.h"

#include "base/bug.h"
#include "base/mem.h"
#include "world/ops.h"

#include <errno.h>
#include <string.h>

/* Who may wait: a coroutine of the world's own sched. Asking costs a load and a compare, so it
 * stays in debug builds. */
static inline void check_waiter(const struct world *w, const char *call)
{
    struct coro *self = coro_self();
    (void)self;
    dcheck(self, "%s waits, so it must be called by a coroutine; this is not inside one", call);
    dcheck(coro_sched(self) == w->sched,
        "%s was called by coroutine '%s', which belongs to another world than the object", call,
        coro_name(self));
}

static inline void check_here(const struct world *w, const char *call)
{
    (void)w;
    (void)call;
    dcheck(sched_here(w->sched), "%s was called from another thread than the world's own", call);
}

static inline void check_open(const struct handle *h, const char *call)
{
    (void)h;
    (void)call;
    dcheck(!h->closed, "%s was called on what has been closed already", call);
    check_here(h->world, call);
}

/* Before a wait on a handle. A deadline or cancellation that has come already is told without
 * asking the world. */
static inline int begin_wait(struct handle *h, enum handle_wait as, const char *call)
{
    check_open(h, call);
    check_waiter(h->world, call);
    dcheck(
        !(h->busy & as), "%s was called while another coroutine is in the same call on it", call);
    int rc = coro_poll();
    if (rc == 0) {
        h->busy |= as;
        handle_hold(h);
    }
    return rc;
}

static inline void end_wait(struct handle *h, enum handle_wait as)
{
    h->busy &= (uint8_t)~as;
    handle_release(h);
}

/* The world's close call follows, and then handle_release. */
static inline const struct world_ops *begin_close(struct handle *h, const char *call)
{
    dcheck(!h->closed, "%s: closed twice", call);
    check_here(h->world, call);
    h->closed = true;
    return h->world->ops;
}

void handle_release(struct handle *h)
{
    if (--h->holds == 0)
        mem_retire(h);
}

/* ---- Time and chance ---- */

int64_t world_now(struct world *w)
{
    return w->ops->now(w);
}

int64_t world_wall(struct world *w)
{
    return w->ops->wall(w);
}

int world_sleep_until(struct world *w, int64_t when)
{
    check_waiter(w, "world_sleep_until");
    return coro_sleep("sleep", when);
}

int world_sleep(struct world *w, int64_t span_ns)
{
    return world_sleep_until(w, deadline_after(world_now(w), span_ns));
}

void world_random(struct world *w, void *buffer, size_t size)
{
    w->ops->random(w, buffer, size);
}

uint64_t world_turn(const struct world *w)
{
    return w->turn;
}

struct sched *world_sched(struct world *w)
{
    return w->sched;
}

struct log *world_log(struct world *w)
{
    return w->log;
}

unsigned world_cores(struct world *w)
{
    return w->ops->cores(w);
}

/* ---- Streams ---- */

int world_listen(struct world *w, const struct address *at, const struct listen_options *options,
    struct listener **out)
{
    static const struct listen_options defaults = {0};
    check_here(w, "world_listen");
    struct listen_options o = options ? *options : defaults;
    if (o.backlog <= 0)
        o.backlog = WORLD_BACKLOG_DEFAULT;
    return w->ops->listen(w, at, &o, out);
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

/* ---- Names ---- */

int world_resolve(struct world *w, const char *host, uint16_t port, struct address *out, int max)
{
    check_waiter(w, "world_resolve");
    dcheck(max > 0, "world_resolve was given no room for an address");
    int rc = coro_poll();
    return rc ? rc : w->ops->resolve(w, host, port, out, max);
}

/* ---- Processes and signals ---- */

int world_spawn(struct world *w, const struct spawn_options *options, struct child **out)
{
    check_here(w, "world_spawn");
    if (options->listener_count > SPAWN_LISTENERS_MAX)
        return -E2BIG;
    return w->ops->spawn(w, options, out);
}

int child_pid(const struct child *c)
{
    check_open(&c->handle, "child_pid");
    return c->handle.world->ops->child_pid(c);
}

int child_wait(struct child *c, struct child_exit *out)
{
    int rc = begin_wait(&c->handle, HANDLE_READ, "child_wait");
    if (rc)
        return rc;
    rc = c->handle.world->ops->child_wait(c, out);
    end_wait(&c->handle, HANDLE_READ);
    return rc;
}

int child_signal(struct child *c, int signal)
{
    check_open(&c->handle, "child_signal");
    return c->handle.world->ops->child_signal(c, signal);
}

void child_close(struct child *c)
{
    begin_close(&c->handle, "child_close")->child_close(c);
    handle_release(&c->handle);
}

int child_limit(struct child *c, const struct child_limits *limits, enum child_memory *memory)
{
    check_open(&c->handle, "child_limit");
    return c->handle.world->ops->child_limit(c, limits, memory);
}

int64_t child_resident(struct child *c)
{
    check_open(&c->handle, "child_resident");
    return c->handle.world->ops->child_resident(c);
}

bool child_ran_out_of_memory(const struct child *c)
{
    check_open(&c->handle, "child_ran_out_of_memory");
    return c->handle.world->ops->child_ran_out_of_memory(c);
}

/* ---- Shared memory ---- */

int world_shared(struct world *w, size_t max, struct shared **out)
{
    check_here(w, "world_shared");
    return w->ops->shared(w, max, out);
}

char *shared_base(const struct shared *s)
{
    check_open(&s->handle, "shared_base");
    return s->handle.world->ops->shared_base(s);
}

int shared_grow(struct shared *s, size_t size)
{
    check_open(&s->handle, "shared_grow");
    return s->handle.world->ops->shared_grow(s, size);
}

size_t shared_size(const struct shared *s)
{
    check_open(&s->handle, "shared_size");
    return s->handle.world->ops->shared_size(s);
}

void shared_trim(struct shared *s, size_t from)
{
    check_open(&s->handle, "shared_trim");
    s->handle.world->ops->shared_trim(s, from);
}

void shared_close(struct shared *s)
{
    begin_close(&s->handle, "shared_close")->shared_close(s);
    handle_release(&s->handle);
}

int world_inherited_stream(struct world *w, int which, struct stream **out)
{
    check_here(w, "world_inherited_stream");
    dcheck(which >= 0 && which <= 2,
        "world_inherited_stream was asked for %d; standard streams are 0, 1 and 2", which);
    return w->ops->inherited_stream(w, which, out);
}

int world_signals(struct world *w, const int *numbers, int count, struct signals **out)
{
    check_here(w, "world_signals");
    return w->ops->signals(w, numbers, count, out);
}

int signals_next(struct signals *s)
{
    int rc = begin_wait(&s->handle, HANDLE_READ, "signals_next");
    if (rc)
        return rc;
    rc = s->handle.world->ops->signals_next(s);
    end_wait(&s->handle, HANDLE_READ);
    return rc;
}

void signals_close(struct signals *s)
{
    begin_close(&s->handle, "signals_close")->signals_close(s);
    handle_release(&s->handle);
}

/* ---- Files ---- */

int world_open(struct world *w, const char *path, int flags, unsigned mode, struct file **out)
{
    check_waiter(w, "world_open");
    int rc = coro_poll();
    return rc ? rc : w->ops->open(w, path, flags, mode, out);
}

ssize_t file_read(struct file *f, void *buffer, size_t size, uint64_t offset)
{
    int rc = begin_wait(&f->handle, HANDLE_SHARED, "file_read");
    if (rc)
        return rc;
    ssize_t got = f->handle.world->ops->file_read(f, buffer, size, offset);
    end_wait(&f->handle, HANDLE_SHARED);
    return got;
}

int file_write(struct file *f, const void *data, size_t size, uint64_t offset)
{
    int rc = begin_wait(&f->handle, HANDLE_SHARED, "file_write");
    if (rc)
        return rc;
    rc = f->handle.world->ops->file_write(f, data, size, offset);
    end_wait(&f->handle, HANDLE_SHARED);
    return rc;
}

int file_sync(struct file *f)
{
    int rc = begin_wait(&f->handle, HANDLE_SHARED, "file_sync");
    if (rc)
        return rc;
    rc = f->handle.world->ops->file_sync(f);
    end_wait(&f->handle, HANDLE_SHARED);
    return rc;
}

int64_t file_size(struct file *f)
{
    check_open(&f->handle, "file_size");
    return f->handle.world->ops->file_size(f);
}

int file_truncate(struct file *f, uint64_t size)
{
    int rc = begin_wait(&f->handle, HANDLE_SHARED, "file_truncate");
    if (rc)
        return rc;
    rc = f->handle.world->ops->file_truncate(f, size);
    end_wait(&f->handle, HANDLE_SHARED);
    return rc;
}

void file_close(struct file *f)
{
    begin_close(&f->handle, "file_close")->file_close(f);
    handle_release(&f->handle);
}

int world_rename(struct world *w, const char *from, const char *to)
{
    check_waiter(w, "world_rename");
    int rc = coro_poll();
    return rc ? rc : w->ops->rename(w, from, to);
}

int world_unlink(struct world *w, const char *path)
{
    check_waiter(w, "world_unlink");
    int rc = coro_poll();
    return rc ? rc : w->ops->unlink(w, path);
}

int world_sync_directory(struct world *w, const char *path)
{
    check_waiter(w, "world_sync_directory");
    int rc = coro_poll();
    return rc ? rc : w->ops->sync_directory(w, path);
}

/* ---- Threads ---- */

int world_thread(struct world *w, const char *name, int (*fn)(struct world *w, void *arg),
    void *arg, struct thread **out)
{
    check_here(w, "world_thread");
    return w->ops->thread(w, name, fn, arg, out);
}

struct world *thread_world(struct thread *t)
{
    return t->own;
}

int thread_wait(struct thread *t, int *result)
{
    int rc = begin_wait(&t->handle, HANDLE_READ, "thread_wait");
    if (rc)
        return rc;
    rc = t->handle.world->ops->thread_wait(t, result);
    end_wait(&t->handle, HANDLE_READ);
    return rc;
}

void thread_close(struct thread *t)
{
    check(t->ended,
        "thread_close was called on a thread that runs; have it end, and wait for that with "
        "thread_wait");
    begin_close(&t->handle, "thread_close")->thread_close(t);
    handle_release(&t->handle);
}

/* ---- Companions ---- */

int world_companion(
    struct world *w, const struct companion_options *options, struct companion **out)
{
    check_here(w, "world_companion");
    dcheck(options->nice >= 0 && options->nice <= 19,
        "world_companion was given a niceness of %d; it is 0 to 19", options->nice);
    return w->ops->companion(w, options, out);
}

int companion_wait(struct companion *c)
{
    int rc = begin_wait(&c->handle, HANDLE_READ, "companion_wait");
    if (rc)
        return rc;
    rc = c->handle.world->ops->companion_wait(c);
    end_wait(&c->handle, HANDLE_READ);
    return rc;
}

void companion_close(struct companion *c)
{
    check(c->ended,
        "companion_close was called on a companion that runs; have it end, and wait for that with "
        "companion_wait");
    begin_close(&c->handle, "companion_close")->companion_close(c);
    handle_release(&c->handle);
}

int companion_park(struct companion *self, int64_t until)
{
    return self->handle.world->ops->companion_park(self, until);
}

struct work *companion_work(struct companion *self)
{
    return self->work;
}

void companion_wake(struct companion *c)
{
    c->handle.world->ops->companion_wake(c);
}

struct work *world_work(struct world *w)
{
    check_here(w, "world_work");
    return w->work;
}

/* ---- Messages ---- */

void world_post(struct world *w, struct message *m)
{
    w->ops->post(w, m);
}

/* ---- Descriptors ---- */

int world_watch(struct world *w, int fd, struct watch **out)
{
    check_here(w, "world_watch");
    return w->ops->watch(w, fd, out);
}

int watch_wait(struct watch *watch, int events)
{
    dcheck(events, "watch_wait was asked to wait for nothing, which would last for ever");
    int rc = begin_wait(&watch->handle, HANDLE_READ, "watch_wait");
    if (rc)
        return rc;
    rc = watch->handle.world->ops->watch_wait(watch, events);
    end_wait(&watch->handle, HANDLE_READ);
    return rc;
}

void watch_close(struct watch *watch)
{
    begin_close(&watch->handle, "watch_close")->watch_close(watch);
    handle_release(&watch->handle);
}
