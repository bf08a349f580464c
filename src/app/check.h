/*
 * check.h: what is wrong with a configuration beyond its own text: addresses, conflicting routes,
 * steps that there are not, flows that cannot be compiled.
 *
 * The same for `weir check`, the supervisor, which refuses a bad configuration before any server is
 * started, and the server. Pure: nothing is bound, asked or opened.
 */
#pragma once

#include "conf/config.h"

/* Also of a configuration with mistakes: what was understood of it is checked. 0; -EINVAL, and
 * `errors` has gained what is wrong, all of it; or -ENOMEM. `unsafe`: steps that are meant to do
 * harm may be used. */
int app_check(const struct conf *conf, bool unsafe, struct conf_errors *errors)
    __attribute__((warn_unused_result));
/* The same of what is in plugins, which are loaded into this process, and with them their authors'
 * mistakes: never by a supervisor. */
int app_check_plugins(const struct conf *conf, struct conf_errors *errors)
    __attribute__((warn_unused_result));
