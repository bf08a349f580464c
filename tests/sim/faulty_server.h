/*
 * faulty_server.h: an HTTP server on a host of its own, which can be made to fail in every way.
 *
 * It answers GET and POST of "/ID" with ID. The scenario learns of each request when its head has
 * been read.
 */
#pragma once

#include "world/sim/sim.h"

#define FAULTY_PORT 80

enum server_fault {
    SERVER_WELL,
    SERVER_SLOW,        /* takes four times as long */
    SERVER_LATE,        /* answers after 2 s */
    SERVER_SILENT,      /* accepts and never answers */
    SERVER_GARBAGE,     /* answers with what is no HTTP */
    SERVER_CUT,         /* closes in the middle of the body */
    SERVER_BUSY,        /* 503, with Retry-After or without, or 502 */
    SERVER_KILLED,      /* its process: connections are refused */
    SERVER_FLAPPING,    /* killed and started again every second */
    SERVER_STOPPED,     /* the host stands still, as by SIGSTOP */
    SERVER_UNREACHABLE, /* nothing gets through between it and its clients */
    SERVER_LOSSY,       /* the link loses a fifth of what is sent */
    SERVER_CRASHED,     /* the host is down, and connections of before are reset afterwards */
    SERVER_FAULTS
};

struct faulty_request {
    struct span method;
    struct span id;
    int64_t left_ns;    /* Weir-Deadline; DEADLINE_NEVER: none */
    bool on_kept;       /* not the first of its connection */
    bool after_a_fault; /* it may have lain in a buffer while the server stood still */
};

struct faulty_server {
    struct sim *sim;
    unsigned index;
    int64_t service_ns; /* uniform from half of it to three halves */
    bool computes;      /* takes the time of a core, so that requests wait for it; else it sleeps */
    unsigned cores;
    void (*on_request)(
        void *ctx, struct faulty_server *s, const struct faulty_request *request); /* or NULL */
    void *ctx;
    /* Set by faulty_server_start: */
    char name[16];
    char process_name[16];
    struct sim_host *host;
    struct sim_process *process; /* NULL: killed */
    enum server_fault fault;
    bool crashed;        /* at any time */
    int64_t killed_at;   /* universe time, the last time */
    int64_t still_until; /* universe time: until then requests may come late */
};

/* Makes the host and starts the server; `s` must live as long as the universe. */
void faulty_server_start(struct faulty_server *s);
/* By a director: the server has the fault for `ns`, and then none. `client` is the host that calls
 * it. */
int faulty_server_fail(struct faulty_server *s, struct sim_host *client, enum server_fault fault,
    int64_t ns) __attribute__((warn_unused_result));
