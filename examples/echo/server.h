/*
 * server.h: a server that sends every frame back, written once for every world.
 */
#pragma once

#include "world/world.h"

struct echo_options {
    int64_t idle_ns; /* how long a frame may take, silence included; 0: ECHO_IDLE_DEFAULT_NS */
    /* Told the address once connections are taken there; may be NULL. */
    void (*ready)(void *ctx, const struct address *at);
    void *ready_ctx;
};

#define ECHO_IDLE_DEFAULT_NS (60 * NS_PER_S)

/* Serves until the calling coroutine is cancelled (-ECANCELED), or says why it could not listen.
 * Every connection has ended when it returns. */
int echo_serve(struct world *w, const struct address *at, const struct echo_options *options);
