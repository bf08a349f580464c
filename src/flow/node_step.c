/*
 * node_step.c: computes: has steps done in a pool, those of a set together. The value is a step's
 * output.
 *
 * JSON that only passes through is not touched: an input that is one value's text is lent as it is,
 * and the output stays a text until something looks into it.
 */
#include "flow/internal.h"

#include "conf/read.h"
#include "step/step.h"

#include <errno.h>

/* ---- Its configuration ---- */

struct step_conf { /* step: tag, input: $body, pool: cpu */
    struct conf_work work;
    const struct conf_node *input; /* a template; NULL: $body */
};

#define AT(member) .offset = offsetof(struct step_conf, member)
static const struct conf_key keys[] = {
    {"step", &conf_type_name, AT(work.step),
        .description =
            "Runs a step, one of `steps` or a built-in one; its output is the node's value.",
        .example = "tag"},
    {"input", &conf_type_template, AT(input), .default_words = "`$body`",
        .description = "What the step gets: a template.", .example = "{text: $body.text}"},
    {"pool", &conf_type_name, AT(work.pool), .default_words = "the step's",
        .description = "Where the step runs: one of `pools`, or `default`.", .example = "cpu"},
};
#undef AT

static int finish(struct conf_reader *r, const struct conf_node *map,
    const struct conf_where *where, struct conf_flow_node *node)
{
    struct step_conf *conf = node->own;
    int rc = conf_read_work(r, map, where, &conf->work);
    node->work = conf->work;
    return rc;
}

/* ---- Compiling ---- */

struct step_node {
    struct pool *pool; /* NULL in a flow that is only checked */
    unsigned step;     /* its place there */
    struct template input;
};

/* For 'did you mean'. */
static const char *nearest(const struct flow_links *links, const char *name, struct arena *arena)
{
    unsigned count = 0;
    unsigned declared = links->config ? links->config->step_count : 0;
    unsigned built_in = 0;
    while (conf_builtin_steps[built_in])
        built_in++;
    const char **names = arena_alloc(arena, (declared + built_in) * sizeof *names);
    if (!names)
        return NULL;
    for (unsigned i = 0; i < declared; i++)
        names[count++] = links->config->steps[i].name;
    for (unsigned i = 0; i < built_in; i++) {
        bool unsafe = false;
        if (step_is_builtin(conf_builtin_steps[i], &unsafe) && (links->unsafe || !unsafe))
            names[count++] = conf_builtin_steps[i];
    }
    return conf_nearest(span_of(name), names, count);
}

static bool is_declared(const struct config *config, const char *name)
{
    for (unsigned i = 0; config && i < config->step_count; i++)
        if (strcmp(config->steps[i].name, name) == 0)
            return true;
    return false;
}

static void check_step(struct compiler *c, const struct flow_node *n)
{
    const char *name = n->conf->work.step;
    bool unsafe = false;
    if (is_declared(c->links->config, name))
        return;
    if (!step_is_builtin(name, &unsafe)) {
        const char *near = nearest(c->links, name, &c->flow->arena);
        compiler_error(c, &n->conf->mark, "there is no step '%s'%s%s%s", name,
            near ? "; did you mean '" : ": 'steps' has none of that name, and none is built in",
            near ? near : "", near ? "'?" : "");
    } else if (unsafe && !c->links->unsafe) {
        compiler_error(c, &n->conf->mark,
            "the step '%s' is made to do harm, and runs only with --unsafe-steps", name);
    }
}

/* The place of the step in its pool. */
static void find_step(struct compiler *c, struct flow_node *n)
{
    const struct conf_work *work = &n->conf->work;
    struct step_node *own = n->own;
    struct pool *pool = pools_find(c->links->pools, work->pool);
    int step = pool ? pool_step(pool, work->step) : -ENOENT;
    if (step < 0)
        compiler_error(c, &n->conf->mark, "the pool '%s' has no step '%s'", work->pool, work->step);
    own->pool = pool;
    own->step = step < 0 ? 0 : (unsigned)step;
}

static void compile(struct compiler *c, struct flow_node *n)
{
    const struct step_conf *conf = n->conf->own;
    struct step_node *own = n->own;
    struct template *input = &own->input;
    int before = c->rc;
    check_step(c, n);
    if (c->rc == before && c->links->pools)
        find_step(c, n);
    compiler_note(c, conf->input ? template_compile(input, conf->input, TEMPLATE_JSON, &c->site)
                                 : template_compile_text(input, SPAN("$body"), &n->conf->mark,
                                       TEMPLATE_JSON, &c->site));
}

/* ---- Running ---- */

/* The input's text, without a copy where it is there already; else in `text`. */
static int make_input(struct run *run, const struct template *t, struct bytes *text,
    struct span *input, struct error *e)
{
    const struct reference *whole = template_whole(t);
    struct value v = {0};
    int rc = 0;
    *input = t->first->literal;
    if (template_is_literal(t))
        return 0;
    if (whole)
        rc = value_of(&v, whole, &run->data, e);
    if (rc == 0 && v.kind == VALUE_RAW) {
        *input = v.text;
        return 0;
    }
    if (rc == 0)
        rc = template_render(t, &run->data, text, e);
    *input = bytes_span(text);
    return rc;
}

static const struct step_node *step_of(const struct flow_node *n)
{
    return n->own;
}

/* One of those that are run together. */
struct job {
    const struct flow_node *node;
    struct pool_call *call; /* NULL: there was no memory for it */
    struct bytes text;      /* of an input that was made */
    int rc;                 /* why there is nothing to call; 0: there is */
};

static const enum pool_dispatch dispatches[] = {
    [CONF_DISPATCH_AUTO] = POOL_AUTO,
    [CONF_DISPATCH_FUSED] = POOL_FUSED,
    [CONF_DISPATCH_FANOUT] = POOL_FANOUT,
    [CONF_DISPATCH_INLINE] = POOL_INLINE,
};

/* Not zeroed: most of it is room for a sentence, and what is told is for the pool to fill in. */
static struct pool_call *new_call(struct run *run, const struct flow_node *n, int64_t now)
{
    const struct conf_route *route = run->flow->route;
    struct kept_call *k = arena_alloc(run->data.arena, sizeof *k);
    if (!k)
        return NULL;
    k->next = run->calls;
    run->calls = k;
    struct pool_call *c = &k->call;
    c->step = step_of(n)->step;
    c->retry = n->conf->work.retry;
    c->name = run->data.id;
    c->deadline = run_node_deadline(n, now);
    /* In the queue a short deadline of the client's is no reason to be first: the route's is. */
    c->sort_deadline = run->client_deadline
                           ? deadline_sooner(run->route_deadline, own_deadline(n, now))
                           : DEADLINE_NEVER;
    c->route = route->index;
    c->priority = run->priority;
    c->needed = !n->conf->optional;
    c->outcome = POOL_CANCELLED;
    c->output = (struct span){NULL, 0};
    c->queue_ns = c->wall_ns = c->processor_ns = c->retry_after = 0;
    c->held = NULL;
    error_clear(&c->error);
    return c;
}

static void prepare(struct run *run, struct job *j, const struct flow_node *n, int64_t now)
{
    *j = (struct job){.node = n, .call = new_call(run, n, now)};
    bytes_init(&j->text, TEMPLATE_TEXT_MAX);
    j->rc = j->call
                ? make_input(run, &step_of(n)->input, &j->text, &j->call->input, &j->call->error)
                : -ENOMEM;
}

/* Of one whose input could not be made, or whose outcome is a failure. NULL: it was cancelled or
 * came too late, which whoever set the deadline says. */
static const struct error *why_not(struct run *run, struct job *j)
{
    struct node_state *s = &run->nodes[j->node->index];
    struct pool_call *c = j->call;
    if (!c || j->rc == -ECANCELED || j->rc == -ETIMEDOUT)
        return NULL;
    if (c->outcome == POOL_OVERLOADED)
        s->retry_after = c->retry_after > 0 ? c->retry_after : 1;
    return &c->error; /* which lives as long as the run */
}

static void failed(struct run *run, struct job *j)
{
    const struct pool_call *c = j->call;
    if (c->outcome == POOL_EXPIRED)
        j->rc = -ETIMEDOUT;
    else if (c->outcome == POOL_CANCELLED)
        j->rc = -ECANCELED;
    else
        j->rc = c->error.code ? c->error.code : -EIO;
    run->nodes[j->node->index].status = pool_outcome_status(c->outcome);
}

/* What came of a call. */
static void take(struct run *run, struct job *j)
{
    struct pool_call *c = j->call;
    struct value *out = &run->data.nodes[j->node->index];
    struct http_timing *timing = &run->request->timing;
    timing->queue += c->queue_ns;
    timing->cpu += c->processor_ns;
    if (c->outcome != POOL_DONE) {
        failed(run, j);
        return;
    }
    *out = (struct value){.kind = VALUE_RAW, .document = true, .text = c->output};
    j->rc = j->node->entered ? json_parse(&out->doc, c->output, JSON_TEXT_MAX, &c->error) : 0;
    if (j->rc == 0)
        return;
    *out = (struct value){0};
    if (j->rc != -ENOMEM)
        run->nodes[j->node->index].status = 500;
}

/* Each that can be called, at once; what cannot waits for them. */
static void call_all(struct run *run, struct job *jobs, unsigned count, struct pool_call **calls)
{
    unsigned called = 0;
    const struct flow_node *first = jobs[0].node; /* all are of its pool */
    for (unsigned i = 0; i < count; i++)
        if (jobs[i].rc == 0)
            calls[called++] = jobs[i].call;
    if (called == 0)
        return;
    int rc = pool_call_all(run->context->pool_client, step_of(first)->pool, calls, called,
        dispatches[run->flow->route->dispatch], NULL);
    (void)rc; /* each call's outcome says more */
    for (unsigned i = 0; i < count; i++)
        if (jobs[i].rc == 0)
            take(run, &jobs[i]);
}

static int settle_all(struct run *run, struct job *jobs, unsigned count, int64_t began)
{
    int64_t ns = run->context->observe ? world_now(run->context->world) - began : 0;
    int first = 0;
    for (unsigned i = 0; i < count; i++) {
        struct job *j = &jobs[i];
        const struct error *why = j->rc ? why_not(run, j) : NULL;
        bytes_release(&j->text);
        run_account(run, j->node, ns, j->rc);
        int rc = run_settle(run, j->node, j->rc, why);
        first = first ? first : rc;
    }
    return first;
}

static int run_group(struct run *run, struct node_state *set)
{
    unsigned count = 0;
    unsigned i = 0;
    int64_t now = world_now(run->context->world);
    for (const struct node_state *s = set; s; s = s->next)
        count++;
    struct job *jobs =
        arena_alloc(run->data.arena, count * (sizeof *jobs + sizeof(struct pool_call *)));
    if (!jobs)
        return -ENOMEM;
    for (const struct node_state *s = set; s; s = s->next)
        prepare(run, &jobs[i++], &run->flow->nodes[s - run->nodes], now);
    call_all(run, jobs, count, (struct pool_call **)(void *)(jobs + count));
    return settle_all(run, jobs, count, now);
}

const struct node_kind node_step = {
    .conf = {.keys = keys,
        .key_count = sizeof keys / sizeof *keys,
        .size = sizeof(struct step_conf),
        .finish = finish},
    .size = sizeof(struct step_node),
    .compile = compile,
    .run_group = run_group,
};
