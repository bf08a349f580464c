/*
 * node_sleep.c: waits. Its value is null.
 *
 * With a seed the n-th request's span depends on the seed and n alone: a test that sends requests
 * one after another sees the same spans each time, on any number of threads.
 */
#include "flow/internal.h"

#include "base/rand.h"

#include <errno.h>

static void compile(struct compiler *c, struct flow_node *n)
{
    n->sleep.draws = arena_zalloc(&c->flow->arena, sizeof *n->sleep.draws);
    if (!n->sleep.draws)
        compiler_note(c, -ENOMEM);
}

static int64_t draw_from(struct rand *r, const struct conf_sleep *s)
{
    if (s->distribution == CONF_UNIFORM)
        return rand_between(r, s->low_ns, s->high_ns);
    return rand_exponential(r, s->low_ns);
}

static int64_t draw(struct run *run, const struct flow_node *n)
{
    const struct conf_sleep *s = &n->conf->sleep;
    struct rand own;
    if (s->distribution == CONF_FIXED)
        return s->low_ns;
    if (s->seed == 0 && run->context->rand)
        return draw_from(run->context->rand, s);
    uint64_t seed;
    if (s->seed == 0) {
        world_random(run->context->world, &seed, sizeof seed);
    } else {
        uint64_t nth = atomic_fetch_add_explicit(n->sleep.draws, 1, memory_order_relaxed);
        /* An odd constant other than the generator's own step: seeds that are near give nothing
         * that is near. */
        seed = s->seed ^ nth * UINT64_C(0xd1b54a32d192ed03);
    }
    rand_init(&own, seed);
    return draw_from(&own, s);
}

static int run_sleep(
    struct run *run, const struct flow_node *n, struct value *out, const struct error **why)
{
    return world_sleep(run->context->world, draw(run, n));
}

const struct node_kind node_sleep = {.waits = true, .compile = compile, .run = run_sleep};
