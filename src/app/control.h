/*
 * control.h: the server's side of the supervisor's control stream (server.h has the protocol).
 *
 * The input is not trusted: lengths are bounded, and an unknown line at the start ends the server
 * with a sentence.
 */
#pragma once

#include "base/error.h"
#include "world/world.h"

#define CONTROL_LINE_MAX   1024
#define CONTROL_CONFIG_MAX (256 * 1024 * 1024)

struct control {
    struct stream *stream;
    struct bytes in; /* received and not yet read */
};

/* What a server receives at its start. */
struct control_start {
    struct bytes config;
    unsigned group_count;                 /* listeners that share an address */
    unsigned groups[SPAWN_LISTENERS_MAX]; /* how many each */
    bool admin;
};

enum control_word { CONTROL_DRAIN, CONTROL_STOP };

void control_init(struct control *c, struct stream *stream);
void control_release(struct control *c);

/* Waits until `go`. Initializes `start->config`, which the caller releases in any case. 0 or a
 * negative errno with a sentence; -EPIPE if the supervisor has died. */
int control_read_start(struct control *c, struct control_start *start, struct error *e)
    __attribute__((warn_unused_result));
/* Waits for the next command; the end of the stream is CONTROL_STOP. Skips unknown words, which a
 * newer supervisor may send. */
int control_next(struct control *c, enum control_word *word) __attribute__((warn_unused_result));
/* Sends a line; adds the newline. */
int control_send(struct control *c, const char *line) __attribute__((warn_unused_result));
