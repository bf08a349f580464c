/*
 * upgrade.h: the check that precedes an upgrade: does the new program accept the configuration?
 *
 * The program's `check` verb runs in a coroutine of its own; the supervisor reads `phase` in its
 * ticks.
 */
#pragma once

#include "base/log.h"
#include "coro/group.h"
#include "world/world.h"

enum upgrade_phase {
    UPGRADE_NONE,
    UPGRADE_REQUESTED,
    UPGRADE_CHECKING,
    UPGRADE_ACCEPTED, /* the supervisor may execute the new program */
};

struct upgrade {
    enum upgrade_phase phase;
    struct world *world;
    struct log *log;
    const char *const *check_argv; /* exits with 0 if the program accepts the configuration */
    const char *config_path;       /* for the log */
    void (*wake)(void *ctx);       /* the phase has changed */
    void *ctx;
};

/* Ignored while another upgrade is under way. */
void upgrade_request(struct upgrade *u);
/* Starts the check in `group`, in phase UPGRADE_REQUESTED. A failure is logged, and ends the
 * upgrade. */
void upgrade_check(struct upgrade *u, struct group *group);
