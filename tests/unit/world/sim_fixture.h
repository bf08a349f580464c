/*
 * sim_fixture.h: a universe with two hosts, `here` and `there`, and a perfect link between them
 * unless a test says otherwise.
 *
 * Outside coroutines tests assert; inside them they say must(), which fails with the report of the
 * universe that they run in.
 */
#pragma once

#include "../check.h"

#include "base/bug.h"
#include "coro/group.h"
#include "world/sim/sim.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define must(condition) check(condition, "this does not hold: %s", #condition)

static const struct sim_link perfect_link = {.latency_ns = NS_PER_MS};

struct universe {
    struct sim *sim;
    struct sim_host *here;
    struct sim_host *there;
};

static inline struct sim_host *add_host(struct sim *sim, const char *name)
{
    struct sim_host *host = sim_host(sim, &(struct sim_host_options){.name = name, .cores = 2});
    assert_non_null(host);
    return host;
}

static inline struct universe open_universe(uint64_t seed, struct sim_options options)
{
    struct universe u;
    if (!options.link)
        options.link = &perfect_link;
    assert_int_equal(sim_open(&u.sim, seed, &options), 0);
    u.here = add_host(u.sim, "here");
    u.there = add_host(u.sim, "there");
    return u;
}

static inline struct universe open_default(void)
{
    return open_universe(1, (struct sim_options){0});
}

static inline struct sim_process *start(struct sim_host *host, sim_main *main, void *arg)
{
    struct sim_process *p = sim_start(host, "test", main, arg);
    assert_non_null(p);
    return p;
}

/* To the end of everything. */
static inline void run(struct universe *u)
{
    assert_int_equal(sim_run(u->sim, 3600 * NS_PER_S), 0);
}

static inline void run_and_close(struct universe *u)
{
    run(u);
    sim_close(u->sim);
}

/* Runs `main` on `here`, in a universe with default options, to its end. */
static inline void run_alone(sim_main *main)
{
    struct universe u = open_default();
    struct sim_process *p = start(u.here, main, &u);
    run(&u);
    assert_int_equal(sim_process_end(p).state, SIM_EXITED);
    assert_int_equal(sim_process_end(p).result, 0);
    assert_int_equal(sim_process_unclosed(p), 0);
    sim_close(u.sim);
}

/* ---- Inside coroutines ---- */

static inline struct listener *must_listen(struct world *w, const char *at)
{
    struct address a;
    struct listener *l;
    must(address_parse(&a, at, NULL) == 0);
    must(world_listen(w, &a, NULL, &l) == 0);
    return l;
}

static inline struct stream *must_accept(struct listener *l)
{
    struct stream *s;
    must(listener_accept(l, &s) == 0);
    return s;
}

static inline int try_connect(
    struct world *w, struct sim_host *to, uint16_t port, struct stream **out)
{
    struct address a;
    sim_host_address(to, port, &a);
    return world_connect(w, &a, out);
}

static inline struct stream *must_connect(struct world *w, struct sim_host *to, uint16_t port)
{
    struct stream *s;
    must(try_connect(w, to, port, &s) == 0);
    return s;
}

static inline int send_bytes(struct stream *s, const void *data, size_t size)
{
    char *copy = malloc(size + 1);
    must(copy);
    memcpy(copy, data, size);
    int rc = stream_write(s, &(struct iovec){copy, size}, 1);
    free(copy);
    return rc;
}

static inline int send_text(struct stream *s, const char *text)
{
    return send_bytes(s, text, strlen(text));
}

/* Whether the next bytes are these. */
static inline bool reads(struct stream *s, const char *text)
{
    char got[256];
    size_t done = 0;
    size_t size = strlen(text);
    must(size < sizeof got);
    while (done < size) {
        ssize_t n = stream_read(s, got + done, size - done);
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return memcmp(got, text, size) == 0;
}

static inline ssize_t read_byte(struct stream *s)
{
    char c;
    return stream_read(s, &c, 1);
}

static inline void must_sleep(struct world *w, int64_t ns)
{
    must(world_sleep(w, ns) == 0);
}
