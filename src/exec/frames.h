/*
 * frames.h: a stream of worker frames as a coroutine reads and writes it.
 */
#pragma once

#include "exec/worker_log.h"
#include "wire/worker.h"
#include "world/world.h"

/* A write that takes longer has met somebody who does not read. */
#define FRAMES_WRITE_NS (30 * NS_PER_S)

struct frames {
    struct world *world;
    struct stream *stream;    /* the owner closes it */
    struct worker_log *words; /* where the other side's log lines go */
    struct bytes in;
    size_t at; /* what stands before it has been handed out */
};

/* `value`: the longest text that a frame may hold. */
void frames_init(
    struct frames *f, struct world *w, struct stream *s, struct worker_log *words, uint64_t value);
void frames_release(struct frames *f);
/* The next frame, which borrows until the next call: 0; -ETIMEDOUT at `until`; -EPIPE at the end of
 * the stream; -EBADMSG and a sentence for what is no frame or is too long; other errors as of
 * reading. */
int frames_next(struct frames *f, int64_t until, struct worker_frame *out, struct error *e)
    __attribute__((warn_unused_result));
/* Writes what stands in `out`. */
int frames_write(struct frames *f, const struct bytes *out) __attribute__((warn_unused_result));
/* Writes one frame that is short. */
int frames_send(struct frames *f, const struct worker_frame *frame)
    __attribute__((warn_unused_result));
