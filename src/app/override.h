/*
 * override.h: options of the command line that override the configuration file.
 */
#pragma once

#include "conf/config.h"

/* NULL: not given. */
struct overrides {
    const char *listen;
    const char *admin;
    const char *log_level;
    const char *log_format;
};

/* Replaces the configuration by one with the overrides: 0; -EINVAL with `errors`, or -ENOMEM, and
 * the configuration is unchanged. */
int override_conf(struct conf **conf, const struct overrides *o, struct conf_errors *errors)
    __attribute__((warn_unused_result));
