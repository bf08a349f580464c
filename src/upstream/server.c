/*
 * server.c: what is known of a server: its latency, and whether it works.
 */
#include "upstream/internal.h"

#include "base/time.h"

#include <math.h>

/* The time constant with which a noted latency is forgotten. */
#define DECAY_NS         (5 * NS_PER_S)
/* A shorter latency that is noted after this long counts whole. */
#define FALL_NS          NS_PER_S
/* Of a server of which nothing is known, beside others of which nothing is known either. */
#define UNKNOWN_NS       (1 * NS_PER_MS)
/* A failure is expected to cost at least this, at most that. */
#define FAILURE_LEAST_NS (10 * NS_PER_MS)
#define FAILURE_MOST_NS  (10 * NS_PER_S)
/* How long a busy server gets fewer calls. */
#define AVOID_NS         (1 * NS_PER_S)
#define AVOID_MOST_NS    (10 * NS_PER_S)
#define SHARE_LEAST      0.1
/* A latency that was noted earlier is worth a call that finds out. */
#define STALE_NS         (1 * NS_PER_S)

#define LOAD(field)         atomic_load_explicit(&(field), memory_order_relaxed)
#define STORE(field, value) atomic_store_explicit(&(field), (value), memory_order_relaxed)

bool server_usable(const struct upstream_server *s, int64_t now)
{
    return !LOAD(s->down) && LOAD(s->ejected_until) <= now;
}

double server_share(const struct upstream_server *s, int64_t now)
{
    int64_t returned = LOAD(s->ejected_until);
    int64_t slow = s->upstream->conf->eject.slow_start;
    if (returned == 0 || now < returned || now - returned >= slow)
        return 1;
    double share = (double)(now - returned) / (double)slow;
    return share < SHARE_LEAST ? SHARE_LEAST : share;
}

/* The latency that was noted last, less the older it is: a server that was slow once is tried
 * again. */
static double expected_ns(const struct upstream_server *s, int64_t now)
{
    int64_t noted = LOAD(s->latency_ns);
    int64_t age = now - LOAD(s->latency_at);
    if (noted == 0)
        return (double)UNKNOWN_NS;
    return (double)noted * exp(-(double)(age > 0 ? age : 0) / (double)DECAY_NS);
}

/* Draws are weighted already: so with few calls in flight weights are shares of the calls, and with
 * many, shares of what is in flight. */
double server_cost(const struct upstream_server *s, int64_t now)
{
    double cost = expected_ns(s, now) * (1 + (double)LOAD(s->in_flight) / s->weight);
    if (LOAD(s->avoided_until) > now)
        cost += (double)FAILURE_MOST_NS;
    return cost / server_share(s, now);
}

bool server_stale(const struct upstream_server *s, int64_t now)
{
    return LOAD(s->latency_ns) > 0 && now - LOAD(s->latency_at) > STALE_NS &&
           LOAD(s->in_flight) == 0 && LOAD(s->avoided_until) <= now;
}

void server_begin(struct upstream_server *s)
{
    atomic_fetch_add_explicit(&s->in_flight, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->upstream->in_flight, 1, memory_order_relaxed);
}

/* ---- Latency ---- */

/* Rises at once to a longer latency, and falls slowly to a shorter one. */
static void note_latency(struct upstream_server *s, int64_t took, int64_t now)
{
    int64_t noted = LOAD(s->latency_ns);
    int64_t age = now - LOAD(s->latency_at);
    if (noted > 0 && took < noted) {
        /* The weight of the new one grows with the time since the last one. */
        double weight = (double)(age > 0 ? age : 0) / (double)FALL_NS;
        weight = weight < 0.02 ? 0.02 : weight > 1 ? 1 : weight;
        took = noted - (int64_t)((double)(noted - took) * weight);
    }
    STORE(s->latency_ns, took > 0 ? took : 1);
    STORE(s->latency_at, now);
}

/* Quick failures would make a broken server look like the fastest one. */
static void note_failure_latency(struct upstream_server *s, int64_t took, int64_t now)
{
    int64_t twice = (int64_t)(2 * expected_ns(s, now));
    int64_t cost = took > twice ? took : twice;
    cost = cost < FAILURE_LEAST_NS ? FAILURE_LEAST_NS : cost;
    note_latency(s, cost > FAILURE_MOST_NS ? FAILURE_MOST_NS : cost, now);
}

/* ---- Ejection ---- */

static bool is_last(const struct upstream *u, const struct upstream_server *s, int64_t now)
{
    for (unsigned i = 0; i < u->server_count; i++)
        if (&u->servers[i] != s && server_usable(&u->servers[i], now))
            return false;
    return true;
}

static int64_t ejection_time(const struct conf_eject *conf, unsigned before)
{
    int64_t time = conf->time;
    for (unsigned i = 0; i < before && time < conf->time_max; i++)
        time *= 2;
    return time < conf->time_max ? time : conf->time_max;
}

static bool eject(struct upstream_server *s, int64_t now)
{
    struct upstream *u = s->upstream;
    pthread_mutex_lock(&u->ejecting); /* two threads shall not eject the last two */
    bool can = server_usable(s, now) && !is_last(u, s, now);
    if (can) {
        unsigned before = LOAD(s->ejections);
        STORE(s->ejections, before + 1);
        STORE(s->ejected_until, deadline_after(now, ejection_time(&u->conf->eject, before)));
    }
    pthread_mutex_unlock(&u->ejecting);
    return can;
}

static bool note_failure(struct upstream_server *s, int64_t now)
{
    unsigned limit = s->upstream->conf->eject.failures;
    unsigned failures = atomic_fetch_add_explicit(&s->failures, 1, memory_order_relaxed) + 1;
    return limit > 0 && failures >= limit && eject(s, now);
}

/* After an ejection the count of failures stays, so that the first call that fails ejects it again;
 * one that succeeds resets it. */
static void note_success(struct upstream_server *s, int64_t now)
{
    if (LOAD(s->failures))
        STORE(s->failures, 0);
    if (LOAD(s->ejections) && server_share(s, now) >= 1 && server_usable(s, now)) {
        STORE(s->ejections, 0);
        STORE(s->ejected_until, 0);
    }
}

bool server_end(
    struct upstream_server *s, enum outcome outcome, int64_t took, int64_t retry_after, int64_t now)
{
    atomic_fetch_sub_explicit(&s->in_flight, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&s->upstream->in_flight, 1, memory_order_relaxed);
    switch (outcome) {
    case OUTCOME_GOOD:
        note_latency(s, took, now);
        note_success(s, now);
        break;
    case OUTCOME_BUSY:
        if (retry_after <= 0)
            retry_after = AVOID_NS;
        STORE(s->avoided_until, now + (retry_after < AVOID_MOST_NS ? retry_after : AVOID_MOST_NS));
        break;
    case OUTCOME_FAILED:
        note_failure_latency(s, took, now);
        return note_failure(s, now);
    case OUTCOME_UNKNOWN:
        break;
    }
    return false;
}

/* ---- Health checks ---- */

bool server_checked(struct upstream_server *s, bool good)
{
    bool before = LOAD(s->down);
    const struct conf_health *conf = &s->upstream->conf->health;
    s->good_checks = good ? s->good_checks + 1 : 0;
    s->bad_checks = good ? 0 : s->bad_checks + 1;
    if (s->good_checks >= conf->rise)
        STORE(s->down, false);
    else if (s->bad_checks >= conf->fall)
        STORE(s->down, true);
    return LOAD(s->down) != before;
}

const char *server_state(const struct upstream_server *s, int64_t now)
{
    if (LOAD(s->down))
        return "down";
    if (LOAD(s->ejected_until) > now)
        return "ejected";
    return server_share(s, now) < 1 ? "slow start" : "up";
}
