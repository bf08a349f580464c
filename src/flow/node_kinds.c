/*
 * node_kinds.c: the kinds of nodes there are, in the order in which users read of them.
 */
#include "flow/internal.h"

static const struct conf_flow_kind *const kinds[] = {
    &node_sleep.conf, &node_http.conf, &node_reply.conf, &node_step.conf};

const struct conf_flow_kinds flow_kinds = {.list = kinds, .count = sizeof kinds / sizeof *kinds};
