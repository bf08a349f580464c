/*
 * frames.c: see frames.h. Frames are returned from the read buffer; the rest of it moves to the
 * front before the next read.
 */
#include "exec/frames.h"

#include <errno.h>

#define FIRST_READ ((size_t)16 * 1024)
/* A buffer that grew for one long text is not kept. */
#define KEEP_MAX   ((size_t)256 * 1024)

void frames_init(
    struct frames *f, struct world *w, struct stream *s, struct worker_log *log, uint64_t value)
{
    *f = (struct frames){.world = w, .stream = s, .log = log};
    size_t body = value < WORKER_FRAME_MAX ? (size_t)value : WORKER_FRAME_MAX;
    bytes_init(&f->in, WORKER_HEAD_SIZE + body + FIRST_READ);
}

void frames_release(struct frames *f)
{
    bytes_release(&f->in);
}

/* 0 and a frame; -EAGAIN: it is incomplete; -EBADMSG. */
static int take(struct frames *f, struct worker_frame *out, struct error *e)
{
    struct span rest = {f->in.ptr + f->at, f->in.len - f->at};
    ssize_t n = rest.len ? worker_decode(out, rest, e) : 0;
    if (n < 0)
        return (int)n;
    f->at += (size_t)n;
    return n > 0 ? 0 : -EAGAIN;
}

static void make_room(struct frames *f)
{
    if (f->at < f->in.len) {
        bytes_consume(&f->in, f->at);
    } else if (f->in.size > KEEP_MAX) {
        size_t max = f->in.max;
        bytes_release(&f->in);
        bytes_init(&f->in, max);
    } else {
        bytes_reset(&f->in);
    }
    f->at = 0;
}

static int read_more(struct frames *f, int64_t until, struct error *e)
{
    make_room(f);
    CORO_DEADLINE(until);
    ssize_t n = stream_read_into(f->stream, &f->in, FIRST_READ);
    if (n > 0)
        return 0;
    if (n == -ENOBUFS)
        return error_set(e, -EBADMSG, "worker", "it wrote a frame that is longer than it may be");
    return n == 0 ? -EPIPE : (int)n;
}

int frames_next(struct frames *f, int64_t until, struct worker_frame *out, struct error *e)
{
    for (;;) {
        int rc = take(f, out, e);
        if (rc == -EAGAIN) {
            rc = read_more(f, until, e);
            if (rc)
                return rc;
            continue;
        }
        if (rc || out->kind != WORKER_LOG)
            return rc;
        worker_log_line(f->log, (enum log_level)out->log.level, out->log.line);
        if (world_now(f->world) >= until)
            return -ETIMEDOUT;
    }
}

int frames_write(struct frames *f, const struct bytes *out)
{
    struct iovec part = {.iov_base = out->ptr, .iov_len = out->len};
    CORO_DEADLINE(deadline_after(world_now(f->world), FRAMES_WRITE_NS));
    return stream_write(f->stream, &part, 1);
}

int frames_send(struct frames *f, const struct worker_frame *frame)
{
    struct bytes out;
    bytes_init(&out, FIRST_READ);
    int rc = worker_encode(&out, frame);
    if (rc == 0)
        rc = frames_write(f, &out);
    bytes_release(&out);
    return rc;
}
