/*
 * check.h: what is wrong with a configuration beyond its own text: addresses, conflicting routes,
 * flows that cannot be compiled.
 *
 * The same for `weir check`, the supervisor, which refuses a bad configuration before any server is
 * started, and the server. Pure: nothing is bound, asked or opened.
 */
#pragma once

#include "conf/config.h"

/* 0; -EINVAL, and `errors` has gained what is wrong, all of it; or -ENOMEM. */
int app_check(const struct conf *conf, struct conf_errors *errors)
    __attribute__((warn_unused_result));
