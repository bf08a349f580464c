/*
 * node_sleep.c: waits. Its value is null.
 *
 * With a seed the n-th request's span depends on the seed and n alone: a test that sends requests
 * one after another sees the same spans each time, on any number of threads.
 */
#include "flow/internal.h"

#include "base/rand.h"
#include "conf/show.h"
#include "conf/type.h"

#include <errno.h>

/* ---- Its configuration ---- */

struct sleep_conf { /* sleep: 70ms | {uniform: [10ms, 20ms]} | {exponential: 70ms, seed: 7} */
    enum distribution { FIXED, UNIFORM, EXPONENTIAL } distribution;
    int64_t low_ns;  /* of uniform; the span of fixed; the mean of exponential */
    int64_t high_ns; /* of uniform */
    uint64_t seed;   /* 0: the world's own */
};

static int read_range(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at)
{
    struct sleep_conf *sleep = at;
    if (n->kind != CONF_LIST || n->count != 2) {
        conf_tell(r, n, where, "two durations such as [10ms, 20ms]", "");
        return 0;
    }
    int rc = conf_type_duration.read(r, key, n->elements[0], where, &sleep->low_ns);
    if (rc == 0)
        rc = conf_type_duration.read(r, key, n->elements[1], where, &sleep->high_ns);
    if (rc == 0 && sleep->high_ns < sleep->low_ns)
        conf_tell(r, n->elements[1], where, "a duration that is not shorter than the first", "");
    return rc;
}

static struct conf_node *show_range(
    struct conf_show *s, const struct conf_key *key, const void *at, const struct conf_node *origin)
{
    const struct sleep_conf *sleep = at;
    struct conf_node *list = conf_show_list(s, 2);
    conf_show_element(list, conf_show_duration(s, sleep->low_ns));
    conf_show_element(list, conf_show_duration(s, sleep->high_ns));
    return list;
}

static int put_range(struct bytes *out, const struct conf_key *key)
{
    return conf_schema_put(out, "\"type\":\"array\",\"minItems\":2,\"maxItems\":2,"
                                "\"items\":{\"anyOf\":[" CONF_SCHEMA_DURATION "]}");
}

static const struct conf_type range_type = {.words = "two durations",
    .is_setting = true,
    .read = read_range,
    .show = show_range,
    .schema = put_range};

#define SEED                                                                                \
    {                                                                                       \
        "seed", &conf_type_seed,                                                            \
            .offset = offsetof(struct sleep_conf, seed), .max = INT64_MAX, .default_ = "0", \
            .description =                                                                  \
                "The same seed gives the same durations. 0: a different one in each run."   \
    }

static const struct conf_key uniform_keys[] = {
    {"uniform", &range_type, .required = true, .max = CONF_DURATION_MAX,
        .description = "Any duration between the two, each as likely.", .example = "[10ms, 20ms]"},
    SEED,
};
static const struct conf_section uniform = {"uniform", "sleep: evenly distributed",
    "A sleep of a length between two bounds.", NULL, CONF_KEYS(uniform_keys)};

static const struct conf_key exponential_keys[] = {
    {"exponential", &conf_type_duration, .required = true,
        .offset = offsetof(struct sleep_conf, low_ns), .min = 1, .max = CONF_DURATION_MAX,
        .description = "The mean; most are shorter, a few much longer.", .example = "70ms"},
    SEED,
};
static const struct conf_section exponential = {"exponential", "sleep: exponentially distributed",
    "A sleep as waiting times often are.", NULL, CONF_KEYS(exponential_keys)};

static int read_sleep(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at)
{
    struct sleep_conf *sleep = at;
    if (n->kind == CONF_MAP && conf_member(n, "uniform")) {
        sleep->distribution = UNIFORM;
        return conf_read_section(r, &uniform, n, where, sleep);
    }
    if (n->kind == CONF_MAP && conf_member(n, "exponential")) {
        sleep->distribution = EXPONENTIAL;
        return conf_read_section(r, &exponential, n, where, sleep);
    }
    if (n->kind == CONF_SCALAR)
        return conf_type_duration.read(r, key, n, where, &sleep->low_ns);
    conf_tell(
        r, n, where, "a duration such as 70ms, {uniform: [10ms, 20ms]} or {exponential: 70ms}", "");
    return 0;
}

static struct conf_node *show_sleep(
    struct conf_show *s, const struct conf_key *key, const void *at, const struct conf_node *origin)
{
    const struct sleep_conf *sleep = at;
    if (sleep->distribution == FIXED)
        return conf_show_duration(s, sleep->low_ns);
    return conf_show_section(
        s, sleep->distribution == UNIFORM ? &uniform : &exponential, sleep, origin);
}

static int put_sleep(struct bytes *out, const struct conf_key *key)
{
    return conf_schema_put(out,
        "\"anyOf\":[" CONF_SCHEMA_DURATION
        ",{\"$ref\":\"#/$defs/uniform\"},{\"$ref\":\"#/$defs/exponential\"}]");
}

static const struct conf_type sleep_type = {.words = "duration, or map",
    .is_setting = true,
    .read = read_sleep,
    .show = show_sleep,
    .schema = put_sleep};

static const struct conf_key keys[] = {
    {"sleep", &sleep_type, .max = CONF_DURATION_MAX,
        .description =
            "Waits for a duration, or for one out of a distribution: `{uniform: [10ms, 20ms]}` or "
            "`{exponential: 70ms}`, each with a `seed` if wanted.",
        .example = "70ms"},
};
static const struct conf_section *const sections[] = {&uniform, &exponential, NULL};

/* ---- Compiling ---- */

struct sleep_node {
    _Atomic uint64_t *draws; /* so far, of a seeded one: the only thing in a flow that changes */
};

static void compile(struct compiler *c, struct flow_node *n)
{
    struct sleep_node *sleep = n->own;
    sleep->draws = arena_zalloc(&c->flow->arena, sizeof *sleep->draws);
    if (!sleep->draws)
        compiler_note(c, -ENOMEM);
}

static int check_reference(
    const struct conf_flow_node *n, const struct reference_path *p, struct error *e)
{
    return p->count > 2 ? reference_wrong(e, p, "the value of a sleep is null: nothing is in it")
                        : 0;
}

/* ---- Running ---- */

static int64_t draw_from(struct rand *r, const struct sleep_conf *s)
{
    if (s->distribution == UNIFORM)
        return rand_between(r, s->low_ns, s->high_ns);
    return rand_exponential(r, s->low_ns);
}

static int64_t draw(struct run *run, const struct flow_node *n)
{
    const struct sleep_conf *s = n->conf->own;
    const struct sleep_node *sleep = n->own;
    struct rand own;
    if (s->distribution == FIXED)
        return s->low_ns;
    if (s->seed == 0 && run->context->rand)
        return draw_from(run->context->rand, s);
    uint64_t seed;
    if (s->seed == 0) {
        world_random(run->context->world, &seed, sizeof seed);
    } else {
        uint64_t nth = atomic_fetch_add_explicit(sleep->draws, 1, memory_order_relaxed);
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

const struct node_kind node_sleep = {
    .conf = {.keys = keys, .key_count = 1, .size = sizeof(struct sleep_conf), .sections = sections},
    .size = sizeof(struct sleep_node),
    .waits = true,
    .compile = compile,
    .check_reference = check_reference,
    .run = run_sleep,
};
