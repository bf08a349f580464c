/*
 * upgrade.h: what one process image leaves to the next: descriptors that stay open over an exec,
 * and a variable of the environment that says which is which.
 *
 * And what an init that opens sockets leaves to us (sd_listen_fds(3)).
 */
#pragma once

#include "app/supervisor.h"

/* Executes `program` with `argv` in place of this process. Does not return, or a negative errno and
 * all is as before. */
int upgrade_exec(const struct upgrade_state *state, const char *program, char **argv);

/* Takes what was left, if anything was: 0; or a negative errno with a sentence. The variables are
 * gone from the environment after, so that no child believes them its own. */
int upgrade_state_take(struct world *w, struct upgrade_state *state, struct error *e);
/* The sockets in $LISTEN_FDS, if they are for this process. */
int inherit_given_sockets(struct world *w, struct sockets *sockets, struct error *e);

/* While nobody catches signals, from an exec until the new image does, and at the very end, they
 * are held back rather than deadly. */
void hold_signals(bool hold);
