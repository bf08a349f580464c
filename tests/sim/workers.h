/*
 * workers.h: worker processes as programs of a simulated universe: what pools of kinds `processes`
 * and `fork` start there. They run the loop that real ones run (pool/worker.h).
 *
 * A simulated zygote forks no memory: its children are processes of a program of their own, each
 * of which is given the set-up anew, with the channel for its task. What servers see of them is the
 * same: orders, channels that are passed, ends that are told, and that none outlives its zygote.
 */
#pragma once

#include "base/rand.h"
#include "world/sim/sim.h"

#define WORKERS_MAX 256

struct workers {
    struct sim *sim;
    const struct weir_plugin *overrides; /* of their steps: see step_set_new; NULL: none */
    /* Those that run: */
    unsigned count;
    struct sim_worker {
        struct world *world;
        struct stream *tasks; /* where they come from, and results go; NULL: not yet, or a zygote */
        bool forks;
        bool closed; /* its channel, by workers_close_channel */
    } running[WORKERS_MAX];
    unsigned started; /* ever */
    unsigned zygotes; /* that run */
    /* A zygote is about to fork; it may do harm instead. NULL: none does. */
    void (*before_fork)(void *ctx, struct world *w);
    void *ctx;
};

/* The program's name is the first of it; for pools' options. */
extern const char *const workers_argv[];

/* `ws` must live as long as the universe. */
void workers_init(struct workers *ws, struct sim *sim);
/* The one whose coroutine this is; NULL: this is no worker's. */
struct sim_worker *workers_self(struct workers *ws);
/* By a worker that is to do harm: nothing comes or goes any more, but it lives on. */
void workers_close_channel(struct workers *ws);
/* Kills one that runs, if there is any: true. */
bool workers_kill(struct workers *ws, struct rand *r);
