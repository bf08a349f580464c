/*
 * frames.h: worker frames over a stream, read and written by a coroutine.
 */
#pragma once

#include "exec/worker_log.h"
#include "wire/worker.h"
#include "world/world.h"

/* A write that takes longer fails: the other side does not read. */
#define FRAMES_WRITE_NS (30 * NS_PER_S)

struct frames {
    struct world *world;
    struct stream *stream;  /* the owner closes it */
    struct worker_log *log; /* where the other side's log lines go */
    struct bytes in;
    size_t at; /* frames before it have been returned */
};

/* `value`: the longest text that a frame may hold. */
void frames_init(
    struct frames *f, struct world *w, struct stream *s, struct worker_log *log, uint64_t value);
void frames_release(struct frames *f);
/* The next frame, which borrows until the next call: 0; -ETIMEDOUT at `until`; -EPIPE at the end of
 * the stream; -EBADMSG and a sentence if it is no frame or too long; other errors as of
 * reading. */
int frames_next(struct frames *f, int64_t until, struct worker_frame *out, struct error *e)
    __attribute__((warn_unused_result));
/* Writes all of `out`. */
int frames_write(struct frames *f, const struct bytes *out) __attribute__((warn_unused_result));
/* Writes one short frame. */
int frames_send(struct frames *f, const struct worker_frame *frame)
    __attribute__((warn_unused_result));
