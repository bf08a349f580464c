/*
 * sim_script.h: tests of the network are mostly a pair of coroutines, a server `there` and a client
 * `here`, that meet on port 7 and look at the clock of the universe.
 */
#pragma once

#include "sim_fixture.h"

struct script {
    struct universe u;
    int64_t at; /* when something happened that the test asks for */
    int rc;
    size_t bytes;
};

static inline void play(
    struct script *s, struct sim_options options, sim_main *server, sim_main *client)
{
    s->u = open_universe(1, options);
    start(s->u.there, server, s);
    start(s->u.here, client, s);
    run_and_close(&s->u);
}

static inline struct stream *accept_one(struct world *w)
{
    struct listener *l = must_listen(w, "*:7");
    struct stream *s = must_accept(l);
    listener_close(l);
    return s;
}
