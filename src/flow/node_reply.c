/*
 * node_reply.c: a value made of others, under a name.
 */
#include "flow/internal.h"

static void compile(struct compiler *c, struct flow_node *n)
{
    compiler_note(c, template_compile(&n->value, n->conf->value, TEMPLATE_JSON, &c->site));
}

static int run_reply(
    struct run *run, const struct flow_node *n, struct value *out, const struct error **why)
{
    return run_make_json(run, &n->value, n->entered, out, why);
}

const struct node_kind node_reply = {.compile = compile, .run = run_reply};
