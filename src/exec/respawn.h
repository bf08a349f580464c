/*
 * respawn.h: keeps one worker process running: starts it, starts another when it has died (with
 * back-off if it does not even start), and replaces it without a gap: the next one is ready before
 * the old one is retired.
 *
 * Belongs to one coroutine, which calls respawn_step whenever something has changed, and at the
 * moment that it returned.
 */
#pragma once

#include "exec/process.h"

struct respawn {
    struct pool *pool;
    struct pool_client *client;
    struct world *world;
    struct group *group; /* the owner's, for processes */
    void (*changed)(void *ctx);
    void *ctx;
    unsigned number;           /* the process's (pool_process.number) */
    unsigned workers;          /* whose start is still to be reported to the client; 0: reported */
    struct pool_process *now;  /* the one that works; NULL: none yet */
    struct pool_process *next; /* the one that starts */
    bool worked;               /* `now` has run a task */
    bool replace;              /* set by the owner: replace `now` by a fresh one */
    int64_t backoff_ns;
    int64_t try_at;
};

void respawn_init(struct respawn *k, struct pool *p, struct pool_client *client, struct group *g,
    unsigned number, unsigned workers, void (*changed)(void *ctx), void *ctx);
/* Does what is due; `now` may change. Returns the moment by which it must be called again. */
int64_t respawn_step(struct respawn *k);
/* Kills `now`, if it has not ended, and drops it. */
void respawn_dismiss(struct respawn *k, enum pool_restart why);
/* Ends both, within a bounded time. */
void respawn_end(struct respawn *k);
