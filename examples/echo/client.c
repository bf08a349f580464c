/*
 * client.c: see client.h.
 */
#include "client.h"

#include "frame.h"

#include <errno.h>

int echo_client_open(struct echo_client *c, struct world *w, const struct address *to)
{
    bytes_init(&c->in, FRAME_HEAD + FRAME_PAYLOAD_MAX);
    return world_connect(w, to, &c->stream);
}

void echo_client_close(struct echo_client *c)
{
    stream_close(c->stream);
    bytes_release(&c->in);
}

/* Reads until a whole frame stands in the buffer: its size, or a negative errno. */
static ssize_t receive_frame(struct echo_client *c, struct span *payload)
{
    for (;;) {
        ssize_t frame = frame_decode(c->in.ptr, c->in.len, payload);
        if (frame != 0)
            return frame == -EMSGSIZE ? -EPROTO : frame;
        ssize_t got = stream_read_into(c->stream, &c->in, 512);
        if (got <= 0)
            return got ? got : -EPIPE;
    }
}

int echo_call(struct echo_client *c, struct span payload, struct span *reply)
{
    if (payload.len > FRAME_PAYLOAD_MAX)
        return -EMSGSIZE;
    char head[FRAME_HEAD];
    frame_encode_head(head, (uint32_t)payload.len);
    struct iovec parts[] = {
        {.iov_base = head, .iov_len = sizeof head},
        {.iov_base = (char *)(uintptr_t)payload.ptr, .iov_len = payload.len},
    };
    bytes_reset(&c->in);
    int rc = stream_write(c->stream, parts, 2);
    if (rc)
        return rc;
    ssize_t frame = receive_frame(c, reply);
    if (frame < 0)
        return (int)frame;
    return (size_t)frame == c->in.len ? 0 : -EPROTO;
}
