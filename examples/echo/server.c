/*
 * server.c: one coroutine accepts; each connection is a child of it. Read from the bottom:
 * echo_serve, serve_connection.
 */
#include "server.h"

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "coro/group.h"
#include "frame.h"

#include <errno.h>

/* Most connections send small frames; a large one makes its connection's buffer grow. */
#define BUFFER_FIRST (4 * 1024)
#define BUFFER_MAX   (FRAME_HEAD + FRAME_PAYLOAD_MAX)

/* How long to wait before accepting again when there was no descriptor or no memory for another
 * connection. */
#define ACCEPT_PAUSE_NS (10 * NS_PER_MS)

struct connection {
    struct world *world;
    struct stream *stream;
    int64_t idle_ns;
    struct bytes in; /* what has arrived and is not yet a whole frame */
};

static void connection_free(void *arg)
{
    struct connection *c = arg;
    stream_close(c->stream);
    bytes_release(&c->in);
    mem_free(c);
}

/* Sends back every whole frame that has arrived: as they stand, in one write. How many, or a
 * negative errno. */
static int answer(struct connection *c)
{
    size_t whole = 0;
    int count = 0;
    ssize_t frame;
    struct span payload;
    while ((frame = frame_decode(c->in.ptr + whole, c->in.len - whole, &payload)) > 0) {
        whole += (size_t)frame;
        count++;
    }
    if (whole > 0) {
        struct iovec part = {.iov_base = c->in.ptr, .iov_len = whole};
        int rc = stream_write(c->stream, &part, 1);
        if (rc)
            return rc;
        bytes_consume(&c->in, whole);
    }
    return frame < 0 ? (int)frame : count;
}

static int serve_connection(void *arg)
{
    struct connection *c = arg;
    int rc = coro_defer(connection_free, c);
    while (rc >= 0) {
        /* A frame has this long to become whole and be answered, however slowly its bytes come. */
        CORO_DEADLINE(deadline_after(world_now(c->world), c->idle_ns));
        do {
            ssize_t got = stream_read_into(c->stream, &c->in, BUFFER_FIRST);
            rc = got > 0 ? answer(c) : (int)got;
            if (got == 0)
                return 0;
        } while (rc == 0);
    }
    return rc;
}

/* Starts a child for the connection, which owns the stream from now on. */
static int take_connection(
    struct world *w, struct group *connections, struct stream *stream, int64_t idle_ns)
{
    struct connection *c = mem_zalloc(sizeof *c);
    if (!c) {
        stream_close(stream);
        return -ENOMEM;
    }
    *c = (struct connection){.world = w, .stream = stream, .idle_ns = idle_ns};
    bytes_init(&c->in, BUFFER_MAX);
    int rc = group_spawn(connections, "connection", serve_connection, c);
    if (rc)
        connection_free(c);
    return rc;
}

static int accept_all(struct world *w, struct listener *l, int64_t idle_ns)
{
    GROUP(connections, GROUP_INDEPENDENT);
    for (;;) {
        struct stream *stream;
        int rc = listener_accept(l, &stream);
        if (rc == 0)
            rc = take_connection(w, &connections, stream, idle_ns);
        if (rc == -ECANCELED || rc == -ETIMEDOUT)
            return rc;
        if (rc) {
            log_warn(world_log(w), "cannot take a connection: %s; trying again", error_text(rc));
            rc = world_sleep(w, ACCEPT_PAUSE_NS);
        }
        if (rc)
            return rc;
    }
}

int echo_serve(struct world *w, const struct address *at, const struct echo_options *options)
{
    static const struct echo_options defaults = {0};
    const struct echo_options *o = options ? options : &defaults;
    struct listener *l;
    int rc = world_listen(w, at, NULL, &l);
    if (rc)
        return rc;
    if (o->ready) {
        struct address bound;
        listener_address(l, &bound);
        o->ready(o->ready_ctx, &bound);
    }
    rc = accept_all(w, l, o->idle_ns ? o->idle_ns : ECHO_IDLE_DEFAULT_NS);
    listener_close(l);
    return rc;
}
