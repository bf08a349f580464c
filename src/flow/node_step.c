/*
 * node_step.c: computes: has a step done in a pool. The value is its output.
 *
 * JSON that only passes through is not touched: an input that is one value's text is lent as it is,
 * and the output stays a text until something looks into it.
 */
#include "flow/internal.h"

#include "step/step.h"

#include <errno.h>

/* ---- Compiling ---- */

/* For 'did you mean'. */
static const char *nearest(const struct flow_steps *steps, const char *name, struct arena *arena)
{
    unsigned count = 0;
    unsigned declared = steps->config ? steps->config->step_count : 0;
    unsigned built_in = 0;
    while (conf_builtin_steps[built_in])
        built_in++;
    const char **names = arena_alloc(arena, (declared + built_in) * sizeof *names);
    if (!names)
        return NULL;
    for (unsigned i = 0; i < declared; i++)
        names[count++] = steps->config->steps[i].name;
    for (unsigned i = 0; i < built_in; i++) {
        bool unsafe = false;
        if (step_is_builtin(conf_builtin_steps[i], &unsafe) && (steps->unsafe || !unsafe))
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
    const char *name = n->conf->step.step;
    bool unsafe = false;
    if (is_declared(c->steps->config, name))
        return;
    if (!step_is_builtin(name, &unsafe)) {
        const char *near = nearest(c->steps, name, &c->flow->arena);
        compiler_error(c, &n->conf->mark, "there is no step '%s'%s%s%s", name,
            near ? "; did you mean '" : ": 'steps' has none of that name, and none is built in",
            near ? near : "", near ? "'?" : "");
    } else if (unsafe && !c->steps->unsafe) {
        compiler_error(c, &n->conf->mark,
            "the step '%s' is made to do harm, and runs only with --unsafe-steps", name);
    }
}

/* The place of the step in its pool. */
static void find_step(struct compiler *c, struct flow_node *n)
{
    const struct conf_step_node *conf = &n->conf->step;
    struct pool *pool = pools_find(c->steps->pools, conf->pool);
    int step = pool ? pool_step(pool, conf->step) : -ENOENT;
    if (step < 0)
        compiler_error(c, &n->conf->mark, "the pool '%s' has no step '%s'", conf->pool, conf->step);
    n->step.pool = pool;
    n->step.step = step < 0 ? 0 : (unsigned)step;
}

static void compile(struct compiler *c, struct flow_node *n)
{
    const struct conf_step_node *conf = &n->conf->step;
    struct template *input = &n->step.input;
    int before = c->rc;
    check_step(c, n);
    if (c->rc == before && c->steps->pools)
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

/* What the pool says, in the words of who asked. */
static int failed(struct run *run, const struct flow_node *n, struct pool_call *call, int rc,
    const struct error **why)
{
    /* This node's deadline, or the route's: said by who set it. */
    if (rc == -ECANCELED || rc == -ETIMEDOUT)
        return rc;
    error_prefix(&call->error, "node '%s'", n->conf->name);
    run->nodes[n->index].status = pool_outcome_status(call->outcome);
    *why = &call->error; /* which lives as long as the run */
    return rc;
}

static int call(struct run *run, const struct flow_node *n, struct pool_call *call,
    struct value *out, const struct error **why)
{
    struct http_timing *timing = &run->request->timing;
    int rc = pool_call(run->context->desk, n->step.pool, call);
    timing->queue += call->queue_ns;
    timing->cpu += call->processor_ns;
    if (rc)
        return failed(run, n, call, rc, why);
    *out = (struct value){.kind = VALUE_RAW, .text = call->output};
    if (!n->entered)
        return 0;
    rc = json_parse(&out->doc, call->output, 0, &call->error);
    if (rc) {
        *out = (struct value){0};
        error_prefix(&call->error, "node '%s'", n->conf->name);
        *why = &call->error;
        if (rc != -ENOMEM)
            run->nodes[n->index].status = 500;
    }
    return rc;
}

/* Not zeroed: most of it is room for a sentence, and what is told is for pool_call to fill in. */
static struct pool_call *new_call(struct run *run, const struct flow_node *n)
{
    struct kept_call *k = arena_alloc(run->data.arena, sizeof *k);
    if (!k)
        return NULL;
    k->next = run->calls;
    run->calls = k;
    k->call.step = n->step.step;
    k->call.retry = n->conf->step.retry;
    k->call.name = run->data.id;
    k->call.held = NULL;
    error_clear(&k->call.error);
    return &k->call;
}

static int run_step(
    struct run *run, const struct flow_node *n, struct value *out, const struct error **why)
{
    struct bytes text;
    struct pool_call *c = new_call(run, n);
    if (!c)
        return -ENOMEM;
    bytes_init(&text, TEMPLATE_TEXT_MAX);
    int rc = make_input(run, &n->step.input, &text, &c->input, &c->error);
    if (rc) {
        error_prefix(&c->error, "node '%s'", n->conf->name);
        *why = &c->error;
    } else {
        rc = call(run, n, c, out, why);
    }
    bytes_release(&text);
    return rc;
}

const struct node_kind node_step = {.compile = compile, .run = run_step};
