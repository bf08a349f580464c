/*
 * internal.h: servers and what is known of them. For upstream/ only.
 *
 * Fields that several threads write are relaxed atomics. What they say is advice, for the choice of
 * a server: a lost update costs a slightly worse choice, never correctness.
 */
#pragma once

#include "upstream/adaptive_limit.h"
#include "upstream/upstream.h"

#include "base/map.h"
#include "base/rand.h"
#include "coro/concurrency_limit.h"

#include <pthread.h>
#include <stdatomic.h>

struct server_series {
    struct meter_series *calls;
    struct meter_series *failures;
};

struct upstream_server {
    struct upstream *upstream;
    const char *name;   /* "127.0.0.1:5001" */
    struct span origin; /* "http://127.0.0.1:5001" */
    unsigned index;
    unsigned weight;
    _Atomic unsigned in_flight;
    _Atomic int64_t latency_ns; /* peak EWMA; 0: not known */
    _Atomic int64_t latency_at; /* when it was noted last */
    _Atomic unsigned failures;  /* in a row */
    _Atomic unsigned ejections; /* in a row */
    _Atomic int64_t ejected_until;
    _Atomic int64_t avoided_until; /* it asked for fewer calls */
    _Atomic bool down;             /* by health checks */
    unsigned good_checks;          /* in a row; of the checking coroutine */
    unsigned bad_checks;
    struct server_series series;
} __attribute__((aligned(64)));

struct ring_point {
    uint64_t hash;
    unsigned server;
};

struct upstream_series {
    struct meter_series *inside;
    struct meter_series *waiting;
    struct meter_series *refused;
    struct meter_series *limit;
    struct meter_series *retries;
    struct meter_series *retries_denied;
};

#define BUDGET_SECONDS 10

/* Retries of the last ten seconds, beside the calls. */
struct retry_budget {
    _Atomic unsigned in_flight; /* retries */
    struct budget_second {
        _Atomic int64_t second; /* of the clock: what the cell counts */
        _Atomic unsigned calls;
        _Atomic unsigned retries;
    } seconds[BUDGET_SECONDS + 1];
};

struct upstream {
    const struct conf_upstream *conf;
    const char *title;
    unsigned index;
    unsigned server_count;
    struct upstream_server *servers;
    unsigned *order;         /* of round_robin: servers by their weights, spread evenly */
    unsigned order_count;    /* also of what `least` draws from */
    struct ring_point *ring; /* of hash, sorted */
    unsigned ring_count;
    pthread_mutex_t ejecting;
    _Atomic unsigned next;      /* of round_robin */
    _Atomic unsigned in_flight; /* attempts */
    struct retry_budget budget;
    struct upstream_series series;
};

struct upstreams {
    const struct config *config;
    struct arena arena;
    struct upstream **list;
    unsigned count;
    unsigned room;
    bool registered;
    struct conf_upstream single; /* of origins: one server, nothing tried again */
};

/* ---- Servers: server.c ---- */

enum outcome {
    OUTCOME_GOOD,
    OUTCOME_BUSY,   /* the server asked for fewer calls */
    OUTCOME_FAILED, /* it did not answer, or not as a working server */
    OUTCOME_UNKNOWN /* the attempt was given up: it tells nothing */
};

/* Returns true if it is neither down nor ejected. */
bool server_usable(const struct upstream_server *s, int64_t now);
/* How long a further call would take: expected latency by calls in flight, over its share. */
double server_cost(const struct upstream_server *s, int64_t now);
/* 0 to 1: less than 1 while it returns from an ejection. */
double server_share(const struct upstream_server *s, int64_t now);
/* Returns true if its latency is not known from recent calls, nor will be from those in flight. */
bool server_stale(const struct upstream_server *s, int64_t now);
void server_begin(struct upstream_server *s);
/* `retry_after` is what a busy server asked for; 0: nothing. Returns true if the server was ejected
 * for it. */
bool server_end(struct upstream_server *s, enum outcome outcome, int64_t took, int64_t retry_after,
    int64_t now);
/* A health check ended. Returns true if the server is up or down by it, and was not before. */
bool server_checked(struct upstream_server *s, bool good);
/* "up", "ejected", "down" or "slow start". */
const char *server_state(const struct upstream_server *s, int64_t now);

/* ---- Choosing: balance.c ---- */

#define TRIED_MAX 100 /* as many as `attempts` may be */

struct tried {
    unsigned count;
    unsigned servers[TRIED_MAX];
};

/* For the balances of one upstream: `order` and `ring`. 0 or -ENOMEM. */
int balance_prepare(struct upstream *u, struct arena *arena) __attribute__((warn_unused_result));
/* A usable server that was not tried; else one that was not tried; else any. */
struct upstream_server *balance_choose(
    struct upstream *u, const struct tried *tried, uint64_t hash, struct rand *rand, int64_t now);

/* ---- Trying again: retry.c ---- */

/* A call begins: it pays its part into the budget. */
void retry_budget_earn(struct upstream *u, int64_t now);
/* Takes a retry from the budget; retry_budget_end follows when it has ended. Returns false if the
 * budget is used up. */
bool retry_budget_take(struct upstream *u, int64_t now);
void retry_budget_end(struct upstream *u);
/* A random pause before the nth retry, from 1 on. */
int64_t retry_pause(const struct conf_retry *conf, unsigned nth, struct rand *rand);
/* "Retry-After: 3" in ns; 0: there is none, or none in seconds. */
int64_t retry_after_of(const struct http1_head *head);

/* ---- An I/O thread's part ---- */

struct limit_cells {
    struct gauge *inside;
    struct gauge *waiting;
    struct gauge *limit;
    struct counter *refused;
    struct counter *retries;
    struct counter *retries_denied;
};

struct server_cells {
    struct http_origin *origin; /* NULL: not used yet */
    struct counter *calls;
    struct counter *failures;
};

struct upstream_local {
    struct concurrency_limit slots;
    struct adaptive_limit limit;
    struct limit_cells cells;
    struct server_cells *servers;
};

struct upstream_client {
    const struct upstreams *all;
    struct http_client *http;
    struct world *world;
    struct rand rand;
    const struct conf_client *conf;
    struct upstream_local *local; /* by upstream */
    struct server_cells *servers; /* of all */
};

/* client.c: the origin of a server, found once. */
int client_origin(struct upstream_client *c, const struct upstream_server *s,
    struct http_origin **out, struct error *e) __attribute__((warn_unused_result));
