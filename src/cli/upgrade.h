/*
 * upgrade.h: passes the supervisor's state to the program that replaces it: descriptors that stay
 * open over the exec, and an environment variable that describes them.
 *
 * Also takes the sockets of a socket-activating init (sd_listen_fds(3)).
 */
#pragma once

#include "app/supervisor.h"

/* Executes `program` with `argv` in place of this process. Does not return, except with a negative
 * errno and nothing changed. */
int upgrade_exec(const struct upgrade_state *state, const char *program, char **argv);

/* Takes over the state, if any was passed: 0; or a negative errno with a sentence. Removes the
 * variables from the environment, so that no child takes them for its own. */
int upgrade_state_take(struct world *w, struct upgrade_state *state, struct error *e);
/* Takes the sockets in $LISTEN_FDS, if they are for this process. */
int inherit_given_sockets(struct world *w, struct sockets *sockets, struct error *e);

/* Blocks the signals that the supervisor handles, from an exec until the new image handles them,
 * and at the very end: otherwise their default action would kill the process. */
void hold_signals(bool hold);
