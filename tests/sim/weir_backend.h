/*
 * weir_backend.h: a backend that fails in every way, by what the path asks of it.
 *
 *     /ok/ID        {"id":"ID"}, in one piece
 *     /chunked/ID   the same in chunks, after an interim reply
 *     /close/ID     the same, to the end of the connection
 *     /idle/ID      the same; then the connection is closed, after any time at all
 *     /slow/ID      the same, a few bytes at a time, in a fraction of a second
 *     /five/ID      500
 *     /json/ID      what is no JSON, although its type says so
 *     /cut/ID       a part of the reply, then the end
 *     /reset/ID     the end, and nothing before it
 *     /garbage/ID   what is no HTTP
 *     /hang/ID      nothing, for ever
 *     /late/ID      the reply, after a second and more
 *     /drip/ID      a byte at a time, for many seconds
 *
 * Every id is counted, so that a scenario sees how often it was asked for; a POST may come once.
 */
#pragma once

#include "world/sim/sim.h"

#define BACKEND_PORT    9000
#define BACKEND_ID_MAX  32
#define BACKEND_IDS_MAX (16 * 1024) /* half of it is used at most */

struct backend {
    struct sim *sim;
    struct sim_host *host;
    unsigned id_count;
    struct backend_id {
        char id[BACKEND_ID_MAX];
        unsigned times;
    } ids[BACKEND_IDS_MAX];
};

/* A host called "backend", which serves from the start. `b` must live as long as the universe. */
void backend_init(struct backend *b, struct sim *sim);
/* How often the id was asked for. */
unsigned backend_times(const struct backend *b, const char *id);
