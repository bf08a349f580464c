/*
 * balance.c: which server gets an attempt.
 *
 * No choice looks at all servers, unless most of them cannot be used: a call costs the same with
 * three servers and with a thousand.
 */
#include "upstream/internal.h"

#include "base/siphash.h"

#include <errno.h>
#include <stdlib.h>

#define DRAWS         8     /* at random, before all are looked at */
#define PROBE_PPM     62500 /* of the draws of a server whose latency is stale */
#define ORDER_MAX     8192  /* entries of round_robin's order */
#define RING_POINTS   64    /* of a server of weight 1 */
#define RING_MAX      (64 * 1024)
#define HASH_LOAD_MAX 1.25 /* of the mean: calls in flight that a server gets by its hash */

/* ---- Who may be chosen ---- */

static bool was_tried(const struct tried *tried, unsigned server)
{
    for (unsigned i = 0; i < tried->count; i++)
        if (tried->servers[i] == server)
            return true;
    return false;
}

struct choosing {
    struct upstream *u;
    const struct tried *tried;
    struct rand *rand;
    int64_t now;
    const struct upstream_server *other; /* not this one */
};

static bool may_be(const struct choosing *c, unsigned server)
{
    const struct upstream_server *s = &c->u->servers[server];
    return s != c->other && server_usable(s, c->now) && !was_tried(c->tried, server);
}

/* From a random one on: the first that is usable and was not tried; else, the first that was not
 * tried; else, if `any`, the first. */
static struct upstream_server *look_at_all(const struct choosing *c, bool any)
{
    unsigned count = c->u->server_count;
    unsigned from = (unsigned)rand_below(c->rand, count);
    struct upstream_server *untried = NULL;
    for (unsigned i = 0; i < count; i++) {
        unsigned at = (from + i) % count;
        if (may_be(c, at))
            return &c->u->servers[at];
        if (!untried && !was_tried(c->tried, at))
            untried = &c->u->servers[at];
    }
    if (!any)
        return NULL;
    return untried ? untried : &c->u->servers[from];
}

/* ---- least: the better of two random ones ---- */

static struct upstream_server *draw(const struct choosing *c, bool any)
{
    for (unsigned i = 0; i < DRAWS; i++) {
        unsigned at = c->u->order[rand_below(c->rand, c->u->order_count)];
        if (may_be(c, at))
            return &c->u->servers[at];
    }
    return look_at_all(c, any);
}

/* A server that failed or was slow would wait for half a minute until its latency has decayed to
 * what others take. A few calls find out sooner; few, for it may still be slow. */
static bool is_probe(const struct choosing *c, const struct upstream_server *s)
{
    return server_stale(s, c->now) && rand_ppm(c->rand, PROBE_PPM);
}

static struct upstream_server *choose_least(struct choosing *c)
{
    struct upstream_server *first = draw(c, true);
    if (c->u->server_count == 1)
        return first;
    c->other = first;
    struct upstream_server *second = draw(c, false);
    if (!second)
        return first;
    bool is_less = server_cost(second, c->now) < server_cost(first, c->now);
    struct upstream_server *better = is_less ? second : first;
    struct upstream_server *other = is_less ? first : second;
    return is_probe(c, other) ? other : better;
}

/* ---- round_robin ---- */

/* One that returns from an ejection lets its turn pass, as long as its share is less than whole. */
static bool takes_its_turn(const struct choosing *c, unsigned server)
{
    double share = server_share(&c->u->servers[server], c->now);
    return share >= 1 || rand_ppm(c->rand, (uint32_t)(share * 1e6));
}

static struct upstream_server *choose_in_turn(struct choosing *c)
{
    struct upstream *u = c->u;
    for (unsigned i = 0; i < u->order_count; i++) {
        unsigned turn = atomic_fetch_add_explicit(&u->next, 1, memory_order_relaxed);
        unsigned at = u->order[turn % u->order_count];
        if (may_be(c, at) && takes_its_turn(c, at))
            return &u->servers[at];
    }
    return look_at_all(c, true);
}

/* Smooth weighted round robin: each turn everybody gains its weight, and the richest goes and pays
 * the sum. */
static void spread_evenly(const struct upstream *u, unsigned *order, unsigned count, int64_t *owed)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < u->server_count; i++)
        sum += u->servers[i].weight;
    for (unsigned turn = 0; turn < count; turn++) {
        unsigned best = 0;
        for (unsigned i = 0; i < u->server_count; i++) {
            owed[i] += u->servers[i].weight;
            if (owed[i] > owed[best])
                best = i;
        }
        owed[best] -= sum;
        order[turn] = best;
    }
}

static bool same_weights(const struct upstream *u)
{
    for (unsigned i = 1; i < u->server_count; i++)
        if (u->servers[i].weight != u->servers[0].weight)
            return false;
    return true;
}

static int make_order(struct upstream *u, struct arena *arena)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < u->server_count; i++)
        sum += u->servers[i].weight;
    unsigned count = same_weights(u)   ? u->server_count
                     : sum > ORDER_MAX ? ORDER_MAX
                                       : (unsigned)sum;
    u->order = arena_alloc(arena, count * sizeof *u->order);
    int64_t *owed = arena_zalloc(arena, u->server_count * sizeof *owed);
    if (!u->order || !owed)
        return -ENOMEM;
    u->order_count = count;
    if (count == u->server_count && same_weights(u))
        for (unsigned i = 0; i < count; i++)
            u->order[i] = i;
    else
        spread_evenly(u, u->order, count, owed);
    return 0;
}

/* ---- hash: a ring, with bounded load ---- */

static int by_hash(const void *a, const void *b)
{
    const struct ring_point *x = a;
    const struct ring_point *y = b;
    return x->hash < y->hash ? -1 : x->hash > y->hash;
}

/* A server's points depend on its name alone: another server that comes or goes moves only the keys
 * of its own. */
static int make_ring(struct upstream *u, struct arena *arena)
{
    static const uint64_t key[2] = {UINT64_C(0x7765697220726e67), UINT64_C(0x686173682072696e)};
    uint64_t sum = 0;
    for (unsigned i = 0; i < u->server_count; i++)
        sum += (uint64_t)u->servers[i].weight * RING_POINTS;
    u->ring = arena_alloc(arena, (size_t)(sum + u->server_count) * sizeof *u->ring);
    if (!u->ring)
        return -ENOMEM;
    for (unsigned i = 0; i < u->server_count; i++) {
        const struct upstream_server *s = &u->servers[i];
        uint64_t points = (uint64_t)s->weight * RING_POINTS;
        uint64_t name = siphash(key, span_of(s->name));
        for (uint64_t k = 0; k < points; k++) {
            uint64_t at[2] = {name, k};
            u->ring[u->ring_count++] = (struct ring_point){
                .hash = siphash(key, (struct span){(const char *)at, sizeof at}), .server = i};
        }
    }
    qsort(u->ring, u->ring_count, sizeof *u->ring, by_hash);
    return 0;
}

static bool is_overloaded(const struct choosing *c, unsigned server)
{
    const struct upstream *u = c->u;
    double all = atomic_load_explicit(&u->in_flight, memory_order_relaxed) + 1;
    double own = atomic_load_explicit(&u->servers[server].in_flight, memory_order_relaxed) + 1;
    double most = HASH_LOAD_MAX * all / u->server_count;
    return own > 1 && own > most;
}

static struct upstream_server *choose_by_hash(struct choosing *c, uint64_t hash)
{
    const struct upstream *u = c->u;
    unsigned low = 0;
    unsigned high = u->ring_count;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        if (u->ring[middle].hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    struct upstream_server *first = NULL;
    for (unsigned i = 0; i < u->ring_count; i++) {
        unsigned at = u->ring[(low + i) % u->ring_count].server;
        if (!may_be(c, at))
            continue;
        if (!is_overloaded(c, at))
            return &u->servers[at];
        if (!first)
            first = &u->servers[at];
    }
    return first ? first : look_at_all(c, true);
}

/* ---- All ---- */

int balance_prepare(struct upstream *u, struct arena *arena)
{
    return u->conf->balance == CONF_BALANCE_HASH ? make_ring(u, arena) : make_order(u, arena);
}

struct upstream_server *balance_choose(
    struct upstream *u, const struct tried *tried, uint64_t hash, struct rand *rand, int64_t now)
{
    struct choosing c = {.u = u, .tried = tried, .rand = rand, .now = now};
    if (u->conf->balance == CONF_BALANCE_HASH)
        return choose_by_hash(&c, hash);
    if (u->conf->balance == CONF_BALANCE_ROUND_ROBIN)
        return choose_in_turn(&c);
    return choose_least(&c);
}
