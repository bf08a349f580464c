/*
 * io_stream.c: see io_stream.h.
 */
#include "worker/io_stream.h"

#include "base/log.h"

#include <errno.h>

static struct worker_stream *stream_of(struct worker_io *io)
{
    return (struct worker_stream *)io;
}

static ssize_t read_stream(struct worker_io *io, void *buffer, size_t size)
{
    return stream_read(stream_of(io)->stream, buffer, size);
}

static int write_stream(struct worker_io *io, const struct iovec *parts, int count)
{
    return stream_write(stream_of(io)->stream, parts, count);
}

static int share_stream(struct worker_io *io, size_t max, char **base)
{
    *base = shared_base(stream_of(io)->shared);
    return *base ? 0 : -ENOMEM;
}

static int64_t size_stream(struct worker_io *io)
{
    return (int64_t)shared_size(stream_of(io)->shared);
}

static int grow_stream(struct worker_io *io, size_t size)
{
    return shared_grow(stream_of(io)->shared, size);
}

static void complain_stream(struct worker_io *io, const char *sentence)
{
    log_with(world_log(stream_of(io)->world), LOG_ERROR, LOG_FIELDS(LOG_NUMBER("pid", io->pid)),
        "worker %lld: %s", (long long)io->pid, sentence);
}

void worker_stream_init(struct worker_stream *s, struct world *w, struct stream *stream,
    struct shared *shared, int64_t pid)
{
    *s = (struct worker_stream){
        .io = {.read = read_stream,
            .write = write_stream,
            .share = shared ? share_stream : NULL,
            .shared_size = size_stream,
            .shared_grow = grow_stream,
            .complain = complain_stream,
            .work = world_work(w),
            .pid = pid},
        .world = w,
        .stream = stream,
        .shared = shared,
    };
}
