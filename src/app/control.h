/*
 * control.h: the server's side of the supervisor's control stream (server.h has the protocol).
 *
 * What comes is trusted no further than it must be: lengths are bounded, lines too, and what is
 * not understood ends the server with a sentence.
 */
#pragma once

#include "base/error.h"
#include "world/world.h"

#define CONTROL_LINE_MAX   1024
#define CONTROL_CONFIG_MAX (256 * 1024 * 1024)

struct control {
    struct stream *stream;
    struct bytes in; /* what has come and was not taken yet */
};

/* What a server is told at its start. */
struct control_start {
    struct bytes config;
    unsigned group_count;                 /* listeners that share an address */
    unsigned groups[SPAWN_LISTENERS_MAX]; /* how many each */
    bool admin;
};

enum control_word { CONTROL_DRAIN, CONTROL_STOP };

void control_init(struct control *c, struct stream *stream);
void control_release(struct control *c);

/* Waits for all of it. `start->config` is initialized here, and the caller's to release in any
 * case. 0 or a negative errno with a sentence; -EPIPE if the supervisor is gone. */
int control_read_start(struct control *c, struct control_start *start, struct error *e)
    __attribute__((warn_unused_result));
/* Waits for the next order: the end of the stream is CONTROL_STOP. Unknown words are skipped,
 * since a newer supervisor may know more. */
int control_next(struct control *c, enum control_word *word) __attribute__((warn_unused_result));
/* A line, newline added. */
int control_say(struct control *c, const char *line) __attribute__((warn_unused_result));
