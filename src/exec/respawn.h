/*
 * respawn.h: keeps one worker process going: starts it, again when it has gone (after a while, if
 * it does not even start), and another that is warm before the old one is sent away.
 *
 * Part of a coroutine that owns it: respawn_tend is called whenever something has changed, and by
 * the moment that it said.
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
    unsigned workers;          /* that wait to hear that they have started; 0: they have heard */
    struct pool_process *now;  /* the one that works; NULL: none, until respawn_tend finds one */
    struct pool_process *next; /* the one that starts */
    bool worked;               /* `now` has done something */
    bool replace;              /* `now` is to make room for a fresh one: set by the owner */
    int64_t backoff_ns;
    int64_t try_at;
};

void respawn_init(struct respawn *k, struct pool *p, struct pool_client *d, struct group *g,
    unsigned number, unsigned workers, void (*changed)(void *ctx), void *ctx);
/* Does what is due. Returns the moment by which to call it again. `now` may be another then, or
 * NULL. */
int64_t respawn_tend(struct respawn *k);
/* `now` is of no use any more: killed, if it has not ended, and forgotten. */
void respawn_dismiss(struct respawn *k, enum pool_restart why);
/* Ends both, waiting a bounded while. */
void respawn_end(struct respawn *k);
