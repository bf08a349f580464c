/*
 * client.h: a client of the echo server, for every world.
 */
#pragma once

#include "base/bytes.h"
#include "world/world.h"

struct echo_client {
    struct stream *stream;
    struct bytes in;
};

/* Waits for the connection. 0, or a negative errno and nothing to close. */
int echo_client_open(struct echo_client *c, struct world *w, const struct address *to)
    __attribute__((warn_unused_result));
void echo_client_close(struct echo_client *c);

/* Sends one payload and waits for one back. 0, and `reply` borrows from the client until its next
 * call; or a negative errno, after which the client is good for nothing but closing: -EPIPE if the
 * server ended first, -EPROTO if what came back is no frame or more than one. One call at a time a
 * client. */
int echo_call(struct echo_client *c, struct span payload, struct span *reply)
    __attribute__((warn_unused_result));
