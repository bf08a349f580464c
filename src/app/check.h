/*
 * check.h: finds mistakes of a configuration that need more than its text: addresses, conflicting
 * routes, unknown steps, flows that do not compile.
 *
 * Used by `weir check`, by the supervisor, which refuses a bad configuration before it starts a
 * server, and by the server. Pure: binds and opens nothing.
 */
#pragma once

#include "conf/config.h"

/* Also checks the valid parts of a configuration with mistakes. 0; -EINVAL, and `errors` has all
 * that were found; or -ENOMEM. `unsafe`: allows steps that do harm on purpose. */
int app_check(const struct conf *conf, bool unsafe, struct conf_errors *errors)
    __attribute__((warn_unused_result));
/* The same for steps of plugins, which are loaded into this process, with all the risks of their
 * code: never in a supervisor. */
int app_check_plugins(const struct conf *conf, struct conf_errors *errors)
    __attribute__((warn_unused_result));
