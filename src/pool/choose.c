/*
 * choose.c: see choose.h. It looks at a few atomics for each task, and takes no lock.
 */
#include "pool/choose.h"

#include "pool/explain.h"

#include "base/mem.h"

#include <errno.h>

/* Probes: now and then a burst of calls is placed differently, so that estimates stay true: one
 * call in so many, and at most one part in so many of the time. */
#define PROBE_CALLS      64
#define PROBE_TIMES      200
#define PROBE_BURST      10
#define PROBE_WAKES      2 /* calls of a burst that only wake workers, and are not measured */
/* The first bursts come this many times as often: little is known yet. */
#define PROBE_EARLY      6
#define PROBE_OFTEN      8
/* Groups that cost this many dispatches and fan out are measured anyway: no probes. */
#define PROBE_DISPATCHES 20
/* log2 of the number of kinds of groups whose decisions are kept. */
#define CHOICES_BITS     8

int choices_new(struct pool_client *client)
{
    const struct pools *pools = client->pools;
    client->choices = mem_zalloc((pools->count + 1) * sizeof(*client->choices));
    for (unsigned i = 0; i < pools->count && client->choices; i++) {
        struct choices *c = &client->choices[i];
        c->kinds = mem_zalloc((1U << CHOICES_BITS) * sizeof(*c->kinds));
        if (!c->kinds)
            return -ENOMEM;
        for (unsigned j = 0; j < 1U << CHOICES_BITS; j++)
            c->kinds[j].placed = c->kinds[j].logged = PLACE_UNDECIDED;
    }
    return client->choices ? 0 : -ENOMEM;
}

void choices_free(struct pool_client *client)
{
    for (unsigned i = 0; i < client->pools->count && client->choices; i++)
        mem_free(client->choices[i].kinds);
    mem_free(client->choices);
}

/* ---- The tick's budget ---- */

static void update_tick(struct pool_client *client)
{
    uint64_t tick = world_tick(client->world);
    if (client->tick == tick)
        return;
    client->last_groups = tick == client->tick + 1 ? client->tick_groups : 0;
    client->tick = tick;
    client->tick_ns = 0;
    client->tick_groups = 0;
}

/* Twice the expected number of requests that compete for this I/O thread: a recent arrival counts
 * 1, a request with work in a pool 1/2. */
static unsigned competing_requests(
    const struct pool_client *client, const struct pool *p, int64_t now)
{
    unsigned others =
        (client->last_groups > client->tick_groups ? client->last_groups : client->tick_groups) - 1;
    if (others == 0 && client->inline_for != coro_self() &&
        now - client->inline_end < dispatch_expected(&p->dispatch))
        others = 1;
    return 2 * others + (client->under_way < p->size ? client->under_way : p->size);
}

/* ---- Steps that are blocked from inline runs ---- */

static int64_t get(const _Atomic int64_t *at)
{
    return atomic_load_explicit(at, memory_order_relaxed);
}

static void set(_Atomic int64_t *at, int64_t value)
{
    atomic_store_explicit(at, value, memory_order_relaxed);
}

static bool is_blocked(const struct pool *p, unsigned step, int64_t now)
{
    int64_t until = get(&p->backoffs[step].blocked_until);
    return until != 0 && now < until;
}

bool choose_ran_inline(
    struct pool_client *client, struct pool *p, const struct pool_call *c, bool forced, int64_t now)
{
    update_tick(client);
    client->tick_ns += c->wall_ns;
    client->inline_for = coro_self();
    client->inline_end = now;
    if (forced || p->ops->runs_on_caller ||
        (c->processor_ns <= CHOOSE_BLOCKS_NS && c->wall_ns <= CHOOSE_STANDS_NS))
        return false;
    int64_t blocked_ns = c->wall_ns * CHOOSE_OFF_TIMES;
    set(&p->backoffs[c->step].blocked_until, now + blocked_ns);
    explain_blocked(p, c, blocked_ns, now);
    return true;
}

/* ---- Estimates ---- */

static void add_costs(struct placement_view *v, struct pool *p, struct pool_call *const *calls,
    unsigned count, int64_t now)
{
    bool known = true;
    for (unsigned i = 0; i < count; i++) {
        const struct step_cost *cost = &p->costs[calls[i]->step];
        int64_t expected = cost_expected(cost, calls[i]->input.len);
        int64_t tail = cost_tail(cost, calls[i]->input.len);
        known &= expected > 0;
        v->sum_ns += expected;
        if (expected > v->most_ns)
            v->most_ns = expected;
        if (tail > v->tail_ns)
            v->tail_ns = tail;
        v->batched |= p->batches[calls[i]->step].max > 1;
        if (v->may_inline && is_blocked(p, calls[i]->step, now))
            v->may_inline = false;
    }
    if (!known)
        v->sum_ns = 0;
    if (v->idle > 1 && count > 1)
        v->fanout_ns = fanout_expected(&p->dispatch, v->sum_ns);
}

static bool has_inline_worker(const struct pool_client *client, const struct pool *p)
{
    return client->inline_workers[p->index] != NULL;
}

/* An inline worker is made when placement first wants one. */
static void ask_for_worker(struct pool_client *client, struct pool *p)
{
    future_set(&client->inline_wanted[p->index], 0);
}

/* ---- Choosing ---- */

/* Groups of one route with the same first step and count are of one kind. Kinds that collide in the
 * table only forget each other's decisions. */
static struct choice *kind_of(struct choices *c, const struct pool_call *first, unsigned count)
{
    uint32_t key = first->route * 0x9e3779b1U + first->step * 0x85ebca77U + count * 0xc2b2ae3dU;
    return &c->kinds[key >> (32 - CHOICES_BITS)];
}

/* Starts a burst if it is time for one. A probe costs about a dispatch, or what fan-out saves. */
static bool begins_burst(struct choice *c, const struct placement_view *v, int64_t now)
{
    int64_t longer = v->before == PLACE_INLINE ? v->dispatch_ns : v->sum_ns;
    unsigned often = c->probes < PROBE_EARLY ? PROBE_OFTEN : 1;
    if (v->before == PLACE_FANOUT && v->sum_ns > v->dispatch_ns * PROBE_DISPATCHES)
        return false;
    if (++c->asked < PROBE_CALLS * PROBE_BURST / often ||
        now - c->probed_at < PROBE_TIMES * PROBE_BURST * longer / often)
        return false;
    c->probed_at = now;
    c->asked = 0;
    if (++c->probes == 0)
        c->probes = PROBE_EARLY;
    c->probing = PROBE_BURST;
    return true;
}

/* Several in a row, of which the first only wakes the workers: those that have slept for long are
 * slower than they would be if they were used. */
static bool is_time_to_probe(
    struct pool_client *client, struct choice *c, const struct placement_view *v, int64_t now)
{
    client->wakes = false;
    if (v->idle == 0 || v->queued > 0 || v->tick_ns > 0 || v->sum_ns == 0 || v->batched)
        return false;
    if (c->probing == 0 && !begins_burst(c, v, now))
        return false;
    client->wakes = c->probing > PROBE_BURST - PROBE_WAKES;
    c->probing--;
    return true;
}

/* What was not measured for a while: handing over as one, and, where it might be faster, as
 * several. */
static enum placement probe(const struct choice *c, const struct placement_view *v)
{
    struct placement_view other = *v;
    other.may_inline = false;
    other.fanout_ns = 0;
    if (v->count > 1 && c->probes % 2)
        return PLACE_FUSED;
    return placement_decide(&other, NULL);
}

static enum placement by_measure(struct pool_client *client, struct pool *p,
    struct pool_call *const *calls, unsigned count, int64_t now, bool *waits)
{
    struct choices *choices = &client->choices[p->index];
    struct choice *kind = kind_of(choices, calls[0], count);
    update_tick(client);
    client->tick_groups++;
    struct placement_view v = {.count = count,
        .dispatch_ns = dispatch_expected(&p->dispatch),
        .effort_ns = estimate_mean(&p->dispatch.effort),
        .may_inline = p->steps != NULL,
        .cores_left = p->pools->cores > p->size,
        .tick_ns = client->tick_ns,
        .workers = p->size,
        .groups = atomic_load_explicit(&p->groups, memory_order_relaxed),
        .competing = competing_requests(client, p, now),
        .idle = atomic_load_explicit(&p->queue.idle_workers, memory_order_relaxed),
        .queued = atomic_load_explicit(&p->queue.length, memory_order_relaxed),
        .before = kind->placed};
    const char *why;
    add_costs(&v, p, calls, count, now);
    enum placement chosen = placement_decide(&v, &why);
    if (chosen == PLACE_INLINE && !has_inline_worker(client, p)) {
        ask_for_worker(client, p);
        v.may_inline = false;
        chosen = placement_decide(&v, &why);
    }
    if (is_time_to_probe(client, kind, &v, now))
        return probe(kind, &v);
    /* A decision that only the tick's budget made says nothing about the steps. */
    if (v.tick_ns == 0)
        explain_choice(kind, p, calls, &v, chosen, why, now);
    *waits = placement_waits(&v);
    return chosen;
}

static enum placement as_forced(
    struct pool_client *client, struct pool *p, unsigned count, enum pool_dispatch dispatch)
{
    if (dispatch == POOL_INLINE && has_inline_worker(client, p))
        return PLACE_INLINE;
    if (dispatch == POOL_INLINE)
        ask_for_worker(client, p);
    return dispatch == POOL_FUSED && count > 1 ? PLACE_FUSED : PLACE_FANOUT;
}

enum placement choose(struct pool_client *client, struct pool *p, struct pool_call *const *calls,
    unsigned count, enum pool_dispatch dispatch, int64_t now, bool *waits)
{
    enum placement chosen = PLACE_INLINE;
    *waits = false;
    if (!p->ops->runs_on_caller && dispatch == POOL_AUTO)
        chosen = by_measure(client, p, calls, count, now, waits);
    else if (!p->ops->runs_on_caller)
        chosen = as_forced(client, p, count, dispatch);
    return chosen;
}
