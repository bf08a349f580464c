/*
 * weir_crowd.h: clients that ask a weir, each one connection at a time, in bursts of pipelined
 * requests, and check every byte that comes back: each request has exactly one answer, its own, in
 * its turn, in time.
 *
 * Who asks what stands in a table of `struct ask`; in its texts every '@' stands for the request's
 * id, which no other request has, in this universe.
 *
 * The scenario says what may go wrong. A request is *lost* if its connection ends before one byte
 * of an answer; those that may be sent again are. What a server has not begun when it says
 * "Connection: close" is sent again in any case, and not lost.
 */
#pragma once

#include "world/sim/sim.h"

#define CROWD_MAX   48
#define BURST_MAX   6
#define ASK_ID_MAX  24
#define CROWD_SLACK (100 * NS_PER_MS) /* beside what an answer itself may take: the network */
#define PROBLEM     "urn:weir:request:@\""

struct ask {
    const char *method; /* NULL: GET */
    const char *path;
    const char *body;   /* of the request; NULL: none */
    const char *fields; /* more header fields, each with its line's end; NULL: none */
    int status;         /* that it must be answered with; 0: 200 */
    int or_status;      /* or with this one, and then it is a problem; 0: none */
    const char *reply;  /* the answer's body; NULL: a problem that names the request */
    int64_t within_ns;  /* the answer takes so long at most, beside the slack */
    int64_t after_ns;   /* and so long at least */
    bool works;         /* by steps, in pools */
    bool once;          /* may not be sent again when it is lost */
    unsigned calls;     /* the scenario's: of a backend, for one try, at most */
};

struct request {
    const struct ask *ask;
    char id[ASK_ID_MAX];
    int64_t began_at; /* universe time: its first byte went out */
    int64_t sent_at;  /* its last */
    unsigned tries;
};

struct answer {
    int status;
    bool keep_alive;
    bool begun; /* a byte of it has come */
    size_t len;
    char body[2048]; /* and a zero byte */
};

struct crowd {
    struct sim *sim;
    const struct address *at;
    const struct ask *asks;
    unsigned ask_count;
    unsigned clients;      /* at most CROWD_MAX */
    unsigned bursts;       /* of each client; 0: until `until` */
    int64_t until;         /* universe time */
    int64_t pause_mean_ns; /* between bursts */
    int64_t pause_max_ns;  /* 0: none */
    /* A call is given up after so long; 0: never, since it must not happen. */
    int64_t patience_ns;
    int64_t outage_ns; /* for so long there may be no server */

    /* Requests that begin before this moment meet faults: their times are not checked, and any
     * answer that names the request is good. */
    int64_t calm_from;
    /* Workers die: requests of steps that begin before this moment may meet that, and then their
     * answer is a problem that says so, within NS_PER_S. */
    int64_t workers_well_from;
    /* Whether a request that went over a connection of this age may be lost, or its answer be cut
     * off. NULL: none may. */
    bool (*may_lose)(void *ctx, const struct request *r, int64_t connected_at);
    /* Whether connecting may fail so. NULL: it may not. */
    bool (*may_not_connect)(void *ctx, int error);
    /* It is sent for the first time. NULL: nobody cares. */
    void (*asked)(void *ctx, const struct request *r);
    /* Checks status and body. NULL: as `ask` says. */
    void (*check)(void *ctx, const struct request *r, const struct answer *a, int64_t connected_at);
    /* It was answered, well. NULL: nobody cares. */
    void (*answered_well)(void *ctx, const struct request *r, const struct answer *a);
    void *ctx;

    /* What came of it. */
    unsigned answered;
    unsigned worked; /* by steps, well */
    unsigned failed; /* since workers died */
    unsigned resent; /* that no server had begun */
    unsigned lost;
    unsigned abandoned; /* lost and not to be sent again */
    unsigned connects;
    struct sim_process *process;
};

/* Starts them, on a host of their own, which chaos spares. `c` must live as long as the universe.
 */
void crowd_start(struct crowd *c);
/* By a director: waits for their end, which must be good. */
int crowd_wait(struct crowd *c) __attribute__((warn_unused_result));
