/*
 * fixture.h: configurations and flows from a few lines of YAML.
 */
#pragma once

#include "../check.h"

#include "conf/config.h"
#include "flow/flow.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct configured {
    struct conf *conf;
    struct conf_errors *errors;
};

static inline struct configured configure(const char *yaml)
{
    struct configured c = {.errors = conf_errors_new()};
    assert_non_null(c.errors);
    int rc = conf_parse(&c.conf, span_of(yaml), &flow_kinds, c.errors);
    if (rc) {
        struct bytes text;
        bytes_init(&text, 1 << 20);
        assert_int_equal(conf_errors_write(c.errors, &text), 0);
        fail_msg("the test's configuration is wrong: %.*s", SPAN_ARG(bytes_span(&text)));
    }
    return c;
}

static inline const struct conf_route *route_at(const struct configured *c, unsigned at)
{
    const struct config *config = conf_config(c->conf);
    assert_true(at < config->route_count);
    return &config->routes[at];
}

static inline void unconfigure(struct configured *c)
{
    conf_free(c->conf);
    conf_errors_free(c->errors);
}
