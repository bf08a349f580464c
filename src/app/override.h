/*
 * override.h: what the command line says instead of the configuration file.
 */
#pragma once

#include "conf/config.h"

/* NULL: nothing. */
struct overrides {
    const char *listen;
    const char *admin;
    const char *log_level;
    const char *log_format;
};

/* Replaces the configuration by one that says so: 0; -EINVAL and `errors` says why, or -ENOMEM, and
 * the configuration is the one it was. */
int override_conf(struct conf **conf, const struct overrides *o, struct conf_errors *errors)
    __attribute__((warn_unused_result));
