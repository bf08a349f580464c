/*
 * io_plain.c: see io_plain.h.
 */
#include "worker/io_plain.h"

#include "world/plain.h"

#include <stdio.h>
#include <unistd.h>

static struct worker_plain *plain_of(struct worker_io *io)
{
    return (struct worker_plain *)io;
}

static ssize_t read_plain(struct worker_io *io, void *buffer, size_t size)
{
    return plain_read(plain_of(io)->channel, buffer, size);
}

static int write_plain(struct worker_io *io, const struct iovec *parts, int count)
{
    return plain_write(plain_of(io)->channel, parts, count);
}

static int share_plain(struct worker_io *io, size_t max, char **base)
{
    return plain_shared_map(PLAIN_SHARED, max, base);
}

static int64_t size_plain(struct worker_io *io)
{
    return plain_shared_size(PLAIN_SHARED);
}

static int grow_plain(struct worker_io *io, size_t size)
{
    return plain_shared_grow(PLAIN_SHARED, size);
}

static int forbid_plain(struct worker_io *io)
{
    return plain_forbid_processes();
}

static void complain_plain(struct worker_io *io, const char *sentence)
{
    fprintf(stderr, "worker %lld: %s\n", (long long)io->pid, sentence);
}

void worker_plain_init(struct worker_plain *p, int channel, bool share)
{
    *p = (struct worker_plain){
        .io = {.read = read_plain,
            .write = write_plain,
            .share = share ? share_plain : NULL,
            .shared_size = size_plain,
            .shared_grow = grow_plain,
            .forbid_processes = forbid_plain,
            .complain = complain_plain,
            .work = plain_work(),
            .pid = getpid()},
        .channel = channel,
    };
}
