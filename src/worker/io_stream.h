/*
 * io_stream.h: a worker's conversation as a coroutine's, over a stream of its world: for
 * programs in simulated worlds, whose main function is
 *
 *     struct worker_stream s;
 *     worker_stream_init(&s, w, sim_channel(w), sim_shared(w), pid);
 *     return worker_serve(&s.io, unsafe);
 *
 * and who close the stream and the memory after.
 */
#pragma once

#include "worker/worker.h"
#include "world/world.h"

struct worker_stream {
    struct worker_io io;
    struct world *world;
    struct stream *stream;
    struct shared *shared;
};

/* `shared` may be NULL. Tasks compute on the world's own thread (world_work). */
void worker_stream_init(struct worker_stream *s, struct world *w, struct stream *stream,
    struct shared *shared, int64_t pid);
