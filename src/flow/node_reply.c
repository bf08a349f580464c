/*
 * node_reply.c: a value made of others, under a name.
 */
#include "flow/internal.h"

struct reply_conf {
    const struct conf_node *value; /* a template */
};

static const struct conf_key keys[] = {
    {"reply", &conf_type_template, .offset = offsetof(struct reply_conf, value),
        .description = "A template that becomes the node's value.",
        .example = "{name: $path.name}"},
};

struct reply_node {
    struct template value;
};

static void compile(struct compiler *c, struct flow_node *n)
{
    const struct reply_conf *conf = n->conf->own;
    struct reply_node *reply = n->own;
    compiler_note(c, template_compile(&reply->value, conf->value, TEMPLATE_JSON, &c->site));
}

static int run_reply(
    struct run *run, const struct flow_node *n, struct value *out, const struct error **why)
{
    const struct reply_node *reply = n->own;
    return run_make_json(run, &reply->value, n->entered, out, why);
}

const struct node_kind node_reply = {
    .conf = {.keys = keys, .key_count = 1, .size = sizeof(struct reply_conf)},
    .size = sizeof(struct reply_node),
    .compile = compile,
    .run = run_reply,
};
